"""What a batch holds, seen at a glance before it is stored: who made it, its calls and outputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from duckstore.encoding import decode, readable
from duckstore.items import Description, describe

__all__ = ["Call", "Glance", "glance_at"]


class Call(NamedTuple):
    """A tool call that an output of its own answers."""

    call_id: str
    tool_name: str | None
    arguments: str | None


@dataclass(frozen=True, slots=True)
class Glance:
    """What a batch holds."""

    has_response: bool = False
    """Whether it holds anything that a model made."""
    calls: list[Call] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    """The call ids of its outputs."""


def glance_at(items: Iterable[Any], raws: Sequence[str]) -> Glance:
    """Look at a batch.

    Args:
        items: The items as they were given; what is no dict is read from its raw text.
        raws: The same as raw JSON text.
    """
    has_response = False
    calls, outputs = [], []
    for item, raw in zip(items, raws, strict=True):
        value = item if type(item) is dict else decode(raw)
        kind = value.get("type") if type(value) is dict else None
        # These two are most of all items, and describing them in full is for whoever stores them.
        if kind == "message":
            has_response = has_response or value.get("role") == "assistant"
            continue
        if kind == "function_call_output":
            call_id = value.get("call_id")
            if isinstance(call_id, str):
                outputs.append(readable(call_id))
            continue
        d = describe(value)
        has_response = has_response or d.part == "model"
        if d.call_id is not None:
            if _waits(d):
                calls.append(Call(d.call_id, d.tool_name, d.arguments))
            elif d.is_output:
                outputs.append(d.call_id)
    return Glance(has_response, calls, outputs)


def _waits(d: Description) -> bool:
    return d.is_call and d.status is None
