"""Reading a journal back, and telling what a crash leaves from damage.

A torn frame, which a crash of the machine leaves where it was about to sync, shows itself by its
missing sectors, which read as NUL, and by nothing whole behind it. It was never acknowledged and
is dropped. Anything else that does not add up is damage: a `DamagedStoreError` that names the
place and what can be recovered.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from duckstore import errors
from duckstore.journal import BINARY, HEAD_LENGTH, MAGIC, STEP, TITLE, TITLE_LENGTH, write_at

__all__ = ["Contents", "Record", "read_journal", "salvage"]


@dataclass(frozen=True, slots=True)
class Record:
    """One acknowledged command: its number, counting from 1 in the store's life, and its bytes."""

    number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Contents:
    """What a journal holds."""

    store_id: str | None
    """The store that it belongs to; None where there is no journal, or none was finished."""
    records: list[Record]


@dataclass(frozen=True, slots=True)
class _Damage:
    """Where a journal stops adding up."""

    position: int
    reason: str


def read_journal(path: str) -> Contents:
    """The records of a journal that a store left behind, in order; none where there is no file.

    Raises:
        DamagedStoreError: It is damaged. A torn end is none, since it was not acknowledged.
    """
    contents, damage = _read(path)
    if damage is not None:
        last = contents.records[-1].number if contents.records else 0
        raise errors.DamagedStoreError(
            f"the journal {path} is damaged at byte {damage.position}: {damage.reason}. "
            f"The {len(contents.records)} records before it, up to number {last}, can be "
            "recovered: `duckstore recover` keeps a copy of the file and goes on from there. "
            "Nothing was changed"
        )
    return contents


def salvage(path: str) -> tuple[str, int] | None:
    """Cut a damaged journal where the damage begins, after copying it.

    Returns:
        The copy's path and the number of records that were kept; None where it is not damaged.
    """
    contents, damage = _read(path)
    if damage is None:
        return None
    copy, number = f"{path}.damaged", 1
    while os.path.exists(copy):
        copy, number = f"{path}.damaged.{number}", number + 1
    data = Path(path).read_bytes()
    _write_new(copy, data)
    kept = data[: damage.position]
    if kept:
        kept += bytes(-(-(len(kept) + HEAD_LENGTH) // STEP) * STEP - len(kept))
    _write_new(path + ".new", kept)
    os.replace(path + ".new", path)
    return copy, len(contents.records)


def _write_new(path: str, data: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | BINARY, 0o600)
    try:
        write_at(file, data, 0)
        os.fsync(file)
    finally:
        os.close(file)


def _read(path: str) -> tuple[Contents, _Damage | None]:
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return Contents(None, []), None
    title = data[:TITLE_LENGTH]
    if not data.strip(b"\0"):
        return Contents(None, []), None
    if not title.startswith(TITLE) or not title.endswith(b"\n") or len(title) < TITLE_LENGTH:
        return Contents(None, []), _Damage(0, "it does not begin as a journal does")
    records: list[Record] = []
    contents = Contents(title[len(TITLE) : -1].decode("ascii", "replace"), records)
    position = TITLE_LENGTH
    while True:
        head = data[position : position + HEAD_LENGTH]
        if len(head) < HEAD_LENGTH:
            return contents, _Damage(position, "the file was cut off")
        frame = _frame(data, position)
        if isinstance(frame, str):
            if not _is_unwritten(data, position):
                return contents, _Damage(position, frame)
            if not _is_last(data, position):
                return contents, _Damage(position, "a frame is missing before others")
            return contents, None
        first, count, payload = frame
        if records and first != records[-1].number + 1:
            missing = f"record {records[-1].number + 1} is missing before {first}"
            return contents, _Damage(position, missing)
        found = list(_split(payload, first))
        if len(found) != count:
            return contents, _Damage(position, f"it has {len(found)} records instead of {count}")
        records += found
        position += HEAD_LENGTH + len(payload)


def _frame(data: bytes, position: int) -> tuple[int, int, bytes] | str:
    """The frame at a position: its first number, record count and payload; or what is wrong."""
    head = data[position : position + HEAD_LENGTH]
    try:
        magic, *fields, head_crc = head.split()
        first, count, length, crc = (int(field, 16) for field in fields)
        if magic != MAGIC or zlib.crc32(head[: head.rindex(b" ")]) != int(head_crc, 16):
            return "the head of a frame is wrong"
    except ValueError:
        return "the head of a frame is wrong"
    start = position + HEAD_LENGTH
    payload = data[start : start + length]
    if len(payload) < length:
        return "the file was cut off"
    if not head.endswith(b"\n") or zlib.crc32(payload) != crc:
        return "the content of a frame is wrong"
    return first, count, payload


def _is_unwritten(data: bytes, position: int) -> bool:
    """Whether part of the frame there was never written, although the file has room for it."""
    head = data[position : position + HEAD_LENGTH]
    if b"\0" in head:
        return True
    try:
        length = int(head.split()[3], 16)
    except (ValueError, IndexError):
        return False
    payload = data[position + HEAD_LENGTH : position + HEAD_LENGTH + length]
    return len(payload) == length and b"\0" in payload


def _is_last(data: bytes, position: int) -> bool:
    """Whether no whole frame stands behind a position.

    No item can look like one: a line of a record that is not a length begins as JSON does.
    """
    at = position
    while (at := data.find(MAGIC + b" ", at + 1)) >= 0:
        if not isinstance(_frame(data, at), str):
            return False
    return True


def _split(payload: bytes, first: int) -> Iterator[Record]:
    """The records of a whole payload."""
    position, number = 0, first
    while position < len(payload):
        length = int(payload[position : position + 10], 16)
        start = position + 11
        yield Record(number, payload[start : start + length])
        position, number = start + length + 1, number + 1
