"""Where in a run we are called, as the SDK's tracing tells it: agent, tools, trace, workflow.

That part of the SDK is undocumented, and tells the agent and its tools whether tracing is on or
not. A failure leaves NULL and never fails a write.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["current_agent_name", "current_span", "current_trace", "offered_tools"]


def current_span() -> Any:
    """The span that we are called in; None outside one."""
    tracing = sys.modules.get("agents.tracing")
    if tracing is None:
        return None
    try:
        return tracing.get_current_span()
    except Exception:  # undocumented ground: a write never fails because of it
        return None


def current_agent_name(span: Any) -> str | None:
    """The agent whose span it is, or whose turn."""
    data = getattr(span, "span_data", None)
    kind = getattr(data, "type", None)
    name = getattr(data, "name" if kind == "agent" else "agent_name", None)
    return name if isinstance(name, str) else None


def current_trace() -> tuple[str | None, str | None, str | None]:
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


# Tools -----------------------------------------------------------------------------------------

_CALLED = {"hosted_mcp": "", "programmatic_tool_calling": "program"}
"""How the calls of tools are named that the SDK names otherwise.

Of a server that the provider asks, the model sees the tools, and nobody here knows them.
"""
_OF_KIND = {"ShellTool": "shell", "ApplyPatchTool": "apply_patch"}
"""The same of tools whose own name the model does not see, by their class."""

_known: dict[int, tuple[Any, tuple[Any, ...], tuple[str, ...] | None]] = {}
"""By the id of an agent: a reference to it, what its tools were found from, and the tools."""


def offered_tools(span: Any, agent: Any = None) -> tuple[str, ...] | None:
    """The tools that a model is offered, named as their calls are, handoffs among them.

    Before it calls a model, the runner notes in the span of the agent which tools it has: those of
    its servers too, and none that is not enabled. It notes handoffs by the agent that they go to;
    how they are called, only the agent tells that has them.

    Args:
        span: The span in which the model is called, or its answer stored.
        agent: The agent; where it is not given, the one that the run knows by the span's name.

    Returns:
        The names, the same object for the same ones of an agent; None where they are not known.
    """
    try:
        data = _agent_data(span)
        if data is None:
            return None
        if agent is None:
            agent = _agent_named(data.name)
        return _names(data.tools, data.handoffs, agent)
    except Exception:  # undocumented ground: a write never fails because of it
        return None


def _agent_data(span: Any) -> Any:
    """What tells of the agent whose span it is, or whose turn, or of who made one of his own in it.

    A span of a tool call is none of these: a model that is called in it is not the agent's.
    """
    while span is not None and span.span_data.type in ("turn", "custom"):
        # A span that is not recorded names no parent, but knows whose place it has taken.
        span = span._prev_span_token.old_value
    return span.span_data if span is not None and span.span_data.type == "agent" else None


def _agent_named(name: str) -> Any:
    """The agent of that name that takes part in the run; None where it is not one."""
    module = sys.modules.get("agents.run_internal.agent_tool_configuration")
    going = module._current_run.get() if module is not None else None
    parts = list(going.resolutions.values()) if going is not None else []
    found = [part.agent for part in parts if part.agent.name == name]
    return found[0] if len(found) == 1 else None


def _names(tools: list[str], handoffs: list[str], agent: Any) -> tuple[str, ...] | None:
    if agent is None:
        return None if handoffs else _called(tools, {})
    # Of what the agent has, only whether it is the same as before.
    has = (tuple(map(id, agent.tools)), tuple(map(id, agent.handoffs)))
    source = (*has, tuple(tools), tuple(handoffs))
    reference, known_source, names = _known.get(id(agent), (None, (), None))
    if reference is not None and reference() is agent and known_source == source:
        return names
    kinds = [(tool.name, _OF_KIND.get(type(tool).__name__)) for tool in agent.tools]
    transfers = _transfers(handoffs, agent)
    names = _called(tools, {name: kind for name, kind in kinds if kind}, transfers)
    key = id(agent)
    _known[key] = (weakref.ref(agent, lambda _: _known.pop(key, None)), source, names)
    return names


def _called(
    tools: Iterable[str], kinds: Mapping[str, str], transfers: Iterable[str] | None = ()
) -> tuple[str, ...] | None:
    """The names of calls, each once; None where those of the handoffs are not known."""
    if transfers is None:
        return None
    names = [*(kinds.get(tool) or _CALLED.get(tool, tool) for tool in tools), *transfers]
    if not all(isinstance(name, str) for name in names):
        return None
    return tuple(dict.fromkeys(filter(None, names)))


def _transfers(handoffs: Sequence[str], agent: Any) -> list[str] | None:
    """The tool names of handoffs to agents of these names; None where it is not certain."""
    names: list[str] = []
    for target in dict.fromkeys(handoffs):
        ways = [
            way for way in map(_way, agent.handoffs) if way[0] == target and way[2] is not False
        ]
        called = {way[1] for way in ways}
        # Of several ways to one agent, the span does not say which are enabled.
        if len(ways) != handoffs.count(target) and len(called) != 1:
            return None
        names += dict.fromkeys(way[1] for way in ways)
    return names


def _way(handoff: Any) -> tuple[str, str, Any]:
    """To which agent a handoff goes, its tool's name, and whether it is enabled, or who says so."""
    if hasattr(handoff, "tool_name"):
        return handoff.agent_name, handoff.tool_name, handoff.is_enabled
    name = sys.modules["agents"].Handoff.default_tool_name(handoff)
    return handoff.name, name, True
