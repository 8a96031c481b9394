"""A scan of a relation, on a store here, in another process, and in a folder of Parquet."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import duckstore
from duckstore import Archive, Store, errors
from duckstore.access import Access
from duckstore.columns import column_types, polars_schema, relation_types
from duckstore.schema import RELATIONS
from tests.owner import Keeper, owned
from tests.processes import python
from tests.readme_types import types_section, with_types
from tests.samples import user
from tests.test_batches import STUCK

c = pl.col
LARGE_TEXTS = {"item", "text", "arguments", "output", "error", "user_message", "assistant_message"}


@pytest.fixture(scope="module")
def places(
    original: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Store | Archive]]:
    """The same sessions in a store of this process, in one of another, and in an export."""
    folder = tmp_path_factory.mktemp("places")
    here, there = folder / "here.duckdb", folder / "there.duckdb"
    for path in (here, there):
        path.write_bytes(original.read_bytes())
    with duckstore.open(here) as store:
        store.export_parquet(folder / "parquet")
        with (
            owned(there),
            duckstore.open(there) as client,
            duckstore.open_parquet(folder / "parquet") as archive,
        ):
            yield {"here": store, "there": client, "parquet": archive}


PLACES = ("here", "there", "parquet")
FILTERS: dict[str, tuple[str, pl.Expr]] = {
    "session": ("items", c("session_id") == "orders"),
    "moment": ("items", c("created_at") >= pl.lit("2020-01-01").str.to_datetime(time_zone="UTC")),
    "lists": ("runs", c("tool_names").list.len() > 1),
    "lists and more": ("runs", (c("tool_names").list.len() > 1) & c("status").is_in(["completed"])),
    "json": ("tool_calls", c("arguments_json").str.contains("order")),
    "null": ("tool_calls", c("error").is_not_null() | ~c("is_current")),
    "pattern": ("messages", c("text").str.contains("(?i)where|no")),
    "tokens": ("responses", c("input_tokens").is_between(20, 30) & c("agent_name").is_not_null()),
    "fraction": ("runs", (c("duration_seconds") >= 0.0) & (c("turn_number") < 1.5)),
    "none": ("history", c("operation") == "nothing"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_keeps_the_same_rows_everywhere(
    places: dict[str, Store | Archive], place: str, name: str
) -> None:
    """Filtering in the scan or afterwards is the same, in either engine of polars."""
    asking = places[place]
    relation, predicate = FILTERS[name]
    expected = asking.sql(f"from {relation} order by all").filter(predicate)
    assert expected.is_empty() == (name == "none")
    for engine in ("in-memory", "streaming"):
        found = asking.scan(relation).filter(predicate).collect(engine=engine)  # type: ignore[call-overload]
        assert found.schema == expected.schema
        assert sorted(map(repr, found.rows())) == sorted(map(repr, expected.rows()))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("relation", RELATIONS)
def test_the_schema_is_that_of_the_rows(
    places: dict[str, Store | Archive], place: str, relation: str
) -> None:
    """Whole frames, batches and what a plan is told beforehand have the types of the README."""
    asking = places[place]
    documented = polars_schema(column_types(relation))
    assert asking.scan(relation).collect_schema() == documented
    whole = asking.sql(f"from {relation} order by all")
    assert whole.schema == documented
    streamed = asking.scan(relation).collect(engine="streaming")
    assert streamed.schema == documented
    order = [name for name in documented if not isinstance(documented[name], pl.List)]
    assert_frame_equal(streamed.sort(order), whole.sort(order))
    written = {name: str(kind) for name, kind in relation_types()[relation].items()}
    assert set(written) == set(documented)


def test_polars_types_are_written_as_polars_has_them() -> None:
    for columns in relation_types().values():
        schema = polars_schema({name: kind.duckdb for name, kind in columns.items()})
        for name, kind in columns.items():
            assert schema[name] == eval(f"pl.{kind.polars}", {"pl": pl, "String": pl.String})


def test_the_list_of_types_names_every_column() -> None:
    """What is generated for the README, between its marks and nowhere else."""
    text = with_types("before\n<!-- types -->\nold\n<!-- /types -->\nafter\n")
    assert text == f"before\n<!-- types -->\n{types_section()}<!-- /types -->\nafter\n"
    for relation, columns in relation_types().items():
        for name, kind in columns.items():
            lines = [x for x in text.splitlines() if x.startswith(f"| `{relation}` | `{kind[0]}`")]
            assert len(lines) == 1
            assert f"`{name}`" in lines[0]


def test_parquet_types_are_those_of_an_export(filled: Path, tmp_path: Path) -> None:
    """What the README says of a file's columns, as pyarrow finds them in it."""
    import pyarrow.parquet as parquet

    with duckstore.open(filled) as store:
        store.export_parquet(tmp_path / "folder")
    for relation, columns in relation_types().items():
        file = next(path for path in (tmp_path / "folder" / relation).rglob("*.parquet"))
        found = parquet.ParquetFile(file).schema
        assert found.to_arrow_schema().names == list(columns)
        leaves = {found.column(n).path.split(".")[0]: found.column(n) for n in range(len(found))}
        for name, kind in columns.items():
            assert _parquet_type(leaves[name]) == kind.parquet, (relation, name)


def _parquet_type(column: Any) -> str:
    logical = json.loads(column.logical_type.to_json())
    names = {"String": "STRING", "Date": "DATE", "Timestamp": "TIMESTAMP, microseconds, UTC"}
    if logical["Type"] == "Timestamp":
        assert logical["timeUnit"] == "microseconds"
        assert logical["isAdjustedToUTC"]
    known = names.get(logical["Type"])
    written = f"{column.physical_type} ({known})" if known else str(column.physical_type)
    return f"LIST of {written}" if ".list." in column.path else written


# What is asked ----------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Mapping[str, Any] | None]]:
    """Every statement that a store is asked for frames by."""
    found: list[tuple[str, Mapping[str, Any] | None]] = []

    def noting(ask: Callable[..., Any]) -> Callable[..., Any]:
        def note(self: Access, sql: str, parameters: Mapping[str, Any] | None = None) -> Any:
            found.append((sql, parameters))
            return ask(self, sql, parameters)

        return note

    monkeypatch.setattr(Access, "frame", noting(Access.frame))
    monkeypatch.setattr(Access, "put_aside", noting(Access.put_aside))
    return found


@pytest.mark.parametrize("place", ["here", "there"])
def test_the_store_filters(
    places: dict[str, Store | Archive],
    place: str,
    asked: list[tuple[str, Mapping[str, Any] | None]],
) -> None:
    """Filter, columns and head stand in the one statement that it is asked."""
    scan = places[place].scan("items")
    assert asked == []
    scan.filter((c("session_id") == "orders") & (c("position") > 1)).select("item_id").collect()
    scan.select("item_id").head(2).collect()
    (sql, parameters), (head, _) = asked
    columns, _, condition = sql.partition(" from items where ")
    assert set(columns.removeprefix("select ").split(", ")) == {
        *('"item_id"', '"session_id"', '"position"')
    }
    assert '("session_id" = $scan_' in condition
    assert '("position" > $scan_' in condition
    assert parameters is not None
    assert sorted(parameters.values(), key=str) == [1, "orders"]
    assert head == 'select "item_id" from (from items limit 2)'


def test_parquet_files_filter(places: dict[str, Store | Archive]) -> None:
    """DuckDB's plan filters where the files are read, and reads only the columns of the plan."""
    archive = places["parquet"]
    plan = archive.sql(
        "explain (format json) select item_id from items where session_id = $name", name="orders"
    )
    (scan,) = _scans(json.loads(plan[0, 1]))
    assert "session_id='orders'" in str(scan["extra_info"]["Filters"]).replace(" ", "")
    assert set(_projections(scan)) <= {"item_id", "session_id"}


def _scans(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for node in nodes:
        if "SCAN" in node["name"] or "PARQUET" in node["name"]:
            found.append(node)
        found += _scans(node["children"])
    return found


def _projections(scan: dict[str, Any]) -> list[str]:
    found = scan["extra_info"].get("Projections", [])
    return [found] if isinstance(found, str) else found


PLANS: dict[str, Callable[[Store], pl.LazyFrame]] = {
    "head": lambda store: store.scan("items").head(3).filter(c("position") > 0).select("item_id"),
    "columns": lambda store: store.scan("items").select("item_id", "item_type", "created_at"),
    "groups": lambda store: store.scan("items").group_by("item_type").len(),
    "count": lambda store: store.scan("items").select(pl.len()),
    "messages": lambda store: store.scan("messages").group_by("session_id", "role").len(),
    "tools": lambda store: store.scan("tool_calls").group_by("tool_name").agg(c("id").count()),
    "filter": lambda store: (
        store.scan("tool_calls").filter(c("tool_name") == "find").select("id", "duration_seconds")
    ),
    "responses": lambda store: (
        store.scan("responses").group_by("model").agg(c("total_tokens").sum())
    ),
    "join": lambda store: (
        store.scan("tool_calls").join(store.scan("items"), left_on="id", right_on="item_id")
    ).select("id", "item_type"),
}


@pytest.mark.parametrize("name", PLANS)
def test_texts_are_read_only_when_they_are_asked_for(
    places: dict[str, Store | Archive],
    name: str,
    asked: list[tuple[str, Mapping[str, Any] | None]],
) -> None:
    """Not from the disk either: no scan of DuckDB's plan has a column of texts."""
    store = places["here"]
    assert isinstance(store, Store)
    PLANS[name](store).collect()
    read: set[str] = set()
    for sql, parameters in list(asked):
        plan = store.sql(f"explain (format json) {sql}", **dict(parameters or {}))
        for scan in _scans(json.loads(plan[0, 1])):
            read.update(_projections(scan))
    assert "position" in read
    assert not read & LARGE_TEXTS


def test_a_scan_asks_the_store_nothing_for_its_schema(
    places: dict[str, Store | Archive], asked: list[tuple[str, Mapping[str, Any] | None]]
) -> None:
    store = places["there"]
    assert store.scan("runs").select("id").collect_schema() == {"id": pl.Int64}
    assert asked == []


def test_a_store_that_is_only_read_tells_its_own_columns(filled: Path) -> None:
    """Another duckstore may have made its relations, and nothing may be changed in it."""
    with duckstore.open(filled) as store:
        view = "create or replace view outcomes as select 7 as other, 'x'::varchar as outcome"
        store._access.engine.change(lambda cursor: cursor.execute(view))
    with duckstore.open(filled, read_only=True) as store:
        scan = store.scan("outcomes")
        assert scan.collect_schema() == {"other": pl.Int32, "outcome": pl.String}
        for predicate in (c("other") == 7, c("outcome") == "x"):
            assert scan.filter(predicate).collect().rows() == [(7, "x")]


# When -------------------------------------------------------------------------------------------


def test_a_scan_of_a_closed_store_is_told(store: Store) -> None:
    scan = store.scan("items")
    store.close()
    with pytest.raises(errors.ClosedError):
        store.scan("items")
    with pytest.raises((errors.ClosedError, pl.exceptions.ComputeError), match="is closed"):
        scan.filter(c("text") == "x").collect()


@pytest.mark.parametrize(
    "predicate",
    [c("item_id") > 0, pytest.param(c("text").str.len_chars() > 0, marks=pytest.mark.slow)],
    ids=["pushed", "left"],
)
def test_a_filter_survives_the_end_of_the_owner(path: Path, predicate: pl.Expr) -> None:
    """Nothing was handed to polars yet: the next owner is asked."""
    keeper = Keeper()
    keeper.open(path)
    keeper.run(STUCK.format(size=100))
    with duckstore.open(path) as store:
        store.conversation("s").add([user("hi")])
        threading.Timer(0.5, keeper.kill).start()
        assert store.scan("items").filter(predicate).collect().height == 1
        assert store._access.is_owner


def test_polars_is_imported_when_something_is_scanned() -> None:
    code = """
import sys
import duckstore
import duckstore.columns, duckstore.pushdown, duckstore.streams
store = duckstore.open()
print(sorted({"polars", "pyarrow"} & set(sys.modules)))
"""
    assert python(code) == "[]"
