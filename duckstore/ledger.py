"""Who used how many tokens, when several share one count.

The SDK counts what a run uses in one object, which an agent that is a tool shares with the agent
that called it, and notes every model call beside the total. A ledger says which of these notes are
stored already, and gives each model call its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from duckstore.telemetry import SeenCall, SeenResponse
from duckstore.usage import Usage

__all__ = ["Ledger"]


class Ledger:
    """One SDK usage object, and what of it is stored. Not thread-safe: its observer has a lock."""

    def __init__(self, usage: Any, now_us: int) -> None:
        self.usage = usage
        self.created_us = now_us
        self.watches: list[Any] = []
        """Those who share it, the outermost run first."""
        self.tools: dict[str, tuple[SeenCall, str | None]] = {}
        """Tool calls that hooks saw, by call id, with the call in which each was made."""
        self.is_checked = False
        """Whether it is known what of it was there before."""
        self.is_foreign = False
        """Whether it is that of a run whose session is elsewhere, and one of its tools uses it."""
        self._noted: list[Usage] = []
        self._first = len(self._entries())
        self._taken: set[int] = set()
        self._stored = Usage.of(usage)

    @property
    def entry_count(self) -> int:
        """How many model calls are noted."""
        return len(getattr(self.usage, "request_usage_entries", None) or ())

    def _entries(self) -> list[Usage]:
        """What each model call used. Each note is read once: they are only added to."""
        notes = getattr(self.usage, "request_usage_entries", None) or ()
        if len(notes) < len(self._noted):
            self._noted.clear()
        self._noted += [Usage.of(note, request_count=1) for note in notes[len(self._noted) :]]
        return self._noted

    def begin_at(self, stored: Usage) -> None:
        """Say what of it was stored before it was first seen: a run can be resumed with a copy.

        Args:
            stored: What is stored of the run. It is a part of this count where the run's first
                model calls used just that much; otherwise what was there at first counts as stored.
        """
        total = Usage()
        entries = self._entries()[: self._first]
        for index in range(len(entries) + 1):
            if stored and total.has_tokens_of(stored):
                self._first, self._stored = index, total
                return
            total += entries[index] if index < len(entries) else Usage()
        self.is_foreign = True

    def share_out(
        self, calls: Sequence[SeenResponse], *, first: int, takes_all: bool, has_tools: bool
    ) -> list[SeenResponse]:
        """Give every model call its usage. What it gets counts as stored from now on.

        Args:
            calls: The calls that were seen, the run's own first. One whose usage is known and is
                not in this count belongs to another one, and keeps it.
            first: How many model calls were noted before its run began.
            takes_all: Whether nobody else will ask for the rest.
            has_tools: Whether agents may have run as tools in between.

        Returns:
            Model calls that nobody saw.
        """
        entries = self._entries()
        free = [i for i in range(max(self._first, first), len(entries)) if i not in self._taken]
        for call in calls:
            if call.usage:
                self._take_equal(call.usage, free, entries)
        unknown = [call for call in calls if call.usage is None and not call.has_failed]
        if all(call.ended_us is not None for call in unknown):
            unknown.sort(key=lambda call: call.ended_us or 0)
        if takes_all and len(unknown) == 1 and not has_tools and free:
            # One call can take several requests.
            taken = self._take(free, entries)
            unknown[0].usage = taken[0] if len(taken) == 1 else Usage.sum(taken)
            free = []
        elif len(unknown) == len(free) or not takes_all:
            for call, index in zip(unknown, list(free), strict=False):
                (call.usage,) = self._take([index], entries)
                free.remove(index)
        elif unknown and free:  # the run's own call came before those of its tools
            (unknown[0].usage,) = self._take(free[:1], entries)
            free = free[1:]
        if not takes_all:
            return []
        unseen = [SeenResponse(usage=usage) for usage in self._take(free, entries)]
        rest = Usage.of(self.usage).since(self._stored)
        if rest and calls:  # requests without tokens, or a count without notes
            calls[0].usage = (calls[0].usage or Usage()) + rest
        elif rest.total_tokens:
            unseen.append(SeenResponse(usage=rest))
        if rest:
            self._stored += rest
        return unseen

    def _take_equal(self, usage: Usage, free: list[int], entries: Sequence[Usage]) -> None:
        for index in free:
            if entries[index].has_tokens_of(usage):
                self._take([index], entries)
                free.remove(index)
                return

    def _take(self, indexes: Sequence[int], entries: Sequence[Usage]) -> list[Usage]:
        taken = [entries[index] for index in indexes]
        self._taken.update(indexes)
        while self._first in self._taken:
            self._taken.remove(self._first)
            self._first += 1
        for usage in taken:
            self._stored += usage
        return taken
