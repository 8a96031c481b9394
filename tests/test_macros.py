"""The queries as table macros: any DuckDB tool that opens the file can ask them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

import duckstore
from duckstore import catalogue, errors
from duckstore.macros import installed
from tests.rich import fill
from tests.samples import assistant, call, output, user

OWN = """-- Words that were asked for.
--
-- One row per word. '$word' in a comment or a text is no parameter.
--
-- param word: varchar
--     Which word.
-- param session_id: varchar = 'it''s'
--     The session that is said.
-- param factor: double = 1.5
--     A number.

select
    '$word' as dollar, -- $word
    $word::varchar as word,
    $session_id::varchar as session_id,
    $factor::double as factor
"""


@contextmanager
def tool(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A tool that knows DuckDB and nothing of duckstore."""
    with duckdb.connect(str(path), read_only=True) as connection:
        yield connection


def rows_of(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with tool(path) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed store with a session and with the queries."""
    path = tmp_path_factory.mktemp("made") / "agents.duckdb"
    with duckstore.open(path) as store:
        talk = store.conversation("s")
        talk.add([user("go"), call("find", "1"), output("1"), call("sort", "2")])
        store.conversation("t").add([user("again"), call("find", "1")])
        assert store.install_queries() == list(catalogue.bundled())
    return path


@pytest.fixture
def ready(made: Path, path: Path) -> Path:
    """A copy of it for one test."""
    shutil.copy(made, path)
    return path


CALLS = "select tool_name, call_count from tool_usage"


def test_any_tool_can_call_them(ready: Path) -> None:
    """By name, by position, with the defaults of the query, and as a part of other questions."""
    assert rows_of(ready, f"{CALLS}()") == [("find", 2), ("sort", 1)]
    assert rows_of(ready, f"{CALLS}(tool_name := 'sort')") == [("sort", 1)]
    assert rows_of(ready, f"{CALLS}('t')") == [("find", 1)]
    assert rows_of(ready, f"{CALLS}(session_id := 't')") == [("find", 1)]
    assert rows_of(ready, f"{CALLS}(row_limit := 1)") == [("find", 2)]
    assert rows_of(ready, f"{CALLS}(since := '2999-01-01')") == []
    assert rows_of(ready, f"{CALLS}(until := now() + interval 1 day, row_limit := 1)") == [
        ("find", 2)
    ]
    assert rows_of(ready, "select session_id from turn_pairs() where session_id = 't'") == [("t",)]


def test_an_attached_store_is_used(ready: Path) -> None:
    """Attached to another database it must be the one in use: so the README says."""
    with duckdb.connect() as connection:
        connection.execute(f"attach '{ready}' as agents (read_only)")
        connection.execute("use agents")
        assert connection.execute(f"{CALLS}(row_limit := 1)").fetchall() == [("find", 2)]


def test_a_wrong_value_is_an_error_of_the_tool(ready: Path) -> None:
    with pytest.raises(duckdb.Error, match="tomorrow"):
        rows_of(ready, f"{CALLS}(since := 'tomorrow')")
    with pytest.raises(duckdb.Error, match="tool_usage"):
        rows_of(ready, f"{CALLS}(colour := 'red')")


def test_the_store_asks_them_too(ready: Path) -> None:
    with duckstore.open(ready) as store:
        assert store.sql(f"{CALLS}(session_id := $id)", id="t").rows() == [("find", 1)]
        assert store.check() == []


@pytest.mark.parametrize("change", ["compact", "purge", "backup"])
def test_a_file_written_anew_keeps_them(ready: Path, tmp_path: Path, change: str) -> None:
    """Compaction, the rewriting after a deletion, and a backup."""
    target = ready
    with duckstore.open(ready) as store:
        if change == "compact":
            store.compact()
        elif change == "purge":
            store.purge("t")
        else:
            target = tmp_path / "copy.duckdb"
            store.backup(target)
    expected = [("find", 1), ("sort", 1)] if change == "purge" else [("find", 2), ("sort", 1)]
    assert rows_of(target, f"{CALLS}()") == expected
    with tool(target) as connection:
        assert [macro.name for macro in installed(connection)] == list(catalogue.bundled())


def test_a_client_installs_them(client: duckstore.Store) -> None:
    """In a process that does not have the file open they go through the one that has."""
    client.conversation("s").add([user("go"), call("find", "1")])
    assert "tool_usage" in client.install_queries()
    assert client.sql(f"{CALLS}()").rows() == [("find", 1)]


def test_your_own_come_and_go(path: Path, tmp_path: Path) -> None:
    """They are installed too; one that is not there the next time is taken away."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "said.sql").write_text(OWN, encoding="utf-8")
    with duckstore.open(path, queries=own) as store:
        assert "said" in store.install_queries()
        found = store.sql("from said('hi')").rows()
        assert found == [("$word", "hi", "it's", 1.5)]
        assert store.sql("from said(word := 'a', factor := 2)").rows() == [
            ("$word", "a", "it's", 2)
        ]
        (own / "said.sql").unlink()
        assert "said" not in store.install_queries()
        with pytest.raises(errors.SQLError, match="said"):
            store.sql("from said('hi')")
        assert store.sql("from turn_pairs()").height == 0


def test_a_macro_of_somebody_else_stays(path: Path) -> None:
    """A name that is taken is an error that says so, and nothing is changed."""
    duckstore.open(path).close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("create macro turn_pairs(x) as table select x * 2 as twice")
    with duckstore.open(path) as store:
        with pytest.raises(errors.StoreError, match="a macro turn_pairs that duckstore did not"):
            store.install_queries()
        assert store.sql("from turn_pairs(21)").rows() == [(42,)]
        with pytest.raises(errors.SQLError, match="tool_usage"):
            store.sql("from tool_usage()")
        store.conversation("s").add([user("still"), assistant("here")])


def test_a_wrong_query_installs_nothing(path: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    file = own / "wrong.sql"
    with duckstore.open(path, queries=own) as store:
        for text in ("select 1", "-- A.\n--\n-- One row per b.\n\nselect nothing from runs"):
            file.write_text(text, encoding="utf-8")
            with pytest.raises(errors.QueryFileError, match="wrong"):
                store.install_queries()
        with pytest.raises(errors.SQLError, match="turn_pairs"):
            store.sql("from turn_pairs()")


def test_a_store_that_is_only_read_takes_none(ready: Path) -> None:
    with duckstore.open(ready, read_only=True) as store:
        with pytest.raises(errors.StoreReadOnlyError):
            store.install_queries()
        assert store.sql(f"{CALLS}(row_limit := 1)").rows() == [("find", 2)]


def test_installing_again_changes_nothing(path: Path) -> None:
    with duckstore.open(path) as store:
        fill(store)
        assert store.install_queries() == store.install_queries()
        assert store.sql("from turn_pairs()").rows() == store.query("turn_pairs").rows()
