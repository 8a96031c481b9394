"""resumed_turns: which turns stopped and went on, and how long they waited."""

from __future__ import annotations

from typing import Any

from agents import RunState
from agents.testing import assistant_message, function_call

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall, SeenOutcome
from tests.clock import Clock
from tests.runs import agent, delete, go, step
from tests.samples import assistant, call, import_tree, output, run, user

Row = tuple[Any, ...]


def rows(store: Store, **parameters: Any) -> list[Row]:
    """The turns with what they waited for, in which way it is known, and how long."""
    frame = store.query("resumed_turns", **parameters)
    return frame.select(
        "session_id",
        "turn_number",
        "tool_names",
        "start_count",
        "approval_count",
        "late_output_count",
        "waited_seconds",
    ).rows()


def late(store: Store, clock: Clock, name: str, seconds: float, tool: str = "delete") -> None:
    """A turn in which the output of a call comes so much later."""
    talk = store.conversation(name)
    talk.add([user("go")])
    clock.wait(1)
    talk.add([call(tool, "c")])
    clock.wait(seconds)
    talk.add([output("c")])
    clock.wait(1)
    talk.add([assistant("done")])


def ended(clock: Clock, outcome: str, seconds: float) -> Seen:
    """The Runner ends now, after so many seconds of work."""
    now = clock.microseconds + 1  # as a batch gets it
    return Seen(outcome=SeenOutcome(outcome, None, None, now - round(seconds * 1_000_000), now))


def fill(store: Store) -> None:
    """Two turns, for the contract."""
    for name in ("resumed_turns", "resumed_turns 2"):
        talk = store.conversation(name)
        talk.add([user("go"), call("delete", "c")])
        talk.add([output("c"), assistant("done")])


def test_the_real_runner(store: Store) -> None:
    """A tool that a person must allow: the turn waits, and is not here until it went on."""

    async def talk() -> None:
        session = store.session("s")
        keeper = agent(
            "Keeper",
            step(1, function_call("delete", {"name": "x"}, call_id="a")),
            step(2, assistant_message("Gone.")),
            tools=[delete],
        )
        result = await go(keeper, "Delete x", session, streamed=False)
        assert rows(store) == []
        state = await RunState.from_json(keeper, result.to_state().to_json())
        state.approve(state.get_interruptions()[0])
        await go(keeper, state, session, streamed=False)
        await go(agent("Plain", step(3, assistant_message("Hi."))), "Hi", session, streamed=False)

    run(talk())
    frame = store.query("resumed_turns")
    assert frame.select(
        "turn_number", "status", "user_message", "tool_names", "approval_count", "late_output_count"
    ).rows() == [(1, "completed", "Delete x", ["delete"], 1, 1)]
    stopped, resumed, waited = frame.row(0)[-3:]
    assert 0 < waited < (resumed - stopped).total_seconds()


def test_outputs_in_later_batches(clock: Clock, store: Store) -> None:
    """Waits at the same time are one wait; a call answered in its own batch is none."""
    talk = store.conversation("s")
    talk.add([user("go")])
    clock.wait(1)
    talk.add([call("b", "1"), call("a", "2"), call("c", "3"), output("3")])
    clock.wait(10)
    talk.add([output("1")])
    clock.wait(20)
    talk.add([output("2")])
    clock.wait(100)
    talk.add([call("b", "1"), output("1"), call("d", "4")])
    clock.wait(5)
    talk.add([output("4"), assistant("done")])
    assert rows(store) == [("s", 1, ["a", "b", "d"], None, 0, 3, 35.0)]


def test_halves_of_calls(clock: Clock, store: Store) -> None:
    """A call that still waits, an output of no call, and what came at once did not wait."""
    talk = store.conversation("s")
    talk.add([user("go"), call("a", "1"), output("1")])
    clock.wait(10)
    talk.add([output("nobody"), call("b", "2")])
    clock.wait(10)
    talk.add([user("Hello?")])
    clock.wait(10)
    talk.add([output("2")])
    assert rows(store) == []


def test_approvals(clock: Clock, store: Store) -> None:
    """From asking to the decision, which is when the wait ends, not when the tool has run."""
    talk = store.conversation("s")
    talk.add([user("go")])
    clock.wait(1)
    talk.add([call("delete", "a"), call("send", "b")])
    decided = clock.microseconds + 1 + 30_000_000
    clock.wait(90)
    calls = [
        SeenCall("a", approval="granted", decided_us=decided, is_item=True),
        SeenCall("b", approval="refused", decided_us=decided + 10_000_000, is_item=True),
    ]
    talk.add([output("a"), output("b")], Seen(calls=calls))
    asked = Seen(calls=[SeenCall("c", approval="asked", is_item=True)])
    store.conversation("waiting").add([user("go")])
    store.conversation("waiting").add([call("delete", "c")], asked)
    assert rows(store) == [("s", 1, ["delete", "send"], None, 2, 2, 40.0)]


def test_the_runner_was_set_going_again(clock: Clock, store: Store) -> None:
    """Its own stops and starts tell best how long it waited, tools or not."""
    talk = store.conversation("s")
    talk.add([user("go")])
    clock.wait(3)
    talk.add([call("delete", "c")], ended(clock, "interrupted", 3))
    clock.wait(60)
    clock.wait(4)
    talk.add([output("c")], ended(clock, "error", 4))
    clock.wait(10)
    clock.wait(2)
    talk.add([assistant("done")], ended(clock, "completed", 2))
    talk.add([user("once")])
    talk.add([assistant("done")], ended(clock, "completed", 1))
    other = store.conversation("t")
    other.add([user("go")], ended(clock, "error", 1))
    clock.wait(7)
    other.add([assistant("done")], ended(clock, "completed", 2))
    assert rows(store) == [
        ("s", 1, ["delete"], 3, 0, 1, 70.0),
        ("t", 1, [], 2, 0, 0, 5.0),
    ]
    frame = store.query("resumed_turns", session_id="s")
    assert frame.select("duration_seconds", "working_seconds").rows() == [(79.0, 9.0)]


def test_a_hosted_tool_that_a_person_allowed(clock: Clock, store: Store) -> None:
    """The request and the person's word are items of their own; the last request counts."""
    request = {"type": "mcp_approval_request", "id": "r", "name": "read", "arguments": "{}"}
    reply = {"type": "mcp_approval_response", "approval_request_id": "r", "approve": True}
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add([request])
    clock.wait(5)
    talk.add([request])
    clock.wait(20)
    talk.add([reply, assistant("done")])
    assert rows(store) == [("s", 1, ["read"], None, 0, 1, 20.0)]


def test_an_edit_is_no_resumption(clock: Clock, store: Store) -> None:
    """An output that replaced another did not wait; what was replaced is left out."""
    talk = store.conversation("s")
    talk.add([user("go"), call("look", "c"), output("c", "old")])
    talk.pop()
    clock.wait(10)
    talk.add([output("c", "new"), assistant("done")])
    assert rows(store) == []
    late(store, clock, "t", 9)
    store.conversation("t").rewind(1)
    assert rows(store) == []
    assert rows(store, include_superseded=True) == [("t", 1, ["delete"], None, 0, 1, 9.0)]


def test_an_answer_generated_again(clock: Clock, store: Store) -> None:
    """The wait before it is one of the turn as it is on the path now."""
    late(store, clock, "s", 9)
    store.conversation("s").pop()
    store.conversation("s").add([assistant("better")])
    frame = store.query("resumed_turns")
    assert frame.select("turn_number", "status", "waited_seconds").rows() == [(1, "completed", 9.0)]
    assert frame["run_id"].to_list() == store.query("turn_pairs")["run_id"].to_list()


def test_an_import_is_no_resumption(store: Store) -> None:
    """It stores a tree in several batches at one moment."""
    items = [user("go"), call("look", "c"), assistant("?"), output("c"), assistant("!")]
    import_tree(store, "s", items, [-1, 0, 0, 1, 3])
    batches = store.sql("select count(distinct batch_id) as batches from items")
    assert batches["batches"].to_list() == [3]
    assert rows(store, include_superseded=True) == []


def test_parameters(clock: Clock, store: Store) -> None:
    """The longest wait comes first; the moment is that of the question."""
    late(store, clock, "a", 5)
    late(store, clock, "b", 9, "send")
    begins = store.query("turn_pairs", session_id="b")["created_at"][0]
    first, second = ("b", 1, ["send"], None, 0, 1, 9.0), ("a", 1, ["delete"], None, 0, 1, 5.0)
    assert rows(store) == [first, second]
    assert rows(store, row_limit=1) == [first]
    assert rows(store, session_id="a") == [second]
    assert rows(store, tool_name="send") == [first]
    assert rows(store, tool_name="no such tool") == []
    assert rows(store, since=begins) == [first]
    assert rows(store, until=begins) == [second]
