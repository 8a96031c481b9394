"""The journal: an append-only file beside the database that makes a batch durable in one sync.

A batch is acknowledged when its frame is synced here, which costs a fraction of a durable DuckDB
commit. It is folded into DuckDB later; the journal is cut when the database file itself, not only
DuckDB's log, holds what it says. A damaged log can therefore always be made good from here.

The file is a line that names the store, and then frames. A frame is what was synced together:

    DJF1 <first number> <record count> <payload length> <payload crc> <head crc>\\n
    <record length>\\n<record>\\n ...

It begins with DJR1 where nobody waited for the disk. All of it is ASCII text with hexadecimal
fields of fixed width, and what was not written yet is NUL bytes: the file is extended ahead in
steps, because syncing into blocks that are there already costs half. `duckstore.recovery` reads it
back.
"""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from duckstore import faults

__all__ = ["Journal", "journal_path", "sync_folder", "write_at"]

MAGIC = b"DJF1"
RELAXED = b"DJR1"
"""Begins a frame that nobody waited for to be on disk."""
TITLE = b"duckstore journal 1 "
STEP = 1 << 20
"""The file grows by so many bytes at a time."""
TITLE_LENGTH = len(TITLE) + 37
"""The first line: the title, a UUID and the end of the line."""
HEAD_LENGTH = len(b"DJF1 %016x %08x %010x %08x %08x\n" % (0, 0, 0, 0, 0))
BINARY = getattr(os, "O_BINARY", 0)


def journal_path(path: str) -> str:
    """Where the journal of the store at `path` lies."""
    return path + ".journal"


@dataclass(slots=True)
class Journal:
    """The open journal of a store. Only one thread may call it at a time."""

    path: str
    store_id: str
    file: int = -1
    end: int = 0
    """Where the next frame goes."""
    size: int = 0
    """How long the file is."""
    is_sound: bool = True
    """False after a failed sync: what the file holds is then unknown, and it must be cut."""
    _dirty: tuple[int, int] | None = None
    """A stretch that a failed write may have left bytes in."""

    @classmethod
    def create(cls, path: str, store_id: str, number: int, records: Sequence[bytes]) -> Journal:
        """Make a journal that holds these records, in the place of one that is there.

        Args:
            path: The file.
            store_id: The store that it belongs to.
            number: The number of the first record.
            records: What it holds from the start.

        Raises:
            OSError: It cannot be made; what was there is still there.
        """
        journal = cls(path, store_id)
        journal.cut(number, records)
        return journal

    def append(self, number: int, records: Sequence[bytes], *, sync: bool) -> None:
        """Write records as one frame, and wait until they are on disk.

        Args:
            number: The number of the first of them.
            records: ASCII without NUL.
            sync: Whether to wait for the disk, or only for the operating system.

        Raises:
            OSError: They are not in the journal; it is as it was before.
        """
        frame = _frame(number, records, sync=sync)
        if self._dirty is not None:
            self._clean()
        # What follows the last frame must read as NUL, so that a cut file can be told.
        needed = self.end + len(frame) + HEAD_LENGTH
        if needed > self.size:
            faults.at("journal.extend")
            self._extend(-(-needed // STEP) * STEP)
        try:
            faults.at("journal.write")
            write_at(self.file, frame, self.end)
            if sync:
                self._sync()
        except BaseException:
            self._dirty = (self.end, len(frame))
            with suppress(OSError):  # it stays marked, and the next append cleans first
                self._clean()
            raise
        self.end += len(frame)

    def _sync(self) -> None:
        try:
            faults.at("journal.sync")
            _sync(self.file)
        except OSError:
            # The system may have dropped the pages and would call the next sync a success.
            self.is_sound = False
            raise

    def reserve(self) -> None:
        """Extend the file ahead of need, so that an append does not have to."""
        if self.size - self.end < STEP // 2:
            self._extend(self.size + STEP)

    def cut(self, number: int, records: Sequence[bytes]) -> None:
        """Keep only these records: the database file holds the others.

        They are written into a new file, which then takes the old one's name.

        Raises:
            OSError: It could not be done. The journal holds what it held, or these records alone
                where only the new name could not be made durable: then it is not sound.
        """
        aside = self.path + ".new"
        content = TITLE + self.store_id.encode() + b"\n"
        if records:
            content += _frame(number, records)
        size = -(-(len(content) + HEAD_LENGTH) // STEP) * STEP
        file = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | BINARY, 0o600)
        try:
            write_at(file, content + bytes(size - len(content)), 0)
            _sync(file)
            faults.at("journal.cut")
            if sys.platform == "win32":
                self.close()  # an open file keeps its name there
                self.is_sound = False
            os.replace(aside, self.path)
        except BaseException:
            os.close(file)
            with suppress(OSError):  # the disk may be full
                os.unlink(aside)
            raise
        # From here on the old file has no name: nothing may be written to it any more.
        self.close()
        self.file, self.end, self.size = file, len(content), size
        self.is_sound, self._dirty = False, None
        sync_folder(self.path)
        self.is_sound = True
        faults.at("journal.cut.done")

    def close(self) -> None:
        """Close the file."""
        if self.file >= 0:
            os.close(self.file)
            self.file = -1

    def _extend(self, size: int) -> None:
        try:
            write_at(self.file, bytes(size - self.size), self.size)
            _sync(self.file)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self.file, self.size)
            raise
        self.size = size

    def _clean(self) -> None:
        if self._dirty is not None:
            start, length = self._dirty
            write_at(self.file, bytes(length), start)
            self._dirty = None


def _frame(number: int, records: Sequence[bytes], *, sync: bool = True) -> bytes:
    payload = b"".join(b"%010x\n%b\n" % (len(record), record) for record in records)
    size = (len(records), len(payload), zlib.crc32(payload))
    head = b"%b %016x %08x %010x %08x" % (MAGIC if sync else RELAXED, number, *size)
    return b"%b %08x\n%b" % (head, zlib.crc32(head), payload)


def write_at(file: int, data: bytes, position: int) -> None:
    """Write all of the data at a position of an open file."""
    view = memoryview(data)
    while view:
        if sys.platform == "win32":
            os.lseek(file, position, os.SEEK_SET)
            written = os.write(file, view)
        else:
            written = os.pwrite(file, view, position)
        view = view[written:]
        position += written


def _sync(file: int) -> None:
    """Wait until the file's bytes are on disk."""
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(file, fcntl.F_FULLFSYNC)  # fsync alone stops at the drive's cache
    else:
        getattr(os, "fdatasync", os.fsync)(file)


def sync_folder(path: str) -> None:
    """Make a file's name durable, where folders can be synced."""
    if sys.platform == "win32":
        return
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
