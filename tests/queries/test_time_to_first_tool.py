"""time_to_first_tool: how long after the question the first tool is called, and which it is."""

from __future__ import annotations

from typing import Any

import pytest

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall
from tests.clock import Clock
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]


def rows(store: Store, **parameters: Any) -> list[Row]:
    return store.query("time_to_first_tool", **parameters).rows()


def started(clock: Clock, call_id: str, ago: float = 0) -> SeenCall:
    """A call that somebody saw start."""
    now = clock.microseconds + 1  # as a batch gets it
    began = now - round(ago * 1_000_000)
    return SeenCall(call_id, started_us=began, ended_us=now, status_source="hook", is_item=True)


def turn(store: Store, clock: Clock, name: str, seconds: float, tool: str) -> None:
    """A question to which a tool is called after so long."""
    store.conversation(name).add([user("go")])
    clock.wait(seconds)
    seen = Seen(calls=[started(clock, "c")])
    clock.wait(100)
    store.conversation(name).add([call(tool, "c"), output("c")], seen)
    clock.wait(100)
    store.conversation(name).add([assistant("done")])
    clock.wait(1)


def test_quantiles_by_tool(clock: Clock, store: Store) -> None:
    """From the question to the start of the tool; the most frequent first tool comes first."""
    for seconds in (1, 2, 3, 4, 105):
        turn(store, clock, "a", seconds, "find")
    turn(store, clock, "b", 7, "read")
    store.conversation("c").add([user("hi"), assistant("hello")])
    assert rows(store) == [
        ("find", "function", 5, 5, 3.0, pytest.approx(84.8), 105.0),
        ("read", "function", 1, 1, 7.0, 7.0, 7.0),
    ]


def test_the_tool_that_started_first(clock: Clock, store: Store) -> None:
    """Of calls made at once, the one that needs an approval starts last, whatever its place."""
    talk = store.conversation("s")
    talk.add([user("go")])
    clock.wait(10)
    talk.add(
        [call("delete", "a"), call("find", "b"), output("b")],
        Seen(calls=[started(clock, "b", ago=4)]),
    )
    clock.wait(500)
    talk.add([output("a")], Seen(calls=[started(clock, "a")]))
    assert rows(store) == [("find", "function", 1, 1, 6.0, 6.0, 6.0)]


def test_where_nobody_watched(clock: Clock, store: Store) -> None:
    """The first call in order is the first tool, also with a call id that comes twice, untimed."""
    talk = store.conversation("s")
    talk.add([user("go")])
    clock.wait(5)
    talk.add([output("nobody"), call("b", "x"), output("x"), call("a", "x"), output("x")])
    assert rows(store) == [("b", "function", 1, 0, None, None, None)]


def test_a_turn_without_a_question(clock: Clock, store: Store) -> None:
    """What an assistant does before anybody asked is not waited for."""
    seen = Seen(calls=[started(clock, "c")])
    clock.wait(1)
    store.conversation("s").add([call("look", "c"), output("c")], seen)
    assert rows(store) == []


def test_an_answer_generated_again(clock: Clock, store: Store) -> None:
    """The turn counts once, with its first tool; an edited question only on request."""
    turn(store, clock, "s", 3, "find")
    talk = store.conversation("s")
    talk.pop()
    clock.wait(50)
    talk.add([call("read", "d"), output("d")], Seen(calls=[started(clock, "d")]))
    assert rows(store) == [("find", "function", 1, 1, 3.0, 3.0, 3.0)]
    talk.rewind(1)
    clock.wait(1)
    turn(store, clock, "s", 5, "find")
    assert rows(store) == [("find", "function", 1, 1, 5.0, 5.0, 5.0)]
    assert rows(store, include_superseded=True) == [("find", "function", 2, 2, 4.0, 4.9, 5.0)]


def test_hosted_and_function_tools_of_one_name_are_two_rows(store: Store) -> None:
    hosted = {"type": "web_search_call", "id": "w", "status": "completed"}
    store.conversation("a").add([user("go"), hosted])
    store.conversation("b").add([user("go"), call("web_search", "1"), output("1")])
    assert [row[:3] for row in rows(store)] == [
        ("web_search", "function", 1),
        ("web_search", "web_search", 1),
    ]


def test_parameters(clock: Clock, store: Store) -> None:
    """since includes a turn that began at that moment, until leaves it out."""
    turn(store, clock, "a", 1, "find")
    turn(store, clock, "a", 1, "find")
    turn(store, clock, "b", 2, "read")
    begins = store.query("turn_pairs", session_id="b")["created_at"][0]
    find, read = rows(store)
    assert find[:3] == ("find", "function", 2)
    assert rows(store, row_limit=1) == [find]
    assert rows(store, session_id="b") == [read]
    assert rows(store, since=begins) == [read]
    assert rows(store, until=begins) == [find]
    assert rows(store, tool_name="read") == [read]


def test_a_tool_that_comes_second_is_no_first_tool(store: Store) -> None:
    """Asking for one tool does not make it the first of turns that began with another."""
    talk = store.conversation("s")
    talk.add([user("go"), call("find", "1"), output("1"), call("read", "2"), output("2")])
    assert rows(store, tool_name="read") == []
