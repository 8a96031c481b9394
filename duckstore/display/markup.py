"""HTML from texts that nobody has looked at.

Only what `element` makes is HTML; every other text is escaped when it gets into an element, so that
nothing of a conversation can become one. Attributes hold words of this package and no data.
"""

from __future__ import annotations

import html
import re

__all__ = ["Markup", "element", "joined", "legible"]

# What no HTML or XML can hold, or nobody can see: control characters other than line end and tab,
# lone surrogates, and the code points that are no characters.
_ILLEGIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Markup(str):
    """HTML as it is to be, in which all data is escaped."""

    __slots__ = ()


def legible(text: str) -> str:
    """The text with what cannot be shown written out, such as `\\x1b` or `\\ud800`."""
    return _ILLEGIBLE.sub(_written_out, text.replace("\r\n", "\n"))


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def element(name: str, *parts: str | None, look: str = "") -> Markup:
    """An element with what is in it.

    Args:
        name: The element's name.
        parts: Markup as it is, other texts escaped; None is left out.
        look: What it looks like, as `duckstore.display.style` has it; several words for several.
    """
    looks = " ".join(f"duckstore-{word}" for word in look.split())
    # Texts in any script may stand there: each runs in its own direction, and in no other's.
    opening = f'<{name} class="{looks}" dir="auto">' if looks else f"<{name}>"
    return Markup(f"{opening}{joined(*parts)}</{name}>")


def joined(*parts: str | None) -> Markup:
    """Parts one after the other: markup as it is, other texts escaped."""
    return Markup(
        "".join(
            part if isinstance(part, Markup) else html.escape(legible(part))
            for part in parts
            if part is not None
        )
    )
