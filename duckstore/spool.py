"""Rows on their way to who reads them one batch at a time, put aside in a temporary file.

Who reads may be slow, or stop in the middle and look at something else for an hour. DuckDB must not
wait for that: while a question is open, the log of a store that is written to cannot be merged, and
its file cannot be rewritten without what was purged. So a thread of its own takes the answer as
fast as it comes, from DuckDB or from the process that has the store, and lets go of both. Memory
holds one batch on either side, whatever the size of the answer; the file has no name and goes with
this process, however that ends.
"""

from __future__ import annotations

import io
import os
import tempfile
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import duckdb

from duckstore import errors

__all__ = ["BegunAnew", "Reading", "Spool", "Stopped"]

_T = TypeVar("_T")

PIECE_BYTES = 1 << 20
"""How much is written at a time: two threads of Python that wake each other for every small piece
take three times as long."""
CTRL_C_SECONDS = 0.1
"""How soon who waits for rows is told of Ctrl-C."""
LOOK_SECONDS = 0.02
"""How long the end of an interrupted question is waited for before it is interrupted again."""


class Stopped(Exception):  # noqa: N818  # it is not the caller's to see
    """Nobody wants the rest of the answer."""


class BegunAnew(Exception):  # noqa: N818  # it is not the caller's to see
    """The answer was lost on the way, and comes again from its beginning."""


class Spool:
    """An answer as bytes: one thread writes them, another reads them."""

    def __init__(self, fill: Callable[[Spool], None], folder: str | None = None) -> None:
        """Begin to fill it.

        Args:
            fill: Called in a thread of its own. It calls `begin`, writes, and returns at the end;
                it may begin anew.
            folder: Where the file is to lie; by default where temporary files do.

        Raises:
            StoreWriteError: No file can be made there.
        """
        try:
            self._file = tempfile.TemporaryFile(buffering=0, dir=folder)  # noqa: SIM115
        except OSError as error:
            raise _no_room(error) from error
        self._changed = threading.Condition()
        self._parts: list[bytes] = []
        self._held_size = 0
        self._size = 0
        self._attempt = 0
        self._is_over = False
        self._is_whole = False
        self._is_stopped = False
        self._is_handed_out = False
        self._error: BaseException | None = None
        self._cursor: duckdb.DuckDBPyConnection | None = None
        self._process_id = os.getpid()
        self._thread = threading.Thread(
            target=self._run, args=(fill,), name="duckstore spool", daemon=True
        )
        self._thread.start()

    def _run(self, fill: Callable[[Spool], None]) -> None:
        error: BaseException | None = None
        try:
            fill(self)
            self._put_down()
        except BaseException as raised:  # whatever it is, who reads is told
            error = raised
            _let_go(error)
        with self._changed:
            self._is_over = True
            self._is_whole = error is None
            self._error = self._error or error
            if self._is_stopped:
                self._file.close()
            self._changed.notify_all()

    # Who fills it ----------------------------------------------------------------------------

    closed = False

    def begin(self) -> None:
        """Begin the answer, or begin it anew where the first one was lost on the way.

        Raises:
            Stopped: Nobody wants it.
            StoreError: Rows of the first one were handed out already.
        """
        with self._changed:
            self.check()
            if self._is_handed_out:
                raise errors.StoreError(
                    "the process that had the store open ended while its answer was read, and "
                    "rows of it were handed out already: what was read is not all. Ask again"
                )
            self._drop_parts()
            self._attempt += 1
            self._size = 0
            self._file.seek(0)
            self._file.truncate()
            self._changed.notify_all()

    def check(self) -> None:
        """Raise Stopped where nobody wants the rest."""
        if self._is_stopped:
            raise Stopped

    def write(self, data: Any) -> int:
        """Put bytes aside.

        Raises:
            Stopped: Nobody wants them.
            StoreWriteError: There is no room for them.
        """
        self.check()
        part = bytes(data)
        self._parts.append(part)
        self._held_size += len(part)
        if self._held_size >= PIECE_BYTES:
            self._put_down()
        return len(part)

    def flush(self) -> None:
        """What is held back is written when it is enough, or at the end."""

    def _put_down(self) -> None:
        """Write what was held back."""
        view = memoryview(b"".join(self._parts))
        self._drop_parts()
        with self._changed:
            self.check()
            try:
                self._file.seek(self._size)
                done = 0
                while done < len(view):
                    done += self._file.write(view[done:])
            except OSError as error:
                raise _no_room(error) from error
            self._size += done
            self._changed.notify_all()

    def _drop_parts(self) -> None:
        self._parts.clear()
        self._held_size = 0

    def attend(self, cursor: duckdb.DuckDBPyConnection, work: Callable[[], _T]) -> _T:
        """Have some work of a cursor done, which `stop` ends."""
        self._cursor = cursor
        try:
            self.check()
            return work()
        finally:
            self._cursor = None

    # Who reads it ----------------------------------------------------------------------------

    def open(self) -> Reading:
        """What was written so far and what comes, as a file to read from its beginning."""
        self._check_process()
        with self._changed:
            self._wait_for(lambda: bool(self._attempt))
            return Reading(self, self._attempt)

    def hand_out(self, reading: Reading) -> None:
        """Say that rows are handed out, after which the answer cannot begin anew.

        Raises:
            BegunAnew: It has done so already, since that file was opened.
        """
        self._check_process()
        with self._changed:
            self._check_attempt(reading.attempt)
            self._is_handed_out = True

    def wait(self) -> None:
        """Wait until all is there.

        Raises:
            DuckstoreError: It does not come.
        """
        self._check_process()
        with self._changed:
            self._wait_for(lambda: self._is_whole)

    def read_into(self, buffer: Any, place: int, attempt: int) -> int:
        """Fill a buffer with what stands at a place, when it is there; 0 at the end."""
        view = memoryview(buffer).cast("B")
        self._check_process()
        with self._changed:
            self._wait_for(lambda: self._size > place or self._is_whole or self._attempt != attempt)
            self._check_attempt(attempt)
            self._file.seek(place)
            return int(self._file.readinto(view[: max(self._size - place, 0)]) or 0)

    @property
    def size(self) -> int:
        """How many bytes there are so far."""
        return self._size

    def _check_attempt(self, attempt: int) -> None:
        if self._attempt != attempt:
            raise BegunAnew

    def _check_process(self) -> None:
        """Raise ForkedError in a forked child, where no thread fills it and a lock may be held."""
        if os.getpid() != self._process_id:
            raise errors.ForkedError(
                f"the answer was asked for by the parent process {self._process_id}: a forked "
                "child cannot read it. Ask in the child"
            )

    def _wait_for(self, is_there: Callable[[], bool]) -> None:
        # A thread that waits without end is not told of Ctrl-C once polars is imported.
        while not (self._is_stopped or self._error or is_there()):
            self._changed.wait(CTRL_C_SECONDS)
        if self._error is not None:
            raise _again(self._error)
        if self._is_stopped:
            raise errors.ClosedError("the answer was closed before its end: ask again")

    # The end ---------------------------------------------------------------------------------

    def stop(self, error: BaseException | None = None) -> None:
        """Let go of the answer, and end the work for it. A second call does nothing.

        Args:
            error: What those are told who still read.
        """
        if os.getpid() != self._process_id:
            return  # it is the parent's
        with self._changed:
            self._is_stopped = True
            self._error = self._error or error
            self._changed.notify_all()
            if self._is_over:
                self._file.close()
        # An interrupt just before the work begins has no effect.
        while threading.current_thread() is not self._thread:
            cursor = self._cursor
            if cursor is None or self._is_over:
                return
            with suppress(duckdb.Error):  # it ended just now
                cursor.interrupt()
            self._thread.join(LOOK_SECONDS)

    def join(self, seconds: float) -> None:
        """Wait until nobody works for it any more."""
        if os.getpid() == self._process_id and threading.current_thread() is not self._thread:
            self._thread.join(seconds)


class Reading(io.RawIOBase):
    """A spool as a file to read, and to move about in."""

    def __init__(self, spool: Spool, attempt: int) -> None:
        self._spool = spool
        self.attempt = attempt
        self._place = 0

    def readable(self) -> bool:
        """It can only be read."""
        return True

    def seekable(self) -> bool:
        """For Parquet, of which the end is read first."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._spool.size}
        self._place = starts[whence] + offset
        return self._place

    def tell(self) -> int:
        """Where it is."""
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with what comes next; 0 at the end."""
        count = self._spool.read_into(buffer, self._place, self.attempt)
        self._place += count
        return count


def _no_room(error: OSError) -> errors.StoreWriteError:
    return errors.StoreWriteError(
        f"an answer cannot be put aside in a temporary file: {error}. Make room, or ask for less"
    )


def _let_go(error: BaseException | None) -> None:
    """Drop what the frames of an error hold: a cursor keeps its whole database open."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _again(error: BaseException) -> BaseException:
    return errors.again(error) if isinstance(error, errors.DuckstoreError) else error
