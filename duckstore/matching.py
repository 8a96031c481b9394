"""What hooks and tracing saw, put together where it is one thing.

Hooks know a tool call by its id, and a model call by the run's context; tracing knows both by where
their spans are in its tree. A runner calls its model again only after the answer, so that the calls
of one run come in the same order to both; and the span of a tool call is told its id by the hook
that is called in it, or is the call of that name and those arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from duckstore.glance import Call
from duckstore.spans import ToolSpan
from duckstore.telemetry import SeenCall, SeenResponse

__all__ = ["merged", "paired", "set_overlaps", "verdict"]

_OF_BOTH = (
    "agent_name",
    "usage",
    "provider_response_id",
    "finish_reason",
    "model",
    "offered_tools",
)
"""What hooks and tracing both can know of a model call."""


def merged(hooked: list[SeenResponse], traced: list[SeenResponse]) -> list[SeenResponse]:
    """The model calls of one run, as hooks and tracing saw them, in order.

    Tracing also sees those that failed, which hooks are not told of.
    """
    answered = [response for response in traced if not response.has_failed]
    for hook, span in zip(reversed(hooked), reversed(answered), strict=False):
        for name in _OF_BOTH:
            if getattr(span, name) is None:
                setattr(span, name, getattr(hook, name))
        if hook.usage is not None:
            span.usage = hook.usage
    alone = hooked[: max(len(hooked) - len(answered), 0)]
    return [*alone, *traced]


def paired(spans: Sequence[ToolSpan], wanted: Iterable[Call]) -> dict[str, ToolSpan]:
    """The span of each call: the one that was told its id, else that of its name and arguments.

    Calls that are alike are begun in their order. What is left belongs together where there are as
    many calls as spans, of one tool.
    """
    pairs: dict[str, ToolSpan] = {}
    if not spans:
        return pairs
    left = list(spans)

    def take(call: Call, fitting: Iterable[ToolSpan]) -> None:
        span = next(iter(fitting), None)
        if span is not None:
            pairs[call.call_id] = span
            left.remove(span)

    rest = list(wanted)
    rules = (
        lambda call, span: span.call.call_id == call.call_id,
        lambda call, span: _is_named(span, call) and span.call.arguments == call.arguments,
        lambda call, span: _is_named(span, call) and span.call.arguments is None,
    )
    for rule in rules:
        for call in rest:
            if call.call_id not in pairs:
                free = (s for s in left if s.call.call_id in (None, call.call_id))
                take(call, [span for span in free if rule(call, span)])
    # Of shells, patches and computers tracing tells the arguments in words of its own, and of what
    # was called in another process nobody knows the name. They are begun in their order.
    alone = [call for call in rest if call.call_id not in pairs]
    left = [span for span in left if span.call.call_id is None]
    for name in {span.call.tool_name for span in left}:
        of_name = [span for span in left if span.call.tool_name == name]
        calls = [call for call in alone if _is_named(of_name[0], call)]
        if len(calls) == len(of_name):
            for call, span in zip(calls, of_name, strict=True):
                pairs[call.call_id] = span
                left.remove(span)
    alone = [call for call in alone if call.call_id not in pairs]
    is_one_kind = len({span.call.tool_name for span in left}) == 1
    if len(alone) == len(left) and is_one_kind and len({c.tool_name for c in alone}) == 1:
        pairs |= {call.call_id: span for call, span in zip(alone, left, strict=True)}
    return pairs


def _is_named(span: ToolSpan, call: Call) -> bool:
    """Whether it is a call of that tool; tracing puts the namespace before the name."""
    name = span.call.tool_name or ""
    return call.tool_name is not None and (
        name == call.tool_name or name.endswith("." + call.tool_name)
    )


def verdict(wrapper: Any, tool_name: str | None, call_id: str) -> bool | None:
    """Whether a call was approved; None where nobody was asked."""
    if tool_name is None:
        return None
    try:
        verdict = wrapper.is_tool_approved(tool_name, call_id)
    except Exception:  # a context of another make: a write never fails because of it
        return None
    return verdict if isinstance(verdict, bool) else None


def set_overlaps(calls: Sequence[SeenCall]) -> None:
    """Note for calls that could run at once how long another one ran too."""
    timed = [c for c in calls if c.started_us is not None and c.ended_us is not None]
    if len(timed) < 2:
        return
    for call in timed:
        call.overlap_us = _covered(
            [
                (
                    max(call.started_us or 0, o.started_us or 0),
                    min(call.ended_us or 0, o.ended_us or 0),
                )
                for o in timed
                if o is not call
            ]
        )


def _covered(stretches: Iterable[tuple[int, int]]) -> int:
    """The length of what stretches cover together."""
    total, reached = 0, 0
    for start, end in sorted(stretches):
        start = max(start, reached)
        if end > start:
            total, reached = total + end - start, end
    return total
