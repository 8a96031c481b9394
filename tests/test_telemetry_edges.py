"""What is seen of runs where things are not as usual.

Results after the fact, sessions behind others, writes that fail, processes that are killed, stores
that are closed, strange contexts.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import signal
import subprocess
import sys
import time
import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from agents import (
    Agent,
    RunContextWrapper,
    Runner,
    ShellCallOutcome,
    ShellCommandOutput,
    ShellResult,
    ShellTool,
    Usage,
)
from agents.testing import ModelStep, assistant_message, function_call
from agents.tracing import trace
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseFunctionShellToolCall
from openai.types.responses.response_function_shell_tool_call import Action as ShellAction

import duckstore
from duckstore import errors
from duckstore.ledger import Ledger
from duckstore.telemetry import SeenResponse
from duckstore.usage import Usage as Counts
from tests.processes import ROOT
from tests.runs import QUIET, calling, go, plain, rows, step, weather
from tests.samples import assistant, call, output, run, user
from tests.test_advanced import Through
from tests.test_runner import counts_of
from tests.test_telemetry import after, fatal
from tests.watching import Ended, named, stored_counts, watch

# After the fact ---------------------------------------------------------------------------------


def test_a_result_fills_in_what_nobody_saw(store: duckstore.Store) -> None:
    """Provider's ids, finish reasons and the outcome; a second time it changes nothing."""
    result = run(go(calling(), "hello", store.session("s"), streamed=False))
    columns = "provider_response_id, finish_reason, total_tokens"
    assert rows(store, f"select {columns} from responses order by response_id") == [
        (None, None, 1100),
        (None, None, 2200),
        (None, None, 3300),
    ]
    for _ in range(2):
        assert store.record(result)
        assert rows(store, f"select {columns} from responses order by response_id") == [
            ("resp-789", None, 1100),
            ("resp-789", None, 2200),
            ("resp-789", "completed", 3300),
        ]
        assert rows(store, "select outcome from outcomes") == [("completed",)]
    assert store.check() == []


def test_the_result_of_a_session_that_handed_on_no_run(store: duckstore.Store) -> None:
    """Each response gets its own usage, in the session that is named."""
    session = store.session("s")
    result = run(go(calling(), "hello", Through(session), streamed=False))
    assert stored_counts(store) == (0,) * 7
    with pytest.raises(errors.ArgumentError, match="session_id"):
        store.record(result)
    assert store.record(result, "s")
    assert rows(store, "select total_tokens from responses order by response_id") == [
        (1100,),
        (2200,),
        (3300,),
    ]
    assert stored_counts(store) == counts_of([result.context_wrapper.usage])
    assert store.record(result)  # it is known from now on whose it is
    assert stored_counts(store) == counts_of([result.context_wrapper.usage])
    store.conversation("other").add([user("hello"), assistant("hello")])
    assert not store.record(result, "other")


def test_what_a_run_raised_is_a_result_too(store: duckstore.Store) -> None:
    """Its guardrails and its end, and what was used before; counted once with what dies later."""
    desk = named("Desk", step(1, assistant_message("Hello.")), output_guardrails=[after])

    async def talk() -> tuple[int, ...]:
        with pytest.raises(Exception, match="Guardrail") as caught:
            await go(desk, "hello", store.session("s"), streamed=False)
        assert store.record(caught.value)
        return Ended.of(caught.value).counts

    counted = run(talk())
    for _ in range(2):
        gc.collect()
        assert stored_counts(store) == counted
        assert rows(
            store, "select agent_name, finish_reason, provider_response_id from responses"
        ) == [("Desk", "completed", "resp-789")]
        assert rows(store, "select guardrail_name, is_triggered from guardrails") == [
            ("after", True)
        ]
        assert rows(store, "select status, outcome, error_type from runs") == [
            ("error", "guardrail", "OutputGuardrailTripwireTriggered")
        ]
    assert store.check() == []


def test_what_is_no_result(store: duckstore.Store) -> None:
    for thing in (None, "result", object(), ValueError("no"), SimpleNamespace(context_wrapper=1)):
        with pytest.raises(errors.ArgumentError, match="give what Runner"):
            store.record(thing, "s")


def test_a_stream_must_be_read_to_its_end_first(store: duckstore.Store) -> None:
    async def talk() -> None:
        streaming = Runner.run_streamed(
            plain(), "hello", session=store.session("s"), run_config=QUIET
        )
        with pytest.raises(errors.ArgumentError, match="stream_events"):
            store.record(streaming)
        async for _ in streaming.stream_events():
            pass
        assert store.record(streaming)

    run(talk())
    assert rows(store, "select outcome from runs") == [("completed",)]


def test_a_client_process_tells_the_same(client: duckstore.Store) -> None:
    """Hooks, tracing and results serve a store that another process owns."""
    for watched in watch(client, "both", False):
        ended = run(
            watched.go(
                named(
                    "Desk",
                    step(1, function_call("weather", {"city": "Oslo"}, call_id="a")),
                    step(2, assistant_message("Sunny.")),
                    tools=[weather],
                    output_guardrails=[after],
                ),
                "hello",
            )
        )
        gc.collect()
        assert ended.reference() is None
        assert stored_counts(client) == ended.counts
    assert rows(client, "select outcome, status from runs") == [("guardrail", "error")]
    assert rows(client, "select status_source, duration_seconds > 0 from tool_calls") == [
        ("trace", True)
    ]
    assert client.check() == []


# Agents at once ---------------------------------------------------------------------------------


def dawdling(number: int, seconds: float, *output: Any) -> ModelStep:
    """A model call that takes its time."""

    async def answer(call: Any) -> ModelStep:
        await asyncio.sleep(seconds)
        return step(number, *output)

    return ModelStep.respond(answer)


@pytest.mark.parametrize("way", ["hooks", "processor", "both"])
def test_agents_that_are_tools_at_once(store: duckstore.Store, way: str) -> None:
    """Each has its own tokens and tools, whoever of them is done first, at every depth."""
    dice = random.Random(1)
    for watched in watch(store, way, False):

        def asking(name: str, number: int, *deeper: Any, watched: Any = watched) -> Any:
            calls = [
                function_call("weather", {"city": name}, call_id=f"w{number}"),
                *(
                    function_call(tool.name, {"input": "?"}, call_id=f"d{number}")
                    for tool in deeper
                ),
            ]
            agent = named(
                name,
                dawdling(number, dice.random() / 50, *calls),
                dawdling(10 * number, dice.random() / 50, assistant_message("Yes.")),
                tools=[weather, *deeper],
            )
            return agent.as_tool(
                f"ask_{name.lower()}", "Asks", hooks=watched.hooks, run_config=watched.config
            )

        deepest = asking("Deep", 7)
        tools = [asking("One", 3), asking("Two", 4, deepest), asking("Three", 5)]
        desk = named(
            "Desk",
            step(
                1,
                *(function_call(tool.name, {"input": "?"}, call_id=tool.name) for tool in tools),
            ),
            step(2, assistant_message("Done.")),
            tools=tools,
        )
        ended = run(watched.go(desk, "hello"))
    assert stored_counts(store) == ended.counts
    assert rows(
        store,
        "select agent_name, list_sort(list(total_tokens)) from responses group by all order by all",
    ) == [
        ("Deep", [7700, 77000]),
        ("Desk", [1100, 2200]),
        ("One", [3300, 33000]),
        ("Three", [5500, 55000]),
        ("Two", [4400, 44000]),
    ]
    assert rows(
        store,
        "select calls.tool_name, list_sort(list(inner_calls.tool_name)), any_value("
        " inner_calls.agent_name), any_value(calls.response_count) from tool_calls as calls"
        " inner join tool_calls as inner_calls on inner_calls.parent_tool_call_id = calls.id"
        " group by calls.tool_name order by calls.tool_name",
    ) == [
        ("ask_deep", ["weather"], "Deep", 2),
        ("ask_one", ["weather"], "One", 2),
        ("ask_three", ["weather"], "Three", 2),
        ("ask_two", ["ask_deep", "weather"], "Two", 2),
    ]
    assert store.check() == []


# Tools of other kinds ---------------------------------------------------------------------------


async def failing_shell(request: Any) -> ShellResult:
    await asyncio.sleep(0.01)
    outcome = ShellCallOutcome(type="exit", exit_code=3)
    return ShellResult(output=[ShellCommandOutput(stdout="", outcome=outcome)])


@pytest.mark.parametrize("way", ["processor", "both"])
def test_shell_calls_are_timed_and_their_exit_code_counts(store: duckstore.Store, way: str) -> None:
    """Tracing has their arguments in other words, and sees no failure where a command fails."""
    calls = [
        ResponseFunctionShellToolCall(
            id=f"item_{number}",
            call_id=f"call_{number}",
            action=ShellAction(commands=[command]),
            status="completed",
            type="shell_call",
        )
        for number, command in enumerate(["ls", "pwd"])
    ]
    for watched in watch(store, way, False):
        desk = named(
            "Desk",
            step(1, *calls, function_call("weather", {"city": "Oslo"}, call_id="w")),
            step(2, assistant_message("Done.")),
            tools=[ShellTool(executor=failing_shell), weather],
        )
        run(watched.go(desk, "hello"))
    assert rows(
        store,
        "select call_id, status, status_source, error, duration_seconds between 0.01 and 1,"
        " position is not null from tool_calls where tool_name = 'shell' order by id",
    ) == [(f"call_{n}", "error", "item", "exit code 3", True, True) for n in (0, 1)]
    assert rows(store, "select count(*) from tool_calls") == [(3,)]
    assert store.check() == []


# Sessions behind others -------------------------------------------------------------------------


def test_tracing_sees_a_run_whose_session_is_behind_another(store: duckstore.Store) -> None:
    """Times, tool errors and the outcome are known without the run's context."""
    for watched in watch(store, "processor", False):
        run(watched.go(calling(), "hello", session=Through(store.session("s"))))
    assert rows(store, "select outcome, tool_error_count from runs") == [("completed", 1)]
    assert (
        rows(store, "select status_source, duration_seconds is not null from tool_calls")
        == [("trace", True)] * 3
    )
    assert store.check() == []


def test_one_trace_around_many_runs(store: duckstore.Store) -> None:
    """Each run has its own responses and end, at once and one after the other."""
    for watched in watch(store, "both", False):

        async def talk(watched: Any = watched) -> list[Ended]:
            with trace("many"):
                first = await watched.go(calling(), "one", session=store.session("a"))
                more = await asyncio.gather(
                    *(watched.go(calling(), "two", session=store.session(n)) for n in "abc")
                )
            return [first, *more]

        ended = run(talk())
        gc.collect()
        assert all(one.reference() is None for one in ended)
    assert rows(
        store,
        "select session_id, turn_number, outcome, response_count, total_tokens from runs"
        " order by all",
    ) == [
        ("a", 1, "completed", 3, 6600),
        ("a", 2, "completed", 3, 6600),
        ("b", 1, "completed", 3, 6600),
        ("c", 1, "completed", 3, 6600),
    ]
    assert rows(store, "select count(distinct trace_id) from responses") == [(1,)]
    observer = store._access.observer
    assert not observer.spans._live
    assert not observer.spans._traces


def test_runs_whose_sessions_are_elsewhere_leave_nothing(store: duckstore.Store) -> None:
    """Neither rows nor memory."""
    for watched in watch(store, "both", False):
        run(Runner.run(calling(), "hello", hooks=watched.hooks, run_config=watched.config))
        gc.collect()
        store._access.reporter.flush()
        observer = store._access.observer
        assert not observer._watches
        assert not observer._ledgers
        assert not observer.spans._live
    assert rows(store, "select count(*) from sessions") == [(0,)]


def test_a_run_that_is_not_to_tell_what_was_said(store: duckstore.Store) -> None:
    """Calls are known by name and order, errors by their type alone."""
    for watched in watch(store, "processor", False):
        watched.config = replace(watched.config, trace_include_sensitive_data=False)
        desk = named(
            "Desk",
            step(
                1,
                function_call("weather", {"city": "Oslo"}, call_id="a"),
                function_call("weather", {"city": "Rome"}, call_id="b"),
            ),
            step(2, function_call("fatal", "{}", call_id="c")),
            tools=[weather, fatal],
        )
        run(watched.go(desk, "hello"))
    assert rows(
        store,
        "select tool_name, call_id, status, status_source, error_type, error from tool_calls"
        " order by id",
    ) == [
        ("weather", "a", "ok", "trace", None, None),
        ("weather", "b", "ok", "trace", None, None),
        ("fatal", None, "error", "trace", "KeyError", None),
    ]
    assert rows(store, "select outcome, error_type, error from runs") == [
        ("error", "UserError", None)
    ]


# What can go wrong ------------------------------------------------------------------------------


def test_what_a_batch_used_that_was_not_stored_is_not_lost(
    store: duckstore.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write of the model's answer fails: its tokens and tools are reported with the rest."""
    engine = store._access.engine
    commit, failing = engine._commit, []

    def fail(commands: list[Any]) -> None:
        if any("weather" in raw for command in commands for raw in command.raws):
            failing.append(True)
            raise errors.StoreWriteError("there is no room")
        commit(commands)

    monkeypatch.setattr(engine._committer, "_commit", fail)
    for watched in watch(store, "both", False):

        async def talk(watched: Any = watched) -> None:
            desk = named(
                "Desk",
                step(1, function_call("weather", {"city": "Oslo"}, call_id="a")),
                tools=[weather],
            )
            with pytest.raises(errors.StoreWriteError):
                await watched.go(desk, "hello")

        run(talk())
    gc.collect()
    assert failing
    assert stored_counts(store) == counts_of([step(1).usage])
    assert rows(
        store, "select tool_name, agent_name, call_id, status, duration_seconds > 0 from tool_calls"
    ) == [("weather", "Desk", "a", "ok", True)]
    assert rows(store, "select status, outcome, error_type from runs") == [
        ("error", "error", "StoreWriteError")
    ]
    assert store.check() == []


def test_what_was_seen_of_a_run_that_was_deleted_is_dropped(store: duckstore.Store) -> None:
    """Its outcome comes after the session was cleared, and brings nothing back."""
    for watched in watch(store, "both", False):
        seen = run(watched.result(plain(), "hello"))
        store.conversation("s").clear()
        store.conversation("s").add([user("new")])
        assert store.record(seen) is False
    assert rows(store, "select count(*) from responses") == [(0,)]
    assert rows(store, "select count(*) from outcomes") == [(0,)]
    assert store.check() == []


def test_purging_takes_along_what_was_seen(store: duckstore.Store) -> None:
    """Arguments and errors are what was said, and leave with the items."""
    for watched in watch(store, "both", False):
        run(watched.go(calling(), "hello"))
        run(watched.go(calling(), "again"))
    store.conversation("s").purge(
        {"item_id": rows(store, "select user_item_id from runs where turn_number = 2")[0][0]}
    )
    for relation in ("responses", "outcomes", "tool_calls"):
        assert rows(store, f"select distinct turn_number from {relation}") == [(1,)]
    store.purge("s")
    for table in ("response_rows", "call_rows", "outcome_rows", "guardrail_rows"):
        assert rows(store, f"select count(*) from {table}") == [(0,)]
    assert store.check() == []


KILLED = """
import asyncio, os, signal, sys
import duckstore
from tests.runs import calling
from tests.watching import watch

store = duckstore.open(sys.argv[1])

async def talk(watched):
    await watched.go(calling(), "hello")
    os.kill(os.getpid(), signal.SIGKILL)

for watched in watch(store, "both", False):
    asyncio.run(talk(watched))
"""


def test_a_killed_process_loses_at_most_how_the_run_ended(path: Path) -> None:
    """What was seen of acknowledged batches is on disk with their items."""
    child = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)], cwd=ROOT, capture_output=True, check=False
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    with duckstore.open(path) as store:
        assert rows(
            store,
            "select agent_name, total_tokens, offered_tools, started_at < ended_at from responses"
            " order by response_id",
        ) == [("Caller", tokens, ["weather", "broken"], True) for tokens in (1100, 2200, 3300)]
        assert rows(store, "select distinct status_source from tool_calls") == [("trace",)]
        assert rows(store, "select status from runs") == [("completed",)]
        assert store.check() == []


def test_closing_stores_what_was_seen(path: Path) -> None:
    """Of a run whose context is still there, whose answer no batch has."""
    with duckstore.open(path) as store:
        desk = named("Desk", step(1, assistant_message("Hello.")), output_guardrails=[after])
        with pytest.raises(Exception, match="Guardrail") as kept:
            run(go(desk, "hello", store.session("s"), streamed=False))
        assert stored_counts(store) == (0,) * 7
    with duckstore.open(path) as store:
        assert stored_counts(store) == counts_of([step(1).usage])
    del kept


def test_a_closed_or_read_only_store_gives_no_hooks(path: Path) -> None:
    store = duckstore.open(path)
    store.conversation("s").add([user("hello")])
    store.close()
    for ask in (store.hooks, lambda: duckstore.trace_to(store)):
        with pytest.raises(errors.ClosedError):
            ask()
    with duckstore.open(path, read_only=True) as reading:
        for ask in (reading.hooks, lambda: duckstore.trace_to(reading)):
            with pytest.raises(errors.StoreReadOnlyError):
                ask()
    for thing in (None, str(path), 7):
        with pytest.raises(errors.ArgumentError, match=r"duckstore\.open"):
            duckstore.trace_to(thing)


def test_a_span_that_cannot_be_read_fails_no_run(
    store: duckstore.Store, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the run goes on."""
    processor = duckstore.trace_to(store)
    with caplog.at_level(logging.WARNING, logger="duckstore"):
        processor.on_span_start(SimpleNamespace())  # type: ignore[arg-type]
    assert "could not be read" in caplog.text


def test_a_context_of_another_make(store: duckstore.Store) -> None:
    """One without usage, or that knows nothing of approvals, does no harm."""

    class Strange:
        usage = None

    async def talk() -> None:
        session = store.session("s")
        strange: Any = Strange()
        await session.get_items(wrapper=strange)
        await session.add_items([user("hello")], wrapper=strange)
        strange.usage = Usage(requests=1, input_tokens=2, output_tokens=3, total_tokens=5)
        await session.add_items([call("find", "a"), output("a")], wrapper=strange)

    run(talk())
    assert rows(store, "select tool_name, status, approval from tool_calls") == [
        ("find", "ok", None)
    ]


# Counting ---------------------------------------------------------------------------------------


def model_call(number: int) -> Usage:
    return step(number).usage


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.booleans()), max_size=12))
def test_every_token_is_given_out_once(calls: list[tuple[int, bool, bool]]) -> None:
    """Whatever is seen of the calls, and whenever they are asked for, the sums are the count's."""
    usage = Usage()
    ledger = Ledger(usage, 0)
    given_out: list[Counts] = []
    waiting: list[SeenResponse] = []

    def ask() -> None:
        shown = [*waiting] or [SeenResponse()]
        unseen = ledger.share_out(shown, first=0, takes_all=True, has_tools=True)
        given_out.extend(seen.usage for seen in (*shown, *unseen) if seen.usage)
        waiting.clear()

    for number, is_known, is_asked in calls:
        usage.add(model_call(number))
        counts = Counts.of(model_call(number)) if is_known else None
        waiting.append(SeenResponse(usage=counts, ended_us=len(given_out) + len(waiting)))
        if is_asked:
            ask()
    ask()
    assert Counts.sum(given_out) == Counts.of(usage)


def test_a_count_without_notes_is_the_next_calls(store: duckstore.Store) -> None:
    """A context that counts and does not note each model call."""

    async def talk() -> weakref.ref[RunContextWrapper[Any]]:
        session = store.session("s")
        context: RunContextWrapper[Any] = RunContextWrapper(None)
        await session.get_items(wrapper=context)
        await session.add_items([user("hello")], wrapper=context)
        for number in (1, 2):
            context.usage.requests += 1
            context.usage.total_tokens += number
            await session.add_items([assistant(str(number))], wrapper=context)
        return weakref.ref(context)

    reference = run(talk())
    gc.collect()
    assert reference() is None
    assert rows(
        store, "select request_count, total_tokens from responses order by response_id"
    ) == [(1, 1), (1, 2)]


def test_agents_that_are_tools_in_a_resumed_run(path: Path) -> None:
    """What one used while the run was resumed, before it read its session, is counted too."""
    inner: Agent[Any] = named("Inner", step(5, assistant_message("Yes.")))
    asking = inner.as_tool("ask", "Asks", run_config=QUIET, needs_approval=True)
    outer = named(
        "Outer",
        step(1, function_call("ask", {"input": "?"}, call_id="a")),
        step(2, assistant_message("Done.")),
        tools=[asking],
    )

    async def talk(store: duckstore.Store) -> Ended:
        result = await go(outer, "hello", store.session("s"), streamed=False)
        state = result.to_state()
        state.approve(result.interruptions[0])
        return Ended.of(await go(outer, state, store.session("s"), streamed=False))

    with duckstore.open(path) as store:
        ended = run(talk(store))
        assert (
            stored_counts(store)
            == ended.counts
            == counts_of([step(1).usage, step(5).usage, step(2).usage])
        )
        assert store.check() == []


def test_a_store_that_is_let_go_of_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread keeps a session in memory whose runs are over and that nobody closed."""
    monkeypatch.setattr("duckstore.reporting.IDLE_SECONDS", 0.05)
    monkeypatch.setattr("duckstore.committer.IDLE_SECONDS", 0.05)

    async def talk() -> weakref.ref[Any]:
        session = duckstore.DuckDBSession("s")
        await go(plain(), "hello", session, streamed=False)
        return weakref.ref(session._access)

    reference = run(talk())
    deadline = time.monotonic() + 20
    while reference() is not None and time.monotonic() < deadline:
        time.sleep(0.05)
        gc.collect()
    assert reference() is None
