"""Named steps of writing, at which the tests stop a process or make a step fail.

Between any two of these steps a process may die; what the next opening finds must be right in
each case. In normal use reaching a step does nothing.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["EXPORT_STEPS", "STEPS", "at", "observe"]

STEPS = (
    "journal.extend",
    "journal.write",
    "journal.sync",
    "journal.synced",
    "fold.begin",
    "fold.append",
    "fold.commit",
    "fold.committed",
    "checkpoint.begin",
    "checkpoint.done",
    "journal.cut",
    "journal.cut.done",
    "rewrite.copied",
    "rewrite.checkpointed",
    "rewrite.closed",
    "rewrite.replaced",
    "close.begin",
    "close.closed",
    "journal.remove",
)
"""Every step, in the order in which a batch goes through them."""

EXPORT_STEPS = (
    "export.part",
    "export.adopted",
    "export.complete",
    "export.published",
    "export.placed",
    "export.swept",
    "export.end",
)
"""The steps of an export, in their order."""

_observer: Callable[[str], None] | None = None


def at(step: str) -> None:
    """Say that a step is about to be done."""
    if _observer is not None:
        _observer(step)


def observe(observer: Callable[[str], None] | None) -> None:
    """Have a function called with the name of each step before it is done; None ends it."""
    global _observer
    _observer = observer
