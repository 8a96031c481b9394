"""Opening a store's files, and putting together what a crash left of them.

The journal holds everything that DuckDB's log holds, and what was not folded yet. So a log that
DuckDB cannot read is put aside, if the journal proves that nothing is lost with it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

from duckstore import errors
from duckstore.command import Command, from_record
from duckstore.database import MEMORY
from duckstore.failures import write_errors
from duckstore.journal import Journal, journal_path
from duckstore.recovery import Contents, read_journal
from duckstore.rewriting import remove_leftovers
from duckstore.storefile import StoreFile

__all__ = ["open_files", "open_for_reading"]

_log = logging.getLogger("duckstore")


def open_for_reading(path: str, *, memory_limit: str, threads: int) -> StoreFile:
    """Open the database of a store that nobody has open, to read it.

    Raises:
        StoreReadOnlyError: The journal holds changes that the database does not have.
        StoreError: The database cannot be opened.
    """
    contents = _read(journal_path(path))
    file = StoreFile(
        path,
        memory_limit=memory_limit,
        threads=threads,
        read_only=True,
        accept=partial(_check_belongs, path, contents),
    )
    try:
        left = _left(file, contents)
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
    contents = _read(name)
    if contents.records and (not os.path.exists(path) or not os.path.getsize(path)):
        raise errors.DamagedStoreError(
            f"{path} is missing, and its journal {name} holds {len(contents.records)} records "
            "that it may not have: put the database back beside it, or remove the journal too"
        )
    file = _open_database(path, contents, memory_limit, threads)
    with suppress(OSError):
        os.remove(name + ".new")  # a journal that was being cut when its process died
    remove_leftovers(path)
    try:
        if not contents.records:
            return file, None, []
        left = _left(file, contents)
        kept = contents.records[len(contents.records) - len(left) :]
        if file.log_size and contents.records[-1].number >= file.folded:
            kept = contents.records  # what DuckDB has only in its log stays in the journal
        number = kept[0].number if kept else file.folded + 1
        with write_errors(path, kept=True):
            journal = Journal.create(name, file.store_id, number, [r.data for r in kept])
    except BaseException:
        file.close()
        raise
    return file, journal, left


def _read(name: str) -> Contents:
    try:
        return read_journal(name)
    except OSError as error:
        raise errors.StorePathError(
            f"the journal {name} cannot be read: {error.strerror}. Change its rights; a store "
            "cannot be opened without it, since it may hold what the database does not have"
        ) from error


def _left(file: StoreFile, contents: Contents) -> list[Command]:
    """The commands of the journal that the database does not have."""
    left = [record for record in contents.records if record.number > file.folded]
    return [from_record(record.number, record.data) for record in left]


def _open_database(path: str, contents: Contents, memory_limit: str, threads: int) -> StoreFile:
    """Open the database, if the journal is its own and goes on where it ends."""

    def open_it() -> StoreFile:
        accept = partial(_check_belongs, path, contents)
        return StoreFile(path, memory_limit=memory_limit, threads=threads, accept=accept)

    log = path + ".wal"
    try:
        return open_it()
    except (errors.DamagedStoreError, errors.NewerSchemaError) as error:
        if isinstance(error, _NotItsOwnError) or not contents.records or not os.path.exists(log):
            raise
        aside = _free_name(log + ".damaged")
        with _put_aside(log, aside):
            try:
                file = open_it()
            except errors.StoreError:
                raise error from error.__cause__  # the journal does not make up for the log
        _log.warning(
            "DuckDB could not read the log %s; the journal has all that it held. It was moved to "
            "%s",
            log,
            aside,
        )
        return file


class _NotItsOwnError(errors.DamagedStoreError):
    """A journal that is not this database's, or not of this state of it."""


def _check_belongs(path: str, contents: Contents, store_id: str, folded: int) -> None:
    """Refuse a journal that is another database's, or does not go on where this one ends."""
    if not contents.records:
        return
    name, first = journal_path(path), contents.records[0].number
    if contents.store_id != store_id:
        raise _NotItsOwnError(
            f"the journal {name} belongs to another database than {path}: put the right one "
            "back, or move the journal away if you do not need what only it holds. Nothing was "
            "changed"
        )
    if first > folded + 1:
        raise _NotItsOwnError(
            f"{path} ends with record {folded}, and its journal begins with {first}: the file is "
            "older than its journal. Put the newer file back, or move the journal away to go on "
            "without what it holds. Nothing was changed"
        )


@contextmanager
def _put_aside(log: str, aside: str) -> Iterator[None]:
    """Give a log another name, and its own again where the work with that fails."""
    os.rename(log, aside)
    try:
        yield
    except BaseException:
        os.replace(aside, log)
        raise


def _free_name(name: str) -> str:
    free, number = name, 1
    while os.path.exists(free):
        free, number = f"{name}.{number}", number + 1
    return free
