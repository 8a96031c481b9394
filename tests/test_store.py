"""The analytical face of `Store`: queries, SQL, scans, the list of sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import duckstore
from duckstore import Store, catalogue, errors
from duckstore.queryfile import bind
from duckstore.schema import RELATIONS
from tests.processes import python
from tests.rich import fill
from tests.samples import assistant, run, user


@pytest.fixture(scope="module")
def rich() -> Iterator[Store]:
    with duckstore.open() as opened:
        fill(opened)
        yield opened


# Life -------------------------------------------------------------------------------------------


def test_a_with_block_closes_the_store(path: Path) -> None:
    with duckstore.open(path) as store:
        assert store.path == str(path)
        assert repr(store) == f"Store({str(path)!r})"
    assert repr(store) == f"Store({str(path)!r}, closed)"
    store.close()


def test_an_async_with_block_closes_the_store(path: Path) -> None:
    async def work() -> Store:
        async with duckstore.open(path) as store:
            await store.session("s").add_items([{"role": "user", "content": "hi"}])
            assert await store.session("s").get_items() == [user("hi")]
        return store

    with pytest.raises(errors.ClosedError):
        run(work()).sessions()


def test_a_closed_store_says_so(path: Path) -> None:
    """Every method of a closed store raises an error that names the file and the remedy."""
    store = duckstore.open(path)
    scan = store.scan("items")
    store.close()
    uses: list[Callable[[], object]] = [
        lambda: store.query("turn_pairs"),
        lambda: store.sql("select 1"),
        lambda: store.scan("items"),
        lambda: scan.collect(),
        lambda: store.queries(),
        lambda: store.sessions(),
        lambda: store.session("s"),
        lambda: store.conversation("s"),
        lambda: store.update_session("s", title="t"),
        lambda: store.purge("s"),
        lambda: store.export_parquet(path.parent / "out"),
        lambda: store.check(),
    ]
    for use in uses:
        with pytest.raises(errors.ClosedError, match="is closed: open it again") as caught:
            use()
        assert str(path) in str(caught.value)


def test_a_store_opened_twice_is_open_until_both_are_closed(path: Path) -> None:
    first, second = duckstore.open(path), duckstore.open(path)
    first.conversation("s").add([user("hi")])
    first.close()
    assert second.sql("select count(*) from items").item() == 1
    second.close()


# Queries ----------------------------------------------------------------------------------------


def test_queries_lists_the_catalogue(store: Store) -> None:
    """Each query comes with its topic, title, description, parameters and columns."""
    listed = {query.name: query for query in store.queries()}
    assert {"turn_pairs", "tool_usage", "edit_points"} <= set(listed)
    pairs = listed["turn_pairs"]
    assert pairs.topic == "turn_pairing"
    assert pairs.title == "Every user message with the answer that it got."
    assert pairs.description.startswith("One row per run.")
    assert pairs.columns["user_message"] == "VARCHAR"
    assert list(pairs.columns) == store.query("turn_pairs").columns
    limit = next(p for p in pairs.parameters if p.name == "row_limit")
    assert (limit.type, limit.default, limit.is_required) == ("bigint", None, False)
    assert limit.help == "Return at most this many runs, the earliest first."


@pytest.mark.parametrize(
    ("name", "near"),
    [("turnpairs", "turn_pairs"), ("tool_use", "tool_usage"), ("edits", "edit_points")],
)
def test_an_unknown_query_lists_the_nearest(store: Store, name: str, near: str) -> None:
    with pytest.raises(errors.UnknownQueryError, match=f"no query is named '{name}'.*{near}"):
        store.query(name)


def test_a_query_like_nothing_is_told_where_all_are_listed(store: Store) -> None:
    with pytest.raises(errors.UnknownQueryError, match="nor anything near it"):
        store.query("1234567890")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"session": "s"}, "query turn_pairs has no parameter 'session'; it has session_id, since"),
        ({"name": "s"}, "has no parameter 'name'"),
        ({"session_id": 7}, "'session_id' of query turn_pairs takes a varchar and got 7"),
        ({"session_id": "\ud800"}, "'session_id' .* lone surrogate"),
        ({"row_limit": "many"}, "'row_limit' .* takes a bigint and got 'many': give a whole"),
        ({"row_limit": 1.5}, r"'row_limit' .* got 1\.5: give a whole number"),
        ({"row_limit": True}, "'row_limit' .* got True: give a whole number"),
        ({"row_limit": -1}, "'row_limit' .* got -1: give a number from 0 up"),
        ({"row_limit": 2**63}, "'row_limit' .* does not fit in 64 bits"),
        ({"since": "yesterday"}, "'since' .* takes a timestamptz and got 'yesterday'"),
        ({"since": 5}, "'since' .* got 5: give a datetime"),
        ({"include_superseded": "maybe"}, "'include_superseded' .* got 'maybe': give true or"),
        ({"include_superseded": 1}, "'include_superseded' .* got 1: give true or false"),
    ],
)
def test_a_wrong_parameter_is_named(store: Store, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.ParameterError, match=message):
        store.query("turn_pairs", **parameters)


@pytest.mark.parametrize(
    "since",
    [
        date(2026, 1, 31),
        datetime(2026, 1, 31),
        datetime(2026, 1, 31, 9, tzinfo=timezone(timedelta(hours=9))),
        "2026-01-31",
        "2026-01-31T00:00:00Z",
    ],
)
def test_moments_of_every_kind(store: Store, since: object) -> None:
    """A date, a datetime without time zone (UTC) and a text of either are the same moment."""
    query = catalogue.bundled()["turn_pairs"]
    bound = bind(query, {"since": since})["since"]
    assert bound == datetime(2026, 1, 31, tzinfo=UTC)
    assert store.query("turn_pairs", since=since).is_empty()


# SQL --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "select count(*) from items",
        "from items",
        "table items",
        "with words as (select text from messages) select * from words",
        "values (1), (2)",
        "describe items",
        "summarize runs",
        "show tables",
        "show items",
        "explain select * from items",
        "explain analyze select * from items",
        "EXPLAIN (format json) FROM items",
        "-- a comment\nexplain select 1",
        "pivot items on role using count(*)",
        "select * from pragma_table_info('items')",
        "select 1;",
    ],
)
def test_reading_statements_work(rich: Store, text: str) -> None:
    assert rich.sql(text).height > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("insert into item_rows select * from item_rows", "INSERT is not allowed: a store is"),
        ("update session_rows set title = 'x'", "UPDATE is not allowed"),
        ("delete from item_rows", "DELETE is not allowed"),
        ("drop view items", "DROP is not allowed"),
        ("create table mine as select 1", "CREATE is not allowed"),
        ("create temp table mine as select 1", "CREATE is not allowed"),
        ("alter table item_rows add column x int", "ALTER is not allowed"),
        ("set global TimeZone = 'Asia/Tokyo'", "SET is not allowed"),
        ("reset memory_limit", "SET is not allowed"),
        ("pragma threads = 4", "SET is not allowed"),
        ("pragma database_size", "PRAGMA is not allowed.*select from the table function"),
        ("checkpoint", "CALL is not allowed"),
        ("attach ':memory:' as other", "ATTACH is not allowed"),
        ("commit", "TRANSACTION is not allowed"),
        ("load json", "LOAD is not allowed"),
        ("vacuum", "VACUUM is not allowed"),
        ("copy items to 'items.csv'", "COPY is not allowed, since it writes files.*export_parq"),
        ("export database 'all'", "EXPORT is not allowed, since it writes files"),
        ("explain analyze copy items to 'items.csv'", "COPY is not allowed"),
        ("explain(analyze)copy items to 'items.csv'", "COPY is not allowed"),
        ("explain /* x */ analyze copy items to 'items.csv'", "is not allowed"),
        ("explain analyze delete from item_rows", "DELETE is not allowed"),
    ],
)
def test_other_statements_are_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    """The error names the statement and what to do; store, settings and folder are as before."""
    monkeypatch.chdir(tmp_path)
    store.conversation("s").add([user("hi")])
    files, tables = sorted(tmp_path.iterdir()), store.sql("show tables").rows()
    with pytest.raises(errors.SQLError, match=message):
        store.sql(text)
    assert sorted(tmp_path.iterdir()) == files
    assert store.sql("select text, current_setting('TimeZone') from items").rows() == [
        ("hi", "UTC")
    ]
    assert store.sql("show tables").rows() == tables
    assert store.check() == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected one SQL statement and got 0"),
        ("-- only a comment", "expected one SQL statement and got 0"),
        ("select 1; select 2", "expected one SQL statement and got 2: run them one at a time"),
        ("select 1; drop view items", "expected one SQL statement and got 2"),
        ("selec 1", "syntax error"),
        ("select * from no_such_relation", "no_such_relation"),
        ("select no_such_column from items", "no_such_column"),
        ("select 'a'::int", "Could not convert"),
        ("select $word", "word"),
        ("select '1 day'::interval as pause", "column 'pause' is of type INTERVAL.*cast it"),
        ("select union_value(a := 1) as either", "column 'either' is of type UNION"),
        ("select [interval 1 day] as pauses", "column 'pauses' is of type INTERVAL"),
    ],
)
def test_what_duckdb_or_polars_cannot_do_is_an_sql_error(
    rich: Store, text: str, message: str
) -> None:
    with pytest.raises(errors.SQLError, match=message):
        rich.sql(text)
    assert rich.sql("select 1").item() == 1


def test_sql_that_is_no_text(rich: Store) -> None:
    with pytest.raises(errors.SQLError, match="None is no SQL text"):
        rich.sql(None)  # type: ignore[arg-type]
    with pytest.raises(errors.SQLError, match="is no SQL text"):
        rich.sql("select '\ud800'")


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        7,
        2**80,
        1.5,
        "text",
        "$name; drop view items -- '",
        "\0",
        b"bytes",
        date(2026, 1, 31),
        datetime(2026, 1, 31, 12, 30),
        datetime(2026, 1, 31, 12, 30, tzinfo=UTC),
        Decimal("1.25"),
        [1, 2],
        ["a", None],
        [],
        {"a": 1, "b": [True]},
    ],
)
def test_python_values_are_bound(rich: Store, value: object) -> None:
    """A value comes back as it went in: it is bound, never pasted into the text."""
    assert (
        rich.sql("select $value as value, $value is null", value=value).to_dicts()[0]["value"]
        == value
    )


def test_lists_and_moments_select_rows(rich: Store) -> None:
    found = rich.sql(
        "select count(*) from items where list_contains($types, item_type)"
        " and created_at >= $since and created_at < $until",
        types=["reasoning", "mcp_call"],
        since=date(2020, 1, 1),
        until=datetime(2999, 1, 1, tzinfo=UTC),
    )
    assert found.item() == 2


def test_any_name_can_be_a_parameter(rich: Store) -> None:
    """Also those that the method's own arguments have."""
    assert rich.sql("select $text || $self || $name", text="a", self="b", name="c").item() == "abc"


@pytest.mark.parametrize(
    ("text", "parameters", "message"),
    [
        ("select $a", {"a": object()}, "Unable to transform python value"),
        ("select $a", {"a": "\ud800"}, "surrogate"),
        ("select $a", {"b": 1}, "a"),
        ("select 1", {"a": 1}, "Expected 0, got 1"),
        ("select $a", {"a": 2**200}, "too large"),
    ],
)
def test_a_parameter_that_cannot_be_bound(
    rich: Store, text: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(errors.SQLError, match=message):
        rich.sql(text, **parameters)


def test_python_variables_are_no_relations() -> None:
    """A name in a statement is a relation of the store and never a frame that is in scope."""
    with duckstore.open() as store:
        engine = pl.DataFrame({"secret": [1]})
        assert engine.height == 1
        with pytest.raises(errors.SQLError, match="engine does not exist"):
            store.sql("select * from engine")


def test_sql_sees_what_was_added_before_it(store: Store) -> None:
    talk = store.conversation("s")
    for count in range(1, 4):
        talk.add([user("hi")])
        assert store.sql("select count(*) from items").item() == count


# Scans ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("relation", RELATIONS)
def test_a_scan_gives_the_rows_of_its_relation(rich: Store, relation: str) -> None:
    scan = rich.scan(relation)
    assert isinstance(scan, pl.LazyFrame)
    live = rich.sql(f"from {relation} order by all")
    assert scan.collect_schema() == live.schema
    assert sorted(map(repr, scan.collect().rows())) == sorted(map(repr, live.rows()))


def test_an_unknown_relation_lists_those_that_are_there(rich: Store) -> None:
    for name in ("itms", "item_rows", "items; drop view items", ""):
        with pytest.raises(errors.ArgumentError, match="sessions, runs, items") as caught:
            rich.scan(name)
        assert f"no relation {name!r}" in str(caught.value)


def test_filters_projections_and_heads(rich: Store) -> None:
    """What polars pushes down gives the same as doing it on the whole frame."""
    items, whole = rich.scan("items"), rich.sql("from items")
    is_user = pl.col("role") == "user"
    assert items.filter(is_user).select("text").collect().height == whole.filter(is_user).height
    assert items.select("text", "position").collect().columns == ["text", "position"]
    assert items.head(3).collect().height == 3
    assert items.filter(is_user).head(2).collect()["role"].to_list() == ["user", "user"]
    assert items.head(5).filter(is_user).collect().height <= 5
    assert items.select(pl.len()).collect().item() == whole.height
    assert items.head(0).collect().height == 0
    assert items.filter(pl.col("text") == "no such text").collect().is_empty()


def test_two_scans_can_be_joined_and_grouped(rich: Store) -> None:
    joined = (
        rich.scan("tool_calls")
        .join(rich.scan("runs"), left_on="run_id", right_on="id")
        .group_by("user_message")
        .agg(pl.len())
        .sort("user_message")
        .collect()
    )
    assert joined.rows() == [
        ("Cancel it.", 2),
        ("Where are my orders?", 2),
        ("go", 1),
        ("search", 2),
        ("two", 1),
    ]


def test_a_scan_reads_when_it_is_collected(store: Store) -> None:
    scan = store.scan("messages").select("text")
    store.conversation("s").add([user("later")])
    assert scan.collect().rows() == [("later",)]


def test_moments_are_in_utc_whatever_the_machine_says(tmp_path: Path) -> None:
    """A timestamp column is UTC in polars, and a bound moment is what it was."""
    code = f"""
import duckstore
from datetime import UTC, datetime
with duckstore.open({str(tmp_path / "a.duckdb")!r}) as store:
    before = datetime.now(UTC)
    store.conversation("s").add([{{"role": "user", "content": "hi"}}])
    frame = store.query("turn_pairs", since=before, until=datetime.now(UTC))
    assert frame.height == 1, frame
    assert before <= frame["created_at"][0] <= datetime.now(UTC)
    assert before <= store.sessions()[0].created_at <= datetime.now(UTC)
    print(frame.schema["created_at"], store.scan("items").collect_schema()["created_at"])
    print(store.sql("select '2026-01-31 12:00'::timestamptz = $noon",
        noon=datetime(2026, 1, 31, 12, tzinfo=UTC)).item())
"""
    printed = python(code, TZ="Asia/Tokyo").splitlines()
    utc = str(pl.Datetime("us", "UTC"))
    assert printed == [f"{utc} {utc}", "True"]


@pytest.mark.parametrize("package", ["polars", "pyarrow"])
def test_a_missing_package_is_named_with_its_remedy(package: str) -> None:
    """Without polars or pyarrow the data frames are refused, and all else works."""
    code = """
import duckstore
with duckstore.open() as store:
    store.conversation("s").add([{"role": "user", "content": "hi"}])
    for use in (
        lambda: store.query("turn_pairs"),
        lambda: store.sql("select 1"),
        lambda: store.scan("items"),
    ):
        try:
            use()
        except duckstore.errors.MissingPackageError as error:
            print(error)
    print(len(store.sessions()), len(store.queries()) > 0, store.check())
"""
    message = (
        f"{package} is needed for data frames and is not installed: pip install 'duckstore[polars]'"
    )
    assert python(code, blocked=(package,)).splitlines() == [message] * 3 + ["1 True []"]


# The list of sessions ---------------------------------------------------------------------------


def ids(store: Store, **options: Any) -> list[str]:
    return [info.session_id for info in store.sessions(**options)]


def test_a_listed_session(store: Store) -> None:
    store.conversation("s").add([user("hi"), assistant("hello")])
    store.update_session(
        "s", title="T", user_id="u", tags=["a", "b"], metadata={"k": [1, None]}, source="test"
    )
    [info] = store.sessions()
    assert (info.session_id, info.title, info.user_id, info.source) == ("s", "T", "u", "test")
    assert (info.tags, info.metadata) == (["a", "b"], {"k": [1, None]})
    assert (info.item_count, info.run_count, info.first_user_message) == (2, 1, "hi")
    assert info.created_at.tzinfo is UTC
    assert info.created_at <= info.updated_at


@pytest.mark.parametrize(
    ("stored", "search"),
    [
        ("Grüße", "GRÜSSE".replace("SS", "ẞ")),
        ("ÜBER", "über"),
        ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
        ("οδυσσευς", "ΟΔΥΣΣΕΥΣ"),
        ("ПРИВЕТ мир", "привет МИР"),
        ("Cafe\u0301", "CAFÉ"),
        ("ＦＵＬＬ", "ｆｕｌｌ"),
        ("日本語の会話", "会話"),
        ("ქართული", "ქართული"),
        ("😀 hi", "😀"),
        ("nul\0then word", "WORD"),
    ],
)
def test_search_ignores_case_in_every_script(store: Store, stored: str, search: str) -> None:
    """Words are found wherever they stand, in whatever case they are given."""
    store.conversation("other").add([user("nothing")])
    store.conversation(stored).add([user("x")])
    store.conversation("message").add([user(stored)])
    store.update_session("title", title=stored)
    store.update_session("user", user_id=stored)
    store.update_session("tags", tags=["x", stored])
    store.update_session("metadata", metadata={"deep": {"er": [stored]}})
    found = ids(store, search=search)
    assert sorted(found) == sorted(["message", "metadata", "tags", "title", "user", stored])


@pytest.mark.parametrize("text", ["100%", "a_b", "%", "_", "\\", "'", '"', ".*", "$1"])
def test_search_takes_every_character_literally(store: Store, text: str) -> None:
    store.update_session("with", title=f"x {text} y")
    store.update_session("without", title="100 axb")
    assert ids(store, search=text) == ["with"]


def test_filters(rich: Store) -> None:
    """Filters are joined by and; what nothing matches gives an empty list."""
    assert ids(rich, user_id="ada") == ["orders"]
    assert ids(rich, tag="vip") == ["orders"]
    assert ids(rich, tag="vi") == []
    assert ids(rich, tag="vip", user_id="bob") == []
    assert ids(rich, metadata={"plan": "pro"}) == ["orders"]
    assert ids(rich, metadata={"plan": "free"}) == []
    assert ids(rich, search="joke") == ["forked"]
    assert ids(rich, source="nowhere") == []
    assert len(ids(rich, search="")) == len(ids(rich, metadata={})) == 8


@pytest.mark.parametrize(
    "wanted",
    [
        {"text": "ü"},
        {"number": 1},
        {"flag": True},
        {"none": None},
        {"list": [1, 2]},
        {"object": {"b": 2, "a": 1}},
        {"a/b~c": "pointer"},
        {"$.x": "path"},
        {"": "empty"},
        {"text": "ü", "number": 1},
    ],
)
def test_metadata_is_matched_by_key_and_whole_value(store: Store, wanted: dict[str, Any]) -> None:
    metadata = {
        "text": "ü",
        "number": 1,
        "flag": True,
        "none": None,
        "list": [1, 2],
        "object": {"a": 1, "b": 2},
        "a/b~c": "pointer",
        "$.x": "path",
        "": "empty",
    }
    store.update_session("with", metadata=metadata)
    store.update_session("without", metadata={"nested": metadata, "other": True})
    assert ids(store, metadata=wanted) == ["with"]


@pytest.mark.parametrize("wanted", [{"list": 1}, {"list": [1]}, {"object": {"a": 1}}, {"a": 1}])
def test_a_part_of_a_metadata_value_is_no_match(store: Store, wanted: dict[str, Any]) -> None:
    store.update_session("s", metadata={"list": [1, 2], "object": {"a": 1, "b": 2}})
    assert ids(store, metadata=wanted) == []


@pytest.mark.parametrize(
    ("order", "up", "down"),
    [
        ("session_id", "abc", "cba"),
        ("title", "cab", "acb"),  # what has no title comes last both ways
        ("item_count", "cab", "bac"),
        ("run_count", "bca", "acb"),
        ("created_at", "bca", "acb"),
        ("updated_at", "bac", "cab"),
    ],
)
def test_order_and_pages(store: Store, order: str, up: str, down: str) -> None:
    """Every order goes both ways, and pages cut it without gap or overlap."""
    store.conversation("b").add([user("1"), *[assistant("1")] * 4])
    store.conversation("c").add([user("1")])
    store.conversation("c").add([user("2")])
    store.conversation("a").add([user("1"), assistant("1")])
    store.conversation("a").add([user("2")])
    store.conversation("a").add([user("3")])
    store.conversation("c").add([assistant("2")])
    store.update_session("c", title="A")
    store.update_session("a", title="B")
    assert ids(store, order_by=order, descending=False) == list(up)
    assert ids(store, order_by=order, limit=None) == list(down)
    pages = [ids(store, order_by=order, limit=1, offset=number) for number in range(4)]
    assert pages == [[down[0]], [down[1]], [down[2]], []]
    assert ids(store, limit=0) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order_by": "name"}, "order_by is 'name': choose one of updated_at"),
        ({"order_by": "title; drop view items"}, "order_by is"),
        ({"limit": -1}, "limit is -1: give a whole number from 0 up"),
        ({"limit": "10"}, "limit is '10'"),
        ({"limit": 2**63}, "limit is 9223372036854775808"),
        ({"offset": -1}, "offset is -1"),
        ({"offset": None}, "offset is None"),
        ({"search": 7}, "search is 7: give a text"),
        ({"search": "\ud800"}, "search .* lone surrogate"),
        ({"tag": ["a"]}, r"tag is \['a'\]"),
        ({"metadata": {"a": object()}}, "metadata is not JSON"),
        ({"metadata": {1: "a"}}, "a metadata key is 1"),
    ],
)
def test_a_wrong_option_is_named(store: Store, options: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.ArgumentError, match=message):
        store.sessions(**options)


def test_what_describes_a_session_is_set_and_removed(path: Path) -> None:
    """What is not given stays; an empty text, list or dict removes; a reopened store knows."""
    with duckstore.open(path) as store:
        store.conversation("s").add([user("hi")])
        store.update_session("s", title="T", user_id="u", tags=["a"], metadata={"k": 1})
        store.update_session("s", tags=("b", "c"))
    with duckstore.open(path) as store:
        [info] = store.sessions()
        assert (info.title, info.user_id, info.tags, info.metadata) == (
            "T",
            "u",
            ["b", "c"],
            {"k": 1},
        )
        store.update_session("s", title="", user_id="", tags=[], metadata={})
        [info] = store.sessions()
        assert (info.title, info.user_id, info.tags, info.metadata) == (None, None, [], {})
        assert store.conversation("s").items() == [user("hi")]
        assert store.check() == []


def test_describing_a_new_session_makes_it(store: Store) -> None:
    store.update_session("new", title="Soon")
    assert [(info.title, info.item_count) for info in store.sessions()] == [("Soon", 0)]
    store.conversation("new").add([user("hi")])
    assert [(info.title, info.item_count) for info in store.sessions()] == [("Soon", 1)]
    assert store.check() == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"title": 5}, "title is 5: give a text"),
        ({"title": "\ud800"}, "title .* lone surrogate"),
        ({"tags": "vip"}, "tags is the text 'vip': give a list"),
        ({"tags": [1]}, "a tag is 1: give a text"),
        ({"tags": ["\udfff"]}, "a tag .* lone surrogate"),
        ({"metadata": [1]}, r"metadata is \[1\]: give a dict"),
        ({"metadata": {"a": {1, 2}}}, "metadata is not JSON"),
        ({"metadata": {"a": float("nan")}}, "metadata is not JSON"),
        ({"metadata": {"a": "\ud800"}}, "metadata .* lone surrogate"),
    ],
)
def test_a_wrong_description_is_named_and_changes_nothing(
    store: Store, values: dict[str, Any], message: str
) -> None:
    """One bad value would make the whole list unreadable: it never gets in."""
    store.update_session("s", title="T", tags=["a"], metadata={"k": 1})
    with pytest.raises(errors.ArgumentError, match=message):
        store.update_session("s", **{"user_id": "u", **values})
    [info] = store.sessions()
    assert (info.title, info.user_id, info.tags, info.metadata) == ("T", None, ["a"], {"k": 1})


@pytest.mark.parametrize("value", ["\0", "\u2028", "'; drop view items --", "a" * 10_000, "🦆"])
def test_any_text_can_describe_a_session(store: Store, value: str) -> None:
    store.update_session("s", title=value, tags=[value], metadata={value: [value, 2**80]})
    [info] = store.sessions()
    assert (info.title, info.tags, info.metadata) == (value, [value], {value: [value, 2**80]})


# Purging ----------------------------------------------------------------------------------------


def test_purge_leaves_nothing_of_a_session(store: Store) -> None:
    """Its rows are gone from every relation; other sessions stay; the id can be used again."""
    fill(store)
    assert store.purge("edited") is True
    assert store.purge("edited") is False
    assert store.purge("never there") is False
    for relation in RELATIONS:
        if relation not in ("branch_items", "prices"):
            found = store.sql(f"select count(*) from {relation} where session_id = 'edited'")
            assert found.item() == 0, relation
    assert store.sql("select count(*) from sessions").item() == 7
    assert store.check() == []
    store.conversation("edited").add([user("again")])
    assert store.conversation("edited").items() == [user("again")]
    assert store.check() == []
