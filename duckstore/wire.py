"""What the owner of a store and its clients say to each other.

Messages are bytes over a local socket: a letter that tells their kind, a line of JSON, and what
belongs to it (items, rows, Arrow). Nothing is ever unpickled. The first message of each side proves
that it knows the store's key, by the challenge of `multiprocessing.connection`.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from multiprocessing.connection import Connection
from typing import Any
from uuid import UUID

from duckstore.errors import SQLError

__all__ = [
    "ANSWER",
    "ASK",
    "CHUNK",
    "END",
    "ERROR",
    "VERSION",
    "WORKING",
    "Message",
    "join_texts",
    "limit",
    "pack",
    "receive",
    "send",
    "split_texts",
    "unpack",
]

VERSION = 4

ASK = b"Q"
ANSWER = b"A"
ERROR = b"E"
WORKING = b"W"
"""The owner is at it: a client must not take it for dead."""
CHUNK = b"C"
"""A part of a long answer; the last is followed by END."""
END = b"Z"


@dataclass(frozen=True, slots=True)
class Message:
    """One message."""

    kind: bytes
    head: Any
    body: bytes


def send(connection: Connection, kind: bytes, head: Any = None, body: bytes = b"") -> None:
    """Send a message. Raises OSError where nobody is there any more."""
    connection.send_bytes(b"".join((kind, json.dumps(head).encode("ascii"), b"\n", body)))


def receive(connection: Connection) -> Message:
    """The next message.

    Raises:
        EOFError, OSError: The other side is gone.
        ValueError: It is no message.
    """
    data = connection.recv_bytes()
    head, separator, body = data[1:].partition(b"\n")
    if not separator:
        raise ValueError("a message without a head")
    return Message(data[:1], json.loads(head), body)


def limit(line: socket.socket, seconds: float, *options: int) -> None:
    """Bound how long the system waits for the other side to take or give bytes."""
    whole = int(seconds)
    bound = struct.pack("ll", whole, max(int((seconds - whole) * 1_000_000), not whole))
    for option in options:
        line.setsockopt(socket.SOL_SOCKET, option, bound)


def join_texts(texts: Sequence[str]) -> bytes:
    """Raw items as the body of a message.

    None of ours holds a line end. Where something from outside put one, a carriage return says the
    same: JSON takes both between values and neither inside a text.
    """
    joined = "\n".join(texts)
    if texts and joined.count("\n") != len(texts) - 1:
        joined = "\n".join(text.replace("\n", "\r") for text in texts)
    return joined.encode()


def split_texts(body: bytes, count: int) -> list[str]:
    """The raw items of a body."""
    return body.decode().split("\n") if count else []


# Values of parameters ----------------------------------------------------------------------------

_PLAIN = (type(None), bool, int, float, str)
_WRITERS: dict[type, Callable[[Any], Any]] = {
    datetime: datetime.isoformat,
    date: date.isoformat,
    time: time.isoformat,
    timedelta: lambda value: [value.days, value.seconds, value.microseconds],
    Decimal: str,
    UUID: str,
    bytes: bytes.hex,
    bytearray: bytearray.hex,
    memoryview: memoryview.hex,
}
_READERS: dict[str, Callable[[Any], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda value: timedelta(*value),
    "Decimal": Decimal,
    "UUID": UUID,
    "bytes": bytes.fromhex,
    "bytearray": bytes.fromhex,
    "memoryview": bytes.fromhex,
}


def pack(value: Any) -> Any:
    """A parameter's value as JSON has it; `unpack` gives it back.

    Raises:
        SQLError: It is of a type that DuckDB does not take either.
    """
    if type(value) in _PLAIN:
        return value
    if isinstance(value, (list, tuple)):
        return [pack(part) for part in value]
    if isinstance(value, Mapping):
        return {"dict": [[pack(key), pack(part)] for key, part in value.items()]}
    if isinstance(value, _PLAIN):
        return _plain(value)
    for kind, write in _WRITERS.items():  # a datetime is a date too, and comes first
        if isinstance(value, kind):
            return {kind.__name__: write(value)}
    if type(value).__module__ == "numpy":
        return pack(value.tolist())
    raise SQLError(
        "Not implemented Error: Unable to transform python value of type "
        f"'{type(value)}' to DuckDB LogicalType"
    )


def _plain(value: Any) -> Any:
    """A value of a subclass (of an enum's, say) as one of the class itself."""
    if isinstance(value, str):
        return str.__str__(value)  # `str` of an enum's member is its name
    return int(value) if isinstance(value, int) else float(value)


def unpack(value: Any) -> Any:
    """The value that was packed."""
    if isinstance(value, list):
        return [unpack(part) for part in value]
    if isinstance(value, dict):
        ((kind, packed),) = value.items()
        if kind == "dict":
            return {unpack(key): unpack(part) for key, part in packed}
        return _READERS[kind](packed)
    return value
