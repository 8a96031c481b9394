"""The queries as table macros in the store's file, for every tool that speaks DuckDB.

    from tool_usage(since := '2026-01-01')

In a macro a parameter comes before a column of its name, and half of ours have one: `session_id` is
what is asked for and what is answered. So each query is two macros: the one that is called has the
parameters by their names, and hands them on to one in which they are called otherwise.

DuckDB compares names when a macro is made, and not when it is called; so the first is made while
the second is still empty. `store_meta` keeps what was installed: a file that is written anew gets
it again, and what a later catalogue no longer has goes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import duckdb

from duckstore import errors
from duckstore.queryfile import Query

__all__ = ["Macro", "install", "installed", "macro_of", "unpack"]

_KEY = "queries"
# Comments and quoted texts are passed over; of the rest only `$name` is of interest.
_TOKEN = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\$(\w+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Macro:
    """A query as plain data, such as another process can be sent."""

    name: str
    parameters: tuple[tuple[str, str, str | None], ...]
    """Name, type, and the default as SQL has it; None where one must be given."""
    sql: str

    def pack(self) -> dict[str, Any]:
        """As JSON has it; `unpack` reads it."""
        return asdict(self)


def macro_of(query: Query) -> Macro:
    """A query of the catalogue as a macro."""
    parameters = tuple(
        (p.name, p.type, None if p.is_required else p.default_sql) for p in query.parameters
    )
    return Macro(query.name, parameters, query.sql)


def unpack(values: Sequence[dict[str, Any]]) -> list[Macro]:
    """The macros that were packed."""
    return [
        Macro(value["name"], tuple((n, k, d) for n, k, d in value["parameters"]), value["sql"])
        for value in values
    ]


def installed(cursor: duckdb.DuckDBPyConnection) -> list[Macro]:
    """The queries that were installed in the file."""
    rows = cursor.execute("select value from store_meta where key = ?", [_KEY]).fetchall()
    return unpack(json.loads(rows[0][0])) if rows else []


def install(cursor: duckdb.DuckDBPyConnection, macros: Sequence[Macro]) -> None:
    """Make a macro of each query, in the place of all that were installed before.

    Raises:
        StoreError: The file has a macro of one of the names that is not ours.
        QueryFileError: DuckDB refuses a query.
    """
    before = {name for macro in installed(cursor) for name in _names(macro.name)}
    after = {name for macro in macros for name in _names(macro.name)}
    there = {
        name
        for (name,) in cursor.execute(
            "select distinct function_name from duckdb_functions() where not internal"
            " and database_name = current_database() and function_type like '%macro'"
        ).fetchall()
    }
    foreign = sorted((after - before) & there)
    if foreign:
        raise errors.StoreError(
            f"the file has a macro {foreign[0]} that duckstore did not make: drop it, or give the "
            "query another name. Nothing was installed"
        )
    for name in sorted(before & there):
        cursor.execute(f'drop macro table "{name}"')
    for macro in macros:
        _make(cursor, macro)
    cursor.execute("delete from store_meta where key = ?", [_KEY])
    if macros:
        packed = json.dumps([macro.pack() for macro in macros])
        cursor.execute("insert into store_meta values (?, ?)", [_KEY, packed])


def _names(name: str) -> tuple[str, str]:
    """The macro that is called, and the one that it calls."""
    return name, f"_{name}"


def _make(cursor: duckdb.DuckDBPyConnection, macro: Macro) -> None:
    called, inner = _names(macro.name)
    # Those without a default come first: so DuckDB wants it.
    ordered = sorted(macro.parameters, key=lambda parameter: parameter[2] is not None)
    takes = ", ".join(
        f'"{name}"' if default is None else f'"{name}" := {default}' for name, _, default in ordered
    )
    hands = ", ".join(f'"{name}"::{kind}' for name, kind, _ in macro.parameters)
    given = ", ".join(f'"given_{name}"' for name, *_ in macro.parameters)
    body = _TOKEN.sub(lambda found: f'"given_{found[1]}"' if found[1] else _plain(found), macro.sql)
    try:
        cursor.execute(f'create macro "{inner}"({given}) as table select null as nothing')
        cursor.execute(f'create macro "{called}"({takes}) as table from "{inner}"({hands})')
        cursor.execute(f'create or replace macro "{inner}"({given}) as table {body}')
    except duckdb.Error as error:
        raise errors.QueryFileError(
            f"the query {macro.name} cannot be a macro: {error}. There, parameters may stand in "
            "where and limit, and not beside aggregates. Nothing was installed"
        ) from error


def _plain(found: re.Match[str]) -> str:
    """A token as it is; a comment not at all."""
    return " " if found[0].startswith(("--", "/*")) else found[0]
