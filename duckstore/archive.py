"""A folder of exported Parquet files, asked like the store that they came from.

DuckDB reads the files where they lie, each question those of the state that the manifest tells of
just then: an export that goes on meanwhile is seen whole by the next question, and not by this one.
Columns get the types that the relations of a store have: in the files JSON is text.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any

import duckdb

from duckstore import errors
from duckstore.asking import Asking
from duckstore.database import connect_memory
from duckstore.exporting.shape import columns_of
from duckstore.exporting.source import Source, find_source, is_export
from duckstore.failures import reading
from duckstore.frames import frame, statement_of
from duckstore.rows import Rows, fetch
from duckstore.schema import RELATIONS
from duckstore.streams import put_aside

if TYPE_CHECKING:
    import polars

    from duckstore.spool import Spool

__all__ = ["Archive", "is_archive", "open_parquet"]


def open_parquet(
    path: str | PathLike[str],
    *,
    queries: str | PathLike[str] | None = None,
    memory_limit: str = "2GB",
    threads: int = 2,
) -> Archive:
    """Open what `Store.export_parquet` wrote, to ask it what a store can be asked.

    Nothing is written, and no process that has the store open is needed. Each question sees one
    whole state, while the folder is exported to as well.

    Args:
        path: The folder, or a pattern for some of its files: `archive/*/month=2026-1*/*.parquet`
            takes the sessions that began in the last three months of the year.
        queries: A folder of your own query files, as for `duckstore.open`.
        memory_limit: What DuckDB may use at most, such as "512MB".
        threads: How many threads a query may use.

    Raises:
        StorePathError: The folder is not there, or a relation's files are missing.
        DamagedStoreError: The manifest or a file cannot be read, or lacks a column.
        NewerSchemaError: A later duckstore exported it.
        QueryFileError: The folder of queries is not there.
        ArgumentError: A setting is refused, or the pattern fits several exports.
    """
    return Archive(find_source(path), queries, memory_limit, threads)


def is_archive(path: str | PathLike[str]) -> bool:
    """Whether a path leads to the files of an export."""
    return is_export(path)


class Archive(Asking):
    """The relations of a store as they were exported. Made by `duckstore.open_parquet`."""

    def __init__(
        self, source: Source, queries: str | PathLike[str] | None, memory_limit: str, threads: int
    ) -> None:
        super().__init__(queries)
        self._source = source
        self._files = _Files(source, memory_limit, threads)

    @property
    def path(self) -> str:
        """The full path of the folder, or the pattern."""
        return self._source.name

    def _check_open(self) -> None:
        self._files.check_open()

    def _frame(self, sql: str, parameters: Mapping[str, Any] | None = None) -> polars.DataFrame:
        return frame(self._files, sql, parameters)

    def _rows(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, is_foreign: bool = False
    ) -> Rows:
        if is_foreign:
            statement_of(sql)
        return fetch(self._files, sql, parameters)

    def _put_aside(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Spool:
        self._files.check_open()
        return put_aside(self._files, sql, parameters)

    def close(self) -> None:
        """Let go of the files. A second call does nothing."""
        self._files.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Archive({self.path!r}{', closed' if self._files.is_closed else ''})"


_NOTHING = object()
"""What the views lead to before they lead anywhere."""


class _Files:
    """A DuckDB in memory whose relations are views over the files."""

    def __init__(self, source: Source, memory_limit: str, threads: int) -> None:
        self._source = source
        self.is_closed = False
        self._lock = threading.Lock()
        self._seen: object = _NOTHING
        self._connection = connect_memory(memory_limit=memory_limit, threads=threads)
        try:
            with self._source.held() as found:
                self._follow(*found)
        except BaseException:
            self._connection.close()
            raise

    def _follow(self, state: object, files_of: Callable[[], Mapping[str, Sequence[str]]]) -> None:
        """Have the views lead to the files of this state; one at a time does so."""
        if state == self._seen:
            return
        files = files_of()
        self._connection.begin()
        try:
            for relation in RELATIONS:
                self._connect(relation, files.get(relation, ()))
            self._connection.commit()
        except BaseException:
            self._connection.rollback()
            raise
        self._seen = state

    def _connect(self, relation: str, paths: Sequence[str]) -> None:
        names = ", ".join("'{}'".format(path.replace("'", "''")) for path in paths)
        source = f"read_parquet([{names}], hive_partitioning = false, union_by_name = false)"
        try:
            there = _columns(self._connection, source)
        except duckdb.Error as error:
            raise errors.DamagedStoreError(
                f"{paths[0]} cannot be read: {error}. Export the store again"
            ) from error
        expected = columns_of(relation)
        missing = sorted(set(expected) - set(there))
        if missing:
            raise errors.DamagedStoreError(
                f"{paths[0]} has no column {missing[0]}: it was exported by an older duckstore. "
                "Export the store again"
            )
        columns = ", ".join(
            f'"{name}"' if there[name] == kind else f'"{name}"::{kind} as "{name}"'
            for name, kind in expected.items()
        )
        self._connection.execute(
            f"create or replace view {relation} as select {columns} from {source}"
        )

    def check_open(self) -> None:
        """Raise ClosedError after `close`."""
        if self.is_closed:
            raise errors.ClosedError(f"the archive {self._source.name} is closed: open it again")

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor for one question, on one whole state of the export.

        Raises:
            ClosedError: It was closed.
            StorePathError, DamagedStoreError: The files are there no more.
            SQLError: DuckDB refuses the statement.
        """
        self.check_open()
        with self._source.held() as found, ExitStack() as stack:
            # Nobody leads the views elsewhere before the cursor's transaction has taken its state.
            with self._lock:
                self._follow(*found)
                cursor = stack.enter_context(reading(self._connection))
                cursor.execute("from duckdb_views() where view_name = 'items'").fetchall()
            yield cursor

    def close(self) -> None:
        """Close DuckDB."""
        if not self.is_closed:
            self.is_closed = True
            self._connection.close()


def _columns(cursor: duckdb.DuckDBPyConnection, source: str) -> dict[str, str]:
    return {name: kind for name, kind, *_ in cursor.execute(f"describe from {source}").fetchall()}
