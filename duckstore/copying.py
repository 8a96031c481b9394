"""Copies of a store, made while it is in use: a backup, and the rewriting that gives space back.

DuckDB's file must not be touched by other means while it is open (its lock would be lost), so both
are made by DuckDB itself, from one consistent state, into a file aside that takes its name when it
is complete.
"""

from __future__ import annotations

import os
import uuid
from contextlib import suppress

import duckdb

from duckstore import errors
from duckstore.database import MEMORY, connect
from duckstore.engine import Engine
from duckstore.failures import write_errors
from duckstore.journal import sync_folder
from duckstore.schema import TABLES

__all__ = ["backup_store", "compact_store"]

# What makes the rows of a session lie together, in the order in which they came to be.
_ORDER = {
    "session_rows": "session_key",
    "item_rows": "item_id",
    "response_rows": "response_id",
    "branch_rows": "branch_id",
    "lineage_rows": "branch_id, first_position",
    "move_rows": "move_id",
    "request_rows": "client_id, request_number",
}


def backup_store(engine: Engine, path: str) -> None:
    """Write a copy of the store as it is now to `path`, which must not exist.

    The copy is a store of its own: it can be opened beside the first one.

    Raises:
        StorePathError: The path is taken or cannot be written.
    """
    if os.path.lexists(path):
        raise errors.StorePathError(f"{path} is there already: give the backup a new name")
    aside = _aside(path)
    try:
        _make_empty(aside)
        with engine.snapshot() as cursor:
            _copy(cursor, aside)
        if os.path.lexists(path):
            raise FileExistsError(f"{path} was made meanwhile")
        os.rename(aside, path)
        sync_folder(path)
    except (duckdb.Error, errors.SQLError, errors.DamagedStoreError, OSError) as error:
        raise errors.StorePathError(
            f"the backup to {path} failed: {error}. Nothing is there; make room or choose "
            "another place"
        ) from error
    finally:
        _remove(aside)


def compact_store(engine: Engine) -> tuple[int, int]:
    """Write the file anew without what was deleted, and put it in the old one's place.

    Returns:
        The file's size before and after, in bytes.

    Raises:
        StoreBusyError: Queries were still running after half a minute.
        StoreWriteError: There is no room for the new file; the old one stays.
    """
    if engine.path == MEMORY:
        return 0, 0
    before = os.stat(engine.path).st_size
    aside = _aside(engine.path)

    def copy(cursor: duckdb.DuckDBPyConnection, store_id: str) -> str:
        with write_errors(engine.path, kept=True):
            _make_empty(aside)
            _copy(cursor, aside, store_id)
            # The new file has the rights that the old one was given.
            os.chmod(aside, os.stat(engine.path).st_mode & 0o777)
        return aside

    try:
        engine.rewrite(copy)
    finally:
        _remove(aside)
    return before, os.stat(engine.path).st_size


def _aside(path: str) -> str:
    return f"{path}.{uuid.uuid4().hex[:8]}.part"


def _make_empty(path: str) -> None:
    """A store without sessions."""
    connect(path, memory_limit="256MB", threads=1).close()
    _remove(path + ".wal")


def _copy(cursor: duckdb.DuckDBPyConnection, target: str, store_id: str | None = None) -> None:
    """Copy all rows that the cursor sees, from one state, into a store without sessions."""
    name = f"copy_{uuid.uuid4().hex}"
    place = target.replace("'", "''")
    cursor.execute(f"attach '{place}' as {name}")
    try:
        cursor.begin()
        for table in TABLES:
            cursor.execute(
                f"insert into {name}.{table} select * from {table} order by {_ORDER[table]}"
            )
        cursor.execute(
            f"update {name}.store_meta set value = ("
            " select value from store_meta as own where own.key = 'folded'"
            ") where key = 'folded'"
        )
        if store_id is not None:
            cursor.execute(
                f"update {name}.store_meta set value = ? where key = 'store_id'", [store_id]
            )
        cursor.commit()
        cursor.execute(f"checkpoint {name}")
    except duckdb.Error:
        with suppress(duckdb.Error):
            cursor.rollback()
        raise
    finally:
        with suppress(duckdb.Error):
            cursor.execute(f"detach {name}")


def _remove(path: str) -> None:
    for name in (path, path + ".wal"):
        with suppress(OSError):
            os.remove(name)
