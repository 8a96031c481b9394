"""Which items of a conversation that is read from elsewhere are in a stored session already.

Both are trees of texts. They are laid over each other from the openings down: an item that follows
the same item as another one, with the same text, is the same. So whatever both have, they have
once, and what only one has hangs where it went another way. Nothing here knows sessions or files.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

__all__ = ["overlap"]

MOST_COMPARED = 1000
"""So many items below two that are alike are compared, to tell which of several are the same."""
MOST_PAIRS = 400
"""Where more pairs of alternatives are alike, they go together in their order."""

Children = dict[int, dict[Hashable, list[int]]]


def overlap(
    parents: Sequence[int],
    texts: Sequence[Hashable],
    stored_parents: Sequence[int],
    stored_texts: Sequence[Hashable],
) -> list[int]:
    """Lay two trees over each other.

    Args:
        parents: For each item the index of the one before it, which is lower, or -1.
        texts: The items, or what stands for each of them.
        stored_parents: The same of the stored ones, in the order in which they came.
        stored_texts: The stored items, or what stands for each of them.

    Returns:
        For each item the index of the stored one that it is, or -1. Each stored one is one item
        at most.
    """
    children = _children(parents, texts)
    stored = _children(stored_parents, stored_texts)
    found = [-1] * len(texts)
    waiting = [(-1, -1)]
    while waiting:
        ours, theirs = waiting.pop()
        stored_below = stored.get(theirs)
        if stored_below is None:
            continue
        for text, alike in children.get(ours, {}).items():
            candidates = stored_below.get(text)
            if candidates is None:
                continue
            for one, other in _pairs(alike, candidates, children, stored):
                found[one] = other
                waiting.append((one, other))
    return found


def _children(parents: Sequence[int], texts: Sequence[Hashable]) -> Children:
    """By item, what follows it: by text, in order."""
    children: Children = {}
    for index, parent in enumerate(parents):
        children.setdefault(parent, {}).setdefault(texts[index], []).append(index)
    return children


def _pairs(
    alike: list[int], candidates: list[int], children: Children, stored: Children
) -> list[tuple[int, int]]:
    """Which of several alternatives with one text are the same: those that go on alike."""
    pair_count = len(alike) * len(candidates)
    if pair_count == 1 or pair_count > MOST_PAIRS:
        return list(zip(alike, candidates, strict=False))
    ranked = sorted(
        (-_shared(one, other, children, stored), place, one, other)
        for place, (one, other) in enumerate((one, other) for one in alike for other in candidates)
    )
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for _, _, one, other in ranked:
        if one not in pairs and other not in taken:
            pairs[one] = other
            taken.add(other)
    return list(pairs.items())


def _shared(one: int, other: int, children: Children, stored: Children) -> int:
    """How many items below two are alike; it stops counting at `MOST_COMPARED`."""
    count = 0
    waiting = [(one, other)]
    while waiting and count < MOST_COMPARED:
        ours, theirs = waiting.pop()
        below = stored.get(theirs, {})
        for text, alike in children.get(ours, {}).items():
            both = list(zip(alike, below.get(text, ()), strict=False))
            count += len(both)
            waiting += both
    return count
