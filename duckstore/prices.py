"""Prices as a user gives them, as rows of the table `price_rows`.

People give what a million tokens cost in the currency (2.5), the store keeps millionths of the
currency as integers, so that costs are exact. Every value is checked here, in the caller's process:
a price that is wrong by its unit is worse than none, so that whatever looks like one is refused.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import astuple, dataclass
from datetime import date, datetime, time
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from duckstore import errors

__all__ = ["MILLION", "Price", "millionths", "read_prices"]

MILLION = 1_000_000
MOST = 10**9
"""No million tokens cost more: with it, no cost of a response overflows."""
LEAST = Decimal("0.0005")
"""A lower price of a million tokens is that of one token, as other lists give it: a million of the
cheapest tokens there are costs twice as much, and one of the dearest hardly more."""

_FORMS = ".csv, .json or .jsonl"
_KINDS = "a file, a list of mappings, a polars DataFrame or an Arrow table"


@dataclass(frozen=True, slots=True)
class Price:
    """One price of a model, as `price_rows` has it. Money is in millionths of the currency."""

    model: str
    currency: str
    valid_from: date | None
    daily_from: time
    above_input_tokens: int
    input_price: int
    cache_read_price: int | None
    cache_write_price: int | None
    output_price: int
    request_price: int | None
    price_date: date | None

    def packed(self) -> list[Any]:
        """Its values as JSON has them, in the order of the table's columns after the source."""
        return [
            value.isoformat() if isinstance(value, date | time) else value
            for value in astuple(self)
        ]


def millionths(amount: Decimal) -> int:
    """An amount of money in millionths of its currency, to the nearest one."""
    return int((amount * MILLION).to_integral_value(rounding=ROUND_HALF_EVEN))


def read_prices(source: Any, today: date) -> list[Price]:
    """The prices in a file or in rows.

    Args:
        source: The path of a .csv, .json or .jsonl file, mappings, or a frame or table with
            `to_dicts` or `to_pylist`. Columns are `model`, `input_price`, `output_price` and, as
            they are needed, `cache_read_price`, `cache_write_price`, `request_price`,
            `currency`, `valid_from`, `above_input_tokens`.
        today: The day that they are noted with, as that of their list.

    Raises:
        ArgumentError: A value cannot be one of a price; the message names its row.
        ImportFileError: The file cannot be read.
    """
    place, rows = _rows_of(source)
    prices: dict[tuple[Any, ...], Price] = {}
    for number, row in enumerate(rows, start=1):
        where = f"row {number}{place}"
        price = _price(row, where, today)
        key = (price.model, price.valid_from, price.above_input_tokens)
        if key in prices:
            day = f" from {price.valid_from}" if price.valid_from else ""
            raise errors.ArgumentError(
                f"{where} gives {price.model!r} another price{day} above "
                f"{price.above_input_tokens} input tokens: keep one of the two"
            )
        prices[key] = price
    for price in prices.values():
        if (price.model, price.valid_from, 0) not in prices:
            day = f" from {price.valid_from}" if price.valid_from else ""
            raise errors.ArgumentError(
                f"the prices{place} of {price.model!r}{day} begin above "
                f"{price.above_input_tokens} input tokens: add a row with above_input_tokens 0"
            )
    return list(prices.values())


# Rows --------------------------------------------------------------------------------------------


def _rows_of(source: Any) -> tuple[str, list[Any]]:
    """The rows, and what is said of their place in an error."""
    if isinstance(source, str | os.PathLike):
        path = Path(source).expanduser()
        return f" of {path.name}", _rows_of_file(path)
    for name in ("to_dicts", "to_pylist"):
        if callable(getattr(source, name, None)):
            return "", list(getattr(source, name)())
    if isinstance(source, Mapping | bytes) or not isinstance(source, Iterable):
        raise errors.ArgumentError(
            f"prices cannot be read from a {type(source).__name__}: give {_KINDS}"
        )
    return "", list(source)


def _rows_of_file(path: Path) -> list[Any]:
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise errors.ArgumentError(f"prices cannot be read from {path}: give a file in {_FORMS}")
    try:
        return read(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise errors.ImportFileError(
            f"{path} cannot be read: {error.strerror or error}. Check the path and its rights"
        ) from error
    except (ValueError, RecursionError, csv.Error) as error:
        raise errors.ImportFileError(
            f"{path} is no {path.suffix.lower()} file in UTF-8: {error}. Correct it"
        ) from error


def _csv_rows(text: str) -> list[Any]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    rows = list(reader)
    if not reader.fieldnames:
        raise ValueError("it has no line with the names of the columns")
    for number, row in enumerate(rows, start=1):
        if None in row:
            raise ValueError(f"row {number} has more cells than the first line")
    return rows


def _json_rows(text: str) -> list[Any]:
    rows = json.loads(text, parse_float=Decimal)
    if not isinstance(rows, list):
        raise ValueError("it is not a list of objects")
    return rows


def _jsonl_rows(text: str) -> list[Any]:
    return [json.loads(line, parse_float=Decimal) for line in text.split("\n") if line.strip()]


_READERS: dict[str, Callable[[str], list[Any]]] = {
    ".csv": _csv_rows,
    ".json": _json_rows,
    ".jsonl": _jsonl_rows,
}


# Values ------------------------------------------------------------------------------------------


def _price(row: Any, where: str, today: date) -> Price:
    if not isinstance(row, Mapping):
        raise errors.ArgumentError(
            f"{where} is {row!r:.60}, and must be a mapping with the names of the columns"
        )
    for name in row:
        if name not in _COLUMNS:
            raise errors.ArgumentError(
                f"{where} has a column {name!r}, which prices do not have: correct its name or "
                f"leave it out; the columns are {', '.join(_COLUMNS)}"
            )
    values: dict[str, Any] = {}
    for name, (read, default) in _COLUMNS.items():
        given = row.get(name)
        if _is_missing(given):
            if default is _REQUIRED:
                raise errors.ArgumentError(f"{where} has no {name}: add it")
            values[name] = default
            continue
        try:
            values[name] = read(given)
        except ValueError as error:
            raise errors.ArgumentError(f"{where} has the {name} {given!r:.60}: {error}") from None
    return Price(**values, daily_from=time(), price_date=today)


def _is_missing(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and math.isnan(value))


def _number(value: Any) -> Decimal:
    """Raises ValueError where it is no finite number from 0 up."""
    number = None
    if isinstance(value, Decimal):
        number = value
    elif isinstance(value, Integral) and not isinstance(value, bool):
        number = Decimal(int(value))
    elif isinstance(value, Real) and not isinstance(value, bool):
        number = Decimal(str(float(value)))
    elif isinstance(value, str):
        with suppress(InvalidOperation):
            number = Decimal(value.strip())
    if number is None or not number.is_finite() or number < 0:
        raise ValueError("give a number from 0 up, such as 2.5")
    return number


def _request_price(value: Any) -> int:
    amount = _number(value)
    if amount > MOST:
        raise ValueError(f"that is more than {MOST}; prices are in the currency, such as 2.5")
    return millionths(amount)


def _token_price(value: Any) -> int:
    if 0 < _number(value) < LEAST:
        raise ValueError(
            "that looks like the price of one token; give that of a million, such as 2.5"
        )
    return _request_price(value)


def _threshold(value: Any) -> int:
    number = _number(value)
    if number != number.to_integral_value() or number >= 2**63:
        raise ValueError("give a whole number of tokens, such as 200000")
    return int(number)


def _model(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError("give the model's name, as it stands in the responses")
    return value.strip()


def _currency(value: Any) -> str:
    text = value.strip().upper() if isinstance(value, str) else ""
    if len(text) != 3 or not (text.isascii() and text.isalpha()):
        raise ValueError("give a currency in three letters, such as USD")
    return text


def _day(value: Any) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        return date.fromisoformat(value.strip())
    except (ValueError, AttributeError):
        raise ValueError("give a day as YYYY-MM-DD, such as 2026-01-31") from None


_REQUIRED = object()

# How each column is read, and what stands for one that is not given.
_COLUMNS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "model": (_model, _REQUIRED),
    "input_price": (_token_price, _REQUIRED),
    "output_price": (_token_price, _REQUIRED),
    "cache_read_price": (_token_price, None),
    "cache_write_price": (_token_price, None),
    "request_price": (_request_price, None),
    "currency": (_currency, "USD"),
    "valid_from": (_day, None),
    "above_input_tokens": (_threshold, 0),
}
