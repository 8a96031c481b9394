"""A client as the owner of a store sees it: its connection, and the door that it came by.

A client may be stopped, killed or gone home at any moment, and nothing of the owner may wait for it
for long: what is sent to it is bounded in time, and whether it is still there can be asked.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, Listener
from typing import Any

import duckdb

from duckstore import wire

__all__ = ["Guest", "close_door", "let_in", "open_door"]

_log = logging.getLogger("duckstore")

SEND_SECONDS = 60.0
"""How long a client may take to accept a part of its answer."""


class Guest:
    """A client, and what it waits for."""

    def __init__(self, line: Connection) -> None:
        self.line = line
        self.came_at = time.monotonic()
        self.is_greeted = False
        self.asked: str | None = None
        self._cursor: duckdb.DuckDBPyConnection | None = None
        self._sending = threading.Lock()
        self._ending = threading.Lock()

    def send(self, kind: bytes, head: Any = None, body: bytes = b"") -> None:
        """Send it a message; what fails here ends the connection."""
        try:
            with self._sending:
                wire.send(self.line, kind, head, body)
        except OSError:
            self.hang_up()
            raise

    def is_gone(self) -> bool:
        """Whether nobody waits at the other end any more."""
        try:
            return bool(_events(self.line) & HUNG_UP)
        except OSError:
            return True

    def beat(self) -> None:
        """Say that its request is being worked on; stop its question where it is gone."""
        if self.is_gone():
            self.interrupt()
        elif self._sending.acquire(blocking=False):  # otherwise its answer is on the way
            try:
                if _events(self.line) & WRITABLE:
                    wire.send(self.line, wire.WORKING)
            except OSError:
                _log.debug("a client went while its request was worked on", exc_info=True)
            finally:
                self._sending.release()

    def attend(self, cursor: duckdb.DuckDBPyConnection, work: Callable[[], Any]) -> Any:
        """Do some work of a cursor that may be stopped meanwhile."""
        self._cursor = cursor
        try:
            return work()
        finally:
            self._cursor = None

    def interrupt(self) -> None:
        """Stop its question, if it has begun."""
        cursor = self._cursor
        if cursor is not None:
            with suppress(duckdb.Error):  # it ended just now
                cursor.interrupt()

    def hang_up(self) -> None:
        """End the connection, on which a thread may be waiting."""
        with self._ending, suppress(OSError, ValueError):
            if sys.platform == "win32":
                self.line.close()
            else:
                with socket.socket(fileno=os.dup(self.line.fileno())) as end:
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connection, when no thread uses it any more."""
        with self._ending:
            self.line.close()


if sys.platform == "win32":
    HUNG_UP, WRITABLE = 1, 2

    def _events(line: Connection) -> int:
        return WRITABLE

    def open_door(address: str) -> Listener:
        """A pipe that clients of the same user can connect to."""
        return Listener(address, "AF_PIPE")

    def let_in(door: Listener) -> Connection:
        """Wait for the next client."""
        return door.accept()

    def close_door(door: Listener, address: str) -> None:
        """Let no more clients in."""
        with suppress(OSError):
            door.close()

else:
    HUNG_UP, WRITABLE = select.POLLHUP | select.POLLERR, select.POLLOUT

    def _events(line: Connection) -> int:
        """What can be told of a connection at once."""
        poll = select.poll()
        poll.register(line.fileno(), WRITABLE)
        return sum(events for _, events in poll.poll(0))

    def open_door(address: str) -> socket.socket:
        """A socket that clients of the same user can connect to."""
        with suppress(FileNotFoundError):
            os.unlink(address)  # of an owner that was killed: nobody listens there
        door = socket.socket(socket.AF_UNIX)
        try:
            door.settimeout(None)
            door.bind(address)
            os.chmod(address, 0o600)
            door.listen(128)
        except BaseException:
            door.close()
            raise
        return door

    def let_in(door: socket.socket) -> Connection:
        """Wait for the next client."""
        line, _ = door.accept()
        line.settimeout(None)
        wire.limit(line, SEND_SECONDS, socket.SO_SNDTIMEO)
        return Connection(line.detach())

    def close_door(door: socket.socket, address: str) -> None:
        """Wake the thread that waits at the door, which closing alone does not, and end it."""
        with suppress(OSError):
            door.shutdown(socket.SHUT_RDWR)
        with suppress(OSError), socket.socket(socket.AF_UNIX) as line:
            line.settimeout(1.0)
            line.connect(address)
        door.close()
        with suppress(OSError):  # its folder may be gone
            os.unlink(address)
