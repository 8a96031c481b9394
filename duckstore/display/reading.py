"""What is shown of a conversation, read from the store.

A conversation can be tens of thousands of items long and go hundreds of ways. So the store is asked
for the first and the last turns of the path, the beginning of what each other way went on with, and
the beginning of each text, in one statement; what is left out is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from duckstore.display.statements import ENDS, HEAD, ITEMS, UNSEEN
from duckstore.display.texts import MOST_READ
from duckstore.rows import Rows

__all__ = ["Item", "Shown", "Stretch", "read_conversation"]

FIRST_TURNS, LAST_TURNS = 4, 12
"""How many turns of the path are shown, of its beginning and of its end."""
TURN_ITEMS = 12
"""How many items of a turn, of its beginning and of its end."""
WAY_ITEMS = 12
"""How many items of each other way, and of the beginning and end of what was compacted."""
MOST_WAYS = 60
"""How many other ways, the latest ones."""
MOST_UNSEEN = 200
"""How many calls that are no items of their own."""

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Items that follow each other and are not on the path: one way that the session went."""

    items: list[Item]
    """Those of its beginning."""
    item_count: int
    """How many there are."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown of a conversation."""

    head: dict[str, Any] | None
    """What is known of the session; None where nothing was stored."""
    path: list[Item]
    """Items of the current path. Their `number` is that on the path, with those left out."""
    archived: Stretch
    """What compactions of the path replaced."""
    ways: list[Stretch]
    """The other ways, the earliest first."""
    way_count: int
    """How many there are."""
    unseen: list[dict[str, Any]]
    """Calls that no item tells of: those of agents that are tools."""
    ends: dict[int, str]
    """How runs ended that came to no answer, by the id of their last item."""


def read_conversation(ask: Callable[..., Rows], session_id: str) -> Shown:
    """Read what is shown of a session.

    Args:
        ask: Runs a reading statement with parameters.
        session_id: The session.

    Raises:
        DuckstoreError: The store cannot be asked.
    """
    named = {"session_id": session_id}
    heads = _dicts(ask(HEAD, named))
    if not heads:
        return Shown(None, [], Stretch([], 0), [], 0, [], {})
    limits = {
        "first_turns": FIRST_TURNS,
        "last_turns": LAST_TURNS,
        "turn_items": TURN_ITEMS,
        "way_items": WAY_ITEMS,
        "most_ways": MOST_WAYS,
        "most": MOST_READ,
    }
    parts: dict[str, list[Item]] = {"path": [], "archived": []}
    ways: dict[int, list[Item]] = {}
    for item in _dicts(ask(ITEMS, {**named, **limits})):
        if item["part"] == "way":
            ways.setdefault(item["way_id"], []).append(item)
        else:
            parts[item["part"]].append(item)
    found = [Stretch(items, items[0]["total"]) for items in ways.values()]
    archived = parts["archived"]
    return Shown(
        heads[0],
        parts["path"],
        Stretch(archived, archived[0]["total"] if archived else 0),
        found,
        found[0].items[0]["way_count"] if found else 0,
        _dicts(ask(UNSEEN, {**named, "most": MOST_READ, "unseen": MOST_UNSEEN})),
        dict(ask(ENDS, named).rows),
    )


def _dicts(found: Rows) -> list[dict[str, Any]]:
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]
