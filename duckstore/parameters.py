"""Parameters of queries: their types, and values read as those types.

A value comes from Python, from a text on a command line or from a default in a query file. All
three are read by the same rules, so that a wrong one is named before DuckDB sees it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

__all__ = ["TYPES", "Parameter", "default_value"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a query."""

    name: str
    type: str
    default: Any
    is_required: bool
    help: str

    @property
    def default_sql(self) -> str:
        """The default as SQL has it."""
        if self.default is None:
            return "null"
        if isinstance(self.default, bool):
            return str(self.default).lower()
        if isinstance(self.default, (int, float)):
            return repr(self.default)
        text = self.default.isoformat() if isinstance(self.default, datetime) else self.default
        return "'{}'".format(text.replace("'", "''"))

    def read(self, value: Any) -> Any:
        """The value as the parameter's type. Raises TypeError or ValueError where it is not."""
        if value is None:
            return None
        found = _READERS[self.type](value)
        if self.name == "row_limit" and found < 0:
            raise ValueError("give a number from 0 up, or None for all")
        return found


def default_value(kind: str, text: str | None) -> Any:
    """A default as a query file writes it: null, a number, true, false or a quoted text.

    Raises:
        TypeError, ValueError: It is no value of that type.
    """
    if text is None or text == "null":
        return None
    is_quoted = len(text) > 1 and text.startswith("'") and text.endswith("'")
    if is_quoted is not (kind in ("varchar", "timestamptz")):
        raise ValueError("texts and moments stand in quotes, and nothing else does")
    return _READERS[kind](text[1:-1].replace("''", "'") if is_quoted else text)


def _whole(bits: int) -> Callable[[Any], int]:
    """A reader of whole numbers that fit in so many bits."""

    def read(value: Any) -> int:
        if isinstance(value, bool):
            raise TypeError("give a whole number")
        try:
            number = int(value) if isinstance(value, str) else operator.index(value)
        except (TypeError, ValueError):
            raise TypeError("give a whole number") from None
        if not -(1 << bits - 1) <= number < 1 << bits - 1:
            raise ValueError(f"it does not fit in {bits} bits")
        return number

    return read


def _double(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError("give a number")
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise ValueError("give a number") from None


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise TypeError("give true or false")


def _varchar(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("give a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("it holds a lone surrogate") from None
    return value


def _timestamp(value: Any) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("give a moment such as 2026-01-31T12:00:00") from None
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        raise TypeError("give a datetime or a text such as 2026-01-31T12:00:00")
    return value if value.tzinfo else value.replace(tzinfo=UTC)


_READERS: dict[str, Callable[[Any], Any]] = {
    "boolean": _boolean,
    "bigint": _whole(64),
    "integer": _whole(32),
    "double": _double,
    "varchar": _varchar,
    "timestamptz": _timestamp,
}
TYPES = tuple(_READERS)
"""The types that a parameter may have."""
