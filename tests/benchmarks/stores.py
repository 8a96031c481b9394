"""The compared stores, each behind the same small face."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import duckdb
from agents.extensions.memory import AdvancedSQLiteSession
from agents.memory import SQLiteSession

import duckstore
from duckstore.schema import tables_sql
from duckstore.sessions import INDEX_AFTER
from tests.benchmarks.conversations import Item

__all__ = [
    "ADVANCED",
    "APPENDER",
    "DUCKSTORE",
    "FEWEST",
    "FILE",
    "MIDDLE",
    "OWNER",
    "RAW",
    "RELAXED",
    "SQLITE",
    "UNWATCHED",
    "AdvancedContender",
    "Contender",
    "DuckstoreContender",
    "RawAppender",
    "RawFile",
    "SQLiteContender",
    "Session",
    "open_contenders",
]

DUCKSTORE = "duckstore"
SQLITE = "SQLiteSession"
ADVANCED = "AdvancedSQLiteSession"
APPENDER = "DuckDB appender"
RAW = "DuckDB"
FILE = "file + fdatasync"
OWNER = "duckstore, in the owner"
RELAXED = "duckstore, relaxed"
MIDDLE = "duckstore, middle third"
FEWEST = "duckstore, smallest size"
UNWATCHED = "duckstore, unwatched"
"""Five that duckstore is compared with itself by."""


class Session(Protocol):
    """What the benchmark calls on a session."""

    async def get_items(self, limit: int | None = None) -> Any: ...
    async def add_items(self, items: Any) -> None: ...
    async def pop_item(self) -> Any: ...


class Contender(ABC):
    """A store under test, in a file of its own."""

    name: str

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def session(self, session_id: str) -> Session:
        """A fresh session object."""

    def forget(self, session_id: str) -> None:  # noqa: B027  # most stores hold nothing
        """Drop what the store keeps of the session in memory."""

    async def warm_up(self, session_ids: Sequence[str]) -> None:  # noqa: B027
        """Have made what a store makes once, when sessions are read."""

    def release(self, session: Any) -> None:
        """Close a session object."""
        session.close()

    def close(self) -> None:  # noqa: B027  # most stores hold nothing open
        """Close the file."""


class DuckstoreContender(Contender):
    """`DuckDBSession` on one open store."""

    name = DUCKSTORE

    def __init__(self, path: Path, durability: Literal["full", "relaxed"] = "full") -> None:
        super().__init__(path)
        self.store = duckstore.open(path, durability=durability)

    def session(self, session_id: str) -> Session:
        return self.store.session(session_id)

    def forget(self, session_id: str) -> None:
        self.store._access.engine.forget(session_id)

    async def warm_up(self, session_ids: Sequence[str]) -> None:
        """Have the index of sessions made, which is done after some were read back."""
        engine = self.store._access.engine
        while engine.sessions._loads < INDEX_AFTER and not engine.sessions.index.is_built:
            for session_id in session_ids:
                self.forget(session_id)
                await self.store.session(session_id).get_items()
        engine._folding.run(lambda: None)
        while not engine.sessions.index.is_built:
            await asyncio.sleep(0.001)

    def fold(self) -> None:
        """Have everything that was added written into DuckDB."""
        self.store._access.engine.fold()

    def close(self) -> None:
        self.store.close()


class SQLiteContender(Contender):
    """The SDK's `SQLiteSession`, as it is."""

    name = SQLITE

    def session(self, session_id: str) -> Session:
        return SQLiteSession(session_id, self.path)


class AdvancedContender(Contender):
    """The SDK's `AdvancedSQLiteSession`, as it is."""

    name = ADVANCED

    def session(self, session_id: str) -> Session:
        return AdvancedSQLiteSession(session_id=session_id, db_path=self.path, create_tables=True)


def open_contenders(folder: Path, *, with_advanced: bool = True) -> dict[str, Contender]:
    """All three on the files of one folder, made where they are not there yet; or two."""
    folder.mkdir(parents=True, exist_ok=True)
    contenders: list[Contender] = [
        DuckstoreContender(folder / "store.duckdb"),
        SQLiteContender(folder / "session.sqlite"),
    ]
    if with_advanced:
        contenders.append(AdvancedContender(folder / "advanced.sqlite"))
    return {contender.name: contender for contender in contenders}


class RawAppender:
    """The limit of DuckDB: rows of the same shape, one durable transaction for each batch."""

    def __init__(self, path: Path) -> None:
        self._connection = duckdb.connect(str(path))
        self._connection.execute(tables_sql())
        self._appender = self._connection.appender("item_rows")

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Append the rows and wait until they are on disk."""
        self._connection.begin()
        self._appender.append_rows(rows)
        self._appender.flush()
        self._connection.commit()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


class RawFile:
    """The limit of the disk: the raw items at the end of a file, then fdatasync."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    def write(self, text: bytes) -> None:
        """Append the bytes and wait until they are on disk."""
        os.write(self._file, text)
        getattr(os, "fdatasync", os.fsync)(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def sqlite_rows(connection: sqlite3.Connection, sql: str) -> list[tuple[Any, ...]]:
    """All rows of a question to an SQLite file."""
    return connection.execute(sql).fetchall()


async def fill(session: Session, new: list[Item], batch: int = 25) -> None:
    """Add items to a session in batches, as a conversation grows."""
    for start in range(0, len(new), batch):
        await session.add_items(new[start : start + batch])
