"""polars frames over DuckDB results. polars and pyarrow are imported on first use."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import duckdb

from duckstore import errors
from duckstore.pushdown import push
from duckstore.rows import Attend, Readable, interruptible

if TYPE_CHECKING:
    import polars

    _Frames = Iterator[polars.DataFrame]

__all__ = ["BATCH_ROWS", "frame", "lazy_frame", "polars_of", "relation_of", "statement_of"]

BATCH_ROWS = 50_000
"""Rows of a batch, where nobody says how many."""


def polars_of() -> Any:
    """The package polars. Raises MissingPackageError where it or pyarrow is not installed."""
    try:
        import polars
        import pyarrow  # noqa: F401  # DuckDB hands its results over through it
    except ImportError as error:
        raise errors.MissingPackageError(
            f"{error.name} is needed for data frames and is not installed: "
            "pip install 'duckstore[polars]'"
        ) from error
    return polars


def statement_of(sql: str) -> duckdb.Statement:
    """The one reading statement in `sql`: select, values, describe, summarize, show or explain.

    A read-only transaction keeps statements from changing the store's tables, but not from
    writing files (copy, export), attaching databases or changing settings for all who use the
    store. So only statements that read are let through.

    Raises:
        SQLError: It does not parse, holds none or several statements, or does not only read.
    """
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise errors.SQLError(str(error)) from error
    except TypeError as error:  # also for a text that is no UTF-8
        raise errors.SQLError(f"{sql!r} is no SQL text: give one statement as a string") from error
    if len(statements) != 1:
        raise errors.SQLError(
            f"expected one SQL statement and got {len(statements)}: run them one at a time"
        )
    kind = _kind(statements[0])
    if kind not in _READING:
        raise errors.SQLError(_REFUSALS.get(kind, _REFUSAL).format(kind=kind))
    return statements[0]


# A pivot is MULTI: DuckDB finds its columns first.
_READING = ("SELECT", "EXPLAIN", "MULTI")
_REFUSAL = (
    "{kind} is not allowed: a store is changed through its sessions, not by SQL. Only reading is "
    "allowed: select, from, values, describe, summarize, show, explain"
)
_WRITES_FILES = (
    "{kind} is not allowed, since it writes files: write the data frame that a select gives, or "
    "use Store.export_parquet"
)
_CALLS = (
    "{kind} is not allowed, since it may change the store: select from the table function, as in "
    "\"select * from pragma_table_info('items')\""
)
_REFUSALS = {"COPY": _WRITES_FILES, "EXPORT": _WRITES_FILES, "CALL": _CALLS, "PRAGMA": _CALLS}
_EXPLAIN = re.compile(r"explain\s*(?:analyze\b\s*)?(?:\([^()]*\)\s*)?", re.IGNORECASE)


def _kind(statement: duckdb.Statement) -> str:
    """What kind of statement it is; for `explain`, which may run it, what is explained."""
    if statement.type != duckdb.StatementType.EXPLAIN:
        return statement.type.name
    try:
        explained = duckdb.extract_statements(_EXPLAIN.sub("", statement.query, count=1))
    except duckdb.Error:
        return "EXPLAIN with a comment in it"
    return explained[0].type.name if len(explained) == 1 else "EXPLAIN of nothing"


def frame(
    engine: Readable,
    sql: str,
    parameters: Mapping[str, Any] | None,
    attend: Attend[Any] = interruptible,
) -> polars.DataFrame:
    """Run one reading statement and return its rows as a polars DataFrame.

    Raises:
        SQLError: DuckDB refuses the statement, it does more than read, or polars has no type for
            one of its columns.
        MissingPackageError: polars or pyarrow is not installed.
    """
    polars_of()
    with relation_of(engine, sql, parameters) as (cursor, relation):
        result: polars.DataFrame = attend(cursor, relation.pl)
        return result


@contextmanager
def relation_of(
    engine: Readable, sql: str, parameters: Mapping[str, Any] | None
) -> Iterator[tuple[duckdb.DuckDBPyConnection, duckdb.DuckDBPyRelation]]:
    """One reading statement whose rows polars can hold, with its cursor.

    Raises:
        SQLError: DuckDB refuses it, it does more than read, or polars has no type for a column.
    """
    statement_of(sql)
    with engine.reading() as cursor:
        relation = cursor.sql(sql, params=dict(parameters) if parameters else None)
        if relation is None:
            raise errors.SQLError("the statement returns no rows: use select")
        for column, kind in zip(relation.columns, map(str, relation.types), strict=True):
            if _FOREIGN.search(kind):
                raise errors.SQLError(
                    f"column {column!r} is of type {kind}, which data frames do not have: cast it, "
                    "to varchar or, for an interval, with epoch(...) to seconds"
                )
        yield cursor, relation


# Fails, or arrives as bytes that nothing reads.
_FOREIGN = re.compile(r"\b(?:INTERVAL|UNION|VARIANT|BIGNUM|BIT)\b")


def lazy_frame(
    relation: str,
    types: Mapping[str, str],
    schema: polars.Schema,
    ask: Callable[[str, Mapping[str, Any]], polars.DataFrame],
    ask_in_batches: Callable[[str, Mapping[str, Any], int], AbstractContextManager[_Frames]],
) -> polars.LazyFrame:
    """A LazyFrame over one relation, read when it is collected.

    DuckDB reads the columns that the plan needs and no others, keeps the rows that it can filter
    as polars would (see `duckstore.pushdown`), and gives as many as a `head` asks for. What else
    is to be filtered is filtered batch by batch.

    Args:
        relation: One of `RELATIONS`.
        types: The DuckDB types of its columns by name.
        schema: The same in polars.
        ask: Runs a statement with parameters.
        ask_in_batches: The same for frames of so many rows.
    """
    from polars.io.plugins import register_io_source

    def read(
        with_columns: list[str] | None,
        predicate: polars.Expr | None,
        n_rows: int | None,
        batch_size: int | None,
    ) -> Iterator[polars.DataFrame]:
        pushed = push(predicate, types)
        columns = ", ".join(f'"{name}"' for name in with_columns or types)
        # Of the first rows those that the filter keeps: polars asks for both in this order.
        rows = relation if n_rows is None else f"(from {relation} limit {n_rows})"
        sql = f"select {columns} from {rows}"
        if pushed.condition is not None:
            sql += f" where {pushed.condition}"
        if batch_size is None and pushed.rest is None:
            yield ask(sql, pushed.parameters)
            return
        with ask_in_batches(sql, pushed.parameters, batch_size or BATCH_ROWS) as batches:
            for batch in batches:
                yield batch if pushed.rest is None else batch.filter(pushed.rest)

    lazy: polars.LazyFrame = register_io_source(read, schema=schema)
    return lazy
