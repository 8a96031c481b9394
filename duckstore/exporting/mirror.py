"""A folder that is exported to whenever the conversations of a store pause.

A thread of its own does it, so that no agent waits. What cannot be exported is told in the log and
tried again; the store has everything in any case.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from pathlib import Path

from duckstore import errors
from duckstore.access import Access
from duckstore.exporting.writing import ExportReport, Wish, export_parquet

__all__ = ["Mirror"]

IDLE_SECONDS = 2.0
"""How long nothing must have been written before it is exported."""
LONGEST_SECONDS = 60.0
"""After so long it is exported, although there is no pause; and so soon again after a failure."""

_log = logging.getLogger("duckstore")


class Mirror:
    """Keeps a folder like a store. It follows what is written through this process."""

    def __init__(self, access: Access, folder: Path) -> None:
        self.folder = folder
        self.report: ExportReport | None = None
        """What the last export did."""
        self.error: Exception | None = None
        """Why the last one failed; None where it did not."""
        self._access = access
        self._process_id = os.getpid()
        self._seen = 0
        self._since: float | None = None
        """When the first change was seen that the folder does not have."""
        self._not_before = 0.0
        self._is_ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"duckstore mirror {folder}")
        self._thread.daemon = True
        self._thread.start()
        atexit.register(self.close)

    def close(self) -> None:
        """Export what has changed, and end. A second call does nothing."""
        if self._is_ended.is_set() or os.getpid() != self._process_id:
            return  # in a forked child it is the parent's
        self._is_ended.set()
        atexit.unregister(self.close)
        self._thread.join()

    def _run(self) -> None:
        while not self._is_ended.wait(IDLE_SECONDS / 4):
            if self._is_due():
                self._export()
        # Here too, since at the end of a program its main thread can begin no others.
        if self._access.is_usable and (self.report is None or self._has_changed()):
            self._export()

    def _has_changed(self) -> bool:
        return self._access.change_count != self._seen or self.error is not None

    def _is_due(self) -> bool:
        now = time.monotonic()
        if self.report is None and self.error is None:
            return True
        if not self._has_changed() or now < self._not_before:
            return False
        if self._since is None:
            self._since = now
        return now - self._access.changed_at >= IDLE_SECONDS or now - self._since > LONGEST_SECONDS

    def _export(self) -> None:
        count, self._since = self._access.change_count, None
        try:
            self.report = export_parquet(self._access, self.folder, Wish())
            self.error = None
        except errors.DuckstoreError as error:
            self.error, self._not_before = error, time.monotonic() + LONGEST_SECONDS
            _log.warning("the mirror %s is not up to date: %s", self.folder, error)
        self._seen = count
