"""wasted_work: what agents used, cost and took for answers that are on no path any more."""

from __future__ import annotations

from typing import Any

import pytest

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall, SeenResponse
from duckstore.usage import Usage
from tests.clock import Clock
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]

SAMPLES: dict[str, list[Any]] = {"model": ["gpt-4.1", None]}


def seen(tokens: int, model: str, agent: str = "Guide", output: int = 0, seconds: int = 1) -> Seen:
    """What is known of a model call."""
    usage = Usage(1, tokens, output, 0, 0, 0, tokens + output)
    response = SeenResponse(usage=usage, model=model, started_us=0, ended_us=seconds * 1_000_000)
    return Seen(agent_name=agent, response=response)


def rows(store: Store, *columns: str, **parameters: Any) -> list[Row]:
    return store.query("wasted_work", **parameters).select(columns).rows()


def edited(store: Store, name: str = "s") -> None:
    """Two answers of one agent, the first of which was for a question that was edited."""
    talk = store.conversation(name)
    talk.add([user("one")])
    talk.add([assistant("1")], seen(300, "large", seconds=3))
    talk.edit(1, "two")
    talk.add([assistant("2")], seen(100, "large", output=50))


@pytest.fixture(autouse=True)
def unlisted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices are those that a test gives."""
    monkeypatch.setattr("duckstore.pricing.list_name", lambda: None)


def test_an_answer_to_a_question_that_was_edited(store: Store) -> None:
    """Its tokens, cost and time count as superseded, and those of both answers in all."""
    edited(store)
    store.set_prices([{"model": "large", "input_price": 2, "output_price": 8}])
    assert rows(store, "agent_name", "model", "currency") == [("Guide", "large", "USD")]
    for column, counts in {
        "responses": (2, 1),
        "tokens": (450, 300),
        "cost": (1200, 600),
        "seconds": (4.0, 3.0),
        "sessions": (1, 1),
    }.items():
        single = column.removesuffix("s") + "_count"
        names = (f"total_{column}", f"superseded_{column}")
        if column in ("responses", "sessions"):
            names = (single, f"superseded_{single}")
        assert rows(store, *names) == [counts], column
    for column, share in {"token": 2 / 3, "cost": 0.5, "seconds": 0.75}.items():
        assert rows(store, f"superseded_{column}_share") == [(share,)]
    assert rows(store, "superseded_response_share") == [(0.5,)]


def test_what_was_replaced_in_the_middle_of_a_run(store: Store) -> None:
    """The call that both answers share is not superseded; an answer taken back without another
    one is, and what a compaction archived is not."""
    talk = store.conversation("s")
    talk.add([user("one")])
    talk.add([call("look", "c"), output("c")], seen(1, "m"))
    talk.add([assistant("1")], seen(10, "m"))
    talk.pop()
    talk.add([assistant("2")], seen(100, "m"))
    talk.replace_all([user("Summary.")])
    talk.add([user("two")])
    talk.add([assistant("3")], seen(1000, "m"))
    talk.pop()
    columns = ("total_tokens", "superseded_tokens", "superseded_response_count")
    assert rows(store, *columns) == [(1111, 1010, 2)]
    talk.switch("main~1")  # the first answer's branch: what came after it is left
    assert rows(store, *columns) == [(1111, 1100, 2)]


def test_an_agent_that_is_a_tool(store: Store) -> None:
    """Its model calls are superseded with the tool call that they were made in."""
    talk = store.conversation("s")
    talk.add([user("go")])
    used = Usage(1, 50, 0, 0, 0, 0, 50)
    talk.add(
        [call("ask", "a"), output("a")],
        Seen(
            agent_name="Outer",
            response=SeenResponse(usage=used, model="m"),
            calls=[SeenCall("a", is_item=True)],
            responses=[SeenResponse(usage=used, model="m", agent_name="Inner", parent=0)],
        ),
    )
    columns = ("agent_name", "total_tokens", "superseded_tokens")
    assert rows(store, *columns) == [("Inner", 50, None), ("Outer", 50, None)]
    talk.rewind(1)
    assert rows(store, *columns) == [("Inner", 50, 50), ("Outer", 50, 50)]


def test_what_is_not_known_is_null(store: Store) -> None:
    """Neither prices nor usage nor times: the responses are counted all the same."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    talk.pop()
    talk.add([assistant("2")])
    assert rows(store, "agent_name", "model", "currency") == [(None, None, None)]
    assert rows(store, "response_count", "superseded_response_count") == [(2, 1)]
    for column in ("tokens", "cost", "seconds"):
        assert rows(store, f"total_{column}", f"superseded_{column}") == [(None, None)]
    for column in ("token", "cost", "seconds"):
        assert rows(store, f"superseded_{column}_share") == [(None,)]


def test_the_most_wasted_comes_first(store: Store) -> None:
    """Rows are of one agent, model and currency each."""
    edited(store)
    talk = store.conversation("t")
    for agent, model, tokens in (("Guide", "small", 900), ("Other", "large", 200)):
        talk.add([user("go")])
        talk.add([assistant("gone")], seen(tokens, model, agent))
    talk.rewind(2)
    store.set_prices([{"model": "small", "input_price": 1, "output_price": 1, "currency": "EUR"}])
    assert rows(store, "agent_name", "model", "currency", "superseded_tokens") == [
        ("Guide", "large", None, 300),
        ("Other", "large", None, 200),
        ("Guide", "small", "EUR", None),
    ]


def test_only_some(store: Store, clock: Clock) -> None:
    edited(store, "a")
    clock.wait(60)
    later = clock.now
    talk = store.conversation("b")
    talk.add([user("go")])
    talk.add([assistant("gone")], seen(7, "small", "Other"))
    columns = ("agent_name", "total_tokens")
    assert rows(store, *columns, agent_name="Other") == [("Other", 7)]
    assert rows(store, *columns, model="large") == [("Guide", 450)]
    assert rows(store, *columns, session_id="b") == [("Other", 7)]
    assert rows(store, *columns, since=later) == [("Other", 7)]
    assert rows(store, *columns, until=later) == [("Guide", 450)]
    assert rows(store, *columns, row_limit=1) == [("Guide", 450)]
