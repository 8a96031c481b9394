"""One session's conversation: the synchronous core that every face of duckstore calls.

`DuckDBSession` calls it from an event loop, the importer and the command line call it directly.
It holds no state of its own, so that any number of them can stand for one session, in the process
that owns the store or in another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from duckstore import errors
from duckstore.branching import Reading
from duckstore.command import Command
from duckstore.display import conversation_html, html_or_note
from duckstore.encoding import decode, encode_items
from duckstore.glance import Glance, glance_at
from duckstore.handle import Target, where_of
from duckstore.observer import Claim
from duckstore.telemetry import Seen
from duckstore.turns import Turns

__all__ = ["Claims", "Conversation", "Snapshot"]

Claims = Callable[[Callable[[], Glance]], Claim]
"""Asked, with what a batch holds, for what else is known of it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The end of a conversation as it was at one moment, for replacing it if it still is so."""

    item_ids: list[int]
    items: list[Any]
    is_complete: bool
    """Whether it reaches back to the start of the conversation."""


class Conversation(Turns):
    """The items of one session: read, append, pop, compact, clear; and all of its branches."""

    def addition(self, items: Iterable[Any], claims: Claims) -> tuple[Command, Claim] | None:
        """The command that appends one batch, with what it claims; None where there are no items.

        The claim is to be settled by who runs the command.

        Raises:
            ItemError: An item is not JSON.
        """
        batch = items if isinstance(items, (str, bytes, dict)) else list(items)
        raws = encode_items(batch)
        if not raws:
            return None
        claim = claims(partial(glance_at, batch, raws))
        return self._addition(raws, claim.seen), claim

    def add(self, items: Iterable[Any], seen: Seen | None = None) -> None:
        """Append one batch: all of it or nothing.

        Args:
            items: Any JSON values; none of them stores nothing.
            seen: What is known of the batch beyond its items.

        Raises:
            ItemError: An item is not JSON; nothing was stored.
            StoreWriteError: The batch could not be written; nothing of it was stored.
        """
        raws = encode_items(items)
        if raws:
            self._access.run(self._addition(raws, seen))

    def _addition(self, raws: Sequence[str], seen: Seen | None) -> Command:
        # Beside the items: a key for a new session, a branch and a move where it was rewound, and
        # four moves, to a branch that was left and back.
        id_count = len(raws) + 7
        if seen is None:
            return self._command("add", None, raws, id_count)
        return self._command("add", seen.values(has_items=True), raws, id_count + seen.row_count)

    def items(self, limit: int | None = None, branch: str | int | None = None) -> list[Any]:
        """The latest `limit` items of the current path, or of a branch, in order, decoded afresh.

        None and negative limits mean all. Rows that are not JSON are left out and not counted.

        Raises:
            UnknownBranchError: The session has no such branch.
        """
        return self.read(limit, branch).items

    def read(self, limit: int | None = None, branch: str | int | None = None) -> Reading:
        """The same, with what an agent that answers it must know."""
        where = {"branch": branch} if branch is not None else None
        return self._read(limit, where)

    def read_now(self, limit: int | None = None) -> Reading | None:
        """The current path, if it can be had without waiting for anything; None where it cannot."""
        found = self._access.texts_now(self.session_id, limit)
        return self._decoded(found, limit) if found is not None else None

    def pop(self) -> Any:
        """Take the last readable item off the path and return it; None where there is none.

        The item stays stored, superseded, unless the store was opened with `keep_popped=False`.
        """
        raw = self._access.run(self._command("pop", {"keep": self._access.keep_popped}))
        return decode(raw) if raw is not None else None

    def _repr_html_(self) -> str:
        """The conversation as notebooks show it; see `duckstore.display`."""
        return html_or_note(partial(conversation_html, self.session_id, self._access.rows))

    def clear(self) -> None:
        """Delete all items, branches and history for good. The session's own row stays."""
        self._access.run(self._command("clear"))

    def purge_session(self) -> bool:
        """Delete the session with everything that is stored of it. False where there was none."""
        return bool(self._run("purge"))

    def purge(self, item: Target) -> None:
        """Delete an item and all that follows it on any branch for good.

        What follows a summary that a compaction made of the item follows it too. Every row is gone
        at once, and its bytes when the file was written anew: see the README.

        Args:
            item: Anything that has an `item_id`.

        Raises:
            ArgumentError: The session has no such item.
        """
        where = where_of(item, name="item")
        if "item" not in where:
            raise errors.ArgumentError(
                f"item is {item!r}: give something with an item_id, such as what find() returns"
            )
        self._run("purge_items", where)

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
