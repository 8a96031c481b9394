"""Stores what was seen of a run after its last batch, from a thread of its own.

The agent's loop never waits for it. What it has not written yet when the process is killed is lost:
the outcome of a run, and what no batch came after. A question that is asked in this process, and
closing the store, wait until it has caught up.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import Empty
from typing import Any

from duckstore import errors
from duckstore.command import Command
from duckstore.observer import RunObserver
from duckstore.telemetry import Seen

__all__ = ["Reporter", "observation"]

_log = logging.getLogger("duckstore")

IDLE_SECONDS = 5.0
"""How long the thread waits for work before it ends, where no run is seen."""


class Reporter:
    """Takes an observer's reports and has them stored.

    Args:
        observer: Whose.
        run: Does a command; see `Access.run`.
    """

    def __init__(self, observer: RunObserver, run: Callable[[Command], Any]) -> None:
        self._observer, self._run = observer, run
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        observer.on_first = self._begin
        observer.on_flush = self.flush

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(
                    target=self._work, name="duckstore report", daemon=True
                )
                self._thread.start()

    def flush(self) -> None:
        """Wait until everything that was reported so far is stored."""
        done = threading.Event()
        with self._lock:  # so that the thread does not end before it has seen it
            if self._thread is None or self._thread is threading.current_thread():
                return
            self._observer.reports.put(done)
        done.wait()

    def close(self) -> None:
        """Have everything stored that was seen, and end."""
        with self._lock:
            thread, self._thread, self._is_closed = self._thread, None, True
        if thread is not None:
            self._observer.settle()
            self._observer.reports.put(None)
            if thread is not threading.current_thread():
                thread.join()

    def after_fork(self) -> None:
        """Begin anew in a forked child: the thread and what it had to do are the parent's."""
        self._lock, self._thread = threading.Lock(), None
        self._observer.after_fork()

    def _may_rest(self) -> bool:
        """Whether no run is seen any more: a store that is let go of must not stay for the thread.

        What begins later finds no thread, and makes one.
        """
        with self._lock:
            if self._observer.sees_runs or not self._observer.reports.empty():
                return False
            self._thread = None
            return True

    def _work(self) -> None:
        reports = self._observer.reports
        while True:
            try:
                report = reports.get(timeout=IDLE_SECONDS)
            except Empty:
                if self._may_rest():
                    return
                continue
            if report is None:
                return
            if isinstance(report, threading.Event):
                report.set()
                continue
            try:
                found = self._observer.report(report)
                if found is not None:
                    self._run(observation(*found))
            except errors.ClosedError:
                continue  # closed in the middle of a run: it was settled before
            except errors.DuckstoreError as error:
                _log.warning("what was seen of a run could not be stored: %s", error)
            except Exception:
                _log.warning("what was seen of a run could not be stored", exc_info=True)


def observation(session_id: str, seen: Seen, batch: tuple[int, int] | None) -> Command:
    """The command that stores what was seen of a run after its last batch."""
    values = {"seen": seen.values(), "batch": list(batch) if batch is not None else None}
    return Command("observe", session_id, values, (), seen.row_count + 1, False)
