"""A folder of exported Parquet files is asked like the store."""

from __future__ import annotations

import glob
import json
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from click.testing import CliRunner
from polars.testing import assert_frame_equal

import duckstore
from duckstore import errors
from duckstore.cli import cli
from duckstore.schema import RELATIONS
from tests.clock import Clock
from tests.exported import PRICE, fill, seals, spread
from tests.samples import assistant, user


@pytest.fixture(scope="module")
def rich() -> Iterator[duckstore.Store]:
    with duckstore.open() as store:
        fill(store)
        yield store


@pytest.fixture(scope="module")
def folder(rich: duckstore.Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export, in a folder with a name that is awkward in SQL."""
    place = tmp_path_factory.mktemp("it's exported")
    rich.export_parquet(place)
    return place


@pytest.fixture(scope="module")
def archive(folder: Path) -> Iterator[duckstore.Archive]:
    with duckstore.open_parquet(folder) as opened:
        yield opened


@pytest.mark.parametrize("relation", RELATIONS)
def test_every_relation_is_as_in_the_store(
    relation: str, rich: duckstore.Store, archive: duckstore.Archive
) -> None:
    """Rows, columns and types, JSON included."""
    described = f"select column_name, column_type from (describe {relation})"
    assert archive.sql(described).rows() == rich.sql(described).rows()
    order = f"from {relation} order by all"
    assert_frame_equal(archive.sql(order), rich.sql(order))


def test_questions_are_asked_alike(rich: duckstore.Store, archive: duckstore.Archive) -> None:
    """Queries with parameters, plain SQL, scans and the list of queries."""
    given = {"session_id": "edited", "include_superseded": True}
    assert_frame_equal(archive.query("turn_pairs", **given), rich.query("turn_pairs", **given))
    tool = archive.sql("select tool_name from tool_calls where call_id = $id", id="c3")
    assert tool.rows() == [("transfer_to_refunds",)]
    users = archive.scan("messages").filter(pl.col("role") == "user").select("text").collect()
    assert users.height == rich.sql("from messages where role = 'user'").height
    assert archive.queries() == rich.queries()


def test_nothing_can_be_written(archive: duckstore.Archive, folder: Path, tmp_path: Path) -> None:
    before = seals(folder)
    for statement in ("create table t (a int)", "drop view runs", f"copy runs to '{tmp_path}/x'"):
        with pytest.raises(errors.SQLError):
            archive.sql(statement)
    assert seals(folder) == before
    assert not list(tmp_path.iterdir())


def test_a_new_export_is_seen(store: duckstore.Store, tmp_path: Path) -> None:
    """An archive that is open reads what is there when it is asked."""
    store.conversation("s").add([user("one"), assistant("1")])
    store.export_parquet(tmp_path / "out")
    with duckstore.open_parquet(tmp_path / "out") as archive:
        assert archive.query("turn_pairs").height == 1
        store.conversation("s").add([user("two")])
        store.export_parquet(tmp_path / "out")
        assert archive.query("turn_pairs").height == 2
        store.export_parquet(tmp_path / "out", partition_by=None)
        assert archive.query("turn_pairs").height == 2


def test_a_lazy_frame_is_read_when_it_is_collected(store: duckstore.Store, tmp_path: Path) -> None:
    """Its batches are of one state, while the folder goes on."""
    store.conversation("s").add([user(str(number)) for number in range(10)])
    store.export_parquet(tmp_path / "out")
    with duckstore.open_parquet(tmp_path / "out") as archive:
        lazy = archive.scan("items").select("text")
        batches = archive.batches("select text from items order by item_id", 3)
        texts = next(batches)["text"].to_list()
        store.conversation("s").add([user("ten")])
        store.purge("s")
        store.export_parquet(tmp_path / "out")
        texts += [text for batch in batches for text in batch["text"]]
        assert texts == [str(number) for number in range(10)]
        assert lazy.collect().height == 0


def test_several_threads_ask_while_it_is_exported_to(
    store: duckstore.Store, tmp_path: Path
) -> None:
    """Each question sees one whole state."""
    add = partial(store.conversation("s").add, [user("one"), user("two")])
    add()
    store.export_parquet(tmp_path / "out")
    is_over = threading.Event()
    seen: list[tuple[int, int, int]] = []
    failures: list[BaseException] = []

    def ask(archive: duckstore.Archive) -> None:
        sql = (
            "select (select count(*) from items), (select count(*) from messages),"
            " (select item_count from sessions)"
        )
        try:
            while not is_over.is_set():
                seen.append(archive._rows(sql).rows[0])  # type: ignore[arg-type]
        except BaseException as error:
            failures.append(error)

    with duckstore.open_parquet(tmp_path / "out") as archive:
        threads = [threading.Thread(target=ask, args=(archive,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(4):
            add()
            store.export_parquet(tmp_path / "out")
        is_over.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert all(len(set(counts)) == 1 and counts[0] % 2 == 0 for counts in seen)
    assert len(set(seen)) > 2


def test_a_folder_that_goes_is_told(store: duckstore.Store, tmp_path: Path) -> None:
    """Under an open archive; and it is read again when it is back."""
    store.conversation("s").add([user("one")])
    store.export_parquet(tmp_path / "out")
    with duckstore.open_parquet(tmp_path / "out") as archive:
        assert archive.sql("select count(*) from items").item() == 1
        (tmp_path / "out").rename(tmp_path / "elsewhere")
        with pytest.raises(errors.StorePathError, match="export to it again"):
            archive.sql("select count(*) from items")
        (tmp_path / "elsewhere").rename(tmp_path / "out")
        assert archive.sql("select count(*) from items").item() == 1
        manifest = tmp_path / "out" / "manifest.json"
        manifest.rename(tmp_path / "aside")
        manifest.write_text("{}")
        with pytest.raises(errors.DamagedStoreError, match=r"manifest\.json cannot be read"):
            archive.sql("select count(*) from items")
        (tmp_path / "aside").rename(manifest)
        assert archive.sql("select count(*) from items").item() == 1


# Which files -------------------------------------------------------------------------------------


def rows_of(path: Path | str, relation: str = "items") -> list[tuple[Any, ...]]:
    with duckstore.open_parquet(path) as archive:
        return archive.sql(f"from {relation} order by all").rows()


@pytest.fixture
def months(path: Path, clock: Clock, tmp_path: Path) -> Path:
    """An export with a session for each of four months, in a folder whose name is awkward."""
    place = tmp_path / "it's [one]"
    with duckstore.open(path) as store:
        spread(store, clock, 4)
        store.set_prices([PRICE])
        store.export_parquet(place)
    return place


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*/month=2026-0[12]/*.parquet", {1, 2}),
        ("*/month=2026-03/part-00002.parquet", {3}),
        ("*/month=*/*.parquet", {1, 2, 3, 4}),
        ("**/*.parquet", {1, 2, 3, 4}),
        ("**/month=2026-04/**", {4}),
    ],
)
def test_some_files_by_a_pattern(pattern: str, found: set[int], months: Path) -> None:
    """The sessions whose files fit, with all of their rows, and the prices in any case."""
    path = Path(glob.escape(str(months))) / pattern
    assert {row[1] for row in rows_of(path)} == {f"month {n}" for n in found}
    assert {row[0] for row in rows_of(path, "sessions")} == {f"month {n}" for n in found}
    assert len(rows_of(path, "prices")) == 1
    with duckstore.open_parquet(path) as archive:
        assert archive.path == str(path)


def test_a_pattern_for_a_folder(months: Path) -> None:
    """One that leads to one export is that export."""
    assert len(rows_of(months.parent / "it?s*")) == 12


def test_a_pattern_that_fits_nothing_or_too_much(months: Path, tmp_path: Path) -> None:
    escaped = Path(glob.escape(str(months)))
    with pytest.raises(errors.StorePathError, match="month=2027"):
        duckstore.open_parquet(escaped / "*" / "month=2027-*" / "*.parquet")
    with pytest.raises(errors.StorePathError, match="no files of the relation"):
        duckstore.open_parquet(escaped / "items" / "month=2026-01" / "*.parquet")
    with duckstore.open() as other:
        other.export_parquet(tmp_path / "another")
    for pattern in ("*/items/**/*.parquet", "*", "*/manifest.json"):
        with pytest.raises(errors.ArgumentError, match="several exports"):
            duckstore.open_parquet(tmp_path / pattern)


def test_a_folder_that_was_copied(months: Path, tmp_path: Path) -> None:
    """With all, without duckstore's own folder, without the manifest, or file by file as before."""
    expected = {relation: rows_of(months, relation) for relation in RELATIONS}
    shutil.copytree(months, tmp_path / "whole")
    shutil.copytree(months, tmp_path / "part", ignore=shutil.ignore_patterns("_duckstore"))
    shutil.copytree(months, tmp_path / "items" / "files")
    (tmp_path / "items" / "files" / "manifest.json").unlink()
    (tmp_path / "flat").mkdir()
    for relation in RELATIONS:
        frame = pl.read_parquet(months / relation, hive_partitioning=False, glob=False)
        frame.write_parquet(tmp_path / "flat" / f"{relation}.parquet")
    for place in ("whole", "part", "items/files", "flat", "items/files/**/*.parquet"):
        found = {relation: rows_of(tmp_path / place, relation) for relation in RELATIONS}
        assert found == expected, place


def test_wrong_folders_are_named(folder: Path, tmp_path: Path) -> None:
    """Not there, not an export, not Parquet, from before a column was there, from later."""
    with pytest.raises(errors.StorePathError, match=r"there is no folder .*nowhere"):
        duckstore.open_parquet(tmp_path / "nowhere")
    with pytest.raises(errors.StorePathError, match=r"no files of the relation sessions"):
        duckstore.open_parquet(tmp_path)
    copied = tmp_path / "copied"
    shutil.copytree(folder, copied, ignore=shutil.ignore_patterns("_duckstore"))
    (runs,) = (copied / "runs").rglob("*.parquet")
    runs.write_text("no Parquet", encoding="utf-8")
    with pytest.raises(errors.DamagedStoreError, match=r"part-00000\.parquet cannot be read"):
        duckstore.open_parquet(copied)
    duckdb.sql("select 1 as id").write_parquet(str(runs))
    with pytest.raises(errors.DamagedStoreError, match=r"part-00000\.parquet has no column "):
        duckstore.open_parquet(copied)
    runs.unlink()
    with pytest.raises(errors.StoreError, match=r"part-00000\.parquet"):
        duckstore.open_parquet(copied)
    manifest = json.loads((copied / "manifest.json").read_text())
    (copied / "manifest.json").write_text(json.dumps(manifest | {"format_version": 9}))
    with pytest.raises(errors.NewerSchemaError, match="upgrade duckstore"):
        duckstore.open_parquet(copied)
    with pytest.raises(errors.ArgumentError, match="memory_limit"):
        duckstore.open_parquet(folder, memory_limit="much")


def test_after_close_it_says_so(folder: Path) -> None:
    with duckstore.open_parquet(folder) as archive:
        assert archive.path == str(folder)
        assert repr(archive) == f"Archive({str(folder)!r})"
    archive.close()
    with pytest.raises(errors.ClosedError, match="open it again"):
        archive.query("turn_pairs")
    with pytest.raises(errors.ClosedError):
        archive.queries()
    assert repr(archive).endswith(", closed)")


def test_the_command_line_asks_a_folder(folder: Path, tmp_path: Path) -> None:
    """`query` and `sql` take one in the place of a store; what changes a store does not."""

    def call(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(cli, ["-d", str(folder), *arguments])
        return result.exit_code, result.stdout, result.stderr

    code, shown, _ = call("query", "tool_usage", "--tool-name", "cancel", "--format", "csv")
    assert code == 0
    assert shown.splitlines()[1].startswith("cancel,function,1,")
    assert call("sql", "select count(*) as n from sessions", "--format", "csv") == (
        0,
        "n\n11\n",
        "",
    )
    code, shown, said = call("info")
    assert (code, shown) == (1, "")
    assert "is a directory" in said
    result = CliRunner().invoke(cli, ["-d", str(tmp_path), "query", "tool_usage"])
    assert result.exit_code == 1
    assert "is a directory" in result.stderr
