"""tool_transitions: which tool follows which within a run."""

from __future__ import annotations

from typing import Any

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall
from tests.clock import Clock
from tests.rich import FAILED
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]


def rows(store: Store, **parameters: Any) -> list[Row]:
    """From, to, how often."""
    frame = store.query("tool_transitions", **parameters)
    return frame.select("from_tool", "to_tool", "transition_count").rows()


def pairs(store: Store, **parameters: Any) -> dict[tuple[Any, Any], int]:
    return {(row[0], row[1]): row[2] for row in rows(store, **parameters)}


def done(name: str, call_id: str = "c", text: str = "done") -> list[dict[str, Any]]:
    """A call with its output."""
    return [call(name, call_id), output(call_id, text)]


def test_from_the_start_to_the_end_of_each_run(store: Store) -> None:
    """Within a run only; one without calls has no row; the most frequent first, then by name."""
    talk = store.conversation("s")
    talk.add([user("one"), *done("find"), *done("sort"), *done("find"), assistant("1")])
    talk.add([user("two"), *done("find"), *done("sort"), assistant("2")])
    talk.add([user("three"), assistant("3")])
    assert rows(store) == [
        ("(start)", "find", 2),
        ("find", "sort", 2),
        ("find", "(end)", 1),
        ("sort", "(end)", 1),
        ("sort", "find", 1),
    ]
    shares = store.query("tool_transitions")["transition_share"].to_list()
    assert shares == [1.0, 2 / 3, 1 / 3, 0.5, 0.5]


def test_calls_made_at_once(store: Store) -> None:
    """Their order is that of the response, not that of their outputs, and they are counted."""
    talk = store.conversation("s")
    talk.add([user("go"), call("a", "1"), call("b", "2"), output("2"), output("1"), *done("a")])
    frame = store.query("tool_transitions").select("from_tool", "to_tool", "parallel_count")
    assert sorted(frame.rows()) == [
        ("(start)", "a", 0),
        ("a", "(end)", 0),
        ("a", "b", 1),
        ("b", "a", 0),
    ]


def test_how_often_the_later_call_fails(store: Store) -> None:
    """Of those that are not pending; the end does not fail."""
    talk = store.conversation("s")
    for text in ("fine", FAILED):
        talk.add([user("go"), *done("a"), *done("b", text=text)])
    talk.add([user("go"), *done("a", text=FAILED), call("b", "open")])
    frame = store.query("tool_transitions").select(
        "from_tool", "to_tool", "error_count", "error_share"
    )
    assert frame.rows() == [
        ("(start)", "a", 1, 1 / 3),
        ("a", "b", 1, 0.5),
        ("b", "(end)", 0, None),
    ]


def test_seconds_between(store: Store, clock: Clock) -> None:
    """From call to call, the middle of them; those made at once took no time and do not count."""
    talk = store.conversation("s")
    for seconds in (1, 2, 7):
        talk.add([user("go")])
        talk.add(done("a"))
        clock.wait(seconds)
        talk.add(done("b"))
        talk.add([user("at once"), call("a", "1"), call("b", "2"), output("1"), output("2")])
        clock.wait(1)
    frame = store.query("tool_transitions").select("from_tool", "to_tool", "median_seconds")
    found = {row[:2]: row[2] for row in frame.rows()}
    assert found["a", "b"] is not None
    assert abs(found["a", "b"] - 2) < 0.001
    assert found["(start)", "a"] is None
    assert found["b", "(end)"] is None


def test_a_call_id_that_comes_twice_and_halves_of_calls(store: Store) -> None:
    """Each call is one, answered or not; an output alone is none."""
    talk = store.conversation("s")
    talk.add([user("go"), *done("a", "x"), *done("b", "x"), output("nobody"), call("a", "x")])
    assert pairs(store) == {
        ("(start)", "a"): 1,
        ("a", "b"): 1,
        ("b", "a"): 1,
        ("a", "(end)"): 1,
    }


def test_a_call_whose_tool_nobody_knows(store: Store) -> None:
    """It is a call like others, and no start or end."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add(done("a"), Seen(calls=[SeenCall("x", status="ok")]))
    talk.add(done("b"))
    assert rows(store) == [
        ("(start)", "a", 1),
        ("a", None, 1),
        ("b", "(end)", 1),
        (None, "b", 1),
    ]


def test_superseded_runs_stand_by_themselves(store: Store) -> None:
    """Nothing goes from the old path to the new one, nor back."""
    talk = store.conversation("s")
    talk.add([user("old"), *done("a"), *done("b")])
    talk.rewind(1)
    talk.add([user("new"), *done("a"), *done("c")])
    new = {("(start)", "a"): 1, ("a", "c"): 1, ("c", "(end)"): 1}
    old = {("(start)", "a"): 1, ("a", "b"): 1, ("b", "(end)"): 1}
    assert pairs(store, include_superseded=False) == new
    assert pairs(store) == {**new, **old, ("(start)", "a"): 2}


def test_a_run_that_was_begun_over_in_its_middle(store: Store) -> None:
    """What it kept comes before what came anew, and counts once; so with what was replaced."""
    talk = store.conversation("s")
    talk.add([user("go"), *done("a"), *done("b", "d"), assistant("old")])
    talk.rewind({"position": 3})
    talk.add([*done("c"), assistant("new")])
    new = {("(start)", "a"): 1, ("a", "c"): 1, ("c", "(end)"): 1}
    assert pairs(store, include_superseded=False) == new
    assert pairs(store) == {**new, ("a", "b"): 1, ("b", "(end)"): 1}


def test_a_tree_of_tries(store: Store) -> None:
    """What was replaced in what was replaced follows what both had kept."""
    talk = store.conversation("s")
    talk.add([user("go"), *done("a"), *done("b"), assistant("1")])
    talk.rewind({"position": 3})
    talk.add([*done("c"), *done("d"), assistant("2")])
    talk.rewind({"position": 5})
    talk.add([*done("e"), assistant("3")])
    talk.rewind({"position": 3})
    talk.add([assistant("Hm."), *done("f"), assistant("4")])
    talk.rewind({"position": 4})
    talk.add([*done("g"), assistant("5")])
    talk.rewind({"position": 1})
    talk.add([assistant("6")])
    assert pairs(store) == {
        ("(start)", "a"): 1,
        ("a", "f"): 1,
        ("f", "(end)"): 1,
        ("a", "g"): 1,
        ("g", "(end)"): 1,
        ("a", "b"): 1,
        ("b", "(end)"): 1,
        ("a", "c"): 1,
        ("c", "d"): 1,
        ("d", "(end)"): 1,
        ("c", "e"): 1,
        ("e", "(end)"): 1,
    }
    assert pairs(store, include_superseded=False) == {}


def test_a_compaction_in_the_middle_of_a_run(store: Store) -> None:
    """What it archived was called all the same, and is followed by what comes after."""
    talk = store.conversation("s")
    talk.add([user("go"), *done("a")])
    talk.replace_all([user("Summary: a was called.")])
    talk.add([*done("b"), assistant("done")])
    found = {("(start)", "a"): 1, ("a", "b"): 1, ("b", "(end)"): 1}
    assert pairs(store, include_superseded=False) == found
    assert pairs(store) == found


def test_an_agent_that_is_a_tool_has_a_sequence_of_its_own(store: Store) -> None:
    """Its calls do not stand between those of the run."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add(
        done("ask", "1"),
        Seen(
            calls=[
                SeenCall("1", status="ok", is_item=True),
                SeenCall("x", tool_name="look", status="ok", parent=0),
                SeenCall("y", tool_name="read", status="ok", parent=0),
            ]
        ),
    )
    talk.add([*done("sort", "2"), assistant("done")])
    found = {
        ("(start)", "ask"): 1,
        ("ask", "sort"): 1,
        ("sort", "(end)"): 1,
        ("(start)", "look"): 1,
        ("look", "read"): 1,
        ("read", "(end)"): 1,
    }
    assert pairs(store) == found
    talk.rewind({"position": 3})
    talk.add([assistant("anew")])
    assert pairs(store) == {**found, ("ask", "(end)"): 1}


def test_a_filter_makes_no_neighbours(store: Store, clock: Clock) -> None:
    """What stands between two calls stays between them, whatever is left out."""
    talk = store.conversation("s")
    talk.add([user("go")])
    for name, agent in (("a", "One"), ("b", "Two"), ("c", "One")):
        talk.add(done(name), Seen(agent_name=agent))
        clock.wait(60)
    moments = store.sql("select created_at from tool_calls order by id")["created_at"].to_list()
    store.conversation("t").add([user("go"), *done("c"), *done("c"), *done("d")])
    assert rows(store, session_id="s", agent_name="One") == [
        ("(start)", "a", 1),
        ("b", "c", 1),
        ("c", "(end)", 1),
    ]
    assert rows(store, session_id="s", agent_name="Two") == [("a", "b", 1)]
    assert rows(store, session_id="s", tool_name="c") == [("b", "c", 1), ("c", "(end)", 1)]
    assert rows(store, since=moments[1], until=moments[2]) == [("a", "b", 1)]
    assert rows(store, since=moments[2], session_id="s") == [("b", "c", 1), ("c", "(end)", 1)]
    shares = store.query("tool_transitions", tool_name="d")["transition_share"].to_list()
    assert shares == [1 / 3, 1.0]
    assert rows(store, row_limit=1) == [("(start)", "a", 1)]
    assert rows(store, tool_name="no such tool") == []
