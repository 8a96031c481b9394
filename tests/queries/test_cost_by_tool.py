"""cost_by_tool: what each tool cost and how long it took."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall
from tests.queries.test_usage_by_agent import fill, used
from tests.samples import call, output, user


def rows(store: Store, **parameters: object) -> list[tuple[object, ...]]:
    return (
        store.query("cost_by_tool", **parameters)
        .select(
            "tool_name", "currency", "call_count", "total_seconds", "total_tokens", "total_cost"
        )
        .rows()
    )


def test_a_tool_costs_what_the_agent_in_it_used(store: Store) -> None:
    """Once, and in the currency of its price; a tool without an agent costs nothing known."""
    fill(store)
    talk = store.conversation("other")
    talk.add([user("go")])
    talk.add(
        [call("look", "b"), output("b")],
        Seen(
            response=used(10, "large"),
            calls=[SeenCall("b", started_us=0, ended_us=500_000, is_item=True)],
        ),
    )
    store.set_prices([{"model": "small", "input_price": 1, "output_price": 1, "currency": "EUR"}])
    assert rows(store) == [
        ("ask", "EUR", 1, 2.0, 110, 110),
        ("look", None, 1, 0.5, None, None),
    ]
    look = ("look", None, 1, 0.5, None, None)
    assert rows(store, session_id="other") == [look]
    assert rows(store, since=datetime(2999, 1, 1, tzinfo=UTC)) == []
    assert rows(store, until=datetime(2000, 1, 1, tzinfo=UTC)) == []
    assert len(rows(store, row_limit=1)) == 1
    store.conversation("s").rewind(1)
    assert rows(store, include_superseded=False) == [look]


def test_calls_that_ran_at_once(store: Store) -> None:
    """The overlap share is that of the time in which another call ran too."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add(
        [call("look", "a"), call("look", "b"), output("a"), output("b")],
        Seen(
            calls=[
                SeenCall("a", started_us=0, ended_us=3_000_000, overlap_us=1_000_000, is_item=True),
                SeenCall(
                    "b",
                    started_us=2_000_000,
                    ended_us=3_000_000,
                    overlap_us=1_000_000,
                    is_item=True,
                ),
            ]
        ),
    )
    frame = store.query("cost_by_tool")
    assert frame["overlap_share"].to_list() == [pytest.approx(0.5)]
    assert frame["p50_seconds"].to_list() == [2.0]


def test_tool_and_agent(store: Store) -> None:
    """A tool's cost is whole, whoever asks; the agent is the one that called it."""
    fill(store)
    talk = store.conversation("other")
    talk.add([user("go")])
    talk.add([call("look", "b"), call("ask", "c")], Seen(agent_name="Desk"))
    store.set_prices([{"model": "small", "input_price": 1, "output_price": 1}])
    assert [row[:3] for row in rows(store)] == [
        ("ask", "USD", 1),
        ("ask", None, 1),
        ("look", None, 1),
    ]
    assert rows(store, tool_name="look") == [("look", None, 1, None, None, None)]
    assert rows(store, agent_name="Outer") == [("ask", "USD", 1, 2.0, 110, 110)]
    assert rows(store, agent_name="Inner") == []
