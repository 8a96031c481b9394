"""The current path in memory, and what two paths have in common, against plain lists."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from duckstore.batch import Entry
from duckstore.branch import Branch, Stretch, common_length
from duckstore.operations import new_items
from duckstore.path import FEW, PER_ENTRY, Path
from duckstore.tree import SessionState
from tests.samples import assistant, call, output, user

KINDS: dict[str, Callable[[], Any]] = {
    "user": lambda: user("question"),
    "system": lambda: {"role": "system", "content": "be brief"},
    "assistant": lambda: assistant("answer"),
    "call a": lambda: call("look", "a"),
    "call b": lambda: call("look", "b"),
    "output a": lambda: output("a"),
    "output b": lambda: output("b"),
    "search": lambda: {"type": "tool_search_call", "arguments": {}},
    "search output": lambda: {"type": "tool_search_output", "tools": []},
    "hosted call": lambda: {"type": "web_search_call", "id": "ws", "status": "completed"},
}
PATHS = st.builds(
    lambda kinds, times: kinds * times,
    st.lists(st.sampled_from(sorted(KINDS)), max_size=15),
    st.integers(1, 10),
)


def grown(kinds: list[str], batch: int = 3) -> Path:
    """A path that grew by batches, as a session's does."""
    state = SessionState.new("s")
    ids = itertools.count(10, 3)
    now = datetime.now(UTC)
    state.create(ids.__next__, now)
    for start in range(0, len(kinds), batch):
        raws = [json.dumps(KINDS[kind]()) for kind in kinds[start : start + batch]]
        state.append(new_items(raws), ids.__next__, now)
    return state.path


def rebuilt(path: Path) -> Path:
    """Another one with the same entries, which knows nothing of how they came there."""
    other = Path()
    other.replace(replace(entry) for entry in path)
    return other


def open_calls(path: Path) -> dict[str, list[int]]:
    return {key: calls for key, calls in path.open_calls.items() if calls}


def unanswered(path: Path) -> dict[str, list[int]]:
    """The same, looked up plainly."""
    found: dict[str, list[int]] = {}
    answered = {entry.answers_item_id for entry in path}
    for index, entry in enumerate(path):
        if entry.is_call and entry.pairing_key is not None and entry.item_id not in answered:
            found.setdefault(entry.pairing_key, []).append(index)
    return found


# Looking up ------------------------------------------------------------------------------------


def test_an_empty_path_has_nothing() -> None:
    path = Path()
    assert (len(path), path.last, path.byte_count, list(path)) == (0, None, 0, [])
    assert path.index_of(1) is path.first_of_turn(1) is None
    assert open_calls(path) == {}
    assert path.is_exact
    path.cut(0)
    assert len(path) == 0


@settings(max_examples=40, deadline=None)
@given(PATHS)
def test_an_item_is_found_where_it_stands(kinds: list[str]) -> None:
    """And one that is not there is not, be its id below, between or above the others'."""
    path = grown(kinds)
    ids = [entry.item_id for entry in path]
    assert [path.index_of(item_id) for item_id in ids] == list(range(len(kinds)))
    for other in {0, 2**80, *(item_id + 1 for item_id in ids)} - set(ids):
        assert path.index_of(other) is None


@settings(max_examples=40, deadline=None)
@given(PATHS)
def test_a_run_is_found_where_it_begins(kinds: list[str]) -> None:
    """And one that is not there is not."""
    path = grown(kinds)
    turns = [entry.turn_number for entry in path]
    assert turns == sorted(turns)
    for turn in {-1, 0, 10**9, *turns}:
        expected = turns.index(turn) if turn in turns else None
        assert path.first_of_turn(turn) == expected


# Changing --------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(PATHS, st.lists(st.tuples(st.integers(0, 150), PATHS), max_size=4), st.booleans())
def test_a_path_that_was_cut_is_one_that_was_made_new(
    kinds: list[str], steps: list[tuple[int, list[str]]], is_known: bool
) -> None:
    """Open calls, size and last entry, whatever it was cut to and however it grew after that."""
    path = grown(kinds)
    if is_known:
        assert open_calls(path) == unanswered(path)
    more = [entry for _, added in steps for entry in grown(added)]
    for length, added in steps:
        before = list(path)
        path.cut(length)
        assert list(path) == before[:length]
        same = rebuilt(path)
        assert open_calls(path) == open_calls(same) == unanswered(path)
        assert path.byte_count == same.byte_count == size_of(path)
        assert path.last == same.last
        highest = path.last.item_id if path.last else 0
        for entry in more[: len(added)]:
            # It has no call to answer here: what it answered stood on another path.
            path.push(replace(entry, item_id=highest + entry.item_id, answers_item_id=None))


def size_of(path: Path) -> int:
    return sum(len(entry.raw) + PER_ENTRY for entry in path)


@pytest.mark.parametrize("count", [0, 1, FEW - 1, FEW, FEW + 1, 3 * FEW])
def test_a_short_cut_and_a_long_one_open_the_same_calls(count: int) -> None:
    """Outputs that are cut off open their calls again, in order; calls that are go."""
    kinds = ["user", "call a", "call a", "call b", "output a", "call a"]
    kinds += ["call a", "call b", "output b", "output a"] * FEW
    path = grown(kinds)
    assert open_calls(path) == unanswered(path)
    path.cut(len(kinds) - count)
    assert open_calls(path) == unanswered(path) == open_calls(rebuilt(path))
    assert len(path) == len(kinds) - count
    path.cut(len(path) + 5)  # longer than it is
    assert len(path) == len(kinds) - count


def test_an_output_whose_call_is_not_there_is_cut_off() -> None:
    """A compaction can have taken the call from the start of the path."""
    kept = list(grown(["call a", "call a", "output a", "user"]))[2:]
    path = Path()
    path.replace(kept)
    assert open_calls(path) == {}
    path.cut(0)
    assert open_calls(path) == {}


def test_the_size_is_that_of_what_stands_there() -> None:
    """After growing, cutting and putting others in the place of all."""
    path = grown(["user", "assistant", "call a"] * 40)
    assert path.byte_count == size_of(path) > 120 * PER_ENTRY
    path.replace(list(path)[5:9])
    assert (len(path), path.byte_count) == (4, size_of(path))
    path.cut(1)
    assert path.byte_count == size_of(path)


def test_a_number_beyond_64_bits_is_remembered() -> None:
    """Until others stand in the place of all: what was cut may be asked for too much, never too
    little."""
    path = grown(["user"])
    big = replace(path[0], item_id=99, raw=json.dumps({"n": 2**80}))
    path.push(big)
    assert not path.is_exact
    path.cut(1)
    assert not path.is_exact
    path.replace(list(path))
    assert path.is_exact
    path.replace([*path, big])
    assert not path.is_exact


# What paths have in common ---------------------------------------------------------------------

Position = tuple[int, int]
"""A branch, and a position on it: it stands for an item."""


@dataclass
class Line:
    """A branch, and its path as a plain list."""

    branch: Branch
    path: list[Position]

    def grow(self, count: int) -> None:
        for _ in range(count):
            self.branch.tip += 1
            self.path.append((self.branch.branch_id, self.branch.tip))


def begun(number: int, parent: Line, lineage: list[Stretch], path: list[Position]) -> Line:
    branch = Branch(
        number, str(number), parent.branch.branch_id, len(path), "fork", len(path), lineage=lineage
    )
    return Line(branch, path)


@st.composite
def trees(draw: st.DrawFn) -> list[Line]:
    """Branches that grew, were forked anywhere, and were compacted at either end."""
    root = Line(Branch(1, "main", None, 0, "root", tip=0), [])
    root.grow(draw(st.integers(0, 6)))
    lines = [root]
    for number in range(2, draw(st.integers(2, 9))):
        line = draw(st.sampled_from(lines))
        length = draw(st.integers(0, len(line.path)))
        first = draw(st.integers(0, length)) if draw(st.booleans()) else 0
        lineage = [
            replace(stretch, position_offset=stretch.position_offset - first)
            for stretch in line.branch.stretches(first, length)
        ]
        if first:
            lineage += [replace(s, archived_at=0) for s in line.branch.stretches(0, first)]
        new = begun(number, line, lineage, line.path[first:length])
        new.grow(draw(st.integers(0, 4)))
        lines.append(new)
        draw(st.sampled_from(lines)).grow(draw(st.integers(0, 3)))
    return lines


def positions(stretches: list[Stretch]) -> Iterator[Position]:
    for stretch in stretches:
        for position in range(stretch.first_position, stretch.last_position + 1):
            yield stretch.source_branch_id, position


@settings(max_examples=200, deadline=None)
@given(trees(), st.data())
def test_what_is_common_is_the_longest_common_beginning(
    lines: list[Line], data: st.DataObject
) -> None:
    """Of any two paths, of any of their lengths, in either order."""
    for _ in range(8):
        one, other = (data.draw(st.sampled_from(lines)) for _ in range(2))
        lengths = [data.draw(st.integers(0, len(line.path))) for line in (one, other)]
        expected = 0
        for ours, theirs in zip(one.path[: lengths[0]], other.path[: lengths[1]], strict=False):
            if ours != theirs:
                break
            expected += 1
        assert common_length(one.branch, lengths[0], other.branch, lengths[1]) == expected
        assert common_length(other.branch, lengths[1], one.branch, lengths[0]) == expected


@settings(max_examples=100, deadline=None)
@given(trees(), st.data())
def test_stretches_are_the_part_of_the_path_that_was_asked_for(
    lines: list[Line], data: st.DataObject
) -> None:
    """In order, and none of them empty; the path positions follow from the offsets."""
    for line in lines:
        start = data.draw(st.integers(0, len(line.path) + 1))
        end = data.draw(st.integers(0, len(line.path) + 1))
        stretches = line.branch.stretches(start, end)
        assert list(positions(stretches)) == line.path[start:end]
        at = start
        for stretch in stretches:
            assert stretch.first_position + stretch.position_offset == at + 1
            at += stretch.last_position - stretch.first_position + 1
        assert line.branch.length == len(line.path)


def test_an_entry_knows_the_size_of_the_path_up_to_it() -> None:
    path = grown(["user", "assistant"])
    first: Entry = path[0]
    assert first.bytes_to_here == len(first.raw) + PER_ENTRY
    assert path[1].bytes_to_here == path.byte_count
