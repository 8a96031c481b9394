"""Parquet export: what other tools find in a folder, and what becomes of folders that are odd."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal
from pyarrow import dataset, parquet

import duckstore
from duckstore import Store, errors
from duckstore.exporting.shape import ORDER
from duckstore.schema import RELATIONS
from tests.clock import Clock
from tests.exported import (
    assert_is_live,
    assert_is_sound,
    contents,
    files,
    fill,
    parts,
    seals,
    spread,
    stored,
)
from tests.owner import AS_NOBODY, needs_root
from tests.processes import python
from tests.samples import user

THIS_MONTH = f"month={datetime.now(UTC):%Y-%m}"

# What a reader finds for each type of the live relations: pyarrow, polars, and pandas 3.
PARQUET_TYPES: dict[str, tuple[str, Any, str]] = {
    "VARCHAR": ("string", pl.String, "str"),
    "JSON": ("string", pl.String, "str"),
    "BIGINT": ("int64", pl.Int64, "int64"),
    "DOUBLE": ("double", pl.Float64, "float64"),
    "BOOLEAN": ("bool", pl.Boolean, "bool"),
    "VARCHAR[]": ("list<element: string>", pl.List(pl.String), "object"),
    "TIMESTAMP WITH TIME ZONE": (
        "timestamp[us, tz=UTC]",
        pl.Datetime("us", "UTC"),
        "datetime64[us, UTC]",
    ),
    "DATE": ("date32[day]", pl.Date, "object"),
}


@pytest.fixture(scope="module")
def full() -> Iterator[Store]:
    with duckstore.open() as opened:
        fill(opened)
        yield opened


@pytest.fixture(scope="module")
def exported(full: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "deep" / "er"
    report = full.export_parquet(folder)
    assert report.row_counts == {
        relation: full.sql(f"select count(*) from {relation}").item() for relation in RELATIONS
    }
    assert all(report.row_counts.values())  # else the tests below see nothing
    assert report.folder == str(folder)
    return folder


def types_of(store: Store, relation: str) -> dict[str, str]:
    described = store.sql(f"describe {relation}").select("column_name", "column_type")
    return dict(described.iter_rows())


# What is in the folder ---------------------------------------------------------------------------


def test_a_folder_for_each_relation_and_nothing_else(exported: Path) -> None:
    """Parts lie under the month in which their sessions began; prices belong to no session."""
    names = {path.name for path in exported.iterdir()}
    assert names == {*RELATIONS, "manifest.json", "_duckstore"}
    for relation in RELATIONS:
        place = "" if relation == "prices" else f"{THIS_MONTH}/"
        assert parts(exported, relation) == [f"{place}part-00000.parquet"]
    assert sorted(p.name for p in (exported / "_duckstore").iterdir()) == ["files", "lock"]


@pytest.mark.parametrize("relation", RELATIONS)
def test_a_file_holds_the_rows_of_its_relation(full: Store, exported: Path, relation: str) -> None:
    """Same columns, types and rows as the live relation, sorted by session and position."""
    expected = full.sql(f"from {relation} order by {ORDER[relation]}")
    (file,) = files(exported, relation)
    assert_frame_equal(pl.read_parquet(file, hive_partitioning=False), expected)


@pytest.mark.parametrize("relation", RELATIONS)
def test_polars_reads_a_relation(full: Store, exported: Path, relation: str) -> None:
    """The folder and a pattern give the same rows, of the documented types."""
    folder, pattern = exported / relation, exported / relation / "**" / "*.parquet"
    of_folder = pl.scan_parquet(folder, hive_partitioning=False).collect()
    assert_frame_equal(of_folder, pl.read_parquet(pattern, hive_partitioning=False))
    assert dict(of_folder.schema) == {
        name: PARQUET_TYPES[kind][1] for name, kind in types_of(full, relation).items()
    }
    partitioned = pl.scan_parquet(folder).collect()
    assert_frame_equal(partitioned.select(of_folder.columns), of_folder)
    if relation != "prices":
        assert partitioned["month"].unique().to_list() == [THIS_MONTH[6:]]


@pytest.mark.parametrize("relation", RELATIONS)
def test_pyarrow_reads_a_relation(full: Store, exported: Path, relation: str) -> None:
    """Plain types: JSON is text, moments are UTC, nothing is hugeint or decimal."""
    (file,) = files(exported, relation)
    expected = [(name, PARQUET_TYPES[kind][0]) for name, kind in types_of(full, relation).items()]
    schema = parquet.read_schema(file)
    assert [(field.name, str(field.type)) for field in schema] == expected
    whole = dataset.dataset(exported / relation, format="parquet", partitioning="hive")
    rows = whole.to_table()
    assert rows.num_rows == full.sql(f"select count(*) from {relation}").item()
    assert [(field.name, str(field.type)) for field in rows.schema][: len(expected)] == expected
    if relation != "prices":
        assert set(rows["month"].to_pylist()) == {THIS_MONTH[6:]}


@pytest.mark.parametrize("relation", RELATIONS)
def test_pandas_reads_a_relation(full: Store, exported: Path, relation: str) -> None:
    """Every row, of the documented types where pandas has one for columns without a value."""
    frame = pd.read_parquet(exported / relation)
    live = full.sql(f"from {relation}")
    assert len(frame) == live.height
    for name, kind in types_of(full, relation).items():
        expected = {PARQUET_TYPES[kind][2]}
        if live[name].null_count():
            expected |= {"object", "float64"}  # integers and booleans that may be missing
        assert str(frame[name].dtype) in expected, name
        assert frame[name].isna().sum() == live[name].null_count(), name


def test_the_files_can_be_joined_without_the_store(exported: Path) -> None:
    """A branch's items in order are a plain join of the files."""
    items = pl.scan_parquet(exported / "items")
    places = pl.scan_parquet(exported / "branch_items")
    branches = pl.scan_parquet(exported / "branches")
    texts = (
        branches.filter((pl.col("session_id") == "forked") & (pl.col("name") == "second try"))
        .join(places, on="branch_id")
        .join(items.select("item_id", "text"), on="item_id")
        .sort("position")
        .collect()["text"]
    )
    assert texts.to_list() == ["Tell a joke.", "Knock knock."]


def test_files_are_compressed_and_cut_for_scanning(path: Path, tmp_path: Path) -> None:
    """zstd, in groups of rows that are read apart, with the bounds of what they hold."""
    with duckstore.open(path) as store:
        store.conversation("s").add([user("one")])
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "insert into item_rows select item_rows.* replace"
            " (item_id + n as item_id, position + n as position)"
            " from item_rows, range(1, 150_000) as numbers(n)"
        )
    with duckstore.open(path) as store:
        store.export_parquet(tmp_path / "out")
    (file,) = files(tmp_path / "out", "items")
    told = duckdb.execute(
        "select row_group_num_rows, compression, stats_min_value::bigint"
        " from parquet_metadata(?) where path_in_schema = 'position' order by row_group_id",
        [str(file)],
    ).fetchall()
    assert len(told) >= 2
    assert sum(row[0] for row in told) == 150_000
    assert all(10_000 <= row[0] <= 130_000 for row in told)
    assert {row[1] for row in told} == {"ZSTD"}
    assert [row[2] for row in told] == sorted({row[2] for row in told})


def test_the_manifest_tells_what_there_is(exported: Path, full: Store) -> None:
    """Versions, the store, columns with types, the span of time, and every file with checksum."""
    manifest = json.loads((exported / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["format"] == "duckstore export"
    assert (manifest["format_version"], manifest["schema_version"]) == (1, 4)
    assert manifest["duckstore_version"] == duckstore.__version__
    assert (manifest["content"], manifest["partition_by"]) == ("full", "month")
    assert manifest["selection"] == {"since": None, "sessions": None}
    assert manifest["session_count"] == full.sql("select count(*) from sessions").item()
    for relation in RELATIONS:
        assert manifest["columns"][relation] == types_of(full, relation)
        (told,) = manifest["relations"][relation]
        (file,) = files(exported, relation)
        assert exported / told["path"] == file
        assert told["byte_count"] == file.stat().st_size
        assert manifest["row_counts"][relation] == told["row_count"]
    span = full.sql("select min(created_at) as a, max(created_at) as b from items").row(0)
    told = manifest["first_item_at"], manifest["last_item_at"]
    assert tuple(datetime.fromisoformat(moment) for moment in told) == span


def test_an_empty_store_gives_files_with_columns(store: Store, tmp_path: Path) -> None:
    """And the first session that comes takes their place."""
    report = store.export_parquet(tmp_path / "out")
    assert report.row_counts == dict.fromkeys(RELATIONS, 0)
    for relation in RELATIONS:
        frame = pl.read_parquet(tmp_path / "out" / relation, hive_partitioning=False)
        assert frame.is_empty()
        assert frame.columns == store.sql(f"from {relation}").columns
    assert_is_live(store, tmp_path / "out")
    store.conversation("s").add([user("one")])
    store.export_parquet(tmp_path / "out")
    assert parts(tmp_path / "out", "items") == [f"{THIS_MONTH}/part-00000.parquet"]
    assert_is_live(store, tmp_path / "out")


# Which folder ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["it's", "ünï", "a b", "{x}", "100%", "a*", "?[0]", "-", "x=1"])
def test_a_folder_of_any_name(store: Store, tmp_path: Path, name: str) -> None:
    store.conversation("s").add([user("one")])
    store.export_parquet(tmp_path / name)
    store.conversation("s").add([user("two")])
    store.export_parquet(tmp_path / name)
    (file,) = files(tmp_path / name, "items")
    assert pl.read_parquet(file, glob=False)["text"].to_list() == ["one", "two"]
    assert store.verify_export(tmp_path / name) == []
    with duckstore.open_parquet(tmp_path / name) as archive:
        assert archive.sql("select count(*) from items").item() == 2


def test_the_home_folder(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tilde means the user's folder, as it does for the store's own path."""
    monkeypatch.setenv("HOME", str(tmp_path))
    store.export_parquet("~/out")
    assert (tmp_path / "out" / "manifest.json").exists()
    assert store.verify_export("~/out") == []
    with duckstore.open_parquet("~/out") as archive:
        assert archive.path == str(tmp_path / "out")


def test_a_folder_that_is_a_file(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(errors.StorePathError, match="choose a folder") as caught:
            store.export_parquet(folder)
        assert str(folder) in str(caught.value)
        with pytest.raises(errors.StorePathError, match=r"has no manifest\.json"):
            store.verify_export(folder)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_relation_that_is_a_file(store: Store, tmp_path: Path) -> None:
    """It is told, nothing of it is lost, and the export goes on when it is out of the way."""
    (tmp_path / "items").write_text("mine")
    with pytest.raises(errors.StorePathError, match="choose a folder"):
        store.export_parquet(tmp_path)
    assert (tmp_path / "items").read_text() == "mine"
    (tmp_path / "items").unlink()
    store.export_parquet(tmp_path)
    assert_is_live(store, tmp_path)


@needs_root
def test_a_folder_without_the_right_to_write(open_folder: Path) -> None:
    """Neither one that cannot be written nor one whose parent cannot."""
    (open_folder / "closed").mkdir(mode=0o555)
    (open_folder / "unread").mkdir(mode=0o711)
    (open_folder / "unread" / "manifest.json").touch(mode=0o600)
    ready = f"""
import duckstore
store = duckstore.open()
store.export_parquet({str(open_folder / "ready")!r})
"""
    code = f"""
for name in ("closed", "closed/below", "unread"):
    try:
        store.export_parquet({str(open_folder)!r} + "/" + name)
    except errors.StorePathError as error:
        print("Permission denied" in str(error), name in str(error))
"""
    assert python(ready + AS_NOBODY + code).splitlines() == ["True True"] * 3
    assert not any((open_folder / "closed").iterdir())


def test_other_files_stay_and_are_told(store: Store, tmp_path: Path) -> None:
    """What duckstore did not write is left alone; where other tools would read it, it is told."""
    store.conversation("s").add([user("one")])
    store.export_parquet(tmp_path)
    mine = ["notes.txt", "items/notes.txt", "items/part-00099.parquet", "runs/month=x/a.parquet"]
    for name in mine:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    for _ in range(2):
        store.conversation("s").add([user("two")])
        report = store.export_parquet(tmp_path)
        assert report.foreign_files == sorted(mine[1:])
    assert all((tmp_path / name).read_text() == "mine" for name in mine)
    found = store.verify_export(tmp_path)
    assert [(finding.rule, finding.message.split()[0]) for finding in found] == [
        (name.split("/")[0], name) for name in sorted(mine[1:])
    ]
    with duckstore.open_parquet(tmp_path) as archive:
        assert archive.sql("select count(*) from items").item() == 3


def test_flat_files_of_an_earlier_version_go(store: Store, tmp_path: Path) -> None:
    """Which duckstore 0.5 wrote beside each other; one alone is somebody else's."""
    for relation in RELATIONS[1:]:
        (tmp_path / f"{relation}.parquet").write_bytes(b"PAR1")
    store.export_parquet(tmp_path)
    assert (tmp_path / "runs.parquet").exists()
    (tmp_path / f"{RELATIONS[0]}.parquet").write_bytes(b"PAR1")
    store.export_parquet(tmp_path)
    assert list(tmp_path.glob("*.parquet")) == []


def _another_store(manifest: dict[str, Any]) -> None:
    manifest["store_id"] = "another"


def _newer_format(manifest: dict[str, Any]) -> None:
    manifest["format_version"] = 2


def _newer_schema(manifest: dict[str, Any]) -> None:
    manifest["schema_version"] = 99


def _other_format(manifest: dict[str, Any]) -> None:
    manifest["format"] = "something else"


def _more_fields(manifest: dict[str, Any]) -> None:
    manifest["surprise"] = 1


def _fewer_fields(manifest: dict[str, Any]) -> None:
    del manifest["relations"]


MANIFESTS: dict[str, tuple[Any, type[Exception], str]] = {
    "another store": (_another_store, errors.StorePathError, "choose another folder"),
    "newer format": (_newer_format, errors.NewerSchemaError, "upgrade duckstore"),
    "newer schema": (_newer_schema, errors.NewerSchemaError, "upgrade duckstore"),
    "other format": (_other_format, errors.DamagedStoreError, "no manifest of a duckstore export"),
    "more fields": (_more_fields, errors.DamagedStoreError, "surprise"),
    "fewer fields": (_fewer_fields, errors.DamagedStoreError, "relations"),
    "empty": (b"", errors.DamagedStoreError, "export anew into another folder"),
    "a list": (b"[]", errors.DamagedStoreError, "export anew into another folder"),
    "a web page's": (b'{"name": "app"}', errors.DamagedStoreError, "no manifest"),
    "cut": (b'{"format": "duckst', errors.DamagedStoreError, "export anew into another folder"),
    "deep": (b"[" * 100_000, errors.DamagedStoreError, "export anew into another folder"),
    "no text": (b"\xff\xfe\x00", errors.DamagedStoreError, "another folder"),
}


@pytest.mark.parametrize("case", MANIFESTS)
@pytest.mark.parametrize("has_files", [True, False], ids=["whole", "manifest alone"])
def test_a_manifest_that_is_not_ours(
    case: str, has_files: bool, store: Store, tmp_path: Path
) -> None:
    """The error names it and says what to do, and nothing in the folder has changed."""
    change, kind, words = MANIFESTS[case]
    folder = tmp_path / "out"
    store.conversation("s").add([user("one")])
    store.export_parquet(folder)
    page = folder / "manifest.json"
    if isinstance(change, bytes):
        text = change
    else:
        manifest = json.loads(page.read_text())
        change(manifest)
        text = json.dumps(manifest).encode()
    if not has_files:
        folder = tmp_path / "other"
        folder.mkdir()
        page = folder / "manifest.json"
    page.write_bytes(text)
    before = seals(folder)
    store.conversation("s").add([user("two")])
    with pytest.raises(kind, match=words) as caught:
        store.export_parquet(folder)
    assert str(folder) in str(caught.value)
    if case not in ("another store", "newer schema"):
        with pytest.raises(kind, match=words):
            store.verify_export(folder)
    assert seals(folder) == before
    assert has_files or [path.name for path in folder.iterdir()] == ["manifest.json"]


FULL = """
import resource, signal, sys
import duckstore
from duckstore import errors
from tests.exported import contents
from pathlib import Path

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path(sys.argv[1])
options = {"redact": ["email"]} if sys.argv[2] == "redacted" else {}
with duckstore.open() as store:
    import random
    dice = random.Random(1)
    store.conversation("a").add(["one"])
    store.export_parquet(folder, **options)
    before = contents(folder)
    for number in range(40):
        text = dice.randbytes(500).hex()
        store.conversation(str(number)).add([{"role": "user", "content": text}])
    store.sql("from items")
    for limit in (0, 500, 5_000, 20_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            store.export_parquet(folder, **options)
        except (errors.StorePathError, errors.StoreWriteError) as error:
            print("told", "Make room" in str(error), contents(folder) == before)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    store.export_parquet(folder, **options)
    print(store.verify_export(folder), len(list((folder / "_duckstore").iterdir())))
"""


@pytest.mark.parametrize("how", ["full", "redacted"])
def test_a_disk_that_is_full(tmp_path: Path, how: str) -> None:
    """It is told, what was exported before is there, and it goes on as soon as there is room."""
    code = f"import sys; sys.argv = ['', {str(tmp_path / 'out')!r}, {how!r}]\n" + FULL
    told = python(code).splitlines()
    assert told == ["told True True"] * (len(told) - 1) + ["[] 2"]
    assert len(told) >= 4


# Whose and what ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"partition_by": "week"}, "give day, month, year or None"),
        ({"since": datetime(2026, 1, 1)}, "with a time zone"),
        ({"since": "2026-01-01"}, "with a time zone"),
        ({"sessions": "s"}, "are lists"),
        ({"sessions": ["s", "nobody"]}, "no session 'nobody'"),
        ({"redact": "email"}, "are lists"),
        ({"redact": []}, "redact is empty"),
        ({"redact": ["emails"]}, "email, keys, card, phone"),
        ({"redact": [3]}, "a function"),
        ({"redact": ["email"], "text": False}, "give one of the two"),
    ],
)
def test_wishes_that_make_no_sense(
    values: dict[str, Any], words: str, store: Store, tmp_path: Path
) -> None:
    """The message says what can be given, and no folder is made."""
    store.conversation("s").add([user("one")])
    with pytest.raises(errors.ArgumentError, match=words):
        store.export_parquet(tmp_path / "out", **values)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_sessions_of_several_months(path: Path, clock: Clock, tmp_path: Path) -> None:
    """Each lies under the month in which it began, whenever it went on."""
    with duckstore.open(path) as store:
        spread(store, clock, 3)
        store.conversation("month 1").add([user("later")])
        store.export_parquet(tmp_path / "out")
        for relation in ("items", "sessions", "history"):
            assert parts(tmp_path / "out", relation) == [
                f"month=2026-0{n}/part-0000{n - 1}.parquet" for n in (1, 2, 3)
            ]
        first = pl.read_parquet(tmp_path / "out" / "items" / "month=2026-01")
        assert set(first["session_id"]) == {"month 1"}
        assert_is_sound(store, tmp_path / "out")


def test_the_report_and_the_progress(store: Store, tmp_path: Path) -> None:
    """Files are counted, and the items that are done of those that are to be done."""
    told: list[tuple[int, int]] = []
    for name in "ab":
        store.conversation(name).add([user("one"), user("two")])
    report = store.export_parquet(tmp_path, progress=lambda *at: told.append(at))
    assert (report.session_count, report.kept_count, report.removed_count) == (2, 0, 0)
    assert report.written_count == len(list((tmp_path / "_duckstore" / "files").glob("*.parquet")))
    assert told[0] == (0, 4)
    assert told[-1] == (4, 4)
    told.clear()
    again = store.export_parquet(tmp_path, progress=lambda *at: told.append(at))
    assert (again.written_count, again.kept_count) == (0, report.written_count)
    assert not again.is_changed
    assert told == [(0, 0)]


def test_a_client_exports_like_the_owner(
    both: tuple[Store, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder is meant from where the client is, and holds what an owner would have written."""
    monkeypatch.chdir(tmp_path)
    for store, name in zip(both, ("client", "own"), strict=True):
        store.conversation("s").add([user("one")])
        store.export_parquet(name)
        assert_is_sound(store, tmp_path / name)
    assert {*contents(tmp_path / "client")} >= {
        "runs/" + part for part in parts(tmp_path / "own", "runs")
    }


def test_a_store_that_is_only_read_is_exported(store: Store, path: Path, tmp_path: Path) -> None:
    """With and without its texts: the key for the hashes was made with the store."""
    store.conversation("s").add([user("one")])
    store.close()
    with duckstore.open(path, read_only=True) as reader:
        reader.export_parquet(tmp_path / "out")
        assert_is_live(reader, tmp_path / "out")
        reader.export_parquet(tmp_path / "hashed", text=False)
        assert reader.verify_export(tmp_path / "hashed") == []


def test_purged_words_are_in_no_later_export(store: Store, tmp_path: Path) -> None:
    store.conversation("s").add([user("a very secret word")])
    store.conversation("t").add([user("hello")])
    store.purge("s")
    store.export_parquet(tmp_path / "out")
    for relation in RELATIONS:
        assert "secret" not in str(stored(tmp_path / "out", relation)), relation


# Verifying ---------------------------------------------------------------------------------------


def _damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)


def _cut(path: Path) -> None:
    os.truncate(path, 100)


@pytest.mark.parametrize(
    ("how", "place"),
    [
        (Path.unlink, "first name"),
        (Path.unlink, "second name"),
        (_damage, "second name"),
        (_damage, "session table"),
        (_cut, "first name"),
    ],
)
def test_verify_finds_a_file_that_is_not_as_it_was(
    how: Any, place: str, store: Store, tmp_path: Path
) -> None:
    """And the next export makes it anew; after it was removed, where its bytes alone are wrong."""
    store.conversation("s").add([user("one")])
    store.export_parquet(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    group = manifest["tables" if place == "session table" else "relations"]
    told = group["session_rows" if place == "session table" else "messages"][0]
    path = tmp_path / f"_duckstore/files/{told['sha256'][:32]}.parquet"
    if place == "second name":
        path = tmp_path / told["path"]
    how(path)
    found = store.verify_export(tmp_path)
    assert {finding.rule for finding in found} == {told["path"].split("/")[0] or "session_rows"}
    assert any(path.name in finding.message for finding in found)
    if how is _damage:
        assert all("remove it" in finding.message for finding in found if path.name in str(finding))
        path.unlink()
        if place == "second name":
            (tmp_path / f"_duckstore/files/{told['sha256'][:32]}.parquet").unlink()
    store.export_parquet(tmp_path)
    assert store.verify_export(tmp_path) == []
    assert_is_live(store, tmp_path)


def test_verify_finds_what_the_store_has_since(store: Store, tmp_path: Path) -> None:
    """Sessions and rows that are new, other or gone; and nothing after the next export."""
    for name in "abc":
        store.conversation(name).add([user("one")])
    store.export_parquet(tmp_path)
    store.conversation("new").add([user("one")])
    store.conversation("a").add([user("two")])
    store.update_session("b", title="other")
    store.purge("c")
    found = store.verify_export(tmp_path)
    rules = {finding.rule for finding in found}
    assert {"sessions", "runs", "items", "messages", "branch_items"} <= rules
    assert [f.session_id for f in found if "not in the folder" in f.message] == ["new"]
    assert any("1 in the folder are gone here" in finding.message for finding in found)
    store.export_parquet(tmp_path)
    assert store.verify_export(tmp_path) == []


def test_verify_knows_a_folder_of_another_store(store: Store, tmp_path: Path) -> None:
    store.export_parquet(tmp_path / "out")
    with duckstore.open() as other:
        (found,) = other.verify_export(tmp_path / "out")
        assert "another store" in found.message
    with pytest.raises(errors.StorePathError, match=r"has no manifest\.json"):
        store.verify_export(tmp_path / "nowhere")


def test_arrow_types_are_those_that_are_documented() -> None:
    """pyarrow knows the names above: a name that it would never write tests nothing."""
    made = {
        "string": pa.string(),
        "int64": pa.int64(),
        "double": pa.float64(),
        "bool": pa.bool_(),
        "list<element: string>": pa.list_(pa.field("element", pa.string())),
        "timestamp[us, tz=UTC]": pa.timestamp("us", "UTC"),
        "date32[day]": pa.date32(),
    }
    assert {str(kind) for kind in made.values()} == {names[0] for names in PARQUET_TYPES.values()}
