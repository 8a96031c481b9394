"""What the result of a run tells of it after the fact, or the error that it ended with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from duckstore import errors
from duckstore.hooks import finish_reason_of, provider_id_of
from duckstore.items import Description, describe
from duckstore.telemetry import Seen, SeenCall, SeenGuardrail, SeenOutcome, SeenResponse
from duckstore.usage import Usage

__all__ = ["context_of", "said_in_result", "seen_of_result"]

_OUTCOMES = {
    "MaxTurnsExceeded": "max_turns",
    "InputGuardrailTripwireTriggered": "guardrail",
    "OutputGuardrailTripwireTriggered": "guardrail",
    "ToolInputGuardrailTripwireTriggered": "guardrail",
    "ToolOutputGuardrailTripwireTriggered": "guardrail",
}


def context_of(result: Any) -> Any:
    """The context of the run that a result belongs to.

    Args:
        result: A `RunResult` or `RunResultStreaming`, or an `AgentsException` that a run raised.

    Raises:
        ArgumentError: It is none of them, or the run has not ended.
    """
    wrapper = getattr(_data_of(result), "context_wrapper", None)
    if wrapper is None or not hasattr(wrapper, "usage"):
        raise errors.ArgumentError(
            f"result is {type(result).__name__}: give what Runner.run or Runner.run_streamed "
            "returned, or the AgentsException that it raised"
        )
    if getattr(result, "is_complete", True) is False:
        raise errors.ArgumentError(
            "the run of this result has not ended: read its stream_events() to the end first"
        )
    return wrapper


def seen_of_result(result: Any) -> Seen:
    """What a result tells; see `context_of`."""
    data = _data_of(result)
    responses = [
        SeenResponse(
            usage=Usage.of(response.usage) or None,
            provider_response_id=provider_id_of(response),
            finish_reason=finish_reason_of(response.output),
        )
        for response in getattr(data, "raw_responses", None) or ()
    ]
    last_agent = getattr(data, "last_agent", None)
    if responses and last_agent is not None:
        responses[-1].agent_name = last_agent.name
    waiting = list(getattr(result, "interruptions", None) or ())
    return Seen(
        responses=responses,
        calls=list(_asked(waiting)),
        guardrails=list(_guardrails(data)),
        outcome=_outcome(result, is_waiting=bool(waiting)),
    )


def said_in_result(result: Any) -> list[list[str]]:
    """For each of a result's model calls, the call ids and messages that its items have."""
    responses = getattr(_data_of(result), "raw_responses", None) or ()
    return [
        [said for item in response.output if (said := _said(describe(_plain(item)))) is not None]
        for response in responses
    ]


def _said(d: Description) -> str | None:
    return d.call_id or (d.text if d.item_type == "message" else None)


def _plain(item: Any) -> Any:
    return item.model_dump(exclude_unset=True) if hasattr(item, "model_dump") else item


def _data_of(result: Any) -> Any:
    """Where a result has its data: an error has them in an object of its own."""
    return getattr(result, "run_data", None) if isinstance(result, BaseException) else result


def _asked(interruptions: Iterable[Any]) -> Iterator[SeenCall]:
    for item in interruptions:
        raw = item.raw_item
        call_id = raw.get("call_id") if isinstance(raw, dict) else getattr(raw, "call_id", None)
        if isinstance(call_id, str):
            yield SeenCall(call_id=call_id, approval="asked", is_item=True)


def _guardrails(data: Any) -> Iterator[SeenGuardrail]:
    for name in ("input_guardrail_results", "output_guardrail_results"):
        for found in getattr(data, name, None) or ():
            agent = getattr(found, "agent", None)
            yield SeenGuardrail(
                found.guardrail.get_name(),
                bool(found.output.tripwire_triggered),
                getattr(agent, "name", None),
            )


def _outcome(result: Any, *, is_waiting: bool) -> SeenOutcome:
    error = result if isinstance(result, BaseException) else None
    error = error or getattr(result, "run_loop_exception", None)
    if error is not None:
        kind = type(error).__name__
        return SeenOutcome(_OUTCOMES.get(kind, "error"), kind, str(error))
    return SeenOutcome("interrupted" if is_waiting else "completed")
