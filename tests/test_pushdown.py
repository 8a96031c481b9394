"""A filter that DuckDB does keeps the rows that polars would keep, and no others."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duckstore.columns import polars_schema
from duckstore.frames import lazy_frame
from duckstore.pushdown import MOST_LISTED, Pushed, push

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
VALUES: dict[str, list[Any]] = {
    "whole": [None, 0, 1, -1, 2, 2**53, 2**53 + 1, 2**63 - 1, -(2**63) + 1],
    "fraction": [None, 0.0, -0.0, 1.0, 0.1, 1e-320, 2.0**53, 1e308, *map(float, ("nan", "inf"))],
    "text": [
        *(None, "", "a", "A", "ab", "ba", "a%", "a_b", "ä", "a\u0308", "ß", "\U0001f600"),
        *("a\0b", "\0", " a", "(a)", "a.b", "$scan_0", "\ufffd", "null", "a\nb"),
    ],
    "json": [None, "null", "{}", '{"a": 1}', '"a"', "1"],
    "truth": [None, True, False],
    "moment": [
        None,
        NOON,
        NOON + timedelta(microseconds=1),
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    ],
    "day": [None, date(2026, 3, 1), date(1, 1, 1), date(9999, 12, 31), date(1969, 12, 31)],
    "texts": [None, [], ["a"], ["a", None]],
}
TYPES = {
    "number": "BIGINT",
    "whole": "BIGINT",
    "fraction": "DOUBLE",
    "text": "VARCHAR",
    "json": "JSON",
    "truth": "BOOLEAN",
    "moment": "TIMESTAMP WITH TIME ZONE",
    "day": "DATE",
    "texts": "VARCHAR[]",
    "other_whole": "BIGINT",
    "other_text": "VARCHAR",
}
ROW_COUNT = 61
"""A prime, so that the values of two columns meet in every combination of neighbours."""

c = pl.col
Asked = list[tuple[str, Mapping[str, Any]]]


@pytest.fixture(scope="module")
def table() -> Iterator[duckdb.DuckDBPyConnection]:
    """A table of values that are awkward to compare."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        columns = ", ".join(f'"{name}" {kind}' for name, kind in TYPES.items())
        connection.execute(f"create table odd ({columns})")
        rows = [
            (
                number,
                *(values[number * 7 % len(values)] for values in VALUES.values()),
                VALUES["whole"][number * 5 % len(VALUES["whole"])],
                VALUES["text"][number * 11 % len(VALUES["text"])],
            )
            for number in range(ROW_COUNT)
        ]
        connection.executemany(f"insert into odd values ({', '.join('?' * len(TYPES))})", rows)
        yield connection


def scan(connection: duckdb.DuckDBPyConnection, asked: Asked) -> pl.LazyFrame:
    """The table as a scan, which notes what is asked."""

    def ask(sql: str, parameters: Mapping[str, Any]) -> pl.DataFrame:
        asked.append((sql, parameters))
        found: pl.DataFrame = connection.sql(sql, params=dict(parameters) or None).pl()
        return found

    @contextmanager
    def ask_in_batches(
        sql: str, parameters: Mapping[str, Any], rows: int
    ) -> Iterator[Iterator[pl.DataFrame]]:
        yield iter(ask(sql, parameters).iter_slices(7))

    return lazy_frame("odd", TYPES, polars_schema(TYPES), ask, ask_in_batches)


# Random filters ---------------------------------------------------------------------------------

COMPARISONS = (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)


def literals(name: str) -> st.SearchStrategy[Any]:
    return st.sampled_from([value for value in VALUES[name] if value is not None])


def lists(name: str) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(VALUES[name]), min_size=1, max_size=4)


def compared(name: str) -> st.SearchStrategy[pl.Expr]:
    comparisons = st.sampled_from(COMPARISONS)
    either = st.one_of(literals(name), st.just(c(name)))
    missing = st.sampled_from([pl.Expr.eq_missing, pl.Expr.ne_missing])
    closed = st.sampled_from(["both", "left", "right", "none"])
    return st.one_of(
        st.builds(lambda compare, value: compare(c(name), value), comparisons, either),
        st.builds(lambda compare, value: compare(c(name), value), missing, either),
        st.builds(
            lambda low, high, closed: c(name).is_between(pl.lit(low), pl.lit(high), closed=closed),
            literals(name),
            literals(name),
            closed,
        ),
        st.builds(
            lambda values, is_equal: c(name).is_in(
                pl.Series(values, dtype=polars_schema(TYPES)[name]).implode(), nulls_equal=is_equal
            ),
            lists(name),
            st.booleans(),
        ),
    )


def found_in(name: str) -> st.SearchStrategy[pl.Expr]:
    ways: list[Callable[[Any, str], pl.Expr]] = [
        lambda text, part: text.str.starts_with(part),
        lambda text, part: text.str.ends_with(part),
        lambda text, part: text.str.contains(part, literal=True),
        lambda text, part: text.str.contains(part, strict=False),
    ]
    return st.builds(lambda way, part: way(c(name), part), st.sampled_from(ways), literals("text"))


SIMPLE = st.one_of(
    *(compared(name) for name in ("whole", "fraction", "text", "json", "truth", "moment", "day")),
    found_in("text"),
    found_in("json"),
    st.sampled_from([c(name).is_null() for name in TYPES]),
    st.sampled_from([c(name).is_not_null() for name in TYPES]),
    st.sampled_from(
        [
            c("truth"),
            c("whole") == c("other_whole"),
            c("text") < c("other_text"),
            c("text").ne_missing(c("other_text")),
            c("whole") < 0.5,
            c("whole") == 2.0**53,
            c("whole").cast(pl.Float64) >= c("fraction"),
            c("whole") > 2**70,
            c("moment") > pl.datetime(2026, 3, 1, 12, time_zone="UTC"),
            c("text") == pl.lit(None, dtype=pl.String),
            pl.lit(True),
            # What DuckDB is not asked for.
            c("text").str.len_chars() > 1,
            c("number") + 1 > 7,
            c("texts").list.len() > 0,
            c("moment").dt.year() == 2026,
            c("fraction").is_nan(),
        ]
    ),
)
FILTERS = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.builds(operator.and_, inner, inner),
        st.builds(operator.or_, inner, inner),
        st.builds(operator.invert, inner),
        st.builds(operator.xor, inner, inner),
    ),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(
    predicate=FILTERS,
    before=st.none() | st.integers(1, ROW_COUNT),
    after=st.none() | st.integers(1, ROW_COUNT),
    is_streaming=st.booleans(),
)
def test_a_scan_keeps_what_polars_keeps(
    table: duckdb.DuckDBPyConnection,
    predicate: pl.Expr,
    before: int | None,
    after: int | None,
    is_streaming: bool,
) -> None:
    """Whatever is filtered by, whoever filters, and whether before a `head`, after one or both."""

    def kept(frame: pl.LazyFrame) -> pl.LazyFrame:
        frame = frame if before is None else frame.head(before)
        frame = frame.filter(predicate)
        return frame if after is None else frame.head(after)

    whole: pl.DataFrame = table.sql("from odd order by number").pl()
    found = kept(scan(table, [])).collect(engine="streaming" if is_streaming else "in-memory")
    assert found.equals(kept(whole.lazy()).collect())


# What is asked ----------------------------------------------------------------------------------

PUSHED = {
    "text": (c("text") == "a", '("text" = $scan_0)'),
    "whole": (c("whole") >= 3, '("whole" >= $scan_0)'),
    "whole and fraction": (c("whole") > 0.5, '("whole"::double > $scan_0)'),
    "moment": (c("moment") < NOON, '("moment" < $scan_0)'),
    "moment in parts": (
        c("moment") < pl.datetime(2026, 3, 1, time_zone="UTC"),
        '("moment" < $scan_0)',
    ),
    "day": (c("day") != date(2026, 3, 1), '("day" <> $scan_0)'),
    "json": (c("json").str.contains("a"), '(contains("json"::varchar, $scan_0))'),
    "truth": (~c("truth"), '(not "truth")'),
    "null": (c("texts").is_null(), '("texts" is null)'),
    "missing": (c("text").eq_missing("a"), '("text" is not distinct from $scan_0)'),
    "in": (c("text").is_in(["a", None]), '("text" in ($scan_0))'),
    "in, with null": (
        c("text").is_in(["a", None], nulls_equal=True),
        '(coalesce("text" in ($scan_0), True))',
    ),
    "between": (
        c("whole").is_between(1, 2, closed="left"),
        '("whole" >= $scan_0 and "whole" < $scan_1)',
    ),
    "start": (c("text").str.starts_with("a%"), '(starts_with("text", $scan_0))'),
    "end": (c("text").str.ends_with("a"), '(ends_with("text", $scan_0))'),
    "part": (c("text").str.contains("a.b", literal=True), '(contains("text", $scan_0))'),
    "columns": (c("text") == c("other_text"), '("text" = "other_text")'),
    "or": ((c("whole") > 1) | c("truth"), '(("whole" > $scan_0) or "truth")'),
}


def given_to(table: duckdb.DuckDBPyConnection, predicate: pl.Expr) -> Asked:
    asked: Asked = []
    scan(table, asked).filter(predicate).collect()
    return asked


@pytest.mark.parametrize("name", PUSHED)
def test_what_duckdb_is_asked_to_filter_by(table: duckdb.DuckDBPyConnection, name: str) -> None:
    """The condition stands in the SQL, and its values are bound."""
    predicate, condition = PUSHED[name]
    ((sql, parameters),) = given_to(table, predicate)
    assert sql.partition(" where ")[2] == condition
    assert len(parameters) == condition.count("$")


LEFT = {
    "pattern": c("text").str.contains("a.b"),
    "any case": c("text").str.contains("(?i)a"),
    "function": c("text").str.to_lowercase() == "a",
    "sum": c("whole") + 1 > 2,
    "bits": (c("whole") & 1) == 1,
    "cast": c("text").cast(pl.Int64, strict=False) == 1,
    "choice": pl.when(c("truth")).then(c("whole")).otherwise(0) > 0,
    "exclusive": c("truth") ^ (c("whole") > 1),
    "not a number": c("fraction") == float("nan"),
    "no end": c("fraction") < float("inf"),
    "list": c("texts").list.contains("a"),
    "window": c("whole") > c("whole").mean(),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_polars_filters_itself(table: duckdb.DuckDBPyConnection, name: str) -> None:
    """What DuckDB might do in another way is not asked of it, and what stands beside it is."""
    ((sql, _),) = given_to(table, LEFT[name])
    assert " where " not in sql
    ((sql, _),) = given_to(table, (c("number") > 3) & LEFT[name])
    assert sql.partition(" where ")[2] in ('("number" > $scan_0)', "")
    if name != "window":  # polars does not hand it to a scan, nor what would change it
        assert " where " in sql


def test_parts_of_a_filter_have_values_of_their_own(table: duckdb.DuckDBPyConnection) -> None:
    predicate = (c("whole") == 1) & (c("text").str.len_chars() == 1) & (c("text") == "a")
    ((sql, parameters),) = given_to(table, predicate)
    condition = sql.partition(" where ")[2]
    assert sorted(parameters.values(), key=str) == [1, "a"]
    for name, value in parameters.items():
        column = "whole" if value == 1 else "text"
        assert f'"{column}" = ${name}' in condition


def test_a_long_list_is_one_value(table: duckdb.DuckDBPyConnection) -> None:
    """A statement does not grow with what is looked for, and finds the same."""
    values = [None, *range(MOST_LISTED + 1)]
    for predicate in (c("whole").is_in(values), ~c("whole").is_in(values)):
        ((_, parameters),) = given_to(table, predicate)
        assert len(parameters) == 1
        kept = scan(table, []).filter(predicate).collect()
        whole: pl.DataFrame = table.sql("from odd").pl()
        assert kept.height > 0
        assert kept.sort("number").equals(whole.filter(predicate).sort("number"))


def test_a_moment_of_another_time_zone_is_the_same_moment(
    table: duckdb.DuckDBPyConnection,
) -> None:
    there = NOON.astimezone(timezone(timedelta(hours=-7)))
    ((_, parameters),) = given_to(table, c("moment") == there)
    assert parameters == {"scan_0": NOON}


def test_a_head_is_asked_for(table: duckdb.DuckDBPyConnection) -> None:
    """Also together with a filter that DuckDB does; and not before one that polars does."""
    asked: Asked = []
    lazy = scan(table, asked)
    assert lazy.head(3).collect().height == 3
    assert asked.pop()[0].endswith("from (from odd limit 3)")
    for predicate in (c("number") > 1, c("number") + 0 > 1):
        assert lazy.head(4).filter(predicate).collect()["number"].to_list() == [2, 3]
    is_long = c("text").str.len_chars() > 1
    whole: pl.DataFrame = table.sql("from odd").pl()
    for predicate in (is_long, c("whole") > 0):
        kept = lazy.filter(predicate).head(4).collect()
        assert kept.height == 4
        assert kept.join(whole.filter(predicate), on="number", how="anti").is_empty()


def test_only_columns_of_the_plan_are_asked_for(table: duckdb.DuckDBPyConnection) -> None:
    asked: Asked = []
    lazy = scan(table, asked)
    lazy.select("day").collect()
    lazy.group_by("truth").agg(c("whole").sum()).collect()
    lazy.filter(c("whole") > 1).select("number").collect()
    lazy.select(pl.len()).collect()
    columns = [sql.removeprefix("select ").partition(" from ")[0] for sql, _ in asked]
    assert columns[:3] == ['"day"', '"whole", "truth"', '"number", "whole"']
    assert columns[3].count('"') == 2


# Forms of another polars ------------------------------------------------------------------------


class Form:
    """An expression that polars writes down in some way."""

    class meta:  # noqa: N801
        form = ""

        @classmethod
        def serialize(cls, format: str) -> str:  # noqa: A002
            return cls.form

        @classmethod
        def pop(cls) -> list[Any]:
            raise AssertionError("it is no `and`")


@pytest.mark.parametrize(
    "form",
    [
        "",
        "null",
        "[]",
        '"Column"',
        '{"Column": "unknown"}',
        '{"Column": "texts"}',
        '{"Column": "whole"}',
        '{"Column": ["truth"]}',
        '{"Column": "truth", "Other": 1}',
        '{"Else": {"Column": "truth"}}',
        '{"BinaryExpr": {"left": {"Column": "truth"}, "op": "Eq"}}',
        '{"BinaryExpr": {"left": {"Column": "whole"}, "op": "Else", "right": {"Column": "whole"}}}',
        '{"BinaryExpr": {"left": {"Column": "whole"}, "op": "Or", "right": {"Column": "whole"}}}',
        '{"BinaryExpr": {"left": {"Column": "whole"}, "op": "Eq", "right": {"Column": "text"}}}',
        '{"Function": {"input": [{"Column": "whole"}], "function": "Not"}}',
        '{"Function": {"input": [{"Column": "whole"}], "function": {"Boolean": "Not"}}}',
        '{"Function": {"input": [], "function": {"Boolean": "Not"}}}',
        '{"Function": {"input": [{"Column": "truth"}], "function": {"Boolean": "Else"}}}',
        '{"Function": {"input": [{"Column": "truth"}, {"Column": "truth"}],'
        ' "function": {"Boolean": {"IsIn": {"nulls_equal": false}}}}}',
        '{"Cast": {"expr": {"Column": "truth"}, "dtype": {"Literal": "Boolean"}}}',
        '{"Literal": {"Scalar": {"Else": 1}}}',
    ],
)
def test_a_form_that_is_not_known_is_left_to_polars(form: str) -> None:
    """polars may write expressions down in another way from one version to the next."""
    Form.meta.form = form
    predicate: Any = Form()
    assert push(predicate, TYPES) == Pushed(None, {}, predicate)


def test_a_hint_of_polars_is_no_filter() -> None:
    """For `sort().head()` it may tell which rows cannot count; it keeps the others itself."""
    Form.meta.form = '{"Display": {"inputs": [], "fmt_str": "dynamic_pred: 1"}}'
    predicate: Any = Form()
    assert push(predicate, TYPES) == Pushed(None, {}, None)


def test_without_a_filter_nothing_is_pushed() -> None:
    assert push(None, TYPES) == Pushed(None, {}, None)
