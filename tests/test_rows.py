"""Rows as plain Python values, whatever type DuckDB has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from duckstore import errors
from duckstore.access import Access
from duckstore.registry import acquire, release
from duckstore.rows import Rows
from duckstore.settings import Settings

# One SQL expression of every awkward type, with the value that it must arrive as.
VALUES: list[tuple[str, Any]] = [
    ("null", None),
    ("true", True),
    ("10::hugeint * 10::hugeint ** 20", 10.0**21),
    ("170141183460469231731687303715884105727::hugeint", 2**127 - 1),
    ("1.50", Decimal("1.50")),
    ("timestamptz '2026-01-31 14:00:00.25+02'", "2026-01-31T12:00:00.250000Z"),
    ("timestamptz '2026-01-31 12:00:00'", "2026-01-31T12:00:00Z"),
    ("timestamp '2026-01-31 12:00:00'", "2026-01-31T12:00:00"),
    ("timestamp_ns '2026-01-31 12:00:00.123456789'", "2026-01-31T12:00:00.123456789"),
    ("'infinity'::timestamptz", "infinity"),
    ("'0044-03-15 (BC) 10:00:00'::timestamp", "0044-03-15 (BC) 10:00:00"),
    ("date '2026-01-31'", "2026-01-31"),
    ("time '01:02:03'", "01:02:03"),
    ("interval '1 day 2 hours'", "1 day 02:00:00"),
    ("'\\xff\\x00a'::blob", "\\xFF\\x00a"),
    ("'10101'::bit", "10101"),
    ("'a'::enum ('a', 'b')", "a"),
    ("'00000000-0000-0000-0000-00000000000a'::uuid", "00000000-0000-0000-0000-00000000000a"),
    ("union_value(n := 2)", "2"),
    ("[timestamptz '2026-01-31 12:00:00', null]", ["2026-01-31T12:00:00Z", None]),
    ("[1, 2]::int[2]", [1, 2]),
    (
        """{'a "b"': [date '2026-01-31'], 'at': timestamp '2026-01-31 00:00:00'}""",
        {'a "b"': ["2026-01-31"], "at": "2026-01-31T00:00:00"},
    ),
    ("map {'x': timestamptz '2026-01-31 12:00:00'}", {"x": "2026-01-31T12:00:00Z"}),
    ("map {[1]: 2}", "{[1]=2}"),
    ("row(1, 2)", "(1, 2)"),
    ("""'{"a": [1, null]}'::json""", {"a": [1, None]}),
    ("""['{"a": 1}'::json]""", [{"a": 1}]),
    ('null::struct("at" timestamptz)', None),
    ("null::timestamptz[]", None),
    ("null::json", None),
]


def select(access: Access, sql: str, parameters: dict[str, Any] | None = None) -> Rows:
    return access.rows(sql, parameters, is_foreign=True)


@pytest.fixture
def access() -> Iterator[Access]:
    opened = acquire(":memory:", Settings())
    yield opened
    release(opened)


@pytest.mark.parametrize(("expression", "value"), VALUES, ids=[text for text, _ in VALUES])
def test_every_type_arrives_as_a_plain_value(access: Access, expression: str, value: Any) -> None:
    assert select(access, f"select {expression} as x").rows == [(value,)]


def test_every_value_can_be_written_as_json(access: Access) -> None:
    """Nothing but None, booleans, numbers, texts, lists and dicts comes out."""
    found = select(access, f"select {', '.join(text for text, _ in VALUES)}")
    json.dumps([str(v) if isinstance(v, Decimal) else v for v in found.rows[0]], allow_nan=False)
    assert len(found.rows[0]) == len(VALUES)


def test_columns_of_one_name_are_told_apart(access: Access) -> None:
    found = select(access, "select 1 as a, 2 as a, 3 as a_1, 4 as a")
    assert found.columns == ("a", "a_1", "a_1_1", "a_2")
    assert found.rows == [(1, 2, 3, 4)]


def test_parameters_are_bound_and_the_order_is_kept(access: Access) -> None:
    sql = "select range as n, $word as word from range($count) order by n desc"
    found = select(access, sql, {"word": "'; drop", "count": 3})
    assert found.rows == [(2, "'; drop"), (1, "'; drop"), (0, "'; drop")]
    assert found.types == ("BIGINT", "VARCHAR")


@pytest.mark.parametrize("sql", ["describe items", "show tables", "explain select 1", "values (1)"])
def test_every_reading_statement_gives_rows(access: Access, sql: str) -> None:
    assert select(access, sql).rows


@pytest.mark.parametrize(
    "sql",
    [
        *("", "selec 1", "select nothing", "select 1; select 2", "delete from item_rows"),
        *("copy (select 1) to 'x.csv'", "select $missing", "select '\udcff'", "select 'a'::int"),
    ],
)
def test_what_cannot_be_read_is_an_sql_error(access: Access, sql: str) -> None:
    with pytest.raises(errors.SQLError):
        select(access, sql)
