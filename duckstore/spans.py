"""What the SDK's tracing tells of runs, kept until a session asks for it or the run ends.

Spans form a tree: a runner's task, its agents and turns, in them model calls and tool calls, and in
a tool call the task of an agent that is that tool. A `Scope` is one such task with what was seen
directly in it. Nothing here is stored by itself: sessions take from the scope in which they are
called, so that what was seen travels with the items that it belongs to.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from duckstore.command import EPOCH
from duckstore.telemetry import Seen, SeenCall, SeenGuardrail, SeenOutcome, SeenResponse
from duckstore.usage import Usage

__all__ = ["Scope", "SpanLog", "ToolSpan", "microseconds"]

REDACTED = "Error details are redacted"
"""In an error text of the SDK that tells nothing."""


@dataclass(slots=True, eq=False)
class ToolSpan:
    """A tool call as tracing sees it, which does not tell the call's id."""

    call: SeenCall
    scopes: list[Scope] = field(default_factory=list)
    """The agents that ran in it."""
    has_ended: bool = False
    is_taken: bool = False


@dataclass(slots=True, eq=False)
class Scope:
    """One task of the SDK's runner and what was seen in it."""

    trace_id: str
    is_task: bool = True
    """Whether it ends with the runner's task."""
    is_nested: bool = False
    workflow_name: str | None = None
    group_id: str | None = None
    session_id: str | None = None
    """The session that its items go to."""
    watch: Any = None
    """Who watches the same run by its context; see `duckstore.observer`."""
    models: list[SeenResponse] = field(default_factory=list)
    tools: list[ToolSpan] = field(default_factory=list)
    guardrails: list[SeenGuardrail] = field(default_factory=list)
    error: str | None = None
    was_guarded: bool = False
    """Whether a guardrail stopped it."""
    is_redacted: bool = False
    """Whether its run is not to tell what was said, which its error can hold."""
    had_max_turns: bool = False
    """Whether it had taken as many turns as it may."""
    batch: tuple[int, int] | None = None
    """The ids of the last batch that came from it: the first, and how many."""
    open_call_ids: set[str] = field(default_factory=set)
    """Tool calls that wait for their output."""
    unsaved: Seen | None = None
    """What was seen of a batch that could not be stored."""

    def take_models(self) -> list[SeenResponse]:
        """The model calls that nobody took yet."""
        taken, self.models = self.models, []
        return taken

    def take_tools(self, *, all_of_them: bool = False) -> list[ToolSpan]:
        """The tool calls that nobody took yet: those that have ended, or all."""
        taken = [tool for tool in self.tools if tool.has_ended or all_of_them]
        self.tools = [tool for tool in self.tools if tool not in taken]
        return taken

    def take_guardrails(self) -> list[SeenGuardrail]:
        """The checks that nobody took yet."""
        taken, self.guardrails = self.guardrails, []
        return taken


@dataclass(slots=True, eq=False)
class _Live:
    """A span that has begun."""

    scope: Scope
    agent_name: str | None
    tool: ToolSpan | None = None
    enclosing: ToolSpan | None = None
    """The tool call in which it is."""
    offered_tools: tuple[str, ...] | None = None
    """To the model, whose call it is."""
    handled: int = 0
    """Which exception was being handled when it began: a run can be set going by a handler."""

    @property
    def raised(self) -> BaseException | None:
        """The exception that ends it, while it ends."""
        error = sys.exc_info()[1]
        return error if id(error) != self.handled else None


@dataclass(slots=True, eq=False)
class _Trace:
    """A trace at work."""

    scope: Scope
    """What is in no task of the runner."""
    span_ids: set[str] = field(default_factory=set)
    """Of its live spans."""


class SpanLog:
    """The scopes of the traces at work. Not thread-safe: its observer has a lock.

    Args:
        when_ended: Called with every scope whose task has ended, and how.
    """

    def __init__(self, when_ended: Callable[[Scope, SeenOutcome], None]) -> None:
        self._when_ended = when_ended
        self._live: dict[str, _Live] = {}
        self._traces: dict[str, _Trace] = {}

    # What tracing tells ----------------------------------------------------------------------

    def begin_trace(self, trace: Any) -> None:
        """A trace has begun."""
        name, group_id = getattr(trace, "name", None), getattr(trace, "group_id", None)
        if trace.trace_id not in self._traces:
            scope = Scope(trace.trace_id, False, False, name, group_id)
            self._traces[trace.trace_id] = _Trace(scope)

    def end_trace(self, trace: Any) -> None:
        """A trace has ended: what is still going on in it is of no use to anybody."""
        ended = self._traces.pop(trace.trace_id, None)
        for span_id in ended.span_ids if ended is not None else ():
            self._live.pop(span_id, None)

    def begin(self, span: Any, offered_tools: tuple[str, ...] | None = None) -> None:
        """A span has begun; where it is that of a model call, with these tools."""
        if span.span_id in self._live:  # two processors tell the same
            return
        parent = self._live.get(span.parent_id) if span.parent_id else None
        data, kind = span.span_data, span.span_data.type
        around = self._trace(span.trace_id)
        around.span_ids.add(span.span_id)
        scope = parent.scope if parent is not None else around.scope
        agent_name = parent.agent_name if parent is not None else None
        enclosing = parent.enclosing if parent is not None else None
        if kind == "task" or (kind == "agent" and parent is not None and parent.tool is not None):
            scope = self._new_scope(around.scope, enclosing, kind == "task")
            enclosing = None
        if kind in ("agent", "turn"):
            agent_name = data.name if kind == "agent" else data.agent_name
        handled = id(sys.exc_info()[1])
        live = _Live(scope, agent_name, None, enclosing, offered_tools, handled)
        if kind == "function":
            call = SeenCall(tool_name=data.name, agent_name=agent_name, span_id=span.span_id)
            call.started_us = microseconds(span.started_at)
            live.tool = live.enclosing = ToolSpan(call)
            scope.tools.append(live.tool)
        self._live[span.span_id] = live

    def end(self, span: Any) -> None:
        """A span has ended."""
        live = self._live.pop(span.span_id, None)
        if live is None:
            return
        self._trace(span.trace_id).span_ids.discard(span.span_id)
        match span.span_data.type:
            case "generation" | "response":
                live.scope.models.append(_response(span, live))
            case "function" if live.tool is not None:
                _finish(live.tool, span, live.raised)
            case "guardrail":
                _guardrail(span, live)
            case "agent" if span.error is not None:
                live.scope.error = _error_text(span.error)
                live.scope.is_redacted = _is_redacted(span.error)
                live.scope.had_max_turns = "max_turns" in (span.error.get("data") or ())
            case "task":
                self._when_ended(live.scope, _outcome(span, live))
            case _:
                return

    def _trace(self, trace_id: str) -> _Trace:
        """A trace: a run can be resumed in one that ended before, which is not kept."""
        return self._traces.get(trace_id) or _Trace(Scope(trace_id, False))

    def _new_scope(self, around: Scope, enclosing: ToolSpan | None, is_task: bool) -> Scope:
        names = (around.workflow_name, around.group_id)
        scope = Scope(around.trace_id, is_task, enclosing is not None, *names)
        if enclosing is not None:
            enclosing.scopes.append(scope)
        return scope

    # Who asks --------------------------------------------------------------------------------

    def scope_of(self, span: Any) -> Scope | None:
        """The scope that a live span is in; None where it is not known."""
        live = self._live.get(getattr(span, "span_id", ""))
        return live.scope if live is not None else None

    def name_call(self, span: Any, call_id: str) -> None:
        """Say which call the tool call is whose span this is."""
        live = self._live.get(getattr(span, "span_id", ""))
        if live is not None and live.tool is not None:
            live.tool.call.call_id = call_id


def microseconds(time: str | None) -> int | None:
    """A span's time as microseconds since 1970."""
    if time is None:
        return None
    since = datetime.fromisoformat(time) - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _outcome(span: Any, live: _Live) -> SeenOutcome:
    """How the task of a span, which is about to end, has gone.

    An exception that ends it is in flight while its span ends; what else is known of it, the spans
    of its agents have been told.
    """
    scope, error = live.scope, live.raised
    kind = type(error).__name__ if error is not None else None
    if kind is None and scope.had_max_turns:  # a streamed run raises it later, where it is read
        kind = "MaxTurnsExceeded"
    text = str(error) if error is not None and str(error) else scope.error
    if scope.is_redacted:
        text = None
    outcome = "completed"
    if kind == "MaxTurnsExceeded":
        outcome = "max_turns"
    elif scope.was_guarded or (kind is not None and kind.endswith("TripwireTriggered")):
        outcome = "guardrail"
    elif kind in ("CancelledError", "GeneratorExit", "KeyboardInterrupt"):
        outcome = "cancelled"
    elif kind is not None or scope.error is not None:
        outcome = "error"
    times = microseconds(span.started_at), microseconds(span.ended_at)
    if outcome == "completed":
        return SeenOutcome(outcome, None, None, *times)
    return SeenOutcome(outcome, kind, text, *times)


# Spans ---------------------------------------------------------------------------------------


def _response(span: Any, live: _Live) -> SeenResponse:
    """A model call; the Responses API's spans have its whole answer, others name the model."""
    data = span.span_data
    answer = getattr(data, "response", None)
    seen = SeenResponse(
        agent_name=live.agent_name,
        model=_string(getattr(answer, "model", None)) or _string(getattr(data, "model", None)),
        offered_tools=live.offered_tools,
        provider_response_id=_string(getattr(answer, "id", None)),
        finish_reason=_finish_reason(answer),
        started_us=microseconds(span.started_at),
        ended_us=microseconds(span.ended_at),
        span_id=span.span_id,
    )
    usage = getattr(data, "usage", None)
    if isinstance(usage, dict):
        seen.usage = Usage.of_json(usage) or None
    elif answer is not None and getattr(answer, "usage", None) is not None:
        seen.usage = Usage.of(answer.usage, request_count=1) or None
    seen.error_type, seen.error = _error(span, live.raised)
    return seen


def _finish_reason(answer: Any) -> str | None:
    details = getattr(answer, "incomplete_details", None)
    return _string(getattr(details, "reason", None)) or _string(getattr(answer, "status", None))


def _finish(tool: ToolSpan, span: Any, raised: BaseException | None) -> None:
    """Note how a tool call has ended."""
    call, data = tool.call, span.span_data
    tool.has_ended = True
    call.ended_us = microseconds(span.ended_at)
    call.arguments = _string(data.input)
    call.output = None if data.output is None else str(data.output)
    # The SDK raises an error of its own from a tool's.
    call.error_type, call.error = _error(span, raised and (raised.__cause__ or raised))
    call.status_source = "trace"
    failed = span.error is not None or call.error_type is not None
    call.status = "error" if failed else "ok"


def _guardrail(span: Any, live: _Live) -> None:
    data = span.span_data
    live.scope.was_guarded = live.scope.was_guarded or bool(data.triggered)
    times = microseconds(span.started_at), microseconds(span.ended_at)
    live.scope.guardrails.append(
        SeenGuardrail(str(data.name), bool(data.triggered), live.agent_name, *times, span.span_id)
    )


def _error(span: Any, raised: BaseException | None) -> tuple[str | None, str | None]:
    """Type and text of what a span ended with: the type is known of what was raised through it."""
    text = _error_text(span.error)
    # A stream that is read no further is closed: that is nothing that went wrong.
    if raised is None or isinstance(raised, GeneratorExit):
        return _named_type(span.error), text
    if text is None and not _is_redacted(span.error):
        text = str(raised) or None
    return type(raised).__name__, text


def _named_type(error: Any) -> str | None:
    data = error.get("data") if isinstance(error, dict) else None
    return _string(data.get("name")) if isinstance(data, dict) else None


def _is_redacted(error: Any) -> bool:
    """Whether the SDK has taken the words out of an error."""
    return isinstance(error, dict) and REDACTED in str(error.get("data"))


def _error_text(error: Any) -> str | None:
    """What a span's error says; None where the SDK has taken its words out."""
    if not isinstance(error, dict):
        return None
    data = error.get("data")
    if isinstance(data, dict):
        for key in ("error", "message"):
            text = _string(data.get(key))
            if text is not None:
                return text if REDACTED not in text else None
    return _string(error.get("message"))


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
