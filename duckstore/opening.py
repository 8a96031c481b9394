"""Opening a store's files, and putting together what a crash left of them.

The journal holds everything that DuckDB's log holds, and what was not folded yet. So a log that
DuckDB cannot read is put aside, if the journal proves that nothing is lost with it.
"""

from __future__ import annotations

import logging
import os

from duckstore import errors
from duckstore.command import Command, from_record
from duckstore.database import MEMORY
from duckstore.journal import Journal, journal_path
from duckstore.recovery import Contents, read_journal
from duckstore.storefile import StoreFile

__all__ = ["open_files", "open_for_reading"]

_log = logging.getLogger("duckstore")


def open_for_reading(path: str, *, memory_limit: str, threads: int) -> StoreFile:
    """Open the database of a store that nobody has open, to read it.

    Raises:
        StoreReadOnlyError: The journal holds changes that the database does not have.
        StoreError: The database cannot be opened.
    """
    contents = read_journal(journal_path(path))
    file = StoreFile(path, memory_limit=memory_limit, threads=threads, read_only=True)
    try:
        left = _left(file, contents, journal_path(path)) if contents.records else []
        if left:
            raise errors.StoreReadOnlyError(
                f"the journal of {path} holds {len(left)} changes that the database does not have, "
                "left by a process that was killed: open the store once for writing"
            )
    except BaseException:
        file.close()
        raise
    return file


def open_files(
    path: str, *, memory_limit: str, threads: int
) -> tuple[StoreFile, Journal | None, list[Command]]:
    """Open the database and read its journal.

    Returns:
        The database; the journal, where one was left; the commands that only the journal has.

    Raises:
        DamagedStoreError: The journal is damaged, or is not this database's. Nothing was changed.
        StoreError: The database cannot be opened.
    """
    if path == MEMORY:
        return StoreFile(path, memory_limit=memory_limit, threads=threads), None, []
    name = journal_path(path)
    contents = read_journal(name)
    if contents.records and not os.path.exists(path):
        raise errors.DamagedStoreError(
            f"{path} is missing, and its journal {name} holds {len(contents.records)} records "
            "that it may not have: put the database back beside it, or remove the journal too"
        )
    file = _open_database(path, contents, memory_limit, threads)
    try:
        if not contents.records:
            return file, None, []
        left = _left(file, contents, name)
        # What DuckDB has only in its log stays in the journal, as does what it does not have.
        kept = contents.records[0 if file.log_size else len(contents.records) - len(left) :]
        number = kept[0].number if kept else file.folded + 1
        journal = Journal.create(name, file.store_id, number, [r.data for r in kept])
    except BaseException:
        file.close()
        raise
    return file, journal, left


def _left(file: StoreFile, contents: Contents, name: str) -> list[Command]:
    """The commands of the journal that the database does not have."""
    if contents.store_id != file.store_id:
        raise errors.DamagedStoreError(
            f"the journal {name} belongs to another database than {file.path}: put the right one "
            "back, or move the journal away if you do not need what only it holds. Nothing was "
            "changed"
        )
    left = [record for record in contents.records if record.number > file.folded]
    if left and left[0].number != file.folded + 1:
        raise errors.DamagedStoreError(
            f"{file.path} ends with record {file.folded}, and its journal begins with "
            f"{left[0].number}: the file is older than its journal. Put the newer file back, or "
            "move the journal away to go on without what it holds. Nothing was changed"
        )
    return [from_record(record.number, record.data) for record in left]


def _open_database(path: str, contents: Contents, memory_limit: str, threads: int) -> StoreFile:
    try:
        return StoreFile(path, memory_limit=memory_limit, threads=threads)
    except errors.DamagedStoreError:
        log = path + ".wal"
        if not contents.records or not os.path.exists(log):
            raise
        aside = _free_name(log + ".damaged")
        os.rename(log, aside)
        try:
            file = StoreFile(path, memory_limit=memory_limit, threads=threads)
            is_whole = contents.store_id == file.store_id and (
                contents.records[0].number <= file.folded + 1
            )
            if is_whole:
                _log.warning(
                    "DuckDB could not read the log %s; the journal has all that it held. "
                    "It was moved to %s",
                    log,
                    aside,
                )
                return file
            file.close()
        except errors.StoreError:
            os.replace(aside, log)
            raise
        os.replace(aside, log)
        raise


def _free_name(name: str) -> str:
    free, number = name, 1
    while os.path.exists(free):
        free, number = f"{name}.{number}", number + 1
    return free
