"""The owner of a store serves other processes of the same user over a local socket.

One thread waits for clients, and each client has a thread of its own, so that a long question of
one holds up nobody else. A client that says something else than it should is let go of; nothing
that it sends can do more than what `Store` and `DuckDBSession` do.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import (
    Connection,
    Listener,
    answer_challenge,
    deliver_challenge,
)
from typing import Any, TypeVar

import duckdb

from duckstore import errors, wire
from duckstore.command import Command
from duckstore.engine import Engine
from duckstore.frames import statement_of, write_stream
from duckstore.operations import OPERATIONS
from duckstore.ownership import Ownership
from duckstore.rows import fetch
from duckstore.service import TASKS, tail

__all__ = ["Server"]

_T = TypeVar("_T")
_Answer = tuple[bytes, Any, bytes]
_log = logging.getLogger("duckstore")

BEAT_SECONDS = 1.0
"""How often a client is told that its request is being worked on."""
GREETING_SECONDS = 10.0
"""How long a client may take to prove that it knows the key."""
CHUNK_BYTES = 1 << 20


class Server:
    """Listens for clients of a store until it is stopped."""

    def __init__(self, engine: Engine, ownership: Ownership) -> None:
        """Begin to listen, and publish where.

        Raises:
            StorePathError: No socket can be made.
        """
        self._engine = engine
        self._key = ownership.key
        self._clients: set[Connection] = set()
        self._busy: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._is_stopped = False
        address = ownership.address()
        if sys.platform != "win32":
            with suppress(FileNotFoundError):
                os.unlink(address)  # of an owner that was killed: nobody listens there
        try:
            family = "AF_PIPE" if sys.platform == "win32" else "AF_UNIX"
            self._listener = Listener(address, family, backlog=128)
        except OSError as error:
            raise errors.StorePathError(
                f"no socket can be made at {address}: {error}. Open the store with exclusive=True "
                "to do without"
            ) from error
        if sys.platform != "win32":
            os.chmod(address, 0o600)
        self._address = address
        ownership.publish(address)
        name = f"duckstore serve {engine.path}"
        threading.Thread(target=self._listen, name=name, daemon=True).start()

    def stop(self) -> None:
        """Let no one in any more, finish what is being done, and let go of all clients."""
        with self._lock:
            self._is_stopped = True
            waiting, busy = list(self._clients), set(self._busy)
        self._wake()
        with suppress(OSError):
            self._listener.close()  # and its file
        for thread in busy:
            thread.join(timeout=GREETING_SECONDS)
        for client in waiting:
            _hang_up(client)

    def abandon(self) -> None:
        """Let go of all sockets in a forked child: clients would take it for their owner."""
        for client in list(self._clients):
            client.close()
        listening = getattr(getattr(self._listener, "_listener", None), "_socket", None)
        if listening is not None:
            listening.close()

    def _wake(self) -> None:
        """Have the listening thread look up: closing its socket does not wake it."""
        if sys.platform == "win32":
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX) as line:
            line.settimeout(1.0)
            line.connect(self._address)

    def _listen(self) -> None:
        while not self._is_stopped:
            try:
                client = self._listener.accept()
            except (OSError, EOFError):
                if self._is_stopped:
                    return
                continue
            with self._lock:
                if self._is_stopped:
                    client.close()
                    return
                self._clients.add(client)
            threading.Thread(
                target=self._serve, args=(client,), name="duckstore client", daemon=True
            ).start()

    def _serve(self, client: Connection) -> None:
        """Answer one client until it goes."""
        try:
            if self._greet(client):
                while not self._is_stopped:
                    request = wire.receive(client)
                    with self._lock:
                        if self._is_stopped:
                            return  # the next owner will be asked
                        self._busy.add(threading.current_thread())
                    try:
                        self._answer(client, request)
                    finally:
                        self._busy.discard(threading.current_thread())
        except (EOFError, OSError, ValueError, TypeError, KeyError, AuthenticationError):
            _log.debug("a client of %s is gone", self._engine.path, exc_info=True)
        finally:
            with self._lock:
                self._clients.discard(client)
            client.close()

    def _greet(self, client: Connection) -> bool:
        """Whether both sides know the key. Whoever says nothing is let go of after a while."""
        timer = threading.Timer(GREETING_SECONDS, _hang_up, (client,))
        timer.daemon = True
        timer.start()
        try:
            deliver_challenge(client, self._key)
            answer_challenge(client, self._key)
        finally:
            timer.cancel()
        told = {"version": wire.VERSION, "process_id": os.getpid(), "inode": self._engine.inode}
        wire.send(client, wire.ANSWER, told)
        return True

    def _answer(self, client: Connection, request: wire.Message) -> None:
        try:
            asked = request.head
            kind, answer, body = self._ANSWERS[asked["do"]](self, client, asked, request.body)
        except errors.DuckstoreError as error:
            wire.send(client, wire.ERROR, [type(error).__name__, str(error)])
        except Exception as error:  # whatever it is, the client is told and others are served
            _log.exception("a client's request of %s failed", self._engine.path)
            text = f"process {os.getpid()} could not do it: {error!r}"
            wire.send(client, wire.ERROR, ["DuckstoreError", text])
        else:
            wire.send(client, kind, answer, body)

    # What can be asked for -------------------------------------------------------------------

    def _run(self, client: Connection, asked: Any, body: bytes) -> _Answer:
        command = Command.from_body(body, sync=asked["sync"])
        if command.operation not in OPERATIONS:
            raise ValueError(f"no operation is named {command.operation!r}")
        return wire.ANSWER, self._engine.run(command), b""

    def _texts(self, client: Connection, asked: Any, body: bytes) -> _Answer:
        found = self._engine.texts(asked["session_id"], asked["limit"])
        return wire.ANSWER, [len(found.raws), found.is_exact], wire.join_texts(found.raws)

    def _tail(self, client: Connection, asked: Any, body: bytes) -> _Answer:
        found = tail(self._engine, asked["session_id"], asked["limit"])
        return wire.ANSWER, [found.item_ids, found.is_complete], wire.join_texts(found.raws)

    def _rows(self, client: Connection, asked: Any, body: bytes) -> _Answer:
        if asked["is_foreign"]:
            statement_of(asked["sql"])
        found = fetch(
            self._engine, asked["sql"], wire.unpack(asked["parameters"]), self._attend(client)
        )
        return wire.ANSWER, [found.columns, found.types, wire.pack(found.rows)], b""

    def _frame(self, client: Connection, asked: Any, body: bytes) -> _Answer:
        sink = _Chunks(client)
        parameters = wire.unpack(asked["parameters"])
        write_stream(self._engine, asked["sql"], parameters, self._attend(client), sink)
        sink.flush()
        return wire.END, None, b""

    def _task(self, client: Connection, asked: Any, body: bytes) -> _Answer:
        work = TASKS[asked["task"]]
        answer = _attended(client, None, lambda: work(self._engine, *asked["arguments"]))
        return wire.ANSWER, answer, b""

    _ANSWERS: dict[str, Callable[..., _Answer]] = {  # noqa: RUF012
        "run": _run,
        "texts": _texts,
        "tail": _tail,
        "rows": _rows,
        "frame": _frame,
        "task": _task,
    }

    def _attend(self, client: Connection) -> Callable[..., Any]:
        return lambda cursor, work: _attended(client, cursor, work)


def _attended(
    client: Connection, cursor: duckdb.DuckDBPyConnection | None, work: Callable[[], _T]
) -> _T:
    """Do the work, tell the client meanwhile that it goes on, and stop if the client is gone."""
    with ThreadPoolExecutor(1) as worker:
        result = worker.submit(work)
        while not wait([result], timeout=BEAT_SECONDS).done:
            try:
                wire.send(client, wire.WORKING)
            except OSError:
                while cursor is not None and not result.done():
                    cursor.interrupt()
                    wait([result], timeout=0.05)
                raise
        return result.result()


class _Chunks:
    """A file-like object whose bytes go to a client."""

    closed = False

    def __init__(self, client: Connection) -> None:
        self._client = client
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: Any) -> int:
        """Keep bytes until there are enough for a message."""
        part = bytes(data)
        self._parts.append(part)
        self._size += len(part)
        if self._size >= CHUNK_BYTES:
            self.flush()
        return len(part)

    def flush(self) -> None:
        """Send what was kept."""
        if self._parts:
            wire.send(self._client, wire.CHUNK, None, b"".join(self._parts))
            self._parts, self._size = [], 0

    def close(self) -> None:
        """Nothing is to be closed: the client stays."""


def _hang_up(client: Connection) -> None:
    """End a connection that another thread may be waiting on."""
    if sys.platform == "win32":
        client.close()
        return
    with suppress(OSError, ValueError):
        end = socket.socket(fileno=os.dup(client.fileno()))
        with end:
            end.shutdown(socket.SHUT_RDWR)
