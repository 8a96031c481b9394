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
from typing import Any

from duckstore import errors

__all__ = ["PATTERNS", "Redaction"]

SECRETS = (
    r"(?:api[ _-]?key|access[ _-]?(?:key|token)|auth[ _-]?token|client[ _-]?secret|secret[ _-]?key"
    r"|private[ _-]?key|password|passwd|passphrase|secret)"
)
"""How people and programs name what nobody else may know."""

PATTERNS = {
    "email": r"(?<![\w.+%'-])[\w.+%'-]++@[\w-]+(?:\.[\w-]+)+",
    # Secrets by the forms that providers give them, and what is said to be one.
    "keys": (
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
        r"|(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
        r"|\b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,}"
        r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}"
        r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[\w-]{30,}|\bxox[abeoprs]-[\w-]{10,}"
        r"|\bhf_[A-Za-z0-9]{20,}|\bnpm_[A-Za-z0-9]{30,}|\bpypi-[\w-]{20,}"
        r"|\bSG\.[\w-]{16,}\.[\w-]{16,}"
        r"|(?<=://)[^\s/:@]*+:[^\s/@]++(?=@)"
        r"|(?i:\bbearer\s+)[\w.~+/-]{16,}=*"
        rf"|(?i:(?<![a-z]){SECRETS}[\"']?\s*[:=]\s*[\"']?)[^\s\"',;&]{{4,}}"
    ),
    # Groups of digits; which of them are a card's is told by `_cards`.
    "card": r"(?<![\w.-])\d++(?:[ -]\d++)*+(?!\w)",
    # From 8 digits on, with a plus, brackets or groups, but no date; or 10 and more in one piece.
    "phone": (
        r"(?<![\w.-])(?!\d\d?([./-])\d\d?\1\d{4}(?!\d))"
        r"(?:\+\d{1,3}[ .-]?(?:\(\d{1,5}\)[ .-]?)?\d(?:[ ./-]?\d){5,13}"
        r"|(?:1[ .-]?)?\(\d{2,5}\)[ .-]?\d(?:[ ./-]?\d){4,11}"
        r"|0\d{1,5}[ ./-]\d(?:[ ./-]?\d){4,11}"
        r"|(?:1[ .-])?\d{3}[ .-]\d{3}[ .-]\d{4}|0\d{9,14})(?![\w-])"
    ),
}
"""What can be looked for by name, in the order in which it is done."""

# A pattern of many forms is tried only on a text with one of these in it, in lower case. Every form
# has one of them; looking for them takes a tenth of the time.
_HINTS = {
    "email": ("@",),
    "keys": (
        *("key", "token", "secret", "passw", "passphrase", "bearer", "eyj", "://", "xox"),
        *("sk-", "sk_", "pk-", "pk_", "rk-", "rk_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
        *("github_pat_", "glpat-", "akia", "asia", "aiza", "hf_", "npm_", "pypi-", "sg."),
    ),
}

_SECRET_NAME = re.compile(rf"(?i:(?:^|[^a-z]){SECRETS}$)")


_DIGITS = re.compile(r"\d+")
SHORT = 64
"""What is not longer comes again and again: the words that JSON is made of, ids, names."""
MOST_GROUPS = 6
"""Groups of digits that a card's number is written in at most."""


class Redaction:
    """What is to be taken out of texts."""

    def __init__(self, wanted: Sequence[str | Callable[[str], str]], key: str) -> None:
        """Take what is wanted: names of `PATTERNS`, and functions from a text to a text.

        Raises:
            ArgumentError: It is neither.
        """
        self._functions: list[Callable[[str], str]] = []
        chosen: set[str] = set()
        self._hides_secrets = "keys" in wanted
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
        self._short = lru_cache(maxsize=65_536)(self._searched)
        self.has_functions = bool(self._functions)
        self.definition = "\n".join(pattern.pattern for _, pattern in self._patterns)
        """Tells it from what another duckstore takes out under the same names."""
        names = [name for name, _ in self._patterns]
        names += [getattr(f, "__name__", type(f).__name__) for f in self._functions]
        self.name = ", ".join(names)

    def identifier(self, text: str) -> str:
        """A text that nobody said, with what the patterns find replaced."""
        return self._short(text) if len(text) <= SHORT else self._searched(text)

    def _searched(self, text: str) -> str:
        for name, pattern in self._patterns:
            hints = _HINTS.get(name)
            if hints is not None:
                lower = text.lower()
                if not any(hint in lower for hint in hints):
                    continue
            text = pattern.sub(partial(self._replace, name), text)
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
            if isinstance(value, dict | list):
                changed = self._walk(value)
                return text if changed == value else json.dumps(changed)
        except (ValueError, RecursionError):
            pass  # no JSON, or nested deeper than anything that is meant
        return self.said(text)

    def _walk(self, value: Any, name: str = "") -> Any:
        """What stands in JSON, under the name that an object has for it."""
        if isinstance(value, str):
            if self._hides_secrets and value and _SECRET_NAME.search(name):
                return self._mark("keys", value)
            return self.json(value) if value.lstrip()[:1] in ("{", "[") else self.said(value)
        if isinstance(value, list):
            return [self._walk(one, name) for one in value]
        if isinstance(value, dict):
            return {self.said(key): self._walk(one, key) for key, one in value.items()}
        if isinstance(value, int) and not isinstance(value, bool):
            changed = self.said(str(value))
            return value if changed == str(value) else changed
        return value

    def _replace(self, name: str, match: re.Match[str]) -> str:
        """What takes the place of something that a pattern has found."""
        return self._cards(match[0]) if name == "card" else self._mark(name, match[0])

    def _cards(self, found: str) -> str:
        """Groups of digits, with those that are a card's number replaced."""
        groups = list(_DIGITS.finditer(found))
        text, kept = "", 0
        at = 0
        while at < len(groups):
            first = groups[at].start()
            ends = [g.end() for g in groups[at : at + MOST_GROUPS]]
            end = next((e for e in reversed(ends) if _is_card(found[first:e])), None)
            if end is None:
                at += 1
                continue
            text += found[kept:first] + self._mark("card", found[first:end])
            kept = end
            at = next((n for n, g in enumerate(groups) if g.start() >= end), len(groups))
        return text + found[kept:]

    def _mark(self, name: str, found: str) -> str:
        return f"[{name} {self._digest(found)}:{len(found)}]"

    def _digest(self, found: str) -> str:
        told = hmac.new(self._key, found.encode("utf-8", "replace"), hashlib.sha256)
        return told.hexdigest()[:12]


@lru_cache(maxsize=1024)
def _is_card(text: str) -> bool:
    """Whether it is the form of a card's number, and the last digit the check digit.

    That is the one of ISO/IEC 7812-1 (Luhn). Cards of payment begin with 2 to 6, and come in groups
    of three digits and more.
    """
    digits = [int(c) for c in text if c.isdigit()]
    if not 13 <= len(digits) <= 19 or not 2 <= digits[0] <= 6:
        return False
    if any(len(group[0]) < 3 for group in _DIGITS.finditer(text)):
        return False
    doubled = (d if n % 2 == 0 else sum(divmod(2 * d, 10)) for n, d in enumerate(digits[::-1]))
    return sum(doubled) % 10 == 0
