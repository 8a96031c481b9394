"""A store that another process owns is used as one's own: the same answers to everything."""

from __future__ import annotations

import enum
import json
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from datetime import time as clock
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import duckstore
from duckstore.client import Lane
from tests.samples import assistant, call, output, run, user

Both = tuple[duckstore.Store, duckstore.Store]

# Answers ---------------------------------------------------------------------------------------


def a_conversation(store: duckstore.Store) -> list[Any]:
    """Every method of a conversation, and what each returned."""
    talk = store.conversation("talk")
    results: list[Any] = [talk.add([user("one"), assistant("two"), user("three")]), talk.items()]
    results += [talk.items(limit) for limit in (0, 1, 2, -1, 2**80)]
    results += [
        talk.pop(),
        talk.branch("other", at={"position": 1}),
        talk.add(["x", None, 2**80, {"a": [1.5]}]),
    ]
    results += [talk.items(), talk.switch("main"), talk.items(), talk.switch("other")]
    snapshot = talk.snapshot(2)
    assert snapshot is not None
    results += [snapshot, talk.replace_suffix(snapshot, 1, ["y"], lambda item: item == user("one"))]
    results += [talk.replace_suffix(snapshot, 1, ["z"]), talk.items(), talk.replace_all(["whole"])]
    results += [
        talk.items(),
        talk.clear(),
        talk.items(),
        talk.pop(),
        talk.purge_session(),
        talk.purge_session(),
    ]
    return results


def a_session(store: duckstore.Store) -> list[Any]:
    """Every method of a session, the private ones that the SDK calls included."""

    async def use() -> list[Any]:
        session = store.session("session", session_settings={"limit": 3})
        results: list[Any] = [await session.add_items([user(str(n)) for n in range(4)])]
        results += [await session.get_items(), await session.get_items(9)]
        results += [await session.pop_item()]
        snapshot = await session._get_compaction_snapshot(2)
        assert snapshot is not None
        results += [snapshot.items, snapshot.complete, await snapshot.replace_suffix(0, ["new"])]
        results += [await session.get_items(), await session._atomic_replace_items(["all"])]
        results += [await session.get_items(), await session.clear_session()]
        return [*results, await session.get_items(), await session.pop_item()]

    return run(use())


def the_store(store: duckstore.Store) -> list[Any]:
    """The store's own methods, but for those that make files."""
    store.conversation("a").add([user("look"), call("f", "c"), output("c"), assistant("done")])
    results: list[Any] = [
        store.update_session("a", title="T", user_id="u", tags=["t"], metadata={"k": 1}),
        store.update_session("b", source="elsewhere"),
    ]
    for found in (
        store.sessions(),
        store.sessions(search="look", tag="t", user_id="u", metadata={"k": 1}),
        store.sessions(source="elsewhere", order_by="session_id", limit=1),
        store.sessions(offset=2),
    ):
        results += [(info.session_id, info.title, info.tags, info.item_count) for info in found]
    results += [store.purge("b"), store.purge("b"), store.check(), store.queries()]
    results += [store.sql("select item_id, text, call_id, item from items order by 1").rows()]
    results += [store.scan("items").select("text", "position").collect().rows()]
    results += [store.scan("tool_calls").filter(pl.col("id") > 0).collect().height]
    for query in store.queries():
        if not any(parameter.is_required for parameter in query.parameters):
            frame = store.query(query.name)
            results.append((query.name, frame.schema, frame.height))
    return results


@pytest.mark.parametrize("use", [a_conversation, a_session, the_store])
def test_every_method_answers_as_on_an_owner(
    use: Callable[[duckstore.Store], list[Any]], both: Both
) -> None:
    client, own = both
    assert use(client) == use(own)
    assert client.check() == []


def test_files_are_made_where_the_client_says(
    both: Both, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path is one of the client's folder; import, export and backup are whole."""
    lines = tmp_path / "talks.jsonl"
    lines.write_text(json.dumps({"session_id": "a", "items": [user("one"), assistant("two")]}))
    results = []
    for store, name in zip(both, ("client", "own"), strict=True):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        report = store.import_jsonl(lines)
        counts = store.export_parquet("parquet").row_counts
        store.backup("copy.duckdb")
        store.purge("a")
        before, after = store.compact()
        assert min(before, after) > 0
        parquet = sorted(file.name for file in (folder / "parquet").iterdir())
        with duckstore.open(folder / "copy.duckdb") as copy:
            copied = copy.conversation("a").items()
        results.append((report, counts, parquet, copied, store.sessions(), store.check()))
    assert results[0] == results[1]


class Colour(str, enum.Enum):  # noqa: UP042  # whose text is its name
    RED = "red"


class Count(enum.IntEnum):
    THREE = 3


EAST = timezone(timedelta(hours=2))
PARAMETERS: list[Any] = [
    *(None, True, 0, -1, 2**63, -(2**100), 1.5, -0.0, float("inf"), "", "a\0b", "é\u2028🦆"),
    *(b"\x00\xff", bytearray(b"ab"), memoryview(b"ab"), Decimal("1.50"), Decimal("1E+5")),
    *(datetime(2020, 1, 2, 3, 4, 5, 6), datetime(2020, 1, 2, tzinfo=UTC), date.min),
    *(datetime(2020, 1, 2, tzinfo=EAST), datetime.max, clock(1, 2, 3, 4), clock(1, tzinfo=EAST)),
    *(timedelta(days=-1, microseconds=3), uuid.UUID(int=7), Colour.RED, Count.THREE),
    *([], [1, None, 3], (1, 2), [[1], []], {"a": 1, "b": ["x", None]}, {"dict": {"date": "x"}}, {}),
]


@pytest.mark.parametrize("value", PARAMETERS, ids=lambda value: repr(value).split(" at ")[0])
def test_a_parameter_arrives_as_it_is(value: Any, both: Both) -> None:
    """Whatever DuckDB takes from Python is the same value and type in the owner."""
    sql = "select typeof($value) as kind, $value::varchar as text"
    client, own = (store.sql(sql, value=value) for store in both)
    assert client.rows() == own.rows()


RESULTS = """
select true as a, 1::tinyint as b, 2::hugeint as c, 1.25::decimal(9, 2) as d, 'nan'::double as e,
    'é🦆' as f, 'x'::blob as g, date '2020-01-02' as h, time '01:02:03.000004' as i,
    timestamp '2020-01-02 03:04:05.000006' as j, timestamptz '2020-01-02 03:04:05+02' as k,
    uuid '00000000-0000-0000-0000-000000000007' as l, [1, null] as m, {'a': 1, 'b': [2]} as n,
    map {'k': 1} as o, '{"a": 1}'::json as p, 'x'::enum('x', 'y') as q, null as r,
    [1, 2]::integer[2] as s, 18446744073709551615::ubigint as t, timestamp_ns '2020-01-01 00:00:00'
        as u
from range(3)
"""


def test_a_result_of_every_type_is_the_same(both: Both) -> None:
    client, own = (store.sql(RESULTS) for store in both)
    assert client.schema == own.schema
    assert client.equals(own)


def test_an_empty_result_keeps_its_types(both: Both) -> None:
    client, own = (store.sql(RESULTS + " where false") for store in both)
    assert client.height == 0
    assert client.schema == own.schema


def test_plain_rows_are_the_same(both: Both) -> None:
    """Numbers without polars: decimals and integers of any size stay what they are."""
    sql = """
        select 1.10::decimal(38, 10) as d, 170141183460469231731687303715884105727 as h, [2.5] as l,
            {'a': 1.50, 'b': [{'c': null}]} as s, map {'k': 2.25} as m, '{"a": [1]}'::json as j,
            'inf'::double as f, interval 3 day as i, 'x'::blob as b, timestamptz '2020-01-02' as t
    """
    client, own = (store._access.rows(sql) for store in both)
    assert client == own
    assert client.rows[0][:2] == (Decimal("1.1"), 2**127 - 1)
    assert isinstance(client.rows[0][0], Decimal)


# Large things ----------------------------------------------------------------------------------


def test_a_large_item_goes_both_ways(client: duckstore.Store) -> None:
    item = user("é" * 1_000_000 + "x" * 1_000_000)
    client.conversation("s").add([item, "after"])
    assert client.conversation("s").items() == [item, "after"]
    assert client.sql("select length(text) as n from items order by item_id")["n"][0] == 2_000_000
    assert client.conversation("s").pop() == "after"
    assert client.conversation("s").pop() == item


def test_a_large_result_comes_in_parts(
    client: duckstore.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred thousand rows are streamed, and are whole and in order."""
    parts: list[int] = []
    next_chunk = Lane._next_chunk

    def counted(lane: Lane) -> bytes:
        part = next_chunk(lane)
        parts.append(len(part))
        return part

    monkeypatch.setattr(Lane, "_next_chunk", counted)
    found = client.sql("select range as n, repeat('x', 50) as text from range(100_000)")
    assert found["n"].to_list() == list(range(100_000))
    assert set(found["text"]) == {"x" * 50}
    assert len(parts) > 5
    assert max(parts) < 2 << 20
    assert len(client._access.rows("select * from range(100_000)").rows) == 100_000
