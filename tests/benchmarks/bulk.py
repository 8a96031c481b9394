"""Fast ways to fill a file with many sessions, in each store's own format.

A template of sessions is written once by the store's own code, without a commit for each batch,
and then multiplied inside the database by shifting its ids. The template is large enough that a
repetition is far from the original, so that DuckDB's compression gains nothing from it.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
from agents.extensions.memory import AdvancedSQLiteSession
from agents.memory import SQLiteSession

import duckstore
from duckstore.batch import Entry
from duckstore.branch import Stretch
from duckstore.encoding import encode_batch
from duckstore.observations import response_row
from duckstore.operations import new_items
from duckstore.restore import last_id
from duckstore.schema import TABLES
from duckstore.stored import StoredSessions
from duckstore.telemetry import Seen, SeenResponse
from duckstore.tree import SessionState
from duckstore.usage import Usage
from tests.benchmarks.conversations import TOOLS, Add, Edit, Fork, Item, Step

__all__ = ["FILLS", "duckstore_rows", "fill_advanced", "fill_duckstore", "fill_sqlite"]

Steps = Iterable[tuple[str, Step]]
_START = datetime(2026, 1, 1, tzinfo=UTC)


class _FirstBranch(StoredSessions):
    """The items of a session's first branch, for who would ask the file for them."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__(None)
        self._entries = entries

    def entries(
        self, session_key: int, stretches: Sequence[Stretch], before: Entry | None
    ) -> list[Entry]:
        return [
            entry
            for stretch in stretches
            for entry in self._entries[stretch.first_position - 1 : stretch.last_position]
        ]


@dataclass(slots=True)
class _Writer:
    """Plays steps on session states, as `Conversation` does, and collects their rows."""

    first_id: int
    label: str
    states: dict[str, SessionState] = field(default_factory=dict)
    first: dict[int, _FirstBranch] = field(default_factory=dict)
    """By session key, where it has more than its first branch: that one, which is whole by then."""
    now: datetime = _START

    def play(self, steps: Steps) -> int:
        """Play all steps. Returns the last id given out."""
        ids = count(self.first_id)
        current = self.first_id - 1

        def next_id() -> int:
            nonlocal current
            current = next(ids)
            return current

        for session_id, step in steps:
            self.now += timedelta(milliseconds=5)
            state = self.states.get(session_id)
            if state is None:
                state = SessionState.new(self.label + session_id)
                self.states[session_id] = state
            if isinstance(step, Add):
                self._add(state, step.items, next_id)
            elif isinstance(step, Fork):
                self._fork(state, step, next_id)
            else:
                self._pop(state, step.count, next_id)
        return current

    def _add(self, state: SessionState, new: list[Item], next_id: Callable[[], int]) -> None:
        state.create(next_id, self.now)
        usage = Usage(1, 900 + 40 * len(state.path), 60 * len(new), 512, 0, 0, 1000)
        seen = SeenResponse(usage=usage, model="model", offered_tools=TOOLS)
        responses = state.append(
            new_items(encode_batch(new)),
            next_id,
            self.now,
            agent_names="assistant",
            is_live=True,
        )
        if responses:
            response_id, run_id = responses[-1]
            key = state.session_key
            row = response_row(seen, response_id, key, response_id, run_id, Seen())
            state.rows["response_rows"].append(row)

    def _pop(self, state: SessionState, times: int, next_id: Callable[[], int]) -> None:
        for _ in range(times):
            came_from = (state.current.branch_id, len(state.path))
            state.cut(len(state.path) - 1)
            state.move("pop", came_from, next_id, self.now)

    def _fork(self, state: SessionState, step: Fork, next_id: Callable[[], int]) -> None:
        key = state.session_key
        if key not in self.first:
            self.first[key] = _FirstBranch(list(state.path))
        place = (state.branches[key], step.position)
        state.fork(step.name, place, next_id, self.now, self.first[key])

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """The rows of all sessions by table, in the order in which they came to be."""
        tables: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        for state in self.states.values():
            for table, rows in state.rows.items():
                tables[table] += rows
        for rows in tables.values():
            rows.sort(key=lambda row: row[0])
        return tables

    def names(self) -> list[tuple[str, int]]:
        """Branches that were renamed after their row was made."""
        return [
            (name, branch_id)
            for state in self.states.values()
            for branch_id, name in state.renamed.items()
        ]


def duckstore_rows(items: list[Item]) -> list[tuple[Any, ...]]:
    """The rows of `item_rows` that a batch of items becomes."""
    writer = _Writer(1, "raw-")
    writer.play([("rows", Add(items))])
    return writer.rows()["item_rows"]


def fill_duckstore(path: Path, steps: Steps, copies: int, label: str = "") -> None:
    """Write the steps' sessions `copies` times into a closed store."""
    duckstore.open(path).close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        before = last_id(connection)
        writer = _Writer(before + 1, f"{label}0-")
        last = writer.play(steps)
        connection.begin()
        for table, rows in writer.rows().items():
            with connection.appender(table) as appender:
                appender.append_rows(rows)
        connection.executemany(
            "update branch_rows set name = ? where branch_id = ?", writer.names() or [("", -1)]
        )
        connection.commit()
        for copy in range(1, copies):
            connection.begin()
            for table in TABLES:
                _shift(connection, table, before, last, copy, label)
            connection.commit()
        connection.execute("checkpoint")


def _shift(
    connection: duckdb.DuckDBPyConnection, table: str, before: int, last: int, copy: int, label: str
) -> None:
    """Repeat the rows whose ids lie in (before, last] with ids behind all others."""
    columns = connection.execute(f"select name, type from pragma_table_info('{table}')").fetchall()
    distance = copy * (last - before)
    values = {
        name: f"{name} + {distance}"
        for name, kind in columns
        if kind == "BIGINT" and name.endswith(("_id", "_key"))
    }
    if table == "session_rows":
        values["session_id"] = f"concat('{label}{copy}-', substr(session_id, {len(label) + 3}))"
    if any(name == "created_at" for name, _ in columns):
        values["created_at"] = f"created_at + interval {copy} hour"
    connection.execute(
        f"insert into {table} select {', '.join(values.get(name, name) for name, _ in columns)}"
        f" from {table} where session_key > {before} and session_key <= {last}"
        " order by rowid"
    )


class _SQLiteWriter:
    """Plays steps with the SDK's own inserts, in one transaction."""

    def __init__(self, session: SQLiteSession, connection: sqlite3.Connection, label: str) -> None:
        self.session = session
        self.connection = connection
        self.label = label

    def play(self, steps: Steps) -> None:
        """Play all steps."""
        for session_id, step in steps:
            self.session.session_id = self.label + session_id
            if isinstance(step, Add):
                self.add(step.items)
            else:
                self.edit(step)

    def add(self, new: list[Item]) -> None:
        """Insert a batch."""
        self.session._insert_items(self.connection, new)  # type: ignore[arg-type]

    def edit(self, step: Edit) -> None:
        """Delete the last items: that is all that `pop_item` leaves."""
        self.connection.execute(
            "delete from agent_messages where id in (select id from agent_messages"
            " where session_id = ? order by id desc limit ?)",
            (self.session.session_id, step.count),
        )


class _AdvancedWriter(_SQLiteWriter):
    """Keeps edits as the SDK's branches, which copy the structure rows before the edited turn."""

    session: AdvancedSQLiteSession

    def __init__(
        self, session: AdvancedSQLiteSession, connection: sqlite3.Connection, label: str
    ) -> None:
        super().__init__(session, connection, label)
        self.branches: dict[str, str] = {}

    def add(self, new: list[Item]) -> None:
        super().add(new)
        branch = self.branches.get(self.session.session_id, "main")
        self.session._insert_structure_metadata(self.connection, new, branch)  # type: ignore[arg-type]

    def edit(self, step: Edit) -> None:
        session_id = self.session.session_id
        before = self.branches.get(session_id, "main")
        self.branches[session_id] = after = f"{before}.{step.turn_number}"
        self.connection.execute(
            """
            insert into message_structure (
                session_id, message_id, branch_id, message_type, sequence_number,
                user_turn_number, branch_turn_number, tool_name
            )
            select
                session_id, message_id, ?, message_type,
                (select max(sequence_number) from message_structure where session_id = ?)
                + row_number() over (order by sequence_number),
                user_turn_number, branch_turn_number, tool_name
            from message_structure
            where session_id = ? and branch_id = ? and branch_turn_number < ?
            order by sequence_number
            """,
            (after, session_id, session_id, before, step.turn_number),
        )


def fill_sqlite(path: Path, steps: Steps, copies: int, label: str = "") -> None:
    """Write the steps' sessions `copies` times into a file of `SQLiteSession`."""
    with closing(SQLiteSession("template", path)) as session:
        _fill(path, session, _SQLiteWriter, steps, copies, label)


def fill_advanced(path: Path, steps: Steps, copies: int, label: str = "") -> None:
    """Write the steps' sessions `copies` times into a file of `AdvancedSQLiteSession`."""
    with closing(
        AdvancedSQLiteSession(session_id="template", db_path=path, create_tables=True)
    ) as session:
        _fill(path, session, _AdvancedWriter, steps, copies, label)


def _fill(path: Path, session: Any, kind: type[Any], steps: Steps, copies: int, label: str) -> None:
    tables = ["agent_messages"] + (["message_structure"] if kind is _AdvancedWriter else [])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma synchronous = off")
        before = {table: _highest(connection, table) for table in tables}
        kind(session, connection, f"{label}0-").play(steps)
        last = {table: _highest(connection, table) for table in tables}
        distance = last["agent_messages"] - before["agent_messages"]
        for copy in range(1, copies):
            connection.execute(
                "insert into agent_sessions (session_id, created_at, updated_at)"
                " select ? || substr(session_id, ?), created_at, updated_at"
                " from agent_sessions where session_id like ?",
                (f"{label}{copy}-", len(label) + 3, f"{label}0-%"),
            )
            for table in tables:
                _shift_sqlite(connection, table, before[table], last[table], copy, label, distance)
        connection.commit()
        connection.execute("pragma wal_checkpoint(truncate)")


def _shift_sqlite(
    connection: sqlite3.Connection,
    table: str,
    before: int,
    last: int,
    copy: int,
    label: str,
    distance: int,
) -> None:
    names = [row[1] for row in connection.execute(f"pragma table_info({table})")]
    values = {
        "id": f"id + {copy * (last - before)}",
        "message_id": f"message_id + {copy * distance}",
        "session_id": f"'{label}{copy}-' || substr(session_id, {len(label) + 3})",
    }
    connection.execute(
        f"insert into {table} select {', '.join(values.get(name, name) for name in names)}"
        f" from {table} where id > {before} and id <= {last} order by id"
    )


def _highest(connection: sqlite3.Connection, table: str) -> int:
    """The highest id that the table has given out."""
    row = connection.execute("select seq from sqlite_sequence where name = ?", (table,)).fetchone()
    return int(row[0]) if row else 0


FILLS = {
    "store.duckdb": fill_duckstore,
    "session.sqlite": fill_sqlite,
    "advanced.sqlite": fill_advanced,
}
"""How each file of a folder is filled."""
