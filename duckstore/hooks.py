"""`RunHooks` that tell a store what its sessions cannot see; see `Store.hooks`.

The class is made when it is asked for, because importing the SDK takes seconds. The SDK calls a
hook in the task of the run or tool call that it tells of and awaits what it returns: what is noted
is noted in that call, and nothing has to be awaited.
"""

from __future__ import annotations

from collections.abc import Coroutine
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from duckstore import errors
from duckstore.observer import RunObserver
from duckstore.telemetry import SeenCall, SeenResponse
from duckstore.usage import Usage

if TYPE_CHECKING:
    from agents import RunHooks

__all__ = ["make_hooks"]

_inside: ContextVar[tuple[str, ...]] = ContextVar("duckstore_tool_calls", default=())
"""The tool calls that we are in: an agent can be a tool."""


def make_hooks(observer: RunObserver) -> RunHooks[Any]:
    """Hooks that tell this observer.

    Raises:
        MissingPackageError: The SDK is not installed.
    """
    try:
        from agents import RunHooks
    except ImportError as error:
        raise errors.MissingPackageError(
            "hooks need the OpenAI Agents SDK, which is not installed: "
            "pip install 'duckstore[agents]'"
        ) from error

    class StoreHooks(RunHooks[Any]):
        """Notes model calls, tool calls and ends of agents."""

        def on_llm_start(
            self, context: Any, agent: Any, system_prompt: Any, input_items: Any
        ) -> Coroutine[Any, Any, None]:
            observer.model_begins(context, agent, _model_of(agent))
            return _nothing()

        def on_llm_end(self, context: Any, agent: Any, response: Any) -> Coroutine[Any, Any, None]:
            seen = SeenResponse(
                agent_name=agent.name,
                usage=Usage.of(response.usage),
                provider_response_id=provider_id_of(response),
                finish_reason=finish_reason_of(response.output),
            )
            observer.model_ends(context, seen, _parent())
            return _nothing()

        def on_tool_start(self, context: Any, agent: Any, tool: Any) -> Coroutine[Any, Any, None]:
            call_id = getattr(context, "tool_call_id", None)
            if call_id is not None:  # some kinds of local tools are not told theirs
                seen = SeenCall(
                    call_id=call_id,
                    tool_name=context.tool_name,
                    arguments=context.tool_arguments,
                    agent_name=agent.name,
                )
                observer.tool_begins(context, seen, _parent())
                _inside.set((*_inside.get(), call_id))
            return _nothing()

        def on_tool_end(
            self, context: Any, agent: Any, tool: Any, result: Any
        ) -> Coroutine[Any, Any, None]:
            call_id = getattr(context, "tool_call_id", None)
            if call_id is not None:
                observer.tool_ends(context, call_id, None if result is None else str(result))
            return _nothing()

        def on_agent_end(self, context: Any, agent: Any, output: Any) -> Coroutine[Any, Any, None]:
            if _parent() is None:
                observer.agent_ends(context)
            return _nothing()

    return StoreHooks()


async def _nothing() -> None:
    return


def _parent() -> str | None:
    calls = _inside.get()
    return calls[-1] if calls else None


def _model_of(agent: Any) -> str | None:
    """The model that an agent asks for; a run can be told to ask another one, which is not seen."""
    model = getattr(agent, "model", None)
    name = model if isinstance(model, str) else getattr(model, "model", None)
    return name if isinstance(name, str) else None


MADE_UP = "__fake_id__"
"""What the SDK writes where a provider gives no id: such an item's status is the SDK's too."""


def provider_id_of(response: Any) -> str | None:
    """The provider's id of a model call; of the Chat Completions API its items have it."""
    if response.response_id not in (None, MADE_UP):
        return str(response.response_id)
    for item in response.output:
        found = (getattr(item, "provider_data", None) or {}).get("response_id")
        if isinstance(found, str):
            return found
    return None


def finish_reason_of(output: Any) -> str | None:
    """How a model call ended, as its items say it: "completed" or "incomplete"."""
    told = [item for item in output if getattr(item, "id", None) != MADE_UP]
    states = [getattr(item, "status", None) for item in told]
    if "incomplete" in states:
        return "incomplete"
    return "completed" if "completed" in states else None
