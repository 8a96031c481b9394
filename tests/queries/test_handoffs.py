"""handoffs: which agent hands over to which, how often, and what comes of it."""

from __future__ import annotations

from typing import Any

import pytest
from agents.testing import assistant_message, function_call

from duckstore import Store
from duckstore.telemetry import Seen
from tests.clock import Clock
from tests.runs import agent, go, handing_over, step
from tests.samples import assistant, call, output, run, user

Row = tuple[Any, ...]


def hand_over(store: Store, start: str | None, *targets: str, session_id: str = "s") -> None:
    """Handoffs one after the other, from who starts to the last of the targets."""
    talk = store.conversation(session_id)
    for name in targets:
        talk.add(
            [call(f"transfer_to_{name.lower()}", "h"), output("h", f'{{"assistant": "{name}"}}')],
            Seen(agent_name=start),
        )
        start = name if start is not None else None


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Who hands over to whom, how often, in how many runs and sessions, and the share completed."""
    frame = store.query("handoffs", **parameters)
    return frame.select(
        "from_agent_name",
        "to_agent_name",
        "handoff_count",
        "run_count",
        "session_count",
        "completed_share",
    ).rows()


def fill(store: Store) -> None:
    """One way taken twice and back once, in two sessions."""
    for session_id, targets in (("handoffs a", ("Expert", "Desk")), ("handoffs b", ("Expert",))):
        store.conversation(session_id).add([user("go")])
        hand_over(store, "Desk", *targets, session_id=session_id)
    store.conversation("handoffs b").add([assistant("done")])


def test_who_hands_over_to_whom(store: Store) -> None:
    """Each way is a row; a run that goes it twice is one run."""
    fill(store)
    talk = store.conversation("handoffs b")
    talk.add([user("more")])
    hand_over(store, "Desk", "Expert", "Desk", "Expert", session_id="handoffs b")
    talk.add([assistant("done")])
    assert rows(store) == [
        ("Desk", "Expert", 4, 3, 2, pytest.approx(2 / 3)),
        ("Expert", "Desk", 2, 2, 2, 0.5),
    ]


def test_agents_that_really_hand_over(store: Store) -> None:
    """Of two at once only the first is carried out; a tool's call is no handoff."""
    run(go(handing_over(), "hello", store.session("s"), streamed=False))
    two = step(
        1,
        function_call("transfer_to_expert", "{}", call_id="a"),
        function_call("transfer_to_clerk", "{}", call_id="b"),
    )
    expert = agent("Expert", step(2, assistant_message("Done.")))
    desk = agent("Desk", two, handoffs=[expert, agent("Clerk")])
    run(go(desk, "hello", store.session("s"), streamed=False))
    assert rows(store) == [("Desk", "Expert", 2, 2, 1, 1.0)]
    assert store.query("handoffs")["p50_answer_seconds"][0] >= 0


def test_who_handed_over_is_unknown_where_nobody_told(store: Store) -> None:
    """To whom is in the items; an output that only looks like a handoff is none."""
    store.conversation("s").add([user("go")])
    hand_over(store, None, "Expert", "Desk")
    store.conversation("s").add([call("find", "f"), output("f", '{"assistant": "A", "b": 1}')])
    store.conversation("s").add([call("transfer_to_expert", "open")])
    assert rows(store) == [(None, "Desk", 1, 1, 1, 0.0), (None, "Expert", 1, 1, 1, 0.0)]


def test_seconds_until_the_next_answer(store: Store, clock: Clock) -> None:
    """From each handoff to the next message of the assistant in the run, whoever says it."""
    talk = store.conversation("s")
    talk.add([user("go")])
    hand_over(store, "Desk", "Expert")
    clock.wait(10)
    hand_over(store, "Expert", "Clerk")
    clock.wait(5)
    talk.add([call("find", "f"), output("f"), {"role": "system", "content": "Hurry."}])
    clock.wait(5)
    talk.add([assistant("wait a moment")])
    clock.wait(100)
    talk.add([assistant("done")])
    hand_over(store, "Clerk", "Nobody")
    talk.add([user("hello?")])
    hand_over(store, "Desk", "Cook")
    clock.wait(1)
    talk.add([assistant("yes")])
    frame = store.query("handoffs")
    seconds = dict(frame.select("to_agent_name", "p50_answer_seconds").rows())
    assert seconds == {
        "Expert": pytest.approx(20, abs=0.01),
        "Clerk": pytest.approx(10, abs=0.01),
        "Nobody": None,
        "Cook": pytest.approx(1, abs=0.01),
    }


def test_what_was_said_with_the_handoff_is_no_answer_to_it(store: Store, clock: Clock) -> None:
    """A message of the response that hands over, before the call or after it."""
    talk = store.conversation("s")
    talk.add([user("go")])
    words = assistant("I will get somebody.")
    talk.add(
        [words, call("transfer_to_expert", "h"), words, output("h", '{"assistant": "Expert"}')],
        Seen(agent_name="Desk", is_live=True),
    )
    assert store.query("handoffs")["p50_answer_seconds"].to_list() == [None]
    clock.wait(30)
    talk.add([assistant("Here I am.")])
    assert store.query("handoffs")["p50_answer_seconds"].to_list() == [pytest.approx(30, abs=0.01)]


def test_handoffs_of_superseded_runs(store: Store) -> None:
    """They were made, so they count; what became of their run says nothing."""
    talk = store.conversation("s")
    talk.add([user("old")])
    hand_over(store, "Desk", "Expert")
    talk.add([assistant("done")])
    assert rows(store) == [("Desk", "Expert", 1, 1, 1, 1.0)]
    talk.edit(1, "new")
    assert rows(store) == [("Desk", "Expert", 1, 1, 1, None)]
    assert rows(store, include_superseded=False) == []
    hand_over(store, "Desk", "Expert")
    assert rows(store) == [("Desk", "Expert", 2, 2, 1, 0.0)]
    talk.replace_all([user("summary")])
    assert rows(store, include_superseded=False) == [("Desk", "Expert", 1, 1, 1, 0.0)]


def test_only_some(store: Store, clock: Clock) -> None:
    store.conversation("s").add([user("go")])
    hand_over(store, "Desk", "Expert")
    clock.wait(60)
    moment = clock.now
    hand_over(store, "Expert", "Clerk", "Cook")
    there, back, on = (
        ("Desk", "Expert", 1, 1, 1, 0.0),
        ("Expert", "Clerk", 1, 1, 1, 0.0),
        ("Clerk", "Cook", 1, 1, 1, 0.0),
    )
    assert rows(store) == [on, there, back]
    assert rows(store, since=moment) == [on, back]
    assert rows(store, until=moment) == [there]
    assert rows(store, agent_name="Expert") == [there, back]
    assert rows(store, session_id="other") == []
    assert rows(store, row_limit=1) == [on]
