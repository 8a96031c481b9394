"""What the SDK knows and the items do not: watched in every way, in every way that a run can go.

Every scenario keeps the same promises: the sums over `responses` are what the run's context counts,
nothing is there twice, the store keeps every rule, and the context dies with the run.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agents import (
    GuardrailFunctionOutput,
    Runner,
    function_tool,
    input_guardrail,
    output_guardrail,
)
from agents.testing import assistant_message, function_call

import duckstore
from tests.processes import ROOT
from tests.runs import broken, delete, rows, step, weather
from tests.samples import run
from tests.test_runner import counts_of
from tests.watching import Ended, Watched, named, stored_counts, watch, watched_ways


@pytest.fixture
def watched(store: duckstore.Store, request: pytest.FixtureRequest) -> Iterator[Watched]:
    yield from watch(store, *request.param)


@function_tool
async def slow(city: str) -> str:
    """A tool that takes its time."""
    await asyncio.sleep(0.02)
    return f"sunny in {city}"


@function_tool
async def endless() -> str:
    """A tool that does not end by itself."""
    await asyncio.sleep(60)
    return "never"


@function_tool(failure_error_function=lambda context, error: f"It said: {error}")
def polite() -> str:
    """A tool that fails and tells the model in its own words."""
    raise ValueError("no connection")


@function_tool(failure_error_function=None)
def fatal() -> str:
    """A tool whose failure ends the run."""
    raise KeyError("gone")


def keeps_its_promises(watched: Watched, ended: Ended) -> None:
    """Holds the sums against what the run's context counted, which is gone."""
    gc.collect()
    assert ended.reference() is None
    assert stored_counts(watched.store) == ended.counts
    is_let_go_of(watched.store)


def is_let_go_of(store: duckstore.Store) -> None:
    """No context of a run is there any more, and what is stored keeps every rule.

    The observer forgets a run when the weak reference to its context dies, and not before.
    """
    gc.collect()
    store._access.reporter.flush()
    assert not store._access.observer._watches
    assert not store._access.observer._ledgers
    assert store.check() == []


# Scenarios -------------------------------------------------------------------------------------


@watched_ways()
def test_agents_tools_and_a_handoff(watched: Watched) -> None:
    """Each agent has its own tokens, an agent that is a tool too where anything sees it."""
    inner = named(
        "Inner",
        step(5, function_call("weather", {"city": "Rome"}, call_id="in")),
        step(6, assistant_message("Sunny in Rome.")),
        tools=[weather],
    )
    asking = inner.as_tool("ask_inner", "Asks", hooks=watched.hooks, run_config=watched.config)
    expert = named("Expert", step(3, assistant_message("Done.")))
    desk = named(
        "Desk",
        step(
            1,
            function_call("slow", {"city": "Oslo"}, call_id="a"),
            function_call("slow", {"city": "Rome"}, call_id="b"),
            function_call("ask_inner", {"input": "Rome?"}, call_id="c"),
        ),
        step(2, function_call("transfer_to_expert", "{}", call_id="d")),
        tools=[slow, asking],
        handoffs=[expert],
    )
    ended = run(watched.go(desk, "hello"))
    store = watched.store
    inner_name = "Inner" if watched.sees_agents else None
    assert rows(
        store,
        "select agent_name, sum(total_tokens)::bigint, count(*) from responses"
        " group by agent_name order by agent_name nulls last",
    ) == sorted(
        [("Desk", 3300, 2), ("Expert", 3300, 1), (inner_name, 12100, 2)],
        key=lambda row: row[0] or "~",
    )
    assert rows(store, "select response_count, total_tokens, handoff_count from runs") == [
        (5, 18700, 1)
    ]
    assert rows(
        store, "select call_id, handoff_to from tool_calls where handoff_to is not null"
    ) == [("d", "Expert")]
    if watched.sees_agents:
        nested = rows(
            store,
            "select calls.tool_name, nested.tool_name, nested.agent_name, nested.status,"
            " calls.response_count, calls.total_tokens from tool_calls as nested"
            " inner join tool_calls as calls on nested.parent_tool_call_id = calls.id",
        )
        assert nested == [("ask_inner", "weather", "Inner", "ok", 2, 12100)]
        assert rows(
            store,
            "select tool_name, started_at < ended_at, overlap_seconds > 0,"
            " overlap_seconds <= duration_seconds from tool_calls"
            " where position is not null and handoff_to is null order by id",
        ) == [
            ("slow", True, True, True),
            ("slow", True, True, True),
            ("ask_inner", True, True, True),
        ]
    assert rows(store, "select count(*), count(distinct id) from tool_calls") == [
        (5, 5) if watched.sees_agents else (4, 4)
    ]
    keeps_its_promises(watched, ended)


@watched_ways("hooks", "hooks, traced", "processor", "both")
def test_what_hooks_and_tracing_add(watched: Watched) -> None:
    """Model, provider's id, finish reason and times of model calls; times of tools; outcome."""
    desk = named(
        "Desk",
        step(1, function_call("slow", {"city": "Oslo"}, call_id="a")),
        step(2, assistant_message("Sunny.")),
        tools=[slow],
    )
    ended = run(watched.go(desk, "hello"))
    store = watched.store
    has_hooks = watched.hooks is not None
    assert rows(
        store,
        "select model, provider_response_id, finish_reason, started_at < ended_at, has_items"
        " from responses order by response_id",
    ) == [
        ("gpt-5-mini" if has_hooks else None, "resp-789" if has_hooks else None, reason, True, True)
        for reason in (None, "completed" if has_hooks else None)
    ]
    ((duration, first, tool, outcome, status, working),) = rows(
        store,
        "select duration_seconds, first_response_seconds, first_tool_call_seconds, outcome, status,"
        " working_seconds from runs",
    )
    assert 0 < first < tool < duration
    assert working > 0.02
    assert (outcome, status) == ("completed", "completed")
    ((seconds, source),) = rows(store, "select duration_seconds, status_source from tool_calls")
    assert 0.02 <= seconds < 1
    assert source == ("trace" if watched.is_traced else "default")
    times = rows(
        store,
        "select calls.started_at >= responses.ended_at, calls.ended_at <= items.created_at"
        " from tool_calls as calls inner join responses using (response_id)"
        " inner join items on items.item_id = calls.output_item_id",
    )
    assert times == [(True, True)]
    traced = rows(store, "select distinct workflow_name, group_id from responses")
    is_on = not watched.config.tracing_disabled
    assert traced == [("Desk", "thread_1") if is_on else (None, None)]
    keeps_its_promises(watched, ended)


@watched_ways("nothing", "hooks", "both")
def test_tools_that_fail(watched: Watched) -> None:
    """A failure is known from tracing, however it was put to the model; else from the words."""
    desk = named(
        "Desk",
        step(
            1,
            function_call("broken", "{}", call_id="a"),
            function_call("polite", "{}", call_id="b"),
            function_call("weather", {"city": "Oslo"}, call_id="c"),
        ),
        step(2, assistant_message("Sorry.")),
        tools=[broken, polite, weather],
    )
    ended = run(watched.go(desk, "hello"))
    told = rows(
        watched.store, "select tool_name, status, status_source, error from tool_calls order by id"
    )
    failed = "An error occurred while running the tool. Please try again."
    if watched.is_traced:
        assert told == [
            ("broken", "error", "trace", failed),
            ("polite", "error", "trace", "no connection"),
            ("weather", "ok", "trace", None),
        ]
    else:
        assert told == [
            ("broken", "error", "text", failed),
            ("polite", "ok", "default", None),
            ("weather", "ok", "default", None),
        ]
    keeps_its_promises(watched, ended)


@watched_ways("nothing", "hooks", "both")
def test_a_tool_that_ends_the_run(watched: Watched) -> None:
    """Its call is there though the SDK stores no item of it, and the run has its error."""
    desk = named("Desk", step(1, function_call("fatal", "{}", call_id="a")), tools=[fatal])
    ended = run(watched.go(desk, "hello"))
    assert "fatal" in ended.text
    keeps_its_promises(watched, ended)
    store = watched.store
    if watched.is_traced:
        assert rows(
            store,
            "select tool_name, agent_name, status, status_source, error_type, error"
            " from tool_calls",
        ) == [("fatal", "Desk", "error", "trace", "KeyError", "'gone'")]
        assert rows(store, "select status, outcome, error_type, error from runs") == [
            ("error", "error", "UserError", "Error running tool fatal: 'gone'")
        ]
    elif watched.hooks is not None:
        assert rows(store, "select tool_name, status, status_source from tool_calls") == [
            ("fatal", "error", "hook")
        ]
    agent_name = "Desk" if watched.sees_agents else None
    assert rows(store, "select agent_name, total_tokens, has_items from responses") == [
        (agent_name, 1100, False)
    ]


@input_guardrail(run_in_parallel=False, name="first")
async def before(context: Any, agent: Any, text: Any) -> GuardrailFunctionOutput:
    """Trips before the model is called."""
    return GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)


@input_guardrail(name="beside")
async def beside(context: Any, agent: Any, text: Any) -> GuardrailFunctionOutput:
    """Trips while or after the model answers."""
    await asyncio.sleep(0.05)
    return GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)


@output_guardrail(name="after")
async def after(context: Any, agent: Any, output: Any) -> GuardrailFunctionOutput:
    """Trips on the answer."""
    return GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)


GUARDED = {
    "first": {"input_guardrails": [before]},
    "beside": {"input_guardrails": [beside]},
    "after": {"output_guardrails": [after]},
}


@pytest.mark.parametrize("name", GUARDED)
@watched_ways("nothing", "hooks", "processor", "both")
def test_a_guardrail_that_trips(watched: Watched, name: str) -> None:
    """What the model used before is counted, though its answer is stored nowhere."""
    desk = named("Desk", step(1, assistant_message("Hello.")), **GUARDED[name])
    ended = run(watched.go(desk, "hello"))
    assert "Tripwire" in ended.kind
    keeps_its_promises(watched, ended)
    store = watched.store
    if watched.is_traced:
        assert rows(
            store, "select guardrail_name, is_triggered, agent_name, run_id from guardrails"
        ) == [(name, True, "Desk", rows(store, "select id from runs")[0][0])]
        assert rows(store, "select status, outcome from runs") == [("error", "guardrail")]
    else:
        assert rows(store, "select status from runs") == [("unanswered",)]


@watched_ways("nothing", "hooks", "both")
def test_as_many_turns_as_may_be(watched: Watched) -> None:
    """A run that is stopped has what it did, and says why it stopped where tracing tells."""
    desk = named(
        "Desk",
        *(step(n, function_call("weather", {"city": "Oslo"}, call_id=f"{n}")) for n in (1, 2, 3)),
        tools=[weather],
    )
    ended = run(watched.go(desk, "hello", max_turns=2))
    assert ended.kind == "MaxTurnsExceeded"
    expected = ("error", "max_turns", "MaxTurnsExceeded")
    assert rows(watched.store, "select status, outcome, error_type from runs") == [
        expected if watched.is_traced else ("interrupted", None, None)
    ]
    keeps_its_promises(watched, ended)


@watched_ways("nothing", "hooks", "both")
def test_a_run_that_is_cancelled(watched: Watched) -> None:
    """What its model used is counted, and its tool did not end."""
    desk = named("Desk", step(1, function_call("endless", "{}", call_id="a")), tools=[endless])
    session = watched.store.session("s")

    async def talk() -> Any:
        if watched.streamed:
            streaming = Runner.run_streamed(
                desk, "hello", session=session, hooks=watched.hooks, run_config=watched.config
            )
            async for event in streaming.stream_events():
                if event.type == "run_item_stream_event" and event.name == "tool_called":
                    await asyncio.sleep(0.1)
                    streaming.cancel()
            await asyncio.sleep(0.05)
            return Ended.of(streaming)
        running = asyncio.create_task(watched.go(desk, "hello"))
        await asyncio.sleep(0.3)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return None

    ended = run(talk())
    gc.collect()
    assert stored_counts(watched.store) == counts_of([step(1).usage])
    if watched.is_traced:
        assert rows(watched.store, "select status, outcome, error_type from runs") == [
            ("interrupted", "cancelled", "CancelledError")
        ]
    if watched.sees_agents:
        assert rows(watched.store, "select tool_name, status from tool_calls") == [
            ("endless", "error")
        ]
    if ended is not None:
        keeps_its_promises(watched, ended)
    is_let_go_of(watched.store)


@watched_ways("nothing", "hooks", "processor", "both")
def test_a_model_that_fails(watched: Watched) -> None:
    """The run has the error, and the call that failed is a response without tokens."""
    desk = named("Desk", RuntimeError("no such model"))
    with pytest.raises(RuntimeError):
        run(watched.go(desk, "hello"))
    gc.collect()
    store = watched.store
    if watched.is_traced:
        assert rows(
            store, "select agent_name, error_type, error, total_tokens, has_items from responses"
        ) == [("Desk", "RuntimeError", "no such model", None, False)]
        assert rows(store, "select status, outcome, error_type, error from runs") == [
            ("error", "error", "RuntimeError", "no such model")
        ]
    assert stored_counts(store) == (0,) * 7
    is_let_go_of(store)


def test_an_error_that_is_being_handled_is_not_the_runs(store: duckstore.Store) -> None:
    """A run that a handler sets going is not blamed for what is handled there."""
    for watched in watch(store, "both", False):

        async def talk(watched: Watched = watched) -> None:
            desk = named(
                "Desk",
                step(1, function_call("weather", {"city": "Oslo"}, call_id="a")),
                step(2, assistant_message("Hello.")),
                tools=[weather],
            )
            try:
                raise LookupError("before")
            except LookupError:
                await watched.go(desk, "hello")

        run(talk())
    assert rows(store, "select status, outcome, error from runs") == [
        ("completed", "completed", None)
    ]
    assert rows(store, "select status, error_type from tool_calls") == [("ok", None)]
    assert rows(store, "select count(error_type) from responses") == [(0,)]


# Approvals --------------------------------------------------------------------------------------

RESUME = """
import asyncio, gc, json, sys
import duckstore
from agents import RunState
from agents.testing import assistant_message
from tests.runs import step
from tests.test_telemetry import approving
from tests.watching import watch

path, way, streamed, state = sys.argv[1:5]

async def resume(watched):
    agent = approving()
    agent.model = type(agent.model)([step(1, assistant_message("Done."))], emit_traces=True)
    going = await RunState.from_string(agent, state)
    for waiting in going.get_interruptions():
        if waiting.raw_item.call_id == "yes":
            going.approve(waiting)
        else:
            going.reject(waiting, rejection_message="Not today.")
    return await watched.go(agent, going)

with duckstore.open(path) as store:
    for watched in watch(store, way, streamed == "True"):
        ended = asyncio.run(resume(watched))
        gc.collect()
        print(json.dumps([ended.counts, ended.reference() is None]))
"""


def approving() -> Any:
    """An agent two of whose calls must be allowed."""
    return named(
        "Keeper",
        step(
            1,
            function_call("delete", {"name": "x"}, call_id="yes"),
            function_call("delete", {"name": "y"}, call_id="no"),
            function_call("weather", {"city": "Oslo"}, call_id="free"),
        ),
        tools=[delete, weather],
    )


@watched_ways("nothing-run", "hooks-streamed", "both-run")
def test_approvals_are_given_in_another_process(watched: Watched, path: Path) -> None:
    """One call is granted and one refused: when it was asked and how long it took is known."""
    agent = approving()
    result = run(watched.result(agent, "Delete both"))
    store = watched.store
    asked = rows(store, "select call_id, status, approval from tool_calls order by id")
    waits = "asked" if watched.is_traced else None
    assert asked == [("yes", "pending", waits), ("no", "pending", waits), ("free", "ok", None)]
    if not watched.is_traced:
        assert store.record(result)
        assert rows(store, "select count(*) from tool_calls where approval = 'asked'") == [(2,)]
    assert rows(store, "select status, outcome from runs") == [("interrupted", "interrupted")]
    state = result.to_state().to_string()
    way = {(False, False): "nothing", (True, False): "hooks", (True, True): "both"}[
        (watched.hooks is not None, watched.is_traced)
    ]
    child = subprocess.run(
        [sys.executable, "-c", RESUME, str(path), way, str(watched.streamed), state],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OPENAI_API_KEY": ""},
    )
    assert child.stdout, child.stderr
    counted, is_gone = json.loads(child.stdout)
    assert is_gone
    assert counted == list(counts_of([step(1).usage, step(1).usage]))
    decided = rows(
        store,
        "select call_id, status, approval, approval_seconds > 0.1,"
        " approval_asked_at < approval_decided_at from tool_calls order by id",
    )
    assert decided == [
        ("yes", "ok", "granted", True, True),
        ("no", "rejected", "refused", True, True),
        ("free", "ok", None, None, None),
    ]
    sources = rows(store, "select status_source from tool_calls where call_id = 'no'")
    assert sources == [("approval",)]
    assert list(stored_counts(store)) == counted
    assert rows(store, "select agent_name, total_tokens from responses") == [("Keeper", 1100)] * 2
    assert rows(store, "select status, response_count from runs") == [("completed", 2)]
    del result
    is_let_go_of(store)
