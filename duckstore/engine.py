"""The one writer of a store's file, shared by every Store and session of the process.

Every change goes through `_change`: the session's state is brought up to date, a method of
`SessionState` changes it in memory and leaves its rows, and those are written in one transaction.
Acknowledged means that DuckDB has synced its log. When a write fails the transaction is rolled
back and the state is dropped, so that the next use reads what is really in the file.

Reads of a conversation come from memory where the session was used lately (`cache_bytes` bounds
that), analytical reads from a cursor of their own.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import duckdb

from duckstore import errors
from duckstore.branch import Branch
from duckstore.database import connect, write_errors
from duckstore.path import SessionState
from duckstore.restore import last_id, load_path, load_state
from duckstore.schema import TABLES
from duckstore.telemetry import RunObserver

__all__ = ["Engine", "Statement"]

_T = TypeVar("_T")
Statement = tuple[str, list[Any]]

# DuckDB's error where a full disk keeps it from merging its log into the file after a commit. What
# was committed is in the log: to tell the caller that it failed would have it written twice.
_COMMITTED = "FATAL Error: Transaction COMMIT succeeded and is durable"


class Engine:
    """Owns the connection, the ids, and the sessions in memory. All methods are thread-safe."""

    def __init__(
        self,
        path: str,
        *,
        memory_limit: str,
        threads: int,
        cache_bytes: int,
        keep_popped: bool,
    ) -> None:
        self.path = path
        self.keep_popped = keep_popped
        self._settings = (memory_limit, threads)
        self._cache_bytes = cache_bytes
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._states: OrderedDict[str, SessionState] = OrderedDict()
        self._last_moment = datetime.min.replace(tzinfo=UTC)
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._cached_bytes = 0
        self._counted: dict[str, int] = {}
        self.observer = RunObserver()
        self._open()

    @property
    def is_usable(self) -> bool:
        """Whether it is open, and this process is the one that opened it."""
        return self._connection is not None and os.getpid() == self._pid

    # The connection --------------------------------------------------------------------------

    def _open(self) -> None:
        memory_limit, threads = self._settings
        self._connection = connect(self.path, memory_limit=memory_limit, threads=threads)
        self._writer = self._connection.cursor()
        self._appenders = {table: self._writer.appender(table) for table in TABLES}
        self._last_id = last_id(self._writer)
        self._forget_all()

    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection that cursors for reading are made from.

        Raises:
            ClosedError: The store was closed.
            ForkedError: This process is a fork of the one that opened the store.
        """
        if os.getpid() != self._pid:
            raise errors.ForkedError(
                f"{self.path} was opened by the parent process {self._pid}: a forked child shares "
                "its connection and would damage the file. Use the 'spawn' start method"
            )
        with self._lock:
            if self._connection is None:
                raise errors.ClosedError(f"the store {self.path} is closed: open it again")
            return self._connection

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        with self._lock:
            if self._connection is None or os.getpid() != self._pid:
                return
            connection, self._connection = self._connection, None
            self._appenders.clear()
            self._writer.close()
            connection.close()
            self._forget_all()

    # Writing ---------------------------------------------------------------------------------

    def next_id(self) -> int:
        """A new id, higher than all before it."""
        self._last_id += 1
        return self._last_id

    def now(self) -> datetime:
        """The time of a change: never before that of an earlier one, whatever the clock does."""
        self._last_moment = max(self._last_moment, datetime.now(UTC))
        return self._last_moment

    def state(self, session_id: str) -> SessionState:
        """The session's state, from memory or from the file; a fresh one for a new session."""
        state = self._states.get(session_id)
        if state is not None:
            self._states.move_to_end(session_id)
            return state
        self.connection()
        with self._damage(session_id):
            try:
                state = load_state(self._writer, session_id)
            except duckdb.FatalException:
                # DuckDB gave up the connection because of an earlier error, not the file.
                self._reopen()
                state = load_state(self._writer, session_id)
        if state is None:
            state = SessionState.new(self.next_id(), session_id)
        self._states[session_id] = state
        self._trim(state)
        return state

    def _trim(self, state: SessionState) -> None:
        """Count a state anew and forget those not used for longest, down to the bound."""
        size = state.byte_count + 1000  # an empty session takes room as well
        self._cached_bytes += size - self._counted.get(state.session_id, 0)
        self._counted[state.session_id] = size
        while self._cached_bytes > self._cache_bytes and len(self._states) > 1:
            self.forget(next(iter(self._states)))

    def change(
        self,
        session_id: str,
        apply: Callable[[SessionState], _T],
        *,
        statements: Callable[[], list[Statement]] = list,
    ) -> _T:
        """Run `apply` on the session's state and write the rows that it leaves, all or nothing.

        Args:
            session_id: The session to change.
            apply: Changes the state in memory and leaves rows in it.
            statements: Gives further statements for the same transaction. Called after `apply`;
                they run before its rows are appended.
        """
        with self._lock:
            self.connection()
            state = self.state(session_id)
            try:
                result = apply(state)
                with write_errors(self.path):
                    self._write(state, statements())
            except BaseException as error:
                self.forget(session_id)
                if isinstance(error.__cause__, duckdb.FatalException):
                    self._reopen()
                    if str(error.__cause__).startswith(_COMMITTED):
                        return result
                raise
            if session_id in self._states:
                self._trim(state)
            return result

    def _write(self, state: SessionState, statements: list[Statement]) -> None:
        renames: list[Statement] = [
            ("update branch_rows set name = ? where branch_id = ?", [name, branch_id])
            for branch_id, name in state.renamed.items()
        ]
        if not (state.rows or renames or statements):
            return
        self._writer.begin()
        try:
            for sql, values in statements:
                self._writer.execute(sql, values)
            for table, rows in state.rows.items():
                if not rows:
                    continue
                appender = self._appenders[table]
                appender.append_rows(rows)
                appender.flush()
            for sql, values in renames:
                self._writer.execute(sql, values)
            self._writer.commit()
        except BaseException:
            for appender in self._appenders.values():
                appender.clear()
            self._roll_back()
            raise
        state.rows.clear()
        state.renamed.clear()

    def _roll_back(self) -> None:
        try:
            self._writer.rollback()
        except duckdb.Error:
            # The transaction is gone already: DuckDB ended it when the commit failed.
            self._forget_all()

    def _reopen(self) -> None:
        """Open the file again after an error that made DuckDB give up the connection."""
        self.close()
        self._open()

    def forget(self, session_id: str) -> None:
        """Drop a session's state from memory; the next use reads it from the file."""
        with self._lock:
            if self._states.pop(session_id, None) is not None:
                self._cached_bytes -= self._counted.pop(session_id, 0)

    def _forget_all(self) -> None:
        self._states.clear()
        self._counted.clear()
        self._cached_bytes = 0

    # Reading ---------------------------------------------------------------------------------

    @contextmanager
    def session(self, session_id: str) -> Iterator[SessionState]:
        """The session's state while nothing else changes it. For reading only."""
        with self._lock:
            self.connection()
            yield self.state(session_id)

    def go_to(self, state: SessionState, branch: Branch) -> None:
        """Make `branch` the state's current one and read its path. For use inside `change`."""
        state.current = branch
        with self._damage(state.session_id):
            state.set_path(load_path(self._writer, state.session_key, branch))

    @contextmanager
    def _damage(self, session_id: str) -> Iterator[None]:
        """Say of a session that cannot be read what that means."""
        try:
            yield
        except (duckdb.Error, KeyError) as error:
            raise errors.DamagedStoreError(
                f"session {session_id!r} cannot be read from {self.path}: "
                f"{type(error).__name__}: {error}. Run `duckstore check` on a copy of the file"
            ) from error
