"""cacheable_calls: what a cache would have saved."""

from __future__ import annotations

from typing import Any

import pytest

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall
from tests.rich import FAILED, REJECTED, facts
from tests.samples import call, output, user

Row = tuple[Any, ...]

SAMPLES: dict[str, list[Any]] = {"within_session": [True, False, "true"]}


def ask(store: Store, session_id: str, tool: str, arguments: str, answer: str, **more: Any) -> None:
    """One call with its output; `seconds` is how long it took."""
    seconds, agent = more.get("seconds"), more.get("agent")
    seen = facts(agent, 1, 1) if agent else Seen()
    if seconds is not None:
        seen.calls = [SeenCall("x", started_us=0, ended_us=round(seconds * 1e6), is_item=True)]
    talk = store.conversation(session_id)
    talk.add([user("go")])
    talk.add([call(tool, "x", arguments), output("x", answer)], seen)


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Tool, calls, argument sets, distinct calls, repeated calls."""
    frame = store.query("cacheable_calls", **parameters)
    return frame.select(
        "tool_name", "call_count", "argument_set_count", "distinct_call_count", "repeated_count"
    ).rows()


def test_repeated_calls(store: Store) -> None:
    """Equal in tool, arguments and output; the first of them is not repeated."""
    for answer in ("1", "1", "2", "1"):
        ask(store, "s", "find", "{}", answer)
    ask(store, "s", "find", "[]", "1")
    ask(store, "s", "find", '{"a": 1}', "1")
    ask(store, "s", "find", '{"a": 1}', "1")
    ask(store, "s", "sort", "{}", "1")
    frame = store.query("cacheable_calls")
    assert frame.columns == [
        *("tool_name", "call_count", "argument_set_count", "distinct_call_count"),
        *("repeated_count", "repeated_share", "saved_seconds", "repeated_set_count"),
        *("changed_set_count", "changed_share"),
    ]
    assert frame.rows() == [
        ("find", 7, 3, 4, 3, pytest.approx(3 / 7), None, 2, 1, 0.5),
        ("sort", 1, 1, 1, 0, 0.0, None, 0, 0, None),
    ]


def test_what_is_not_compared(store: Store) -> None:
    """Failed, refused and open calls, handoffs, and calls whose output nobody knows."""
    for answer in (FAILED, FAILED, REJECTED, REJECTED):
        ask(store, "s", "find", "{}", answer)
    for _ in range(2):
        ask(store, "s", "transfer_to_shop", "{}", '{"assistant": "Shop"}')
        store.conversation("s").add([call("find", "y")])
        store.conversation("s").add([{"type": "web_search_call", "id": "w", "status": "completed"}])
    assert rows(store) == []
    ask(store, "s", "find", "{}", "")
    ask(store, "s", "find", "{}", "")
    assert rows(store) == [("find", 2, 1, 1, 1)]


def test_within_a_session(store: Store) -> None:
    """A cache of one session knows nothing of the others, nor that they got other answers."""
    for session_id, answer in (("a", "1"), ("a", "1"), ("b", "1"), ("b", "1"), ("c", "2")):
        ask(store, session_id, "find", "{}", answer)
    assert rows(store) == [("find", 5, 1, 2, 3)]
    assert store.query("cacheable_calls")["changed_share"].to_list() == [1.0]
    assert rows(store, within_session=True) == [("find", 5, 3, 3, 2)]
    assert store.query("cacheable_calls", within_session=True)["changed_share"].to_list() == [0.0]


def test_saved_seconds(store: Store) -> None:
    """The time of the repeated calls, as far as it is known."""
    ask(store, "s", "find", "{}", "1", seconds=100)
    ask(store, "s", "find", "{}", "1")
    assert store.query("cacheable_calls")["saved_seconds"].to_list() == [None]
    ask(store, "s", "find", "{}", "1", seconds=2)
    ask(store, "s", "find", "{}", "2", seconds=50)
    assert store.query("cacheable_calls")["saved_seconds"].to_list() == [2.0]
    # Where the first was not timed, all that are known were saved.
    for seconds in (None, 3, 4):
        ask(store, "s", "find", "[]", "1", seconds=seconds)
    assert store.query("cacheable_calls")["saved_seconds"].to_list() == [9.0]


def test_only_some(store: Store) -> None:
    """Calls that are left out are no earlier ones either."""
    ask(store, "a", "find", "{}", "1", agent="Desk")
    ask(store, "a", "find", "{}", "1", agent="Shop")
    moment = store.sql("select max(created_at) as at from tool_calls")["at"][0]
    ask(store, "b", "find", "{}", "1", agent="Shop")
    ask(store, "b", "sort", "{}", "1", agent="Shop")
    assert rows(store) == [("find", 3, 1, 1, 2), ("sort", 1, 1, 1, 0)]
    assert rows(store, since=moment) == [("find", 2, 1, 1, 1), ("sort", 1, 1, 1, 0)]
    assert rows(store, until=moment) == [("find", 1, 1, 1, 0)]
    assert rows(store, agent_name="Shop", tool_name="find") == [("find", 2, 1, 1, 1)]
    assert rows(store, session_id="a") == [("find", 2, 1, 1, 1)]
    assert rows(store, row_limit=1) == [("find", 3, 1, 1, 2)]
    for _ in range(3):
        store.conversation("a").pop()
    assert rows(store, session_id="a") == [("find", 2, 1, 1, 1)]
    assert rows(store, session_id="a", include_superseded=False) == [("find", 1, 1, 1, 0)]
