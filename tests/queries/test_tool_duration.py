"""tool_duration: how long tools take, and how much of their runs' time goes into them."""

from __future__ import annotations

from typing import Any

import pytest

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall, SeenOutcome
from tests.samples import call, output, user

Row = tuple[Any, ...]


def seen(
    call_id: str, start: float, end: float, overlap: float | None = None, **more: Any
) -> SeenCall:
    return SeenCall(
        call_id,
        started_us=round(start * 1e6),
        ended_us=round(end * 1e6),
        overlap_us=None if overlap is None else round(overlap * 1e6),
        is_item=True,
        **more,
    )


def respond(
    store: Store,
    session_id: str,
    tools: str,
    calls: list[SeenCall],
    agent: str | None = None,
    working: float | None = None,
) -> None:
    """One run of one response that calls tools of one letter, with their letters' places as ids."""
    talk = store.conversation(session_id)
    talk.add([user("go")])
    ids = [str(number) for number in range(len(tools))]
    outcome = None
    if working is not None:
        outcome = SeenOutcome("completed", started_us=0, ended_us=round(working * 1e6))
    talk.add(
        [*map(call, tools, ids), *map(output, ids)],
        Seen(agent_name=agent, calls=calls, outcome=outcome),
    )


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Tool, agent, calls, and how many were timed for how long."""
    frame = store.query("tool_duration", **parameters)
    return frame.select(
        "tool_name", "agent_name", "call_count", "known_count", "total_seconds"
    ).rows()


def test_quantiles(store: Store) -> None:
    """Over the timed calls of one tool and agent; the others are counted."""
    times = [seen(str(n), 0, n + 1) for n in range(101)]
    respond(store, "s", "f" * 103, times, "Desk")
    frame = store.query("tool_duration")
    assert frame.columns == [
        *("tool_name", "agent_name", "call_count", "known_count", "run_count", "p50_seconds"),
        *("p90_seconds", "p95_seconds", "p99_seconds", "max_seconds", "total_seconds"),
        *("overlap_share", "working_share"),
    ]
    (row,) = frame.rows()
    assert row[:5] == ("f", "Desk", 103, 101, 1)
    assert row[5:11] == pytest.approx((51.0, 91.0, 96.0, 100.0, 101.0, 5151.0))
    assert row[11:] == (None, None)


def test_a_tool_that_nobody_timed(store: Store) -> None:
    """It has a row, with NULL and no zero, and comes last."""
    respond(store, "s", "aa", [])
    respond(store, "s", "b", [seen("0", 1, 1.5)])
    assert store.query("tool_duration").rows() == [
        ("b", None, 1, 1, 1, *[0.5] * 6, None, None),
        ("a", None, 2, 0, 1, *[None] * 8),
    ]


def test_agents_apart(store: Store) -> None:
    respond(store, "s", "a", [seen("0", 0, 1)], "Desk")
    respond(store, "s", "a", [seen("0", 0, 3)], "Shop")
    assert rows(store) == [("a", "Shop", 1, 1, 3.0), ("a", "Desk", 1, 1, 1.0)]


def test_the_share_of_the_working_time(store: Store) -> None:
    """Calls side by side count once; each run's time counts once; unknown times are left out."""
    respond(store, "s", "aab", [seen("0", 0, 4, 2), seen("1", 2, 6, 4), seen("2", 4, 6)], None, 10)
    respond(store, "s", "a", [seen("0", 1, 2)], None, 2)
    respond(store, "t", "a", [seen("0", 0, 9)])
    respond(store, "t", "a", [], None, 50)
    frame = store.query("tool_duration")
    assert frame.select("tool_name", "known_count", "total_seconds").rows() == [
        ("a", 4, 18.0),
        ("b", 1, 2.0),
    ]
    # a: 6 of 10 seconds and 1 of 2; b: 2 of 10.
    assert frame["working_share"].to_list() == [pytest.approx(7 / 12), pytest.approx(0.2)]
    assert frame["overlap_share"].to_list() == [0.75, None]


def test_a_call_inside_another_of_its_tool(store: Store) -> None:
    """What a long call covers is not counted again, in whatever order they come."""
    calls = [seen("0", 8, 9), seen("1", 0, 10), seen("2", 1, 2), seen("3", 9, 12)]
    respond(store, "s", "aaaa", calls, None, 24)
    assert store.query("tool_duration")["working_share"].to_list() == [0.5]


def test_a_run_set_going_twice_has_worked_twice(store: Store) -> None:
    """Times in which it waited for an approval are not in between."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add(
        [call("a", "0")], Seen(outcome=SeenOutcome("interrupted", started_us=0, ended_us=1_000_000))
    )
    talk.add(
        [output("0")],
        Seen(
            calls=[seen("0", 99, 100)],
            outcome=SeenOutcome("completed", started_us=99_000_000, ended_us=102_000_000),
        ),
    )
    assert store.query("tool_duration").select("total_seconds", "working_share").rows() == [
        (1.0, 0.25)
    ]


def test_only_some(store: Store) -> None:
    respond(store, "s", "ab", [seen("0", 0, 1), seen("1", 0, 2)], "Desk", 4)
    respond(store, "t", "a", [seen("0", 0, 5)], "Shop", 5)
    moment = store.sql("select max(created_at) as at from tool_calls")["at"][0]
    shop, b, a = ("a", "Shop", 1, 1, 5.0), ("b", "Desk", 1, 1, 2.0), ("a", "Desk", 1, 1, 1.0)
    assert rows(store) == [shop, b, a]
    assert rows(store, agent_name="Desk") == [b, a]
    assert rows(store, tool_name="a") == [shop, a]
    assert rows(store, session_id="s") == [b, a]
    assert rows(store, since=moment) == [shop]
    assert rows(store, until=moment) == [b, a]
    assert rows(store, row_limit=1) == [shop]
    assert store.query("tool_duration", session_id="s")["working_share"].to_list() == [0.5, 0.25]
    store.conversation("t").pop()
    store.conversation("t").pop()
    assert rows(store) == [shop, b, a]
    assert rows(store, include_superseded=False) == [b, a]
