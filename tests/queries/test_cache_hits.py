"""cache_hits: how much of the input was read from the provider's cache, and what that saved."""

from __future__ import annotations

from typing import Any

import pytest

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall, SeenResponse
from duckstore.usage import Usage
from tests.clock import Clock
from tests.samples import assistant, call, output, user

SAMPLES: dict[str, list[Any]] = {"model": ["gpt-4.1", None]}

PRICE = {
    "model": "a",
    "input_price": 2,
    "cache_read_price": "0.5",
    "cache_write_price": "2.5",
    "output_price": 8,
}


@pytest.fixture(autouse=True)
def unlisted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices are those that a test gives."""
    monkeypatch.setattr("duckstore.pricing.list_name", lambda: None)


def used(tokens: int, read: int = 0, written: int = 0, model: str = "a") -> SeenResponse:
    return SeenResponse(usage=Usage(1, tokens, 1, read, written, 0, tokens + 1), model=model)


def by(agent_name: str, response: SeenResponse) -> Seen:
    return Seen(agent_name=agent_name, response=response)


def fill(store: Store) -> None:
    """Two runs of one agent, with a response of another one in the first."""
    talk = store.conversation("cache_hits")
    talk.add([user("one")])
    talk.add([call("find", "1"), output("1")], by("X", used(1000, written=200)))
    talk.add([call("find", "2"), output("2")], by("X", used(1200, read=1000)))
    talk.add([assistant("1")], by("Y", used(500)))
    talk.add([user("two")])
    talk.add([call("find", "3"), output("3")], by("X", used(2000, read=400)))
    talk.add([assistant("2")], by("X", used(2100, read=2000)))
    talk.add([user("three")])
    talk.add([assistant("3")])


def rows(store: Store, **parameters: Any) -> list[tuple[Any, ...]]:
    """Agent, model, responses, tokens read and written, and the shares that were read."""
    frame = store.query("cache_hits", **parameters)
    return frame.select(
        "agent_name",
        "model",
        "response_count",
        "hit_count",
        "input_tokens",
        "cache_read_input_tokens",
        "cache_write_input_tokens",
    ).rows()


def places(store: Store, **parameters: Any) -> list[tuple[Any, ...]]:
    """Agent, and for each place in a session how many responses and the share that was read."""
    frame = store.query("cache_hits", **parameters)
    return frame.select(
        "agent_name",
        "session_first_count",
        "session_first_read_share",
        "run_first_count",
        "run_first_read_share",
        "later_count",
        "later_read_share",
    ).rows()


def test_shares_by_place(store: Store) -> None:
    """Responses without usage say nothing; each agent begins a session of its own."""
    fill(store)
    assert rows(store) == [("X", "a", 4, 3, 6300, 3400, 200), ("Y", "a", 1, 0, 500, 0, 0)]
    assert places(store) == [
        ("X", 1, 0.0, 1, 0.2, 2, pytest.approx(3000 / 3300)),
        ("Y", 1, 0.0, 0, None, 0, None),
    ]
    frame = store.query("cache_hits")
    assert frame["read_share"].to_list() == [pytest.approx(3400 / 6300), 0.0]
    assert frame["hit_share"].to_list() == [0.75, 0.0]


def test_what_was_saved(store: Store) -> None:
    """Against the price of input that is not cached; writing alone costs more than it saves."""
    fill(store)
    assert store.query("cache_hits")["saved_cost"].to_list() == [None, None]
    store.set_prices([PRICE])
    frame = store.query("cache_hits")
    assert frame.select("currency", "saved_cost").rows() == [("USD", 5000), ("USD", 0)]
    talk = store.conversation("writes")
    talk.add([user("go")])
    talk.add([assistant("no")], by("W", used(1000, written=800)))
    assert store.query("cache_hits", agent_name="W")["saved_cost"].to_list() == [-400]


def test_an_agent_that_is_a_tool_begins_anew_with_each_call(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("go")])
    inner = [used(100), used(200, read=100), used(100, read=50)]
    for response, parent in zip(inner, (0, 0, 1), strict=True):
        response.agent_name, response.parent = "Inner", parent
    talk.add(
        [call("ask", "1"), call("ask", "2"), output("1"), output("2")],
        Seen(
            agent_name="X",
            response=used(1000),
            calls=[SeenCall("1", is_item=True), SeenCall("2", is_item=True)],
            responses=inner,
        ),
    )
    assert places(store, agent_name="Inner") == [("Inner", 1, 0.0, 1, 0.5, 1, 0.5)]


def test_a_failed_response_filled_no_cache(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("go")])
    failed = SeenResponse(model="a", error_type="Timeout", agent_name="X")
    talk.add([call("find", "1"), output("1")], Seen(agent_name="Y", responses=[failed]))
    talk.add([assistant("no")], by("X", used(10)))
    assert places(store) == [("X", 1, 0.0, 0, None, 0, None)]


def test_what_is_left_out_filled_the_cache_all_the_same(store: Store, clock: Clock) -> None:
    """Filters choose among the responses, and leave each in its place."""
    talk = store.conversation("s")
    talk.add([user("one")])
    talk.add([assistant("1")], by("X", used(10)))
    clock.wait(60)
    talk.add([user("two")])
    talk.add([assistant("2")], by("X", used(20, read=10)))
    talk.add([assistant("2")], by("X", used(40, read=30)))
    later = [("X", 0, None, 1, 0.5, 1, 0.75)]
    assert places(store, since=clock.now) == later
    assert places(store, until=clock.now) == [("X", 1, 0.0, 0, None, 0, None)]
    talk.edit(1, "uno")
    talk.add([assistant("1")], by("X", used(80, read=8)))
    assert places(store, include_superseded=False) == [("X", 0, None, 1, 0.1, 0, None)]
    assert places(store) == [("X", 1, 0.0, 2, 0.18, 1, 0.75)]


def test_each_model_has_a_cache_of_its_own(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("one")])
    for model in ("a", "b", "a"):
        talk.add([assistant("1")], by("X", used(10, model=model)))
    talk.add([user("two")])
    for model in ("a", "b"):
        talk.add([assistant("2")], by("X", used(10, model=model)))
    assert places(store, model="a") == [("X", 1, 0.0, 1, 0.0, 1, 0.0)]
    assert places(store, model="b") == [("X", 1, 0.0, 1, 0.0, 0, None)]


def test_only_some(store: Store) -> None:
    """The most input comes first; a model is a row of its own, and a session counts by itself."""
    fill(store)
    talk = store.conversation("other")
    talk.add([user("go")])
    talk.add([assistant("no")], by("X", used(9, read=3, model="b")))
    assert [row[:3] for row in rows(store)] == [("X", "a", 4), ("Y", "a", 1), ("X", "b", 1)]
    assert rows(store, session_id="other") == [("X", "b", 1, 1, 9, 3, 0)]
    assert places(store, session_id="other") == [("X", 1, pytest.approx(1 / 3), 0, None, 0, None)]
    assert rows(store, agent_name="Y") == [("Y", "a", 1, 0, 500, 0, 0)]
    assert rows(store, model="b") == [("X", "b", 1, 1, 9, 3, 0)]
    assert [row[:2] for row in rows(store, row_limit=1)] == [("X", "a")]
