"""Puts together what was seen of a run: by its context, by hooks and by tracing, each once.

Hooks know a tool call by its id, and a model call by the run's context; tracing knows both by where
their spans are in its tree. What both saw is one thing: a runner calls its model again only after
the answer, so that the calls of one run come in the same order to both; and the span of a tool call
is told its id by the hook that is called in it, or is the call of that name and those arguments.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from duckstore.glance import Call, Glance
from duckstore.ledger import Ledger
from duckstore.spans import Scope, ToolSpan
from duckstore.telemetry import Seen, SeenCall, SeenOutcome, SeenResponse

__all__ = ["Sighting", "Watch"]


class Watch:
    """One run of the SDK's runner, known by its context."""

    __slots__ = (
        "batch",
        "contact_ns",
        "courses",
        "first_entry",
        "has_ended",
        "key",
        "ledger",
        "model",
        "models",
        "open_calls",
        "parent_call_id",
        "ref",
        "scope",
        "session_id",
        "unsaved",
    )

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.first_entry = ledger.entry_count
        """How many model calls its usage had noted when it began."""
        self.ref: Any = lambda: None
        self.key = 0
        self.session_id: str | None = None
        self.courses: dict[str, int] = {}
        """The course of each conversation that it read."""
        self.batch: tuple[int, int] | None = None
        """The ids of its last batch: the first, and how many."""
        self.contact_ns = time.perf_counter_ns()
        self.open_calls: dict[str, Call] = {}
        """Tool calls of earlier batches that wait for their output."""
        self.model: SeenResponse | None = None
        """The model call at work, where hooks tell."""
        self.models: list[SeenResponse] = []
        """Those that have ended and nobody took yet."""
        self.parent_call_id: str | None = None
        self.scope: Scope | None = None
        self.unsaved: Seen | None = None
        self.has_ended = False
        """Whether its agent has given its final output."""

    @property
    def is_dead(self) -> bool:
        """Whether its context is gone."""
        return self.ref() is None

    def take_models(self) -> list[SeenResponse]:
        """The model calls that nobody took yet."""
        taken, self.models = self.models, []
        return taken


class Sighting:
    """Takes what was seen of a run, for a batch or for its end. Nothing is taken twice."""

    def __init__(
        self, watch: Watch | None, scope: Scope | None, glance: Glance, wrapper: Any
    ) -> None:
        self._watch, self._scope, self._glance, self._wrapper = watch, scope, glance, wrapper
        self._ledger = watch.ledger if watch is not None else None
        self._seen = Seen()
        self._is_over = False
        self._indexes: dict[str, int] = {}
        """Of the tool calls that were seen, by call id."""

    def of_batch(self) -> Seen:
        """What was seen of the batch, and of what came before it and after the last one."""
        seen, glance, watch = self._seen, self._glance, self._watch
        own = self._models()
        self._calls()
        if glance.has_response:
            answered = [response for response in own if not response.has_failed]
            seen.response = answered[-1] if answered else SeenResponse()
            if watch is not None:
                elapsed = time.perf_counter_ns() - watch.contact_ns
                seen.response.elapsed_us = elapsed // 1000
        seen.responses[:0] = [response for response in own if response is not seen.response]
        self._share_out(has_tools=bool(glance.outputs))
        if self._scope is not None:
            self._scope.open_call_ids.update(call.call_id for call in glance.calls)
            self._scope.open_call_ids.difference_update(glance.outputs)
        if watch is not None:
            watch.open_calls |= {call.call_id: call for call in glance.calls}
            for call_id in glance.outputs:
                watch.open_calls.pop(call_id, None)
            if watch.has_ended and self._scope is None:
                started = watch.ledger.created_us
                seen.outcome = SeenOutcome("completed", None, None, started, time.time_ns() // 1000)
                watch.has_ended = False
        return seen

    def of_end(self, outcome: SeenOutcome | None) -> Seen:
        """What was seen of the run and no batch took."""
        is_dead = self._watch is not None and self._watch.is_dead
        self._is_over = outcome is not None or is_dead
        seen = self._seen
        own = self._models()
        if self._watch is not None and self._watch.model is not None:
            if not any(response.has_failed for response in own):
                own.append(self._watch.model)  # it was called, and gave no answer
            self._watch.model = None
        self._calls(all_of_them=True)
        seen.responses[:0] = own
        self._share_out(has_tools=True)
        for holder in (self._watch, self._scope):
            if holder is not None and holder.unsaved is not None:
                seen.add(holder.unsaved)
                holder.unsaved = None
        waiting = self._waiting()
        if outcome is not None and outcome.outcome == "completed" and waiting:
            outcome.outcome = "interrupted"
            seen.calls += [
                SeenCall(call_id=call_id, approval="asked", is_item=True) for call_id in waiting
            ]
        seen.outcome = outcome or seen.outcome
        return seen

    def _waiting(self) -> list[str]:
        """The calls of the run that have no output yet."""
        if self._watch is not None:
            return list(self._watch.open_calls)
        return sorted(self._scope.open_call_ids) if self._scope is not None else []

    def _share_out(self, *, has_tools: bool) -> None:
        """Give every model call its usage, and add those that nobody saw."""
        if self._ledger is None:
            return
        seen, watches = self._seen, self._ledger.watches
        others = [watch for watch in watches if watch is not self._watch]
        is_outermost = watches[:1] == [self._watch] or all(other.is_dead for other in others)
        is_outermost = is_outermost and not self._ledger.is_foreign
        calls = [*([seen.response] if seen.response else []), *seen.responses]
        first = self._watch.first_entry if self._watch is not None and not is_outermost else 0
        unseen = self._ledger.share_out(
            calls, first=first, takes_all=is_outermost, has_tools=has_tools
        )
        seen.responses += unseen
        for call in calls:
            call.usage = call.usage or None

    # Model calls -----------------------------------------------------------------------------

    def _models(self) -> list[SeenResponse]:
        """The run's own model calls."""
        if self._scope is not None:
            self._seen.guardrails += self._scope.take_guardrails()
        hooked = self._watch.take_models() if self._watch is not None else []
        traced = self._scope.take_models() if self._scope is not None else []
        begun = self._watch.model if self._watch is not None else None
        for failed in traced:
            if failed.has_failed and begun is not None:
                failed.model = failed.model or begun.model
        return _merged(hooked, traced)

    # Tool calls ------------------------------------------------------------------------------

    def _calls(self, *, all_of_them: bool = False) -> None:
        """The tool calls of the run, and what was done in them by agents that are tools."""
        spans = self._scope.take_tools(all_of_them=all_of_them) if self._scope is not None else []
        earlier = self._watch.open_calls if self._watch is not None else {}
        outputs = set(self._glance.outputs)
        wanted = list(self._glance.calls)
        own = {call.call_id for call in wanted}
        answered = [call_id for call_id in self._glance.outputs if call_id not in own]
        wanted += [earlier.get(call_id) or Call(call_id, None, None) for call_id in answered]
        pairs = _paired(spans, wanted)
        first = len(self._seen.calls)
        for call in wanted:
            span = pairs.pop(call.call_id, None)
            known = self._approved(call, self._known(call.call_id, span), call.call_id in own)
            if call.call_id in outputs or known.has_failed:
                self._note(known, span, is_item=True, call_id=call.call_id)
        for span in spans:
            if not span.is_taken:
                known = self._known(span.call.call_id, span)
                self._break_off(known, "trace")
                # One that ended with nothing waits for an approval.
                if known.has_failed or known.output is not None or known.ended_us is None:
                    self._note(known, span, is_item=known.call_id in earlier, call_id=known.call_id)
        if all_of_them:
            self._unfinished(earlier)
        _set_overlaps([call for call in self._seen.calls[first:] if call.parent is None])
        self._nested_hooks()

    def _unfinished(self, earlier: Mapping[str, Call]) -> None:
        """The calls that only hooks saw and no batch has: the run ended before."""
        for call_id, (_, parent_id) in list(self._ledger.tools.items() if self._ledger else ()):
            if parent_id is None:
                known = self._known(call_id, None)
                self._break_off(known, "hook")
                self._note(known, None, is_item=call_id in earlier, call_id=call_id)

    def _break_off(self, call: SeenCall, source: str) -> None:
        """A call that has not ended when its run has will give no output any more."""
        if self._is_over and call.ended_us is None and not call.has_failed:
            call.status, call.status_source = "error", source

    def _known(self, call_id: str | None, span: ToolSpan | None) -> SeenCall:
        """What a hook and tracing saw of one call."""
        hooked = None
        if self._ledger is not None and call_id is not None:
            hooked, _ = self._ledger.tools.pop(call_id, (None, None))
        if span is None:
            return hooked or SeenCall(call_id=call_id)
        span.is_taken = True
        call = span.call
        call.call_id = call_id
        if hooked is not None:
            call.output = call.output if call.output is not None else hooked.output
            call.arguments = call.arguments or hooked.arguments
            call.tool_name = hooked.tool_name or call.tool_name
        return call

    def _approved(self, call: Call, known: SeenCall, is_new: bool) -> SeenCall:
        """Note whether a person was asked about a call, and what was said."""
        if self._wrapper is None or call.call_id not in self._glance.outputs:
            return known
        name = known.tool_name or call.tool_name
        verdict = _verdict(self._wrapper, name, call.call_id)
        if verdict is None:
            return known
        known.approval = "granted" if verdict else "refused"
        if not is_new and self._ledger is not None:
            known.decided_us = self._ledger.created_us
        if not verdict:
            known.status, known.status_source = "rejected", "approval"
            known.error = known.error_type = known.started_us = known.ended_us = None
        return known

    def _note(
        self, call: SeenCall, span: ToolSpan | None, *, is_item: bool, call_id: str | None
    ) -> None:
        """Add a call, with what was done in it, where anything is known of it."""
        scopes = span.scopes if span is not None else []
        if not call.says_something and not scopes:
            return
        call.is_item = is_item
        index = len(self._seen.calls)
        self._seen.calls.append(call)
        if call_id is not None:
            self._indexes[call_id] = index
        for scope in scopes:
            self._nested(scope, index)

    def _nested(self, scope: Scope, parent: int) -> None:
        """Add what an agent did that ran as a tool, unless a session of its own has that."""
        if scope.session_id is not None:
            return
        watch = scope.watch
        hooked = watch.take_models() if watch is not None and watch.session_id is None else []
        for response in _merged(hooked, scope.take_models()):
            response.parent = parent
            self._seen.responses.append(response)
        self._seen.guardrails += scope.take_guardrails()
        first = len(self._seen.calls)
        for span in scope.take_tools(all_of_them=True):
            call = self._known(span.call.call_id, span)
            call.parent = parent
            self._note(call, span, is_item=False, call_id=call.call_id)
        _set_overlaps([call for call in self._seen.calls[first:] if call.parent == parent])

    def _nested_hooks(self) -> None:
        """Add what hooks saw of agents that ran as tools and tracing did not."""
        if self._ledger is None:
            return
        for call_id, (call, parent_id) in list(self._ledger.tools.items()):
            if parent_id is not None and parent_id in self._indexes:
                del self._ledger.tools[call_id]
                call.parent = self._indexes[parent_id]
                self._note(call, None, is_item=False, call_id=call_id)
        for watch in list(self._ledger.watches):
            if watch is self._watch or watch.session_id is not None:
                continue
            for response in watch.take_models():
                response.parent = self._indexes.get(watch.parent_call_id or "")
                self._seen.responses.append(response)
            if watch.is_dead:
                self._ledger.watches.remove(watch)


def _merged(hooked: list[SeenResponse], traced: list[SeenResponse]) -> list[SeenResponse]:
    """The model calls of one run, as hooks and tracing saw them, in order.

    Tracing also sees those that failed, which hooks are not told of.
    """
    answered = [response for response in traced if not response.has_failed]
    for hook, span in zip(reversed(hooked), reversed(answered), strict=False):
        for name in ("agent_name", "usage", "provider_response_id", "finish_reason", "model"):
            if getattr(span, name) is None:
                setattr(span, name, getattr(hook, name))
        if hook.usage is not None:
            span.usage = hook.usage
    alone = hooked[: max(len(hooked) - len(answered), 0)]
    return [*alone, *traced]


def _paired(spans: Sequence[ToolSpan], wanted: Iterable[Call]) -> dict[str, ToolSpan]:
    """The span of each call: the one that was told its id, else that of its name and arguments.

    Calls that are alike are begun in their order. A call whose name is not known, because it was
    made in another process, has the one span that is left where just one is.
    """
    pairs: dict[str, ToolSpan] = {}
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
    unnamed = [call for call in rest if call.call_id not in pairs and call.tool_name is None]
    if len(unnamed) == len(left) == 1 and left[0].call.call_id is None:
        take(unnamed[0], left)
    return pairs


def _is_named(span: ToolSpan, call: Call) -> bool:
    """Whether it is a call of that tool; tracing puts the namespace before the name."""
    name = span.call.tool_name or ""
    return call.tool_name is not None and (
        name == call.tool_name or name.endswith("." + call.tool_name)
    )


def _verdict(wrapper: Any, tool_name: str | None, call_id: str) -> bool | None:
    """Whether a call was approved; None where nobody was asked."""
    if tool_name is None:
        return None
    try:
        verdict = wrapper.is_tool_approved(tool_name, call_id)
    except Exception:  # a context of another make: a write never fails because of it
        return None
    return verdict if isinstance(verdict, bool) else None


def _set_overlaps(calls: Sequence[SeenCall]) -> None:
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
