"""The bundled queries: SQL files with a header that says what they answer and take.

    -- Title in one line.
    --
    -- One row per ... . Caveats.
    --
    -- param name: type = default
    --     What it does.

    select ... where $name ...

The file's stem is the query's name. The header is checked against what DuckDB says of the
statement (`check`), so that it cannot drift from the SQL. Values are bound by DuckDB, never
pasted into the text.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from duckstore import errors

__all__ = ["Parameter", "Query", "bind", "check", "find", "load_all"]

_PARAM = re.compile(r"param (\w+): (\w+)(?: = (.+))?")
TYPES = ("boolean", "bigint", "integer", "double", "varchar", "timestamptz")
"""The types that a parameter may have."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a query."""

    name: str
    type: str
    default: Any
    is_required: bool
    help: str


@dataclass(frozen=True, slots=True)
class Query:
    """One query file."""

    name: str
    topic: str
    title: str
    description: str
    parameters: tuple[Parameter, ...]
    sql: str = field(repr=False)
    path: Path = field(repr=False)


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
def load_all() -> dict[str, Query]:
    """All bundled queries by name, in the order of topic and name."""
    queries: dict[str, Query] = {}
    for path in sorted(folder().glob("*/*.sql")):
        query = parse(path)
        if query.name in queries:
            raise errors.QueryFileError(f"two query files are named {query.name}: {path}")
        queries[query.name] = query
    return queries


def find(name: str) -> Query:
    """The query of that name.

    Raises:
        UnknownQueryError: There is none; the message has the nearest names.
    """
    queries = load_all()
    if name not in queries:
        near = difflib.get_close_matches(name, queries, n=3, cutoff=0.4) or sorted(queries)
        raise errors.UnknownQueryError(
            f"no query is named {name!r}; near it: {', '.join(near)}. `duckstore queries` lists all"
        )
    return queries[name]


def parse(path: Path) -> Query:
    """Read one query file.

    Raises:
        QueryFileError: Its header is not in the form above.
    """
    text = path.read_text(encoding="utf-8")
    lines = []
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line[2:].removeprefix(" ").rstrip())
    paragraphs = [p.strip("\n") for p in "\n".join(lines).split("\n\n")]
    if not lines or not lines[0].endswith("."):
        raise errors.QueryFileError(f"{path}: line 1 is the title, a sentence with a full stop")
    if len(paragraphs) < 2 or not paragraphs[1].startswith("One row per "):
        raise errors.QueryFileError(f"{path}: the second paragraph starts with 'One row per'")
    description = [p for p in paragraphs[1:] if not p.startswith("param ")]
    headers = [p for p in paragraphs if p.startswith("param ")]
    return Query(
        name=path.stem,
        topic=path.parent.name,
        title=paragraphs[0].replace("\n", " "),
        description="\n\n".join(description),
        parameters=tuple(p for header in headers for p in _parameters(header, path)),
        sql=text,
        path=path,
    )


def _parameters(paragraph: str, path: Path) -> list[Parameter]:
    found: list[Parameter] = []
    for part in re.split(r"\n(?=param )", paragraph):
        head, _, words = part.partition("\n")
        match = _PARAM.fullmatch(head)
        if match is None or match[2] not in TYPES:
            raise errors.QueryFileError(
                f"{path}: {head!r} is not of the form 'param name: type = default' "
                f"with a type of {', '.join(TYPES)}"
            )
        found.append(
            Parameter(
                name=match[1],
                type=match[2],
                default=_literal(match[3], path),
                is_required=match[3] is None,
                help=" ".join(words.split()),
            )
        )
    return found


def _literal(text: str | None, path: Path) -> Any:
    if text is None or text == "null":
        return None
    if text in ("true", "false"):
        return text == "true"
    if text.startswith("'") and text.endswith("'"):
        return text[1:-1]
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise errors.QueryFileError(f"{path}: {text!r} is no default value") from None


def bind(query: Query, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values to bind: those given, of the right type, and defaults for the rest.

    Raises:
        ParameterError: A parameter is unknown, missing or of the wrong type.
    """
    known = {parameter.name: parameter for parameter in query.parameters}
    for name in given:
        if name not in known:
            raise errors.ParameterError(
                f"query {query.name} has no parameter {name!r}; it has {', '.join(known) or 'none'}"
            )
    values: dict[str, Any] = {}
    for name, parameter in known.items():
        if name in given:
            values[name] = convert(query, parameter, given[name])
        elif parameter.is_required:
            raise errors.ParameterError(
                f"query {query.name} needs the parameter {name!r} ({parameter.type}): "
                f"{parameter.help}"
            )
        else:
            values[name] = parameter.default
    return values


def convert(query: Query, parameter: Parameter, value: Any) -> Any:
    """The value as the parameter's type. Texts, as from a command line, are read.

    Raises:
        ParameterError: It is of another type.
    """
    try:
        return None if value is None else _CONVERSIONS[parameter.type](value)
    except (TypeError, ValueError) as error:
        raise errors.ParameterError(
            f"parameter {parameter.name!r} of query {query.name} takes a {parameter.type} and got "
            f"{value!r}: {error}"
        ) from None


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise TypeError("give a whole number")
    return int(value)


def _double(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError("give a number")
    return float(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise TypeError("give true or false")


def _varchar(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("give a text")
    return value


def _timestamp(value: Any) -> datetime:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        raise TypeError("give a datetime or a text such as 2026-01-31T12:00:00")
    return value if value.tzinfo else value.replace(tzinfo=UTC)


_CONVERSIONS = {
    "boolean": _boolean,
    "bigint": _integer,
    "integer": _integer,
    "double": _double,
    "varchar": _varchar,
    "timestamptz": _timestamp,
}


def check(query: Query, cursor: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Compare a query's header with what DuckDB says of its statement.

    Args:
        query: The query.
        cursor: A cursor on a store, for the relations that the query reads.

    Returns:
        The result's columns with their DuckDB types.

    Raises:
        QueryFileError: The file does not hold one select, or its parameters differ.
    """
    try:
        statements = duckdb.extract_statements(query.sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise errors.QueryFileError(f"{query.path}: a query file holds one select")
        named = set(statements[0].named_parameters)
        listed = {parameter.name for parameter in query.parameters}
        if named != listed:
            raise errors.QueryFileError(
                f"{query.path}: the header lists {sorted(listed)} and the statement takes "
                f"{sorted(named)}"
            )
        values = {p.name: p.default for p in query.parameters}
        relation = cursor.sql(query.sql, params=values or None)
    except duckdb.Error as error:
        raise errors.QueryFileError(f"{query.path}: {error}") from error
    return dict(zip(relation.columns, map(str, relation.types), strict=True))
