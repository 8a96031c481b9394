"""A conversation as one reads it: turns, messages, folded tool calls, and where it went other ways.

The session's path is shown; at each edit point the other ways are folded, with what followed them
and their own edit points.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from duckstore.display.entry import call_html, item_html
from duckstore.display.markup import Markup, element, joined
from duckstore.display.reading import Item, Shown, Stretch, read_conversation
from duckstore.display.style import framed
from duckstore.display.texts import count_of, cut, moment, span_of
from duckstore.rows import Rows

__all__ = ["conversation_html"]

MOST_DEPTH = 6
"""How many other ways are shown inside each other."""
TITLE_LENGTH = 90


def conversation_html(session_id: str, ask: Callable[..., Rows]) -> Markup:
    """A session's conversation.

    Args:
        session_id: The session.
        ask: Runs a reading statement with parameters.

    Raises:
        DuckstoreError: The store cannot be asked.
    """
    shown = read_conversation(ask, session_id)
    heading = element("p", "Session ", element("code", cut(session_id, TITLE_LENGTH)), look="head")
    if shown.head is None:
        return framed(heading, element("p", "Nothing was stored in it yet."))
    return framed(heading, *_facts(shown.head), *_Reading(shown).html())


def _facts(head: dict[str, Any]) -> Iterator[Markup]:
    if head["title"]:
        yield element("p", cut(head["title"], 200))
    calls = count_of(head["call_count"], "tool call")
    if head["error_count"]:
        calls += f" ({count_of(head['error_count'], 'error')})"
    facts = [count_of(head["run_count"], "run"), count_of(head["item_count"], "item"), calls]
    if head["total_tokens"] is not None:
        facts.append(count_of(head["total_tokens"], "token"))
    others = f", one of {head['branch_count']}" if head["branch_count"] > 1 else ""
    facts.append(f"branch {cut(head['branch'], 60)}{others}")
    yield element("p", " · ".join(facts))
    known = [span_of(head["created_at"], head["updated_at"])]
    for name in ("user_id", "source"):
        if head[name]:
            known.append(f"{name.removesuffix('_id')}: {cut(head[name], 60)}")
    if head["tags"]:
        known.append("tags: " + cut(", ".join(map(str, head["tags"])), 100))
    if head["parent_session_id"]:
        known.append(f"forked from {cut(head['parent_session_id'], 60)}")
    yield element("p", " · ".join(known), look="facts")


class _Reading:
    """One conversation while its HTML is made; knows which ways were shown already."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._ways: dict[int | None, list[Stretch]] = defaultdict(list)
        for way in shown.ways:
            self._ways[way.items[0]["parent_item_id"]].append(way)
        self._shown_way_count = 0
        self._inner: dict[int | None, list[dict[str, Any]]] = defaultdict(list)
        self._loose: dict[int | None, list[dict[str, Any]]] = defaultdict(list)
        ids = {item["item_id"] for item in shown.path if item["is_call"]}
        ids |= {item["item_id"] for way in shown.ways for item in way.items if item["is_call"]}
        for call in shown.unseen:
            if call["parent_tool_call_id"] in ids:
                self._inner[call["parent_tool_call_id"]].append(call)
            else:
                self._loose[call["anchor_item_id"]].append(call)

    def html(self) -> Iterator[Markup]:
        """All that is shown of it."""
        path = self._shown.path
        if not path:
            yield element("p", "The path has no items now.", look="quiet")
        yield from self._flow(path, path[0]["total"] if path else 0, 0)
        missing = self._shown.way_count - self._shown_way_count
        if missing:
            text = f"{count_of(missing, 'other way')} not shown here: session.alternatives()"
            yield element("p", text, look="quiet")

    def _flow(
        self,
        items: Sequence[Item],
        count: int,
        depth: int,
        before: int | None = None,
        turn: int | None = None,
    ) -> Iterator[Markup]:
        """Items that follow each other, with the other ways between them.

        Args:
            items: Those that are shown.
            count: How many there are.
            depth: How many other ways they are inside of.
            before: The item that the first of them follows.
            turn: The turn that is told above them.
        """
        outputs = {item["answers_item_id"]: item for item in items if item["answers_item_id"]}
        calls = {item["item_id"] for item in items if item["is_call"]}
        number, is_summed_up = 0, False
        for item in items:
            if item["number"] > number + 1:
                yield from self._other_ways(before, None, depth)
                yield self._left_out(item["number"] - number - 1)
            if item["turn_number"] != turn:
                turn = item["turn_number"]
                yield element("div", f"turn {turn} · {moment(item['created_at'])}", look="turn")
            if item["operation"] == "compact" and not is_summed_up and depth == 0:
                is_summed_up = True
                yield from self._archived()
            if item["number"] == number + 1:
                yield from self._other_ways(before, item, depth)
            if item["answers_item_id"] not in calls:
                yield self._entry(item, outputs.get(item["item_id"]))
            yield from (call_html(call) for call in self._loose.pop(item["item_id"], []))
            if item["item_id"] in self._shown.ends:
                yield element("p", self._shown.ends[item["item_id"]], look="error")
            number, before = item["number"], item["item_id"]
        yield from self._other_ways(before, None, depth, is_end=number == count)
        if number < count:
            yield self._left_out(count - number)

    def _entry(self, item: Item, output: Item | None) -> Markup:
        inner = [call_html(call) for call in self._inner.get(item["item_id"], [])]
        return item_html(item, output, inner)

    def _left_out(self, count: int) -> Markup:
        return element("p", f"⋯ {count_of(count, 'item')} left out here ⋯", look="quiet")

    def _archived(self) -> Iterator[Markup]:
        archived = self._shown.archived
        if not archived.items:
            return
        title = f"A compaction replaced {count_of(archived.item_count, 'item')} with what follows."
        before = archived.items[0]["parent_item_id"]
        inside = self._flow(archived.items, archived.item_count, 1, before)
        yield element(
            "details", element("summary", title), element("div", *inside, look="way"), look="point"
        )

    def _other_ways(
        self, before: int | None, item: Item | None, depth: int, *, is_end: bool = False
    ) -> Iterator[Markup]:
        """What went on otherwise after an item.

        Args:
            before: The item.
            item: What follows it here; None where nothing does, or where that is left out.
            depth: How many other ways this is inside of.
            is_end: Whether nothing does.
        """
        ways = self._ways.pop(before, [])
        if not ways or depth >= MOST_DEPTH:
            return
        self._shown_way_count += len(ways)
        first = ways[0].items[0]
        kind = (item["kind"] if item is not None else None) or first["kind"] or "taken back"
        turn = item["turn_number"] if item is not None else None
        yield element(
            "details",
            element(
                "summary",
                element("span", f"◆ {kind}", look="who"),
                f" · {_told_of_point(first, item, is_end)}",
            ),
            *(self._way(way, depth, turn) for way in ways),
            look="point",
        )

    def _way(self, way: Stretch, depth: int, turn: int | None) -> Markup:
        first = way.items[0]
        before = first["parent_item_id"]
        facts = [cut(first["branch"], 60) if first["branch"] else "no branch"]
        if first["alternative_count"] is not None:
            facts.insert(0, f"{first['rank']} of {first['alternative_count']}")
        if first["is_deleted"]:
            facts.append("deleted")
        facts.append(count_of(way.item_count, "item"))
        said = f"{first['role'] or first['item_type'] or 'item'}: {first['text'] or ''}"
        return element(
            "details",
            element(
                "summary",
                " · ".join(facts) + " · ",
                element("span", cut(said, TITLE_LENGTH), look="quiet"),
            ),
            joined(*self._flow(way.items, way.item_count, depth + 1, before, turn)),
            look="way",
        )


def _told_of_point(first: Item, item: Item | None, is_end: bool) -> str:
    """How many alternatives there are, and which is shown."""
    if item is not None and item["kind"] is not None:
        return f"{item['rank']} of {item['alternative_count']} is shown"
    if not is_end:
        return "it went on otherwise too"
    if first["kind"] is not None:
        return f"none of {first['alternative_count']} is on the path, which ends here"
    return "the path ends here; what followed was taken back"
