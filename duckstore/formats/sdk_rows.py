"""Rows of the SDK's session tables as items, in SQLite and elsewhere.

A message row that is no JSON is left out and told, as the SDK's own sessions pass over it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from duckstore import errors
from duckstore.encoding import MOST_DEPTH, encode_items
from duckstore.formats.sample import Skipper
from duckstore.formats.trees import Weaver
from duckstore.formats.values import moment

__all__ = ["MessageRow", "decoded", "line_of"]


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A row of a messages table."""

    message_id: int
    data: Any
    created_at: Any


def decoded(row: MessageRow, place: str, report: Skipper) -> list[Any]:
    """The item of a row in a list; an empty list where it has none."""
    try:
        if not isinstance(row.data, str):
            raise ValueError(f"it is a {type(row.data).__name__} and no text")
        item = json.loads(row.data)
        if row.data.count("[") + row.data.count("{") > MOST_DEPTH:
            encode_items([item])
    except (ValueError, RecursionError, errors.ItemError) as error:
        report.skip(f"{place}, message {row.message_id}", f"not JSON: {error}")
        return []
    return [item]


def line_of(rows: Iterable[MessageRow], place: str, report: Skipper) -> Weaver:
    """The conversation that the rows are, one after the other."""
    weaver = Weaver()
    for row in rows:
        for item in decoded(row, place, report):
            weaver.add(item, moment(row.created_at))
    return weaver
