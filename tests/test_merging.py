"""Another store, or an export of one, taken in whole: every relation is what it was there."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import duckstore
from duckstore import Store, errors, merging
from duckstore.exporting.shape import columns_of
from duckstore.schema import RELATIONS, SCHEMA_VERSION
from tests.exported import PRICE, fill, live
from tests.owner import owned
from tests.processes import ROOT
from tests.samples import RECORDINGS, assistant, call, output, recording, user

KINDS = ("duckstore", "parquet")


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed store with a session of every kind, and an export of it beside it."""
    path = tmp_path_factory.mktemp("full") / "full.duckdb"
    with duckstore.open(path) as store:
        fill(store)
        store.export_parquet(path.with_name("out"))
    return path


def source(path: Path, kind: str) -> Path:
    return path if kind == "duckstore" else path.with_name("out")


def assert_same(one: Store, other: Store) -> None:
    """Both hold the same rows in every relation, ids included."""
    for relation in RELATIONS:
        assert live(one, relation) == live(other, relation), relation


def moved(store: Store, relation: str, shift: int, names: dict[str, str]) -> list[str]:
    """The rows of some sessions with their ids moved and their names changed."""
    columns = []
    for name, kind in columns_of(relation).items():
        if kind == "BIGINT" and (name == "id" or name.endswith("_id")):
            columns.append(f"{name} + {shift} as {name}")
        elif name in ("session_id", "parent_session_id"):
            columns.append(f"coalesce(map($theirs, $ours)[{name}], {name}) as {name}")
        else:
            columns.append(name)
    mine = "session_id in (select unnest($theirs))"
    if relation == "branch_items":
        mine = f"branch_id in (select branch_id from branches where {mine})"
    sql = f"select {', '.join(columns)} from {relation} where {mine}"
    # A relation without names of sessions is not asked with them.
    given = {"theirs": [*names], "ours": [*names.values()]}
    frame = store.sql(sql, **{name: given[name] for name in given if f"${name}" in sql})
    return sorted(map(repr, frame.rows()))


def assert_moved(one: Store, other: Store, names: dict[str, str]) -> None:
    """Some sessions of one store have in the other the same rows, apart from ids and names."""
    ask = "select min(item_id) as n from items where session_id in (select unnest($names))"
    first = one.sql(ask, names=list(names))["n"][0]
    shift = other.sql(ask, names=list(names.values()))["n"][0] - first
    for relation in RELATIONS:
        if relation != "prices":
            ours = moved(other, relation, 0, {name: name for name in names.values()})
            assert moved(one, relation, shift, names) == ours, relation


def rich_names(store: Store) -> list[str]:
    return sorted(store.sql("select session_id as s from sessions")["s"])


# The round trip ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_store_becomes_the_other_one(kind: str, full: Path, store: Store) -> None:
    """Row by row with every id, and can be used on like the first."""
    report = store.import_file(source(full, kind))
    with duckstore.open(full, read_only=True) as first:
        assert_same(first, store)
        assert report.session_count == len(rich_names(first))
        assert report.item_count == first.sql("select count(*) from items").item()
        for name in rich_names(first):
            assert store.conversation(name).items() == first.conversation(name).items()
    assert (report.grown_count, report.unchanged_count, report.skipped) == (0, 0, [])
    assert report.format == kind
    assert store.check() == []
    talk = store.conversation("forked")
    talk.add([user("more"), assistant("yes")])
    talk.switch("second try")
    assert talk.items()[-1] == assistant("Knock knock.")
    assert store.check() == []


def test_items_come_back_to_the_byte(store: Store, tmp_path: Path) -> None:
    """Every item that JSON can be, and arguments, texts and names that are odd."""
    odd = [
        *("\x00", "\ud800", 2**80, float("inf"), '{"a": 1, "a": 2}', "\U0001f986", [], {}, None),
        call("", "c", ""),
        call("f(x)", "c", "((("),
        call("\u00e9\U0001f986", "c", '{"\u00e9": "\U0001f986", "b": "\\ud800"}'),
        call("n\x00l", "c", "\x00"),
        {"type": "function_call", "name": None, "call_id": "c", "arguments": "{}"},
        {"type": "function_call", "name": "f", "call_id": "c", "arguments": None},
        {"type": "function_call", "call_id": "c"},
        {
            "type": "mcp_call",
            "id": "m",
            "name": "r",
            "arguments": "{}",
            "output": "x",
            "error": None,
        },
        {"type": "computer_call", "call_id": "c", "action": {"type": "click"}},
        {"type": "local_shell_call", "call_id": "c", "action": {"command": ["ls"]}},
        output("c", "x" * 200_000),
    ]
    store.conversation("odd").add(odd)
    store.export_parquet(tmp_path / "out")
    rows = "select * from item_rows order by item_id"
    with duckstore.open() as other:
        other.import_file(tmp_path / "out")
        assert other._access.rows(rows) == store._access.rows(rows)
        assert repr(other.conversation("odd").items()) == repr(odd)
        assert_same(store, other)


def test_a_store_that_has_others_takes_them_beside_them(full: Path, store: Store) -> None:
    """Equal apart from ids, which go on from where this store is; its own stay as they were."""
    store.conversation("mine").add([user("one"), call("f", "c"), output("c"), assistant("1")])
    before = {r: moved(store, r, 0, {"mine": "mine"}) for r in RELATIONS if r != "prices"}
    store.import_file(source(full, "parquet"))
    with duckstore.open(full, read_only=True) as first:
        assert_moved(first, store, {name: name for name in rich_names(first)})
        assert store.sql("from prices").rows() == first.sql("from prices").rows()
    for relation, rows in before.items():
        assert moved(store, relation, 0, {"mine": "mine"}) == rows
    assert store.check() == []
    store.conversation("mine").add([user("two")])
    assert store.check() == []


@pytest.mark.parametrize(
    "names",
    [
        ("responses-api", "toolbench"),
        pytest.param(  # ten thousand items
            ("agents-sdk-runs", "oasst", "responses-api", "tau-bench", "tau2", "toolbench"),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["two", "all"],
)
def test_recordings_go_round(names: tuple[str, ...], store: Store, tmp_path: Path) -> None:
    """Imported, exported, opened and imported again they are equal, relation by relation."""
    count = sum(len(line["items"]) for name in names for line in recording(name))
    for name in names:
        store.import_jsonl(RECORDINGS / f"{name}.jsonl.gz")
    assert store.sql("select count(*) from items").item() == count
    store.export_parquet(tmp_path / "out")
    with duckstore.open_parquet(tmp_path / "out") as archive, duckstore.open() as again:
        again.import_file(tmp_path / "out")
        for relation in RELATIONS:
            rows = live(store, relation)
            assert live(archive, relation) == rows, relation
            assert live(again, relation) == rows, relation
        assert again.check() == []


# What is there already ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_there_is_not_taken_again(kind: str, full: Path, store: Store) -> None:
    store.import_file(source(full, kind))
    before = {relation: live(store, relation) for relation in RELATIONS}
    report = store.import_file(source(full, kind))
    assert (report.session_count, report.grown_count, report.item_count) == (0, 0, 0)
    assert report.unchanged_count == len(rich_names(store))
    assert {relation: live(store, relation) for relation in RELATIONS} == before


def test_what_has_grown_there_takes_the_place_of_ours(store: Store, tmp_path: Path) -> None:
    """With its edits and branches; what has grown here stays."""
    with duckstore.open(tmp_path / "other.duckdb") as other:
        for name in ("theirs", "ours", "same"):
            other.conversation(name).add([user("one"), assistant("1")])
        store.import_file(other.path)
        talk = other.conversation("theirs")
        talk.add([user("two"), assistant("2")])
        talk.edit(2, "two, please")
        store.conversation("ours").add([user("here")])
        report = store.import_file(other.path)
        assert (report.session_count, report.grown_count, report.unchanged_count) == (0, 1, 2)
        assert_moved(other, store, {"theirs": "theirs"})
        assert store.conversation("theirs").items() == talk.items()
        assert store.conversation("ours").items()[-1] == user("here")
        assert store.check() == []


def clash(folder: Path) -> Path:
    """A store whose session `s` has nothing to do with ours; and one of the name it would get."""
    path = folder / "clash.duckdb"
    with duckstore.open(path) as other:
        other.conversation("s").add([user("something else")])
        other.conversation("s").fork("child of s").add([user("a child")])
        other.conversation("s~2").add([user("theirs, of that name")])
        other.conversation("t").add([user("new")])
    return path


def test_a_session_of_the_same_id_that_is_another_one(store: Store, tmp_path: Path) -> None:
    """It is left out and told; with rename it gets the next id that nobody has, there or here."""
    store.conversation("s").add([user("ours")])
    path = clash(tmp_path)
    dry = store.import_file(path, dry_run=True)
    report = store.import_file(path)
    for told in (dry, report):
        assert (told.session_count, told.item_count) == (3, 4)
        assert [place for place, _ in told.skipped] == ["session s"]
    assert store.conversation("s").items() == [user("ours")]
    with pytest.raises(errors.ImportFileError, match="session s"):
        store.import_file(path, strict=True)
    report = store.import_file(path, on_conflict="rename")
    assert (report.session_count, report.unchanged_count, report.skipped) == (1, 3, [])
    assert store.conversation("s~3").items() == [user("something else")]
    assert store.conversation("s~2").items() == [user("theirs, of that name")]
    again = store.import_file(path, on_conflict="rename")
    assert (again.session_count, again.unchanged_count) == (0, 4)
    assert store.check() == []


def test_a_fork_goes_with_the_session_that_it_is_of(store: Store, tmp_path: Path) -> None:
    """By the id and the item that its parent has here, whenever that came and whatever it is
    called; and by none where it did not come."""
    store.conversation("s").add([user("ours")])
    with duckstore.open(clash(tmp_path)) as other:
        other.conversation("t").add([assistant("yes")])
        store.import_file(other.path, on_conflict="rename")
        asked = "select parent_session_id, parent_item_id from sessions where session_id = $name"
        parent = store.sql("select item_id as i from items where session_id = 's~3'")["i"][0]
        assert store.sql(asked, name="child of s").row(0) == ("s~3", parent)
        other.conversation("t").fork("child of t").add([user("later")])
        store.import_file(other.path, on_conflict="rename")
        last = store.sql("select max(item_id) as i from items where session_id = 't'")["i"][0]
        assert store.sql(asked, name="child of t").row(0) == ("t", last)
        other.export_parquet(tmp_path / "some", sessions=["child of t"])
    with duckstore.open() as third:
        third.conversation("other").add([user("one")])
        third.import_file(tmp_path / "some")
        assert third.sql(asked, name="child of t").row(0) == ("t", None)


def test_a_dry_run_tells_and_writes_nothing(full: Path, store: Store) -> None:
    told = store.import_file(source(full, "parquet"), dry_run=True)
    assert store.sql("select count(*) from sessions").item() == 0
    done = store.import_file(source(full, "parquet"))
    assert (told.session_count, told.item_count) == (done.session_count, done.item_count)


def test_own_prices_stay(store: Store, full: Path) -> None:
    """Where both have prices of a model, those of this store hold."""
    store.set_prices([{**PRICE, "input_price": 5}])
    store.import_file(full)
    assert store.sql("select input_price from prices where model = 'desk-1'").item() == 5.0


def test_the_progress_is_in_items(store: Store, full: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(merging, "CHUNK_ITEMS", 10)
    told: list[tuple[int, int]] = []
    report = store.import_file(full, progress=lambda *at: told.append(at))
    assert told[0] == (0, report.item_count)
    assert told[-1] == (report.item_count, report.item_count)
    assert told == sorted(told)
    assert len(told) > 4


# Others at work ----------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
import duckstore, duckstore.merging
from duckstore.access import Access

duckstore.merging.CHUNK_ITEMS = 10
adopt, left = Access.adopt, int(sys.argv[3])

def some(access, job):
    global left
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return adopt(access, job)

Access.adopt = some
with duckstore.open(sys.argv[1]) as store:
    store.import_file(sys.argv[2])
"""


@pytest.mark.parametrize("count", [1, 3])
def test_killed_in_the_middle_and_repeated(count: int, full: Path, path: Path) -> None:
    """Sessions are there whole or not at all; then all are, and forks know their parents."""
    arguments = [sys.executable, "-c", KILLED, str(path), str(full), str(count)]
    assert subprocess.run(arguments, cwd=ROOT, timeout=60, check=False).returncode == -9
    with duckstore.open(path) as store, duckstore.open(full, read_only=True) as first:
        there = rich_names(store)
        assert 0 < len(there) < len(rich_names(first))
        assert store.check() == []
        report = store.import_file(full)
        assert report.session_count == len(rich_names(first)) - len(there)
        assert report.unchanged_count == len(there)
        assert store.check() == []
        later = set(rich_names(first)) - {*there, "forked elsewhere"}
        for some in (there, later):
            assert_moved(first, store, {name: name for name in some})
        asked = (
            "select parents.session_id, parents.text from sessions join items as parents"
            " on sessions.parent_item_id = parents.item_id"
            " where sessions.session_id = 'forked elsewhere'"
        )
        assert store.sql(asked).rows() == first.sql(asked).rows() != []


def test_an_agent_of_another_process_writes_meanwhile(
    full: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of either is lost, and no id is given twice."""
    monkeypatch.setattr(merging, "CHUNK_ITEMS", 10)
    with owned(path) as keeper, duckstore.open(path) as store:
        code = f"""
import threading
def write():
    for number in range(60):
        stores[{str(path)!r}].conversation("agent").add([str(number)])
threading.Thread(target=write).start()
"""
        keeper.run(code)
        assert not store._access.is_owner
        store.import_file(full)
        while len(store.conversation("agent").items()) < 60:
            time.sleep(0.05)
        assert store.conversation("agent").items() == [str(number) for number in range(60)]
        with duckstore.open(full, read_only=True) as first:
            assert_moved(first, store, {name: name for name in rich_names(first)})
        assert store.check() == []


def test_a_store_that_another_process_has_open(store: Store, tmp_path: Path) -> None:
    """It goes on there meanwhile; what is not yet in its file comes as well."""
    other = tmp_path / "other.duckdb"
    with owned(other) as keeper:
        keeper.run(f"stores[{str(other)!r}].conversation('s').add(['one', 'two'])")
        report = store.import_file(other)
        assert (report.session_count, report.item_count) == (1, 2)
        keeper.run(f"stores[{str(other)!r}].conversation('s').add(['three'])")
        assert store.import_file(other).grown_count == 1
    assert store.conversation("s").items() == ["one", "two", "three"]


def test_a_folder_that_is_exported_to_meanwhile(store: Store, tmp_path: Path) -> None:
    """One whole state of it is taken."""
    with duckstore.open(tmp_path / "other.duckdb") as other:
        other.conversation("s").add([user("0"), user("1")])
        other.export_parquet(tmp_path / "out")
        is_over = threading.Event()

        def go_on() -> None:
            while not is_over.is_set():
                other.conversation("s").add([user("0"), user("1")])
                other.export_parquet(tmp_path / "out")

        exporter = threading.Thread(target=go_on)
        exporter.start()
        for _ in range(4):
            store.import_file(tmp_path / "out")
            assert len(store.conversation("s").items()) % 2 == 0
        is_over.set()
        exporter.join()
        store.import_file(tmp_path / "out")
        assert store.conversation("s").items() == other.conversation("s").items()
        assert store.check() == []


# What cannot be taken ----------------------------------------------------------------------------


@pytest.fixture
def out(full: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the export, to be spoiled, which is not taken then."""
    folder = tmp_path / "copy"
    shutil.copytree(full.with_name("out"), folder)
    yield folder
    with duckstore.open() as store:
        with pytest.raises(errors.DuckstoreError):
            store.import_file(folder)
        assert store.sessions() == []
        assert store.check() == []


def rewrite(folder: Path, **values: Any) -> None:
    page = folder / "manifest.json"
    page.write_text(json.dumps(json.loads(page.read_text()) | values))


def test_an_export_without_its_texts(full: Path, store: Store, tmp_path: Path) -> None:
    """Whichever way they were left out, and to the store that they came from as well."""
    with duckstore.open(full) as first:
        first.export_parquet(tmp_path / "hashed", text=False)
        first.export_parquet(tmp_path / "redacted", redact=["email"])
        for folder in (tmp_path / "hashed", tmp_path / "redacted"):
            for target in (store, first):
                with pytest.raises(errors.ImportFileError, match="without its texts"):
                    target.import_file(folder)
    assert store.sessions() == []


def test_a_copy_without_the_hidden_folder(out: Path, store: Store) -> None:
    shutil.rmtree(out / "_duckstore")
    with pytest.raises(errors.ImportFileError, match=r"copy the export with its folder _duckstore"):
        store.import_file(out)


@pytest.mark.parametrize(
    ("version", "kind", "words"),
    [
        (SCHEMA_VERSION + 1, errors.NewerSchemaError, "upgrade duckstore"),
        (SCHEMA_VERSION - 1, errors.ImportFileError, "export its store anew"),
    ],
)
def test_an_export_of_another_version(
    version: int, kind: type[Exception], words: str, out: Path, store: Store
) -> None:
    rewrite(out, schema_version=version)
    with pytest.raises(kind, match=words):
        store.import_file(out)


@pytest.mark.parametrize("name", ["manifest.json", "items", "item_rows", "session_rows"])
@pytest.mark.parametrize("way", ["cut", "text"])
def test_a_file_of_it_is_damaged(name: str, way: str, out: Path, store: Store) -> None:
    """The error names the folder, and nothing is taken."""
    manifest = json.loads((out / "manifest.json").read_text())
    files = manifest["relations"] | manifest["tables"]
    path = out / name
    if name in files:
        path = out / f"_duckstore/files/{files[name][0]['sha256'][:32]}.parquet"
    path.write_bytes(path.read_bytes()[:100] if way == "cut" else b"no Parquet")
    with pytest.raises(errors.DamagedStoreError, match=str(out)):
        store.import_file(out)


def test_files_that_are_no_stores(store: Store, tmp_path: Path) -> None:
    """The store itself, a DuckDB file of something else, SQLite, a newer one, nothing."""
    with pytest.raises(errors.ImportFileError, match="is the store itself"):
        store.import_file(store.path)
    with duckdb.connect(str(tmp_path / "foreign.duckdb")) as connection:
        connection.execute("create table mine (a int)")
    with pytest.raises(errors.NotAStoreError, match=r"foreign\.duckdb"):
        store.import_file(tmp_path / "foreign.duckdb")
    sqlite3.connect(tmp_path / "lite.db").execute("create table mine (a int)")
    with pytest.raises(errors.DuckstoreError, match=r"lite\.db"):
        store.import_file(tmp_path / "lite.db", format="duckstore")
    with pytest.raises(errors.DuckstoreError, match="nowhere"):
        store.import_file(tmp_path / "nowhere", format="parquet")
    newer = tmp_path / "newer.duckdb"
    duckstore.open(newer).close()
    with duckdb.connect(str(newer)) as connection:
        connection.execute("update store_meta set value = '99' where key = 'schema_version'")
    with pytest.raises(errors.NewerSchemaError, match=r"newer\.duckdb"):
        store.import_file(newer)
    cut = tmp_path / "cut.duckdb"
    cut.write_bytes(newer.read_bytes()[:5000])
    with pytest.raises(errors.StoreError, match=r"cut\.duckdb"):
        store.import_file(cut)
    assert store.sessions() == []


def test_only_a_store_that_may_be_written_takes_in(full: Path, path: Path) -> None:
    duckstore.open(path).close()
    with duckstore.open(path, read_only=True) as store:
        with pytest.raises(errors.StoreReadOnlyError):
            store.import_file(full)
        assert store.sessions() == []
