"""store_quality: what to know of the stored rows before trusting figures made of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

import duckstore
from duckstore import Store
from duckstore.items import _BUILDERS
from duckstore.telemetry import Seen, SeenCall, SeenResponse
from duckstore.usage import Usage
from tests.clock import Clock
from tests.samples import assistant, call, output, user

SAMPLES: dict[str, list[Any]] = {"min_gap_seconds": [600.0, "0.5", None]}

ALL = {
    "items of an unknown type": "items",
    "outputs without a call": "items",
    "items dated before the one they follow": "items",
    "gaps within a run": "items",
    "messages without text": "messages",
    "calls without output": "tool_calls",
    "call ids that came before in their run": "tool_calls",
    "arguments that are not JSON": "tool_calls",
    "calls that ended before they began": "tool_calls",
    "responses without usage": "responses",
    "usage that does not add up": "responses",
    "usage of several requests in one": "responses",
    "responses that ended before they began": "responses",
    "usage without a price": "costs",
    "runs without a user message": "runs",
    "sessions without a user_id": "sessions",
}


@pytest.fixture(autouse=True)
def unlisted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices are those that a test gives."""
    monkeypatch.setattr("duckstore.pricing.list_name", lambda: None)


def found(store: Store, **parameters: Any) -> dict[str, tuple[int, int]]:
    """What was found at all: how many rows, of how many."""
    frame = store.query("store_quality", **parameters)
    return {row[0]: (row[2], row[3]) for row in frame.rows() if row[2]}


def example(store: Store, finding: str) -> tuple[Any, ...]:
    frame = store.query("store_quality").filter(finding=finding)
    (row,) = frame.select("example_session_id", "example_id").rows()
    return tuple(row)


def seen(*counts: int, model: str | None = None, **more: Any) -> SeenResponse:
    return SeenResponse(usage=Usage(*counts) if counts else None, model=model, **more)


def sound(store: Store, name: str = "s") -> None:
    """A session in which nothing is amiss."""
    talk = store.conversation(name)
    talk.add([user("go")])
    talk.add(
        [call("find", "1"), output("1")],
        Seen(
            response=seen(1, 10, 2, 4, 6, 2, 12, model="a", started_us=1, ended_us=1),
            calls=[SeenCall("1", started_us=5, ended_us=5, is_item=True)],
        ),
    )
    talk.add([assistant("done")], Seen(response=seen(1, 10, 2, 0, 0, 0, 12, model="a")))
    store.update_session(name, user_id="ada")
    store.set_prices([{"model": "a", "input_price": 1, "output_price": 1}])


def test_a_sound_store_shows_every_finding_with_0(store: Store) -> None:
    """So that it is known what was looked for; nothing is said of relations without rows."""
    sound(store)
    frame = store.query("store_quality")
    assert dict(frame.select("finding", "relation").rows()) == ALL
    assert set(frame["row_count"]) == {0}
    assert set(frame["row_share"]) == {0.0}
    assert frame["example_id"].null_count() == frame.height
    store.purge("s")
    assert store.query("store_quality").height == 0
    store.update_session("s", user_id="ada")
    assert store.query("store_quality").rows() == [
        ("sessions without a user_id", "sessions", 0, 1, None, None, 0.0)
    ]


def test_the_largest_share_first_and_the_latest_as_example(store: Store) -> None:
    sound(store)
    store.conversation("t").add([user("go"), call("find", "1"), call("find", "2")])
    store.update_session("t", user_id="bob")
    assert found(store) == {
        "calls without output": (2, 3),
        "responses without usage": (1, 3),
    }
    frame = store.query("store_quality", row_limit=2)
    assert frame["row_share"].to_list() == [2 / 3, 1 / 3]
    last = store.sql("select max(item_id) as id from items")["id"][0]
    assert example(store, "calls without output") == ("t", last)


def test_halves_of_calls(store: Store) -> None:
    """What a fork or a compaction repeats is not counted again."""
    talk = store.conversation("s")
    talk.add([user("go"), output("lost"), call("find", "1"), output("1"), call("find", "2")])
    halves = {"outputs without a call": (1, 2), "calls without output": (1, 2)}
    keys = set(halves)
    assert {key: value for key, value in found(store).items() if key in keys} == halves
    talk.fork("copy")
    talk.replace_all([output("lost"), call("find", "3")])
    assert {key: value for key, value in found(store).items() if key in keys} == halves
    session_id, item_id = example(store, "outputs without a call")
    assert session_id == "s"
    assert item_id < example(store, "calls without output")[1]


def test_call_ids(store: Store) -> None:
    """They may come again in another run, or inside an agent that is a tool."""
    talk = store.conversation("s")
    talk.add([user("go"), call("a", "x"), output("x"), call("b", "x"), output("x")])
    talk.add([call("c", "x"), output("x"), call("d", "y"), output("y")])
    talk.add([user("go")])
    inner = SeenCall("x", tool_name="deep", parent=0)
    talk.add([call("a", "x"), output("x")], Seen(calls=[SeenCall("x", is_item=True), inner]))
    assert found(store)["call ids that came before in their run"] == (2, 6)


def test_arguments(store: Store) -> None:
    """A tool that takes free text takes no JSON."""
    talk = store.conversation("s")
    free = {"type": "custom_tool_call", "name": "write", "call_id": "3", "input": "free text"}
    talk.add([user("go"), call("a", "1", "{'a': 1}"), call("a", "2", '{"a": 1}'), free])
    assert found(store)["arguments that are not JSON"] == (1, 2)


def test_unknown_types_and_messages_without_text(store: Store) -> None:
    """Every type that duckstore reads is known; a value that is no object has no type."""
    store.conversation("known").add([user("go"), *({"type": kind} for kind in _BUILDERS)])
    assert "items of an unknown type" not in found(store)
    store.conversation("s").add([user("go"), 42, {"type": "from_the_future"}, user(" \n")])
    quality = found(store)
    assert quality["items of an unknown type"] == (2, len(_BUILDERS) + 5)
    assert quality["messages without text"] == (2, 4)
    assert example(store, "messages without text")[0] == "s"


def test_a_conversation_opened_by_the_assistant(store: Store) -> None:
    """Its first run has no user message; one that was begun over in its middle has."""
    store.conversation("s").add([assistant("Hello."), user("go"), assistant("one")])
    store.conversation("s").pop()
    store.conversation("s").add([assistant("two")])
    assert found(store)["runs without a user message"] == (1, 3)
    assert found(store, include_superseded=False)["runs without a user message"] == (1, 2)
    assert example(store, "runs without a user message")[0] == "s"


def test_responses(store: Store) -> None:
    """A response that failed used nothing; each finding is of those that could have it."""
    talk = store.conversation("s")
    store.set_prices([{"model": "a", "input_price": 1, "output_price": 1}])
    talk.add([user("go")])
    responses = [
        seen(1, 10, 2, 4, 6, 2, 12, model="a", started_us=1, ended_us=2),
        seen(1, 10, 2, 0, 0, 0, 13, model="a"),
        seen(1, 10, 2, 8, 3, 0, 12, model="b", started_us=2, ended_us=1),
        seen(3, 10, 2, 0, 0, 3, 12, model="a"),
        seen(model="a"),
        seen(model="a", error_type="Timeout"),
    ]
    talk.add([assistant("done")], Seen(response=responses[0], responses=responses[1:]))
    quality = found(store)
    assert quality["responses without usage"] == (1, 5)
    assert quality["usage that does not add up"] == (3, 4)
    assert quality["usage of several requests in one"] == (1, 4)
    assert quality["responses that ended before they began"] == (1, 2)
    assert quality["usage without a price"] == (1, 4)


def test_calls_that_ended_before_they_began(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add(
        [call("a", "1"), call("a", "2"), call("a", "3"), output("1"), output("2"), output("3")],
        Seen(
            calls=[
                SeenCall("1", started_us=2, ended_us=1, is_item=True),
                SeenCall("2", started_us=1, ended_us=2, is_item=True),
            ]
        ),
    )
    assert found(store)["calls that ended before they began"] == (1, 2)


def test_gaps(store: Store, clock: Clock) -> None:
    """While the user thinks is no gap, nor is an answer generated again much later."""
    talk = store.conversation("s")
    clock.wait(1)
    talk.add([user("one")])
    clock.wait(599)
    talk.add([call("find", "1"), output("1")])
    clock.wait(600)
    talk.add([assistant("1")])
    clock.wait(9999)
    talk.add([user("two")])
    talk.add([assistant("2")])
    clock.wait(9999)
    talk.pop()
    talk.add([assistant("zwei")])
    assert found(store)["gaps within a run"] == (1, 4)
    assert found(store, min_gap_seconds=599)["gaps within a run"] == (2, 4)
    assert "gaps within a run" not in found(store, min_gap_seconds=601)


def test_clocks_that_disagree(path: Path) -> None:
    """Only a clock that was set back while nobody had the store open does that."""
    with duckstore.open(path) as store:
        store.conversation("s").add([user("one"), assistant("1")])
        store.conversation("t").add([user("one"), assistant("1"), user("two")])
    moments = [datetime(2026, 1, 1, 0, minute, tzinfo=UTC) for minute in range(5)]
    moments[1] -= timedelta(days=1)
    moments[3] -= timedelta(days=1)
    with duckdb.connect(str(path)) as connection:
        found_ids = connection.execute("select item_id from item_rows order by item_id").fetchall()
        connection.executemany(
            "update item_rows set created_at = ?::timestamptz where item_id = ?",
            [(at.isoformat(), key) for at, (key,) in zip(moments, found_ids, strict=True)],
        )
    with duckstore.open(path) as store:
        assert found(store)["items dated before the one they follow"] == (2, 3)
        assert example(store, "items dated before the one they follow") == ("t", found_ids[3][0])


def test_only_some(store: Store, clock: Clock) -> None:
    """A row counts at its moment: since includes it, until leaves it out."""
    talk = store.conversation("s")
    talk.add([user("one"), call("find", "1")])
    clock.wait(60)
    talk.add([user("two"), call("find", "2"), call("find", "3")])
    store.conversation("t").add([user("go"), call("find", "1")])
    pending = "calls without output"
    assert found(store)[pending] == (4, 4)
    assert found(store, session_id="s")[pending] == (3, 3)
    assert found(store, since=clock.now)[pending] == (3, 3)
    assert found(store, until=clock.now)[pending] == (1, 1)
    assert store.query("store_quality", since="2999-01-01").height == 0
    talk.edit(2, "zwei")
    assert found(store, session_id="s")[pending] == (3, 3)
    assert found(store, session_id="s", include_superseded=False)[pending] == (1, 1)
