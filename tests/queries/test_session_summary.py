"""session_summary: what each session holds, took and cost, the latest first."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from duckstore import Store
from duckstore.telemetry import Seen, SeenOutcome, SeenResponse
from duckstore.usage import Usage
from tests.clock import Clock
from tests.rich import FAILED
from tests.samples import assistant, call, output, user

PRICES = [
    {"model": "a", "input_price": 2, "output_price": 8},
    {"model": "b", "input_price": 1, "output_price": 1, "currency": "EUR"},
]
SAMPLES: dict[str, list[Any]] = {"user_id": ["ada", "nobody", None]}


@pytest.fixture(autouse=True)
def unlisted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices are those that a test gives."""
    monkeypatch.setattr("duckstore.pricing.list_name", lambda: None)


def used(tokens: int, model: str | None = "a") -> Seen:
    usage = Usage(1, tokens, 10, 0, 0, 0, tokens + 10)
    return Seen(response=SeenResponse(usage=usage, model=model))


def counts(store: Store, **parameters: Any) -> list[tuple[Any, ...]]:
    """Session; runs, responses, items, calls, errors, edits, regenerations and branches."""
    frame = store.query("session_summary", **parameters)
    return frame.select(
        "session_id",
        "run_count",
        "response_count",
        "item_count",
        "tool_call_count",
        "tool_error_count",
        "edit_count",
        "regeneration_count",
        "branch_count",
    ).rows()


def costs(store: Store, **parameters: Any) -> list[tuple[Any, ...]]:
    frame = store.query("session_summary", **parameters)
    return frame.select(
        "session_id", "total_tokens", "currency", "total_cost", "unpriced_count"
    ).rows()


def edited(store: Store, name: str = "s") -> None:
    """A failed call, whose question is edited; and an answer to it that is generated again."""
    talk = store.conversation(name)
    talk.add([user("old")])
    talk.add([call("find", "1"), output("1", FAILED)], used(100))
    talk.add([assistant("no")], used(200))
    talk.edit(1, "new")
    talk.add([assistant("first")], used(50))
    talk.pop()
    talk.add([assistant("second")], used(60))


def test_an_ordinary_session(store: Store, clock: Clock) -> None:
    """Every column of it."""
    talk = store.conversation("s")
    talk.add([user("one")])
    clock.wait(2)
    talk.add([call("find", "1"), output("1", FAILED)], used(100))
    clock.wait(1.5)
    talk.add([assistant("1")], used(200))
    clock.wait(60)
    talk.add([user("two")])
    clock.wait(10)
    talk.add([call("find", "2")], used(300))
    store.update_session("s", title="Lost", user_id="ada")
    store.set_prices(PRICES)
    frame = store.query("session_summary")
    assert (frame["updated_at"] - frame["created_at"]).dt.total_milliseconds().to_list() == [73_500]
    assert frame.drop("created_at", "updated_at").rows(named=True) == [
        {
            "session_id": "s",
            "title": "Lost",
            "user_id": "ada",
            "source": None,
            "last_status": "interrupted",
            "input_tokens": 600,
            "output_tokens": 30,
            "total_tokens": 630,
            "run_seconds": 13.5,
            "currency": "USD",
            "total_cost": 1440,
            "unpriced_count": 0,
            "run_count": 2,
            "response_count": 3,
            "item_count": 6,
            "tool_call_count": 2,
            "tool_error_count": 1,
            "edit_count": 0,
            "regeneration_count": 0,
            "branch_count": 1,
        }
    ]


def test_what_an_edit_replaced(store: Store) -> None:
    """It was made and paid for, and counts unless it is left out; shared items count once."""
    store.set_prices(PRICES)
    edited(store)
    assert counts(store) == [("s", 3, 4, 7, 1, 1, 1, 1, 3)]
    assert costs(store) == [("s", 450, "USD", 1140, 0)]
    assert counts(store, include_superseded=False) == [("s", 1, 1, 2, 0, 0, 1, 1, 3)]
    assert costs(store, include_superseded=False) == [("s", 70, "USD", 200, 0)]


def test_costs_of_two_currencies_have_no_sum(store: Store) -> None:
    """What has no price is counted; a session without any has no cost."""
    store.set_prices(PRICES)
    for name, models in {"mixed": "ab", "part": "ac", "none": "c", "euro": "b"}.items():
        for model in models:
            store.conversation(name).add([user("go")])
            store.conversation(name).add([assistant("done")], used(100, model))
    store.conversation("unknown").add([user("go"), assistant("done")])
    assert sorted(costs(store)) == [
        ("euro", 110, "EUR", 110, 0),
        ("mixed", 220, None, None, 0),
        ("none", 110, None, None, 1),
        ("part", 220, "USD", 280, 1),
        ("unknown", None, None, None, 1),
    ]


def test_last_status_is_that_of_the_current_path(store: Store) -> None:
    """A later run on a path that was left does not count; a session may be without any run."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    talk.add([user("two")])
    talk.add([assistant("2")], Seen(outcome=SeenOutcome("max_turns")))
    status = {"session_id": "s"}
    assert store.query("session_summary", **status)["last_status"].to_list() == ["error"]
    talk.branch("other", at={"position": 2})
    assert store.query("session_summary", **status)["last_status"].to_list() == ["completed"]
    store.update_session("empty", title="Nothing yet")
    frame = store.query("session_summary", session_id="empty")
    assert frame.select(
        "title", "last_status", "run_count", "item_count", "branch_count"
    ).rows() == [("Nothing yet", None, 0, 0, 1)]
    assert frame.select("run_seconds", "total_tokens", "unpriced_count").rows() == [(None, None, 0)]


def test_deleted_branches_and_compactions(store: Store) -> None:
    """A deleted branch is none, its items were added all the same; what is archived counts."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    talk.branch("other", at={"position": 1})
    talk.add([assistant("uno")])
    talk.switch("main")
    talk.delete_branch("other")
    assert counts(store) == [("s", 2, 2, 3, 0, 0, 0, 0, 1)]
    assert counts(store, include_superseded=False) == [("s", 1, 1, 2, 0, 0, 0, 0, 1)]
    talk.replace_all([user("Summary.")])
    assert counts(store, include_superseded=False) == [("s", 1, 1, 3, 0, 0, 0, 0, 2)]


def test_only_some_and_the_latest_first(store: Store, clock: Clock) -> None:
    """A session counts at the moment of its last change: since includes it, until leaves it out."""
    moments: list[datetime] = []
    for name, user_id in (("c", "ada"), ("b", "bob"), ("a", "ada")):
        clock.wait(60)
        moments.append(clock.now)
        store.conversation(name).add([user("go")])
        store.update_session(name, user_id=user_id)

    def ids(**parameters: Any) -> list[str]:
        return store.query("session_summary", **parameters)["session_id"].to_list()

    assert ids() == ["a", "b", "c"]
    assert ids(row_limit=2) == ["a", "b"]
    assert ids(user_id="ada") == ["a", "c"]
    assert ids(session_id="b") == ["b"]
    assert ids(since=moments[1]) == ["a", "b"]
    assert ids(until=moments[1]) == ["c"]
    clock.wait(60)
    store.conversation("c").add([assistant("done")])
    assert ids() == ["c", "a", "b"]
    assert ids(since=clock.now) == ["c"]
