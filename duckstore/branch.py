"""A branch: one path through a session, and the stretches of other branches that it shares.

Nothing is copied when a branch begins. It keeps intervals of the branches that it came from, cut
where it began, so that its items in order are a range join, in SQL as in memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from duckstore.schema import OPEN_END

__all__ = ["Branch", "Kind", "Stretch", "common_length"]

Kind = Literal["root", "edit", "regenerate", "fork", "compact"]
"""Why a branch began."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of another branch that is visible on a branch, or archived there.

    Positions are those of the source branch; with `position_offset` they are those of the path.
    """

    source_branch_id: int
    first_position: int
    last_position: int
    position_offset: int = 0
    archived_at: int | None = None
    """Where a compaction took it off the path: the number of items before it."""


@dataclass(slots=True)
class Branch:
    """One path through the session, with the stretches that it inherits."""

    branch_id: int
    name: str
    parent_branch_id: int | None
    fork_position: int
    kind: Kind
    tip: int
    """Path position of its last own item, or `fork_position` where it has none."""
    end: int = OPEN_END
    """The last position that is visible, where the path was cut."""
    lineage: list[Stretch] = field(default_factory=list)
    is_deleted: bool = False
    """Whether it was taken off the list of branches. Its items stay stored, superseded."""

    @property
    def length(self) -> int:
        """How many items its path has, where it was left."""
        return min(self.end, self.tip)

    def stretches(self, start: int, end: int) -> list[Stretch]:
        """Where the items of its path from index `start` up to `end` stand, in path order.

        Costs the same for a short and a long path.
        """
        own = Stretch(self.branch_id, self.fork_position + 1, self.tip)
        found: list[Stretch] = []
        for stretch in [s for s in self.lineage if s.archived_at is None] + [own]:
            first = max(stretch.first_position, start + 1 - stretch.position_offset)
            last = min(stretch.last_position, end - stretch.position_offset)
            if first <= last:
                found.append(replace(stretch, first_position=first, last_position=last))
        return found

    def archived(self, length: int) -> list[Stretch]:
        """What compactions took off the first `length` items of its path."""
        return [s for s in self.lineage if s.archived_at is not None and s.archived_at <= length]


def common_length(one: Branch, one_length: int, other: Branch, other_length: int) -> int:
    """How many items two paths have in common, from the start. Reads no item."""
    common = 0
    pairs = zip(one.stretches(0, one_length), other.stretches(0, other_length), strict=False)
    for ours, theirs in pairs:
        if replace(ours, last_position=0) != replace(theirs, last_position=0):
            break
        last = min(ours.last_position, theirs.last_position)
        common = last + ours.position_offset
        if ours.last_position != theirs.last_position:
            break
    return common
