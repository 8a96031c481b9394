"""What a store's file needs between folds: its log merged, its journal cut, its bytes rewritten.

Nobody waits for any of it. All of it runs in the thread that folds, so that nothing is written
meanwhile; what fails is tried again later, and nothing is lost by that.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import duckdb

from duckstore import errors
from duckstore.rewriting import WAIT_SECONDS, rewrite_file
from duckstore.sessions import Sessions
from duckstore.storefile import StoreFile

__all__ = ["Upkeep"]

CHECKPOINT_BYTES = 8 << 20
"""The log is merged into the file, and the journal cut, when either is so large. What is in the log
stands in DuckDB's memory too, and is read again by the next owner after a crash."""
DELETION_SECONDS = 5.0
"""After a deletion both are done at once, but not again before so many seconds."""
ERASE_SECONDS = 10.0
"""So long after a deletion the file is written anew, so that many deletions share it."""
ERASE_BYTES = 1 << 20
"""And a second later for every so many bytes: that takes a twentieth of the time at most."""
ERASE_AT_END_BYTES = 128 << 20
"""A larger file is not written anew when the store is closed, but after it is opened again."""
QUERY_SECONDS = 2.0
"""How long queries at work are waited for where nobody asked for the rewriting."""

_log = logging.getLogger("duckstore")


class Upkeep:
    """When the file needs what, and how it is done."""

    def __init__(self, file: StoreFile, sessions: Sessions) -> None:
        self._file = file
        self._sessions = sessions
        self.cut: Callable[[], None] = lambda: None
        """Cuts the journal; called when the file has everything before what waits."""
        self.journal_size: Callable[[], int] = lambda: 0
        self._has_deleted = False
        self._next_merge = 0.0
        """When the log may be merged again because something was deleted."""
        self._next_erasure = self._erasure_time()

    def note(self, *, has_deleted: bool, erases: bool) -> None:
        """Say what was folded just now."""
        self._has_deleted |= has_deleted
        if erases and not self._file.must_erase:
            self._file.note_erasure()
            self._next_erasure = self._erasure_time()

    # When ------------------------------------------------------------------------------------

    def is_due(self) -> bool:
        """Whether there is something to do now, even if nothing is folded."""
        return self._sessions.wants_index or self._is_merge_due() or self._is_erasure_due()

    def seconds_left(self) -> float | None:
        """How long until there is something to do; None where nothing is planned."""
        due = [self._next_merge] if self._has_deleted else []
        due += [self._next_erasure] if self._file.must_erase else []
        return max(min(due) - time.monotonic(), 0.01) if due else None

    def _is_merge_due(self) -> bool:
        return self._has_deleted and time.monotonic() >= self._next_merge

    def _is_erasure_due(self) -> bool:
        return self._file.must_erase and time.monotonic() >= self._next_erasure

    def _erasure_time(self) -> float:
        return time.monotonic() + ERASE_SECONDS + self._file.size / ERASE_BYTES

    # What ------------------------------------------------------------------------------------

    def tidy(self) -> None:
        """Do what is due."""
        try:
            if self._sessions.wants_index:
                self._sessions.build_index()
            size = max(self._file.log_size, self.journal_size())
            if self._is_merge_due() or size > CHECKPOINT_BYTES:
                self.merge()
            if self._is_erasure_due():
                self._next_erasure = self._erasure_time()  # again then, where it fails
                self.rewrite(wait_seconds=QUERY_SECONDS)
        except (errors.DuckstoreError, duckdb.Error, OSError):
            _log.info("the upkeep of %s is put off", self._file.path, exc_info=True)

    def merge(self) -> None:
        """Merge DuckDB's log into the file and cut the journal."""
        self._next_merge = time.monotonic() + DELETION_SECONDS
        self._file.checkpoint(give_back=self._has_deleted)
        self._has_deleted = False
        self.cut()

    def rewrite(self, *, wait_seconds: float = WAIT_SECONDS) -> None:
        """Write the file anew and cut the journal: nothing deleted is in the bytes of either.

        Raises:
            StoreBusyError, StoreWriteError: It could not be; the file is as it was.
        """
        rewrite_file(self._file, wait_seconds=wait_seconds)
        self._has_deleted = False
        self._sessions.reopened()
        self.cut()

    def erase_at_end(self) -> None:
        """Write the file anew before it is closed, where that must be and does not take long.

        For when the thread has ended. What fails is done after the next opening.
        """
        if self._file.must_erase and self._file.size <= ERASE_AT_END_BYTES:
            try:
                rewrite_file(self._file, wait_seconds=0.0)
            except (errors.DuckstoreError, duckdb.Error, OSError):
                _log.info("%s was not written anew", self._file.path, exc_info=True)
