"""Files of the SDK's `SQLiteSession` and `AdvancedSQLiteSession`.

Every session of the file is a conversation: its items as they are, in their order, each with the
second in which it was stored (UTC). Of an `AdvancedSQLiteSession` every branch arrives with its
name, and the token usage of its turns. Tables with other names than the SDK's are found by their
columns, or named by the options `sessions_table` and `messages_table`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from duckstore import errors
from duckstore.formats.sample import Sample, Skipper
from duckstore.formats.sdk_rows import MessageRow, line_of
from duckstore.formats.sqlite_branches import branches_of, has_branches
from duckstore.formats.sqlite_files import (
    TablePair,
    columns_of,
    is_sqlite,
    open_read_only,
    quoted,
    table_pairs,
)
from duckstore.formats.values import moment
from duckstore.transcript import Transcript

__all__ = ["ARE_JSON", "NAME", "TITLE", "read", "recognizes"]

NAME = "sqlite-session"
TITLE = "SQLite file of the Agents SDK (SQLiteSession, AdvancedSQLiteSession)"
ARE_JSON = True
"""Its items are as a JSON decoder gives them: they can be described before they are encoded."""


def recognizes(sample: Sample) -> bool:
    """Whether it is a SQLite file with tables of `SQLiteSession`, whose ids are of type TEXT."""
    if sample.is_folder or not is_sqlite(sample.head):
        return False
    try:
        with open_read_only(sample.path) as connection:
            return any(
                columns_of(connection, pair.messages)["session_id"] == "TEXT"
                for pair in table_pairs(connection)
            )
    except (errors.ImportFileError, sqlite3.Error):
        return False


def read(
    path: Path,
    report: Skipper,
    *,
    sessions_table: str | None = None,
    messages_table: str | None = None,
) -> Iterator[Transcript]:
    """Read the sessions of a file.

    Args:
        path: The file. An agent may have it open.
        report: Told what was left out.
        sessions_table: The table of sessions, where it is not one that can be told by its columns.
        messages_table: The table of messages, likewise.

    Raises:
        ImportFileError: It is no whole SQLite file, or has no such tables.
    """
    yield from read_tables(path, report, NAME, sessions_table, messages_table)


def read_tables(
    path: Path,
    report: Skipper,
    source: str,
    sessions_table: str | None,
    messages_table: str | None,
    order: str = "id",
) -> Iterator[Transcript]:
    """Read the sessions of a SQLite file, with the messages of each in an order."""
    with open_read_only(path) as connection:
        try:
            pairs = _pairs(connection, path, sessions_table, messages_table)
            jobs = [(pair, row) for pair in pairs for row in _session_rows(connection, pair)]
        except sqlite3.Error as error:
            raise errors.ImportFileError(
                f"{path} cannot be read: {error}. The file is damaged: "
                "the .recover of SQLite's own shell may help"
            ) from error
        size = path.stat().st_size
        for number, (pair, (session_id, created_at)) in enumerate(jobs, start=1):
            place = f"session {session_id}"
            try:
                found = _transcript(connection, pair, session_id, order, place, report)
            except sqlite3.Error as error:
                report.skip(place, f"it cannot be read from the file: {error}")
                continue
            report.advance(size * number // len(jobs))
            if found is None:
                continue
            found.source, found.metadata = source, {"file": path.name}
            found.session_created_at = moment(created_at)
            yield found


def _pairs(
    connection: sqlite3.Connection, path: Path, sessions: str | None, messages: str | None
) -> list[TablePair]:
    pairs = table_pairs(connection)
    if sessions is None and messages is None:
        if pairs:
            return pairs
        raise errors.ImportFileError(
            f"{path} has no tables of the Agents SDK's sessions. Give the file that a "
            "SQLiteSession writes to, or name its tables by sessions_table and messages_table"
        )
    wanted = TablePair(sessions or "agent_sessions", messages or "agent_messages")
    for table, column in ((wanted.sessions, "session_id"), (wanted.messages, "message_data")):
        if column not in columns_of(connection, table):
            known = ", ".join(f"{pair.sessions} and {pair.messages}" for pair in pairs)
            raise errors.ImportFileError(
                f"{path} has no table {table!r} with a column {column}. "
                f"Tables that look like it: {known or 'none'}"
            )
    return [wanted]


def _session_rows(connection: sqlite3.Connection, pair: TablePair) -> list[tuple[Any, Any]]:
    """The sessions with their times; also those that have messages and no row of their own."""
    has_time = "created_at" in columns_of(connection, pair.sessions)
    times = dict(
        connection.execute(
            f"select session_id, {'created_at' if has_time else 'null'}"
            f" from {quoted(pair.sessions)} order by 2, 1"
        ).fetchall()
    )
    rest = connection.execute(
        f"select session_id from {quoted(pair.messages)} group by 1 order by min(id)"
    ).fetchall()
    return [*times.items(), *((row[0], None) for row in rest if row[0] not in times)]


def _transcript(
    connection: sqlite3.Connection,
    pair: TablePair,
    session_id: Any,
    order: str,
    place: str,
    report: Skipper,
) -> Transcript | None:
    rows = _message_rows(connection, pair, session_id, order, place, report)
    branches = None
    if has_branches(connection):
        branches = branches_of(connection, session_id, rows, place, report)
    weaver = branches.weaver if branches else line_of(rows, place, report)
    if not weaver.items:
        return None
    names = branches.last_items if branches else {}
    current = branches.current if branches else None
    return weaver.transcript(
        str(session_id),
        branches=names,
        last_index=names[current] if current is not None else None,
        place=place,
    )


def _message_rows(
    connection: sqlite3.Connection,
    pair: TablePair,
    session_id: Any,
    order: str,
    place: str,
    report: Skipper,
) -> list[MessageRow]:
    """A session's messages in their order; of a damaged file those that can be read."""
    table, of_session = quoted(pair.messages), f"where session_id = ? order by {order}"
    columns = "id, message_data, created_at"
    try:
        found = connection.execute(f"select {columns} from {table} {of_session}", (session_id,))
        return [MessageRow(*row) for row in found.fetchall()]
    except sqlite3.Error:
        ids = connection.execute(f"select id from {table} {of_session}", (session_id,)).fetchall()
    rows: list[MessageRow] = []
    for (message_id,) in ids:
        try:
            one = connection.execute(f"select {columns} from {table} where id = ?", (message_id,))
            rows += [MessageRow(*row) for row in one.fetchall()]
        except sqlite3.Error as error:
            report.skip(f"{place}, message {message_id}", f"the file is damaged: {error}")
    return rows
