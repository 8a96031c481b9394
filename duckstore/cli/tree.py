"""A conversation as a tree: every way that it went, with the edit points.

    ── turn 1 ──
    64 user: Tell a joke.
    ├─ 2 of 2 · fork · second try [superseded]
    │  73 assistant: Knock knock.
    └─ 1 of 2 · fork · main ← current path
    65 assistant: No.

One alternative of an edit point stands last and goes straight on below it: that of the current
path, or else the one with the most items. Only the others are indented. However many edit points
follow each other, the indentation grows with the logarithm of the number of items at most, and an
alternative of two items stands beside what it is one to, not behind the rest of the conversation.

A path can be tens of thousands of items long, so nothing here calls itself.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from duckstore.access import Access
from duckstore.cli.output import write
from duckstore.cli.text import fit, visible, width
from duckstore.cli.transcript import STYLES, Item

__all__ = ["read_tree", "write_tree"]

LINE_LENGTH = 100
"""How long a line is at most where no terminal says it."""
LEAST_LENGTH = 20
"""So much of a text is shown however narrow the terminal."""
READ_LENGTH = 500
"""So much of a text is read for a line."""
LINES_AT_ONCE = 500
"""So many lines are handed to the terminal's console together: one by one takes ten times as
long."""

_COLUMNS = {
    "item_id": "BIGINT",
    "parent_item_id": "BIGINT",
    "depth": "BIGINT",
    "branch": "VARCHAR",
    "rank": "BIGINT",
    "alternative_count": "BIGINT",
    "kind": "VARCHAR",
    "state": "VARCHAR",
    "turn_number": "BIGINT",
    "role": "VARCHAR",
    "item_type": "VARCHAR",
    "agent_name": "VARCHAR",
    "tool_name": "VARCHAR",
    "call_id": "VARCHAR",
    "text": "VARCHAR",
    "created_at": "TIMESTAMP WITH TIME ZONE",
}

# Every item after the one that it follows. Whole texts only where they are asked for.
_ITEMS = """
select
    items.item_id,
    items.parent_item_id,
    items.turn_number,
    case
        when items.is_current then 'current'
        when items.is_archived then 'archived'
        else 'superseded'
    end as state,
    items.item_type,
    items.role,
    items.agent_name,
    items.tool_name,
    items.call_id,
    case
        when $length::bigint is null then items.text
        else left(coalesce(items.text, items.item), $length)
    end as text,
    items.created_at,
    branches.name as branch,
    branches.deleted_at is not null as is_deleted,
    case
        when branches.parent_branch_id is not null
            and items.position = branches.fork_position + 1
            then branches.kind
    end as begun_kind
from items
inner join branches on items.branch_id = branches.branch_id
where items.session_id = $session_id
order by items.item_id
"""


@dataclass(slots=True, eq=False, repr=False)
class Node:
    """An item in the tree."""

    item: Item
    parent: Node | None
    children: list[Node] = field(default_factory=list)
    size: int = 1
    """How many items follow it on any way, with itself."""
    leads_on: bool = False
    """Whether the current path goes through it; through an archived item too, that it left."""
    rank: int = 1
    alternative_count: int = 1
    kind: str | None = None

    @property
    def depth(self) -> int:
        """How many items stand before it."""
        depth: int = self.item["depth"]
        return depth

    @property
    def place(self) -> tuple[int, str]:
        """Its run and its state: what a line above it tells of it and those that follow."""
        return self.item["turn_number"], self.item["state"]


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a node is drawn."""

    guides: str
    """What stands before each line of it and what follows."""
    corner: str | None
    """What stands before its line as an alternative; None where there is no other."""
    node: Node


def read_tree(access: Access, session_id: str, *, is_drawn: bool) -> list[Node]:
    """The first items of a session, with all that follows each.

    Args:
        access: The store.
        session_id: The session.
        is_drawn: Whether the beginning of each text is enough.
    """
    values = {"session_id": session_id, "length": READ_LENGTH if is_drawn else None}
    found = access.rows(_ITEMS, values)
    return _linked(dict(zip(found.columns, row, strict=True)) for row in found.rows)


def write_tree(roots: Sequence[Node], style: str) -> None:
    """Write a tree to standard output; its items as rows, in the order of the drawing, in the
    formats other than table.
    """
    if style != "table":
        write(_COLUMNS, (_row(spot.node) for spot in _walk(roots)), style)
    elif sys.stdout.isatty():
        _write_to_terminal(_lines(roots, shutil.get_terminal_size().columns))
    else:
        for parts in _lines(roots, LINE_LENGTH):
            sys.stdout.write("".join(text for _, text in parts) + "\n")


# The tree ----------------------------------------------------------------------------------------


def _linked(items: Iterable[Item]) -> list[Node]:
    """The roots of the tree that some items make, the earliest first."""
    nodes: dict[int, Node] = {}
    roots: list[Node] = []
    for item in items:  # an item comes after its parent
        parent = nodes.get(item["parent_item_id"])
        item["depth"] = parent.depth + 1 if parent else 0
        node = nodes[item["item_id"]] = Node(item, parent)
        node.leads_on = item["state"] == "current"
        (parent.children if parent else roots).append(node)
    for node in reversed(nodes.values()):
        if node.parent is not None:
            node.parent.size += node.size
            node.parent.leads_on |= node.leads_on
    for group in (roots, *(node.children for node in nodes.values())):
        _rank(group)
    return roots


def _rank(group: Sequence[Node]) -> None:
    """Number the alternatives of an edit point, as `Conversation.alternatives` does."""
    kinds = [node.item["begun_kind"] for node in group if node.item["begun_kind"]]
    for rank, node in enumerate(group, start=1):
        node.rank, node.alternative_count = rank, len(group)
        if len(group) > 1:
            # What was there first takes the kind of what was put beside it.
            node.kind = node.item["begun_kind"] or (kinds[0] if kinds else None)


def _walk(roots: Sequence[Node]) -> Iterator[Spot]:
    """Every item in the order of the drawing."""
    waiting = _spots("", roots)
    while waiting:
        spot = waiting.pop()
        yield spot
        waiting += _spots(spot.guides, spot.node.children)


def _spots(guides: str, nodes: Sequence[Node]) -> list[Spot]:
    """Where the nodes that follow one are drawn, the last one first."""
    if len(nodes) < 2:
        return [Spot(guides, None, node) for node in nodes]
    trunk = max(nodes, key=lambda node: (node.leads_on, node.size, node.rank))
    others = [Spot(guides + "│  ", guides + "├─ ", node) for node in nodes if node is not trunk]
    return [Spot(guides, guides + "└─ ", trunk), *reversed(others)]


def _row(node: Node) -> list[Any]:
    known = {"rank": node.rank, "alternative_count": node.alternative_count, "kind": node.kind}
    return [known[name] if name in known else node.item[name] for name in _COLUMNS]


# The drawing -------------------------------------------------------------------------------------


Parts = list[tuple[str, str]]
"""A line: texts with their styles' names."""


def _lines(roots: Sequence[Node], columns: int) -> Iterator[Parts]:
    for spot in _walk(roots):
        node, parent = spot.node, spot.node.parent
        told = parent.place if parent else None
        if spot.corner is not None:
            yield _alternative(spot, columns)
            told = (told[0] if told else 0, node.item["state"])
        if node.place != told:
            yield [("guide", spot.guides), ("turn", _turn(node))]
        yield _item(spot, columns)


def _alternative(spot: Spot, columns: int) -> Parts:
    node, corner = spot.node, spot.corner or ""
    state = node.item["state"]
    mark = " ← current path" if state == "current" else f" [{state}]"
    if node.item["is_deleted"]:
        mark = f" (deleted){mark}"
    text = f"{node.rank} of {node.alternative_count} · {node.kind or 'unknown'} · "
    name = fit(node.item["branch"], max(columns - len(corner + text + mark), LEAST_LENGTH))
    style = "point" if state == "current" else "detail"
    return [("guide", corner), (style, text + name + mark)]


def _turn(node: Node) -> str:
    turn, state = node.place
    return f"── turn {turn} ──" + ("" if state == "current" else f" [{state}]")


def _item(spot: Spot, columns: int) -> Parts:
    item = spot.node.item
    name = item["role"] or item["item_type"] or "item"
    if item["agent_name"]:
        name += f" ({item['agent_name']})"
    head = f"{item['item_id']} {visible(name)}: "
    text = fit(item["text"] or "", max(columns - width(spot.guides + head), LEAST_LENGTH))
    if item["state"] != "current":
        return [("guide", spot.guides), ("detail", head + text)]
    style = "tool" if item["tool_name"] else "user" if item["role"] == "user" else "model"
    return [("guide", spot.guides), (style, head), ("text", text)]


def _write_to_terminal(lines: Iterator[Parts]) -> None:
    from itertools import islice

    from rich.text import Text

    from duckstore.cli.output import console

    screen = console()
    styles = STYLES | {"guide": "dim", "point": "bold yellow"}
    while block := list(islice(lines, LINES_AT_ONCE)):
        texts = [
            Text.assemble(*((text, styles[style]) for style, text in parts)) for parts in block
        ]
        screen.print(Text("\n").join(texts), soft_wrap=True)
