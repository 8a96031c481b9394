"""An item as text, and back.

The raw item is the truth of the store: everything structured is derived from it and never the
other way round. It is kept as ASCII JSON text, because that carries every value that Python's
`json` carries (NaN, integers of any size, lone surrogates, NUL) through any database and any
file, which neither DuckDB's JSON type nor UTF-8 does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import orjson

from duckstore.errors import ItemError

__all__ = ["decode", "decode_all", "encode_batch", "encode_items", "is_exact", "readable"]


MOST_DEPTH = 500
"""How deeply an item may be nested: Python's json reads twice as much, from a shallow stack."""
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')


def encode_batch(items: Iterable[Any]) -> list[str]:
    """Encode a batch of items, each to one line of ASCII JSON.

    Objects with a `model_dump` method (pydantic models such as the SDK's response items) are
    dumped with only the fields that were set, as the SDK itself does.

    Raises:
        ItemError: One of the items is not JSON; the message says which.
    """
    if isinstance(items, (str, bytes, dict)):
        raise ItemError(
            f"add_items takes a list of items, not a single {type(items).__name__}: "
            "wrap it in a list"
        )
    texts: list[str] = []
    for index, item in enumerate(items):
        try:
            texts.append(_encode(item))
        except (TypeError, ValueError, RecursionError) as error:
            raise ItemError(
                f"item {index} of the batch is not JSON: {error}. Nothing of the batch was "
                "stored; hand over only dicts, lists, strings, numbers, booleans and None"
            ) from error
    return texts


def encode_items(items: Iterable[Any]) -> list[str]:
    """Encode items that are to be stored.

    Raises:
        ItemError: One is not JSON, or is nested too deeply to be read again.
    """
    raws = encode_batch(items)
    for raw in raws:
        if raw.count("[") + raw.count("{") > MOST_DEPTH and _depth(raw) > MOST_DEPTH:
            raise ItemError(
                f"an item is nested too deeply: {MOST_DEPTH} levels are the most that can be read "
                "again. Nothing of the batch was stored"
            )
    return raws


def _depth(raw: str) -> int:
    """How deeply the lists and objects of a JSON text are nested."""
    depth = deepest = 0
    for character in _STRINGS.sub("", raw):
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _dump_model(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if dump is None or isinstance(value, type):
        raise TypeError(f"an object of type {type(value).__name__} has no JSON form")
    return dump(exclude_unset=True, warnings=False)


# Without looking for circles: they end in a RecursionError, which is caught as well.
_encode = json.JSONEncoder(check_circular=False, default=_dump_model).encode

_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 19


def is_exact(text: str | bytes) -> bool:
    """Whether orjson decodes a stored item to what Python's `json` does, or refuses it.

    It makes floats of integers beyond 64 bits, which have at least 19 digits.
    """
    data = text if isinstance(text, bytes) else text.encode()
    return _LONG_NUMBER not in data.translate(_ZEROS)


def decode(text: str) -> Any:
    """Decode one stored item. Raises `ValueError` for text that is not JSON."""
    return json.loads(text)


def decode_all(texts: Sequence[str], *, exact: bool = False) -> list[Any]:
    """Decode stored items and leave out rows that are not JSON, as the SDK's sessions do.

    Args:
        texts: The stored items.
        exact: Whether `is_exact` holds for all of them: then orjson does it, four times as fast.
    """
    if exact:
        # It refuses NaN, lone surrogates and deep nesting; json then tells them from damage.
        with suppress(ValueError):
            return list(map(orjson.loads, texts))
    items = []
    for text in texts:
        try:
            items.append(json.loads(text))
        except ValueError:
            continue
    return items


def readable(text: str) -> str:
    """The text with what UTF-8 cannot hold (lone surrogates) replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
