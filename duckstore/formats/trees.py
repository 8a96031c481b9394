"""Trees of items, put together from what a file says of their order.

`Weaver` makes a transcript item by item. `arrange` brings the nodes of a file that names parents
into an order in which every node follows its parent, whatever the file says: a parent that is
missing makes an opening, and a circle is cut. Nodes without items are passed through: what follows
them follows the last item before them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from duckstore.items import describe
from duckstore.transcript import Transcript, TranscriptResponse
from duckstore.usage import Usage

__all__ = ["Node", "Response", "Weaver", "arrange", "weave"]


@dataclass(slots=True)
class Response:
    """What is known so far of one model call."""

    item_index: int
    usage: Usage | None = None
    model: str | None = None
    provider_response_id: str | None = None
    finish_reason: str | None = None

    def learn(
        self,
        *,
        usage: Usage | None = None,
        model: str | None = None,
        provider_response_id: str | None = None,
        finish_reason: str | None = None,
    ) -> None:
        """Take over what is told. Of two counts of one call the higher is the later."""
        if usage and (self.usage is None or usage.total_tokens >= self.usage.total_tokens):
            self.usage = usage
        self.model = model or self.model
        self.provider_response_id = provider_response_id or self.provider_response_id
        self.finish_reason = finish_reason or self.finish_reason


@dataclass(slots=True)
class Weaver:
    """Puts a conversation together. `tip` is where the next item goes: its index, or -1."""

    items: list[Any] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    created_at: list[datetime | None] = field(default_factory=list)
    agent_names: list[str | None] = field(default_factory=list)
    responses: dict[int, Response] = field(default_factory=dict)
    """By the first item that the model made in each."""
    tip: int = -1

    def add(
        self, item: Any, created_at: datetime | None = None, agent_name: str | None = None
    ) -> int:
        """Add an item after the tip, which it becomes. Returns its index."""
        self.items.append(item)
        self.parents.append(self.tip)
        self.created_at.append(created_at)
        self.agent_names.append(agent_name)
        self.tip = len(self.items) - 1
        return self.tip

    def response(self, item_index: int) -> Response:
        """The response that begins with an item."""
        return self.responses.setdefault(item_index, Response(item_index))

    def path(self, last_index: int) -> list[int]:
        """The indexes of the items from the opening to an item."""
        path = []
        while last_index >= 0:
            path.append(last_index)
            last_index = self.parents[last_index]
        return path[::-1]

    def transcript(self, session_id: str, **facts: Any) -> Transcript:
        """The conversation, with what else is known of it: the fields of a transcript."""
        is_tree = self.parents != list(range(-1, len(self.items) - 1))
        return Transcript(
            session_id=session_id,
            items=self.items,
            parents=self.parents if is_tree else None,
            created_at=self.created_at if any(self.created_at) else None,
            agent_names=self.agent_names if any(self.agent_names) else None,
            responses=[
                TranscriptResponse(
                    found.item_index,
                    found.usage,
                    found.model,
                    found.provider_response_id,
                    found.finish_reason,
                )
                for found in self.responses.values()
                if found.usage or found.model or found.provider_response_id or found.finish_reason
            ],
            **facts,
        )


@dataclass(slots=True)
class Node:
    """A node of a file's tree: the items of one message, or none."""

    key: str
    parent: str | None
    items: list[Any] = field(default_factory=list)
    created_at: datetime | None = None
    order: float = 0.0
    """Of nodes that could come next, the lowest does."""
    response_key: str | None = None
    """What tells that two nodes are of one model call; None: those that follow each other are."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What is told of the model call: the arguments of `Response.learn`."""
    agent_name: str | None = None
    place: str = ""


def arrange(nodes: Mapping[str, Node], on_cut: Callable[[Node, str], None]) -> list[Node]:
    """The nodes, each after its parent.

    Args:
        nodes: The nodes by their keys.
        on_cut: Told of a node whose parent is missing or is among what follows it, with the reason.
    """
    children: dict[str, list[tuple[float, int, Node]]] = {}
    ready: list[tuple[float, int, Node]] = []
    waiting: dict[str, tuple[float, int, Node]] = {}
    for number, node in enumerate(nodes.values()):
        entry = (node.order, number, node)
        if node.parent is None:
            ready.append(entry)
        elif node.parent not in nodes:
            on_cut(node, f"taken, but it follows {node.parent!r}, which is not there")
            ready.append(entry)
        else:
            waiting[node.key] = entry
            children.setdefault(node.parent, []).append(entry)
    heapq.heapify(ready)
    arranged: list[Node] = []
    stuck: list[tuple[float, int, Node]] | None = None
    while ready or waiting:
        if not ready:  # what is left hangs on circles
            stuck = sorted(waiting.values(), reverse=True) if stuck is None else stuck
            while stuck[-1][2].key not in waiting:
                stuck.pop()
            cut = waiting.pop(_on_circle(stuck[-1][2].key, waiting))
            on_cut(cut[2], "taken, but it follows itself by a circle of parents")
            cut[2].parent = None
            ready.append(cut)
        node = heapq.heappop(ready)[2]
        arranged.append(node)
        for entry in children.pop(node.key, ()):
            if waiting.pop(entry[2].key, None) is not None:
                heapq.heappush(ready, entry)
    return arranged


def _on_circle(key: str, waiting: Mapping[str, tuple[float, int, Node]]) -> str:
    """The earliest node of the circle that a node's parents end in."""
    seen: dict[str, int] = {}
    while key not in seen:
        seen[key] = len(seen)
        key = waiting[key][2].parent or key
    circle = [found for found, number in seen.items() if number >= seen[key]]
    return min(circle, key=lambda found: waiting[found][:2])


def weave(nodes: Iterable[Node]) -> tuple[Weaver, dict[str, int]]:
    """Put arranged nodes together; also the index of the last item up to each node, or -1."""
    weaver = Weaver()
    last: dict[str, int] = {}
    begun: dict[str, int] = {}
    response_of: dict[int, tuple[str | None, int]] = {}
    for node in nodes:
        weaver.tip = last.get(node.parent, -1) if node.parent is not None else -1
        for item in node.items:
            before = response_of.get(weaver.tip)
            index = weaver.add(item, node.created_at, node.agent_name)
            if describe(item).part != "model":
                continue
            key = node.response_key
            if key is not None:
                first = begun.setdefault(key, index)
            else:
                first = before[1] if before is not None and before[0] is None else index
            response_of[index] = (key, first)
            weaver.response(first).learn(**node.facts)
        last[node.key] = weaver.tip
    return weaver, last
