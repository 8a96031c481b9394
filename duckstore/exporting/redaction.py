"""Texts with what identifies people taken out of them: e-mail addresses, telephone and card
numbers, keys, and what the user's own function takes out.

What is found becomes its kind, a hash and its length: the same address stays the same in all texts,
so that it can be counted and joined, and cannot be read. A pattern finds what looks like the thing;
none finds all.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from duckstore import errors
from duckstore.access import Access
from duckstore.database import connect_memory
from duckstore.exporting.content import CONTENT
from duckstore.exporting.shape import columns_of

if TYPE_CHECKING:
    import polars

__all__ = ["PATTERNS", "Redaction", "write_redacted"]

PATTERNS = {
    "email": r"[\w.+%'-]+@[\w-]+(?:\.[\w-]+)+",
    # Secrets by the forms that providers give them, and what is said to be one.
    "keys": (
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
        r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
        r"|\b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,}"
        r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}"
        r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[\w-]{30,}|\bxox[abprs]-[\w-]{10,}"
        r"|\bhf_[A-Za-z0-9]{20,}"
        r"|(?i:\bbearer\s+)[\w.~+/-]{16,}=*"
        r"|(?i:\b(?:api[_-]?key|access[_-]?token|auth[_-]?token|client[_-]?secret|password|passwd"
        r"|secret)\b[\"']?\s*[:=]\s*[\"']?)[^\s\"',;&]{6,}"
    ),
    # 13 to 19 digits in groups, with a right check digit.
    "card": r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])",
    # From 8 digits on, with a plus, brackets or groups; or 10 and more in one piece.
    "phone": (
        r"(?<![\w.-])(?:\+\d{1,3}[ .-]?(?:\(\d{1,5}\)[ .-]?)?\d(?:[ ./-]?\d){5,13}"
        r"|\(\d{2,5}\)[ .-]?\d(?:[ ./-]?\d){4,11}"
        r"|0\d{1,5}[ ./-]\d(?:[ ./-]?\d){4,11}"
        r"|\d{3}[ .-]\d{3}[ .-]\d{4}|0\d{9,12})(?![\w-])"
    ),
}
"""What can be looked for by name, in the order in which it is done."""

_IDENTIFIERS = {
    "sessions": ("session_id", "parent_session_id", "tags"),
    **{r: ("session_id",) for r, c in CONTENT.items() if r not in ("sessions", "prices")},
}
"""Columns that may hold an address that nobody said: patterns are looked for there too; the user's
function sees only what was said."""


class Redaction:
    """What is to be taken out of texts."""

    def __init__(self, wanted: Sequence[str | Callable[[str], str]], key: str) -> None:
        """Take what is wanted: names of `PATTERNS`, and functions from a text to a text.

        Raises:
            ArgumentError: It is neither.
        """
        self._functions: list[Callable[[str], str]] = []
        chosen: set[str] = set()
        for one in wanted:
            if callable(one):
                self._functions.append(one)
            elif isinstance(one, str) and one in PATTERNS:
                chosen.add(one)
            else:
                raise errors.ArgumentError(
                    f"redact holds {one!r}: give {', '.join(PATTERNS)}, or a function from a text "
                    "to a text"
                )
        if not wanted:
            raise errors.ArgumentError("redact is empty: name what is to be taken out")
        self._patterns = [
            (name, re.compile(pattern, re.DOTALL))
            for name, pattern in PATTERNS.items()
            if name in chosen
        ]
        self._key = bytes.fromhex(key)
        names = [name for name, _ in self._patterns]
        names += [getattr(f, "__name__", type(f).__name__) for f in self._functions]
        self.name = ", ".join(names)

    def identifier(self, text: str) -> str:
        """A text that nobody said, with what the patterns find replaced."""
        for name, pattern in self._patterns:
            text = pattern.sub(partial(self._mark, name), text)
        return text

    def said(self, text: str) -> str:
        """A text that somebody said."""
        text = self.identifier(text)
        for function in self._functions:
            changed = function(text)
            if not isinstance(changed, str):
                raise errors.ArgumentError(
                    f"{getattr(function, '__name__', function)!r} returned a "
                    f"{type(changed).__name__} for a text: it must return a text"
                )
            text = changed
        return text

    def json(self, text: str) -> str:
        """A text that is JSON, or may be: every text in it, and the names in its objects."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return self.said(text)
        if isinstance(value, dict | list):
            changed = self._walk(value)
            return text if changed == value else json.dumps(changed)
        return self.said(text)

    def _walk(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.json(value) if value[:1] in ("{", "[") else self.said(value)
        if isinstance(value, list):
            return [self._walk(one) for one in value]
        if isinstance(value, dict):
            return {self.said(name): self._walk(one) for name, one in value.items()}
        if isinstance(value, int) and not isinstance(value, bool):
            changed = self.said(str(value))
            return value if changed == str(value) else changed
        return value

    def _mark(self, name: str, match: re.Match[str]) -> str:
        found = match[0]
        if name == "card" and not _is_card(found):
            return found
        return f"[{name} {self._digest(found)}:{len(found)}]"

    def _digest(self, found: str) -> str:
        return hmac.new(self._key, found.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[
            :12
        ]


@lru_cache(maxsize=1024)
def _is_card(text: str) -> bool:
    """Whether the last digit is the check digit of ISO/IEC 7812-1 (Luhn)."""
    digits = [int(c) for c in text if c.isdigit()][::-1]
    return sum(d if n % 2 == 0 else sum(divmod(2 * d, 10)) for n, d in enumerate(digits)) % 10 == 0


def write_redacted(
    access: Access,
    relations: Sequence[str],
    jobs: Sequence[tuple[str, str]],
    redaction: Redaction,
) -> list[int]:
    """Write the rows of relations into files, changed on the way: no file ever has the original.

    Args:
        access: The store.
        relations: Their names.
        jobs: For each a statement, and the path of its file.
        redaction: What is taken out.

    Returns:
        How many rows each file has.
    """
    counts = []
    for relation, (sql, path) in zip(relations, jobs, strict=True):
        rows = _redacted(access.frame(sql), relation, redaction)
        kinds = ", ".join(
            f'"{name}"::{"varchar" if kind == "JSON" else kind} as "{name}"'
            for name, kind in columns_of(relation).items()
        )
        with connect_memory(memory_limit="1GB", threads=2) as connection:
            connection.register("redacted", rows)
            target = path.replace("'", "''")
            connection.execute(
                f"copy (select {kinds} from redacted) to '{target}'"
                " (format parquet, compression zstd)"
            )
        counts.append(rows.height)
    return counts


def _redacted(frame: polars.DataFrame, relation: str, redaction: Redaction) -> polars.DataFrame:
    import polars as pl

    columns = []
    for name in CONTENT[relation]:
        columns.append(pl.Series(name, _each(frame[name], redaction.json), dtype=pl.String))
    for name in _IDENTIFIERS.get(relation, ()):
        if name in frame.columns and name != "tags":
            columns.append(
                pl.Series(name, _each(frame[name], redaction.identifier), dtype=pl.String)
            )
        elif name == "tags":
            tags = [[redaction.identifier(tag) for tag in own] for own in frame[name].to_list()]
            columns.append(pl.Series(name, tags, dtype=pl.List(pl.String)))
    return frame.with_columns(columns)


def _each(column: polars.Series, change: Callable[[str], str]) -> list[str | None]:
    """Change every text of a column; each that comes several times once."""
    known: dict[str, str] = {}
    changed: list[str | None] = []
    for text in column.to_list():
        if text is not None and text not in known:
            known[text] = change(text)
        changed.append(None if text is None else known[text])
    return changed
