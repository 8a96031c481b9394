"""context_growth: how the input of the model grows from turn to turn."""

from __future__ import annotations

from typing import Any

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall, SeenResponse
from duckstore.usage import Usage
from tests.clock import Clock
from tests.samples import assistant, call, output, user

SAMPLES: dict[str, list[Any]] = {"model": ["gpt-4.1", None]}


def used(tokens: int, agent_name: str = "X", model: str = "a", *, requests: int = 1) -> Seen:
    usage = Usage(requests, tokens, 1, 0, 0, 0, tokens + 1)
    return Seen(agent_name=agent_name, response=SeenResponse(usage=usage, model=model))


def fill(store: Store, name: str = "context_growth", extra: int = 0) -> None:
    """Two turns, the first of which has a tool call."""
    talk = store.conversation(name)
    talk.add([user("one")])
    talk.add([call("find", "1"), output("1")], used(100 + extra))
    talk.add([assistant("1")], used(150 + extra))
    talk.add([user("two")])
    talk.add([assistant("2")], used(350 + 3 * extra))


def rows(store: Store, **parameters: Any) -> list[tuple[Any, ...]]:
    """Turn, sessions, responses, median and largest input, growth, and that within the turn."""
    frame = store.query("context_growth", **parameters)
    return frame.select(
        "turn_number",
        "session_count",
        "response_count",
        "p50_input_tokens",
        "max_input_tokens",
        "p50_growth_tokens",
        "p50_inner_growth_tokens",
    ).rows()


def test_growth_is_that_of_each_session(store: Store) -> None:
    """From its last response in the turn before to its last in this one; the first has none."""
    fill(store, "s")
    fill(store, "t", 20)
    assert rows(store) == [
        (1, 2, 4, 135.0, 170, None, 50.0),
        (2, 2, 2, 380.0, 410, 220.0, 0.0),
    ]
    frame = store.query("context_growth")
    assert frame["p95_input_tokens"].to_list() == [167.0, 407.0]
    assert frame["p95_growth_tokens"].to_list() == [None, 238.0]


def test_a_handoff_to_an_agent_with_less_to_read(store: Store) -> None:
    """Growth is from the first response to the last, and is that of the agent who gave the last."""
    talk = store.conversation("s")
    talk.add([user("one")])
    talk.add([assistant("1")], used(50))
    talk.add([user("two")])
    talk.add([call("hand_over", "1"), output("1")], used(300))
    talk.add([assistant("2")], used(100, "Y"))
    assert rows(store, agent_name="X") == [
        (1, 1, 1, 50.0, 50, None, 0.0),
        (2, 1, 1, 300.0, 300, None, None),
    ]
    assert rows(store, agent_name="Y") == [(2, 1, 1, 100.0, 100, 50.0, -200.0)]


def test_a_turn_without_usage_is_a_gap(store: Store) -> None:
    """What grew over it is no growth of one turn; a session without usage has no rows."""
    talk = store.conversation("s")
    talk.add([user("one")])
    talk.add([assistant("1")], used(100))
    talk.add([user("two")])
    talk.add([assistant("2")])
    talk.add([user("three")])
    talk.add([assistant("3")], used(300))
    store.conversation("t").add([user("one"), assistant("1")])
    assert rows(store) == [(1, 1, 1, 100.0, 100, None, 0.0), (3, 1, 1, 300.0, 300, None, 0.0)]


def test_an_answer_generated_again_is_one_turn(store: Store) -> None:
    """Its responses are those on the path, from before the old answer on."""
    talk = store.conversation("s")
    fill(store, "s")
    for _ in range(3):
        talk.pop()
    talk.add([assistant("uno")], used(170))
    talk.add([user("zwei")])
    talk.add([assistant("dos")], used(200))
    path = [(1, 1, 2, 135.0, 170, None, 70.0), (2, 1, 1, 200.0, 200, 30.0, 0.0)]
    assert rows(store) == path
    assert rows(store, include_superseded=True) == [
        (1, 1, 3, 150.0, 170, None, 70.0),
        (2, 1, 2, 275.0, 350, 30.0, 0.0),
    ]


def test_a_compaction_makes_it_shorter(store: Store) -> None:
    """What it archived is the turn before all the same."""
    fill(store, "s")
    talk = store.conversation("s")
    talk.replace_all([user("Summary.")])
    talk.add([user("three")])
    talk.add([assistant("3")], used(50))
    assert rows(store)[1:] == [(2, 1, 1, 350.0, 350, 200.0, 0.0), (3, 1, 1, 50.0, 50, -300.0, 0.0)]


def test_agents_that_are_tools_have_a_context_of_their_own(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("one")])
    seen = used(100)
    inner = used(9999, "Inner").response
    assert inner is not None
    inner.parent = 0
    talk.add(
        [call("ask", "1"), output("1")],
        Seen(
            agent_name="X",
            response=seen.response,
            calls=[SeenCall("1", is_item=True)],
            responses=[inner],
        ),
    )
    assert rows(store) == [(1, 1, 1, 100.0, 100, None, 0.0)]


def test_several_requests_in_one_row_are_their_mean(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("one")])
    talk.add([assistant("1")], used(301, requests=3))
    assert rows(store) == [(1, 1, 1, 100.0, 100, None, 0.0)]


def test_only_some(store: Store, clock: Clock) -> None:
    """Filters choose among the responses; what each grew by stays as it was."""
    fill(store, "s")
    talk = store.conversation("s")
    clock.wait(60)
    talk.add([user("three")])
    talk.add([assistant("3")], used(400, "Y", "b"))
    fill(store, "t")
    third = (3, 1, 1, 400.0, 400, 50.0, 0.0)
    assert rows(store, agent_name="Y") == [third]
    assert rows(store, model="b") == [third]
    assert rows(store, session_id="s", since=clock.now) == [third]
    assert [row[0] for row in rows(store, session_id="s", until=clock.now)] == [1, 2]
    assert [row[:3] for row in rows(store)] == [(1, 2, 4), (2, 2, 2), (3, 1, 1)]
    assert [row[0] for row in rows(store, row_limit=2)] == [1, 2]
    assert rows(store, session_id="no such session") == []
