"""Opening a store's files, and putting together what a crash left of them.

The journal holds everything that DuckDB's log holds, and what was not folded yet. So a log that
DuckDB cannot read is put aside, if the journal proves that nothing is lost with it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

import duckdb

from duckstore import errors
from duckstore.command import Command, from_record
from duckstore.database import MEMORY
from duckstore.failures import write_errors
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
    contents = _read(journal_path(path))
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
    contents = _read(name)
    if contents.records:
        if not os.path.exists(path) or not os.path.getsize(path):
            raise errors.DamagedStoreError(
                f"{path} is missing, and its journal {name} holds {len(contents.records)} records "
                "that it may not have: put the database back beside it, or remove the journal too"
            )
        # Closing a database changes it when it has a log, so this is asked before.
        found = _look(path)
        if found is not None:
            _check_belongs(found, contents, name)
    file = _open_database(path, contents, memory_limit, threads)
    with suppress(OSError):
        os.remove(name + ".new")  # a journal that was being cut when its process died
    try:
        if not contents.records:
            return file, None, []
        left = _left(file, contents, name)
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


class _Place(Protocol):
    """What tells which commands a database has."""

    @property
    def path(self) -> str: ...
    @property
    def store_id(self) -> str: ...
    @property
    def folded(self) -> int: ...


def _left(file: StoreFile, contents: Contents, name: str) -> list[Command]:
    """The commands of the journal that the database does not have."""
    _check_belongs(file, contents, name)
    left = [record for record in contents.records if record.number > file.folded]
    return [from_record(record.number, record.data) for record in left]


def _check_belongs(place: _Place, contents: Contents, name: str) -> None:
    if contents.store_id != place.store_id:
        raise errors.DamagedStoreError(
            f"the journal {name} belongs to another database than {place.path}: put the right one "
            "back, or move the journal away if you do not need what only it holds. Nothing was "
            "changed"
        )
    first = contents.records[0].number
    if first > place.folded + 1:
        raise errors.DamagedStoreError(
            f"{place.path} ends with record {place.folded}, and its journal begins with "
            f"{first}: the file is older than its journal. Put the newer file back, or "
            "move the journal away to go on without what it holds. Nothing was changed"
        )


@dataclass(frozen=True, slots=True)
class _Found:
    """What a database that was only looked at says of itself."""

    path: str
    store_id: str
    folded: int


def _look(path: str) -> _Found | None:
    """Look at a database without changing anything. None where it does not answer."""
    if not os.path.isfile(path):
        return None
    try:
        with duckdb.connect(path, read_only=True) as probe:
            rows = probe.execute("select key, value from store_meta").fetchall()
    except duckdb.Error:
        return None  # opening it says what is the matter
    meta = dict(rows)
    try:
        return _Found(path, meta["store_id"], int(meta["folded"]))
    except (KeyError, ValueError):
        return None


def _open_database(path: str, contents: Contents, memory_limit: str, threads: int) -> StoreFile:
    try:
        return StoreFile(path, memory_limit=memory_limit, threads=threads)
    except (errors.DamagedStoreError, errors.NewerSchemaError):
        log = path + ".wal"
        if not contents.records or not os.path.exists(log):
            raise
        aside = _free_name(log + ".damaged")
        with _put_aside(log, aside):
            found = _look(path)
            if found is None or found.store_id != contents.store_id:
                raise
            if found.folded + 1 < contents.records[0].number:
                raise  # the log had what the journal has no more
            file = StoreFile(path, memory_limit=memory_limit, threads=threads)
        _log.warning(
            "DuckDB could not read the log %s; the journal has all that it held. It was moved to "
            "%s",
            log,
            aside,
        )
        return file


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
