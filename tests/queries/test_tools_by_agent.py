"""tools_by_agent: which tools each agent calls, how often they fail, and how long they take."""

from __future__ import annotations

from typing import Any

import pytest

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall
from tests.clock import Clock
from tests.rich import FAILED
from tests.runs import calling, go, handing_over
from tests.samples import call, output, run, user

Row = tuple[Any, ...]


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Agent, tool, calls, share of the agent's calls, errors, and error share."""
    frame = store.query("tools_by_agent", **parameters)
    return frame.select(
        "agent_name", "tool_name", "call_count", "call_share", "error_count", "error_share"
    ).rows()


def timed(call_id: str, seconds: float, **more: Any) -> SeenCall:
    return SeenCall(call_id, started_us=0, ended_us=round(seconds * 1_000_000), **more)


def test_the_same_tool_of_two_agents(store: Store) -> None:
    """Each has its own row; shares are of the agent's calls, errors leave out the pending."""
    talk = store.conversation("s")
    talk.add([user("go")])
    for number, text in enumerate(["fine", FAILED, "fine"]):
        talk.add([call("find", str(number)), output(str(number), text)], Seen(agent_name="Desk"))
    talk.add([call("read", "r")], Seen(agent_name="Desk"))
    talk.add([call("find", "x"), output("x", FAILED)], Seen(agent_name="Expert"))
    assert rows(store) == [
        ("Desk", "find", 3, 0.75, 1, pytest.approx(1 / 3)),
        ("Desk", "read", 1, 0.25, 0, None),
        ("Expert", "find", 1, 1.0, 1, 1.0),
    ]
    # What is not shown still counts among the agent's calls.
    assert rows(store, tool_name="read") == [("Desk", "read", 1, 0.25, 0, None)]
    assert rows(store, agent_name="Expert") == [("Expert", "find", 1, 1.0, 1, 1.0)]


def test_times_runs_and_sessions(store: Store) -> None:
    """Of what was timed, and in as many runs and sessions as it was called in."""
    for session_id, seconds in (("a", [1, 2]), ("b", [3])):
        talk = store.conversation(session_id)
        for number, second in enumerate(seconds):
            talk.add([user("go")])
            seen = Seen(agent_name="Desk", calls=[timed(str(number), second, is_item=True)])
            talk.add([call("find", str(number)), output(str(number))], seen)
        talk.add([call("find", "again"), output("again")], Seen(agent_name="Desk"))
    frame = store.query("tools_by_agent")
    assert frame.select(
        "call_count", "run_count", "session_count", "p50_seconds", "p95_seconds"
    ).rows() == [(5, 3, 2, 2.0, pytest.approx(2.9))]


def test_agents_that_nobody_told(store: Store) -> None:
    """Their calls are together, with a share of their own, and no time."""
    talk = store.conversation("s")
    talk.add([user("go"), call("find", "1"), output("1"), call("read", "2"), output("2")])
    assert rows(store) == [(None, "find", 1, 0.5, 0, 0.0), (None, "read", 1, 0.5, 0, 0.0)]
    assert store.query("tools_by_agent")["p50_seconds"].to_list() == [None, None]


def test_an_agent_that_is_a_tool(store: Store) -> None:
    """Its calls are its own, and those of a tool and a function of one name are two rows."""
    talk = store.conversation("s")
    talk.add([user("go")])
    inner = timed("i", 1, tool_name="find", agent_name="Inner", parent=0)
    seen = Seen(agent_name="Outer", calls=[timed("1", 1, is_item=True), inner])
    talk.add([call("ask", "1"), output("1")], seen)
    hosted = {"type": "web_search_call", "id": "w", "status": "completed"}
    talk.add([hosted, call("web_search", "2"), output("2")], Seen(agent_name="Outer"))
    assert [row[:4] for row in rows(store)] == [
        ("Inner", "find", 1, 1.0),
        ("Outer", "ask", 1, pytest.approx(1 / 3)),
        ("Outer", "web_search", 1, pytest.approx(1 / 3)),
        ("Outer", "web_search", 1, pytest.approx(1 / 3)),
    ]
    types = store.query("tools_by_agent", tool_name="web_search")["tool_type"].to_list()
    assert types == ["function", "web_search"]


def test_agents_that_really_ran(store: Store) -> None:
    """The session knows who called what, also after a handoff."""
    run(go(calling(), "hello", store.session("s"), streamed=False))
    run(go(handing_over(), "hello", store.session("t"), streamed=False))
    assert rows(store) == [
        ("Caller", "weather", 2, pytest.approx(2 / 3), 0, 0.0),
        ("Caller", "broken", 1, pytest.approx(1 / 3), 1, 1.0),
        ("Desk", "transfer_to_expert", 1, 1.0, 0, 0.0),
        ("Expert", "weather", 1, 1.0, 0, 0.0),
    ]


def test_only_some(store: Store, clock: Clock) -> None:
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add([call("find", "1"), output("1")], Seen(agent_name="Desk"))
    clock.wait(60)
    moment = clock.now
    talk.add([call("read", "2"), output("2")], Seen(agent_name="Desk"))
    find, read = ("Desk", "find", 1, 1.0, 0, 0.0), ("Desk", "read", 1, 1.0, 0, 0.0)
    assert [row[3] for row in rows(store)] == [0.5, 0.5]
    assert rows(store, since=moment) == [read]
    assert rows(store, until=moment) == [find]
    assert rows(store, session_id="other") == []
    talk.rewind({"position": 3})
    assert rows(store, include_superseded=False) == [find]
    assert [row[1] for row in rows(store, row_limit=1)] == ["find"]
