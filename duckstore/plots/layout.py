"""Where the items of a conversation stand in a drawing of its tree.

From left to right in the order in which they were said. One way goes straight on at each edit
point, that of the current path or else the longest; the others turn off into lanes below, the last
one into the nearest, so that they hardly ever cross. A path can be thousands of items long, so
nothing here calls itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Node", "lay_out", "tree_of"]

Row = dict[str, Any]


@dataclass(slots=True, eq=False, repr=False)
class Node:
    """An item in the drawing, or several of one run that follow each other."""

    row: Row | None
    """The first of them; None for the start of a conversation that began more than one way."""
    parent: Node | None
    children: list[Node] = field(default_factory=list)
    item_count: int = 1
    size: int = 1
    """How many nodes follow on any way, with itself."""
    leads_on: bool = False
    """Whether the current path goes through it."""
    depth: int = 0
    lane: int = 0

    @property
    def state(self) -> tuple[Any, ...]:
        """What items must have in common to be drawn as one."""
        row = self.row or {}
        return row.get("run_id"), row.get("is_current"), row.get("is_archived")


def tree_of(rows: Iterable[Row], *, is_merged: bool) -> list[Node]:
    """The nodes of a conversation, each after the one that it follows.

    Args:
        rows: Its items, the earliest first.
        is_merged: Whether items of one run that follow each other are one node.
    """
    found: dict[int, Node] = {}
    children: dict[int | None, int] = defaultdict(int)
    listed = list(rows)
    for row in listed:
        children[row["parent_item_id"]] += 1
    start = Node(None, None) if children[None] > 1 else None
    nodes = [start] if start else []
    for row in listed:
        parent = found.get(row["parent_item_id"], start)
        node = Node(row, parent, leads_on=bool(row["is_current"]))
        is_only = children[row["parent_item_id"]] == 1
        if is_merged and is_only and parent is not None and parent.state == node.state:
            parent.item_count += 1
            found[row["item_id"]] = parent
            continue
        found[row["item_id"]] = node
        nodes.append(node)
        if parent is not None:
            parent.children.append(node)
            node.depth = parent.depth + 1
    for node in reversed(nodes):
        if node.parent is not None:
            node.parent.size += node.size
            node.parent.leads_on |= node.leads_on
    return nodes


def lay_out(nodes: Sequence[Node], label_length: int) -> list[Node]:
    """Give each node its lane.

    Args:
        nodes: What `tree_of` returned.
        label_length: How much room is to be left after the end of each way, in nodes.

    Returns:
        The last node of each way, the place of its name.
    """
    taken: dict[int, list[tuple[int, int]]] = defaultdict(list)
    waiting = [node for node in reversed(nodes) if node.parent is None]
    ends = []
    while waiting:
        first = waiting.pop()
        way = list(_straight_on(first))
        begin = first.parent.depth if first.parent is not None else 0
        end = way[-1].depth + label_length
        lane = first.parent.lane + 1 if first.parent is not None else 0
        while any(begin <= last and end >= start for start, last in taken[lane]):
            lane += 1
        taken[lane].append((begin, end))
        for node in way:
            node.lane = lane
        ends.append(way[-1])
        # The deepest is taken next: it gets the nearest lane.
        waiting += [
            child
            for node, after in zip(way, [*way[1:], None], strict=True)
            for child in reversed(node.children)
            if child is not after
        ]
    return ends


def _straight_on(node: Node) -> Iterator[Node]:
    yield node
    while node.children:
        node = max(node.children, key=lambda child: (child.leads_on, child.size))
        yield node
