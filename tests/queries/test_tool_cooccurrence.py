"""tool_cooccurrence: which tools are called in the same runs."""

from __future__ import annotations

from typing import Any

import pytest

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall
from tests.rich import facts
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]

SAMPLES: dict[str, list[Any]] = {"min_run_count": [1, "2", 100]}


def fill(store: Store) -> None:
    """Five runs: a and b twice, a alone, b and c, c alone; and one without tools."""
    for number, tools in enumerate(("ab", "baab", "a", "cb", "c", "")):
        talk = store.conversation(f"tool_cooccurrence {number % 2}")
        talk.add([user("go"), *(call(tool, tool) for tool in tools), assistant("done")])


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Each pair, and how many runs have both."""
    frame = store.query("tool_cooccurrence", **parameters)
    return frame.select("first_tool_name", "second_tool_name", "run_count").rows()


def test_support_confidence_and_lift(store: Store) -> None:
    """Shares are of the five runs with tools, and a tool counts once for a run."""
    fill(store)
    assert store.query("tool_cooccurrence").rows() == [
        ("a", "b", 2, 3, 3, 0.4, *[pytest.approx(2 / 3)] * 2, pytest.approx(0.4 / (0.6 * 0.6))),
        ("b", "c", 1, 3, 2, 0.2, pytest.approx(1 / 3), 0.5, pytest.approx(0.2 / (0.6 * 0.4))),
    ]
    assert store.query("tool_cooccurrence").columns == [
        *("first_tool_name", "second_tool_name"),
        *("run_count", "first_run_count", "second_run_count", "support_share"),
        *("second_given_first_share", "first_given_second_share", "lift"),
    ]


def test_a_pair_is_one_row_and_no_tool_goes_with_itself(store: Store) -> None:
    store.conversation("s").add([user("go"), *(call("b", str(n)) for n in range(500))])
    assert rows(store) == []
    store.conversation("s").add([call("a", "x")])
    assert rows(store) == [("a", "b", 1)]


def test_tools_of_two_runs_are_no_pair(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("go"), call("a", "1"), assistant("done")])
    talk.add([user("go"), call("b", "1"), assistant("done")])
    store.conversation("t").add([user("go"), call("c", "1"), assistant("done")])
    assert rows(store) == []


def test_superseded_paths(store: Store) -> None:
    """What replaced them does not go with what they called; what stands before both does."""
    talk = store.conversation("s")
    talk.add([user("go"), call("find", "1"), output("1"), call("old", "2"), call("older", "3")])
    talk.pop()
    talk.pop()
    talk.add([call("new", "2"), output("2")])
    assert rows(store) == [("find", "new", 1)]
    assert rows(store, include_superseded=True) == [("find", "new", 1), ("old", "older", 1)]


def test_calls_inside_a_tool_are_left_out(store: Store) -> None:
    """They come with the agent that is a tool; a call that no item has counts."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add(
        [call("ask", "a"), output("a")],
        Seen(
            calls=[
                SeenCall("a", is_item=True, started_us=0, ended_us=2),
                SeenCall("b", "inner", parent=0, started_us=0, ended_us=1),
                SeenCall("c", "lost", started_us=3, error="gone"),
            ]
        ),
    )
    assert rows(store) == [("ask", "lost", 1)]


def test_only_some_pairs(store: Store) -> None:
    """Picking pairs changes none of their figures."""
    fill(store)
    whole = store.query("tool_cooccurrence").rows()
    assert store.query("tool_cooccurrence", tool_name="a").rows() == whole[:1]
    assert store.query("tool_cooccurrence", tool_name="c").rows() == whole[1:]
    assert rows(store, tool_name="b") == [("a", "b", 2), ("b", "c", 1)]
    assert rows(store, min_run_count=2) == [("a", "b", 2)]
    assert rows(store, row_limit=1) == [("a", "b", 2)]
    assert rows(store, session_id="tool_cooccurrence 1") == [("a", "b", 1), ("b", "c", 1)]
    assert rows(store, session_id="no such session") == []


def test_only_some_calls(store: Store) -> None:
    """The runs that are counted are those with such calls."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add([call("a", "1"), call("b", "2")], facts("Desk", 1, 1))
    talk.add([call("c", "3"), call("d", "4")], facts("Shop", 1, 1))
    moment = store.sql("select max(created_at) as at from tool_calls")["at"][0]
    talk.add([user("go")])
    talk.add([call("c", "5")], facts("Shop", 1, 1))
    assert len(rows(store)) == 6
    frame = store.query("tool_cooccurrence", agent_name="Shop")
    assert frame.select("first_tool_name", "run_count", "support_share").rows() == [("c", 1, 0.5)]
    frame = store.query("tool_cooccurrence", agent_name="Desk")
    assert frame.select("first_tool_name", "run_count", "support_share").rows() == [("a", 1, 1.0)]
    assert rows(store, since=moment) == [("c", "d", 1)]
    assert rows(store, until=moment) == [("a", "b", 1)]
