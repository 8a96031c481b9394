"""DuckDB's errors, turned into ours: what happened, with which file, and what to do."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from duckstore import errors

__all__ = ["open_errors", "reading", "write_errors"]


@contextmanager
def open_errors(path: str) -> Iterator[None]:
    """Turn what DuckDB says while opening into an error that names path, cause and remedy."""
    try:
        yield
    except duckdb.Error as error:
        text = str(error)
        holder = re.search(r"Conflicting lock is held in (.*?\(PID \d+\))", text)
        if "Could not set lock" in text:
            by = holder.group(1) if holder else "another process"
            raise errors.StoreLockedError(
                f"{path} is held open by {by}: one process at a time can open a store. "
                "Close it there, or use another file"
            ) from error
        if "different configuration" in text:
            raise errors.StoreLockedError(
                f"{path} is already open in this process by other code with other settings: "
                "close that connection, or ask your questions with Store.sql"
            ) from error
        if "newer" in text.lower() or "storage version" in text.lower():
            raise errors.NewerSchemaError(
                f"{path} was written by a later DuckDB than {duckdb.__version__}: {text}. "
                "Upgrade duckdb. The file was not changed"
            ) from error
        is_new = "Cannot open file" in text and not os.path.exists(path)
        if is_new or "Permission denied" in text or "Read-only file system" in text:
            raise errors.StorePathError(
                f"{path} cannot be written: {text}. Change its rights or choose another path"
            ) from error
        raise errors.DamagedStoreError(
            f"{path} cannot be read by DuckDB: {text}. Restore it from a backup; "
            "if a file with the ending .wal lies beside it, keep both"
        ) from error


@contextmanager
def reading(connection: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """A cursor of its own inside a read-only transaction: one consistent state, no writes.

    Raises:
        SQLError: DuckDB refuses the statement that was run on the cursor.
        DamagedStoreError: A part of the file that it needs is damaged.
    """
    cursor = connection.cursor()
    try:
        cursor.execute("begin transaction read only")
        yield cursor
    except duckdb.Error as error:
        text = str(error)
        if "read-only mode" in text:
            text = "a store is changed through its sessions, not by SQL; only reading is allowed"
        if "Corrupt database file" in text:
            raise errors.DamagedStoreError(
                f"part of the store's file cannot be read: {text}. Restore it from a backup"
            ) from error
        raise errors.SQLError(text) from error
    finally:
        cursor.close()


@contextmanager
def write_errors(path: str, *, kept: bool = False) -> Iterator[None]:
    """Turn what DuckDB or the file system says during a write into a StoreWriteError.

    Args:
        path: The store.
        kept: Whether what was to be written is in the journal already, and not lost.
    """
    try:
        yield
    except (duckdb.Error, OSError) as error:
        what = (
            "What was acknowledged is safe in the journal beside it; make room or correct the "
            "cause, and it goes on by itself"
            if kept
            else "Nothing of this call was stored; make room or correct the cause and repeat it"
        )
        raise errors.StoreWriteError(f"writing to {path} failed: {error}. {what}") from error
