"""What a finished run's result tells, put with what is stored of the run already.

A result has its model calls in order, and so has the run. Where a run was set going more than once,
they are those that say the same; else they are counted from the end. What is known already stays as
it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from duckstore.command import Command
from duckstore.observations import Anchor, anchor_of, response_row, write
from duckstore.telemetry import Seen, SeenResponse
from duckstore.tree import NextId, SeenOfRun, SessionState, Stored
from duckstore.usage import Usage

__all__ = ["record"]

_TEXTS = ("model", "provider_response_id", "finish_reason")


def record(command: Command, state: SessionState, next_id: NextId, stored: Stored) -> bool:
    """Fill in what a result tells and nobody saw; returns whether its run is stored."""
    anchor = anchor_of(command, state, stored)
    if anchor is None:
        return False
    seen = Seen.of_values(command.values["seen"])
    known = stored.seen_of_run(state.session_key, anchor.run_id)
    if command.values.get("adds") and known.responses:
        _add(command, state, anchor, seen, known)
        return True
    first = _first_of(known, command.values.get("said") or [[]] * len(seen.responses))
    pairs = list(zip(known.responses[first:], seen.responses, strict=False))
    for (response_id, has_row, has_usage, said), response in pairs:
        if has_row:
            texts = _TEXTS if said is not None else (*_TEXTS, "agent_name")
            _fill(command, response_id, response, texts, has_usage=has_usage)
        else:
            state.rows["response_rows"].append(
                response_row(
                    response, response_id, state.session_key, response_id, anchor.run_id, seen
                )
            )
    left = Seen(
        trace_id=seen.trace_id,
        workflow_name=seen.workflow_name,
        group_id=seen.group_id,
        responses=[*seen.responses[len(pairs) :], *_unseen(command, known, pairs)],
        calls=[
            call
            for call in seen.calls
            if not known.call_ids.intersection(anchor.calls.get(call.call_id or "", ()))
        ],
        guardrails=[
            each
            for each in seen.guardrails
            if (each.guardrail_name, each.is_triggered) not in known.guardrails
        ],
        outcome=seen.outcome if seen.outcome and seen.outcome.outcome != known.outcome else None,
    )
    write(left, anchor, None, command, state, next_id)
    return True


def _add(
    command: Command, state: SessionState, anchor: Anchor, seen: Seen, known: SeenOfRun
) -> None:
    """Give usage to the latest response that has none, or else add it to the latest."""
    (response,) = seen.responses
    without = [each for each in known.responses if not each[2]]
    response_id, has_row, has_usage, _ = (without or known.responses)[-1]
    if not has_row:
        state.rows["response_rows"].append(
            response_row(response, response_id, state.session_key, response_id, anchor.run_id, seen)
        )
    elif not has_usage:
        _fill(command, response_id, response, (), has_usage=False)
    elif response.usage is not None:
        sums = ", ".join(f"{name} = coalesce({name}, 0) + ?" for name in Usage.__slots__)
        command.statements.append(
            (
                f"update response_rows set {sums} where response_id = ?",
                [*response.usage.counts, response_id],
            )
        )


def _first_of(known: SeenOfRun, said: Sequence[Sequence[str]]) -> int:
    """Which of the run's model calls is the first of a result's."""
    stored = [each[3] for each in known.responses]
    last = max(len(stored) - len(said), 0)
    for first in range(last, -1, -1):
        pairs = zip(stored[first:], said, strict=False)
        if all(theirs is None or list(theirs) == list(ours) for theirs, ours in pairs):
            return first
    return last


def _fill(
    command: Command, response_id: int, seen: SeenResponse, texts: Sequence[str], *, has_usage: bool
) -> None:
    """Set what is not known yet in a row that is stored."""
    values: dict[str, object] = {
        name: value for name in texts if (value := getattr(seen, name)) is not None
    }
    if seen.usage is not None and not has_usage:
        values |= dict(zip(Usage.__slots__, seen.usage.counts, strict=True))
    if values:
        sets = ", ".join(f"{name} = coalesce({name}, ?)" for name in values)
        command.statements.append(
            (
                f"update response_rows set {sets} where response_id = ?",
                [*values.values(), response_id],
            )
        )


def _unseen(
    command: Command,
    known: SeenOfRun,
    pairs: Sequence[tuple[tuple[int, bool, bool, list[str] | None], SeenResponse]],
) -> list[SeenResponse]:
    """What the run used beyond all that is stored and filled in now: agents that were its tools.

    It can be told only where the result has all of the run's model calls.
    """
    total = command.values.get("total")
    if total is None or len(pairs) != len(known.responses):
        return []
    filled = [
        response.usage
        for (_, _, has_usage, _), response in pairs
        if response.usage is not None and not has_usage
    ]
    rest = Usage(*total).since(Usage.sum([Usage(*known.usage), *filled]))
    return [SeenResponse(usage=rest)] if rest.total_tokens else []
