"""Values as short texts, and long texts with their rest folded away."""

from __future__ import annotations

from duckstore.display.markup import Markup, element, joined

__all__ = ["MOST_READ", "count_of", "cut", "folded", "moment", "span_of"]

MOST_SHOWN = 1200
"""How many characters of a text are seen at once."""
MOST_READ = 6000
"""How many are there at all: a conversation is to be looked at, and its texts may be megabytes."""
LINES_SHOWN = 24


def count_of(number: int | None, noun: str) -> str:
    """A number with what it counts, such as `1 run` or `1,204 runs`."""
    return f"{number or 0:,} {noun if number == 1 else noun + 's'}"


def moment(text: str | None) -> str:
    """A moment in ISO 8601, as people write it: to the second, in UTC."""
    return text[:19].replace("T", " ") + " UTC" if text else ""


def span_of(first: str | None, last: str | None) -> str:
    """From a moment to another; once where they are the same to the second."""
    begun, ended = moment(first), moment(last)
    return begun if begun == ended else f"{begun} to {ended}"


def cut(text: str, length: int) -> str:
    """The text on one line and at most `length` characters long."""
    line = " ".join(text[: length * 4].split())
    return line if len(line) <= length and len(text) <= length * 4 else line[: length - 1] + "…"


def folded(text: str, length: int | None = None, look: str = "text") -> Markup:
    """A text as it stands, with the rest of a long one folded.

    Args:
        text: The text, or its beginning.
        length: How long the whole text is.
        look: What it looks like.
    """
    end = _end(text)
    if end >= len(text) and (length is None or length <= len(text)):
        return element("pre", text, look=look)
    missing = max((length or 0) - len(text), 0)
    rest = element("pre", text[end:], look=look)
    note = f"{missing:,} characters more are not shown here" if missing else None
    return joined(
        element("pre", text[:end] + "…", look=look),
        element(
            "details",
            element("summary", f"{len(text) - end + missing:,} characters more"),
            rest,
            element("p", note, look="note") if note else None,
        ),
    )


def _end(text: str) -> int:
    """Where the part that is seen at once ends; a text that is hardly longer is seen whole."""
    end = MOST_SHOWN if len(text) > MOST_SHOWN * 1.25 else len(text)
    lines = text[:end].splitlines(keepends=True)
    if len(lines) > LINES_SHOWN * 1.25:
        end = sum(map(len, lines[:LINES_SHOWN]))
    return end
