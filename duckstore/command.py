"""A command: one change of one session, as plain data.

A command is what a caller asks for, what the journal keeps, and what a client process sends. It
holds everything that its effect depends on, besides the session itself: who repeats it, as a
replay after a crash does, gets the same rows with the same ids. Its bytes are a line of JSON with
the operation and its values, and then one line for each item. All of it is ASCII.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from duckstore import errors

__all__ = ["EPOCH", "Command", "Statement", "from_record"]

Statement = tuple[str, list[Any]]
Row = tuple[Any, ...]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encode = json.JSONEncoder(check_circular=False).encode


@dataclass(slots=True, eq=False)
class Command:
    """One change, from its request to its rows."""

    operation: str
    session_id: str
    values: dict[str, Any] = field(default_factory=dict)
    raws: Sequence[str] = ()
    """Items as raw JSON text."""
    id_count: int = 1
    """How many ids it may use at most."""
    sync: bool = True
    """Whether it is acknowledged only when it is on disk."""
    request: tuple[str, int] | None = None
    """The client that sent it, and the number of its request: a repeated one is done once."""
    body: bytes = b""
    described: Sequence[Any] | None = None
    """The items with what follows from each, where whoever made it knows: see `duckstore.batch`."""

    # Known once it is in the journal:
    number: int = 0
    first_id: int = 0
    created_us: int = 0
    record: bytes = b""

    # Known once it was applied to its session:
    is_applied: bool = False
    answer: Any = None
    error: errors.DuckstoreError | None = None
    rows: dict[str, list[Row]] = field(default_factory=dict)
    statements: list[Statement] = field(default_factory=list)
    """They are run before the rows are appended."""
    renames: list[Statement] = field(default_factory=list)
    """They are run after it."""
    dropped: Any = None
    """What it took out of memory: it goes with the command."""
    erases: bool = False
    """Whether it deletes what was said, which must leave the bytes of the file as well."""

    def encode(self) -> bytes:
        """Its bytes, made when they are first asked for: `request` is known then."""
        if not self.body:
            head = [self.operation, self.session_id, self.id_count, self.request, self.values]
            self.body = "\n".join((_encode(head), *self.raws)).encode("ascii")
        return self.body

    @classmethod
    def from_body(cls, body: bytes, *, sync: bool = True) -> Command:
        """The command that a client sent.

        Raises:
            ValueError: It is none.
        """
        head, *raws = body.decode("ascii").split("\n")
        operation, session_id, id_count, request, values = json.loads(head)
        return cls(
            operation,
            session_id,
            values,
            raws,
            id_count,
            sync,
            tuple(request) if request else None,
            body,
        )

    def place(self, number: int, first_id: int, created_us: int) -> bytes:
        """Give it its place in the order of all commands. Returns its record for the journal."""
        self.number, self.first_id, self.created_us = number, first_id, created_us
        self.record = b"%x %x\n%b" % (first_id, created_us, self.encode())
        return self.record

    @property
    def created_at(self) -> datetime:
        """When it was done."""
        return EPOCH + timedelta(microseconds=self.created_us)

    def ids(self) -> Iterator[int]:
        """The ids that are its own."""
        return iter(range(self.first_id, self.first_id + self.id_count))


def from_record(number: int, record: bytes) -> Command:
    """The command that a record of the journal holds.

    Raises:
        DamagedStoreError: It holds none that this duckstore knows.
    """
    try:
        head, _, body = record.partition(b"\n")
        first_id, created_us = (int(part, 16) for part in head.split())
        command = Command.from_body(body)
        if command.operation == "usage":  # version 0.3.0 wrote it
            response = {"usage": command.values["usage"]}
            command.operation = "record"
            command.values = {"seen": {"responses": [response]}, "batch": None, "adds": True}
        if command.operation == "fork" and "position" in command.values:  # version 0.2.0 wrote it
            command.values["at"] = {"position": command.values.pop("position")}
    except (ValueError, TypeError) as error:
        raise errors.DamagedStoreError(
            f"record {number} of the journal cannot be read ({error}): it was written by another "
            "version of duckstore. Open the store with that one and close it, then with this"
        ) from error
    command.place(number, first_id, created_us)
    return command
