"""usage_by_day: what was used and what it cost, day by day."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from duckstore import Store
from duckstore.telemetry import Seen, SeenResponse
from duckstore.usage import Usage
from tests.clock import Clock
from tests.samples import assistant, call, output, user

SAMPLES: dict[str, list[Any]] = {"model": ["gpt-4.1", None]}

FIRST, SECOND = date(2026, 3, 1), date(2026, 3, 2)


@pytest.fixture(autouse=True)
def unlisted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices are those that a test gives."""
    monkeypatch.setattr("duckstore.pricing.list_name", lambda: None)


def used(tokens: int, model: str | None, agent_name: str | None = None) -> Seen:
    usage = Usage(1, tokens * 10, tokens, 4, 3, 2, tokens * 11)
    return Seen(agent_name=agent_name, response=SeenResponse(usage=usage, model=model))


def noon(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def two_days(store: Store, clock: Clock) -> None:
    """A run over midnight, and a second session on the second day."""
    store.set_prices(
        [
            {"model": "a", "input_price": 1, "output_price": 1},
            {"model": "b", "input_price": 2, "output_price": 2, "currency": "EUR"},
        ]
    )
    clock.set(noon(1, 23))
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add([call("find", "1"), output("1")], used(100, "a", "X"))
    talk.add([call("find", "2"), output("2")], used(10, "b", "Y"))
    clock.set(noon(2, 0))
    talk.add([assistant("found")], used(200, "a", "X"))
    talk = store.conversation("t")
    talk.add([user("go")])
    talk.add([assistant("no")], used(1, "a", "X"))
    talk.add([user("go")])
    talk.add([assistant("no")])


def rows(store: Store, **parameters: Any) -> list[tuple[Any, ...]]:
    frame = store.query("usage_by_day", **parameters)
    return frame.select(
        "used_on",
        "model",
        "currency",
        "response_count",
        "run_count",
        "session_count",
        "total_tokens",
        "total_cost",
    ).rows()


def test_days_of_models(store: Store, clock: Clock) -> None:
    """A response belongs to its own UTC day, its run to each day on which it had one."""
    two_days(store, clock)
    assert rows(store) == [
        (SECOND, "a", "USD", 2, 2, 2, 2211, 2211),
        (SECOND, None, None, 1, 1, 1, None, None),
        (FIRST, "a", "USD", 1, 1, 1, 1100, 1100),
        (FIRST, "b", "EUR", 1, 1, 1, 110, 220),
    ]


def test_tokens_of_all_kinds(store: Store, clock: Clock) -> None:
    """What was read from the cache or written to it is among the input tokens."""
    two_days(store, clock)
    frame = store.query("usage_by_day", row_limit=2)
    assert frame.select(
        "input_tokens",
        "cache_read_input_tokens",
        "cache_write_input_tokens",
        "output_tokens",
        "reasoning_output_tokens",
        "unpriced_count",
        "error_count",
    ).rows() == [(2010, 8, 6, 201, 4, 0, 0), (None, None, None, None, None, 1, 0)]


def test_errors_count_and_cost_nothing(store: Store, clock: Clock) -> None:
    talk = store.conversation("s")
    talk.add([user("go")])
    failed = SeenResponse(model="a", error_type="Timeout")
    talk.add([assistant("sorry")], Seen(response=SeenResponse(model="a"), responses=[failed]))
    frame = store.query("usage_by_day")
    counts = ("response_count", "error_count", "unpriced_count", "run_count", "session_count")
    assert frame.select("model", *counts).rows() == [("a", 2, 1, 2, 1, 1)]


def test_only_some(store: Store, clock: Clock) -> None:
    """A response counts at its moment: since includes it, until leaves it out."""
    two_days(store, clock)
    assert [row[:3] for row in rows(store, session_id="t")] == [
        (SECOND, "a", "USD"),
        (SECOND, None, None),
    ]
    assert [row[0] for row in rows(store, since=noon(2, 0))] == [SECOND, SECOND]
    assert [row[:2] for row in rows(store, until=noon(2, 0))] == [(FIRST, "a"), (FIRST, "b")]
    assert [row[:2] for row in rows(store, agent_name="Y")] == [(FIRST, "b")]
    assert [row[6] for row in rows(store, model="a")] == [2211, 1100]
    store.conversation("s").pop()
    assert rows(store, session_id="s", include_superseded=False) == [
        (FIRST, "a", "USD", 1, 1, 1, 1100, 1100),
        (FIRST, "b", "EUR", 1, 1, 1, 110, 220),
    ]
    assert len(rows(store, session_id="s")) == 3
