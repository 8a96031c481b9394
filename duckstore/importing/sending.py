"""Many commands on their way at a time, so that they share what each of them costs.

Where this process has the store they are handed over one after the other and waited for later.
Another process is asked by a few threads, each with a line of its own. Either way a command is done
before it is answered, and all of them are on disk when `finish` returns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple

from duckstore.access import Access
from duckstore.command import Command
from duckstore.committer import Ticket

__all__ = ["Sending"]

MOST_BYTES = 8 << 20
"""So much is on its way at most. It is all in memory, twice."""
MOST_COMMANDS = 1000
LINES = 4
"""Threads that ask another process."""


class _Sent(NamedTuple):
    command: Command
    result: Ticket | Future[Any]
    size: int
    on_answer: Callable[[Any], None]


class Sending:
    """Sends commands and hands over their answers, in order. A context manager."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._sent: deque[_Sent] = deque()
        self._bytes = 0
        self._has_sent = False
        self._pool: ThreadPoolExecutor | None = None

    def send(self, command: Command, on_answer: Callable[[Any], None]) -> None:
        """Send a command. Answers to earlier ones may be handed over meanwhile.

        Raises:
            StoreWriteError: One could not be stored.
        """
        size = sum(map(len, command.raws))
        while self._sent and (self._bytes + size > MOST_BYTES or len(self._sent) >= MOST_COMMANDS):
            self._take_answer()
        result = self._access.submit(command) or self._ask(command)
        self._has_sent = True
        self._bytes += size
        self._sent.append(_Sent(command, result, size, on_answer))

    def _ask(self, command: Command) -> Future[Any]:
        # Two of one session keep their order.
        while any(sent.command.session_id == command.session_id for sent in self._sent):
            self._take_answer()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(LINES, "duckstore import")
        return self._pool.submit(self._access.run, command)

    def _take_answer(self) -> None:
        sent = self._sent.popleft()
        self._bytes -= sent.size
        sent.on_answer(self._wait(sent.result))

    def _wait(self, result: Ticket | Future[Any]) -> Any:
        return self._access.answer(result) if isinstance(result, Ticket) else result.result()

    def wait(self) -> None:
        """Wait for every answer.

        Raises:
            StoreWriteError: A command could not be stored.
        """
        while self._sent:
            self._take_answer()

    def finish(self) -> None:
        """Wait for every answer, and until everything is on disk.

        Raises:
            StoreWriteError: Something could not be stored.
        """
        self.wait()
        if self._has_sent:
            # Who asks in SQL sees what is in the database: that is synced with every fold.
            self._access.rows("select 1")

    def __enter__(self) -> Sending:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let nothing be on its way any more, also after an error."""
        while self._sent:
            with suppress(Exception):
                self._wait(self._sent.popleft().result)
        if self._pool is not None:
            self._pool.shutdown()
