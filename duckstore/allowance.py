"""How much memory DuckDB may use: little while a store is only written and read back, much for
questions.

DuckDB keeps in memory what it has read, up to its limit, and gives it back to the system when the
limit is lowered. An agent that writes all day needs little of that; a question over millions of
items is quick with much. So the limit is raised while somebody asks, and lowered some time after.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import duckdb

__all__ = ["REST_LIMIT", "Allowance"]

REST_LIMIT = "32MB"
"""What DuckDB may use while nothing is asked."""
REST_SECONDS = 3.0
"""How long after the last question the limit is lowered."""
_UNITS = {"": 1, "B": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


class Allowance:
    """The memory limit of one open database. Thread-safe."""

    def __init__(self, most: str, connect: Callable[[], duckdb.DuckDBPyConnection]) -> None:
        """Take what may be used at most, and what gives a connection to set it on."""
        self._most = most
        self._connect = connect
        self._is_fixed = _bytes(most) <= _bytes(REST_LIMIT)
        self._lock = threading.Lock()
        self._users = 0
        self._is_high = True
        self._last = time.monotonic()
        self._timer: threading.Timer | None = None

    @contextmanager
    def high(self) -> Iterator[None]:
        """Let much be used meanwhile."""
        self.raise_for_now()
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                self._last = time.monotonic()

    def raise_for_now(self) -> None:
        """Let much be used until some time after the last question."""
        if self._is_fixed:
            return
        with self._lock:
            self._last = time.monotonic()
            if not self._is_high:
                self._set(self._most)
                self._is_high = True
            self._plan()

    def lower(self) -> None:
        """Let little be used from now on, if nobody asks anything."""
        if self._is_fixed:
            return
        with self._lock:
            if not self._users and self._is_high:
                self._set(REST_LIMIT)
                self._is_high = False

    def forget(self) -> None:
        """Say that the database is opened anew, with its limit as it was at first.

        Takes no lock: who opens it holds one that setting the limit needs.
        """
        self._is_high = True

    def end(self) -> None:
        """Let no timer be left."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()

    def _plan(self) -> None:
        if self._timer is None:
            wait = max(self._last + REST_SECONDS - time.monotonic(), 0.1)
            self._timer = threading.Timer(wait, self._look)
            self._timer.daemon = True
            self._timer.start()

    def _look(self) -> None:
        with self._lock:
            self._timer = None
            if self._users or time.monotonic() < self._last + REST_SECONDS:
                self._plan()
                return
        self.lower()

    def _set(self, limit: str) -> None:
        with suppress(duckdb.Error):  # what is in use just now cannot be given back
            self._connect().cursor().execute(f"set global memory_limit = '{limit}'")


def _bytes(limit: str) -> float:
    """The size of a limit; a share of the machine's memory is taken for a large one."""
    match = re.fullmatch(r"([0-9.]+) *([KMGT]?)(i?)B?", limit.strip(), re.IGNORECASE)
    return float(match[1]) * _UNITS[match[2].upper()] if match else float("inf")
