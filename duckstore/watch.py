"""One run of the SDK's runner, as it is seen by its context.

Its context is held weakly and does not outlive the run because of us; what was seen of it can.
"""

from __future__ import annotations

import time
from typing import Any

from duckstore.glance import Call
from duckstore.ledger import Ledger
from duckstore.spans import Scope
from duckstore.telemetry import Seen, SeenResponse

__all__ = ["Watch"]


class Watch:
    """One run of the SDK's runner, known by its context."""

    __slots__ = (
        "batch",
        "contact_ns",
        "courses",
        "first_entry",
        "has_ended",
        "key",
        "ledger",
        "model",
        "models",
        "open_calls",
        "parent_call_id",
        "ref",
        "scope",
        "session_id",
        "unsaved",
    )

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.first_entry = ledger.entry_count
        """How many model calls its usage had noted when it began."""
        self.ref: Any = lambda: None
        self.key = 0
        self.session_id: str | None = None
        self.courses: dict[str, int] = {}
        """The course of each conversation that it read."""
        self.batch: tuple[int, int] | None = None
        """The ids of its last batch: the first, and how many."""
        self.contact_ns = time.perf_counter_ns()
        self.open_calls: dict[str, Call] = {}
        """Tool calls of earlier batches that wait for their output."""
        self.model: SeenResponse | None = None
        """The model call at work, where hooks tell."""
        self.models: list[SeenResponse] = []
        """Those that have ended and nobody took yet."""
        self.parent_call_id: str | None = None
        self.scope: Scope | None = None
        self.unsaved: Seen | None = None
        self.has_ended = False
        """Whether its agent has given its final output."""

    @property
    def is_dead(self) -> bool:
        """Whether its context is gone."""
        return self.ref() is None

    def take_models(self) -> list[SeenResponse]:
        """The model calls that nobody took yet."""
        taken, self.models = self.models, []
        return taken
