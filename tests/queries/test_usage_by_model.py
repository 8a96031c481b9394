"""usage_by_model: what each model was used for, took and cost."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import duckstore
from duckstore import Store
from duckstore.telemetry import Seen, SeenResponse
from duckstore.usage import Usage
from tests.priced import Answer, date_back, respond
from tests.samples import assistant, call, output, user

SAMPLES: dict[str, list[Any]] = {"model": ["gpt-4.1", None]}

Row = tuple[Any, ...]

PRICES = [
    {"model": "a", "input_price": 2, "output_price": 8, "cache_read_price": "0.5"},
    {"model": "b", "input_price": 1, "output_price": 1, "currency": "EUR"},
]


@pytest.fixture(autouse=True)
def unlisted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices are those that a test gives."""
    monkeypatch.setattr("duckstore.pricing.list_name", lambda: None)


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Model, currency, number of responses and of those without a price, and cost."""
    frame = store.query("usage_by_model", **parameters)
    return frame.select(
        "model", "currency", "response_count", "unpriced_count", "total_cost"
    ).rows()


def test_costs_add_up_by_model_and_currency(store: Store) -> None:
    """Amounts of different currencies never meet in one row; the dearest model comes first."""
    respond(store, "one", [Answer("a", 1000, 100, read=600), Answer("a", 500, 0)])
    respond(store, "two", [Answer("b", 5000, 1000)])
    store.set_prices(PRICES)
    assert rows(store) == [("b", "EUR", 1, 0, 6000), ("a", "USD", 2, 0, 2900)]
    frame = store.query("usage_by_model").filter(model="a")
    assert frame.select("input_tokens", "cache_read_input_tokens", "output_tokens").rows() == [
        (1500, 600, 100)
    ]
    assert frame.select("input_cost", "cache_read_cost", "output_cost").rows() == [(1800, 300, 800)]
    assert frame["cache_write_input_tokens"].to_list() == [0]
    assert frame["cache_write_cost"].to_list() == [0]


def test_what_has_no_price_is_a_row_without_cost(store: Store) -> None:
    """Unknown models and responses whose model is not known are counted, and cost NULL."""
    respond(store, "one", [Answer("a")])
    respond(store, "two", [Answer("c"), Answer("c")])
    respond(store, "three", [Answer(None)])
    store.set_prices(PRICES)
    assert rows(store) == [
        ("a", "USD", 1, 0, 2800),
        ("c", None, 2, 2, None),
        (None, None, 1, 1, None),
    ]
    assert store.query("usage_by_model")["unpriced_share"].to_list() == [0.0, 1.0, 1.0]


def test_a_model_that_got_a_price_later_has_two_rows(path: Path) -> None:
    """What it cost before nobody knows."""
    with duckstore.open(path) as store:
        respond(store, "one", [Answer("a"), Answer("a"), Answer("a")])
        store.set_prices([PRICES[0] | {"valid_from": "2026-03-01"}])
    days = ["2026-02-27", "2026-02-28", "2026-03-01"]
    date_back(path, [Answer("a", at=day(text)) for text in days])
    with duckstore.open(path) as store:
        assert rows(store) == [("a", "USD", 1, 0, 2800), ("a", None, 2, 2, None)]
        assert rows(store, row_limit=1) == [("a", "USD", 1, 0, 2800)]


def test_since_and_until(path: Path) -> None:
    """A response counts at its moment: since includes it, until leaves it out."""
    days = ["2026-02-27", "2026-02-28", "2026-03-01"]
    answers = [Answer("a", 1_000_000 * n, 0, at=day(d)) for n, d in enumerate(days, 1)]
    with duckstore.open(path) as store:
        respond(store, "one", answers)
        store.set_prices(PRICES)
    date_back(path, answers)
    with duckstore.open(path) as store:
        assert rows(store, since="2026-02-28") == [("a", "USD", 2, 0, 10_000_000)]
        assert rows(store, until="2026-02-28") == [("a", "USD", 1, 0, 2_000_000)]
        assert rows(store, since="2026-02-28", until="2026-03-01")[0][-1] == 4_000_000
        frame = store.query("usage_by_model", until="2026-03-01")
        assert frame.select("first_used_at", "last_used_at").row(0) == (
            day("2026-02-27"),
            day("2026-02-28"),
        )


def test_session_and_superseded(store: Store) -> None:
    """Answers that an edit replaced were paid for, and count unless they are left out."""
    respond(store, "one", [Answer("a"), Answer("a")])
    respond(store, "two", [Answer("b")])
    store.set_prices(PRICES)
    store.conversation("one").pop()
    assert rows(store, session_id="one") == [("a", "USD", 2, 0, 5600)]
    assert rows(store, session_id="one", include_superseded=False) == [("a", "USD", 1, 0, 2800)]
    assert rows(store, session_id="no such session") == []


def test_compacted_responses_still_count(store: Store) -> None:
    """What a compaction archived was not replaced by an edit."""
    respond(store, "one", [Answer("a")])
    store.set_prices(PRICES)
    store.conversation("one").replace_all([{"role": "user", "content": "Summary."}])
    assert rows(store, include_superseded=False) == [("a", "USD", 1, 0, 2800)]


def used(tokens: int, model: str | None, **more: Any) -> SeenResponse:
    """A response with ten times as many tokens in as out, of which some were reasoning."""
    return SeenResponse(
        usage=Usage(1, tokens * 10, tokens, 4, 3, 2, tokens * 11), model=model, **more
    )


def test_responses_without_cost_count_too(store: Store) -> None:
    """Errors, unknown usage and unknown models are responses, and what was used is theirs."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add(
        [call("find", "1"), output("1")],
        Seen(agent_name="A", response=used(100, "a", started_us=0, ended_us=1_000_000)),
    )
    talk.add(
        [assistant("found")],
        Seen(
            agent_name="A",
            response=used(10, "a", started_us=0, ended_us=3_000_000),
            responses=[SeenResponse(agent_name="B", model="a", error_type="Timeout")],
        ),
    )
    talk.add([user("more")])
    talk.add([assistant("no")], Seen(agent_name="B"))
    store.set_prices([PRICES[0] | {"request_price": "0.01"}])
    frame = store.query("usage_by_model")
    assert frame.select(
        "model", "currency", "response_count", "error_count", "unpriced_count", "total_cost"
    ).rows() == [("a", "USD", 3, 1, 1, 23_068), (None, None, 1, 0, 1, None)]
    assert frame.row(0, named=True) == {
        "model": "a",
        "currency": "USD",
        "response_count": 3,
        "error_count": 1,
        "unpriced_count": 1,
        "unpriced_share": pytest.approx(1 / 3),
        "request_count": 2,
        "input_tokens": 1100,
        "cache_read_input_tokens": 8,
        "cache_write_input_tokens": 6,
        "output_tokens": 110,
        "reasoning_output_tokens": 4,
        "total_tokens": 1210,
        "input_cost": 2172,
        "cache_read_cost": 4,
        "cache_write_cost": 12,
        "output_cost": 880,
        "request_cost": 20_000,
        "total_cost": 23_068,
        "p50_seconds": 2.0,
        "p95_seconds": pytest.approx(2.9),
        "run_count": 1,
        "session_count": 1,
        "first_used_at": frame["first_used_at"][0],
        "last_used_at": frame["last_used_at"][0],
    }


def test_agent_and_model(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add([call("find", "1"), output("1")], Seen(agent_name="A", response=used(1, "a")))
    talk.add([assistant("found")], Seen(agent_name="B", response=used(2, "b")))
    talk.add([user("go")])
    talk.add([assistant("found")], Seen(agent_name="B", response=used(3, "b")))
    assert rows(store) == [("a", None, 1, 1, None), ("b", None, 2, 2, None)]
    assert rows(store, agent_name="A") == [("a", None, 1, 1, None)]
    assert rows(store, model="b") == [("b", None, 2, 2, None)]
    frame = store.query("usage_by_model", model="b")
    assert frame.select("total_tokens", "run_count", "session_count").rows() == [(55, 2, 1)]
