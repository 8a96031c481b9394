"""A folder of exported Parquet files is asked like the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pytest
from click.testing import CliRunner
from polars.testing import assert_frame_equal

import duckstore
from duckstore import errors
from duckstore.cli import cli
from duckstore.schema import RELATIONS
from tests.rich import fill
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
    before = sorted(folder.iterdir())
    for statement in ("create table t (a int)", "drop view runs", f"copy runs to '{tmp_path}/x'"):
        with pytest.raises(errors.SQLError):
            archive.sql(statement)
    assert sorted(folder.iterdir()) == before
    assert not list(tmp_path.iterdir())


def test_a_new_export_is_seen(store: duckstore.Store, tmp_path: Path) -> None:
    """An archive that is open reads what is there when it is asked."""
    store.conversation("s").add([user("one"), assistant("1")])
    store.export_parquet(tmp_path)
    with duckstore.open_parquet(tmp_path) as archive:
        assert archive.query("turn_pairs").height == 1
        store.conversation("s").add([user("two")])
        store.export_parquet(tmp_path)
        assert archive.query("turn_pairs").height == 2


def test_wrong_folders_are_named(folder: Path, tmp_path: Path) -> None:
    """Not there, not an export, not Parquet, from before a column was there."""
    with pytest.raises(errors.StorePathError, match=r"there is no folder .*nowhere"):
        duckstore.open_parquet(tmp_path / "nowhere")
    with pytest.raises(errors.StorePathError, match=r"has no sessions\.parquet"):
        duckstore.open_parquet(tmp_path)
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "runs.parquet").write_text("no Parquet", encoding="utf-8")
    with pytest.raises(errors.DamagedStoreError, match=r"runs\.parquet cannot be read"):
        duckstore.open_parquet(tmp_path)
    duckdb.sql("select 1 as id").write_parquet(str(tmp_path / "runs.parquet"))
    with pytest.raises(errors.DamagedStoreError, match=r"runs\.parquet has no column "):
        duckstore.open_parquet(tmp_path)
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
    assert call("sql", "select count(*) as n from sessions", "--format", "csv") == (0, "n\n8\n", "")
    code, shown, said = call("info")
    assert (code, shown) == (1, "")
    assert "is a directory" in said
    result = CliRunner().invoke(cli, ["-d", str(tmp_path), "query", "tool_usage"])
    assert result.exit_code == 1
    assert "is a directory" in result.stderr
