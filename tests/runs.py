"""Scripted agents, and the real Runner that runs them without a network."""

from __future__ import annotations

from typing import Any

import pytest
from agents import Agent, RunConfig, Runner, Usage, function_tool
from agents.memory import Session
from agents.result import RunResult, RunResultStreaming
from agents.testing import ModelStep, ScriptedModel, assistant_message, function_call
from agents.tracing import set_trace_processors
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails

import duckstore

# Traces stay in the process, whatever keys the environment holds.
set_trace_processors([])

QUIET = RunConfig(tracing_disabled=True)


@function_tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


@function_tool
def broken() -> str:
    """A tool that fails."""
    raise ValueError("no connection")


@function_tool(needs_approval=True)
def delete(name: str) -> str:
    """A tool that a person must allow."""
    return f"deleted {name}"


def step(number: int, *output: Any) -> ModelStep:
    """A model call whose every token count can be told from every other's."""
    return ModelStep(
        output=list(output),
        usage=Usage(
            requests=1,
            input_tokens=1000 * number,
            input_tokens_details=InputTokensDetails(
                cached_tokens=10 * number, cache_write_tokens=number
            ),
            output_tokens=100 * number,
            output_tokens_details=OutputTokensDetails(reasoning_tokens=7 * number),
            total_tokens=1100 * number,
        ),
    )


def agent(name: str, *steps: ModelStep, **settings: Any) -> Agent[Any]:
    return Agent(name=name, model=ScriptedModel(steps), **settings)


def calling() -> Agent[Any]:
    """An agent that calls two tools at once, then one that fails, then answers."""
    return agent(
        "Caller",
        step(
            1,
            function_call("weather", {"city": "Oslo"}, call_id="a"),
            function_call("weather", {"city": "Rome"}, call_id="b"),
        ),
        step(2, function_call("broken", "{}", call_id="c")),
        step(3, assistant_message("Sunny in both.")),
        tools=[weather, broken],
    )


def handing_over() -> Agent[Any]:
    """An agent that hands over to another, which calls a tool and answers."""
    expert = agent(
        "Expert",
        step(2, function_call("weather", {"city": "Rome"}, call_id="b")),
        step(3, assistant_message("Sunny.")),
        tools=[weather],
    )
    return agent(
        "Desk", step(1, function_call("transfer_to_expert", "{}", call_id="a")), handoffs=[expert]
    )


def plain() -> Agent[Any]:
    return agent("Greeter", step(1, assistant_message("Hello.")))


async def go(
    starting: Agent[Any], text: Any, session: Session, *, streamed: bool, **settings: Any
) -> RunResult | RunResultStreaming:
    """One run to its end, streamed or not."""
    settings.setdefault("run_config", QUIET)
    if not streamed:
        return await Runner.run(starting, text, session=session, **settings)
    result = Runner.run_streamed(starting, text, session=session, **settings)
    async for _ in result.stream_events():
        pass
    return result


def rows(store: duckstore.Store, sql: str) -> list[tuple[Any, ...]]:
    return store.sql(sql).rows()


streamed_or_not = pytest.mark.parametrize("streamed", [False, True], ids=["run", "streamed"])
RUNS = {"plain": plain, "tools": calling, "handoff": handing_over}
