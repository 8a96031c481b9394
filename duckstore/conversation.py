"""One session's conversation: the synchronous core that every face of duckstore calls.

`DuckDBSession` calls it from worker threads, the importer and the command line call it directly.
It holds no state of its own, so that any number of them can stand for one session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from duckstore import errors
from duckstore.batch import Entry, NewItem
from duckstore.encoding import decode, decode_all, encode_batch
from duckstore.engine import Engine, Statement
from duckstore.items import describe
from duckstore.path import SessionState
from duckstore.schema import TABLES
from duckstore.telemetry import ResponseFacts

__all__ = ["Conversation", "Snapshot"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The end of a conversation as it was at one moment, for replacing it if it still is so."""

    entries: list[Entry]
    items: list[Any]
    is_complete: bool
    """Whether it reaches back to the start of the conversation."""


class Conversation:
    """The items of one session: read, append, pop, branch, compact, clear."""

    def __init__(self, engine: Engine, session_id: str) -> None:
        if not isinstance(session_id, str):
            raise errors.ArgumentError(
                f"session_id is {session_id!r}, a {type(session_id).__name__}: it must be a string"
            )
        try:
            session_id.encode()
        except UnicodeEncodeError as error:
            raise errors.ArgumentError(
                f"session_id {session_id!r} holds a lone surrogate, which no file can store"
            ) from error
        self._engine = engine
        self.session_id = session_id

    def add(
        self, items: Iterable[Any], facts: Callable[[bool], ResponseFacts] | None = None
    ) -> None:
        """Append one batch: all of it or nothing.

        Args:
            items: Any JSON values; none of them stores nothing.
            facts: Asked, with whether the batch holds anything that a model made, for what is
                known of the batch beyond its items.

        Raises:
            ItemError: An item is not JSON; nothing was stored.
            StoreWriteError: The batch could not be written; nothing of it was stored.
        """
        new = new_items(items)
        if not new:
            return
        has_response = any(item.description.part == "model" for item in new)
        known = facts(has_response) if facts is not None else ResponseFacts()

        def apply(state: SessionState) -> None:
            now = self._engine.now()
            state.create(now)
            response_ids = state.append(
                new,
                self._engine.next_id,
                now,
                agent_name=known.agent_name,
                is_live=known.is_live,
            )
            if response_ids and known.has_response_row:
                state.rows["response_rows"].append(known.row(response_ids[-1], state.session_key))

        self._engine.change(self.session_id, apply)

    def items(self, limit: int | None = None) -> list[Any]:
        """The latest `limit` items of the current path in order, decoded afresh.

        None and negative limits mean all. Rows that are not JSON are left out and not counted.
        """
        with self._engine.session(self.session_id) as state:
            path = state.path
            if limit is None or limit < 0 or limit > len(path):
                limit = len(path)
            raws = [entry.raw for entry in path[len(path) - limit :]]
            items = decode_all(raws)
            if len(items) == len(raws):
                return items
            raws = [entry.raw for entry in path]
        items = decode_all(raws)
        return items[max(len(items) - limit, 0) :]

    def pop(self) -> Any:
        """Take the last readable item off the path and return it; None where there is none.

        The item stays stored, superseded, unless the store was opened with `keep_popped=False`.
        """
        deletions: list[Statement] = []

        def apply(state: SessionState) -> Any:
            while state.path:
                last = state.path[-1]
                came_from = (state.current.branch_id, len(state.path))
                if not self._engine.keep_popped and state.owns_last():
                    deletions.extend(_deletions_of(last))
                    state.delete_last()
                else:
                    state.cut(len(state.path) - 1)
                state.move("pop", came_from, self._engine.next_id, self._engine.now())
                try:
                    return decode(last.raw)
                except ValueError:
                    continue
            return None

        return self._engine.change(self.session_id, apply, statements=lambda: deletions)

    def clear(self) -> None:
        """Delete all items, branches and history for good. The session's own row stays."""
        deletions: list[Statement] = []

        def apply(state: SessionState) -> None:
            if not state.is_stored:
                return
            key = state.session_key
            for table in TABLES:
                if table not in ("session_rows", "branch_rows"):
                    deletions.append((f"delete from {table} where session_key = ?", [key]))
            deletions.append(
                ("delete from branch_rows where session_key = ? and branch_id <> ?", [key, key])
            )
            came_from = (state.current.branch_id, len(state.path))
            state.empty()
            state.renamed[key] = "main"
            state.move("clear", came_from, self._engine.next_id, self._engine.now())

        self._engine.change(self.session_id, apply, statements=lambda: deletions)

    def purge(self) -> bool:
        """Delete the session with everything that is stored of it. False where there was none."""
        deletions: list[Statement] = []

        def apply(state: SessionState) -> bool:
            deletions.extend(
                (f"delete from {table} where session_key = ?", [state.session_key])
                for table in TABLES
                if state.is_stored
            )
            return bool(deletions)

        was_there = self._engine.change(self.session_id, apply, statements=lambda: deletions)
        self._engine.forget(self.session_id)
        return was_there

    def snapshot(self, limit: int) -> Snapshot | None:
        """The latest `limit` items with what is needed to replace them; None if one is not JSON."""
        with self._engine.session(self.session_id) as state:
            path = list(state.path)
        entries = path[max(len(path) - limit, 0) :]
        try:
            items = [decode(entry.raw) for entry in entries]
        except ValueError:
            return None
        return Snapshot(entries, items, is_complete=len(entries) == len(path))

    def replace_suffix(
        self,
        snapshot: Snapshot,
        start: int,
        items: Sequence[Any],
        prune_prefix: Callable[[Any], bool] | None = None,
    ) -> bool:
        """Put `items` in the place of a snapshot's items from index `start` on.

        What is replaced stays stored, archived. Nothing happens where the conversation's end is
        no longer what the snapshot saw.

        Args:
            snapshot: The end of the conversation as the caller saw it.
            start: Index into the snapshot's items.
            items: What stands there afterwards.
            prune_prefix: Says of an item before the snapshot's suffix whether it goes too; asked
                from the start of the conversation until it says no.

        Returns:
            Whether it was done.
        """
        expected = [entry.item_id for entry in snapshot.entries[start:]]
        if not expected:
            return False
        new = new_items(items)

        def apply(state: SessionState) -> bool:
            first = len(state.path) - len(expected)
            if first < 0 or [entry.item_id for entry in state.path[first:]] != expected:
                return False
            drop = _expired(state.path[:first], prune_prefix)
            now = self._engine.now()
            state.compact(first, new, self._engine.next_id, now, drop_first=drop)
            return True

        return self._engine.change(self.session_id, apply)

    def replace_all(self, items: Sequence[Any]) -> None:
        """Put `items` in the place of the whole conversation, which stays stored, archived."""
        new = new_items(items)

        def apply(state: SessionState) -> None:
            now = self._engine.now()
            state.create(now)
            state.compact(0, new, self._engine.next_id, now)

        self._engine.change(self.session_id, apply)

    def fork(self, name: str, position: int | None = None) -> int:
        """Begin a branch after the first `position` items of the path and go there.

        Returns:
            The new branch's id.

        Raises:
            ArgumentError: The name is taken, or the path has no such position.
        """

        def apply(state: SessionState) -> int:
            at = len(state.path) if position is None else position
            if not 0 <= at <= len(state.path):
                raise errors.ArgumentError(
                    f"position {at} is not on the path of session {self.session_id!r}, "
                    f"which has {len(state.path)} items"
                )
            if not name or any(branch.name == name for branch in state.branches.values()):
                raise errors.ArgumentError(
                    f"session {self.session_id!r} has a branch named {name!r} already: "
                    "choose another name"
                )
            now = self._engine.now()
            state.create(now)
            return state.fork(name, at, self._engine.next_id, now).branch_id

        return self._engine.change(self.session_id, apply)

    def switch(self, branch: str | int) -> None:
        """Go to a branch, by name or id: the path is where that branch was left.

        Raises:
            ArgumentError: The session has no such branch.
        """

        def apply(state: SessionState) -> None:
            target = next(
                (b for b in state.branches.values() if branch in (b.branch_id, b.name)), None
            )
            if target is None:
                names = ", ".join(repr(b.name) for b in state.branches.values())
                raise errors.ArgumentError(
                    f"session {self.session_id!r} has no branch {branch!r}; it has {names}"
                )
            came_from = (state.current.branch_id, len(state.path))
            self._engine.go_to(state, target)
            state.move("switch", came_from, self._engine.next_id, self._engine.now())

        self._engine.change(self.session_id, apply)


def new_items(items: Iterable[Any]) -> list[NewItem]:
    """Encode and describe items that are to be stored. Raises ItemError before anything else."""
    raws = encode_batch(items)
    try:
        return [NewItem(raw, describe(decode(raw))) for raw in raws]
    except RecursionError as error:
        raise errors.ItemError(
            "an item is nested too deeply to be read again. Nothing of the batch was stored"
        ) from error


def _expired(path: Sequence[Entry], prune: Callable[[Any], bool] | None) -> int:
    """How many items from the start of the path may go, as the caller judges them."""
    count = 0
    for entry in path if prune is not None else ():
        try:
            item = decode(entry.raw)
        except ValueError:
            break
        if prune is None or not prune(item):
            break
        count += 1
    return count


def _deletions_of(entry: Entry) -> list[Statement]:
    return [
        ("delete from item_rows where item_id = ?", [entry.item_id]),
        ("delete from response_rows where response_id = ?", [entry.item_id]),
    ]
