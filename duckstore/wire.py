"""What the owner of a store and its clients say to each other.

Messages are bytes over a local socket: a letter that tells their kind, a line of JSON, and what
belongs to it (items, rows, Arrow). Nothing is ever unpickled. The first message of each side proves
that it knows the store's key, by the challenge of `multiprocessing.connection`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from multiprocessing.connection import Connection
from typing import Any
from uuid import UUID

from duckstore.errors import ArgumentError

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
    "pack",
    "receive",
    "send",
    "split_texts",
    "unpack",
]

VERSION = 1

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


def join_texts(texts: Sequence[str]) -> bytes:
    """Raw items as the body of a message; none of them holds a line end."""
    return "\n".join(texts).encode()


def split_texts(body: bytes, count: int) -> list[str]:
    """The raw items of a body."""
    return body.decode().split("\n") if count else []


# Values of parameters ----------------------------------------------------------------------------

_PLAIN = (type(None), bool, int, float, str)
_WRITERS: dict[type, Callable[[Any], str]] = {
    datetime: datetime.isoformat,
    date: date.isoformat,
    time: time.isoformat,
    Decimal: str,
    UUID: str,
    bytes: bytes.hex,
}
_READERS: dict[str, Callable[[str], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "Decimal": Decimal,
    "UUID": UUID,
    "bytes": bytes.fromhex,
}


def pack(value: Any) -> Any:
    """A parameter's value as JSON has it; `unpack` gives it back.

    Raises:
        ArgumentError: It is of a type that is not sent to another process.
    """
    if type(value) in _PLAIN:
        return value
    if isinstance(value, (list, tuple)):
        return [pack(part) for part in value]
    if isinstance(value, Mapping):
        return {"dict": [[pack(key), pack(part)] for key, part in value.items()]}
    if type(value) in _WRITERS:
        return {type(value).__name__: _WRITERS[type(value)](value)}
    if isinstance(value, _PLAIN):
        return pack(_plain(value))
    raise ArgumentError(
        f"a parameter is of type {type(value).__name__}, which cannot be sent to the process that "
        "has the store open: give a number, a text, a time, or a list or dict of them"
    )


def _plain(value: Any) -> Any:
    """A value of a subclass (of an enum's, say) as one of the class itself."""
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return None


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
