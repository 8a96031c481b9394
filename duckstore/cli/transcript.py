"""A conversation as a person reads it.

    ── turn 1 ── 2026-01-31T12:00:00Z
    user
      Where are my orders?
    find (triage): ok
      {"order": 7}
      → shipped

An output stands with its call, wherever it came in the conversation. Where a run ended otherwise
than with an answer, and somebody saw how, that stands after its last item.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from textwrap import indent
from typing import Any

from duckstore.cli.text import cut, visible

__all__ = ["write_transcript"]

RAW_LENGTH = 500
"""How much of an item without words is shown."""

Item = dict[str, Any]
Line = tuple[str, str]
"""A style's name and a text, of one line or more."""

STYLES = {
    "turn": "bold blue",
    "user": "bold green",
    "model": "bold magenta",
    "tool": "bold cyan",
    "failed": "bold red",
    "superseded": "dim strike",
    "text": "",
    "detail": "dim",
}


def write_transcript(items: Sequence[Item], ends: Mapping[int, str] | None = None) -> None:
    """Write items to standard output, with colour on a terminal.

    Args:
        items: The items, in order.
        ends: How runs ended, by the id of the item after which they did.
    """
    lines = _lines(items, ends or {})
    if not sys.stdout.isatty():
        for _, text in lines:
            sys.stdout.write(text + "\n")
        return
    from rich.padding import Padding
    from rich.text import Text

    from duckstore.cli.output import console

    screen = console()
    for style, text in lines:
        depth = len(text) - len(text.lstrip(" "))
        flush = "\n".join(line[depth:] for line in text.split("\n"))
        screen.print(Padding(Text(flush, style=STYLES[style]), (0, 0, 0, depth)))


def _lines(items: Sequence[Item], ends: Mapping[int, str]) -> Iterator[Line]:
    shown_outputs = {item["output_item_id"] for item in items if item["output_item_id"]}
    turn: int | None = None
    for item in items:
        if item["turn_number"] != turn:
            turn = item["turn_number"]
            yield "turn", f"── turn {turn} ── {item['created_at']}"
        if item["item_id"] not in shown_outputs:
            yield _head(item)
            yield from _body(item)
        if item["item_id"] in ends:
            yield "failed", visible(f"── {ends[item['item_id']]}")


def _head(item: Item) -> Line:
    name = item["role"] or item["item_type"] or "item"
    style = "user" if name == "user" else "model"
    if item["status"] is not None:
        name, style = item["tool_name"] or name, "tool"
    if item["agent_name"]:
        name += f" ({item['agent_name']})"
    if item["status"] is not None:
        name += f": {item['status']}"
        if item["status"] in ("error", "rejected"):
            style = "failed"
    if item["state"] != "current":
        name, style = f"{name} [{item['state']}]", "superseded"
    return style, visible(name)


def _body(item: Item) -> Iterator[Line]:
    style = "text" if item["state"] == "current" else "detail"
    if item["status"] is None:
        text = item["text"]
        yield style, _indented(text if text is not None else cut(item["item"], RAW_LENGTH))
        return
    if item["arguments"]:
        yield "detail", _indented(item["arguments"])
    if item["output"] is not None:
        yield style, _indented(f"→ {item['output']}")
    if item["error"] is not None and item["error"] != item["output"]:
        yield style, _indented(f"error: {item['error']}")


def _indented(text: str) -> str:
    return indent(visible(text, lines=True).rstrip("\n"), "  ", lambda line: True)
