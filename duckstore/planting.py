"""Where the items of an import go, and how the path of the session follows.

A new item goes where the item before it is the end of its branch; else it begins a branch. It is
put there as if the conversation had been read whole at first: an import is cut nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from duckstore.batch import Batch, Entry, NewItem, OpenResponse
from duckstore.branch import Branch
from duckstore.command import Statement
from duckstore.schema import OPEN_END
from duckstore.stretches import TreeItem
from duckstore.tree import NextId, SessionState, kind_of

__all__ = ["Planting"]

Place = tuple[Branch, int]


@dataclass(slots=True)
class Planting:
    """The items of one import on their way into the session."""

    state: SessionState
    next_id: NextId
    new: Sequence[NewItem]
    parents: Sequence[int]
    times: Sequence[datetime]
    agents: Sequence[str | None] | None
    told: Sequence[int]
    """Items of the responses of which more is told."""
    stays: bool = False
    """Whether the path is to be where it was."""
    is_found: list[bool] = field(default_factory=list)
    """For each item whether it was there before."""
    responses: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By item of `told`, and by item that was there: its response, and the response's run."""
    begun: list[Branch] = field(default_factory=list)
    """The branches that were begun."""
    statements: list[Statement] = field(default_factory=list)
    """What is to be changed of rows that were there."""
    start: Place | None = None
    """Where the path was; None where the session had no items."""
    _entries: list[Entry | None] = field(default_factory=list)
    _at: dict[tuple[int, int], Entry] = field(default_factory=dict)
    """All items by branch and position, where there may be more than one path."""
    _call_counts: dict[int, int] = field(default_factory=dict)
    """How many calls each response has that was there."""

    def __post_init__(self) -> None:
        self.is_found = [False] * len(self.new)
        self._entries = [None] * len(self.new)

    def take_stored(self, items: Sequence[TreeItem], found: Sequence[int]) -> None:
        """Take the items that are there, and which of them those of the import are."""
        self.start = (self.state.current, len(self.state.path))
        runs: dict[int, int] = {}
        for entry, _, response_id in items:
            self._at[entry.branch_id, entry.position] = entry
            if response_id is not None:
                runs.setdefault(response_id, entry.run_id)
                self._call_counts.setdefault(response_id, 0)
                self._call_counts[response_id] += entry.is_call
        for index, number in enumerate(found):
            if number >= 0:
                entry, _, response_id = items[number]
                self._entries[index], self.is_found[index] = entry, True
                if response_id is not None:
                    self.responses[index] = (response_id, runs[response_id])

    def index_of(self, entry: Entry | None) -> int | None:
        """Which item of the import one is; -1 for the place before all; None where it is none."""
        if entry is None:
            return -1
        for index, own in enumerate(self._entries):
            if own is not None and own.item_id == entry.item_id:
                return index
        return None

    def place_of(self, index: int) -> Place:
        """Where an item is: its branch, and its position there."""
        entry = self._entries[index]
        assert entry is not None  # noqa: S101
        return self.state.branches[entry.branch_id], entry.position

    # The items -------------------------------------------------------------------------------

    def plant_all(self, wanted: Mapping[int, str]) -> None:
        """Put every item that is not there after the one that it follows.

        Args:
            wanted: Names for the branches that certain items begin.
        """
        told = set(self.told)
        count, first = len(self.new), 0
        while first < count:
            end = first + 1
            while end < count and self.parents[end] == end - 1:
                end += 1
            while first < end and self.is_found[first]:
                first += 1
            if first < end:  # what follows a new item is new
                self._go_to(self.parents[first])
                self._begin(first, wanted.get(first))
                self._append(first, end, told)
            first = end

    def _go_to(self, index: int) -> None:
        """Let the path end at an item, on the branch that it was written on."""
        state = self.state
        if index >= 0:
            branch, position = self.place_of(index)
            self._go(branch, position, self._entries[index])
        elif state.path or state.current.branch_id != state.session_key:
            state.path.cut(0)
            state.current = state.branches[state.session_key]

    def _go(self, branch: Branch, length: int, last: Entry | None) -> None:
        """Let the path be the first items of a branch's, up to `last`."""
        path = self.state.path
        index = path.index_of(last.item_id) if last is not None else -1
        if index is not None and index + 1 == length:
            path.cut(length)
        else:
            path.replace(
                self._at[stretch.source_branch_id, position]
                for stretch in branch.stretches(0, length)
                for position in range(stretch.first_position, stretch.last_position + 1)
            )
        self.state.current = branch

    def _begin(self, first: int, name: str | None) -> None:
        """Go to the branch that goes on here: the one that the path is on, or another."""
        state, branch = self.state, self.state.current
        named = state.named(name) if name is not None and self.start is not None else None
        if named is not None and not self._is_kept(named) and self._is_empty_here(named):
            state.current = named
        elif len(state.path) < branch.tip or branch.is_deleted or self._is_kept(branch):
            kind = kind_of(self.new[first : first + 1])
            state.branch_off(kind, f"~{first}", self.next_id, self.times[first])
            self.begun.append(state.current)

    def _is_kept(self, branch: Branch) -> bool:
        """Whether the path stays on it, so that nothing is added there."""
        return self.stays and self.start is not None and branch is self.start[0]

    def _is_empty_here(self, branch: Branch) -> bool:
        """Whether a branch has no item of its own and would begin where the path ends."""
        length, here = len(self.state.path), self.state.path.last
        if branch.is_deleted or here is None or not branch.tip == branch.fork_position == length:
            return False
        last = self._last_of(branch, length)
        return last is not None and last.item_id == here.item_id

    def _append(self, first: int, end: int, told: set[int]) -> None:
        state = self.state
        goes_on = self._open_response(first)
        batch = Batch(
            state,
            "import",
            self.times[first:end],
            agent_names=self.agents[first:end] if self.agents is not None else None,
            goes_on=goes_on,
            begins=self._beginnings(first, end, told, goes_on) if told else (),
        )
        rows = state.rows["item_rows"]
        row_count = len(rows)
        batch.add_all(self.new[first:end], self.next_id)
        added = state.path[len(state.path) - (end - first) :]
        self._entries[first:end] = added
        if self.start is not None or not isinstance(self.parents, range):
            self._at.update({(entry.branch_id, entry.position): entry for entry in added})
        if goes_on is not None:
            self._count_calls(goes_on, rows[row_count:])
        for index in range(first, end) if told else ():
            row = rows[row_count + index - first]
            if index in told and row[_RESPONSE_ID] is not None:
                self.responses[index] = (row[_RESPONSE_ID], row[_RUN_ID])

    def _open_response(self, first: int) -> OpenResponse | None:
        """The response that an item goes on with, where it follows one that was there."""
        before = self.parents[first]
        entry = self.state.path.last
        if before < 0 or before != first - 1 or not self.is_found[before] or entry is None:
            return None
        goes_on = entry.branch_id == self.state.current.branch_id and not entry.is_copy
        if not goes_on or entry.part != "model" or before not in self.responses:
            return None
        response_id, run_id = self.responses[before]
        return OpenResponse(response_id, run_id, self._call_counts[response_id])

    def _beginnings(
        self, first: int, end: int, told: set[int], goes_on: OpenResponse | None
    ) -> set[int]:
        """The items that begin a response because another one is told of what is before them."""
        is_told = goes_on is not None and any(
            self.responses.get(index, (0, 0))[0] == goes_on.response_id
            for index in told
            if self.is_found[index]
        )
        begins: set[int] = set()
        is_model = goes_on is not None
        for index in range(first, end):
            was_model, is_model = is_model, self.new[index].description.part == "model"
            if is_model and not was_model:
                is_told = False
            if is_model and index in told:
                if was_model and is_told:
                    begins.add(index - first)
                is_told = True
        return begins

    def _count_calls(self, response: OpenResponse, rows: Sequence[tuple[Any, ...]]) -> None:
        """Tell the calls of a response that went on how many they are now."""
        added = sum(
            row[_RESPONSE_ID] == response.response_id and row[_CALL_INDEX] is not None
            for row in rows
        )
        if added and response.call_count:
            self.statements.append(
                (
                    "update item_rows set parallel_count = ?"
                    " where session_key = ? and response_id = ? and call_index is not null",
                    [response.call_count + added, self.state.session_key, response.response_id],
                )
            )

    # The path --------------------------------------------------------------------------------

    def settle(self, last: int | None, now: datetime) -> None:
        """Let the path be where it was, or where the conversation was when it was read.

        Where nothing was added, it is where it was.
        """
        state, moves = self.state, self.state.rows["move_rows"]
        if all(self.is_found):
            return
        if self.stays and self.start is not None:
            branch, length = self.start
            entry = self._last_of(branch, length)
        else:
            last = len(self.new) - 1 if last is None else last
            branch, length = self.place_of(last)
            entry = self._entries[last]
        start = self.start or (state.branches[state.session_key], 0)
        left = self._last_of(*start)
        known = state.branches[moves[-1][_TO_BRANCH_ID]] if moves else start[0]
        end = length if length < branch.tip else OPEN_END
        came_from = state.here
        is_there = came_from == (branch.branch_id, length)
        self._go(branch, length, entry)
        goes_on = left is None or state.path.index_of(left.item_id) is not None
        if is_there and branch is known and branch.end == end and goes_on:
            return
        branch.end, branch.is_deleted = end, False
        if self.start is not None:  # who was there is found again there, or goes on here
            came_from = state.here if goes_on else (start[0].branch_id, start[1])
        state.move("switch" if self.stays else "import", came_from, self.next_id, now)

    def _last_of(self, branch: Branch, length: int) -> Entry | None:
        """The last of the first items of a branch's path."""
        if not length:
            return None
        (last,) = branch.stretches(length - 1, length)
        return self._at[last.source_branch_id, last.last_position]


_RESPONSE_ID = 11
_RUN_ID = 7
_CALL_INDEX = 14
_TO_BRANCH_ID = 5
