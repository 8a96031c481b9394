"""Copies of a store, made while it is in use: a backup, and the rewriting that gives space back."""

from __future__ import annotations

import os

import duckdb

from duckstore import errors
from duckstore.database import MEMORY
from duckstore.engine import Engine
from duckstore.journal import sync_folder
from duckstore.macros import installed
from duckstore.rewriting import copy_rows, make_aside, remove_aside

__all__ = ["backup_store", "compact_store"]


def backup_store(engine: Engine, path: str) -> None:
    """Write a copy of the store as it is now to `path`, which must not exist.

    The copy is a store of its own: it can be opened beside the first one.

    Raises:
        StorePathError: The path is taken or cannot be written.
    """
    if os.path.lexists(path):
        raise errors.StorePathError(f"{path} is there already: give the backup a new name")
    aside = ""
    try:
        with engine.snapshot() as cursor:
            macros = installed(cursor)
        aside = make_aside(path, macros)
        with engine.snapshot() as cursor:
            copy_rows(cursor, aside)
        if os.path.lexists(path):
            raise FileExistsError(f"{path} was made meanwhile")
        os.rename(aside, path)
        sync_folder(path)
    except (
        duckdb.Error,
        errors.SQLError,
        errors.DamagedStoreError,
        errors.StorePathError,
        OSError,
    ) as error:
        raise errors.StorePathError(
            f"the backup to {path} failed: {error}. Nothing is there; make room or choose "
            "another place"
        ) from error
    finally:
        if aside:
            remove_aside(aside)


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
    engine.rewrite()
    return before, os.stat(engine.path).st_size
