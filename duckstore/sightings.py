"""Takes what was seen of a run, for a batch or for its end. Nothing is taken twice.

It was seen by the run's context, by hooks and by tracing; `duckstore.matching` says what of it is
one thing. An agent that is a tool is seen with the call in which it ran, unless a session of its
own has what it did.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from duckstore.glance import Call, Glance
from duckstore.matching import merged, paired, set_overlaps, verdict
from duckstore.spans import Scope, ToolSpan
from duckstore.telemetry import Seen, SeenCall, SeenOutcome, SeenResponse
from duckstore.watch import Watch

__all__ = ["Sighting"]


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
        return merged(hooked, traced)

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
        pairs = paired(spans, wanted)
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
        set_overlaps([call for call in self._seen.calls[first:] if call.parent is None])
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
        said = verdict(self._wrapper, name, call.call_id)
        if said is None:
            return known
        known.approval = "granted" if said else "refused"
        if not is_new and self._ledger is not None:
            known.decided_us = self._ledger.created_us
        if not said:
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
        for response in merged(hooked, scope.take_models()):
            response.parent = parent
            self._seen.responses.append(response)
        self._seen.guardrails += scope.take_guardrails()
        first = len(self._seen.calls)
        for span in scope.take_tools(all_of_them=True):
            call = self._known(span.call.call_id, span)
            call.parent = parent
            self._note(call, span, is_item=False, call_id=call.call_id)
        set_overlaps([call for call in self._seen.calls[first:] if call.parent == parent])

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
