"""expensive_turns: which runs cost the most, and what the user asked in them."""

from __future__ import annotations

from typing import Any

import pytest

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall, SeenResponse
from duckstore.usage import Usage
from tests.clock import Clock
from tests.rich import FAILED
from tests.samples import assistant, call, output, user

PRICES = [
    {"model": "a", "input_price": 2, "output_price": 8},
    {"model": "b", "input_price": 1, "output_price": 1, "currency": "EUR"},
]


@pytest.fixture(autouse=True)
def unlisted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices are those that a test gives."""
    monkeypatch.setattr("duckstore.pricing.list_name", lambda: None)


def response(tokens: int, model: str | None = "a") -> SeenResponse:
    return SeenResponse(usage=Usage(1, tokens, 10, 4, 0, 3, tokens + 10), model=model)


def used(tokens: int, model: str | None = "a") -> Seen:
    return Seen(response=response(tokens, model))


def rows(store: Store, **parameters: Any) -> list[tuple[Any, ...]]:
    frame = store.query("expensive_turns", **parameters)
    return frame.select(
        "user_message", "currency", "total_cost", "unpriced_count", "total_tokens"
    ).rows()


def test_the_dearest_come_first(store: Store, clock: Clock) -> None:
    """With all that was used in a run, also by agents in its tools; without any cost by tokens."""
    store.set_prices(PRICES)
    talk = store.conversation("s")
    talk.add([user("cheap")])
    talk.add([assistant("1")], used(100))
    clock.wait(1)
    talk.add([user("dear")])
    clock.wait(2)
    inner = response(500)
    inner.parent = 0
    talk.add(
        [call("ask", "1"), call("find", "2"), output("1", FAILED), output("2")],
        Seen(response=response(1000), calls=[SeenCall("1", is_item=True)], responses=[inner]),
    )
    clock.wait(3)
    talk.add([assistant("2")], used(2000))
    talk.add([user("unknown"), assistant("3")])
    talk.add([user("unpriced")])
    talk.add([assistant("4")], used(9999, "c"))
    assert rows(store) == [
        ("dear", "USD", 7240, 0, 3530),
        ("cheap", "USD", 280, 0, 110),
        ("unpriced", None, None, 1, 10009),
        ("unknown", None, None, 1, None),
    ]
    first = store.query("expensive_turns", row_limit=1)
    assert first.drop("run_id", "created_at").rows(named=True) == [
        {
            "session_id": "s",
            "turn_number": 2,
            "status": "completed",
            "user_message": "dear",
            "currency": "USD",
            "total_cost": 7240,
            "unpriced_count": 0,
            "total_tokens": 3530,
            "input_tokens": 3500,
            "cache_read_input_tokens": 12,
            "output_tokens": 30,
            "reasoning_output_tokens": 9,
            "response_count": 3,
            "tool_call_count": 2,
            "tool_error_count": 1,
            "duration_seconds": 5.0,
        }
    ]


def test_two_currencies_have_no_sum(store: Store) -> None:
    """Nor is the run the dearest; what has no cost is counted beside what has."""
    store.set_prices(PRICES)
    talk = store.conversation("s")
    talk.add([user("both")])
    talk.add([call("find", "1"), output("1")], used(1000))
    talk.add([call("find", "2"), output("2")], used(1000, "b"))
    talk.add([assistant("1")], used(1000, "c"))
    talk.add([user("one")])
    talk.add([call("find", "1"), output("1")], used(10, "b"))
    talk.add([assistant("2")])
    assert rows(store) == [("one", "EUR", 20, 1, 20), ("both", None, None, 1, 3030)]


def test_runs_that_an_edit_replaced_were_paid_for(store: Store) -> None:
    """They count unless they are left out; an answer generated again has its own cost only."""
    store.set_prices(PRICES)
    talk = store.conversation("s")
    talk.add([user("old")])
    talk.add([assistant("1")], used(1000))
    talk.edit(1, "new")
    talk.add([assistant("2")], used(100))
    talk.pop()
    talk.add([assistant("3")], used(50))
    assert rows(store) == [
        ("old", "USD", 2080, 0, 1010),
        ("new", "USD", 280, 0, 110),
        ("new", "USD", 180, 0, 60),
    ]
    assert rows(store, include_superseded=False) == [("new", "USD", 180, 0, 60)]


def test_only_some(store: Store, clock: Clock) -> None:
    """A run counts from the moment of its question: since includes it, until leaves it out."""
    store.set_prices(PRICES)
    store.conversation("s").add([user("one")])
    store.conversation("s").add([assistant("1")], used(10))
    clock.wait(60)
    store.conversation("t").add([user("two")])
    store.conversation("t").add([assistant("2")], used(20))
    moment = store.query("turn_pairs", session_id="t")["created_at"][0]
    one, two = ("one", "USD", 100, 0, 20), ("two", "USD", 120, 0, 30)
    assert rows(store) == [two, one]
    assert rows(store, session_id="s") == [one]
    assert rows(store, since=moment) == [two]
    assert rows(store, until=moment) == [one]
    assert rows(store, row_limit=1) == [two]
