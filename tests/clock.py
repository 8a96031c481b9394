"""A clock that a test sets: what is added gets the times that the test says."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from duckstore import engine

__all__ = ["Clock", "stop_clock"]


class Clock:
    """The time that a store's owner sees. It stands still until it is moved."""

    def __init__(self) -> None:
        self.microseconds = 0
        self.set(datetime(2026, 1, 1, 12, tzinfo=UTC))

    @property
    def now(self) -> datetime:
        """The moment that the next batch gets. (Two at one moment are a microsecond apart.)"""
        return datetime.fromtimestamp(self.microseconds / 1_000_000, UTC)

    def set(self, moment: datetime) -> None:
        """Go to a moment; it must be later than all before."""
        self.microseconds = round(moment.timestamp() * 1_000_000)

    def wait(self, seconds: float) -> None:
        """Let time go by."""
        self.microseconds += round(seconds * 1_000_000)


def stop_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Have stores that this process owns tell the time by a clock of the test's."""
    clock = Clock()
    stopped = SimpleNamespace(time_ns=lambda: clock.microseconds * 1000, monotonic=time.monotonic)
    monkeypatch.setattr(engine, "time", stopped)
    return clock
