"""A query file: one select, with a header that says what it answers and takes.

    -- Title in one line.
    --
    -- One row per ... . Caveats.
    --
    -- read: How to read the figures.
    --
    -- act: What to do about them.
    --
    -- scope: session
    --
    -- param name: type = default
    --     What it does.

    select ... where $name ...

The scope is `session` where the rows of all sessions are those of each session put together, and
`store` where they are not, as with a count over all; a file that does not say is taken for the
latter. The file's stem is the query's name. The header is checked against what DuckDB says of the
statement (`check`), so that it cannot drift from the SQL. Values are bound by DuckDB, never pasted
into the text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duckstore import errors
from duckstore.parameters import TYPES, Parameter, default_value

if TYPE_CHECKING:
    import duckdb

__all__ = ["Parameter", "Query", "bind", "check", "parse"]

SCOPES = ("session", "store")
_NAME = re.compile(r"[a-z]+(?:_[a-z0-9]+)*")
_PARAM = re.compile(r"param (\w+): (\w+)(?: = (.+))?")
_LABEL = re.compile(r"(param|scope|read|act)(?:: | )")


@dataclass(frozen=True, slots=True)
class Query:
    """One query file."""

    name: str
    topic: str
    title: str
    description: str
    reading: str
    """How to read the figures; empty where the file does not say."""
    action: str
    """What to do about them; empty where the file does not say."""
    scope: str
    """`session` or `store`."""
    parameters: tuple[Parameter, ...]
    sql: str = field(repr=False)
    path: Path = field(repr=False)
    is_own: bool = False
    """Whether it is the user's own, and not one of the bundled."""


def parse(path: Path, *, is_own: bool = False) -> Query:
    """Read one query file.

    Raises:
        QueryFileError: It cannot be read, or its header is not in the form above.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise errors.QueryFileError(f"{path} is not UTF-8: {error}") from error
    except OSError as error:
        raise errors.QueryFileError(f"{path} cannot be read: {error}") from error
    if not _NAME.fullmatch(path.stem):
        raise errors.QueryFileError(f"{path}: a query's name is lower case words joined by _")
    paragraphs = _header(text)
    if not paragraphs or not paragraphs[0].endswith(".") or "\n" in paragraphs[0]:
        raise errors.QueryFileError(f"{path}: line 1 is the title, a sentence with a full stop")
    if len(paragraphs) < 2 or not paragraphs[1].startswith("One row per "):
        raise errors.QueryFileError(f"{path}: the second paragraph starts with 'One row per'")
    headers = [p for p in paragraphs if p.startswith("param ")]
    parameters = tuple(p for header in headers for p in _parameters(header, path))
    for name, count in Counter(p.name for p in parameters).items():
        if count > 1:
            raise errors.QueryFileError(f"{path}: the header lists {name!r} {count} times")
    return Query(
        name=path.stem,
        topic=path.parent.name,
        title=paragraphs[0],
        description="\n\n".join(p for p in paragraphs[1:] if not _LABEL.match(p)),
        reading=_said(paragraphs, "read"),
        action=_said(paragraphs, "act"),
        scope=_scope(paragraphs, path),
        parameters=parameters,
        sql=text,
        path=path,
        is_own=is_own,
    )


def _header(text: str) -> list[str]:
    """The paragraphs of the comment that a file begins with."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line[2:].removeprefix(" ").rstrip())
    return [p.strip("\n") for p in "\n".join(lines).split("\n\n")] if lines else []


def _said(paragraphs: list[str], word: str) -> str:
    """What the paragraph with that word before it says; empty where there is none."""
    found = [p.removeprefix(f"{word}: ") for p in paragraphs if p.startswith(f"{word}: ")]
    return " ".join(" ".join(found).split())


def _scope(paragraphs: list[str], path: Path) -> str:
    scope = _said(paragraphs, "scope") or "store"
    if scope not in SCOPES:
        raise errors.QueryFileError(f"{path}: the scope is {scope!r}: it is session or store")
    return scope


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
        if not words.strip():
            raise errors.QueryFileError(f"{path}: {head!r} does not say what it does")
        try:
            default = default_value(match[2], match[3])
        except (TypeError, ValueError) as error:
            raise errors.QueryFileError(
                f"{path}: {match[3]!r} is no default value for a {match[2]}: {error}"
            ) from error
        found.append(
            Parameter(match[1], match[2], default, match[3] is None, " ".join(words.split()))
        )
    return found


def bind(query: Query, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values to bind: those given, of the right type, and defaults for the rest.

    Texts, as from a command line, are read.

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
            values[name] = _read(query, parameter, given[name])
        elif parameter.is_required:
            raise errors.ParameterError(
                f"query {query.name} needs the parameter {name!r} ({parameter.type}): "
                f"{parameter.help}"
            )
        else:
            values[name] = parameter.default
    return values


def _read(query: Query, parameter: Parameter, value: Any) -> Any:
    try:
        return parameter.read(value)
    except (TypeError, ValueError) as error:
        raise errors.ParameterError(
            f"parameter {parameter.name!r} of query {query.name} takes a {parameter.type} and got "
            f"{value!r}: {error}"
        ) from None


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
    import duckdb  # what is only listed, or only helped with, must not wait for it

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
