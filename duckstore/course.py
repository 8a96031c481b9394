"""Where a conversation took another course, so that who is still at an earlier one is found again.

A course is known by the move that began it. An agent remembers the course that it read; what it
adds later belongs where the conversation was before it left that course.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter
from typing import NamedTuple

__all__ = ["Diversion", "first_after", "note_move"]


class Diversion(NamedTuple):
    """A move by which the conversation took another course, and where it was before."""

    move_id: int
    branch_id: int
    position: int
    is_cut: bool
    """Whether it stood before the branch's end, so that what is said there is an alternative."""


def first_after(diversions: list[Diversion], course: int) -> Diversion:
    """The move by which a course was left. There must be one."""
    return diversions[bisect_right(diversions, course, key=itemgetter(0))]


def note_move(
    diversions: list[Diversion],
    move_id: int,
    operation: str,
    from_branch_id: int,
    from_position: int,
    to_branch_id: int | None,
    to_position: int | None,
    *,
    was_cut: bool,
) -> None:
    """Keep the diversions in step with a move."""
    begins_alternative = operation in ("edit", "regenerate")
    # An append after a pop goes on from where the path is. An edit that was asked for cuts first.
    is_asked = operation in ("switch", "fork", "rewind", "import")
    if is_asked or (begins_alternative and from_position != to_position):
        diversions.append(Diversion(move_id, from_branch_id, from_position, was_cut))
    elif begins_alternative and to_branch_id is not None:
        # Who was about to begin an alternative there goes on with the one that was begun.
        for index, left in enumerate(diversions):
            if left.is_cut and left[1:3] == (from_branch_id, from_position):
                diversions[index] = Diversion(left.move_id, to_branch_id, from_position, False)
