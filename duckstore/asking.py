"""What can be asked of a store, and alike of a folder of its exported relations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

from duckstore import catalogue, errors
from duckstore.catalogue import columns_of
from duckstore.frames import lazy_frame
from duckstore.queryfile import Parameter, bind
from duckstore.schema import RELATIONS

if TYPE_CHECKING:
    import polars

    from duckstore.rows import Rows

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

    def scan(self, relation: str) -> polars.LazyFrame:
        """A polars LazyFrame over one of the relations, read when it is collected.

        Raises:
            ArgumentError: There is no such relation.
            MissingPackageError: polars is not installed.
        """
        if relation not in RELATIONS:
            raise errors.ArgumentError(
                f"there is no relation {relation!r}; there are {', '.join(RELATIONS)}"
            )
        return lazy_frame(self._frame, relation)

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
