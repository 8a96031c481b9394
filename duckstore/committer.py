"""Group commit: commands that wait are written into the journal together and synced once.

One thread does it, started when there is something to do and ended when there was nothing for a
while, so that a store which is only read has none. Callers hand over a `Ticket` and wait for it,
plainly or in an event loop; a loop that serves many sessions is woken once for all of a group.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from duckstore import errors
from duckstore.command import Command

if TYPE_CHECKING:
    import asyncio  # who has no event loop does not wait for its import

__all__ = ["IDLE_SECONDS", "Committer", "Ticket"]

IDLE_SECONDS = 5.0
"""How long a thread of a store waits for work before it ends."""
MOST_BYTES = 8 << 20
"""A frame of the journal takes no further command once it has so many bytes."""


class Ticket:
    """A command on its way into the journal."""

    __slots__ = ("_done", "_future", "command", "error")

    def __init__(self, command: Command, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.command = command
        self.error: BaseException | None = None
        self._future: asyncio.Future[None] | None = loop.create_future() if loop else None
        self._done = threading.Lock()
        self._done.acquire()

    def wait(self) -> None:
        """Wait until the command is acknowledged.

        Raises:
            StoreWriteError: It was not stored.
        """
        with self._done:
            if self.error is not None:
                raise self.error

    @property
    def future(self) -> asyncio.Future[None]:
        """The same to be awaited in the loop that it was made for."""
        if self._future is None:
            raise RuntimeError("the ticket was made for no event loop")
        return self._future

    def _resolve(self) -> asyncio.Future[None] | None:
        self._done.release()
        return self._future

    def _settle(self) -> None:
        """Tell the awaiting task; runs in its loop."""
        if self._future is not None and not self._future.done():
            if self.error is not None:
                self._future.set_exception(self.error)
            else:
                self._future.set_result(None)


def _settle_all(tickets: list[Ticket]) -> None:
    for ticket in tickets:
        ticket._settle()


class Committer:
    """Takes commands from any thread and commits them in groups, in the order of their arrival."""

    def __init__(self, name: str, commit: Callable[[list[Command]], None]) -> None:
        """Take the function that makes a group durable; what it raises fails the group."""
        self._name = name
        self._commit = commit
        self._queue: SimpleQueue[Ticket] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def submit(self, ticket: Ticket) -> None:
        """Hand over a command. Returns at once."""
        self._queue.put(ticket)
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._start()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def drain(self) -> None:
        """Wait until everything that was handed over so far is done."""
        thread = self._thread
        while thread is not None and thread.is_alive() and not self._queue.empty():
            time.sleep(0.001)

    def _run(self) -> None:
        while True:
            try:
                ticket = self._queue.get(timeout=IDLE_SECONDS)
            except Empty:
                if self._may_end():
                    return
                continue
            self._commit_group(self._group(ticket))

    def _may_end(self) -> bool:
        """End this thread, unless something came in just now."""
        self._thread = None
        if self._queue.empty():
            return True
        with self._lock:
            if self._thread is not None:
                return True  # another one was started for it
            self._thread = threading.current_thread()
            return False

    def _group(self, first: Ticket) -> list[Ticket]:
        group, size = [first], len(first.command.body)
        while size < MOST_BYTES:
            try:
                ticket = self._queue.get_nowait()
            except Empty:
                break
            group.append(ticket)
            size += len(ticket.command.body)
        return group

    def _commit_group(self, group: list[Ticket]) -> None:
        try:
            self._commit([ticket.command for ticket in group])
        except BaseException as error:
            for ticket in group:
                ticket.error = (
                    errors.again(error) if isinstance(error, errors.DuckstoreError) else error
                )
        by_loop: dict[asyncio.AbstractEventLoop, list[Ticket]] = defaultdict(list)
        for ticket in group:
            future = ticket._resolve()
            if future is not None:
                by_loop[future.get_loop()].append(ticket)
        for loop, tickets in by_loop.items():
            try:
                loop.call_soon_threadsafe(_settle_all, tickets)
            except RuntimeError:  # the loop was closed: nobody waits any more
                continue
