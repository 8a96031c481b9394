"""The owner of a store serves other processes of the same user over a local socket.

One thread waits for clients, and each client has a thread of its own, so that a long question of
one holds up nobody else. Another one tells those whose answer takes time that it is being worked
on, and stops the questions of those who have gone. A client that says something else than it should
is let go of; nothing that it sends can do more than what `Store` and `DuckDBSession` do.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from multiprocessing import AuthenticationError
from multiprocessing.connection import answer_challenge, deliver_challenge
from typing import Any

from duckstore import errors, wire
from duckstore.command import Command
from duckstore.engine import Engine
from duckstore.frames import statement_of
from duckstore.guest import Guest, close_door, let_in, open_door
from duckstore.lookback import texts_elsewhere
from duckstore.operations import OPERATIONS
from duckstore.ownership import Ownership, file_inode
from duckstore.rows import fetch
from duckstore.service import TASKS, tail
from duckstore.streams import write_stream

__all__ = ["Server"]

_Answer = tuple[bytes, Any, bytes]
_log = logging.getLogger("duckstore")

BEAT_SECONDS = 0.2
"""How often a client is told that its request is being worked on."""
GREETING_SECONDS = 10.0
"""How long a client may take to prove that it knows the key."""
STOP_SECONDS = 10.0
"""How long the last requests of clients are waited for."""
REPLACE_SECONDS = 0.5
"""How long a rewritten file may take to be open again in the place of the old one."""
CHUNK_BYTES = 1 << 20
QUESTIONS = ("rows", "frame")
"""Requests that are given up where the owner ends: the next one is asked again."""


class Server:
    """Listens for clients of a store until it is stopped."""

    def __init__(self, engine: Engine, ownership: Ownership) -> None:
        """Begin to listen, and publish where.

        Raises:
            StorePathError: No socket can be made.
        """
        self._engine = engine
        self._key = ownership.key
        self._guests: set[Guest] = set()
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._address = ownership.address()
        try:
            self._door = open_door(self._address)
        except OSError as error:
            raise errors.StorePathError(
                f"no socket can be made at {self._address}: {error}. Open the store with "
                "exclusive=True to do without"
            ) from error
        ownership.publish(self._address)
        for work, name in ((self._listen, "serve"), (self._watch, "watch")):
            threading.Thread(
                target=work, name=f"duckstore {name} {engine.path}", daemon=True
            ).start()

    def stop(self) -> None:
        """Let no one in any more, finish changes that were begun, and let go of all clients."""
        with self._changed:
            self._stopping.set()
            guests = list(self._guests)
            self._changed.notify_all()
        close_door(self._door, self._address)
        for guest in guests:
            if guest.asked is None or guest.asked in QUESTIONS:
                guest.hang_up()
        deadline = time.monotonic() + STOP_SECONDS
        with self._changed:
            while any(guest.asked for guest in guests) and time.monotonic() < deadline:
                for guest in guests:
                    if guest.asked in QUESTIONS:
                        guest.interrupt()
                self._changed.wait(0.02)
        for guest in guests:
            guest.hang_up()

    def abandon(self) -> None:
        """Let go of all sockets in a forked child: clients would take it for their owner."""
        for guest in list(self._guests):
            guest.line.close()
        self._door.close()

    def _listen(self) -> None:
        while not self._stopping.is_set():
            try:
                guest = Guest(let_in(self._door))
            except (OSError, EOFError):
                self._stopping.wait(0.05)  # perhaps there are too many open files
                continue
            with self._changed:
                if self._stopping.is_set():
                    guest.close()
                    return
                self._guests.add(guest)
                self._changed.notify_all()
            try:
                threading.Thread(
                    target=self._serve, args=(guest,), name="duckstore client", daemon=True
                ).start()
            except RuntimeError:  # the process ends, or has too many threads
                self._forget(guest)

    def _watch(self) -> None:
        """Give signs of life, and let go of those who say nothing."""
        while not self._stopping.wait(BEAT_SECONDS):
            with self._changed:
                self._changed.wait_for(lambda: self._guests or self._stopping.is_set())
                guests = list(self._guests)
            latest = time.monotonic() - GREETING_SECONDS
            for guest in guests:
                if guest.asked is not None:
                    guest.beat()
                elif not guest.is_greeted and guest.came_at < latest:
                    guest.hang_up()

    def _forget(self, guest: Guest) -> None:
        with self._changed:
            self._guests.discard(guest)
        guest.close()

    def _serve(self, guest: Guest) -> None:
        """Answer one client until it goes."""
        try:
            self._greet(guest)
            while True:
                request = wire.receive(guest.line)
                with self._changed:
                    if self._stopping.is_set():
                        return  # the next owner will be asked
                    guest.asked = str(request.head["do"])
                try:
                    if guest.is_gone():
                        return  # it gave up while this process was stopped
                    self._answer(guest, request)
                finally:
                    guest.asked = None
        except (EOFError, OSError, ValueError, TypeError, KeyError, AuthenticationError):
            _log.debug("a client of %s is gone", self._engine.path, exc_info=True)
        finally:
            self._forget(guest)

    def _greet(self, guest: Guest) -> None:
        """Have both sides prove that they know the key."""
        deliver_challenge(guest.line, self._key)
        answer_challenge(guest.line, self._key)
        guest.is_greeted = True
        told = {"version": wire.VERSION, "process_id": os.getpid(), "inode": self._inode()}
        guest.send(wire.ANSWER, told)

    def _inode(self) -> int:
        """What the open file is known by; waits a little where it is being replaced just now."""
        deadline = time.monotonic() + REPLACE_SECONDS
        while self._engine.inode != file_inode(self._engine.path) and time.monotonic() < deadline:
            time.sleep(0.01)
        return self._engine.inode

    def _answer(self, guest: Guest, request: wire.Message) -> None:
        try:
            asked = request.head
            kind, answer, body = self._ANSWERS[asked["do"]](self, guest, asked, request.body)
        except (errors.ClosedError, errors.ForkedError) as error:
            # It is this process that has closed the store: the next owner will be asked.
            raise ConnectionAbortedError from error
        except errors.DuckstoreError as error:
            guest.send(wire.ERROR, [type(error).__name__, str(error)])
        except Exception as error:  # whatever it is, the client is told and others are served
            if guest.is_gone() or self._stopping.is_set() or "at interpreter shut" in str(error):
                raise ConnectionAbortedError from error
            _log.exception("a client's request of %s failed", self._engine.path)
            text = f"process {os.getpid()} could not do it: {error!r}"
            guest.send(wire.ERROR, ["DuckstoreError", text])
        else:
            guest.send(kind, answer, body)

    # What can be asked for -------------------------------------------------------------------

    def _run(self, guest: Guest, asked: Any, body: bytes) -> _Answer:
        command = Command.from_body(body, sync=asked["sync"])
        if command.operation not in OPERATIONS:
            raise ValueError(f"no operation is named {command.operation!r}")
        return wire.ANSWER, self._engine.run(command), b""

    def _texts(self, guest: Guest, asked: Any, body: bytes) -> _Answer:
        session_id, limit, where = asked["session_id"], asked["limit"], asked.get("where")
        if where is None:
            found = self._engine.texts(session_id, limit)
        else:
            found = texts_elsewhere(self._engine, session_id, limit, where)
        head = [len(found.raws), found.is_exact, found.course]
        return wire.ANSWER, head, wire.join_texts(found.raws)

    def _tail(self, guest: Guest, asked: Any, body: bytes) -> _Answer:
        found = tail(self._engine, asked["session_id"], asked["limit"])
        return wire.ANSWER, [found.item_ids, found.is_complete], wire.join_texts(found.raws)

    def _rows(self, guest: Guest, asked: Any, body: bytes) -> _Answer:
        if asked["is_foreign"]:
            statement_of(asked["sql"])
        found = fetch(self._engine, asked["sql"], wire.unpack(asked["parameters"]), guest.attend)
        return wire.ANSWER, [found.columns, found.types, wire.pack(found.rows)], b""

    def _frame(self, guest: Guest, asked: Any, body: bytes) -> _Answer:
        sink = _Chunks(guest)
        parameters = wire.unpack(asked["parameters"])
        is_small = bool(asked.get("is_small"))
        write_stream(self._engine, asked["sql"], parameters, guest.attend, sink, is_small=is_small)
        sink.flush()
        return wire.END, None, b""

    def _task(self, guest: Guest, asked: Any, body: bytes) -> _Answer:
        work = TASKS[asked["task"]]
        return wire.ANSWER, work(self._engine, *asked["arguments"]), b""

    _ANSWERS: dict[str, Callable[..., _Answer]] = {  # noqa: RUF012
        "run": _run,
        "texts": _texts,
        "tail": _tail,
        "rows": _rows,
        "frame": _frame,
        "task": _task,
    }


class _Chunks:
    """A file-like object whose bytes go to a client."""

    closed = False

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: Any) -> int:
        """Keep bytes until there are enough for a message."""
        view = memoryview(data).cast("B")
        for start in range(0, len(view), CHUNK_BYTES):
            part = bytes(view[start : start + CHUNK_BYTES])
            self._parts.append(part)
            self._size += len(part)
            if self._size >= CHUNK_BYTES:
                self.flush()
        return len(view)

    def flush(self) -> None:
        """Send what was kept."""
        if self._parts:
            self._guest.send(wire.CHUNK, None, b"".join(self._parts))
            self._parts, self._size = [], 0

    def close(self) -> None:
        """Nothing is to be closed: the client stays."""
