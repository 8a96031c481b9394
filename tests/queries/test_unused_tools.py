"""unused_tools: which tools an agent is offered and never calls."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from agents import function_tool
from agents.testing import assistant_message, function_call

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall, SeenResponse
from tests.clock import Clock
from tests.runs import QUIET, agent, go, step, weather
from tests.samples import assistant, call, output, run, user

Row = tuple[Any, ...]
SAMPLES: dict[str, list[Any]] = {"max_call_count": [0, "1"], "model": ["gpt-5-mini", None]}


def offered(name: str | None, *tools: str, **told: Any) -> Seen:
    """What is seen of a response of an agent that was offered these tools."""
    return Seen(agent_name=name, response=SeenResponse(offered_tools=tools, **told))


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Agent, tool, and how many responses offered it, in how many runs, and called it."""
    frame = store.query("unused_tools", **parameters)
    return frame.select(
        "agent_name", "tool_name", "offered_count", "run_count", "call_count"
    ).rows()


def fill(store: Store) -> None:
    """Agents whose tools are offered in several sessions."""
    for number in range(4):
        add_session(store, f"unused_tools {number}")


def add_session(store: Store, session_id: str = "s") -> None:
    """A run whose second response has one tool more, and a run of another agent."""
    talk = store.conversation(session_id)
    talk.add([user("Where is it?")])
    talk.add([call("find", "1"), output("1")], offered("Desk", "find", "refund"))
    talk.add([assistant("On its way.")], offered("Desk", "find", "refund", "cancel"))
    talk.add([user("Cancel it.")])
    talk.add([call("ask", "2"), output("2")], offered("Back", "ask", "refund", model="gpt-5-mini"))
    talk.add([call("ask", "3"), output("3")], offered("Back", "refund", "ask"))


def test_what_is_never_called(store: Store) -> None:
    """Each agent's own tools, the most offered first; a tool can be another one's favourite."""
    add_session(store)
    assert rows(store) == [
        ("Back", "refund", 2, 1, 0),
        ("Desk", "refund", 2, 1, 0),
        ("Desk", "cancel", 1, 1, 0),
    ]
    found = store.query("unused_tools")
    assert found["calls_per_response"].to_list() == [0.0, 0.0, 0.0]
    assert found["last_called_at"].to_list() == [None, None, None]
    assert rows(store, row_limit=1) == [("Back", "refund", 2, 1, 0)]


def test_what_is_hardly_ever_called(store: Store) -> None:
    add_session(store)
    assert rows(store, max_call_count=1, agent_name="Desk") == [
        ("Desk", "find", 2, 1, 1),
        ("Desk", "refund", 2, 1, 0),
        ("Desk", "cancel", 1, 1, 0),
    ]
    assert rows(store, max_call_count=2, tool_name="ask") == [("Back", "ask", 2, 1, 2)]
    found = store.query("unused_tools", max_call_count=2)
    assert found.select("tool_name", "calls_per_response").rows() == [
        ("ask", 1.0),
        ("refund", 0.0),
        ("find", 0.5),
        ("refund", 0.0),
        ("cancel", 0.0),
    ]


def test_runs_are_counted_once(store: Store) -> None:
    """Whatever else the agent had in them, in whatever order, and however often a name stood."""
    talk = store.conversation("s")
    for lists in (
        [("a", "b"), ("b", "a"), ("a", "b", "a")],
        [("a",), ("b",), ()],
        [("a", "b")],
    ):
        talk.add([user("go")])
        for names in lists:
            talk.add([assistant("yes")], offered("Desk", *names))
    assert rows(store) == [("Desk", "a", 5, 3, 0), ("Desk", "b", 5, 3, 0)]


def test_only_what_is_known_to_be_offered(store: Store, clock: Clock) -> None:
    """What was called before anybody recorded what was offered tells only when that was."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add([call("a", "1"), output("1"), call("b", "2"), output("2")], Seen(agent_name="Desk"))
    clock.wait(60)
    talk.add([user("go on")])
    assert rows(store) == []
    talk.add([assistant("none")], offered("Other"))
    talk.add([assistant("yes")], offered("Desk", "a", "c"))
    assert rows(store) == [("Desk", "a", 1, 1, 0), ("Desk", "c", 1, 1, 0)]
    found = store.query("unused_tools")
    apart = found["last_offered_at"] - found["last_called_at"]
    assert apart.dt.total_seconds().to_list() == [60, None]


def test_a_response_that_failed_offered_nothing(store: Store) -> None:
    """No call could come of it."""
    seen = offered("Desk", "a")
    failed = SeenResponse(agent_name="Desk", offered_tools=("a", "b"), error_type="TimeoutError")
    seen.responses = [failed, SeenResponse(agent_name="Desk", offered_tools=("c",), error="gone")]
    store.conversation("s").add([user("go"), assistant("yes")], seen)
    assert rows(store) == [("Desk", "a", 1, 1, 0)]


def test_an_agent_that_nobody_named(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add([call("a", "1"), output("1")], offered(None, "a", "b"))
    assert rows(store) == [(None, "b", 1, 1, 0)]
    assert rows(store, max_call_count=1) == [(None, "a", 1, 1, 1), (None, "b", 1, 1, 0)]
    assert rows(store, agent_name="Desk") == []


def asks_inner() -> Seen:
    """What is seen of an agent that calls another one, which calls the one of its two tools."""
    seen = offered("Desk", "ask_inner", "look")
    seen.calls = [
        SeenCall(call_id="1", is_item=True, started_us=1, ended_us=2, status="ok"),
        SeenCall(call_id="x", tool_name="look", agent_name="Inner", status="ok", parent=0),
    ]
    seen.responses = [
        SeenResponse(agent_name="Inner", offered_tools=("look", "read"), parent=0),
        SeenResponse(agent_name="Inner", offered_tools=("look", "read"), parent=0),
    ]
    return seen


def test_an_agent_that_is_a_tool_has_its_own(store: Store, clock: Clock) -> None:
    """Its calls are in no item of the conversation, and count, each in its time."""
    talk = store.conversation("s")
    talk.add([user("go")])
    for _ in range(2):
        talk.add([call("ask_inner", "1"), output("1")], asks_inner())
        clock.wait(60)
    assert rows(store) == [("Inner", "read", 4, 1, 0), ("Desk", "look", 2, 1, 0)]
    in_a_minute = [
        ("Inner", "look", 2, 1, 1),
        ("Inner", "read", 2, 1, 0),
        ("Desk", "ask_inner", 1, 1, 1),
        ("Desk", "look", 1, 1, 0),
    ]
    middle = clock.now - timedelta(seconds=60)
    assert rows(store, max_call_count=9, since=middle) == in_a_minute
    assert rows(store, max_call_count=9, until=middle) == in_a_minute
    assert rows(store, max_call_count=9, agent_name="Inner", until=middle) == in_a_minute[:2]


def test_superseded_responses(store: Store) -> None:
    """They were offered tools, and called them, unless they are left out; what was compacted is."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add([call("a", "1"), output("1")], offered("Desk", "a", "b"))
    talk.edit(1, "go there")
    talk.add([call("b", "2"), output("2")], offered("Desk", "a", "b"))
    assert rows(store) == []
    assert rows(store, max_call_count=1) == [("Desk", "a", 2, 2, 1), ("Desk", "b", 2, 2, 1)]
    assert rows(store, include_superseded=False) == [("Desk", "a", 1, 1, 0)]
    talk.replace_all([user("It went there.")])
    assert rows(store, include_superseded=False) == [("Desk", "a", 1, 1, 0)]


def test_responses_of_a_session_a_model_and_a_time(store: Store, clock: Clock) -> None:
    """Calls that lie outside count no more than the offers."""
    middle = clock.now + timedelta(seconds=60)
    for session_id in ("s", "t"):
        talk = store.conversation(session_id)
        talk.add([user("go")])
        talk.add([call("a", "1"), output("1")], offered("Desk", "a", model="small"))
    clock.wait(60)
    talk.add([assistant("yes")], offered("Desk", "a", model="large"))
    assert rows(store, max_call_count=9) == [("Desk", "a", 3, 2, 2)]
    assert rows(store, max_call_count=9, session_id="s") == [("Desk", "a", 1, 1, 1)]
    assert rows(store, max_call_count=9, model="small") == [("Desk", "a", 2, 2, 2)]
    assert rows(store, model="large") == [("Desk", "a", 1, 1, 0)]
    assert rows(store, since=middle) == [("Desk", "a", 1, 1, 0)]
    assert rows(store, until=middle) == []
    assert rows(store, until=middle, max_call_count=2) == [("Desk", "a", 2, 2, 2)]
    large = store.query("unused_tools", model="large")
    assert large["last_called_at"].to_list() == [None]


@function_tool
def archive(name: str) -> str:
    """A tool that nobody needs."""
    return name


def test_what_the_runner_offers(store: Store) -> None:
    """Without any set-up: tools and handoffs, by the names of their calls."""
    expert = agent("Expert", step(3, assistant_message("Done.")), tools=[archive])
    other = agent("Other")
    desk = agent(
        "Desk",
        step(1, function_call("weather", {"city": "Oslo"}, call_id="a")),
        step(2, function_call("transfer_to_expert", "{}", call_id="b")),
        tools=[weather, archive],
        handoffs=[expert, other],
    )
    run(go(desk, "hello", store.session("s"), streamed=False, run_config=QUIET))
    assert rows(store) == [
        ("Desk", "archive", 2, 1, 0),
        ("Desk", "transfer_to_other", 2, 1, 0),
        ("Expert", "archive", 1, 1, 0),
    ]


@pytest.mark.parametrize("count", [-1, 0])
def test_a_store_where_nothing_is_unused(store: Store, count: int) -> None:
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add([call("a", "1"), output("1")], offered("Desk", "a"))
    assert rows(store, max_call_count=count) == []
