"""One session's tree in memory, and how it grows.

A session is a tree of items and a pointer into it. `SessionState` holds the current path, the
branches, and the rows of each change that has not been written yet. It knows nothing of DuckDB:
methods change the state and add rows to `rows`, which the store writes in one transaction. After a
failed write the state is thrown away and read again.

The rules kept here:

- An append goes on with the current branch only where the path ends at the branch's tip. After a
  pop or a rewind the same append begins a new branch, which takes over the name; the branch that
  it replaces keeps every item and gets a number after its name. Nothing is overwritten.
- A compaction begins a branch as well. What it replaces is archived: off the path, but still part
  of the conversation, unlike what an edit supersedes.
- Every call that makes the conversation take another course (a switch, a fork, a rewind, an edit)
  is remembered, so that what an agent says that is still at an earlier one goes to the branch
  that it answers.

How a batch is divided into runs, responses and tool calls is decided in `duckstore.batch`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from duckstore.batch import Batch, Entry, NewItem
from duckstore.branch import Branch, Kind, Stretch, common_length
from duckstore.course import Diversion, first_after, note_move
from duckstore.path import Path
from duckstore.schema import OPEN_END
from duckstore.stretches import TreeItem

__all__ = ["NextId", "Place", "SessionState", "Stored", "StoredTree", "kind_of"]

Row = tuple[Any, ...]
NextId = Callable[[], int]
Place = tuple[Branch, int]
"""A branch, and how many items of its path stand before the place."""


class SeenOfRun(NamedTuple):
    """What is stored of a run beyond its items."""

    responses: list[tuple[int, bool, bool, list[str] | None]]
    """Its model calls that no tool made, in order: id, whether it has a row, and usage; and the
    call ids and messages that its items have, None where it has no items."""
    usage: list[int]
    """The sums of the token counts of all its model calls."""
    outcome: str | None
    """How it ended the last time."""
    call_ids: set[int]
    """The tool calls that were seen."""
    guardrails: set[tuple[str, bool]]
    """The guardrails that were seen, and whether they were triggered."""


class StoredTree(NamedTuple):
    """All that the file has of a session's items, and what an import of more of them must know."""

    items: list[TreeItem]
    """In the order in which they came."""
    source: str | None
    last_operation: str | None
    """What moved the path last otherwise than by an append."""
    seen_responses: frozenset[int]
    """The responses of which more is known than their items."""


class Stored(Protocol):
    """What the file tells of a session. Everything that was done before is in it."""

    def entries(
        self, session_key: int, stretches: Sequence[Stretch], before: Entry | None
    ) -> list[Entry]:
        """The items of these stretches, in path order; `before` is the one that they follow."""

    def tree(self, session_key: int) -> StoredTree:
        """All items of a session, and what an import of more of them must know."""

    def home(self, session_key: int, item_id: int) -> tuple[int, int] | None:
        """The branch that an item was written on, and its position there."""

    def head_at(self, session_key: int, moment: Mapping[str, int]) -> tuple[int, int, int] | None:
        """Where the path was at a moment: the branch, its length, and the latest id of then."""

    def answered(self, session_key: int, without: Mapping[int, int]) -> dict[int, int]:
        """How many outputs each call has, but for those from a position of a branch on."""

    def last_of_batch(self, session_key: int, first_id: int, end_id: int) -> tuple[int, int] | None:
        """The last item with an id in that half-open range, and its run."""

    def seen_of_run(self, session_key: int, run_id: int) -> SeenOfRun:
        """What is stored of a run beyond its items."""


@dataclass(slots=True)
class SessionState:
    """A session's branches and current path, and the rows not yet written."""

    session_key: int
    session_id: str
    branches: dict[int, Branch]
    current: Branch
    path: Path = field(default_factory=Path)
    rows: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    renamed: dict[int, str] = field(default_factory=dict)
    answered: dict[int, int] = field(default_factory=dict)
    """How many outputs each call has had, on any path, by the call's item id."""
    diversions: list[Diversion] = field(default_factory=list)
    """Where the conversation took another course, in order."""
    has_moved: bool = False
    """Whether its path was ever changed otherwise than by appending to it."""
    is_stored: bool = True
    """Whether the session's own row is in the file (or among `rows`)."""
    _names: dict[str, Branch] | None = None
    """The branches by name, made when one is asked for."""

    @classmethod
    def new(cls, session_id: str) -> SessionState:
        """The state of a session that is not stored: its first branch and nothing on it.

        It gets its key when it is created.
        """
        root = Branch(0, "main", None, 0, "root", tip=0)
        return cls(0, session_id, {root.branch_id: root}, root, is_stored=False)

    def create(
        self,
        next_id: NextId,
        now: datetime,
        *,
        title: str | None = None,
        user_id: str | None = None,
        tags: str = "[]",
        metadata: str = "{}",
        source: str | None = None,
        parent_session_id: str | None = None,
        parent_item_id: int | None = None,
    ) -> None:
        """Leave the rows of the session itself, if it is not stored yet."""
        if self.is_stored:
            return
        self.is_stored = True
        self.session_key = self.current.branch_id = next_id()
        self.branches = {self.session_key: self.current}
        attributes = (title, user_id, tags, metadata, source)
        self.rows["session_rows"].append(
            (
                *(self.session_key, self.session_id, now, *attributes),
                *(parent_session_id, parent_item_id),
            )
        )
        self.rows["branch_rows"].append(self.branch_row(self.current, now))

    def unstore(self) -> None:
        """Be as a session that was never stored."""
        fresh = SessionState.new(self.session_id)
        self.session_key, self.is_stored, self.has_moved = 0, False, False
        self.branches, self.current, self.path = fresh.branches, fresh.current, fresh.path
        self.answered, self.diversions, self._names = {}, [], None

    def empty(self) -> None:
        """Leave nothing but the first branch, without items."""
        root = self.branches[self.session_key]
        root.name, root.tip, root.end, root.is_deleted = "main", 0, OPEN_END, False
        self.branches, self.current, self.path = {root.branch_id: root}, root, Path()
        self.answered, self.diversions, self._names = {}, [], None

    def set_names(self, names: Mapping[int, str]) -> None:
        """Give branches other names, all at once, also such as have no row in the file yet."""
        rows = self.rows["branch_rows"]
        for place, row in enumerate(rows if names else ()):
            if row[0] in names:
                rows[place] = (*row[:2], names[row[0]], *row[3:])
        for branch_id in names.keys() - {row[0] for row in rows}:
            self.renamed[branch_id] = names[branch_id]
        for branch_id, name in names.items():
            self.branches[branch_id].name = name
        self._names = None

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

    def named(self, name: str) -> Branch | None:
        """The branch of that name, deleted ones too; None where there is none."""
        if self._names is None:
            self._names = {branch.name: branch for branch in self.branches.values()}
        return self._names.get(name)

    def rename(self, branch: Branch, name: str) -> None:
        """Give a branch a name that no other has."""
        names = self._names
        if names is not None and names.get(branch.name) is branch:
            del names[branch.name]
        branch.name = self.renamed[branch.branch_id] = name
        if names is not None:
            names[name] = branch

    def remove(self, branch: Branch) -> None:
        """Forget a branch whose rows are deleted."""
        del self.branches[branch.branch_id]
        self._names = None

    # Where it is -----------------------------------------------------------------------------

    @property
    def is_plain(self) -> bool:
        """Whether it never went another way, and its branch has the name that all begin with."""
        return not self.has_moved and len(self.branches) == 1 and self.current.name == "main"

    @property
    def here(self) -> tuple[int, int]:
        """The current branch, and how many items the path has."""
        return self.current.branch_id, len(self.path)

    @property
    def course(self) -> int:
        """The latest move by which the conversation took another course; 0 where none did."""
        return self.diversions[-1].move_id if self.diversions else 0

    def place_of_course(self, course: int | None) -> Place | None:
        """Where an earlier course goes on; None where what it adds belongs here."""
        if course is None or course >= self.course:
            return None
        left = first_after(self.diversions, course)
        branch = self.branches.get(left.branch_id)
        if branch is None:
            return None  # it was purged since
        length = min(left.position, branch.tip) if left.is_cut else branch.tip
        is_here = branch is self.current and length == len(self.path)
        return None if is_here else (branch, length)

    def move(
        self, operation: str, came_from: tuple[int, int], next_id: NextId, now: datetime
    ) -> None:
        """Add the row of a change of the path: from where, to the current branch's head."""
        self.has_moved = True
        move = (next_id(), operation, *came_from, *self.here)
        origin = self.branches.get(came_from[0])
        was_cut = origin is not None and came_from[1] < origin.tip
        note_move(self.diversions, *move, was_cut=was_cut)
        self.rows["move_rows"].append(
            (move[0], self.session_key, *move[1:], self.current.end, now),
        )

    def cut(self, length: int) -> None:
        """Shorten the path."""
        self.path.cut(length)
        self.current.end = length if length < self.current.tip else OPEN_END

    def go_to(self, branch: Branch, length: int, stored: Stored) -> None:
        """Make a branch the current one, with the first `length` items of its path."""
        common, rest = self._way_to(branch, length, stored)
        self._take(common, rest)
        self.current = branch
        branch.end = length if length < branch.tip else OPEN_END
        branch.is_deleted = False

    def _way_to(self, branch: Branch, length: int, stored: Stored) -> tuple[int, list[Entry]]:
        """What the path has of another one already, and what follows there. Changes nothing."""
        common = common_length(self.current, len(self.path), branch, length)
        before = self.path[common - 1] if common else None
        rest = stored.entries(self.session_key, branch.stretches(common, length), before)
        return common, rest

    def _take(self, common: int, rest: Sequence[Entry]) -> None:
        """Let the path go that way."""
        self.path.cut(common)
        for entry in rest:
            self.path.push(entry)

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
        self.path.cut(len(self.path) - 1)
        self.current.tip, self.current.end = len(self.path), OPEN_END

    # Growing ---------------------------------------------------------------------------------

    def append(
        self,
        items: Sequence[NewItem],
        next_id: NextId,
        now: datetime,
        *,
        operation: str = "append",
        agent_names: Sequence[str | None] | str | None = None,
        is_live: bool = False,
    ) -> list[tuple[int, int]]:
        """Add a batch at the end of the path, on a new branch where the path was cut.

        Returns the ids of the responses that the batch holds, in order, each with its run's.
        """
        if len(self.path) < self.current.tip:
            self.replace_branch(kind_of(items), self.here, next_id, now)
        batch = Batch(self, operation, now, agent_names=agent_names, is_live=is_live)
        batch.add_all(items, next_id)
        return batch.responses

    def compact(
        self,
        start: int,
        items: Sequence[NewItem],
        next_id: NextId,
        now: datetime,
        *,
        drop_first: int = 0,
    ) -> None:
        """Put `items` in the place of the path from index `start` on (0-based).

        The first `drop_first` items leave the path too. What leaves it stays stored, archived.
        """
        before, kept = self.current, self.path[drop_first:start]
        last, came_from = self.path.last, self.here
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
        if drop_first:
            self.path.replace(kept)
        else:
            self.path.cut(start)
        self.move("compact", came_from, next_id, now)
        if items:
            Batch(self, "compact", now, continues=last).add_all(items, next_id)

    def fork(self, name: str, place: Place, next_id: NextId, now: datetime, stored: Stored) -> None:
        """Begin a branch by name at a place, and go there."""
        came_from, (branch, length) = self.here, place
        common, rest = self._way_to(branch, length, stored)
        lineage = branch.stretches(0, length) + branch.archived(length)
        self.current = self._new_branch("fork", lineage, length, name, next_id, now, parent=branch)
        self._take(common, rest)
        self.move("fork", came_from, next_id, now)

    def replace_branch(
        self,
        kind: Kind,
        came_from: tuple[int, int],
        next_id: NextId,
        now: datetime,
        *,
        named_after: Branch | None = None,
    ) -> None:
        """Begin an alternative to what was cut off the current path.

        It takes the name of the branch that it replaces, or that of `named_after`.
        """
        before, length = self.current, len(self.path)
        lineage = before.stretches(0, length) + before.archived(length)
        name = self._give_up_name(named_after or before)
        self.current = self._new_branch(kind, lineage, length, name, next_id, now)
        before.end = OPEN_END
        self.move(kind, came_from, next_id, now)

    def branch_off(self, kind: Kind, name: str, next_id: NextId, now: datetime) -> None:
        """Begin an alternative at the end of the path by a name of its own.

        Who was cut there stays so, and every other branch keeps its name.
        """
        before, came_from = self.current, self.here
        length = came_from[1]
        lineage = before.stretches(0, length) + before.archived(length)
        self.current = self._new_branch(kind, lineage, length, name, next_id, now)
        if before.end == OPEN_END:
            self.move(kind, came_from, next_id, now)

    def add_fork(self, name: str, place: Place, next_id: NextId, now: datetime) -> Branch:
        """Begin a branch by name at a place, without going there."""
        branch, length = place
        lineage = branch.stretches(0, length) + branch.archived(length)
        return self._new_branch("fork", lineage, length, name, next_id, now, parent=branch)

    def _new_branch(
        self,
        kind: Kind,
        lineage: list[Stretch],
        fork_position: int,
        name: str,
        next_id: NextId,
        now: datetime,
        *,
        parent: Branch | None = None,
    ) -> Branch:
        branch = Branch(
            branch_id=next_id(),
            name=name,
            parent_branch_id=(parent or self.current).branch_id,
            fork_position=fork_position,
            kind=kind,
            tip=fork_position,
            lineage=lineage,
        )
        self.branches[branch.branch_id] = branch
        if self._names is not None:
            self._names[name] = branch
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
        while self.named(f"{name}~{number}") is not None:
            number += 1
        self.rename(branch, f"{name}~{number}")
        return name


def kind_of(items: Sequence[NewItem]) -> Kind:
    """What an alternative is that begins with these items."""
    return "edit" if items[0].description.part == "input" else "regenerate"
