"""tool_recovery: whether runs in which a tool failed got it to work after all."""

from __future__ import annotations

from typing import Any

import pytest

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall
from tests.clock import Clock
from tests.queries.test_after_tool_failure import done, failed
from tests.rich import FAILED
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]


def fill(store: Store) -> None:
    """The same failure in many sessions, of which one does not recover."""
    for number in range(5):
        talk = store.conversation(f"tool_recovery_{number}")
        talk.add([user("go"), *failed("book"), *(done("book") if number else []), assistant("1")])


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Tool, and how many runs it failed in, was called in again, and went well in after all."""
    frame = store.query("tool_recovery", **parameters)
    return frame.select(
        "tool_name", "failed_run_count", "retried_run_count", "recovered_run_count"
    ).rows()


def test_a_later_call_that_goes_well(store: Store) -> None:
    """In the same run and of the same tool; one that fails or is pending is only another try."""
    talk = store.conversation("s")
    talk.add([user("recovers"), *failed(), *failed(), *done("look"), *done(), assistant("1")])
    talk.add([user("fails again"), *done(), *failed(), *failed(), assistant("2")])
    talk.add([user("another tool"), *failed(), *done("look"), assistant("3")])
    talk.add([user("never failed"), *done(), assistant("4")])
    talk.add([user("pending"), *failed("look"), call("look", "l")])
    assert rows(store) == [("find", 3, 2, 1), ("look", 1, 1, 0)]
    frame = store.query("tool_recovery").select("error_count", "recovered_share")
    assert frame.rows() == [(5, 1 / 3), (1, 0.0)]


def test_tries_and_seconds(store: Store, clock: Clock) -> None:
    """From the first failure to the first call that went well, that one included."""
    talk = store.conversation("s")
    for waits in ([5], [1, 1, 1], [2, 7]):
        talk.add([user("go")])
        talk.add(failed())
        for number, seconds in enumerate(waits, start=1):
            clock.wait(seconds)
            talk.add(done() if number == len(waits) else failed())
        clock.wait(60)
        talk.add(done())
    talk.add([user("go"), *failed(), *failed(), *failed(), *failed(), *failed()])
    frame = store.query("tool_recovery").select("median_try_count", "max_try_count")
    assert frame.rows() == [(2.0, 3)]
    assert store.query("tool_recovery")["median_seconds"].to_list() == [pytest.approx(5, abs=0.001)]


def test_a_tool_that_is_never_tried_again(store: Store) -> None:
    """Nothing is known of tries and times."""
    store.conversation("s").add([user("go"), *failed(), assistant("Sorry.")])
    frame = store.query("tool_recovery").select(
        *("recovered_share", "median_try_count", "max_try_count", "median_seconds"),
        *("completed_share", "recovered_completed_share", "unrecovered_completed_share"),
    )
    assert frame.rows() == [(0.0, None, None, None, 1.0, None, 1.0)]


def test_calls_made_at_once_are_no_recovery(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("go"), call("find", "1"), call("find", "2"), output("1", FAILED), output("2")])
    assert rows(store) == [("find", 1, 0, 0)]
    talk.add([call("find", "3"), call("find", "4"), output("3"), output("4", FAILED)])
    assert rows(store) == [("find", 1, 1, 1)]


def test_a_hosted_tool_can_be_tried_again_at_once(store: Store) -> None:
    """Within a response, since its output is in its call."""
    tool = {"type": "mcp_call", "id": "m", "name": "read", "server_label": "docs"}
    broken = {**tool, "arguments": "{}", "error": "gone"}
    talk = store.conversation("s")
    talk.add([user("go"), broken, {**tool, "arguments": "{}", "output": "text"}, assistant("1")])
    assert rows(store) == [("read", 1, 1, 1)]


def test_whether_the_runs_were_completed(store: Store) -> None:
    """All, those that recovered and those that did not; of the runs on the path only."""
    talk = store.conversation("s")
    talk.add([user("one"), *failed(), *done(), assistant("1")])
    talk.add([user("two"), *failed(), *done()])
    talk.add([user("three"), *failed(), assistant("3")])
    talk.add([user("four"), *failed(), *done()])
    talk.rewind(4)
    frame = store.query("tool_recovery").select(
        *("failed_run_count", "completed_run_count", "completed_share"),
        *("recovered_completed_share", "unrecovered_completed_share"),
    )
    assert frame.rows() == [(4, 2, 2 / 3, 0.5, 1.0)]


def test_paths_are_not_mixed(store: Store) -> None:
    """The call that replaced a failed one is no recovery of it."""
    talk = store.conversation("s")
    talk.add([user("old"), *failed(), assistant("no")])
    talk.rewind(1)
    talk.add([user("new"), *done(), assistant("yes")])
    assert rows(store) == [("find", 1, 0, 0)]
    assert store.query("tool_recovery")["completed_share"].to_list() == [None]
    assert rows(store, include_superseded=False) == []


def test_a_run_that_was_begun_over_in_its_middle(store: Store) -> None:
    """A failure that it kept counts once, with what came anew."""
    talk = store.conversation("s")
    talk.add([user("go"), *failed(), *failed("look"), *done(), *done("look"), assistant("old")])
    talk.rewind({"position": 3})
    talk.add([*failed(), assistant("new")])
    assert rows(store, include_superseded=False) == [("find", 1, 1, 0)]
    assert rows(store) == [("find", 1, 1, 0), ("look", 1, 1, 1)]


def test_what_fails_in_an_agent_that_is_a_tool_is_left_out(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("go")])
    inner = SeenCall("x", tool_name="look", status="error", parent=0)
    talk.add(done("ask"), Seen(calls=[SeenCall("d", status="ok", is_item=True), inner]))
    assert rows(store) == []


def test_only_some(store: Store, clock: Clock) -> None:
    """By the first failed call; what comes after it counts whoever called it, and when."""
    talk = store.conversation("s")
    for agents in (("One", "Two"), ("Two", "One")):
        talk.add([user("go")])
        talk.add(failed(), Seen(agent_name=agents[0]))
        clock.wait(60)
        talk.add(done(), Seen(agent_name=agents[1]))
        clock.wait(60)
    store.conversation("t").add([user("go"), *failed("look")])
    store.conversation("t").add(failed("look"), Seen(agent_name="One"))
    moments = store.sql("select created_at from tool_calls order by id")["created_at"].to_list()
    assert rows(store) == [("find", 2, 2, 2), ("look", 1, 1, 0)]
    assert rows(store, agent_name="One") == [("find", 1, 1, 1)]
    assert rows(store, session_id="t") == [("look", 1, 1, 0)]
    assert rows(store, tool_name="look") == [("look", 1, 1, 0)]
    assert rows(store, since=moments[1], until=moments[3]) == [("find", 1, 1, 1)]
    assert rows(store, until=moments[1]) == [("find", 1, 1, 1)]
    assert rows(store, since=moments[2], session_id="s") == [("find", 1, 1, 1)]
    assert rows(store, until=moments[0]) == []
    assert rows(store, row_limit=1) == [("find", 2, 2, 2)]
