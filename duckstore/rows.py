"""Rows of a query as plain Python values, for those who do without data frames.

DuckDB hands some types over through packages that nothing installs (pytz for timestamptz), and
others as objects that lose something (an infinite timestamp, a nanosecond). So every type that
Python has no exact value for is cast to text by DuckDB itself, inside lists and structs too;
timestamps become ISO 8601. polars and pyarrow are not needed here.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import duckdb
from duckdb.sqltypes import DuckDBPyType

from duckstore import errors

__all__ = ["Attend", "Readable", "Rows", "fetch", "interruptible"]

_T = TypeVar("_T")
_Reader = Callable[[Any], Any]

_NUMBERS = {
    *("tinyint", "smallint", "integer", "bigint", "hugeint"),
    *("utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"),
    *("float", "double", "decimal"),
}
_NATIVE = _NUMBERS | {"boolean", "varchar"}
_MOMENT = re.compile(r"(\d{4,}-\d\d-\d\d) (\d\d:\d\d:\d\d)(\.\d+)?(\+00)?")


class Readable(Protocol):
    """What can be asked in SQL: an engine, or the files of an export."""

    def reading(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """A cursor on one consistent state. DuckDB's errors become SQLError."""
        ...


@dataclass(frozen=True, slots=True)
class Rows:
    """The result of a query."""

    columns: tuple[str, ...]
    """Names; no two are the same."""
    types: tuple[str, ...]
    """DuckDB's types, before anything was cast."""
    rows: list[tuple[Any, ...]]
    """None, booleans, numbers, texts, and lists and dicts of them."""


Attend = Callable[[duckdb.DuckDBPyConnection, Callable[[], _T]], _T]
"""Has some work of a cursor done, and stops the cursor where nobody wants the result any more."""


def fetch(
    engine: Readable,
    sql: str,
    parameters: Mapping[str, Any] | None = None,
    attend: Attend[Any] | None = None,
) -> Rows:
    """Run one statement that reads.

    Args:
        engine: The store to ask.
        sql: The statement; `$name` in it takes the parameter of that name. One of a user's must
            have passed `statement_of`. (Parsing a statement by itself costs 20 ms, a twentieth of
            what the program may take to start.)
        parameters: Values to bind.
        attend: Watches over the work; by default for Ctrl-C.

    Returns:
        All rows. Timestamps are ISO 8601 texts (those with a time zone in UTC, ending in Z), JSON
        is decoded, and types that Python lacks are the texts that DuckDB writes.

    Raises:
        SQLError: DuckDB refuses the statement.
        KeyboardInterrupt: Ctrl-C was pressed while DuckDB was at work.
    """
    with engine.reading() as cursor:
        relation = cursor.sql(sql, params=dict(parameters) if parameters else None)
        if relation is None:
            raise errors.SQLError("the statement returns no rows: use select")
        names, types = list(relation.columns), list(relation.types)
        casts = ", ".join(f"#{n}::{_target(kind)}" for n, kind in enumerate(types, start=1))
        found = (attend or interruptible)(cursor, relation.project(casts).fetchall)
    readers = [_reader(kind) for kind in types]
    return Rows(
        columns=_distinct(names),
        types=tuple(map(str, types)),
        rows=[
            tuple(read(value) if read else value for read, value in zip(readers, row, strict=True))
            for row in found
        ],
    )


def interruptible(cursor: duckdb.DuckDBPyConnection, work: Callable[[], _T]) -> _T:
    """Do the work, and stop DuckDB on Ctrl-C: inside a transaction it does not look for that."""
    if threading.current_thread() is not threading.main_thread():
        return work()  # only the main thread is told of Ctrl-C
    with ThreadPoolExecutor(1) as worker:
        result = worker.submit(work)
        try:
            # One that waits without end is not told of Ctrl-C once polars is imported.
            while not result.done():
                wait([result], timeout=0.1)
            return result.result()
        except KeyboardInterrupt:
            while not result.done():  # an interrupt before the query began has no effect
                cursor.interrupt()
                wait([result], timeout=0.05)
            raise


def _distinct(names: list[str]) -> tuple[str, ...]:
    """The names, with a number after those that stand before already."""
    found: list[str] = []
    for name in names:
        distinct, number = name, 1
        while distinct in found:
            distinct, number = f"{name}_{number}", number + 1
        found.append(distinct)
    return tuple(found)


def _children(kind: Any) -> dict[str, Any] | None:
    """The parts of a nested type, or None where it is to be handed over as one text."""
    if kind.id not in ("list", "array", "struct", "map"):
        return None
    parts = dict(kind.children)
    if kind.id == "struct" and (len(parts) != len(kind.children) or "" in parts):
        return None  # a row without names
    if kind.id == "map" and parts["key"].id not in _NATIVE | {"enum", "uuid"}:
        return None  # no key of a dict
    return parts


def _target(kind: DuckDBPyType) -> str:
    """The type that a value is cast to before Python gets it."""
    parts = _children(kind)
    if parts is None:
        is_native = kind.id in _NATIVE and str(kind) != "JSON"
        return str(kind) if is_native else "VARCHAR"
    if kind.id == "list":
        return f"{_target(parts['child'])}[]"
    if kind.id == "array":
        return f"{_target(parts['child'])}[{parts['size']}]"
    if kind.id == "map":
        return f"MAP({_target(parts['key'])}, {_target(parts['value'])})"
    fields = (f'"{name.replace(chr(34), chr(34) * 2)}" {_target(p)}' for name, p in parts.items())
    return f"STRUCT({', '.join(fields)})"


def _reader(kind: DuckDBPyType) -> _Reader | None:
    """What turns the cast value into the one that is returned; None where it stays as it is."""
    if str(kind) == "JSON":
        return _decoded
    if kind.id.startswith("timestamp"):
        return _moment
    parts = _children(kind)
    if parts is None:
        return None
    if kind.id == "struct":
        readers = {name: _reader(part) or _same for name, part in parts.items()}
        return lambda value: value and {name: read(value[name]) for name, read in readers.items()}
    read = _reader(parts["value" if kind.id == "map" else "child"]) or _same
    if kind.id == "map":
        return lambda value: value and {key: read(part) for key, part in value.items()}
    # DuckDB hands arrays over as tuples.
    return lambda value: value if value is None else [read(part) for part in value]


def _same(value: Any) -> Any:
    return value


def _moment(text: str | None) -> str | None:
    """A timestamp in ISO 8601. Infinity and years before Christ stay as DuckDB writes them."""
    match = _MOMENT.fullmatch(text) if text is not None else None
    if match is None:
        return text
    # DuckDB leaves out zeros at the end; with them the texts sort as the times do.
    fraction = match[3].ljust(7, "0") if match[3] else ""
    return f"{match[1]}T{match[2]}{fraction}{'Z' if match[4] else ''}"


def _decoded(text: str | None) -> Any:
    """A JSON value; its text where Python cannot hold it (too deep, too long a number)."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
