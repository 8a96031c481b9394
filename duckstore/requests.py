"""Requests of client processes, each done once.

A client whose owner died before it answered asks the next owner again, with the same number. What
became of the request stands in the journal (an append has no other answer than that) or, once
folded, in `request_rows`. A client asks one thing at a time, so its latest request is enough.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from duckstore import errors
from duckstore.command import Command
from duckstore.storefile import StoreFile

__all__ = ["Requests"]

MOST_CLIENTS = 10_000
"""So many clients are remembered; one that has been quiet for longest is forgotten first."""


@dataclass(slots=True, eq=False)
class _Request:
    number: int
    command: Command | None = None
    stored: str | None = None
    """What it was told, where that is known for good."""
    finished: threading.Event = field(default_factory=threading.Event)


class Requests:
    """The latest request of every client."""

    def __init__(self, file: StoreFile) -> None:
        self._lock = threading.Lock()
        self._latest: OrderedDict[str, _Request] = OrderedDict()
        self._running: dict[Command, _Request] = {}
        rows = file.ask(
            lambda cursor: cursor.execute(
                "select client_id, max(request_number), arg_max(answer, request_number)"
                " from request_rows group by client_id"
            ).fetchall()
        )
        for client, number, answer in rows:
            self._latest[client] = _Request(number, stored=answer)
            self._latest[client].finished.set()

    def remember(self, commands: Iterable[Command]) -> None:
        """Take commands that were read from the journal: they were acknowledged."""
        for command in commands:
            with suppress(errors.StoreError):  # a later one of that client is known
                if self.begin(command) is command:
                    self.done(command)

    def begin(self, command: Command) -> Command | str:
        """Note a request that is about to be done.

        Returns:
            The same command; or, where the request was made before, the command or the stored
            answer of then.

        Raises:
            StoreError: The client has asked something else since.
        """
        if command.request is None:
            return command
        client, number = command.request
        while True:
            with self._lock:
                known = self._latest.get(client)
                if known is not None and known.number > number:
                    raise errors.StoreError(f"request {number} of {client} was given up")
                if known is None or known.number < number:
                    self._running[command] = self._latest[client] = _Request(number, command)
                    self._latest.move_to_end(client)
                    if len(self._latest) > MOST_CLIENTS:
                        self._latest.popitem(last=False)
                    return command
            known.finished.wait()
            if known.stored is not None:
                return known.stored
            if known.command is not None:
                return known.command

    def done(self, command: Command) -> None:
        """Say that a request is acknowledged."""
        if command.request is not None:
            with self._lock:
                known = self._running.pop(command)
            if command.operation == "add":
                # Its items need not be kept for what it is told.
                answer = {"answer": command.first_id, "error": None}
                known.command, known.stored = None, json.dumps(answer)
            known.finished.set()

    def fail(self, command: Command) -> None:
        """Say that a request was not stored: it may be made again."""
        if command.request is not None:
            with self._lock:
                known = self._running.pop(command)
                if self._latest.get(command.request[0]) is known:
                    del self._latest[command.request[0]]
            known.command = None
            known.finished.set()

    @staticmethod
    def answer(first: Command | str, answer_of: Callable[[Command], Any]) -> Any:
        """What the earlier request of that number was told."""
        if isinstance(first, Command):
            return answer_of(first)
        stored = json.loads(first)
        if stored["error"] is not None:
            name, text = stored["error"]
            raise errors.by_name(name, text)
        return stored["answer"]
