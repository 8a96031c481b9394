"""One item of a conversation: a message, a tool call with its output, or anything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from duckstore.display.markup import Markup, element, joined
from duckstore.display.texts import cut, folded

__all__ = ["call_html", "item_html"]

BRIEF_LENGTH = 70
"""How much of a call's arguments stands beside its name."""

_FAILED = {"error", "rejected"}
_FOLDED = {"reasoning"}
"""Items that are read only by who looks for them."""


def item_html(
    item: Mapping[str, Any], output: Mapping[str, Any] | None, inner: Sequence[Markup]
) -> Markup:
    """An item.

    Args:
        item: The item, as `duckstore.display.reading` has it.
        output: The item that answers it where it is a call, if that is at hand.
        inner: The calls that an agent in it made.
    """
    if item["is_call"]:
        if output is not None:
            told = {"output": output["text"], "output_length": output["text_length"]}
            told["status"] = output["status"] if item["operation"] == "fork" else item["status"]
            item = {**item, **told}
        return call_html(item, inner)
    role = item["role"]
    who = role or item["item_type"] or "item"
    if item["agent_name"] and role != "user":
        who += f" · {item['agent_name']}"
    text = folded(
        item["text"] or "", item["text_length"], "data" if item["is_raw"] or not role else "text"
    )
    look = "item user" if role == "user" else "item model" if role == "assistant" else "item"
    label = element("span", cut(who, 100), look="who")
    if item["item_type"] in _FOLDED or not role:
        brief = element("span", " " + cut(item["text"] or "", BRIEF_LENGTH), look="quiet")
        return element("details", element("summary", label, brief), text, look=look)
    return element("div", label, text, look=look)


def call_html(call: Mapping[str, Any], inner: Sequence[Markup] = ()) -> Markup:
    """A tool call, folded: its name, how it went, and what it was given at the first glance."""
    status = call["status"] or "pending"
    is_bad = status in _FAILED
    took = call["duration_seconds"]
    facts = [
        element("code", cut(call["tool_name"] or "(no name)", 80), look="who"),
        Markup(" · "),
        element("span", status, look="error" if is_bad else ""),
    ]
    if took is not None:
        facts.append(joined(f" · {took:.3g} s"))
    if call["agent_name"]:
        facts.append(joined(f" · {cut(call['agent_name'], 60)}"))
    if call["handoff_to"]:
        facts.append(joined(" → ", element("span", cut(call["handoff_to"], 60), look="who")))
    else:
        brief = cut(call["arguments"] or "", BRIEF_LENGTH)
        facts.append(element("span", f" · {brief}" if brief else "", look="quiet"))
    return element(
        "details",
        element("summary", *facts),
        *_part("arguments", call["arguments"], call["arguments_length"]),
        *_part("output", call["output"], call["output_length"]),
        *(_part("error", call["error"]) if call["error"] != call["output"] else ()),
        *inner,
        look="item failed" if is_bad else "item",
    )


def _part(name: str, text: str | None, length: int | None = None) -> tuple[Markup, ...]:
    if text is None:
        return ()
    return (element("span", name, look="quiet"), folded(text, length, "data"))
