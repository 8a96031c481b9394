"""Data frames on their way from the owner of a store to another process, or to be read in batches.

They go as a stream of Arrow batches, or as Parquet where the owner has no pyarrow: an agent needs
none, and the notebook beside it should not mind. The first bytes tell which of the two it is.
"""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from duckstore import errors
from duckstore.frames import BATCH_ROWS, polars_of, relation_of
from duckstore.rows import Attend, Readable
from duckstore.spool import BegunAnew, Spool

if TYPE_CHECKING:
    import polars
    import pyarrow

__all__ = ["Batches", "fill_spool", "put_aside", "read_stream", "write_stream"]

SMALL_BATCH_ROWS = 8192
"""Rows that are put aside at a time: so many are in memory on the way, texts and all."""
PARQUET_MAGIC = b"PAR1"
CHUNK_BYTES = 1 << 20
# Types that Parquet has not, as DuckDB's own frames have them. A name in quotes is no type.
_CASTS = {"HUGEINT": "decimal(38, 0)", "UUID": "varchar", "JSON": "varchar"}
_TYPE = re.compile(r'"(?:[^"]|"")*"|\b(?:HUGEINT|UUID|JSON)\b')


def write_stream(
    engine: Readable,
    sql: str,
    parameters: Mapping[str, Any] | None,
    attend: Attend[Any],
    sink: Any,
    *,
    is_small: bool = False,
) -> None:
    """Write the rows of a statement into a file-like object.

    Args:
        engine: What is asked.
        sql: The statement.
        parameters: Values to bind.
        attend: Watches over the work.
        sink: Where the bytes go.
        is_small: Whether little memory counts for more than speed: then a batch has fewer rows.

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
        rows = SMALL_BATCH_ROWS if is_small else BATCH_ROWS
        reader = attend(cursor, partial(relation.to_arrow_reader, rows))
        with pyarrow.ipc.new_stream(sink, reader.schema) as stream:
            while True:
                try:
                    batch = attend(cursor, reader.read_next_batch)
                except StopIteration:
                    return
                except (OSError, pyarrow.ArrowException) as error:
                    raise duckdb.Error(str(error)) from error  # as Arrow hands DuckDB's errors on
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
    if _is_parquet(source):
        parquet: polars.DataFrame = pl.read_parquet(io.BytesIO(source.read()))
        return parquet
    import pyarrow

    with pyarrow.ipc.open_stream(source) as stream:
        result: polars.DataFrame = pl.from_arrow(stream.read_all())
        return result


def _is_parquet(source: io.BufferedReader) -> bool:
    return source.peek(len(PARQUET_MAGIC))[: len(PARQUET_MAGIC)] == PARQUET_MAGIC


# In batches --------------------------------------------------------------------------------------


def put_aside(engine: Readable, sql: str, parameters: Mapping[str, Any] | None) -> Spool:
    """Have the rows of a statement put aside, for `Batches`."""
    return Spool(lambda spool: fill_spool(engine, sql, parameters, spool))


def fill_spool(
    engine: Readable, sql: str, parameters: Mapping[str, Any] | None, spool: Spool
) -> None:
    """Put the rows of a statement aside.

    Raises:
        Stopped: Nobody wants them any more.
        SQLError: As `write_stream`.
    """
    spool.begin()
    write_stream(engine, sql, parameters, spool.attend, spool, is_small=True)


class Batches:
    """The rows of an answer, frame by frame. An iterator that is closed at its end, or before.

    Every frame has the same columns and `batch_rows` rows, the last one fewer. An answer without
    rows is one frame without rows.
    """

    def __init__(self, spool: Spool, batch_rows: int) -> None:
        """Wait for the beginning of the answer.

        Raises:
            ArgumentError: No batch can have so many rows.
            SQLError: DuckDB refuses the statement, it does more than read, or polars has no type
                for one of its columns.
            MissingPackageError: polars or pyarrow is not installed.
        """
        self._spool = spool
        self._batch_rows = batch_rows
        self._left: list[Any] = []
        self._is_begun = False
        self._is_ended = False
        try:
            polars_of()
            if type(batch_rows) is not int or batch_rows < 1:
                raise errors.ArgumentError(
                    f"batch_rows is {batch_rows!r}: give a whole number from 1 up"
                )
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        """Begin to read, and again where the answer begins anew meanwhile."""
        while True:
            self._left.clear()
            self._reading = self._spool.open()
            source: io.BufferedReader = io.BufferedReader(self._reading, CHUNK_BYTES)
            try:
                if _is_parquet(source):
                    self._spool.wait()  # what tells where its parts lie stands at the end
                self._source = _record_batches(source)
                self.schema: pyarrow.Schema = next(self._source)
            except BegunAnew:
                continue
            return

    def __iter__(self) -> Iterator[polars.DataFrame]:
        return self

    def __next__(self) -> polars.DataFrame:
        table = self.next_table()
        frame: polars.DataFrame = polars_of().from_arrow(table)
        return frame

    def next_table(self) -> pyarrow.Table:
        """The next rows as Arrow has them. Raises StopIteration at the end."""
        if self._is_ended:
            raise StopIteration
        try:
            while True:
                try:
                    table = self._gather()
                    self._spool.hand_out(self._reading)
                except BegunAnew:
                    self._open()
                else:
                    break
        except BaseException:
            self.close()
            raise
        if not table.num_rows and self._is_begun:
            self.close()
            raise StopIteration
        self._is_begun = True
        return table

    def _gather(self) -> pyarrow.Table:
        """The next rows, as many as are wanted, or what is left of them."""
        import pyarrow

        count = sum(batch.num_rows for batch in self._left)
        while count < self._batch_rows and (batch := next(self._source, None)) is not None:
            self._left.append(batch)
            count += batch.num_rows
        table = pyarrow.Table.from_batches(self._left, self.schema)
        self._left = table.slice(self._batch_rows).to_batches()
        return table.slice(0, self._batch_rows)

    def record_batches(self) -> Iterator[pyarrow.RecordBatch]:
        """All rows, for an Arrow reader."""
        try:
            while True:
                try:
                    table = self.next_table()
                except StopIteration:
                    return
                yield from table.combine_chunks().to_batches()
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the answer, and of whoever still works on it. A second call does nothing."""
        self._is_ended = True
        self._left.clear()
        self._spool.stop()

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def _record_batches(source: io.BufferedReader) -> Iterator[Any]:
    """The schema of what `write_stream` wrote, and then its batches."""
    import pyarrow

    if _is_parquet(source):
        from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]

        file = ParquetFile(source)
        yield file.schema_arrow
        yield from file.iter_batches(SMALL_BATCH_ROWS)
        return
    with pyarrow.ipc.open_stream(source) as stream:
        yield stream.schema
        yield from stream
