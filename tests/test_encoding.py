"""Any JSON value comes back as the SDK's own session gives it back, from memory and from the file.

The SDK's `SQLiteSession` says what "the same" is: it gets the same items.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from agents import SQLiteSession
from hypothesis import given, settings
from pydantic import BaseModel

import duckstore
from duckstore import errors
from tests.samples import json_values, run, user


def exact(value: Any) -> str:
    """A text that differs where values differ: NaN from None, 1 from 1.0 and from True, order."""
    return repr(value)


async def _after_the_sdk(items: list[Any]) -> list[Any]:
    session = SQLiteSession("s")
    await session.add_items(items)
    found: list[Any] = await session.get_items()
    session.close()
    return found


async def _after_us(items: list[Any], path: Path) -> tuple[list[Any], list[Any]]:
    """What a session returns at once, and after the store was closed and opened again."""
    session = duckstore.DuckDBSession("s", path)
    await session.add_items(items)
    warm: list[Any] = await session.get_items()
    session.close()
    async with duckstore.DuckDBSession("s", path) as session:
        cold: list[Any] = await session.get_items()
    return warm, cold


@settings(max_examples=20, deadline=None)
@given(st.lists(json_values(), max_size=5))
def test_any_batch_comes_back_as_from_the_sdk(items: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.duckdb"
        warm, cold = run(_after_us(items, path))
        expected = run(_after_the_sdk(items))
        assert exact(warm) == exact(expected)
        assert exact(cold) == exact(expected)


AWKWARD: dict[str, Any] = {
    "nan": float("nan"),
    "infinities": [float("inf"), float("-inf")],
    "negative zero": -0.0,
    "large integer": 2**80,
    "lone surrogate": "\ud83e",
    "surrogates in a key": {"\udd86": 1},
    "nul": "a\x00b",
    "duplicate keys in a text": {"arguments": '{"a": 1, "a": 2}'},
    "keys that are no texts": {1: "a", None: "b", False: "c", 1.5: "d"},
    "a tuple": (1, 2),
    "an empty text": "",
    "a long text": "x" * 300_000,
    "line ends": "a\r\nb\u2028c\u0085d",
    "what SQL would read": "'); drop table item_rows; --",
    "a message of surrogates": user("\ud83e \x00"),
}


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_values_come_back(name: str, path: Path) -> None:
    items = [AWKWARD[name], user("after")]
    warm, cold = run(_after_us(items, path))
    expected = run(_after_the_sdk(items))
    assert exact(warm) == exact(cold) == exact(expected)
    with duckstore.open(path) as store:
        assert store.check() == []


def test_what_comes_back_can_be_changed_without_changing_the_store(store: duckstore.Store) -> None:
    conversation = store.conversation("s")
    given_item = user("one")
    conversation.add([given_item])
    given_item["content"] = "changed"
    conversation.items()[0]["content"] = "changed too"
    assert conversation.items() == [user("one")]


def test_raw_items_are_ascii_json(store: duckstore.Store) -> None:
    """What stands in the file is JSON in ASCII, whatever the item holds."""
    items = [*AWKWARD.values()]
    store.conversation("s").add(items)
    raws = store.sql("select item from items order by item_id")["item"].to_list()
    assert all(raw.isascii() for raw in raws)
    assert exact([json.loads(raw) for raw in raws]) == exact(
        [json.loads(json.dumps(item)) for item in items]
    )


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    "item",
    [object(), b"bytes", {"a": {1, 2}}, {(1, 2): "key"}, CYCLE, 10**5000, dict, {"a": [object]}],
    ids=["object", "bytes", "set", "tuple key", "cycle", "huge", "class", "nested class"],
)
def test_what_is_no_json_is_refused_with_its_batch(item: Any, store: duckstore.Store) -> None:
    conversation = store.conversation("s")
    conversation.add([user("before")])
    with pytest.raises(errors.ItemError, match="item 1 of the batch is not JSON") as caught:
        conversation.add([user("one"), item, user("three")])
    assert isinstance(caught.value, TypeError)
    assert conversation.items() == [user("before")]
    assert store.check() == []


@pytest.mark.parametrize("items", ["text", b"text", {"role": "user", "content": "one"}])
def test_a_single_item_in_place_of_a_list_is_refused(items: Any, store: duckstore.Store) -> None:
    """A dict is a list of its keys to Python: a forgotten bracket must not store those."""
    with pytest.raises(errors.ItemError, match="wrap it in a list"):
        run(store.session("s").add_items(items))
    assert store.conversation("s").items() == []


def test_nesting_is_kept_or_refused_and_never_half_stored(store: duckstore.Store) -> None:
    """However deep, an item is stored and comes back, or its batch is refused as no JSON."""
    outcomes = set()
    for depth in [1, 100, *range(900, 1000, 9), 100_000]:
        conversation = store.conversation(f"deep {depth}")
        item: Any = "end"
        for _ in range(depth):
            item = [item]
        try:
            conversation.add([{"type": "function_call_output", "output": item}])
        except errors.ItemError:
            outcomes.add("refused")
            assert conversation.items() == []
        else:
            outcomes.add("stored")
            assert len(conversation.items()) == 1
    assert outcomes == {"refused", "stored"}


class Part(BaseModel):
    text: str
    note: str | None = None


class Message(BaseModel):
    role: str
    content: list[Part]


def test_pydantic_items_are_dumped_with_the_fields_that_were_set(path: Path) -> None:
    items = [Message(role="user", content=[Part(text="hi")]), {"nested": Part(text="a")}]
    _, cold = run(_after_us(items, path))
    assert cold == [{"role": "user", "content": [{"text": "hi"}]}, {"nested": {"text": "a"}}]


def test_an_iterator_is_a_batch(path: Path) -> None:
    async def work() -> list[Any]:
        async with duckstore.DuckDBSession("s", path) as session:
            await session.add_items(user(str(i)) for i in range(3))  # type: ignore[arg-type]
            found: list[Any] = await session.get_items()
            return found

    assert run(work()) == [user("0"), user("1"), user("2")]
