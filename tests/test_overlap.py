"""Two trees laid over each other: what both have is found once."""

from __future__ import annotations

from collections import Counter

import hypothesis.strategies as st
import pytest
from hypothesis import given

from duckstore.overlap import MOST_PAIRS, overlap

Tree = list[tuple[int, str]]


def laid(ours: Tree, stored: Tree) -> list[int]:
    return overlap(
        [parent for parent, _ in ours],
        [text for _, text in ours],
        [parent for parent, _ in stored],
        [text for _, text in stored],
    )


PATH = [(-1, "a"), (0, "b"), (1, "c")]
# Two openings with one text, which go on differently.
TWINS = [(-1, "a"), (0, "b"), (-1, "a"), (2, "c"), (3, "d")]


@pytest.mark.parametrize(
    ("ours", "stored", "expected"),
    [
        ([], PATH, []),
        (PATH, [], [-1, -1, -1]),
        (PATH, PATH, [0, 1, 2]),
        (PATH, PATH[:2], [0, 1, -1]),
        (PATH[:2], PATH, [0, 1]),
        ([(-1, "a"), (0, "x"), (1, "c")], PATH, [0, -1, -1]),
        # The same text after another item is another item.
        ([(-1, "b"), (0, "c")], PATH, [-1, -1]),
        # Alternatives in another order.
        ([(-1, "a"), (0, "c"), (0, "b")], [(-1, "a"), (0, "b"), (0, "c")], [0, 2, 1]),
        # Those that are alike go together as they came; a third one is new.
        ([(-1, "a")] * 3, [(-1, "a")] * 2, [0, 1, -1]),
        # Which of the twins is there is told by what follows it.
        (TWINS, [*TWINS[2:3], (0, "c"), (1, "d")], [-1, -1, 0, 1, 2]),
        ([(-1, "a"), (0, "c"), (1, "d"), (-1, "a"), (3, "b")], TWINS, [2, 3, 4, 0, 1]),
    ],
)
def test_what_both_have_is_found(ours: Tree, stored: Tree, expected: list[int]) -> None:
    assert laid(ours, stored) == expected


def test_very_many_that_are_alike_go_together_in_their_order() -> None:
    """Comparing each with each would take for ever."""
    alike = [(-1, "a")] * (MOST_PAIRS + 1)
    assert laid(alike, alike) == list(range(len(alike)))


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    length = draw(st.integers(0, 12))
    return [
        (draw(st.integers(-1, index - 1)), draw(st.sampled_from("ab"))) for index in range(length)
    ]


def path_to(tree: Tree, index: int) -> str:
    return (path_to(tree, tree[index][0]) if tree[index][0] >= 0 else "") + tree[index][1]


@given(ours=trees(), stored=trees())
def test_what_is_found_is_the_same_and_found_once(ours: Tree, stored: Tree) -> None:
    """Each pair has one path of texts, follows another pair, and no other item is that one."""
    found = laid(ours, stored)
    for index, place in enumerate(found):
        if place >= 0:
            assert path_to(ours, index) == path_to(stored, place)
            parent = ours[index][0]
            assert stored[place][0] == (found[parent] if parent >= 0 else -1)
    assert max(Counter(place for place in found if place >= 0).values(), default=1) == 1


@given(tree=trees(), length=st.integers(0, 12))
def test_a_tree_that_grew_finds_all_that_it_was(tree: Tree, length: int) -> None:
    """In its first items, whatever alternatives are alike."""
    shorter = tree[:length]
    assert sum(place >= 0 for place in laid(tree, shorter)) == len(shorter)
