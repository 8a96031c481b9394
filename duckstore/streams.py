"""Data frames on their way from the owner of a store to another process.

They go as a stream of Arrow batches, or as Parquet where the owner has no pyarrow: an agent needs
none, and the notebook beside it should not mind. The first bytes tell which of the two it is.
"""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from duckstore.engine import Engine
from duckstore.frames import polars_of, relation_of
from duckstore.rows import Attend

if TYPE_CHECKING:
    import polars

__all__ = ["read_stream", "write_stream"]

BATCH_ROWS = 50_000
"""Rows that go to another process at a time."""
PARQUET_MAGIC = b"PAR1"
CHUNK_BYTES = 1 << 20
# Types that Parquet has not, as DuckDB's own frames have them. A name in quotes is no type.
_CASTS = {"HUGEINT": "decimal(38, 0)", "UUID": "varchar", "JSON": "varchar"}
_TYPE = re.compile(r'"(?:[^"]|"")*"|\b(?:HUGEINT|UUID|JSON)\b')


def write_stream(
    engine: Engine,
    sql: str,
    parameters: Mapping[str, Any] | None,
    attend: Attend[Any],
    sink: Any,
) -> None:
    """Write the rows of a statement into a file-like object.

    Raises:
        SQLError: DuckDB refuses the statement, it does more than read, or polars has no type for
            one of its columns.
    """
    with relation_of(engine, sql, parameters) as (cursor, relation):
        try:
            import pyarrow
        except ImportError:
            _write_parquet(relation, partial(attend, cursor), sink)
            return
        reader = attend(cursor, partial(relation.to_arrow_reader, BATCH_ROWS))
        with pyarrow.ipc.new_stream(sink, reader.schema) as stream:
            while True:
                try:
                    batch = attend(cursor, reader.read_next_batch)
                except StopIteration:
                    return
                stream.write_batch(batch)


def _write_parquet(relation: duckdb.DuckDBPyRelation, attend: Any, sink: Any) -> None:
    columns = ", ".join(_cast(n, str(kind)) for n, kind in enumerate(relation.types, start=1))
    names = relation.columns
    with tempfile.TemporaryDirectory(prefix="duckstore-") as folder:
        path = Path(folder) / "rows.parquet"
        named = relation.project(columns).select(*_renamed(names))
        attend(partial(named.write_parquet, str(path), compression="zstd"))
        with path.open("rb") as file:
            while part := file.read(CHUNK_BYTES):
                sink.write(part)


def _cast(number: int, kind: str) -> str:
    kind = _TYPE.sub(lambda match: _CASTS.get(match[0], match[0]), kind)
    return f"#{number}::{kind} as c{number}"


def _renamed(names: Iterable[str]) -> list[Any]:
    return [
        duckdb.ColumnExpression(f"c{number}").alias(name)
        for number, name in enumerate(names, start=1)
    ]


def read_stream(source: io.BufferedReader) -> polars.DataFrame:
    """The frame that `write_stream` wrote.

    Raises:
        MissingPackageError: polars or pyarrow is not installed here.
    """
    pl = polars_of()
    if source.peek(len(PARQUET_MAGIC))[: len(PARQUET_MAGIC)] == PARQUET_MAGIC:
        parquet: polars.DataFrame = pl.read_parquet(io.BytesIO(source.read()))
        return parquet
    import pyarrow

    with pyarrow.ipc.open_stream(source) as stream:
        result: polars.DataFrame = pl.from_arrow(stream.read_all())
        return result
