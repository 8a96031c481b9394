"""What the values of a foreign file mean: texts, moments, counts.

A file from elsewhere may hold anything in any field. Nothing here raises: what makes no sense is
None, 0 or empty, and the reader decides whether that is worth a word in the report.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

__all__ = ["count", "json_text", "mapping", "moment", "sequence", "text"]

_LAST_SECOND = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
_MOST = 2**53
"""Counts above this are damage, and their sums would leave a bigint."""


def text(value: Any) -> str | None:
    """A text that is not empty."""
    return value if isinstance(value, str) and value else None


def mapping(value: Any) -> dict[str, Any]:
    """An object; an empty one where it is none."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    """A list; an empty one where it is none."""
    return value if isinstance(value, list) else []


def count(value: Any) -> int:
    """A number of tokens; 0 where it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0
    return int(value) if 0 < value <= _MOST else 0  # NaN compares as False


def moment(value: Any) -> datetime | None:
    """A moment from seconds since 1970, an ISO text or a datetime; UTC where no zone is named."""
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value.strip())
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        if not math.isfinite(value) or not 0 < value < _LAST_SECOND:
            return None
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError):
        return None


def json_text(value: Any) -> str:
    """A value as JSON text that a person can read. RecursionError where it is nested too deeply."""
    return json.dumps(value, ensure_ascii=False)
