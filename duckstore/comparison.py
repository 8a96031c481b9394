"""How two branches of a session differ: what they share, and both sides beside each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby

from duckstore.access import Access

__all__ = ["BranchDiff", "DiffItem", "DiffRow", "compare"]

MOST_CHARACTERS = 5_000
"""Longer texts are not measured against each other: it takes time with the square of the length."""
MOST_PAIRS = 10_000_000
"""Two runs of more pairs of items are set side by side roughly: it takes time with their number."""


@dataclass(frozen=True, slots=True)
class DiffRow:
    """One line of a comparison: an item of one branch, of the other, or one of each."""

    left: DiffItem | None
    right: DiffItem | None
    distance: float | None
    """From 0 (the same text) to 1: the Levenshtein distance over the length of the longer text.
    None where there is only one, or where one has more than 5,000 characters."""


@dataclass(frozen=True, slots=True)
class DiffItem:
    """One item of a comparison."""

    item_id: int
    turn_number: int
    item_type: str | None
    role: str | None
    agent_name: str | None
    tool_name: str | None
    text: str | None


@dataclass(frozen=True, slots=True)
class BranchDiff:
    """What two branches have in common, and then the items of either side."""

    left: str
    right: str
    common_count: int
    """How many items both have, from the start."""
    last_common: DiffItem | None
    rows: list[DiffRow]


def compare(access: Access, session_id: str, one: str | int, other: str | int) -> BranchDiff:
    """What two branches have in common, and the items of either side beside each other.

    Raises:
        UnknownBranchError: The session has no such branch.
    """
    sides = access.sides_of(session_id, one, other)
    ids = [*sides["left"], *sides["right"], *filter(None, [sides["last_common"]])]
    items = {row[0]: DiffItem(*row) for row in access.rows(_ITEMS, {"ids": ids}).rows}
    left = [items[item_id] for item_id in sides["left"] if item_id in items]
    right = [items[item_id] for item_id in sides["right"] if item_id in items]
    pairs = list(_aligned(left, right))
    both = [(ours.item_id, theirs.item_id) for ours, theirs in pairs if ours and theirs]
    found = access.rows(
        _DISTANCES,
        {
            "left": [pair[0] for pair in both],
            "right": [pair[1] for pair in both],
            "most": MOST_CHARACTERS,
        },
    )
    distances = dict(found.rows)
    return BranchDiff(
        left=sides["names"][0],
        right=sides["names"][1],
        common_count=sides["common_count"],
        last_common=items.get(sides["last_common"]),
        rows=[
            DiffRow(ours, theirs, distances.get(ours.item_id) if ours and theirs else None)
            for ours, theirs in pairs
        ],
    )


def _aligned(
    left: Sequence[DiffItem], right: Sequence[DiffItem]
) -> Iterator[tuple[DiffItem | None, DiffItem | None]]:
    """Pairs of items of one kind, run beside run."""
    for ours, theirs in _paired(_runs(left), _runs(right)):
        keys = [[_key(item) for item in side] for side in (ours, theirs)]
        # Its shortcut for long sequences takes what stands there often, such as calls of one tool,
        # for noise.
        is_huge = len(ours) * len(theirs) > MOST_PAIRS
        blocks = SequenceMatcher(None, keys[0], keys[1], autojunk=is_huge).get_opcodes()
        for _, start, end, other_start, other_end in blocks:
            if (
                end - start == other_end - other_start
                and keys[0][start:end] == keys[1][other_start:other_end]
            ):
                yield from zip(ours[start:end], theirs[other_start:other_end], strict=True)
            else:
                yield from ((item, None) for item in ours[start:end])
                yield from ((None, item) for item in theirs[other_start:other_end])


def _runs(items: Sequence[DiffItem]) -> list[list[DiffItem]]:
    return [list(run) for _, run in groupby(items, key=lambda item: item.turn_number)]


def _paired(
    left: list[list[DiffItem]], right: list[list[DiffItem]]
) -> Iterator[tuple[list[DiffItem], list[DiffItem]]]:
    for number in range(max(len(left), len(right))):
        yield (
            left[number] if number < len(left) else [],
            right[number] if number < len(right) else [],
        )


def _key(item: DiffItem) -> tuple[str | None, str | None, str | None]:
    return item.item_type, item.role, item.tool_name


_ITEMS = """
select item_id, turn_number, item_type, role, agent_name, tool_name, text
from items
where item_id in (select unnest($ids::bigint[]))
"""

_DISTANCES = """
select
    pairs.left_id,
    case
        when greatest(length(lefts.text), length(rights.text)) <= $most
            then levenshtein(lefts.text, rights.text)
            / greatest(length(lefts.text), length(rights.text), 1)::double
    end
from (select unnest($left::bigint[]) as left_id, unnest($right::bigint[]) as right_id) as pairs
inner join (select item_id, coalesce(text, '') as text from items) as lefts
    on pairs.left_id = lefts.item_id
inner join (select item_id, coalesce(text, '') as text from items) as rights
    on pairs.right_id = rights.item_id
"""
