"""Reading a store that no process owns, without keeping one from owning it.

While DuckDB has a file open for reading, nobody can open it for writing. So a reader lets go of the
file whenever it has asked nothing for a moment; a process that wants to write waits that long. The
readers among themselves share the lock.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from duckstore.engine import Engine
from duckstore.owner import make_engine
from duckstore.ownership import Ownership
from duckstore.settings import Settings

__all__ = ["Reader"]

IDLE_SECONDS = 0.5
"""How long the file stays open after a question."""


class Reader:
    """Opens a store for reading when something is asked, and closes it soon after."""

    def __init__(self, path: str, settings: Settings) -> None:
        self._path = path
        self._settings = settings
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._ownership: Ownership | None = None
        self._users = 0
        self._timer: threading.Timer | None = None

    @contextmanager
    def engine(self) -> Iterator[Engine | None]:
        """The engine for one question; None where a process owns the store and must be asked.

        Raises:
            StoreError: The file cannot be read.
        """
        with self._lock:
            if self._engine is None and not self._open():
                yielded = None
            else:
                yielded = self._engine
                self._users += 1
                if self._timer is not None:
                    self._timer.cancel()
        if yielded is None:
            yield None
            return
        try:
            yield yielded
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._timer = threading.Timer(IDLE_SECONDS, self._let_go)
                    self._timer.daemon = True
                    self._timer.start()

    def _open(self) -> bool:
        ownership = None
        # Where no file can be made, no process can own the store either.
        if os.access(os.path.dirname(self._path), os.W_OK):
            ownership = Ownership.take(self._path, shared=True)
            if ownership is None:
                return False
        try:
            self._engine = make_engine(self._path, self._settings)
        except BaseException:
            if ownership is not None:
                ownership.release()
            raise
        self._ownership = ownership
        return True

    def _let_go(self) -> None:
        with self._lock:
            if not self._users:
                self._close()

    def _close(self) -> None:
        engine, self._engine = self._engine, None
        ownership, self._ownership = self._ownership, None
        if engine is not None:
            engine.close()
        if ownership is not None:
            ownership.release()

    def close(self) -> None:
        """Close the file now."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._close()

    def abandon(self) -> None:
        """Let go in a forked child of what is the parent's."""
        if self._engine is not None:
            self._engine.abandon()
        if self._ownership is not None:
            self._ownership.abandon()
