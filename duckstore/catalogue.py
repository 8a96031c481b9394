"""The catalogue: the bundled queries, and the user's own beside them or in their place.

The user's own are the `.sql` files of one folder, and of the folders in it. They are read anew
each time, so that an edited file counts at once. One that is wrong keeps nobody from the others:
it is named where it is asked for, and where all are listed.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from duckstore import errors
from duckstore.queryfile import Query, check, parse

if TYPE_CHECKING:
    import duckdb

__all__ = ["VARIABLE", "Catalogue", "bundled", "columns_of", "empty_store", "load"]

VARIABLE = "DUCKSTORE_QUERIES"
"""The environment variable that names the folder of the user's own queries."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Queries by name, in the order of topic and name."""

    queries: Mapping[str, Query]
    problems: Mapping[str, errors.QueryFileError]
    """What is wrong with the user's files that are no queries, by their stem."""

    def find(self, name: str) -> Query:
        """The query of that name.

        Raises:
            QueryFileError: The user's file of that name is wrong.
            UnknownQueryError: There is none; the message has the nearest names.
        """
        if name in self.problems:
            raise self.problems[name]
        if name not in self.queries:
            near = difflib.get_close_matches(str(name), self.queries, n=3, cutoff=0.4)
            hint = f"near it: {', '.join(near)}" if near else "nor anything near it"
            raise errors.UnknownQueryError(
                f"no query is named {name!r}; {hint}. `duckstore queries` lists all"
            )
        return self.queries[name]


def folder() -> Path:
    """Where the bundled queries lie: inside the installed package, or beside it in a checkout.

    Raises:
        QueryFileError: They are in neither place.
    """
    package = Path(__file__).parent
    for place in (package / "queries", package.parent / "queries"):
        if place.is_dir():
            return place
    raise errors.QueryFileError(
        f"the bundled queries are missing beside {package}: install duckstore again"
    )


@cache
def bundled() -> Mapping[str, Query]:
    """The bundled queries by name."""
    queries: dict[str, Query] = {}
    for path in sorted(folder().glob("*/*.sql")):
        query = parse(path)
        if query.name in queries:
            raise errors.QueryFileError(f"two query files are named {query.name}: {path}")
        queries[query.name] = query
    return queries


def load(own: str | PathLike[str] | None = None) -> Catalogue:
    """The bundled queries and the user's own.

    Args:
        own: The folder of her files; None for the one that the environment names, if it does.

    Raises:
        QueryFileError: The folder is not there.
    """
    place = own if own is not None else os.environ.get(VARIABLE) or None
    if place is None:
        return Catalogue(bundled(), {})
    root = Path(place).expanduser()
    if not root.is_dir():
        source = f" that {VARIABLE} names" if own is None else ""
        raise errors.QueryFileError(
            f"the folder of queries {root}{source} is not there: correct the path"
        )
    queries, problems = dict(bundled()), dict[str, errors.QueryFileError]()
    seen: dict[str, Path] = {}
    for path in sorted((*root.glob("*.sql"), *root.glob("*/*.sql"))):
        if path.stem in seen:
            problems[path.stem] = errors.QueryFileError(
                f"two query files are named {path.stem}: {seen[path.stem]} and {path}"
            )
            continue
        seen[path.stem] = path
        try:
            queries[path.stem] = parse(path, is_own=True)
        except errors.QueryFileError as error:
            problems[path.stem] = error
    kept = {name: query for name, query in queries.items() if name not in problems}
    return Catalogue(
        dict(sorted(kept.items(), key=lambda pair: (pair[1].topic, pair[0]))), problems
    )


def columns_of(query: Query) -> dict[str, str]:
    """The columns of a query with their DuckDB types: those of any store, so an empty one is asked.

    Raises:
        QueryFileError: The file disagrees with its header.
    """
    return check(query, empty_store().cursor())


@cache
def empty_store() -> duckdb.DuckDBPyConnection:
    """A store without sessions, to ask what its relations are like."""
    from duckstore.database import MEMORY, connect

    return connect(MEMORY, memory_limit="64MB", threads=1)
