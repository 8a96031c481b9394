"""tool_output_size: how long the outputs of each tool are."""

from __future__ import annotations

from typing import Any

import pytest

from duckstore import Store
from tests.rich import FAILED, facts
from tests.samples import call, output, user

Row = tuple[Any, ...]


def ask(store: Store, session_id: str, tool: str, *answers: str, agent: str = "Desk") -> None:
    """Calls of a tool, with their outputs."""
    talk = store.conversation(session_id)
    talk.add([user("go")])
    for answer in answers:
        talk.add([call(tool, "x"), output("x", answer)], facts(agent, 1, 1))


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Tool, outputs, characters and their share."""
    frame = store.query("tool_output_size", **parameters)
    return frame.select("tool_name", "output_count", "total_chars", "total_share").rows()


def test_sizes(store: Store) -> None:
    """Characters and not bytes; the first of the longest is named; the most come first."""
    ask(store, "s", "few", "", "ab")
    ask(store, "s", "many", *("é" * n for n in range(1, 101)), "\U0001f986" * 100)
    ids = store.sql("select id from tool_calls order by id")["id"].to_list()
    frame = store.query("tool_output_size")
    assert frame.columns == [
        *("tool_name", "call_count", "output_count", "p50_chars", "p95_chars", "max_chars"),
        *("total_chars", "total_share", "max_call_id"),
    ]
    assert frame.rows() == [
        ("many", 101, 101, 51.0, 96.0, 100, 5150, pytest.approx(5150 / 5152), ids[101]),
        ("few", 2, 2, 1.0, pytest.approx(1.9), 2, 2, pytest.approx(2 / 5152), ids[1]),
    ]


def test_errors_are_read_too_and_calls_without_output_are_not(store: Store) -> None:
    ask(store, "s", "find", FAILED)
    store.conversation("s").add([call("find", "1"), call("wait", "2")])
    assert store.query("tool_output_size").drop("max_call_id").rows() == [
        ("find", 2, 1, *[float(len(FAILED))] * 2, len(FAILED), len(FAILED), 1.0),
        ("wait", 1, 0, None, None, None, None, None),
    ]
    assert store.query("tool_output_size")["max_call_id"].to_list()[1] is None


def test_empty_outputs_have_no_share(store: Store) -> None:
    ask(store, "s", "find", "")
    assert rows(store) == [("find", 1, 0, None)]


def test_only_some(store: Store) -> None:
    """A tool's share stays that of all tools; sessions, times and agents choose what all are."""
    ask(store, "a", "find", "123")
    ask(store, "a", "sort", "1", agent="Shop")
    moment = store.sql("select max(created_at) as at from tool_calls")["at"][0]
    ask(store, "b", "find", "1234", agent="Shop")
    assert rows(store) == [("find", 2, 7, 0.875), ("sort", 1, 1, 0.125)]
    assert rows(store, tool_name="sort") == [("sort", 1, 1, 0.125)]
    assert rows(store, session_id="a") == [("find", 1, 3, 0.75), ("sort", 1, 1, 0.25)]
    assert rows(store, agent_name="Shop") == [("find", 1, 4, 0.8), ("sort", 1, 1, 0.2)]
    assert rows(store, since=moment) == [("find", 1, 4, 0.8), ("sort", 1, 1, 0.2)]
    assert rows(store, until=moment) == [("find", 1, 3, 1.0)]
    assert rows(store, row_limit=1) == [("find", 2, 7, 0.875)]
    for _ in range(3):
        store.conversation("b").pop()
    assert rows(store) == [("find", 2, 7, 0.875), ("sort", 1, 1, 0.125)]
    assert rows(store, include_superseded=False) == [("find", 1, 3, 0.75), ("sort", 1, 1, 0.25)]
