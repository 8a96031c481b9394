"""What the SDK knows about a model call and its items do not tell.

The Runner hands its live `RunContextWrapper` to session methods that name a `wrapper` parameter.
Its usage grows with every model call, so the growth between two calls of ours is exactly what
the response in between cost. The agent's name, the trace and the workflow come from the tracing
context that we are called in; that part of the SDK is undocumented, so a failure there leaves
NULL and never fails a write. Wrappers are held weakly: a run's context must not outlive the run.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["ResponseFacts", "RunObserver", "Usage"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one or more model calls, named as in the GenAI semantic conventions."""

    request_count: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    reasoning_output_tokens: int = 0
    total_tokens: int = 0

    @classmethod
    def of(cls, usage: Any, *, request_count: int | None = None) -> Usage:
        """The counts of an SDK `Usage` or `RequestUsage` object; 0 where it has none."""
        details_in = getattr(usage, "input_tokens_details", None)
        details_out = getattr(usage, "output_tokens_details", None)
        requests = _count(usage, "requests") if request_count is None else request_count
        return cls(
            request_count=requests,
            input_tokens=_count(usage, "input_tokens"),
            output_tokens=_count(usage, "output_tokens"),
            cache_read_input_tokens=_count(details_in, "cached_tokens"),
            cache_creation_input_tokens=_count(details_in, "cache_write_tokens"),
            reasoning_output_tokens=_count(details_out, "reasoning_tokens"),
            total_tokens=_count(usage, "total_tokens"),
        )

    @classmethod
    def of_json(cls, usage: Mapping[str, Any]) -> Usage:
        """The counts of a usage object of the Responses or the Chat Completions API."""
        details_in = usage.get("input_tokens_details") or usage.get("prompt_tokens_details")
        details_out = usage.get("output_tokens_details") or usage.get("completion_tokens_details")
        tokens_in = _item(usage, "input_tokens") or _item(usage, "prompt_tokens")
        tokens_out = _item(usage, "output_tokens") or _item(usage, "completion_tokens")
        return cls(
            request_count=1,
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            cache_read_input_tokens=_item(details_in, "cached_tokens"),
            cache_creation_input_tokens=_item(details_in, "cache_write_tokens"),
            reasoning_output_tokens=_item(details_out, "reasoning_tokens"),
            total_tokens=_item(usage, "total_tokens") or tokens_in + tokens_out,
        )

    def since(self, earlier: Usage) -> Usage:
        """What was added after `earlier`."""
        return Usage(*(getattr(self, name) - getattr(earlier, name) for name in self.__slots__))

    def plus(self, more: Usage, *, at_most: Usage) -> Usage:
        """The sum with `more`, no count of it above that of `at_most`."""
        return Usage(
            *(
                min(getattr(self, name) + getattr(more, name), getattr(at_most, name))
                for name in self.__slots__
            )
        )

    def __bool__(self) -> bool:
        return any(getattr(self, name) > 0 for name in self.__slots__)


@dataclass(frozen=True, slots=True)
class ResponseFacts:
    """What is known of a batch beyond its items."""

    agent_name: str | None = None
    usage: Usage | None = None
    model: str | None = None
    trace_id: str | None = None
    workflow_name: str | None = None
    group_id: str | None = None
    is_live: bool = False
    """Whether the batch comes from a running Runner."""
    course: int | None = None
    """The course of the conversation that the run read; see `duckstore.tree`."""

    def values(self) -> dict[str, Any]:
        """What is known, as JSON has it; `of_values` reads it back."""
        known = {
            "agent_name": self.agent_name,
            "usage": self.usage and [getattr(self.usage, name) for name in Usage.__slots__],
            "model": self.model,
            "trace_id": self.trace_id,
            "workflow_name": self.workflow_name,
            "group_id": self.group_id,
            "is_live": self.is_live,
        }
        values = {name: value for name, value in known.items() if value}
        return values if self.course is None else {**values, "course": self.course}

    @classmethod
    def of_values(cls, values: Mapping[str, Any]) -> ResponseFacts:
        """The facts that `values` gave."""
        if not values:
            return _NOTHING
        usage = values.get("usage")
        return cls(**{**values, "usage": Usage(*usage) if usage else None})

    @property
    def has_response_row(self) -> bool:
        """Whether anything is known that `response_rows` holds."""
        return any((self.usage, self.model, self.trace_id, self.workflow_name, self.group_id))

    def row(self, response_id: int, session_key: int) -> tuple[Any, ...]:
        """The row of `response_rows`; what is not known is NULL."""
        usage = self.usage
        counts = [None] * 7 if usage is None else [getattr(usage, n) for n in Usage.__slots__]
        unknown = (None, None, None)  # finish_reason, started_at, ended_at
        trace = (self.trace_id, self.workflow_name, self.group_id)
        return (response_id, session_key, self.model, *counts, *unknown, *trace)


_NOTHING = ResponseFacts()


class RunObserver:
    """Reads usage from run contexts, each counted once."""

    def __init__(self) -> None:
        self._seen: weakref.WeakKeyDictionary[Any, Usage] = weakref.WeakKeyDictionary()
        self._courses: weakref.WeakKeyDictionary[Any, dict[str, int]] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def notice(self, wrapper: Any) -> None:
        """Remember a run's usage before its first batch, so that growth can be told from it."""
        usage = getattr(wrapper, "usage", None)
        if usage is None:
            return
        with self._lock:
            if wrapper not in self._seen:
                self._seen[wrapper] = Usage.of(usage)

    def note_course(self, wrapper: Any, session_id: str, course: int) -> None:
        """Remember which course of a conversation a run has read when it began."""
        with self._lock:
            self._courses.setdefault(wrapper, {}).setdefault(session_id, course)

    def take(self, wrapper: Any, stored: Usage) -> Usage:
        """What a run has used and no session has stored. It counts as stored from now on.

        Args:
            wrapper: The run's context.
            stored: What is stored with as many responses as the run had. It is this run's where it
                had used just that much once: it was stored in another process, or before the run
                was resumed with a copy of its context.
        """
        live = getattr(wrapper, "usage", None)
        if live is None:
            return Usage()
        now = Usage.of(live)
        with self._lock:
            # Seen by its own context, or by that of an agent that was its tool and shares it.
            known = [seen for w, seen in self._seen.items() if getattr(w, "usage", None) is live]
            self._seen[wrapper] = now
        if stored in _totals(live):
            known.append(stored)
        left = min((now.since(earlier) for earlier in known), key=_total, default=now)
        return Usage(*(max(getattr(left, name), 0) for name in Usage.__slots__))

    def give_back(self, wrapper: Any, usage: Usage) -> None:
        """Count as not stored, after all, what was taken."""
        with self._lock:
            self._seen[wrapper] = self._seen[wrapper].since(usage)

    def facts(self, wrapper: Any, session_id: str, *, has_response: bool) -> ResponseFacts:
        """What is known of the batch that is being added now.

        Args:
            wrapper: The SDK's run context, or None outside a run.
            session_id: The session that it is added to.
            has_response: Whether the batch holds anything that a model made. Growth of the usage
                is kept for the next batch that does.
        """
        usage = self._growth(wrapper, has_response) if wrapper is not None else None
        trace_id, workflow_name, group_id = _current_trace()
        return ResponseFacts(
            agent_name=_current_agent_name(),
            usage=usage,
            trace_id=trace_id,
            workflow_name=workflow_name,
            group_id=group_id,
            is_live=wrapper is not None,
            course=self._courses.get(wrapper, {}).get(session_id) if wrapper is not None else None,
        )

    def _growth(self, wrapper: Any, has_response: bool) -> Usage | None:
        live = getattr(wrapper, "usage", None)
        if live is None:
            return None
        now = Usage.of(live)
        with self._lock:
            before = self._seen.get(wrapper)
            if not has_response:
                if before is None:
                    self._seen[wrapper] = now
                return None
            self._seen[wrapper] = now
            if before is not None:
                grown = now.since(before)
            else:
                # A resumed run that we have not seen begin: its usage carries earlier calls,
                # which were counted then. Only the last entry is this response's.
                entries = getattr(live, "request_usage_entries", None)
                grown = Usage.of(entries[-1], request_count=1) if entries else Usage()
            self._claim(wrapper, grown, now)
        return grown or None

    def _claim(self, wrapper: Any, grown: Usage, now: Usage) -> None:
        """Keep other runs from counting what this one counted.

        An agent that is used as a tool has a context of its own and shares its caller's usage.
        """
        for other, seen in list(self._seen.items()):
            if other is not wrapper and getattr(other, "usage", None) is wrapper.usage:
                self._seen[other] = seen.plus(grown, at_most=now)


def _totals(usage: Any) -> Iterator[Usage]:
    """What a run had used after each of its model calls."""
    total = Usage()
    for entry in getattr(usage, "request_usage_entries", None) or ():
        more = Usage.of(entry, request_count=1)
        total = Usage(*(getattr(total, n) + getattr(more, n) for n in Usage.__slots__))
        yield total
    yield Usage.of(usage)


def _total(usage: Usage) -> int:
    return usage.total_tokens


def _item(holder: Any, name: str) -> int:
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if isinstance(value, int) else 0


def _count(holder: Any, name: str) -> int:
    value = getattr(holder, name, 0)
    return value if isinstance(value, int) else 0


def _current_agent_name() -> str | None:
    """The agent whose span is current. NULL where tracing's internals are not as expected."""
    tracing = sys.modules.get("agents.tracing")
    if tracing is None:
        return None
    try:
        data = getattr(tracing.get_current_span(), "span_data", None)
    except Exception:  # undocumented ground: a write never fails because of it
        return None
    kind = getattr(data, "type", None)
    name = getattr(data, "name" if kind == "agent" else "agent_name", None)
    return name if isinstance(name, str) else None


def _current_trace() -> tuple[str | None, str | None, str | None]:
    """Trace id, workflow name and group id of the current trace; NULLs where it is off."""
    tracing = sys.modules.get("agents.tracing")
    if tracing is None:
        return None, None, None
    try:
        trace = tracing.get_current_trace()
        values = (
            getattr(trace, "trace_id", None),
            getattr(trace, "name", None),
            getattr(trace, "group_id", None),
        )
    except Exception:  # undocumented ground: a write never fails because of it
        return None, None, None
    if values[0] in (None, "no-op"):
        return None, None, None
    first, second, third = (v if isinstance(v, str) else None for v in values)
    return first, second, third
