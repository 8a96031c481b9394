"""Speaking with the owner of a store from another process.

A `Lane` is one line of requests: it has an id for its whole life, and numbers its requests, so that
the same request can be made again to the next owner when one dies, and is done once. Each thread
that asks something at the same time has a lane of its own.
"""

from __future__ import annotations

import io
import socket
import sys
import uuid
from collections.abc import Callable, Mapping
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, answer_challenge, deliver_challenge
from typing import TYPE_CHECKING, Any

from duckstore import errors, wire
from duckstore.command import Command
from duckstore.ownership import Post, file_inode
from duckstore.rows import Rows
from duckstore.service import Tail
from duckstore.sessions import Texts
from duckstore.spool import Spool
from duckstore.streams import read_stream

if TYPE_CHECKING:
    import polars

__all__ = ["Disconnected", "Lane"]


class Disconnected(Exception):  # noqa: N818  # it is not the caller's to see
    """The owner is gone, or another process than ours is there."""


class Lane:
    """One line of requests to whoever owns the store."""

    def __init__(self, path: str, timeout: float) -> None:
        self._path = path
        self._timeout = timeout
        self._client_id = uuid.uuid4().hex
        self._request_number = 0
        self._connection: Connection | None = None
        self._process_id = 0

    @property
    def is_connected(self) -> bool:
        """Whether it leads to an owner, as far as is known."""
        return self._connection is not None

    def connect(self, post: Post) -> None:
        """Connect to an owner.

        Raises:
            Disconnected: There is none at that post.
            StoreBusyError: It does not answer.
            StoreError: It speaks another version.
        """
        assert post.address is not None  # noqa: S101
        self.drop()
        self._process_id = post.process_id
        try:
            connection = _dial(post.address, self._timeout)
        except TimeoutError as error:
            raise self._silence() from error
        except OSError as error:
            raise Disconnected from error
        self._connection = connection
        try:
            self._wait()
            answer_challenge(connection, post.key)
            deliver_challenge(connection, post.key)
            told = self._answer().head
        except errors.StoreBusyError:
            raise
        except BlockingIOError as error:  # the time that the socket was given is over
            self.drop()
            raise self._silence() from error
        except (EOFError, OSError, AuthenticationError, ValueError) as error:
            self.drop()
            raise Disconnected from error
        except BaseException:
            self.drop()  # Ctrl-C: the greeting stands half said
            raise
        if told["version"] != wire.VERSION:
            self.drop()
            raise errors.StoreLockedError(
                f"{self._path} is held open by process {told['process_id']}, which runs another "
                "version of duckstore: use the same version in both"
            )
        self._process_id = told["process_id"]
        if told["inode"] != file_inode(self._path):
            self.drop()
            raise errors.StoreLockedError(
                f"process {told['process_id']} has a file open that was at {self._path} and is "
                "there no more: close that store first"
            )

    def drop(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def number(self, command: Command) -> None:
        """Give a command its number, by which a repetition is known."""
        self._request_number += 1
        command.request = (self._client_id, self._request_number)
        command.encode()

    # Requests --------------------------------------------------------------------------------

    def run(self, command: Command) -> Any:
        """Have a change done."""
        return self._ask({"do": "run", "sync": command.sync}, command.body).head

    def texts(self, session_id: str, limit: int | None, where: Mapping[str, Any] | None) -> Texts:
        """Ask for the latest raw items of a session's path, or of another path of it."""
        asked = {"do": "texts", "session_id": session_id, "limit": limit}
        found = self._ask(asked if where is None else {**asked, "where": dict(where)})
        count, is_exact, course = found.head
        return Texts(wire.split_texts(found.body, count), is_exact, course)

    def tail(self, session_id: str, limit: int | None) -> Tail:
        """Ask for the latest items of a session's path with their ids."""
        found = self._ask({"do": "tail", "session_id": session_id, "limit": limit})
        item_ids, is_complete = found.head
        return Tail(item_ids, wire.split_texts(found.body, len(item_ids)), is_complete)

    def rows(self, sql: str, parameters: Mapping[str, Any] | None, *, is_foreign: bool) -> Rows:
        """Ask a question for plain rows."""
        asked = {"do": "rows", "sql": sql, "is_foreign": is_foreign}
        columns, types, rows = self._ask(asked | {"parameters": _packed(parameters)}).head
        return Rows(tuple(columns), tuple(types), [tuple(map(wire.unpack, row)) for row in rows])

    def frame(self, sql: str, parameters: Mapping[str, Any] | None) -> polars.DataFrame:
        """Ask a question for a data frame."""
        self._send({"do": "frame", "sql": sql, "parameters": _packed(parameters)}, b"")
        chunks = _Chunks(self._next_chunk)
        try:
            result = read_stream(io.BufferedReader(chunks, 1 << 20))
            while chunks.readinto(bytearray(1)):
                continue  # Arrow's own end comes before that of the answer
        except BaseException:
            if not chunks.is_at_end:
                self.drop()
            raise
        return result

    def put_aside(self, sql: str, parameters: Mapping[str, Any] | None, spool: Spool) -> None:
        """Ask a question whose answer is put aside.

        Raises:
            Stopped: Nobody wants it any more; the owner hears of it.
        """
        spool.begin()
        asked = {"do": "frame", "sql": sql, "parameters": _packed(parameters), "is_small": True}
        self._send(asked, b"")
        while chunk := self._next_chunk(spool.check):
            try:
                spool.write(chunk)
            except BaseException:
                self.drop()  # the rest of the answer would be taken for that of the next request
                raise

    def task(self, name: str, *arguments: Any) -> Any:
        """Have something done that takes its time."""
        return self._ask({"do": "task", "task": name, "arguments": arguments}).head

    # The line --------------------------------------------------------------------------------

    def _ask(self, head: Any, body: bytes = b"") -> wire.Message:
        self._send(head, body)
        return self._answer()

    def _line(self) -> Connection:
        if self._connection is None:
            raise Disconnected
        return self._connection

    def _send(self, head: Any, body: bytes) -> None:
        try:
            wire.send(self._line(), wire.ASK, head, body)
        except BlockingIOError as error:
            self.drop()
            raise self._silence() from error
        except OSError as error:
            self.drop()
            raise Disconnected from error
        except BaseException:
            self.drop()  # half a request may be out
            raise

    def _answer(self, look: Callable[[], None] | None = None) -> wire.Message:
        """The next message that is more than a sign of life; `look` is called at each of those."""
        try:
            while True:
                if look is not None:
                    look()
                self._wait()
                message = wire.receive(self._line())
                if message.kind != wire.WORKING:
                    break
        except errors.StoreBusyError:
            raise
        except BlockingIOError as error:  # in the middle of a message
            self.drop()
            raise self._silence() from error
        except (EOFError, OSError, ValueError) as error:
            self.drop()
            raise Disconnected from error
        except BaseException:
            self.drop()  # Ctrl-C: the answer would be taken for that of the next request
            raise
        if message.kind == wire.ERROR:
            raise errors.by_name(*message.head)
        return message

    def _next_chunk(self, look: Callable[[], None] | None = None) -> bytes:
        message = self._answer(look)
        return message.body if message.kind == wire.CHUNK else b""

    def _wait(self) -> None:
        if not self._line().poll(self._timeout):
            self.drop()
            raise self._silence()

    def _silence(self) -> errors.StoreBusyError:
        return errors.StoreBusyError(
            f"process {self._process_id}, which has {self._path} open, has not answered for "
            f"{self._timeout:g} s: it may be stopped or the machine overloaded. Let it go on or "
            "end it, and repeat the call; whether a change that was under way is stored is not "
            "known"
        )


class _Chunks(io.RawIOBase):
    """The chunks of an answer as a file."""

    def __init__(self, next_chunk: Callable[[], bytes]) -> None:
        self._next_chunk = next_chunk
        self._rest = memoryview(b"")
        self.is_at_end = False

    def readable(self) -> bool:
        """It can only be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with what comes next; 0 at the end."""
        while not self._rest and not self.is_at_end:
            try:
                self._rest = memoryview(self._next_chunk())
            except errors.DuckstoreError:
                self.is_at_end = True
                raise
            self.is_at_end = not self._rest
        view = memoryview(buffer).cast("B")
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _packed(parameters: Mapping[str, Any] | None) -> Any:
    return wire.pack(dict(parameters)) if parameters else None


def _dial(address: str, timeout: float) -> Connection:
    """Connect to a socket. Raises TimeoutError where it is there and does not take us in."""
    if sys.platform == "win32":
        return Client(address, "AF_PIPE")
    line = socket.socket(socket.AF_UNIX)
    try:
        line.settimeout(timeout)
        line.connect(address)
        line.settimeout(None)
        # A stopped owner must not hold us for ever in the middle of a large message either.
        wire.limit(line, timeout, socket.SO_SNDTIMEO, socket.SO_RCVTIMEO)
    except BaseException:
        line.close()
        raise
    return Connection(line.detach())
