"""A folder of exported Parquet files, asked like the store that they came from.

DuckDB reads the files where they lie, each question anew, so that an export that replaces them is
seen by the next one. Columns get the types that the relations of a store have: in the files JSON is
text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from duckstore import errors
from duckstore.asking import Asking
from duckstore.catalogue import empty_store
from duckstore.database import connect_memory
from duckstore.failures import reading
from duckstore.frames import frame, statement_of
from duckstore.rows import Rows, fetch
from duckstore.schema import RELATIONS

if TYPE_CHECKING:
    import duckdb
    import polars

__all__ = ["Archive", "is_archive", "open_parquet"]


def open_parquet(
    folder: str | PathLike[str],
    *,
    queries: str | PathLike[str] | None = None,
    memory_limit: str = "2GB",
    threads: int = 2,
) -> Archive:
    """Open a folder that `Store.export_parquet` wrote, to ask it what a store can be asked.

    Nothing is written, and no process that has the store open is needed.

    Args:
        folder: Where the files are.
        queries: A folder of your own query files, as for `duckstore.open`.
        memory_limit: What DuckDB may use at most, such as "512MB".
        threads: How many threads a query may use.

    Raises:
        StorePathError: The folder is not there, or a relation's file is missing in it.
        DamagedStoreError: A file is no Parquet file, or lacks a column.
        QueryFileError: The folder of queries is not there.
        ArgumentError: A setting is refused.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise errors.StorePathError(
            f"there is no folder {root}: name one that export_parquet has written"
        )
    return Archive(root.resolve(), queries, memory_limit, threads)


def is_archive(path: str | PathLike[str]) -> bool:
    """Whether a path leads to a folder with the files of an export."""
    return _file(Path(path).expanduser(), "sessions").is_file()


class Archive(Asking):
    """The relations of a store as they were exported. Made by `duckstore.open_parquet`."""

    def __init__(
        self, root: Path, queries: str | PathLike[str] | None, memory_limit: str, threads: int
    ) -> None:
        super().__init__(queries)
        self._root = root
        self._files = _Files(root, memory_limit, threads)

    @property
    def path(self) -> str:
        """The folder's full path."""
        return str(self._root)

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


class _Files:
    """A DuckDB in memory whose relations are views over the files."""

    def __init__(self, root: Path, memory_limit: str, threads: int) -> None:
        self._root = root
        self.is_closed = False
        self._connection = connect_memory(memory_limit=memory_limit, threads=threads)
        try:
            for relation in RELATIONS:
                self._connect(relation)
        except BaseException:
            self._connection.close()
            raise

    def _connect(self, relation: str) -> None:
        import duckdb

        path = _file(self._root, relation)
        if not path.is_file():
            raise errors.StorePathError(
                f"{self._root} has no {path.name}: name a folder that export_parquet has written"
            )
        source = "read_parquet('{}')".format(str(path).replace("'", "''"))
        try:
            there = _columns(self._connection, source)
        except duckdb.Error as error:
            raise errors.DamagedStoreError(
                f"{path} cannot be read: {error}. Export the store again"
            ) from error
        expected = _columns(empty_store().cursor(), relation)
        missing = sorted(set(expected) - set(there))
        if missing:
            raise errors.DamagedStoreError(
                f"{path} has no column {missing[0]}: it was exported by an older duckstore. "
                "Export the store again"
            )
        columns = ", ".join(
            f'"{name}"' if there[name] == kind else f'"{name}"::{kind} as "{name}"'
            for name, kind in expected.items()
        )
        self._connection.execute(f"create view {relation} as select {columns} from {source}")

    def check_open(self) -> None:
        """Raise ClosedError after `close`."""
        if self.is_closed:
            raise errors.ClosedError(f"the archive {self._root} is closed: open it again")

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor for one question.

        Raises:
            ClosedError: It was closed.
            SQLError: DuckDB refuses the statement.
        """
        self.check_open()
        with reading(self._connection) as cursor:
            yield cursor

    def close(self) -> None:
        """Close DuckDB."""
        if not self.is_closed:
            self.is_closed = True
            self._connection.close()


def _file(root: Path, relation: str) -> Path:
    return root / f"{relation}.parquet"


def _columns(cursor: duckdb.DuckDBPyConnection, source: str) -> dict[str, str]:
    return {name: kind for name, kind, *_ in cursor.execute(f"describe from {source}").fetchall()}
