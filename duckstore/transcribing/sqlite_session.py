"""A file of the SDK's `SQLiteSession`: the items that agents see, in its two tables.

The tables are those that openai-agents 0.24 makes (`agents/memory/sqlite_session.py`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from duckstore import errors
from duckstore.access import Access
from duckstore.transcribing.files import TranscribeReport, written_aside
from duckstore.transcribing.reading import told_sessions

__all__ = ["export_sqlite_session"]

_TABLES = """
    create table agent_sessions (
        session_id text primary key,
        created_at timestamp default current_timestamp,
        updated_at timestamp default current_timestamp
    );
    create table agent_messages (
        id integer primary key autoincrement,
        session_id text not null,
        message_data text not null,
        created_at timestamp default current_timestamp,
        foreign key (session_id) references agent_sessions (session_id) on delete cascade
    );
    create index idx_agent_messages_session_id on agent_messages (session_id, id);
"""


def export_sqlite_session(
    access: Access,
    path: Path,
    sessions: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TranscribeReport:
    """Write the current path of sessions; see `Store.export_sqlite_session`."""
    report = TranscribeReport(str(path))
    with written_aside(path, replace=False) as aside:
        try:
            with closing(sqlite3.connect(aside)) as connection:
                connection.executescript(_TABLES)
                for told in told_sessions(access, sessions, progress):
                    row, on_path = told.attributes, told.path
                    times = (_seconds(row["created_at"]), _seconds(row["updated_at"]))
                    connection.execute(
                        "insert into agent_sessions values (?, ?, ?)", (row["session_id"], *times)
                    )
                    connection.executemany(
                        "insert into agent_messages (session_id, message_data, created_at)"
                        " values (?, ?, ?)",
                        (
                            (row["session_id"], told.raws[at], _seconds(told.created_at[at]))
                            for at in on_path
                        ),
                    )
                    report.session_count += 1
                    report.item_count += len(on_path)
                    superseded = len(told.raws) - len(on_path)
                    if superseded:
                        report.left_out["not on the current path"] += superseded
                connection.commit()
        except sqlite3.Error as error:
            raise errors.StorePathError(
                f"{path} cannot be written: {error}. Make room, or choose another file"
            ) from error
    return report


def _seconds(moment: str) -> str:
    """A moment as SQLite's `current_timestamp` has it."""
    return moment[:19].replace("T", " ")
