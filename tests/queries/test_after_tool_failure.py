"""after_tool_failure: what an agent does after a tool call that failed."""

from __future__ import annotations

from typing import Any

import pytest

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall, SeenOutcome
from tests.clock import Clock
from tests.rich import FAILED
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]
Item = dict[str, Any]


def fill(store: Store) -> None:
    """The same failure in many sessions, with two kinds of what comes next."""
    for number in range(6):
        talk = store.conversation(f"after_tool_failure_{number}")
        talk.add([user("go"), *failed(), *(done() if number % 2 else []), assistant("done")])


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Tool, what came next, how often."""
    frame = store.query("after_tool_failure", **parameters)
    return frame.select("tool_name", "next_action", "failure_count").rows()


def failed(tool: str = "find", arguments: str = "{}", call_id: str = "f") -> list[Item]:
    return [call(tool, call_id, arguments), output(call_id, FAILED)]


def done(tool: str = "find", arguments: str = "{}", call_id: str = "d") -> list[Item]:
    return [call(tool, call_id, arguments), output(call_id)]


HANDOFF = [call("transfer_to_refunds", "h"), output("h", '{"assistant": "refunds"}')]


@pytest.mark.parametrize(
    ("then", "action"),
    [
        (done(arguments='{"b": 2, "a": 1}'), "same_call"),
        (done(arguments='{"a": 1}'), "changed_arguments"),
        (done("look", '{"a":1,"b":2}'), "other_tool"),
        (HANDOFF, "handoff"),
        ([assistant("Sorry.")], "answer"),
        ([assistant("Let me look."), *done("look")], "other_tool"),
        ([call("look", "1"), *HANDOFF], "handoff"),
        ([call("look", "1"), *done()], "changed_arguments"),
        ([call("find", "1"), call("find", "2", '{"a": 1, "b": 2}')], "same_call"),
        (
            [{"type": "reasoning", "id": "r", "summary": []}, output("x"), *done()],
            "changed_arguments",
        ),
        ([], "open"),
        ([user("Well?"), *done()], "nothing"),
    ],
)
def test_what_comes_next(store: Store, then: list[Item], action: str) -> None:
    """The next response of the same run tells, the nearest to the failed call first."""
    talk = store.conversation("s")
    talk.add([user("go"), *failed(arguments='{"a":1,"b":2}')])
    if then:
        talk.add(then)
    assert rows(store) == [("find", action, 1)]


def test_calls_made_at_once_are_no_reaction(store: Store) -> None:
    """Both failed, and the next response answers to both."""
    talk = store.conversation("s")
    talk.add([user("go"), call("find", "1", "[1]"), call("find", "2", "[2]"), call("look", "3")])
    talk.add([output("1", FAILED), output("2", FAILED), output("3")])
    talk.add(done(arguments="[2]"))
    assert rows(store) == [("find", "changed_arguments", 1), ("find", "same_call", 1)]


def test_arguments_that_nobody_knows_are_not_equal(store: Store) -> None:
    talk = store.conversation("s")
    unknown = {"type": "function_call", "name": "find", "call_id": "c"}
    talk.add([user("go"), unknown, output("c", FAILED), unknown, output("c")])
    assert rows(store) == [("find", "changed_arguments", 1)]


def test_a_hosted_tool_is_answered_in_its_own_response(store: Store) -> None:
    """Its output is in its call: what the model does after it is a reaction to it."""
    tool = {"type": "mcp_call", "id": "m", "name": "read", "server_label": "docs"}
    broken = {**tool, "arguments": '{"page": 1}', "error": "gone"}
    talk = store.conversation("s")
    talk.add([user("one"), broken, broken, assistant("Not there.")])
    talk.add([user("two"), broken, call("find", "1"), output("1")])
    talk.add([user("three"), call("find", "2"), broken, output("2")])
    assert rows(store) == [
        ("read", "answer", 1),
        ("read", "open", 1),
        ("read", "other_tool", 1),
        ("read", "same_call", 1),
    ]


def test_how_the_run_is_known_to_have_ended(store: Store) -> None:
    """Nothing more comes where somebody saw it end, unless it waits for an approval."""
    for session_id, end in (("a", "error"), ("b", "interrupted"), ("c", "max_turns")):
        talk = store.conversation(session_id)
        talk.add([user("go")])
        talk.add(failed(), Seen(outcome=SeenOutcome(end)))
    assert rows(store) == [("find", "nothing", 2), ("find", "open", 1)]


def test_a_failure_that_ended_its_run_before_it_was_stored(store: Store) -> None:
    """A call that no item tells of failed all the same."""
    talk = store.conversation("s")
    talk.add([user("go")])
    broken = SeenCall("x", tool_name="find", status="error", error="gone")
    talk.add(done("look"), Seen(calls=[broken], outcome=SeenOutcome("error")))
    assert rows(store) == [("find", "nothing", 1)]


def test_whether_the_next_call_of_the_tool_went_well(store: Store) -> None:
    """In whatever later response; a pending one tells nothing. Shares are those of the tool."""
    talk = store.conversation("s")
    talk.add([user("ok, at last"), *failed(), *done("look"), *done()])
    talk.add([assistant("done")])
    talk.add([user("no"), *failed(), *done("look"), *failed(), *done()])
    talk.add([user("open"), *failed(), *done("look"), call("find", "2")])
    talk.add([user("never"), *failed(), *done("look")])
    frame = store.query("after_tool_failure").select(
        *("next_action", "failure_count", "session_count", "failure_share"),
        *("next_count", "next_ok_count", "next_ok_share"),
    )
    assert frame.rows() == [
        ("other_tool", 4, 1, 0.8, 2, 1, 0.5),
        ("same_call", 1, 1, 0.2, 1, 1, 1.0),
    ]


def test_of_calls_made_at_once_the_first_is_the_next(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("go"), *failed()])
    talk.add([call("find", "1"), call("find", "2"), output("1"), output("2", FAILED)])
    talk.add([assistant("done")])
    frame = store.query("after_tool_failure").select("next_action", "next_count", "next_ok_count")
    assert frame.rows() == [("answer", 0, 0), ("same_call", 1, 1)]


def test_whether_the_run_was_completed(store: Store) -> None:
    """Of the runs that are on the path; the others have no say."""
    talk = store.conversation("s")
    talk.add([user("one"), *failed(), *done("look"), assistant("1")])
    talk.add([user("two"), *failed(), *done("look")])
    talk.add([user("three"), *failed(), *done("look"), assistant("3")])
    talk.rewind(3)
    frame = store.query("after_tool_failure").select(
        "next_action", "failure_count", "completed_count", "completed_share"
    )
    assert frame.rows() == [("other_tool", 3, 1, 0.5)]
    frame = store.query("after_tool_failure", include_superseded=False)
    assert frame.select("failure_count", "completed_share").rows() == [(2, 0.5)]


def test_nothing_leaks_from_a_path_to_another(store: Store) -> None:
    """What replaced a run is no reaction to what failed in it."""
    talk = store.conversation("s")
    talk.add([user("old"), *failed()])
    talk.rewind(1)
    talk.add([user("new"), *done(), assistant("done")])
    assert rows(store) == [("find", "nothing", 1)]
    assert rows(store, include_superseded=False) == []


def test_a_run_that_was_begun_over_in_its_middle(store: Store) -> None:
    """A failure that it kept counts once, with what came anew; others with what came then."""
    talk = store.conversation("s")
    talk.add([user("go"), *failed(), *failed("look"), assistant("old")])
    talk.rewind({"position": 3})
    talk.add([*done("sort"), assistant("new")])
    assert rows(store, include_superseded=False) == [("find", "other_tool", 1)]
    assert rows(store) == [("find", "other_tool", 1), ("look", "answer", 1)]
    frame = store.query("after_tool_failure").select("tool_name", "completed_share")
    assert frame.rows() == [("find", 1.0), ("look", None)]


def test_what_fails_in_an_agent_that_is_a_tool_is_left_out(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("go")])
    inner = SeenCall("x", tool_name="look", status="error", parent=0)
    talk.add(done("ask"), Seen(calls=[SeenCall("d", status="ok", is_item=True), inner]))
    assert rows(store) == []


def test_only_some(store: Store, clock: Clock) -> None:
    """The filters pick failed calls, and take nothing from what comes after them."""
    talk = store.conversation("s")
    talk.add([user("go")])
    for tool, agent in (("find", "One"), ("look", "Two"), ("find", "Two")):
        talk.add(failed(tool), Seen(agent_name=agent))
        clock.wait(60)
    talk.add([assistant("Sorry.")])
    store.conversation("t").add([user("go"), *failed(), *failed()])
    moments = store.sql("select created_at from tool_calls order by id")["created_at"].to_list()
    assert rows(store) == [
        ("find", "answer", 1),
        ("find", "open", 1),
        ("find", "other_tool", 1),
        ("find", "same_call", 1),
        ("look", "other_tool", 1),
    ]
    assert rows(store, agent_name="One") == [("find", "other_tool", 1)]
    assert rows(store, tool_name="look") == [("look", "other_tool", 1)]
    assert rows(store, session_id="t") == [("find", "open", 1), ("find", "same_call", 1)]
    assert rows(store, since=moments[1], until=moments[2]) == [("look", "other_tool", 1)]
    assert rows(store, row_limit=1) == [("find", "answer", 1)]
