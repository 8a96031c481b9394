"""Where in a run we are called, as the SDK's tracing tells it: agent, trace, workflow, group.

That part of the SDK is undocumented, and tells the agent whether tracing is on or not. A failure
leaves NULL and never fails a write.
"""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["current_agent_name", "current_span", "current_trace"]


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
