"""Values as text: for people's eyes, and as JSON.

Conversations hold whatever users and models wrote. Nothing of it may steer the terminal, so
control characters are shown and not sent.
"""

from __future__ import annotations

import json
import math
import unicodedata
from decimal import Decimal
from typing import Any

__all__ = ["cell", "cut", "fit", "json_text", "visible", "width"]

_SHOWN = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_SHOWN |= {ord("\n"): "\\n", ord("\t"): "\\t", ord("\r"): "\\r"}
_SHOWN_IN_LINES = {code: shown for code, shown in _SHOWN.items() if chr(code) not in "\n\t"}


def visible(text: str, *, lines: bool = False) -> str:
    """The text with control characters written out, such as `\\x1b`.

    Args:
        text: Any text.
        lines: Whether line ends and tabs stay what they are.
    """
    if lines:
        return text.replace("\r\n", "\n").translate(_SHOWN_IN_LINES)
    return text if text.isprintable() else text.translate(_SHOWN)


def cell(value: Any) -> str:
    """A value as the text of a table's cell. What is not there is empty."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json_text(value) if isinstance(value, (list, dict)) else str(value)


def json_text(value: Any) -> str:
    """A value as JSON. NaN and infinity, which JSON lacks, are null; decimals keep their digits."""
    if isinstance(value, dict):
        pairs = (f"{json_text(_key(key))}: {json_text(part)}" for key, part in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(json_text, value)) + "]"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float) and not math.isfinite(value):
        return "null"
    return json.dumps(value, ensure_ascii=False)


def _key(key: Any) -> str:
    return cell(key)


def cut(text: str, length: int) -> str:
    """The text on one line and at most `length` characters long."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"


def fit(text: str, columns: int) -> str:
    """The text on one line, visible, and at most so many columns of a terminal wide."""
    text = visible(" ".join(text.split()))
    taken = kept = 0
    for number, character in enumerate(text):
        taken += width(character)
        if taken > columns:
            return text[:kept] + "…"
        if taken < columns:
            kept = number + 1  # there is room for the mark after it
    return text


def width(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
