"""responses_per_turn: how many model calls a turn takes."""

from __future__ import annotations

from typing import Any

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall, SeenResponse
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Numbers of responses with the turns that took so many, and how many have an answer."""
    frame = store.query("responses_per_turn", **parameters)
    return frame.select("response_count", "run_count", "completed_count").rows()


def turn(store: Store, name: str, tools: int) -> None:
    """A turn with so many rounds of tools and an answer."""
    talk = store.conversation(name)
    talk.add([user("go")])
    for _ in range(tools):
        talk.add([call("look", "c"), output("c")])
    talk.add([assistant("done")])


def test_the_distribution(store: Store) -> None:
    """Every turn is in one row, those without a response too; the shares add up."""
    for tools in (0, 0, 0, 1, 2):
        turn(store, "s", tools)
    store.conversation("s").add([user("look")])
    store.conversation("s").add([call("look", "c")])
    store.conversation("t").add([user("hello?")])
    store.conversation("u").add([user("hello?")])
    assert store.query("responses_per_turn").rows() == [
        (0, 2, 0, 0.25, 0.25, 0.0),
        (1, 4, 3, 0.5, 0.75, 0.75),
        (2, 1, 1, 0.125, 0.875, 1.0),
        (3, 1, 1, 0.125, 1.0, 1.0),
    ]


def test_an_answer_generated_again(store: Store) -> None:
    """The round of tools before it belongs to the turn as it is now; what was replaced does not."""
    turn(store, "s", 1)
    store.conversation("s").pop()
    store.conversation("s").add([assistant("better")])
    assert rows(store) == [(2, 1, 1)]
    assert rows(store, include_superseded=True) == [(1, 1, 0), (2, 1, 1)]


def test_a_compaction_in_the_middle_of_a_turn(store: Store) -> None:
    """What it archived was called all the same; its summary is no response."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add([call("look", "c"), output("c")])
    talk.replace_all([assistant("Summary.")])
    talk.add([assistant("done")])
    assert rows(store) == [(2, 1, 1)]


def test_an_edited_question(store: Store) -> None:
    turn(store, "s", 2)
    store.conversation("s").rewind(1)
    turn(store, "s", 0)
    assert rows(store) == [(1, 1, 1)]
    assert rows(store, include_superseded=True) == [(1, 1, 1), (3, 1, 0)]


def test_agents_that_are_tools(store: Store) -> None:
    """Their model calls are those of the turn."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add(
        [call("ask", "c"), output("c")],
        Seen(
            response=SeenResponse(),
            responses=[SeenResponse(agent_name="Inner", started_us=1, ended_us=2, parent=0)],
            calls=[SeenCall("c", "ask", status="ok", status_source="hook", is_item=True)],
        ),
    )
    talk.add([assistant("done")])
    assert rows(store) == [(3, 1, 1)]


def test_parameters(store: Store) -> None:
    """since includes a turn that began at that moment, until leaves it out."""
    turn(store, "a", 0)
    turn(store, "b", 1)
    turn(store, "a", 2)
    pairs = store.query("turn_pairs").sort("created_at")
    second, third = pairs["created_at"].to_list()[1:]
    assert rows(store, since=second) == [(2, 1, 1), (3, 1, 1)]
    assert rows(store, until=second) == [(1, 1, 1)]
    assert rows(store, since=second, until=third) == [(2, 1, 1)]
    assert rows(store, session_id="a") == [(1, 1, 1), (3, 1, 1)]
    assert rows(store, session_id="no such session") == []
    assert rows(store, row_limit=2) == [(1, 1, 1), (2, 1, 1)]
