"""Folding: acknowledged commands become rows in DuckDB, in the order of the journal.

One thread does it, many commands in one transaction, shortly after they came in, or at once when
somebody waits for it. Between folds it does what the file needs (`duckstore.upkeep`).
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence

import duckdb

from duckstore import errors
from duckstore.breath import Breath
from duckstore.command import Command
from duckstore.committer import IDLE_SECONDS
from duckstore.memory import Slot
from duckstore.sessions import Sessions
from duckstore.stored import StoredSessions
from duckstore.storefile import StoreFile
from duckstore.upkeep import Upkeep

__all__ = ["Folding"]

WAIT_SECONDS = 1.0
"""How long a command waits for others, where nobody asks for it."""
MOST_WAITING = 256
"""So many commands are folded without further waiting."""
MOST_COMMANDS = 512
MOST_BYTES = 4 << 20
"""How much goes into one transaction."""
MOST_BACKLOG = 20_000
MOST_BACKLOG_BYTES = 16 << 20
"""So much may wait before those who add wait too: it is all in memory."""
RETRY_SECONDS = 1.0

_log = logging.getLogger("duckstore")


class Folding:
    """The commands that the file does not have yet, and the thread that writes them."""

    def __init__(self, name: str, file: StoreFile, sessions: Sessions) -> None:
        self._name = name
        self._file = file
        self._sessions = sessions
        self._waiting: deque[tuple[Command, Slot]] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._urgent = 0
        self._attempts = 0
        self._error: Exception | None = None
        self._failed_attempt = 0
        self._is_ended = False
        self._tasks: deque[tuple[Callable[[], None], threading.Event, list[BaseException]]] = (
            deque()
        )
        self.upkeep = Upkeep(file, sessions)

    # What waits ------------------------------------------------------------------------------

    def add(self, commands: Sequence[Command]) -> None:
        """Take acknowledged commands."""
        slots = self._sessions.memory.enqueue(commands)
        with self._changed:
            self._waiting.extend(zip(commands, slots, strict=True))
            self._waiting_bytes += sum(len(command.body) for command in commands)
            if self._thread is None:
                self._start()
            elif len(self._waiting) >= MOST_WAITING:
                self._changed.notify_all()

    @property
    def backlog(self) -> int:
        """How many commands wait."""
        return len(self._waiting)

    def catch_up(self) -> None:
        """Wait until half of what waits is folded, if too much does.

        Raises:
            StoreWriteError: It cannot be written now; the journal keeps it.
        """
        with self._changed:
            if len(self._waiting) <= MOST_BACKLOG and self._waiting_bytes <= MOST_BACKLOG_BYTES:
                return
            number = self._waiting[len(self._waiting) // 2][0].number
        self.fold(number)

    def waiting(self) -> list[Command]:
        """The commands that the file does not have."""
        with self._changed:
            return [command for command, _ in self._waiting]

    def fold(self, number: int) -> None:
        """Wait until the file has everything up to a command.

        Raises:
            StoreWriteError: It cannot be written now; the journal keeps it.
        """
        if self._file.folded >= number:
            return
        with self._changed:
            self._urgent = max(self._urgent, number)
            before = self._attempts
            if self._thread is None:
                self._start()
            self._changed.notify_all()
            while self._file.folded < number:
                # An attempt that had begun before may have failed for what is mended now.
                if self._error is not None and self._failed_attempt > before:
                    raise _again(self._error)
                if self._is_ended and self._thread is None:
                    raise errors.ClosedError(f"the store {self._file.path} is closed")
                self._changed.wait(1.0)

    def wake(self) -> None:
        """Have the thread look for work."""
        with self._changed:
            if self._thread is None:
                self._start()
            self._changed.notify_all()

    def run(self, task: Callable[[], None]) -> None:
        """Have something done between two folds, with everything before it folded."""
        done, failure = threading.Event(), []  # type: ignore[var-annotated]
        with self._changed:
            self._tasks.append((task, done, failure))
            if self._thread is None:
                self._start()
            self._changed.notify_all()
        done.wait()
        if failure:
            raise failure[0]

    def fold_waiting(self) -> None:
        """Fold everything that waits; for what is done between two folds."""
        while self._waiting:
            self._fold_or_try_again()

    # The thread ------------------------------------------------------------------------------

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """End the thread, when it has done what waits; a fold that fails is given up."""
        with self._changed:
            self._is_ended = True
            thread = self._thread
            self._changed.notify_all()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._has_work():
                    self._changed.wait_for(self._has_work, timeout=self._idle_seconds())
                is_idle = not self._has_work() and self.upkeep.seconds_left() is None
                if is_idle or (self._is_ended and not self._waiting and not self._tasks):
                    self._thread = None
                    self._changed.notify_all()
                    return
                self._changed.wait_for(self._is_pressing, timeout=WAIT_SECONDS)
            try:
                while self._waiting and self._fold_or_try_again():
                    self.upkeep.tidy()
            except Exception as error:
                self._fail(error)
                if self._is_ended:
                    self._give_up()
                    return
            self._do_tasks()
            self.upkeep.tidy()

    def _has_work(self) -> bool:
        return bool(self._waiting or self._tasks or self._is_ended or self.upkeep.is_due())

    def _idle_seconds(self) -> float:
        """How long to wait for work."""
        left = self.upkeep.seconds_left()
        return IDLE_SECONDS if left is None else left

    def _is_pressing(self) -> bool:
        return bool(
            self._is_ended
            or self._tasks
            or self._urgent > self._file.folded
            or len(self._waiting) >= MOST_WAITING
        )

    def _is_awaited(self) -> bool:
        """Whether somebody waits, or soon will because too much does."""
        return (
            self._urgent > self._file.folded
            or len(self._waiting) > MOST_BACKLOG // 4
            or self._waiting_bytes > MOST_BACKLOG_BYTES // 4
        )

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, errors.DuckstoreError):
            _log.exception("a command cannot be folded into %s", self._file.path)
        with self._changed:
            self._error, self._failed_attempt = error, self._attempts
            self._urgent = 0
            self._changed.notify_all()
            if not self._is_ended:
                self._changed.wait_for(self._is_pressing, timeout=RETRY_SECONDS)

    def _give_up(self) -> None:
        """End the thread with commands waiting: the journal keeps them for the next opening."""
        self._do_tasks()
        with self._changed:
            self._thread = None
            self._changed.notify_all()

    def _fold_or_try_again(self) -> bool:
        """Fold the next commands, and again where more memory was needed than at rest."""
        try:
            return self._fold_some()
        except errors.StoreWriteError as error:
            if not isinstance(error.__cause__, duckdb.OutOfMemoryException):
                raise
            return self._fold_some()

    def _fold_some(self) -> bool:
        """Fold the next commands. Returns whether there may be more to fold now."""
        with self._changed:
            self._attempts += 1
            batch = self._next_batch()
        try:
            with self._file.transaction() as transaction:
                breath = Breath(is_urgent=self._is_awaited())
                transaction.breath = breath
                stored = StoredSessions(transaction.cursor, transaction.flush)
                for command, slot in batch:
                    if not command.is_applied:
                        with slot.lock:
                            if not command.is_applied:
                                self._sessions.settle_until(slot, command, stored)
                    transaction.add(command)
                    breath.take()
                transaction.finish(batch[-1][0].number)
            self._file.folded = batch[-1][0].number
        finally:
            self._drop_folded()
        with self._changed:
            self._error = None
            self._changed.notify_all()
            return len(self._waiting) >= MOST_WAITING or self._is_pressing()

    def _next_batch(self) -> list[tuple[Command, Slot]]:
        batch: list[tuple[Command, Slot]] = []
        size = 0
        for pair in self._waiting:
            batch.append(pair)
            size += len(pair[0].body)
            if len(batch) >= MOST_COMMANDS or size >= MOST_BYTES:
                break
        return batch

    def _drop_folded(self) -> None:
        """Let go of what the file has: after an error in the commit that may be all of it."""
        done: list[tuple[Command, Slot]] = []
        with self._changed:
            while self._waiting and self._waiting[0][0].number <= self._file.folded:
                done.append(self._waiting.popleft())
                self._waiting_bytes -= len(done[-1][0].body)
        if done:
            self.upkeep.note(
                has_deleted=any(command.statements for command, _ in done),
                erases=any(command.erases for command, _ in done),
            )
            self._sessions.folded(done)

    def _do_tasks(self) -> None:
        while self._tasks:
            task, done, failure = self._tasks.popleft()
            try:
                self.fold_waiting()
                task()
            except BaseException as error:
                failure.append(error)
            done.set()


def _again(error: Exception) -> Exception:
    """What one more who waits for a fold that failed is told."""
    if not isinstance(error, errors.DuckstoreError):
        return errors.StoreWriteError(
            f"what was acknowledged cannot be folded into the database: {error!r}. The journal "
            "beside it keeps everything; please report this"
        )
    return errors.again(error)
