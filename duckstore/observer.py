"""Watches the runs of a process, and tells for each batch what is known of it beyond its items.

The Runner hands its live `RunContextWrapper` to session methods that name a `wrapper` parameter,
and the same to hooks; tracing tells spans. All of it is kept here, in memory, and taken by the next
batch of the run, so that it is written with the items, by one command, and lost only with them.
What no batch comes after (a guardrail that trips, an error, the outcome) is reported when the run's
task ends or its context dies. Contexts are held weakly: none outlives its run because of us.

A callback of a weak reference can come at any moment, in any thread, so that it does nothing but
put a word into a queue that allows it.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterable
from functools import partial
from queue import SimpleQueue
from typing import Any

from duckstore.glance import Call, Glance
from duckstore.ledger import Ledger
from duckstore.sightings import Sighting
from duckstore.spans import Scope, SpanLog
from duckstore.telemetry import Seen, SeenCall, SeenOutcome, SeenResponse
from duckstore.tracing_context import (
    current_agent_name,
    current_span,
    current_trace,
    offered_tools,
)
from duckstore.usage import Usage
from duckstore.watch import Watch

__all__ = ["Claim", "Report", "RunObserver"]

MOST_UNKNOWN = 256
"""Usage objects that hooks saw and no run's context was seen with yet: so many are kept."""

Report = tuple[Watch | None, Scope | None, SeenOutcome | None]
"""A run that has ended: its watch, or its scope and how it went."""


def _now_us() -> int:
    return time.time_ns() // 1000


def _complete(seen: Seen, response: SeenResponse, span: Any) -> None:
    """Put together what the span in which a batch is added tells, and who watched its response."""
    seen.agent_name = seen.agent_name or response.agent_name
    # Of a model call that hooks or tracing saw, they knew it best.
    if response.started_us is None:
        response.offered_tools = offered_tools(span)


def _has_died(reports: SimpleQueue[Any], watch: Watch, _: Any) -> None:
    """Say that a run's context is gone: here, no lock may be taken."""
    reports.put((watch, None, None))


class Claim:
    """What a batch takes of what was seen. It is settled when the batch is stored, or is not."""

    __slots__ = ("_observer", "_scope", "_watch", "seen")

    def __init__(
        self, observer: RunObserver, watch: Watch | None, scope: Scope | None, seen: Seen
    ) -> None:
        self._observer, self._watch, self._scope = observer, watch, scope
        self.seen = seen

    @property
    def is_to_settle(self) -> bool:
        """Whether anybody wants to know what becomes of the batch."""
        return self._watch is not None or self._scope is not None

    def keep(self, first_id: int, id_count: int) -> None:
        """The batch is stored, with ids from this one on."""
        if self._watch is not None:
            self._watch.batch = (first_id, id_count)
            self._watch.contact_ns = time.perf_counter_ns()
        if self._scope is not None:
            self._scope.batch = (first_id, id_count)

    def give_back(self) -> None:
        """The batch is not stored: what was seen is reported with the rest of the run."""
        holder = self._watch if self._watch is not None else self._scope
        if holder is not None:
            self._observer.give_back(holder, self.seen)


class RunObserver:
    """Everything that was seen of the runs of this process and not stored yet. Thread-safe."""

    def __init__(self) -> None:
        self.after_fork()
        self.on_first: Callable[[], None] = lambda: None
        """Called when a run is seen, at least before the first is reported."""
        self.on_flush: Callable[[], None] = lambda: None
        """Waits until everything reported so far is stored."""

    def after_fork(self) -> None:
        """Know of no run: those that were at work are the parent's."""
        self._lock = threading.RLock()
        self._watches: dict[int, Watch] = {}
        self._ledgers: dict[int, Ledger] = {}
        self.spans = SpanLog(self._task_ended)
        self.reports: SimpleQueue[Report | threading.Event | None] = SimpleQueue()

    # What sessions tell ----------------------------------------------------------------------

    def notice(self, wrapper: Any, session_id: str) -> Watch | None:
        """A run reads a session. Returns its watch where it brings usage that nobody saw grow."""
        if getattr(wrapper, "usage", None) is None:
            return None
        with self._lock:
            watch = self._watch(wrapper)
            is_known, watch.ledger.is_checked = watch.ledger.is_checked, True
            self._link(watch, self.spans.scope_of(current_span()), session_id)
            # A run that was resumed brings what it used and what was approved.
            brings = Usage.of(wrapper.usage) or getattr(wrapper, "_approvals", None)
            return watch if not is_known and brings else None

    def resumes(self, watch: Watch, stored: Usage, calls: Iterable[Call]) -> None:
        """Say what is stored of a run that was resumed, and which of its calls wait."""
        with self._lock:
            watch.ledger.begin_at(stored)
            for call in calls:
                watch.open_calls.setdefault(call.call_id, call)

    def has_read(self, wrapper: Any, session_id: str, course: int) -> None:
        """A run has read a conversation, and goes on from that course of it."""
        with self._lock:
            watch = self._watch(wrapper)
            watch.courses.setdefault(session_id, course)
            watch.contact_ns = time.perf_counter_ns()

    def claim(self, wrapper: Any, session_id: str, glance_at: Callable[[], Glance]) -> Claim:
        """Take what is known of the batch that is being added now.

        Args:
            wrapper: The SDK's run context, or None outside a run.
            session_id: The session that it is added to.
            glance_at: Looks at what the batch holds; not asked where nothing is watched.
        """
        span = current_span()
        with self._lock:
            scope = self.spans.scope_of(span)
            watch = None
            if getattr(wrapper, "usage", None) is not None:
                watch = self._watch(wrapper)
            self._link(watch, scope, session_id)
            if watch is None and scope is None:
                seen = Seen()
            else:
                seen = Sighting(watch, scope, glance_at(), wrapper).of_batch()
            trace_id, seen.workflow_name, seen.group_id = current_trace()
            seen.trace_id = trace_id
            if trace_id is None and scope is not None:
                seen.trace_id, seen.workflow_name = scope.trace_id, scope.workflow_name
                seen.group_id = scope.group_id
            seen.agent_name = current_agent_name(span)
            if seen.response is not None:
                _complete(seen, seen.response, span)
            seen.is_live = wrapper is not None
            if watch is not None:
                seen.course = watch.courses.get(session_id)
            return Claim(self, watch, scope, seen)

    def give_back(self, holder: Watch | Scope, seen: Seen) -> None:
        """Keep what was seen of a batch that is not stored."""
        with self._lock:
            if holder.unsaved is None:
                holder.unsaved = Seen()
            holder.unsaved.add(seen)

    # What hooks tell -------------------------------------------------------------------------

    def model_begins(self, context: Any, agent: Any, model: str | None) -> None:
        """A model is called."""
        now, span = _now_us(), current_span()
        tools = offered_tools(span, agent)
        with self._lock:
            watch = self._watch(context)
            watch.has_ended = False
            watch.model = SeenResponse(agent.name, None, model, tools, started_us=now)
            scope = self.spans.scope_of(span)
            if scope is not None and watch.scope is None:
                watch.scope, scope.watch = scope, watch

    def model_ends(self, context: Any, seen: SeenResponse, parent_call_id: str | None) -> None:
        """A model has answered."""
        seen.ended_us = _now_us()
        with self._lock:
            watch = self._watch(context)
            begun, watch.model = watch.model, None
            if begun is not None:
                seen.model = seen.model or begun.model
                seen.offered_tools = begun.offered_tools
                seen.started_us = begun.started_us
            watch.parent_call_id = parent_call_id
            watch.models.append(seen)

    def tool_begins(self, context: Any, call: SeenCall, parent_call_id: str | None) -> None:
        """A tool is called."""
        call.started_us = _now_us()
        span = current_span()
        with self._lock:
            self._ledger(context.usage).tools[call.call_id or ""] = (call, parent_call_id)
            self.spans.name_call(span, call.call_id or "")

    def tool_ends(self, context: Any, call_id: str, output: str | None) -> None:
        """A tool has given its output."""
        now = _now_us()
        with self._lock:
            call, _ = self._ledger(context.usage).tools.get(call_id, (None, None))
            if call is not None:
                call.ended_us, call.output = now, output

    def agent_ends(self, context: Any) -> None:
        """The agent of a run, and not one that is its tool, has given its final output."""
        with self._lock:
            ledger = self._ledgers.get(id(context.usage))
            if ledger is not None and ledger.watches:
                ledger.watches[0].has_ended = True

    # What tracing tells ----------------------------------------------------------------------

    def trace_begins(self, trace: Any) -> None:
        """A trace has begun."""
        with self._lock:
            self.spans.begin_trace(trace)

    def trace_ends(self, trace: Any) -> None:
        """A trace has ended."""
        with self._lock:
            self.spans.end_trace(trace)

    def span_begins(self, span: Any) -> None:
        """A span has begun."""
        is_model = span.span_data.type in ("generation", "response")
        tools = offered_tools(current_span()) if is_model else None
        with self._lock:
            self.spans.begin(span, tools)

    def span_ends(self, span: Any) -> None:
        """A span has ended."""
        with self._lock:
            self.spans.end(span)

    # When a run ends -------------------------------------------------------------------------

    def _task_ended(self, scope: Scope, outcome: SeenOutcome) -> None:
        if scope.session_id is not None:
            self.on_first()
            self.reports.put((None, scope, outcome))

    def report(self, report: Report) -> tuple[str, Seen, tuple[int, int] | None] | None:
        """What is left to store of a run that has ended: session, what was seen, last batch."""
        watch, scope, outcome = report
        with self._lock:
            gone = watch if watch is not None and watch.is_dead else None
            watch = watch or (scope.watch if scope is not None else None)
            scope = scope or (watch.scope if watch is not None else None)
            holder = watch if watch is not None and watch.session_id is not None else scope
            if holder is None or holder.session_id is None:
                self._forget(gone)
                return None
            seen = Sighting(watch, scope, Glance(), None).of_end(outcome)
            self._forget(gone)
            if scope is not None:
                seen.trace_id = seen.trace_id or scope.trace_id
                seen.workflow_name = seen.workflow_name or scope.workflow_name
                seen.group_id = seen.group_id or scope.group_id
            return (holder.session_id, seen, holder.batch) if seen.row_count else None

    @property
    def sees_runs(self) -> bool:
        """Whether the context of any run is there."""
        return bool(self._watches)

    def settle(self, wrapper: Any = None) -> None:
        """Have all that was seen reported now, or what was seen of one run."""
        with self._lock:
            watches = list(self._watches.values())
        for watch in watches:
            if wrapper is None or watch.ref() is wrapper:
                self.reports.put((watch, None, None))

    def watch_of(self, wrapper: Any) -> Watch | None:
        """The watch of a run that was seen in this process."""
        with self._lock:
            watch = self._watches.get(id(wrapper))
            return watch if watch is not None and watch.ref() is wrapper else None

    # Contexts --------------------------------------------------------------------------------

    def _watch(self, wrapper: Any) -> Watch:
        watch = self._watches.get(id(wrapper))
        if watch is not None and watch.ref() is wrapper:
            return watch
        if not self._watches:
            self.on_first()
        ledger = self._ledger(wrapper.usage)
        watch = Watch(ledger)
        watch.ref = weakref.ref(wrapper, partial(_has_died, self.reports, watch))
        ledger.watches.append(watch)
        self._watches[id(wrapper)] = watch
        watch.key = id(wrapper)
        return watch

    def _ledger(self, usage: Any) -> Ledger:
        ledger = self._ledgers.get(id(usage))
        if ledger is None:
            ledger = self._ledgers[id(usage)] = Ledger(usage, _now_us())
            if len(self._ledgers) > MOST_UNKNOWN:
                self._drop_unknown()
        return ledger

    def _drop_unknown(self) -> None:
        """Drop what hooks saw of runs that no context of was ever seen, the oldest half."""
        unknown = [key for key, ledger in self._ledgers.items() if not ledger.watches]
        for key in unknown[: len(unknown) // 2]:
            del self._ledgers[key]

    def _forget(self, watch: Watch | None) -> None:
        """Let go of a run whose context is gone.

        What an agent that was a tool has seen stays until the run takes it that it was a tool of.
        """
        if watch is None:
            return
        if self._watches.get(watch.key) is watch:
            del self._watches[watch.key]
        ledger = watch.ledger
        if all(other.is_dead for other in ledger.watches):
            if self._ledgers.get(id(ledger.usage)) is ledger:
                del self._ledgers[id(ledger.usage)]
        elif watch.session_id is not None and watch in ledger.watches:
            ledger.watches.remove(watch)

    def _link(self, watch: Watch | None, scope: Scope | None, session_id: str) -> None:
        """Say that a run, and what tracing calls it, go to a session."""
        if watch is not None:
            watch.session_id = session_id
        if scope is not None and scope.is_task:
            scope.session_id = session_id
            if watch is not None:
                watch.scope, scope.watch = scope, watch
