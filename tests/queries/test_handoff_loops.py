"""handoff_loops: where agents hand over to each other in a circle."""

from __future__ import annotations

from typing import Any

from agents.testing import assistant_message, function_call

from duckstore import Store
from duckstore.telemetry import Seen
from tests.clock import Clock
from tests.queries.test_handoffs import hand_over
from tests.runs import agent, go, step
from tests.samples import assistant, call, output, run, user

Row = tuple[Any, ...]


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Session, turn, status of the run, the circle's agents, and how often it went round."""
    frame = store.query("handoff_loops", **parameters)
    return frame.select("session_id", "turn_number", "status", "agents", "round_count").rows()


def walk(store: Store, names: str, session_id: str = "s") -> None:
    """A run in which the conversation goes from one agent to the next."""
    store.conversation(session_id).add([user("go")])
    hand_over(store, names[0], *names[1:], session_id=session_id)


def circles(store: Store, *walks: str) -> dict[str, list[tuple[str, int]]]:
    """The circles of each walk, as words, with how often each went round."""
    found: dict[str, list[tuple[str, int]]] = {names: [] for names in walks}
    for names in walks:
        walk(store, names, names)
    for names, _, _, agents, round_count in rows(store):
        found[names].append(("".join(agents), round_count))
    return found


def fill(store: Store) -> None:
    """Circles of two and of three in two sessions."""
    walk(store, "ABAB", "loops a")
    walk(store, "ABCA", "loops b")


def test_there_and_back(store: Store) -> None:
    """It goes round when it is back where it began; going on is no round until it is."""
    assert circles(store, "AB", "ABA", "ABAB", "ABABA", "CABABABAD") == {
        "AB": [],
        "ABA": [("AB", 1)],
        "ABAB": [("AB", 1)],
        "ABABA": [("AB", 2)],
        "CABABABAD": [("AB", 3)],
    }


def test_more_than_two(store: Store) -> None:
    """A circle of three is one circle, wherever it is entered, and its reverse is another."""
    assert circles(
        store, "ABCDE", "ABCA", "CABCAB", "BCABCABC", "ABCACBA", "ABCDEFGHA", "ABCDEFGHIA"
    ) == {
        "ABCDE": [],
        "ABCA": [("ABC", 1)],
        "CABCAB": [("CAB", 1)],
        "BCABCABC": [("BCA", 2)],
        "ABCACBA": [("ABC", 1), ("ACB", 1), ("CA", 1)],
        "ABCDEFGHA": [("ABCDEFGH", 1)],
        "ABCDEFGHIA": [],
    }


def test_circles_beside_and_within_each_other(store: Store) -> None:
    """Each is a row; no agent is in one twice. The same circle later in the run is the same row."""
    assert circles(store, "ABACA", "ABCBA", "ABADEABA", "ABBC") == {
        "ABACA": [("AB", 1), ("AC", 1)],
        "ABCBA": [("BC", 1)],
        "ABADEABA": [("AB", 2), ("ADE", 1)],
        "ABBC": [("B", 1)],
    }


def test_only_within_a_run(store: Store) -> None:
    """What begins with another user message is another walk."""
    walk(store, "AB")
    walk(store, "BA")
    assert rows(store) == []
    walk(store, "AB", "other")
    store.conversation("other").add([assistant("done")])
    walk(store, "BAB", "other")
    assert rows(store) == [("other", 2, "interrupted", ["B", "A"], 1)]


def test_one_that_is_set_going_anew_is_no_handoff(store: Store) -> None:
    """Where another agent goes on than the one that was handed over to, a walk begins anew."""
    walk(store, "AB")
    hand_over(store, "A", "B", "A")
    assert rows(store) == [("s", 1, "interrupted", ["A", "B"], 1)]
    store.conversation("t").add([user("go")])
    hand_over(store, "A", "B", session_id="t")
    hand_over(store, "C", "A", session_id="t")
    assert rows(store, session_id="t") == []


def test_who_began_may_be_unknown(store: Store) -> None:
    """Who was handed over to is in the items, and who gets it back is found by that."""
    store.conversation("s").add([user("go")])
    hand_over(store, None, "B", "A")
    assert rows(store) == []
    hand_over(store, None, "B")
    assert rows(store) == [("s", 1, "interrupted", ["B", "A"], 1)]
    # One name is told in the middle, and it is that of who was handed over to.
    store.conversation("t").add([user("go")])
    hand_over(store, None, "B", session_id="t")
    hand_over(store, "B", "A", session_id="t")
    hand_over(store, None, "B", session_id="t")
    assert rows(store, session_id="t") == [("t", 1, "interrupted", ["B", "A"], 1)]


def test_agents_that_really_quarrel(store: Store) -> None:
    """The run is completed when one of them answers."""

    def passes(number: int, name: str) -> Any:
        return step(number, function_call(f"transfer_to_{name}", "{}", call_id=f"h{number}"))

    desk = agent(
        "Desk", passes(1, "expert"), passes(3, "expert"), step(5, assistant_message("Fine."))
    )
    expert = agent("Expert", passes(2, "desk"), passes(4, "desk"), handoffs=[desk])
    desk.handoffs.append(expert)
    run(go(desk, "Who helps me?", store.session("s"), streamed=False))
    assert rows(store) == [("s", 1, "completed", ["Desk", "Expert"], 2)]


def test_calls_between_do_not_matter(store: Store) -> None:
    """Nor do those of tools in the same response."""
    talk = store.conversation("s")
    talk.add([user("go")])
    hand_over(store, "A", "B")
    talk.add([call("find", "f"), output("f")], Seen(agent_name="B"))
    talk.add([assistant("I am not the one.")])
    hand_over(store, "B", "A")
    assert rows(store) == [("s", 1, "interrupted", ["A", "B"], 1)]


def test_superseded_runs(store: Store) -> None:
    """A walk does not go from one path over to another."""
    talk = store.conversation("s")
    walk(store, "ABA")
    talk.edit(1, "new")
    assert rows(store) == []
    assert rows(store, include_superseded=True) == [("s", 1, "superseded", ["A", "B"], 1)]
    # The first handoff is kept, and the second is another one: no circle on either path.
    store.conversation("t").add([user("go")])
    hand_over(store, "A", "B", "C", session_id="t")
    store.conversation("t").rewind({"position": 3})
    hand_over(store, "B", "D", session_id="t")
    assert rows(store, session_id="t", include_superseded=True) == []


def test_when_a_circle_was_closed(store: Store, clock: Clock) -> None:
    """By the handoff back: the first one, however often it went round after that."""
    walk(store, "AB")
    clock.wait(60)
    moment = clock.now
    hand_over(store, "B", "A")
    clock.wait(60)
    hand_over(store, "A", "B", "A", "C", "A", "B", "A")
    frame = store.query("handoff_loops", agent_name="B")
    assert frame["round_count"].to_list() == [3]
    assert abs((frame["first_closed_at"][0] - moment).total_seconds()) < 1
    assert rows(store, agent_name="B", until=moment) == []
    assert len(rows(store, agent_name="B", since=moment)) == 1


def test_only_some(store: Store, clock: Clock) -> None:
    walk(store, "ABA", "a")
    clock.wait(60)
    moment = clock.now
    walk(store, "CDCDC", "b")
    first, second = (
        ("a", 1, "interrupted", ["A", "B"], 1),
        ("b", 1, "interrupted", ["C", "D"], 2),
    )
    assert rows(store) == [second, first]
    assert rows(store, since=moment) == [second]
    assert rows(store, until=moment) == [first]
    assert rows(store, agent_name="B") == [first]
    assert rows(store, session_id="b") == [second]
    assert rows(store, row_limit=1) == [second]
