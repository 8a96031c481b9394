"""The one owner of a store's file, shared by every Store and session of the process.

A change is a `Command`. It is acknowledged when the journal has it; then it waits for two things,
in any order: to be applied to its session in memory, by whoever reads that session next, and to be
folded into DuckDB, by a thread of the store. Both happen in the order of the journal. A question in
SQL first has everything folded that was acknowledged before it.

So an agent that adds items waits for one sync of a small file and nothing else, and what costs
time (describing items, pairing calls, DuckDB's commit) is done while its model is thinking.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import duckdb

from duckstore import errors, faults
from duckstore.admission import check
from duckstore.command import Command
from duckstore.committer import Committer, Ticket
from duckstore.database import MEMORY
from duckstore.failures import write_errors
from duckstore.folding import Folding
from duckstore.journal import Journal, journal_path
from duckstore.opening import open_files, open_for_reading
from duckstore.requests import Requests
from duckstore.session_index import Place
from duckstore.sessions import Sessions, Texts
from duckstore.tree import SessionState

if TYPE_CHECKING:
    import asyncio

__all__ = ["Engine"]


class Engine:
    """Owns the file, the journal and the sessions in memory. All methods are thread-safe."""

    def __init__(
        self,
        path: str,
        *,
        memory_limit: str,
        threads: int,
        cache_bytes: int,
        read_only: bool = False,
    ) -> None:
        """Open the store at `path`, and bring in what a crash left in its journal.

        Raises:
            StoreError: It cannot be opened; see `duckstore.errors`.
        """
        self.path = path
        self._pid = os.getpid()
        self._journal: Journal | None = None
        left: list[Command] = []
        if read_only:
            self._file = open_for_reading(path, memory_limit=memory_limit, threads=threads)
        else:
            self._file, self._journal, left = open_files(
                path, memory_limit=memory_limit, threads=threads
            )
        self.sessions = Sessions(self._file, cache_bytes)
        self._requests = Requests(self._file)
        self._folding = Folding(f"duckstore fold {path}", self._file, self.sessions)
        self._committer = Committer(f"duckstore commit {path}", self._commit)
        self._journal_lock = threading.Lock()
        self._number = max([self._file.folded, *(c.number for c in left)])
        self._next_id = 1 + max([self._file.last_id, *(c.first_id + c.id_count - 1 for c in left)])
        self._moment = max([0, *(c.created_us for c in left)])
        self._is_closed = False
        self._reservations: set[tuple[int, int, int]] = set()
        self._folding.upkeep.cut = self._cut
        self.sessions.on_index_wanted = self._folding.wake
        self._folding.upkeep.journal_size = lambda: self._journal.end if self._journal else 0
        self._requests.remember(left)
        self._file.rest()
        if left:
            self._folding.add(left)
        elif self._file.must_erase and not read_only:
            self._folding.wake()

    @property
    def is_usable(self) -> bool:
        """Whether it is open, and this process is the one that opened it."""
        return not self._is_closed and os.getpid() == self._pid

    def check_usable(self) -> None:
        """Raise what keeps it from being used.

        Raises:
            ClosedError: The store was closed.
            ForkedError: This process is a fork of the one that opened the store.
        """
        if os.getpid() != self._pid:
            raise errors.ForkedError(
                f"{self.path} was opened by the parent process {self._pid}: a forked child cannot "
                "use it. Open it in the child, or use the 'spawn' start method"
            )
        if self._is_closed:
            raise errors.ClosedError(f"the store {self.path} is closed: open it again")

    @property
    def inode(self) -> int:
        """Tells the open file from one that was put in its place."""
        return self._file.inode

    # Writing ---------------------------------------------------------------------------------

    def submit(self, command: Command, loop: asyncio.AbstractEventLoop | None = None) -> Ticket:
        """Begin a change. Returns at once; the ticket tells when it is acknowledged."""
        self.check_usable()
        check(command)
        command.encode()
        ticket = Ticket(command, loop)
        self._committer.submit(ticket)
        return ticket

    def run(self, command: Command) -> Any:
        """Do a change and wait until it is acknowledged.

        Returns:
            The operation's answer; for an append the first of its ids.

        Raises:
            StoreWriteError: It failed; nothing was stored.
            DuckstoreError: What the operation says against it.
        """
        first = self._requests.begin(command)
        if first is not command:
            return self._requests.answer(first, self.answer)
        try:
            self.submit(command).wait()
        except BaseException:
            self._requests.fail(command)
            raise
        self._requests.done(command)
        return self.answer(command)

    def answer(self, command: Command) -> Any:
        """What an acknowledged command led to."""
        if command.operation == "add":
            return command.first_id
        while not command.is_applied:
            with self.sessions.state(command.session_id) as found:
                if not isinstance(found, Command):
                    continue
            self._folding.fold(found.number)
        if command.error is not None:
            raise command.error
        return command.answer

    def change(self, work: Callable[[duckdb.DuckDBPyConnection], None]) -> None:
        """Write what belongs to no session, in one transaction between two folds.

        The journal does not have it, so that DuckDB's log is merged into the file at once: one that
        cannot be read after a crash is put aside. Where the questions at work do not let it be, it
        is merged some seconds later.

        Raises:
            StoreWriteError: It failed; nothing was changed.
        """
        self.check_usable()

        def change() -> None:
            with self._file.transaction() as transaction:
                work(transaction.cursor)
            try:
                self._folding.upkeep.merge()
            except (errors.DuckstoreError, duckdb.Error, OSError):
                self._folding.upkeep.note(has_deleted=True, erases=False)

        self._folding.run(change)

    def adopt(
        self,
        write: Callable[[duckdb.DuckDBPyConnection, int], dict[str, Place]],
        ids: tuple[int, int],
        shift: int | None,
        replaced: Sequence[str],
        *,
        merge: bool,
    ) -> int:
        """Write whole sessions with ids of their own, while nothing is acknowledged.

        Args:
            write: Writes them, given how far their ids are to be moved; returns where they lie.
            ids: The first and the last id that they have.
            shift: How far others of the same ids were moved by an earlier call.
            replaced: Sessions that go.
            merge: Whether to merge DuckDB's log into the file afterwards.

        Returns:
            How far the ids were moved.

        Raises:
            StoreWriteError: It failed; nothing was changed.
        """
        self.check_usable()
        moved = 0

        def adopt() -> None:
            nonlocal moved
            with self._journal_lock:
                self._folding.fold_waiting()
                moved, next_id = self._reserved(ids, shift)
                # Much is joined here: that takes the memory that a question may take.
                with self._file.working(), self._file.transaction() as transaction:
                    places = write(transaction.cursor, moved)
                self._next_id = next_id
                self._reservations.add((*ids, moved))
                self.sessions.placed(dict.fromkeys(replaced) | places)
            self._folding.upkeep.note(has_deleted=bool(replaced), erases=False)
            if merge:
                with suppress(errors.DuckstoreError, duckdb.Error, OSError):
                    self._folding.upkeep.merge()

        self._folding.run(adopt)
        return moved

    def _reserved(self, ids: tuple[int, int], shift: int | None) -> tuple[int, int]:
        """How far ids are to be moved, and the next id that is free then."""
        if shift is not None and (*ids, shift) in self._reservations:
            return shift, self._next_id
        moved = max(0, self._next_id - ids[0])
        return moved, ids[1] + moved + 1

    def _commit(self, commands: list[Command]) -> None:
        """Write a group into the journal; called by the committer's thread."""
        with suppress(errors.DuckstoreError):  # those who ask in SQL are told
            self._folding.catch_up()
        with self._journal_lock:  # while it is being cut it is not sound for a moment
            is_sound = self._journal is None or self._journal.is_sound
        if not is_sound:
            self._renew_journal()
        with self._journal_lock:
            self.check_usable()
            self._begin_journal()
            number, next_id = self._number, self._next_id
            moment = max(self._moment + 1, time.time_ns() // 1000)
            records = []
            for command in commands:
                # No two changes have the same moment: a past state can be told by its time.
                number, moment = number + 1, moment + 1
                records.append(command.place(number, next_id, moment))
                next_id += command.id_count
            if self._journal is not None:
                with write_errors(self.path):
                    self._journal.append(
                        commands[0].number, records, sync=any(c.sync for c in commands)
                    )
                faults.at("journal.synced")
            self._number, self._next_id, self._moment = number, next_id, moment
            self._folding.add(commands)

    def _renew_journal(self) -> None:
        """Make the journal anew after a failed sync: what its file holds is not known."""
        try:
            self._folding.run(self._folding.upkeep.merge)
        except errors.StoreError as error:
            raise errors.StoreWriteError(
                f"the journal of {self.path} cannot be made anew after a failed sync: {error}. "
                "Nothing of this call was stored; correct the cause and repeat it"
            ) from error

    def _begin_journal(self) -> None:
        """Make the journal when there is something to write: who only asks leaves no file."""
        if self._journal is None and self.path != MEMORY:
            with write_errors(self.path):
                self._journal = Journal.create(
                    journal_path(self.path), self._file.store_id, self._number + 1, []
                )

    def _cut(self) -> None:
        """Drop from the journal what the file has."""
        if self._journal is None:
            return
        with self._journal_lock:
            waiting = self._folding.waiting()
            number = waiting[0].number if waiting else self._number + 1
            if number > self._file.folded + 1:
                raise errors.StoreError("the journal would lose what the file does not have")
            with write_errors(self.path, kept=True):
                self._journal.cut(number, [command.record for command in waiting])

    # Reading ---------------------------------------------------------------------------------

    def texts_now(self, session_id: str, limit: int | None) -> Texts | None:
        """The latest raw items of a session's path, if nothing has to be waited for."""
        self.check_usable()
        return self.sessions.texts_now(session_id, limit)

    def texts(self, session_id: str, limit: int | None) -> Texts:
        """The latest raw items of a session's path, in order."""
        while True:
            self.check_usable()
            found = self.sessions.texts(session_id, limit)
            if isinstance(found, Texts):
                return found
            self._folding.fold(found.number)

    @contextmanager
    def session(self, session_id: str) -> Iterator[SessionState]:
        """The session's state while nothing else changes it. For reading only."""
        while True:
            self.check_usable()
            with self.sessions.state(session_id) as found:
                if isinstance(found, SessionState):
                    yield found
                    return
            self._folding.fold(found.number)

    def fold(self) -> None:
        """Have the file hold everything that was acknowledged so far.

        Raises:
            StoreWriteError: It cannot be written now; the journal keeps it.
        """
        self.check_usable()
        self._folding.fold(self._number)

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor on one consistent state that holds everything acknowledged so far.

        Raises:
            SQLError: DuckDB refuses what was run on it.
        """
        self.fold()
        with self._file.reading() as cursor:
            yield cursor

    @contextmanager
    def snapshot(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor that sees everything acknowledged so far and is in no transaction yet."""
        self.fold()
        with self._file.working() as cursor:
            yield cursor

    def rewrite(self) -> None:
        """Write the file anew, between two folds: without what was deleted.

        Raises:
            StoreBusyError: Queries did not end in time.
            StoreWriteError: The copy could not be made; the file is as it was.
        """
        self.check_usable()
        self._folding.run(self._folding.upkeep.rewrite)

    def forget(self, session_id: str) -> None:
        """Drop a session from memory; the next use reads it from the file."""
        self.fold()
        self.sessions.memory.forget(session_id)

    # Life ------------------------------------------------------------------------------------

    def close(self) -> None:
        """Fold everything and close the file. A second call does nothing.

        What cannot be folded stays in the journal for the next opening.
        """
        if self._is_closed or os.getpid() != self._pid:
            return
        self._committer.drain()
        with self._journal_lock:
            if self._is_closed:
                return
            self._is_closed = True
        faults.at("close.begin")
        self._folding.end()
        is_whole = self._file.folded == self._number
        if is_whole:
            self._folding.upkeep.erase_at_end()
        self._file.close()
        faults.at("close.closed")
        if self._journal is not None:
            self._journal.close()
            if is_whole and not self._file.log_size:
                faults.at("journal.remove")
                with suppress(OSError):
                    os.remove(journal_path(self.path))

    def abandon(self) -> None:
        """Let go in a forked child of what is the parent's."""
        if self._journal is not None:
            self._journal.close()
        self._file.abandon()
