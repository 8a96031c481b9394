"""One session's tree in memory, and how it grows.

A session is a tree of items and a pointer into it. `SessionState` holds the current path (the
items from the start to the pointer), the branches, and the rows of each change that has not been
written yet. It knows nothing of DuckDB: methods change the state and add rows to `rows`, which the
store writes in one transaction. After a failed write the state is thrown away and read again.

The rules kept here:

- An append goes on with the current branch only where the path ends at the branch's tip. After a
  pop or a rewind the same append begins a new branch, which takes over the name; the branch that
  it replaces keeps every item and gets a number after its name. Nothing is overwritten.
- A compaction begins a branch as well. What it replaces is archived: off the path, but still part
  of the conversation, unlike what an edit supersedes.

How a batch is divided into runs, responses and tool calls is decided in `duckstore.batch`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from duckstore.batch import Batch, Entry, NewItem
from duckstore.branch import Branch, Kind, Stretch
from duckstore.encoding import is_exact
from duckstore.schema import OPEN_END

__all__ = ["SessionState"]

Row = tuple[Any, ...]


@dataclass(slots=True)
class SessionState:
    """A session's branches and current path, and the rows not yet written."""

    session_key: int
    session_id: str
    branches: dict[int, Branch]
    current: Branch
    path: list[Entry] = field(default_factory=list)
    rows: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    renamed: dict[int, str] = field(default_factory=dict)
    open_calls: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Positions (from 0) of the unanswered calls on the path, by pairing key."""
    answered: dict[int, int] = field(default_factory=dict)
    """How many outputs each call has had, on any path, by the call's item id."""
    byte_count: int = 0
    is_exact: bool = True
    """Whether orjson gives equal values for the raw items of the path."""
    has_moved: bool = False
    """Whether its path was ever changed otherwise than by appending to it."""
    is_stored: bool = True
    """Whether the session's own row is in the file (or among `rows`)."""

    @classmethod
    def new(cls, session_id: str) -> SessionState:
        """The state of a session that is not stored: its first branch and nothing on it.

        It gets its key when it is created.
        """
        root = Branch(0, "main", None, 0, "root", tip=0)
        return cls(0, session_id, {root.branch_id: root}, root, is_stored=False)

    def create(
        self,
        next_id: Callable[[], int],
        now: datetime,
        *,
        title: str | None = None,
        user_id: str | None = None,
        tags: str = "[]",
        metadata: str = "{}",
        source: str | None = None,
    ) -> None:
        """Leave the rows of the session itself, if it is not stored yet."""
        if self.is_stored:
            return
        self.is_stored = True
        self.session_key = self.current.branch_id = next_id()
        self.branches = {self.session_key: self.current}
        attributes = (title, user_id, tags, metadata, source)
        parent = (None, None)  # the session and item that it was forked from
        self.rows["session_rows"].append(
            (self.session_key, self.session_id, now, *attributes, *parent)
        )
        self.rows["branch_rows"].append(self.branch_row(self.current, now))

    def unstore(self) -> None:
        """Be as a session that was never stored."""
        fresh = SessionState.new(self.session_id)
        self.session_key, self.is_stored, self.has_moved, self.answered = 0, False, False, {}
        self.branches, self.current = fresh.branches, fresh.current
        self.set_path([])

    def name_after_current(self) -> None:
        """Name the current branch "main" and the others after it, in the order they began."""
        others = (b for b in self.branches.values() if b is not self.current)
        self.current.name = self.renamed[self.current.branch_id] = "main"
        for number, branch in enumerate(others, start=1):
            branch.name = self.renamed[branch.branch_id] = f"main~{number}"

    def branch_row(self, branch: Branch, now: datetime) -> Row:
        """The row of `branch_rows` for a branch."""
        return (
            branch.branch_id,
            self.session_key,
            branch.name,
            branch.parent_branch_id,
            branch.fork_position,
            branch.kind,
            now,
        )

    def move(
        self, operation: str, came_from: tuple[int, int], next_id: Callable[[], int], now: datetime
    ) -> None:
        """Add the row of a change of the path: from where, to the current branch's head."""
        self.has_moved = True
        self.rows["move_rows"].append(
            (
                next_id(),
                self.session_key,
                operation,
                *came_from,
                self.current.branch_id,
                len(self.path),
                self.current.end,
                now,
            )
        )

    # The path --------------------------------------------------------------------------------

    def push(self, entry: Entry) -> None:
        """Put an entry at the end of the path and keep the open calls in step."""
        self.path.append(entry)
        self.byte_count += len(entry.raw) + 400
        if self.is_exact and not is_exact(entry.raw):
            self.is_exact = False
        if entry.pairing_key is None:
            return
        if entry.is_call:
            self.open_calls[entry.pairing_key].append(len(self.path) - 1)
        elif entry.answers_item_id is not None:
            calls = self.open_calls[entry.pairing_key]
            for index in range(len(calls) - 1, -1, -1):
                if self.path[calls[index]].item_id == entry.answers_item_id:
                    del calls[index]
                    break

    def set_path(self, entries: Iterable[Entry]) -> None:
        """Replace the whole path."""
        self.path, self.open_calls, self.byte_count = [], defaultdict(list), 0
        self.is_exact = True
        for entry in entries:
            self.push(entry)

    def cut(self, length: int) -> list[Entry]:
        """Shorten the path to `length` items and return those that are gone from it."""
        gone = self.path[length:]
        if len(gone) == 1:
            self._drop_last()
        elif gone:
            self.set_path(self.path[:length])
        self.current.end = length if length < self.current.tip else OPEN_END
        return gone

    def empty(self) -> None:
        """Leave nothing but the first branch, without items."""
        root = self.branches[self.session_key]
        root.name, root.tip, root.end = "main", 0, OPEN_END
        self.branches, self.current = {root.branch_id: root}, root
        self.answered = {}
        self.set_path([])

    def owns_last(self) -> bool:
        """Whether the last item of the path is the current branch's tip and on no other branch."""
        position = len(self.path)
        return position == self.current.tip > self.current.fork_position and not any(
            stretch.source_branch_id == self.current.branch_id and stretch.last_position >= position
            for branch in self.branches.values()
            for stretch in branch.lineage
        )

    def delete_last(self) -> None:
        """Take the last item off the path and off its branch, as if it had never been there."""
        self._drop_last()
        self.current.tip = len(self.path)
        self.current.end = OPEN_END

    def _drop_last(self) -> None:
        entry = self.path.pop()
        self.byte_count -= len(entry.raw) + 400
        if entry.pairing_key is None:
            return
        calls = self.open_calls[entry.pairing_key]
        if entry.is_call and calls and calls[-1] == len(self.path):
            calls.pop()
        elif entry.answers_item_id is not None:
            # A compaction can have taken the call off the path and left its output there.
            for index in range(len(self.path) - 1, -1, -1):
                if self.path[index].item_id == entry.answers_item_id:
                    calls.append(index)
                    calls.sort()
                    break

    # Growing ---------------------------------------------------------------------------------

    def append(
        self,
        items: Sequence[NewItem],
        next_id: Callable[[], int],
        now: datetime,
        *,
        operation: str = "append",
        agent_name: str | None = None,
        is_live: bool = False,
    ) -> list[int]:
        """Add a batch at the end of the path, on a new branch where the path was cut.

        Returns the ids of the responses that the batch holds, in order.
        """
        if len(self.path) < self.current.tip:
            kind: Kind = "edit" if items[0].description.part == "input" else "regenerate"
            self._replace_branch(kind, next_id, now)
        batch = Batch(self, operation, now, agent_name=agent_name, is_live=is_live)
        batch.add_all(items, next_id)
        return batch.response_ids

    def compact(
        self,
        start: int,
        items: Sequence[NewItem],
        next_id: Callable[[], int],
        now: datetime,
        *,
        drop_first: int = 0,
    ) -> None:
        """Put `items` in the place of the path from index `start` on (0-based).

        The first `drop_first` items leave the path too. What leaves it stays stored, archived.
        """
        before, kept = self.current, self.path[drop_first:start]
        last = self.path[-1] if self.path else None
        came_from = (before.branch_id, len(self.path))
        lineage = [
            *(
                replace(stretch, position_offset=stretch.position_offset - drop_first)
                for stretch in before.stretches(drop_first, start)
            ),
            *(
                replace(stretch, archived_at=min(stretch.archived_at, len(kept)))
                for stretch in before.archived(len(self.path))
                if stretch.archived_at is not None
            ),
            *(
                replace(stretch, position_offset=0, archived_at=0)
                for stretch in before.stretches(0, drop_first)
            ),
            *(
                replace(stretch, position_offset=0, archived_at=len(kept))
                for stretch in before.stretches(start, len(self.path))
            ),
        ]
        name = self._give_up_name(before)
        self.current = self._new_branch("compact", lineage, len(kept), name, next_id, now)
        before.end = OPEN_END
        self.set_path(kept)
        self.move("compact", came_from, next_id, now)
        if items:
            Batch(self, "compact", now, continues=last).add_all(items, next_id)

    def fork(self, name: str, position: int, next_id: Callable[[], int], now: datetime) -> Branch:
        """Begin a branch by name after the first `position` items of the path, and go there."""
        came_from = (self.current.branch_id, len(self.path))
        lineage = self._lineage_at(position)
        self.current = self._new_branch("fork", lineage, position, name, next_id, now)
        self.set_path(self.path[:position])
        self.move("fork", came_from, next_id, now)
        return self.current

    def _replace_branch(self, kind: Kind, next_id: Callable[[], int], now: datetime) -> None:
        """Begin an alternative to what was cut off the current path."""
        before, length = self.current, len(self.path)
        name = self._give_up_name(before)
        self.current = self._new_branch(kind, self._lineage_at(length), length, name, next_id, now)
        before.end = OPEN_END
        self.move(kind, (before.branch_id, length), next_id, now)

    def _lineage_at(self, length: int) -> list[Stretch]:
        """The stretches that a branch begun after `length` items of the path inherits."""
        return self.current.stretches(0, length) + self.current.archived(length)

    def _new_branch(
        self,
        kind: Kind,
        lineage: list[Stretch],
        fork_position: int,
        name: str,
        next_id: Callable[[], int],
        now: datetime,
    ) -> Branch:
        branch = Branch(
            branch_id=next_id(),
            name=name,
            parent_branch_id=self.current.branch_id,
            fork_position=fork_position,
            kind=kind,
            tip=fork_position,
            lineage=lineage,
        )
        self.branches[branch.branch_id] = branch
        self.rows["branch_rows"].append(self.branch_row(branch, now))
        self.rows["lineage_rows"].extend(
            (
                branch.branch_id,
                self.session_key,
                stretch.source_branch_id,
                stretch.first_position,
                stretch.last_position,
                stretch.position_offset,
                stretch.archived_at,
            )
            for stretch in lineage
        )
        return branch

    def _give_up_name(self, branch: Branch) -> str:
        """The name of a branch, for the one that takes its place; it keeps it with a number."""
        name, number = branch.name, 1
        taken = {other.name for other in self.branches.values()}
        while f"{name}~{number}" in taken:
            number += 1
        branch.name = self.renamed[branch.branch_id] = f"{name}~{number}"
        return name
