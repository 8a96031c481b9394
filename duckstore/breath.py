"""Letting the other threads of the process go on.

CPython gives a thread that waits for its lock a turn only every 5 ms, while another one works. The
threads that fold and index work for longer, and somebody's `add_items` should not wait for that: so
they sleep for a moment after every millisecond of work.
"""

from __future__ import annotations

import time

__all__ = ["Breath"]

WORK_SECONDS = 0.001
SLEEP_SECONDS = 0.00005


class Breath:
    """When a thread slept last."""

    def __init__(self, *, is_urgent: bool = False) -> None:
        """Say whether somebody waits for the work: then there is no sleep."""
        self._last = float("inf") if is_urgent else time.perf_counter()

    def take(self) -> None:
        """Sleep for a moment, if it is time for that."""
        if time.perf_counter() - self._last > WORK_SECONDS:
            time.sleep(SLEEP_SECONDS)
            self._last = time.perf_counter()
