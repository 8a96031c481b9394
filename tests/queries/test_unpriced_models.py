"""unpriced_models: which models have no price, and how much they were used."""

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
from tests.samples import assistant, user

SAMPLES: dict[str, list[Any]] = {"model": ["gpt-4.1", None]}

Row = tuple[Any, ...]

PRICE = {"model": "a", "input_price": 2, "output_price": 8}


@pytest.fixture(autouse=True)
def unlisted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices are those that a test gives."""
    monkeypatch.setattr("duckstore.pricing.list_name", lambda: None)


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Model, numbers of responses and sessions, and tokens."""
    frame = store.query("unpriced_models", **parameters)
    return frame.select(
        "model", "response_count", "session_count", "input_tokens", "output_tokens"
    ).rows()


def test_models_without_a_price_are_listed_with_their_use(store: Store) -> None:
    """The most used comes first, one whose name nobody knows too; a priced one does not."""
    respond(store, "one", [Answer("a")])
    respond(store, "two", [Answer("c", 100, 10), Answer("c", 200, 20)])
    respond(store, "three", [Answer("c", 300, 30)])
    respond(store, "four", [Answer("b", 7, 8)])
    respond(store, "five", [Answer(None, 1, 2)])
    store.set_prices([PRICE])
    assert rows(store) == [
        ("c", 3, 2, 600, 60),
        ("b", 1, 1, 7, 8),
        (None, 1, 1, 1, 2),
    ]
    assert [row[0] for row in rows(store, row_limit=1)] == ["c"]


def test_every_model_with_a_price_is_no_row(store: Store) -> None:
    respond(store, "one", [Answer("a")])
    store.set_prices([PRICE])
    assert rows(store) == []


def test_a_model_whose_price_begins_later_is_listed(path: Path) -> None:
    """With the responses from before it."""
    days = [datetime(2026, 2, 28, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)]
    answers = [Answer("a", 100, 10, at=day) for day in days]
    with duckstore.open(path) as store:
        respond(store, "one", answers)
        store.set_prices([PRICE | {"valid_from": "2026-03-01"}])
    date_back(path, answers)
    with duckstore.open(path) as store:
        assert rows(store) == [("a", 1, 1, 100, 10)]


def test_since_and_until(path: Path) -> None:
    """A response counts at its moment: since includes it, until leaves it out."""
    days = [datetime(2026, 2, day, tzinfo=UTC) for day in (1, 2, 3)]
    answers = [Answer("c", 10**number, 0, at=day) for number, day in enumerate(days)]
    with duckstore.open(path) as store:
        respond(store, "one", answers)
    date_back(path, answers)
    with duckstore.open(path) as store:
        assert rows(store, since=days[1]) == [("c", 2, 1, 110, 0)]
        assert rows(store, until=days[1]) == [("c", 1, 1, 1, 0)]
        assert rows(store, since=days[1], until=days[2]) == [("c", 1, 1, 10, 0)]
        frame = store.query("unpriced_models")
        assert frame.select("first_used_at", "last_used_at").row(0) == (days[0], days[2])


def test_session_and_superseded(store: Store) -> None:
    """Answers that an edit replaced were given, and count unless they are left out."""
    respond(store, "one", [Answer("c", 100, 10), Answer("c", 200, 20)])
    respond(store, "two", [Answer("b")])
    store.conversation("one").pop()
    assert rows(store, session_id="one") == [("c", 2, 1, 300, 30)]
    assert rows(store, session_id="one", include_superseded=False) == [("c", 1, 1, 100, 10)]
    assert rows(store, session_id="no such session") == []


def test_agent_and_model(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("go")])
    for agent_name, model in (("X", "c"), ("Y", "c"), ("Y", "b")):
        usage = Usage(1, 10, 1, 0, 0, 0, 11)
        seen = Seen(agent_name=agent_name, response=SeenResponse(usage=usage, model=model))
        talk.add([assistant("done")], seen)
    assert rows(store, agent_name="Y") == [("b", 1, 1, 10, 1), ("c", 1, 1, 10, 1)]
    assert rows(store, model="c") == [("c", 2, 1, 20, 2)]
