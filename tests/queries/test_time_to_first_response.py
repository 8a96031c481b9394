"""time_to_first_response: how long people wait for the first response."""

from __future__ import annotations

from typing import Any

import pytest

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall, SeenResponse
from tests.clock import Clock
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]


def rows(store: Store, **parameters: Any) -> list[Row]:
    return store.query("time_to_first_response", **parameters).rows()


def timed(clock: Clock, agent: str | None, model: str | None = None, seconds: float = 1) -> Seen:
    """A response that ends now."""
    now = clock.microseconds + 1  # as a batch gets it
    began = now - round(seconds * 1_000_000)
    response = SeenResponse(agent_name=agent, model=model, started_us=began, ended_us=now)
    return Seen(agent_name=agent, response=response)


def turn(store: Store, clock: Clock, name: str, seconds: float, agent: str) -> None:
    """A question that is answered after so long, and an answer to it that is stored later."""
    store.conversation(name).add([user("go")])
    clock.wait(seconds)
    seen = timed(clock, agent, "large")
    clock.wait(100)
    store.conversation(name).add([assistant("done")], seen)
    clock.wait(100)


def test_quantiles_by_agent_and_model(clock: Clock, store: Store) -> None:
    """From the question to the end of the model call, not to when its items were stored."""
    for seconds in (1, 2, 3, 4, 105):
        turn(store, clock, "a", seconds, "Desk")
    turn(store, clock, "b", 7, "Expert")
    assert rows(store) == [
        ("Desk", "large", 5, 5, 3.0, pytest.approx(84.8), 105.0),
        ("Expert", "large", 1, 1, 7.0, 7.0, 7.0),
    ]


def test_only_the_first_response_of_a_turn_counts(clock: Clock, store: Store) -> None:
    """Later ones do not, those of an agent that is a tool neither, nor one that failed."""
    talk = store.conversation("s")
    talk.add([user("go")])
    clock.wait(2)
    now = clock.microseconds + 1  # as a batch gets it
    failed = SeenResponse(agent_name="Down", ended_us=now - 1_000_000, error_type="Timeout")
    inner = SeenResponse(agent_name="Inner", started_us=now, ended_us=now + 1_000_000, parent=0)
    seen = timed(clock, "Desk")
    seen.responses = [failed, inner]
    seen.calls = [SeenCall("c", "ask", is_item=True, status="ok", status_source="hook")]
    clock.wait(2)
    talk.add([call("ask", "c"), output("c")], seen)
    clock.wait(5)
    talk.add([assistant("done")], timed(clock, "Expert"))
    seen_agents = store.sql("select agent_name from responses order by agent_name")
    assert seen_agents["agent_name"].to_list() == ["Desk", "Down", "Expert", "Inner"]
    assert rows(store) == [("Desk", None, 1, 1, 2.0, 2.0, 2.0)]


def test_where_nobody_watched(clock: Clock, store: Store) -> None:
    """The turn is counted and not timed; one without a response is not there."""
    talk = store.conversation("s")
    talk.add([user("go")])
    clock.wait(5)
    talk.add([call("look", "c"), output("c")], Seen(agent_name="Desk"))
    talk.add([assistant("done")], Seen(agent_name="Expert"))
    talk.add([user("hello?")])
    assert rows(store) == [("Desk", None, 1, 0, None, None, None)]


def test_a_turn_that_begins_without_a_question_has_no_first_response(
    clock: Clock, store: Store
) -> None:
    """Nobody waited for what the assistant opens with."""
    talk = store.conversation("s")
    talk.add([assistant("Hello.")], timed(clock, "Desk"))
    assert rows(store) == []


def test_an_answer_generated_again(clock: Clock, store: Store) -> None:
    """The turn counts once, with what its asker waited for; an edited question only on request."""
    turn(store, clock, "again", 3, "Desk")
    talk = store.conversation("again")
    talk.pop()
    clock.wait(50)
    talk.add([assistant("better")], timed(clock, "Expert"))
    assert rows(store) == [("Desk", "large", 1, 1, 3.0, 3.0, 3.0)]
    talk.pop()
    talk.pop()
    clock.wait(1)
    turn(store, clock, "again", 9, "Desk")
    assert rows(store) == [("Desk", "large", 1, 1, 9.0, 9.0, 9.0)]
    assert rows(store, include_superseded=True) == [("Desk", "large", 2, 2, 6.0, 8.7, 9.0)]


def test_a_compaction_in_the_middle_of_a_turn(clock: Clock, store: Store) -> None:
    """The question is archived, and was waited for all the same."""
    talk = store.conversation("s")
    talk.add([user("go")])
    clock.wait(4)
    talk.add([call("look", "c"), output("c")], timed(clock, "Desk"))
    talk.replace_all([user("Summary.")])
    talk.add([assistant("done")], timed(clock, "Desk"))
    assert rows(store) == [("Desk", None, 1, 1, 4.0, 4.0, 4.0)]


def test_parameters(clock: Clock, store: Store) -> None:
    """since includes a turn that began at that moment, until leaves it out."""
    turn(store, clock, "a", 1, "Desk")
    turn(store, clock, "a", 1, "Desk")
    turn(store, clock, "b", 2, "Expert")
    begins = store.query("turn_pairs", session_id="b")["created_at"][0]
    desk, expert = rows(store)
    assert desk[:3] == ("Desk", "large", 2)
    assert rows(store, row_limit=1) == [desk]
    assert rows(store, session_id="b") == [expert]
    assert rows(store, agent_name="Expert") == [expert]
    assert rows(store, model="large") == [desk, expert]
    assert rows(store, model="small") == []
    assert rows(store, since=begins) == [expert]
    assert rows(store, until=begins) == [desk]


SAMPLES: dict[str, list[Any]] = {"model": ["gpt-4.1", None]}
