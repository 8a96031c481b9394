"""The DuckDB file of a store as its owner uses it: one writing cursor, appenders, many readers.

Everything that was acknowledged stands in the journal already when it comes here, so that nothing
here is hurried: commands are written many in one transaction, which also carries the number of the
last one, and the log is merged into the file by an explicit checkpoint.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import duckdb

from duckstore import errors, faults
from duckstore.allowance import Allowance
from duckstore.database import MEMORY, Accept, connect, secure_log
from duckstore.failures import reading, write_errors
from duckstore.journal import sync_folder
from duckstore.restore import last_id
from duckstore.schema import TABLES
from duckstore.transaction import Transaction

__all__ = ["StoreFile"]

_T = TypeVar("_T")

_inherited: dict[str, int] = {}
"""In a forked child: files that the parent had open, with its process id. DuckDB would hand out the
parent's instance for them, which has no threads and no lock here."""


VACUUM_TASKS = 100
"""DuckDB's own number of row groups that a checkpoint may write together."""


class StoreFile:
    """The open file. Writing is for one thread at a time, reading for all."""

    def __init__(
        self,
        path: str,
        *,
        memory_limit: str,
        threads: int,
        read_only: bool = False,
        accept: Accept | None = None,
    ) -> None:
        self.path = path
        self._settings = (memory_limit, threads)
        self._allowance = Allowance(memory_limit, self.connection)
        self._is_read_only = read_only
        self._accept = accept
        self._gate = threading.Condition()
        self._readers = 0
        self._is_shut = False
        self._is_closed = False
        self._connection: duckdb.DuckDBPyConnection | None = None
        self.store_id = ""
        self.folded = 0
        """The number of the last command that the file has."""
        self.last_id = 0
        self.must_erase = False
        """Whether words that were deleted may still be in its bytes: then it is to be rewritten.
        `store_meta` says so too, for the next owner."""
        self.inode = 0
        self._open()

    def _open(self) -> None:
        if self.path in _inherited:
            raise errors.ForkedError(
                f"{self.path} was opened by process {_inherited[self.path]}, which has ended: a "
                "forked child can only use it through its parent or another process. Open the "
                "store after forking, or use the 'spawn' start method"
            )
        memory_limit, threads = self._settings
        self._connection = connect(
            self.path,
            memory_limit=memory_limit,
            threads=threads,
            read_only=self._is_read_only,
            accept=self._accept,
        )
        self._accept = None
        self.inode = os.stat(self.path).st_ino if self.path != MEMORY else 0
        self._writer = self._connection.cursor()
        tables = () if self._is_read_only else TABLES
        self._appenders = {table: self._writer.appender(table) for table in tables}
        meta = dict(self._writer.execute("select key, value from store_meta").fetchall())
        self.store_id, self.folded = meta["store_id"], int(meta["folded"])
        self.must_erase = "must_erase" in meta and self.path != MEMORY
        self.last_id = last_id(self._writer)
        self._allowance.forget()

    def rest(self) -> None:
        """Keep little in memory until somebody asks something."""
        if self.path != MEMORY:  # there, the memory is the store
            self._allowance.lower()

    # Reading ---------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor of its own in a read-only transaction, with much memory.

        Raises:
            SQLError: DuckDB refuses what was run on it.
            ClosedError: The file was closed.
        """
        with self._used() as connection, self._allowance.high(), reading(connection) as cursor:
            yield cursor

    @contextmanager
    def working(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor in no transaction, with much memory."""
        with self._used() as connection, self._allowance.high():
            cursor = connection.cursor()
            try:
                yield cursor
            finally:
                cursor.close()

    def ask(self, work: Callable[[duckdb.DuckDBPyConnection], _T]) -> _T:
        """Have a short question of our own asked, which takes little memory as a rule."""
        with self._used() as connection:
            cursor = connection.cursor()
            try:
                return work(cursor)
            except duckdb.OutOfMemoryException:
                self._allowance.raise_for_now()
                return work(cursor)
            finally:
                cursor.close()

    @contextmanager
    def _used(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The connection, while nothing is put in the place of the file."""
        with self._gate:
            self._gate.wait_for(lambda: not self._is_shut)
            connection = self.connection()
            self._readers += 1
        try:
            yield connection
        finally:
            with self._gate:
                self._readers -= 1
                self._gate.notify_all()

    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection that cursors are made from. Raises ClosedError."""
        with self._gate:
            if self._connection is None:
                if self._is_closed:
                    raise errors.ClosedError(f"the store {self.path} is closed: open it again")
                self._open()  # DuckDB gave it up, and it could not be opened again at once
            assert self._connection is not None  # noqa: S101
            return self._connection

    @contextmanager
    def alone(self, seconds: float) -> Iterator[None]:
        """Keep new readers waiting, and wait for those at work.

        Raises:
            StoreBusyError: They did not end in time.
        """
        with self._gate:
            self._is_shut = True
            is_free = self._gate.wait_for(lambda: not self._readers, timeout=seconds)
        try:
            if not is_free:
                raise errors.StoreBusyError(
                    f"{self._readers} queries were still running on {self.path} after "
                    f"{seconds:.0f} s: wait for them to end and try again"
                )
            yield
        finally:
            with self._gate:
                self._is_shut = False
                self._gate.notify_all()

    # Writing ---------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction that is committed at the end; an error leaves the file as it was.

        Raises:
            StoreWriteError: It failed. Commands up to `folded` are in the file nevertheless.
        """
        with write_errors(self.path, kept=True):
            try:
                faults.at("fold.begin")
                self.connection()
                self._writer.begin()
                transaction = Transaction(self._writer, self._appenders)
                yield transaction
                faults.at("fold.commit")
                self._writer.commit()
                faults.at("fold.committed")
            except BaseException as error:
                self._roll_back(error)
                raise

    def _roll_back(self, error: BaseException) -> None:
        for appender in self._appenders.values():
            with suppress(duckdb.Error):  # it may have gone with the connection
                appender.clear()
        with suppress(duckdb.Error):  # DuckDB ends it itself when a commit fails
            self._writer.rollback()
        if isinstance(error, duckdb.OutOfMemoryException):
            self._allowance.raise_for_now()
        if isinstance(error, duckdb.FatalException):
            self.reopen()
        else:
            self._read_folded()

    def _read_folded(self) -> None:
        meta = dict(self._writer.execute("select key, value from store_meta").fetchall())
        self.folded = int(meta["folded"])
        self.must_erase = "must_erase" in meta and self.path != MEMORY

    @property
    def size(self) -> int:
        """How many bytes the file has."""
        try:
            return os.stat(self.path).st_size
        except OSError:
            return 0

    def note_erasure(self) -> None:
        """Say that what was deleted just now must leave the bytes too."""
        self.must_erase = self.path != MEMORY

    @property
    def log_size(self) -> int:
        """How many bytes wait in DuckDB's log to be merged into the file."""
        try:
            return os.stat(self.path + ".wal").st_size
        except OSError:
            return 0

    def checkpoint(self, *, give_back: bool = False) -> None:
        """Merge the log into the file.

        Args:
            give_back: Whether to look for space that deleted rows took, which takes its time.

        Raises:
            StoreWriteError: It could not be; the log keeps everything.
        """
        if self.path == MEMORY:
            return
        faults.at("checkpoint.begin")
        with write_errors(self.path, kept=True):
            try:
                self._writer.execute(
                    "delete from request_rows where created_at < now() - interval 10 minute"
                )
                tasks = VACUUM_TASKS if give_back else 0
                self._writer.execute(f"set global max_vacuum_tasks = {tasks}")
                self._writer.execute("checkpoint")
                if give_back:
                    # Freed blocks at the end of the file go with the checkpoint after that which
                    # freed them, and a checkpoint without a change does nothing.
                    self._writer.execute("update store_meta set value = value where key = 'folded'")
                    self._writer.execute("checkpoint")
            except duckdb.OutOfMemoryException:
                self._allowance.raise_for_now()
                raise
            except duckdb.FatalException:
                self.reopen()
                raise
        secure_log(self.path)
        faults.at("checkpoint.done")

    # Life ------------------------------------------------------------------------------------

    def reopen(self) -> None:
        """Open the file again after an error that made DuckDB give up the connection."""
        self._let_go()
        self._open()

    def replace(self, other: str) -> None:
        """Put another file in the place of this one, and open that. Nobody may be reading.

        Raises:
            StoreWriteError: It could not be done; the file is as it was.
        """
        self.checkpoint()
        faults.at("rewrite.checkpointed")
        self._let_go()
        faults.at("rewrite.closed")
        try:
            with write_errors(self.path, kept=True):
                if self.log_size:
                    raise OSError("the log was not merged into the file")
                with suppress(FileNotFoundError):
                    os.remove(self.path + ".wal")
                os.replace(other, self.path)
                faults.at("rewrite.replaced")
                sync_folder(self.path)
        finally:
            self._open()

    def close(self) -> None:
        """Close the file."""
        self._allowance.end()
        with self._gate:
            self._is_closed = True
            self._let_go()
        if self._is_read_only or self.path == MEMORY:
            return
        if os.path.exists(self.path + ".wal") and not self.log_size:
            with suppress(OSError):
                os.remove(self.path + ".wal")

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._appenders.clear()
            self._writer.close()
            connection.close()

    def abandon(self) -> None:
        """Keep DuckDB's objects from ever being destroyed in a forked child.

        Their end would write to the file, which is the parent's.
        """
        _inherited[self.path] = os.getppid()
        for kept in (self._connection, self._writer, *self._appenders.values()):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))
