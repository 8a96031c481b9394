"""One session's conversation: the synchronous core that every face of duckstore calls.

`DuckDBSession` calls it from an event loop, the importer and the command line call it directly.
It holds no state of its own, so that any number of them can stand for one session, in the process
that owns the store or in another one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from duckstore import errors
from duckstore.access import Access
from duckstore.command import Command
from duckstore.encoding import decode, decode_all, encode_batch
from duckstore.items import describe
from duckstore.sessions import Texts
from duckstore.telemetry import ResponseFacts

__all__ = ["Conversation", "Facts", "Snapshot", "encode_items"]

Facts = Callable[[bool], ResponseFacts]
"""Asked, with whether a batch holds anything that a model made, for what else is known of it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The end of a conversation as it was at one moment, for replacing it if it still is so."""

    item_ids: list[int]
    items: list[Any]
    is_complete: bool
    """Whether it reaches back to the start of the conversation."""


class Conversation:
    """The items of one session: read, append, pop, branch, compact, clear."""

    def __init__(self, access: Access, session_id: str) -> None:
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
        self._access = access
        self.session_id = session_id

    def _command(
        self,
        operation: str,
        values: dict[str, Any] | None = None,
        raws: Sequence[str] = (),
        id_count: int = 1,
    ) -> Command:
        return Command(
            operation, self.session_id, values or {}, raws, id_count, self._access.is_durable
        )

    def addition(self, items: Iterable[Any], facts: Facts | None = None) -> Command | None:
        """The command that appends one batch; None where there are no items.

        Raises:
            ItemError: An item is not JSON.
        """
        batch = items if isinstance(items, (str, bytes, dict)) else list(items)
        raws = encode_items(batch)
        if not raws:
            return None
        known = facts(_holds_response(batch, raws)) if facts is not None else None
        # A key for a new session, a branch and a move where it was rewound, and the items.
        return self._command("add", known.values() if known else None, raws, len(raws) + 3)

    def add(self, items: Iterable[Any], facts: Facts | None = None) -> None:
        """Append one batch: all of it or nothing.

        Args:
            items: Any JSON values; none of them stores nothing.
            facts: Tells what is known of the batch beyond its items.

        Raises:
            ItemError: An item is not JSON; nothing was stored.
            StoreWriteError: The batch could not be written; nothing of it was stored.
        """
        command = self.addition(items, facts)
        if command is not None:
            self._access.run(command)

    def items(self, limit: int | None = None) -> list[Any]:
        """The latest `limit` items of the current path in order, decoded afresh.

        None and negative limits mean all. Rows that are not JSON are left out and not counted.
        """
        items = self.decoded(self._access.texts(self.session_id, limit), limit)
        if items is None:
            items = self.decoded(self._access.texts(self.session_id, None), None) or []
            items = items[max(len(items) - (limit or 0), 0) :]
        return items

    def items_now(self, limit: int | None = None) -> list[Any] | None:
        """The same, if it can be had without waiting for anything; None where it cannot."""
        found = self._access.texts_now(self.session_id, limit)
        return self.decoded(found, limit) if found is not None else None

    @staticmethod
    def decoded(found: Texts, limit: int | None) -> list[Any] | None:
        """Decode what was found; None where some of it is not JSON and more must be read."""
        items = decode_all(found.raws, exact=found.is_exact)
        is_part = limit is not None and limit >= 0
        return None if is_part and len(items) < len(found.raws) else items

    def pop(self) -> Any:
        """Take the last readable item off the path and return it; None where there is none.

        The item stays stored, superseded, unless the store was opened with `keep_popped=False`.
        """
        raw = self._access.run(self._command("pop", {"keep": self._access.keep_popped}))
        return decode(raw) if raw is not None else None

    def clear(self) -> None:
        """Delete all items, branches and history for good. The session's own row stays."""
        self._access.run(self._command("clear"))

    def purge(self) -> bool:
        """Delete the session with everything that is stored of it. False where there was none."""
        return bool(self._access.run(self._command("purge")))

    def update(self, values: dict[str, str | None]) -> None:
        """Set columns of the session's own row, which is made if need be."""
        self._access.run(self._command("update", dict(values)))

    def snapshot(self, limit: int) -> Snapshot | None:
        """The latest `limit` items with what is needed to replace them; None if one is not JSON."""
        found = self._access.tail(self.session_id, limit)
        try:
            items = [decode(raw) for raw in found.raws]
        except ValueError:
            return None
        return Snapshot(found.item_ids, items, found.is_complete)

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
        replaced = snapshot.item_ids[start:]
        if not replaced:
            return False
        dropped: list[int] = []
        if prune_prefix is not None:
            path = self._access.tail(self.session_id, None)
            before = max(len(path.item_ids) - len(replaced), 0)
            count = _expired(path.raws[:before], prune_prefix)
            dropped = path.item_ids[:count]
        return self._compact(items, replaced, dropped)

    def replace_all(self, items: Sequence[Any]) -> None:
        """Put `items` in the place of the whole conversation, which stays stored, archived."""
        self._compact(items, None, [])

    def _compact(
        self, items: Sequence[Any], replaced: list[int] | None, dropped: list[int]
    ) -> bool:
        raws = encode_items(items)
        values = {"replaced": replaced, "dropped": dropped}
        return bool(self._access.run(self._command("compact", values, raws, len(raws) + 3)))

    def fork(self, name: str, position: int | None = None) -> int:
        """Begin a branch after the first `position` items of the path and go there.

        Returns:
            The new branch's id.

        Raises:
            ArgumentError: The name is taken, or the path has no such position.
        """
        values = {"name": name, "position": position}
        return int(self._access.run(self._command("fork", values, id_count=3)))

    def switch(self, branch: str | int) -> None:
        """Go to a branch, by name or id: the path is where that branch was left.

        Raises:
            ArgumentError: The session has no such branch.
        """
        self._access.run(self._command("switch", {"branch": branch}))


MOST_DEPTH = 500
"""How deeply an item may be nested: Python's json reads twice as much, from a shallow stack."""
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')


def encode_items(items: Iterable[Any]) -> list[str]:
    """Encode items that are to be stored.

    Raises:
        ItemError: One is not JSON, or is nested too deeply to be read again.
    """
    raws = encode_batch(items)
    for raw in raws:
        if raw.count("[") + raw.count("{") > MOST_DEPTH and _depth(raw) > MOST_DEPTH:
            raise errors.ItemError(
                f"an item is nested too deeply: {MOST_DEPTH} levels are the most that can be read "
                "again. Nothing of the batch was stored"
            )
    return raws


def _depth(raw: str) -> int:
    """How deeply the lists and objects of a JSON text are nested."""
    depth = deepest = 0
    for character in _STRINGS.sub("", raw):
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _holds_response(items: Iterable[Any], raws: Sequence[str]) -> bool:
    """Whether a batch holds anything that a model made."""
    return any(
        describe(item if type(item) is dict else decode(raw)).part == "model"
        for item, raw in zip(items, raws, strict=True)
    )


def _expired(raws: Sequence[str], prune: Callable[[Any], bool]) -> int:
    """How many items from the start of the path may go, as the caller judges them."""
    count = 0
    for raw in raws:
        try:
            item = decode(raw)
        except ValueError:
            break
        if not prune(item):
            break
        count += 1
    return count
