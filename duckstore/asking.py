"""What can be asked of a store, and alike of a folder of its exported relations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any

from duckstore import catalogue, errors
from duckstore.catalogue import columns_of
from duckstore.columns import column_types, polars_schema
from duckstore.display import html_or_note, summary_html
from duckstore.frames import BATCH_ROWS, lazy_frame, polars_of
from duckstore.plots import draw
from duckstore.queryfile import Parameter, bind
from duckstore.schema import RELATIONS
from duckstore.streams import Batches

if TYPE_CHECKING:
    import altair
    import polars
    import pyarrow

    from duckstore.rows import Rows
    from duckstore.spool import Spool

__all__ = ["Asking", "QueryInfo"]


@dataclass(frozen=True, slots=True)
class QueryInfo:
    """One query of the catalogue, as `Store.queries` lists it."""

    name: str
    topic: str
    title: str
    description: str
    reading: str
    """How to read the figures."""
    action: str
    """What to do about them."""
    scope: str
    """`session` where the rows of all sessions are those of each put together; else `store`."""
    parameters: tuple[Parameter, ...]
    columns: dict[str, str]
    """The result's columns with their DuckDB types, in order."""
    sql: str
    """The file's text."""


class Asking(ABC):
    """Questions: those of the catalogue, plain SQL, and whole relations."""

    def __init__(self, queries: str | PathLike[str] | None) -> None:
        self._own_queries = queries
        if queries is not None:
            self._catalogue()  # a wrong folder is told now

    @property
    @abstractmethod
    def path(self) -> str:
        """Where it is."""

    def _repr_html_(self) -> str:
        """A summary, as notebooks show it; see `duckstore.display`."""
        return html_or_note(partial(summary_html, type(self).__name__, self.path, self._rows))

    def _catalogue(self) -> catalogue.Catalogue:
        return catalogue.load(self._own_queries)

    @abstractmethod
    def _check_open(self) -> None:
        """Raise ClosedError after `close`."""

    @abstractmethod
    def _frame(self, sql: str, parameters: Mapping[str, Any] | None = None) -> polars.DataFrame:
        """Run one reading statement for a data frame."""

    @abstractmethod
    def _rows(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, is_foreign: bool = False
    ) -> Rows:
        """Run one reading statement for plain rows; `is_foreign` where a user wrote it."""

    @abstractmethod
    def _put_aside(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Spool:
        """Run one reading statement for `Batches`; see `duckstore.streams.put_aside`."""

    def _shape(self, relation: str) -> tuple[dict[str, str], polars.Schema]:
        """A relation's columns with their types in DuckDB and polars: no store need be asked."""
        types = column_types(relation)
        return types, polars_schema(types)

    def query(self, name: str, /, **parameters: Any) -> polars.DataFrame:
        """Run a query of the catalogue.

        Raises:
            UnknownQueryError: There is no such query.
            ParameterError: A parameter is missing, unknown or of the wrong type.
            QueryFileError: It is one of your own, and its file is wrong.
            SQLError: It is one of your own, and DuckDB refuses it.
            MissingPackageError: polars is not installed.
        """
        query = self._catalogue().find(name)
        return self._frame(query.sql, bind(query, parameters))

    def sql(self, text: str, /, **parameters: Any) -> polars.DataFrame:
        """Run one reading SQL statement; `$name` in it takes the parameter of that name.

        Raises:
            SQLError: DuckDB refuses it, it does more than read, or polars has no type for one of
                its columns.
            MissingPackageError: polars is not installed.
        """
        return self._frame(text, parameters)

    def batches(self, text: str, /, batch_rows: int = BATCH_ROWS, **parameters: Any) -> Batches:
        """Run one reading SQL statement, and return its rows frame by frame.

        For what does not fit in memory at once. The answer is put aside in a temporary file as fast
        as it comes, so that you may take your time: nobody who writes waits for you, and memory
        holds one batch. It is of one moment, and `close()`, or the end of a `with` block, lets go
        of it early::

            with store.batches("select item_id, text from items", 100_000) as batches:
                for frame in batches:
                    ...

        For Arrow, see `arrow`.

        Args:
            text: The statement; `$name` in it takes the parameter of that name.
            batch_rows: How many rows each frame has. The last one has what is left.
            parameters: Values to bind.

        Returns:
            An iterator of polars DataFrames, of one at least.

        Raises:
            SQLError: DuckDB refuses it, it does more than read, or polars has no type for one of
                its columns.
            StoreError: While it is iterated: the process that has the store ended in the middle.
                Before the first frame it is asked again by itself; afterwards what was read would
                not go together with what comes.
            StoreWriteError: There is no room for the file.
            ArgumentError: `batch_rows` is no number of rows.
            MissingPackageError: polars is not installed.
        """
        polars_of()
        return Batches(self._put_aside(text, parameters), batch_rows)

    def arrow(
        self, text: str, /, batch_rows: int = BATCH_ROWS, **parameters: Any
    ) -> pyarrow.RecordBatchReader:
        """Run one reading SQL statement for Arrow, as `batches` does, with the same errors.

        Returns:
            A reader of record batches, whose memory goes to whatever reads Arrow without a copy.
        """
        batches = self.batches(text, batch_rows, **parameters)
        import pyarrow

        return pyarrow.RecordBatchReader.from_batches(batches.schema, batches.record_batches())

    def scan(self, relation: str) -> polars.LazyFrame:
        """A polars LazyFrame over one of the relations, read when it is collected.

        DuckDB reads only the columns that the plan needs, so that no text is read that it does not
        ask for. It filters where it is known to do so as polars does: comparisons of columns with
        values and with each other, `is_in`, `is_between`, `is_null`, `str.contains` of a text,
        `str.starts_with` and `str.ends_with`, with `&`, `|` and `~`; and `head`. Polars does the
        rest, batch by batch.

        Raises:
            ArgumentError: There is no such relation.
            MissingPackageError: polars is not installed.
        """
        if relation not in RELATIONS:
            raise errors.ArgumentError(
                f"there is no relation {relation!r}; there are {', '.join(RELATIONS)}"
            )
        self._check_open()
        polars_of()
        return lazy_frame(
            relation,
            *self._shape(relation),
            self._frame,
            lambda sql, parameters, rows: Batches(self._put_aside(sql, parameters), rows),
        )

    def plot(self, name: str, /, **parameters: Any) -> altair.LayerChart:
        """The plot of a query of the catalogue.

        These have one: context_growth, conversation_tree (of one session: give its `session_id`),
        handoffs, tool_errors, tool_usage, turn_duration and usage_by_day. Parameters are the
        query's. The chart holds its data, and `chart.save("plot.svg")` needs no network; what a
        notebook shows of it by itself does, until you choose
        `altair.renderers.enable("svg")`.

        Raises:
            UnknownQueryError: There is no such query.
            ArgumentError: The query has no plot, or is your own and lacks a column that it needs.
            ParameterError: A parameter is missing, unknown or of the wrong type.
            QueryFileError, SQLError: It is one of your own, and wrong.
            MissingPackageError: altair is not installed.
        """
        return draw(self._catalogue().find(name), parameters, self._rows)

    def queries(self) -> list[QueryInfo]:
        """The catalogue: each query with its title, parameters and the columns it returns.

        Raises:
            QueryFileError: A query file is wrong, or disagrees with its header.
        """
        self._check_open()
        found = self._catalogue()
        for problem in found.problems.values():
            raise problem
        return [
            QueryInfo(
                query.name,
                query.topic,
                query.title,
                query.description,
                query.reading,
                query.action,
                query.scope,
                query.parameters,
                columns_of(query),
                query.sql,
            )
            for query in found.queries.values()
        ]
