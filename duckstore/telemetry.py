"""What is seen of a run beyond its items, as plain data: it travels with the items.

Whoever watches a run (the session itself, hooks, tracing) makes these; `duckstore.sightings` puts
them together for each batch and `duckstore.observations` makes rows of them. Times are
microseconds since 1970, UTC. What nobody told is None and is NULL in the store: never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from duckstore.usage import Usage

__all__ = ["Seen", "SeenCall", "SeenGuardrail", "SeenOutcome", "SeenResponse"]


@dataclass(slots=True)
class SeenResponse:
    """One model call."""

    agent_name: str | None = None
    usage: Usage | None = None
    model: str | None = None
    offered_tools: tuple[str, ...] | None = None
    """The names of the tools that the model was offered, handoffs among them."""
    provider_response_id: str | None = None
    finish_reason: str | None = None
    started_us: int | None = None
    ended_us: int | None = None
    elapsed_us: int | None = None
    """Since its run last read or wrote the session."""
    error_type: str | None = None
    error: str | None = None
    span_id: str | None = None
    parent: int | None = None
    """Index, among the tool calls that were seen, of the one in which it was made."""

    @property
    def has_failed(self) -> bool:
        """Whether the model gave no answer."""
        return self.error is not None or self.error_type is not None


@dataclass(slots=True)
class SeenCall:
    """One tool call."""

    call_id: str | None = None
    tool_name: str | None = None
    arguments: str | None = None
    output: str | None = None
    agent_name: str | None = None
    started_us: int | None = None
    ended_us: int | None = None
    overlap_us: int | None = None
    status: str | None = None
    status_source: str | None = None
    error_type: str | None = None
    error: str | None = None
    approval: str | None = None
    decided_us: int | None = None
    span_id: str | None = None
    parent: int | None = None
    """Index of the call in which it was made."""
    is_item: bool = False
    """Whether an item of the conversation is this call."""

    @property
    def has_failed(self) -> bool:
        """Whether it gave no output."""
        return self.error is not None or self.error_type is not None or self.status == "error"

    @property
    def says_something(self) -> bool:
        """Whether it tells more than an item would."""
        told = (self.started_us, self.status, self.error, self.approval)
        return any(value is not None for value in told)


@dataclass(slots=True)
class SeenGuardrail:
    """One check by a guardrail."""

    guardrail_name: str
    is_triggered: bool
    agent_name: str | None = None
    started_us: int | None = None
    ended_us: int | None = None
    span_id: str | None = None


@dataclass(slots=True)
class SeenOutcome:
    """How the SDK's runner ended."""

    outcome: str
    error_type: str | None = None
    error: str | None = None
    started_us: int | None = None
    ended_us: int | None = None


@dataclass(slots=True)
class Seen:
    """All that is known of a batch, or of what came after a run's last one, beyond items."""

    agent_name: str | None = None
    trace_id: str | None = None
    workflow_name: str | None = None
    group_id: str | None = None
    is_live: bool = False
    """Whether the batch comes from a running Runner."""
    course: int | None = None
    """The course of the conversation that the run read; see `duckstore.tree`."""
    response: SeenResponse | None = None
    """The model call that the batch is."""
    responses: list[SeenResponse] = field(default_factory=list)
    """Model calls whose items nobody stores."""
    calls: list[SeenCall] = field(default_factory=list)
    guardrails: list[SeenGuardrail] = field(default_factory=list)
    outcome: SeenOutcome | None = None

    @property
    def row_count(self) -> int:
        """How many rows with ids of their own it makes at most."""
        rows = len(self.responses) + len(self.calls) + len(self.guardrails)
        return rows + (self.outcome is not None)

    def add(self, other: Seen) -> None:
        """Take what another saw of the same run: its batch was not stored."""
        first = len(self.calls)
        responses = [*([other.response] if other.response else []), *other.responses]
        children: list[SeenResponse | SeenCall] = [*responses, *other.calls]
        for child in children:
            child.parent = None if child.parent is None else child.parent + first
        self.responses += responses
        self.calls += other.calls
        self.guardrails += other.guardrails
        self.outcome = self.outcome or other.outcome
        self.trace_id = self.trace_id or other.trace_id
        self.workflow_name = self.workflow_name or other.workflow_name
        self.group_id = self.group_id or other.group_id

    def values(self, *, has_items: bool = False) -> dict[str, Any]:
        """What is known, as JSON has it; `of_values` reads it back.

        Args:
            has_items: Whether it goes with its items: what they say of their calls is left out.
        """
        values = _known(self)
        for call in values.get("calls", ()) if has_items else ():
            if call.get("is_item"):
                for name in ("tool_name", "arguments", "output", "agent_name"):
                    call.pop(name, None)
        return values

    @classmethod
    def of_values(cls, values: Mapping[str, Any]) -> Seen:
        """What `values` gave; words that it does not know are left out."""
        seen = _made(cls, values)
        usage, model = values.get("usage"), values.get("model")
        if usage or model:  # as version 0.3.0 wrote it
            seen.response = SeenResponse(usage=Usage(*usage) if usage else None, model=model)
        else:
            seen.response = _response(seen.response) if seen.response else None
        seen.responses = [_response(each) for each in seen.responses]
        seen.calls = [_made(SeenCall, each) for each in seen.calls]
        seen.guardrails = [_made(SeenGuardrail, each) for each in seen.guardrails]
        seen.outcome = _made(SeenOutcome, seen.outcome) if seen.outcome else None
        return seen

    @property
    def is_sound(self) -> bool:
        """Whether rows can be made of it: what cannot must not come into the journal."""
        parts = [self, *self.responses, *self.calls, *self.guardrails]
        parts += [part for part in (self.response, self.outcome) if part is not None]
        made_before: list[tuple[int, SeenCall | SeenResponse]] = [
            *enumerate(self.calls),
            *((len(self.calls), response) for response in self.responses),
        ]
        return all(map(_has_types, parts)) and all(
            part.parent is None or 0 <= part.parent < count for count, part in made_before
        )


_T = TypeVar("_T")


def _has_types(part: Any) -> bool:
    for name in part.__slots__:
        value = getattr(part, name)
        if isinstance(value, Usage):
            is_right = all(type(count) is int for count in value.counts)
        elif name == "offered_tools":
            is_right = value is None or (
                isinstance(value, tuple) and all(isinstance(tool, str) for tool in value)
            )
        elif isinstance(value, (list, SeenResponse, SeenOutcome)):
            is_right = True
        elif name.endswith("_us") or name in ("parent", "course"):
            is_right = value is None or type(value) is int
        elif name.startswith("is_"):
            is_right = isinstance(value, bool)
        else:
            is_right = value is None or isinstance(value, str)
        if not is_right:
            return False
    return True


def _known(thing: Any) -> dict[str, Any]:
    """The fields of a thing that say something."""
    known: dict[str, Any] = {}
    for name in thing.__slots__:
        value = getattr(thing, name)
        if value is None or value is False or value == []:
            continue
        if isinstance(value, Usage):
            value = value.counts
        elif isinstance(value, list):
            value = [_known(each) for each in value]
        elif name in ("response", "outcome") and not isinstance(value, str):
            value = _known(value)
        known[name] = value
    return known


def _made(kind: type[_T], values: Any) -> _T:
    names = kind.__slots__  # type: ignore[attr-defined]
    return kind(**{name: value for name, value in values.items() if name in names})


def _response(values: Any) -> SeenResponse:
    made = _made(SeenResponse, values)
    made.usage = Usage(*made.usage) if made.usage else None  # type: ignore[misc]
    if isinstance(made.offered_tools, list):
        made.offered_tools = tuple(made.offered_tools)
    return made
