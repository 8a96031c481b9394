"""Reading a journal back, and telling what a crash leaves from damage.

A torn frame, which a crash of the machine leaves where it was about to sync, shows itself by its
missing sectors or its missing end, which read as NUL, and by nothing whole behind it. It was never
acknowledged and is dropped. Anything else that does not add up is damage, a single byte that became
NUL too: a `DamagedStoreError` that names the place and what can be recovered.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from duckstore import errors
from duckstore.journal import (
    BINARY,
    HEAD_LENGTH,
    MAGIC,
    RELAXED,
    STEP,
    TITLE,
    TITLE_LENGTH,
    sync_folder,
    write_at,
)

__all__ = ["Contents", "Record", "read_journal", "salvage"]

SECTOR = 512
"""What a disk writes of a file whole or not at all, counted from the file's start."""


@dataclass(frozen=True, slots=True)
class Record:
    """One acknowledged command: its number, counting from 1 in the store's life, and its bytes."""

    number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Contents:
    """What a journal holds."""

    store_id: str | None
    """The store that it belongs to; None where there is none, or its first line is damaged."""
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
    else:
        os.remove(path)
    sync_folder(path)
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
            if not _is_torn(data, position):
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
    head = _head(data, position)
    if head is None:
        return "the head of a frame is wrong"
    first, count, length, crc = head
    start = position + HEAD_LENGTH
    payload = data[start : start + length]
    if len(payload) < length:
        return "the file was cut off"
    if zlib.crc32(payload) != crc:
        return "the content of a frame is wrong"
    return first, count, payload


def _head(data: bytes, position: int) -> tuple[int, int, int, int] | None:
    """The numbers in the head of a frame; None where any byte of it is not as it was written."""
    head = data[position : position + HEAD_LENGTH]
    try:
        magic, first, count, length, crc, head_crc = head.split(b" ")
        numbers = int(first, 16), int(count, 16), int(length, 16), int(crc, 16)
    except ValueError:
        return None
    told = b"%08x\n" % zlib.crc32(head[: head.rindex(b" ")])
    return numbers if magic in (MAGIC, RELAXED) and head_crc == told else None


def _is_torn(data: bytes, position: int) -> bool:
    """Whether a frame that does not add up lacks sectors or its end, as an unfinished one does."""
    boundary = position + SECTOR - position % SECTOR
    head = _head(data, position)
    if head is not None:
        end = position + HEAD_LENGTH + head[2]
        starts = [position, *range(boundary, end, SECTOR)]
        pieces = zip(starts, [*starts[1:], end], strict=True)
        is_there = len(data) >= end
        return is_there and (not data[end - 1] or any(_is_nul(data[a:b]) for a, b in pieces))
    # Where it ends is not known; the head itself lies in one sector or in two.
    is_split = boundary < position + HEAD_LENGTH <= len(data)
    return (
        _is_nul(data[position:boundary])
        or (is_split and _is_nul(data[boundary : boundary + SECTOR]))
        or len(data[position:].rstrip(b"\0")) < HEAD_LENGTH
    )


def _is_nul(data: bytes) -> bool:
    return not data.strip(b"\0")


def _is_last(data: bytes, position: int) -> bool:
    """Whether nothing behind a position was ever said to be on disk.

    Frames that nobody waited for may have reached the disk in any order. No item can look like a
    frame: a line of a record that is not a length begins as JSON does.
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
