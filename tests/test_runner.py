"""Runs through the SDK's real Runner: what the store holds of them, item by item and in tokens."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from typing import Any

import pytest
from agents import MaxTurnsExceeded, RunConfig, RunState, SQLiteSession, Tool, Usage
from agents.items import TResponseInputItem
from agents.memory import Session, SessionSettings
from agents.run_context import RunContextWrapper
from agents.testing import ScriptedModel, assistant_message, function_call

import duckstore
from tests.runs import (
    QUIET,
    RUNS,
    agent,
    calling,
    delete,
    go,
    handing_over,
    plain,
    rows,
    step,
    streamed_or_not,
    weather,
)
from tests.samples import run

COUNTS = (
    "request_count",
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "reasoning_output_tokens",
    "total_tokens",
)


def stored_usage(store: duckstore.Store, where: str = "true") -> tuple[int, ...]:
    """The sums over the relation `responses`."""
    sums = ", ".join(f"coalesce(sum({name}), 0)::bigint" for name in COUNTS)
    return rows(store, f"select {sums} from responses where {where}")[0]


def counts_of(usages: Sequence[Usage]) -> tuple[int, ...]:
    """The same sums over the SDK's own figures."""
    return tuple(
        sum(counts)
        for counts in zip(
            *(
                (
                    usage.requests,
                    usage.input_tokens,
                    usage.output_tokens,
                    usage.input_tokens_details.cached_tokens,
                    usage.input_tokens_details.cache_write_tokens or 0,
                    usage.output_tokens_details.reasoning_tokens,
                    usage.total_tokens,
                )
                for usage in usages
            ),
            strict=True,
        )
    )


# The same conversation and the same figures ----------------------------------------------------


@streamed_or_not
@pytest.mark.parametrize("kind", RUNS)
def test_a_run_leaves_the_items_that_sqlite_session_holds(
    store: duckstore.Store, kind: str, streamed: bool
) -> None:
    """Two runs in a row leave item for item what they leave in `SQLiteSession`."""

    async def talk() -> tuple[Any, Any]:
        ours, theirs = store.session("s"), SQLiteSession("s")
        for session in (ours, theirs):
            await go(RUNS[kind](), "first", session, streamed=streamed)
            await go(RUNS[kind](), "second", session, streamed=streamed)
        items = await ours.get_items(), await theirs.get_items()
        theirs.close()
        return items

    ours, theirs = run(talk())
    assert ours == theirs
    assert store.check() == []


@streamed_or_not
@pytest.mark.parametrize("kind", RUNS)
def test_usage_of_responses_adds_up_to_the_runs(
    store: duckstore.Store, kind: str, streamed: bool
) -> None:
    """Each model call is one row of `responses` with its own usage; the sums are the SDK's."""

    async def talk() -> list[Usage]:
        session = store.session("s")
        results = [
            await go(RUNS[kind](), text, session, streamed=streamed) for text in ("one", "two")
        ]
        return [result.context_wrapper.usage for result in results]

    usages = run(talk())
    assert stored_usage(store) == counts_of(usages)
    steps = 1 if kind == "plain" else 3
    assert (
        rows(store, "select total_tokens from responses order by response_id")
        == [(1100 * number,) for number in range(1, steps + 1)] * 2
    )
    assert [row[0] for row in rows(store, "select total_tokens from runs order by id")] == [
        usage.total_tokens for usage in usages
    ]


@streamed_or_not
@pytest.mark.parametrize("kind", RUNS)
def test_responses_name_their_agent(store: duckstore.Store, kind: str, streamed: bool) -> None:
    """Each response and tool call carries the agent that made it, across a handoff."""
    run(go(RUNS[kind](), "hello", store.session("s"), streamed=streamed))
    expected = {
        "plain": ["Greeter"],
        "tools": ["Caller", "Caller", "Caller"],
        "handoff": ["Desk", "Expert", "Expert"],
    }
    names = rows(store, "select agent_name from responses order by response_id")
    assert names == [(name,) for name in expected[kind]]
    assert rows(
        store,
        "select distinct calls.agent_name = heads.agent_name from tool_calls as calls"
        " join responses as heads on calls.response_id = heads.response_id",
    ) == ([] if kind == "plain" else [(True,)])
    assert rows(store, "select distinct agent_name from items where role = 'user'") == [(None,)]


def test_agents_are_named_with_tracing_on(store: duckstore.Store) -> None:
    """With tracing the agent is known too, and workflow, group and trace with it."""
    config = RunConfig(workflow_name="Support", group_id="ticket-7", trace_id="trace_" + "0" * 32)
    run(go(handing_over(), "hello", store.session("s"), streamed=False, run_config=config))
    told = rows(store, "select agent_name, workflow_name, group_id, trace_id from responses")
    assert [row[0] for row in told] == ["Desk", "Expert", "Expert"]
    assert {row[1:] for row in told} == {("Support", "ticket-7", "trace_" + "0" * 32)}


@streamed_or_not
def test_a_run_is_not_kept_alive(store: duckstore.Store, streamed: bool) -> None:
    """The run's context dies with the run: the store holds neither it nor its usage."""

    async def talk() -> weakref.ref[RunContextWrapper[Any]]:
        result = await go(calling(), "hello", store.session("s"), streamed=streamed)
        return weakref.ref(result.context_wrapper)

    wrapper = run(talk())
    gc.collect()
    assert wrapper() is None
    store._access.reporter.flush()
    assert not store._access.observer._watches
    assert not store._access.observer._ledgers


# Tools -----------------------------------------------------------------------------------------


@streamed_or_not
def test_parallel_calls_share_a_response(store: duckstore.Store, streamed: bool) -> None:
    """Calls of one model call are counted together, each with its own output."""
    run(go(calling(), "hello", store.session("s"), streamed=streamed))
    assert rows(
        store,
        "select call_id, call_index, parallel_count, output, turn_number from tool_calls"
        " where tool_name = 'weather' order by id",
    ) == [("a", 1, 2, "sunny in Oslo", 1), ("b", 2, 2, "sunny in Rome", 1)]
    assert rows(store, "select count(distinct response_id) from tool_calls") == [(2,)]
    assert rows(store, "select status, tool_call_count, tool_names from runs") == [
        ("completed", 3, ["weather", "weather", "broken"])
    ]


def test_a_handoff_is_a_handoff(store: duckstore.Store) -> None:
    """The run counts it, and the call tells whom it went to."""
    run(go(handing_over(), "hello", store.session("s"), streamed=False))
    assert rows(store, "select handoff_count, response_count from runs") == [(1, 3)]
    assert rows(store, "select tool_name, handoff_to from tool_calls order by id") == [
        ("transfer_to_expert", "Expert"),
        ("weather", None),
    ]


@streamed_or_not
@pytest.mark.parametrize("own_session", [False, True], ids=["no session", "own session"])
def test_an_agent_as_a_tool_is_counted_once(
    store: duckstore.Store, own_session: bool, streamed: bool
) -> None:
    """What a nested agent uses is in the sums once, be its session in the same store or nowhere.

    With a session of its own its model calls are responses there; without one they are responses
    of the run that called it, of an agent whose name nobody told.
    """
    inner = agent(
        "Inner",
        step(5, function_call("weather", {"city": "Rome"}, call_id="in")),
        step(6, assistant_message("Sunny in Rome.")),
        tools=[weather],
    )
    nested = store.session("nested") if own_session else None
    tool = inner.as_tool("ask_inner", "Asks", session=nested, run_config=QUIET)
    outer = agent(
        "Outer",
        step(1, function_call("ask_inner", {"input": "Rome?"}, call_id="out")),
        step(2, assistant_message("Sunny.")),
        tools=[tool],
    )
    result = run(go(outer, "hello", store.session("s"), streamed=streamed))
    assert stored_usage(store) == counts_of([result.context_wrapper.usage])
    if own_session:
        assert rows(
            store,
            "select agent_name, total_tokens from responses order by agent_name, total_tokens",
        ) == [("Inner", 5500), ("Inner", 6600), ("Outer", 1100), ("Outer", 2200)]
    else:
        assert rows(
            store, "select agent_name, total_tokens, has_items from responses order by response_id"
        ) == [
            ("Outer", 1100, True),
            (None, 5500, False),
            (None, 6600, False),
            ("Outer", 2200, True),
        ]


def test_agents_as_parallel_tools_are_counted_once(store: duckstore.Store) -> None:
    """Nested agents that run at once, each with a session, leave sums that are the run's."""

    def inner(number: int) -> Tool:
        asked = agent(f"Inner {number}", step(number, assistant_message("Yes.")))
        session = store.session(f"nested {number}")
        return asked.as_tool(f"ask_{number}", "Asks", session=session, run_config=QUIET)

    outer = agent(
        "Outer",
        step(1, *(function_call(f"ask_{n}", {"input": "?"}, call_id=f"{n}") for n in (5, 6, 7))),
        step(2, assistant_message("Yes.")),
        tools=[inner(5), inner(6), inner(7)],
    )
    result = run(go(outer, "hello", store.session("s"), streamed=False))
    assert stored_usage(store) == counts_of([result.context_wrapper.usage])
    outer_tokens = "select total_tokens from responses where session_id = 's' order by response_id"
    assert rows(store, outer_tokens) == [(1100,), (2200,)]


# Approval, limits, input -----------------------------------------------------------------------


@streamed_or_not
@pytest.mark.parametrize("by_json", [False, True], ids=["live", "json"])
def test_a_resumed_approval_goes_on_with_its_run(
    store: duckstore.Store, streamed: bool, by_json: bool
) -> None:
    """The call waits as pending, is answered after the approval, and its usage counts once."""

    async def talk() -> Usage:
        session = store.session("s")
        starting = agent(
            "Keeper",
            step(1, function_call("delete", {"name": "x"}, call_id="a")),
            step(2, assistant_message("Gone.")),
            tools=[delete],
        )
        result = await go(starting, "Delete x", session, streamed=streamed)
        assert rows(store, "select status, output from tool_calls") == [("pending", None)]
        assert rows(store, "select status from runs") == [("interrupted",)]
        state = result.to_state()
        if by_json:
            state = await RunState.from_json(starting, state.to_json())
        state.approve(state.get_interruptions()[0])
        result = await go(starting, state, session, streamed=streamed)
        assert result.final_output == "Gone."
        return result.context_wrapper.usage

    usage = run(talk())
    assert rows(store, "select status, output from tool_calls") == [("ok", "deleted x")]
    assert rows(store, "select status, assistant_message, response_count from runs") == [
        ("completed", "Gone.", 2)
    ]
    assert stored_usage(store) == counts_of([usage])
    assert store.check() == []


def test_a_rejected_approval_is_told(store: duckstore.Store) -> None:
    """A call that a person refused is answered by the refusal, in the same run."""

    async def talk() -> None:
        session = store.session("s")
        starting = agent(
            "Keeper",
            step(1, function_call("delete", {"name": "x"}, call_id="a")),
            step(2, assistant_message("Kept.")),
            tools=[delete],
        )
        state = (await go(starting, "Delete x", session, streamed=False)).to_state()
        state.reject(state.get_interruptions()[0])
        await go(starting, state, session, streamed=False)

    run(talk())
    assert rows(store, "select status from tool_calls") == [("rejected",)]
    assert rows(store, "select status, assistant_message from runs") == [("completed", "Kept.")]


@streamed_or_not
def test_a_run_that_is_cut_off_keeps_what_it_had(store: duckstore.Store, streamed: bool) -> None:
    """Out of turns: the answered calls are stored, the run is interrupted, the next one goes on."""
    session = store.session("s")
    with pytest.raises(MaxTurnsExceeded):
        run(go(calling(), "hello", session, streamed=streamed, max_turns=2))
    assert rows(store, "select status, tool_call_count from runs") == [("interrupted", 3)]
    run(go(plain(), "again", session, streamed=streamed))
    assert rows(store, "select status, turn_number from runs order by id") == [
        ("interrupted", 1),
        ("completed", 2),
    ]
    assert store.check() == []


def test_the_model_is_given_the_conversation(store: duckstore.Store) -> None:
    """The second run's model sees the first; a session limit bounds what it sees, not what is kept.

    `RunConfig.session_settings` goes before the session's own settings.
    """

    async def seen(session: Session, config: RunConfig) -> int:
        starting = plain()
        await go(starting, "next", session, streamed=False, run_config=config)
        model = starting.model
        assert isinstance(model, ScriptedModel)
        assert model.last_call is not None
        return len(model.last_call.input)

    bounded = RunConfig(tracing_disabled=True, session_settings=SessionSettings(limit=1))
    assert run(seen(store.session("s"), QUIET)) == 1
    assert run(seen(store.session("s"), QUIET)) == 3
    assert run(seen(store.session("s", session_settings={"limit": 2}), QUIET)) == 3
    assert run(seen(store.session("s", session_settings={"limit": 2}), bounded)) == 2
    assert len(run(store.session("s").get_items())) == 8


@streamed_or_not
def test_a_session_input_callback_decides_what_is_seen(
    store: duckstore.Store, streamed: bool
) -> None:
    """What the callback makes of old and new items is seen; only what is new is stored, once."""
    given: list[tuple[int, int]] = []

    def last_and_new(
        old: list[TResponseInputItem], new: list[TResponseInputItem]
    ) -> list[TResponseInputItem]:
        given.append((len(old), len(new)))
        return [*old[-1:], *new]

    config = RunConfig(tracing_disabled=True, session_input_callback=last_and_new)
    session = store.session("s")
    for text in ("one", "two", "three"):
        run(go(plain(), text, session, streamed=streamed, run_config=config))
    assert given == [(0, 1), (2, 1), (4, 1)]
    items: Any = run(session.get_items())
    assert [item["content"] for item in items[::2]] == ["one", "two", "three"]
    assert rows(store, "select count(*), count(*) filter (where is_current) from items") == [(6, 6)]
    assert store.check() == []
