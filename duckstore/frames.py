"""polars frames over DuckDB results. polars and pyarrow are imported on first use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import duckdb

from duckstore import errors
from duckstore.database import reading
from duckstore.engine import Engine

if TYPE_CHECKING:
    import polars

__all__ = ["frame", "lazy_frame", "statement_of"]


def _polars() -> Any:
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
    """The one statement in `sql`.

    Raises:
        SQLError: It does not parse, or holds none or several statements.
    """
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise errors.SQLError(str(error)) from error
    if len(statements) != 1:
        raise errors.SQLError(
            f"expected one SQL statement and got {len(statements)}: run them one at a time"
        )
    return statements[0]


def frame(engine: Engine, sql: str, parameters: dict[str, Any]) -> polars.DataFrame:
    """Run one reading statement and return its rows as a polars DataFrame.

    Raises:
        SQLError: DuckDB refuses the statement, or it would change the store.
        MissingPackageError: polars or pyarrow is not installed.
    """
    _polars()
    statement_of(sql)
    with reading(engine.connection()) as cursor:
        relation = cursor.sql(sql, params=parameters or None)
        if relation is None:
            raise errors.SQLError("the statement returns no rows: use select")
        result: polars.DataFrame = relation.pl()
        return result


def lazy_frame(engine: Engine, relation: str) -> polars.LazyFrame:
    """A LazyFrame over one relation, read when it is collected.

    Only the columns that the plan needs are read from DuckDB; so is only the number of rows that
    a `head` asks for.
    """
    pl = _polars()
    from polars.io.plugins import register_io_source

    schema = frame(engine, f"select * from {relation} limit 0", {}).schema

    def read(
        with_columns: list[str] | None,
        predicate: polars.Expr | None,
        n_rows: int | None,
        batch_size: int | None,
    ) -> Iterator[polars.DataFrame]:
        columns = ", ".join(f'"{name}"' for name in with_columns) if with_columns else "*"
        rows = f" limit {n_rows}" if n_rows is not None and predicate is None else ""
        data = frame(engine, f"select {columns} from {relation}{rows}", {})
        if predicate is not None:
            data = data.filter(predicate)
        yield data if n_rows is None else data.head(n_rows)

    lazy: polars.LazyFrame = register_io_source(read, schema=pl.Schema(schema), is_pure=False)
    return lazy
