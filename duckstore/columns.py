"""The columns of the relations and their types, in DuckDB, in polars and in an export.

They are the same in every store, so that none is asked for them. A type is the same in SQL, in a
frame and in a Parquet file as far as each of them has it; this is the one place that says what a
type of the one is in the others.
"""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from duckstore.catalogue import empty_store
from duckstore.frames import polars_of
from duckstore.schema import RELATIONS

if TYPE_CHECKING:
    import polars

__all__ = ["ColumnType", "column_types", "polars_schema", "relation_types"]


class ColumnType(NamedTuple):
    """What a column is of."""

    duckdb: str
    polars: str
    """As polars writes it in code, without the name of the package."""
    parquet: str
    """The physical type in an export, and what it stands for."""


_TYPES = {
    kind.duckdb: kind
    for kind in (
        ColumnType("VARCHAR", "String", "BYTE_ARRAY (STRING)"),
        ColumnType("VARCHAR[]", "List(String)", "LIST of BYTE_ARRAY (STRING)"),
        ColumnType("JSON", "String", "BYTE_ARRAY (STRING)"),
        ColumnType("BIGINT", "Int64", "INT64"),
        ColumnType("DOUBLE", "Float64", "DOUBLE"),
        ColumnType("BOOLEAN", "Boolean", "BOOLEAN"),
        ColumnType("DATE", "Date", "INT32 (DATE)"),
        ColumnType(
            "TIMESTAMP WITH TIME ZONE",
            "Datetime('us', 'UTC')",
            "INT64 (TIMESTAMP, microseconds, UTC)",
        ),
    )
}


@cache
def relation_types() -> MappingProxyType[str, MappingProxyType[str, ColumnType]]:
    """Every relation with its columns, in order, and their types.

    Returns:
        relation -> column -> `ColumnType`.
    """
    cursor = empty_store().cursor()
    found = {}
    for relation in RELATIONS:
        columns = cursor.execute(f"describe {relation}").fetchall()
        found[relation] = MappingProxyType({name: _TYPES[kind] for name, kind, *_ in columns})
    return MappingProxyType(found)


def column_types(relation: str) -> dict[str, str]:
    """The DuckDB types of a relation's columns by name."""
    return {name: kind.duckdb for name, kind in relation_types()[relation].items()}


def polars_schema(types: dict[str, str]) -> polars.Schema:
    """What DuckDB types become in a frame.

    Raises:
        MissingPackageError: polars is not installed.
    """
    pl = polars_of()
    dtypes = {
        "List(String)": pl.List(pl.String()),
        "Datetime('us', 'UTC')": pl.Datetime("us", "UTC"),
    }
    schema: polars.Schema = pl.Schema()
    for name, kind in types.items():
        written = _TYPES[kind].polars
        schema[name] = dtypes[written] if written in dtypes else getattr(pl, written)()
    return schema
