"""HTML of stores and conversations, as notebooks show what the last line of a cell gives.

It holds no script and loads nothing, every text of the data is escaped, and its colours are those
of the page around it, be that light or dark. Where a style is taken away, as notebooks do that are
not trusted yet, it stays readable.
"""

from __future__ import annotations

from collections.abc import Callable

from duckstore import errors
from duckstore.display.markup import Markup, element, legible
from duckstore.display.style import framed
from duckstore.display.summary import summary_html
from duckstore.display.talk import conversation_html

__all__ = ["conversation_html", "html_or_note", "legible", "summary_html"]


def html_or_note(make: Callable[[], Markup]) -> str:
    """The HTML that is made; where the store cannot be asked any more, a line that says why.

    A notebook that raises while it shows something hides what it shows.
    """
    try:
        made = make()
    except errors.DuckstoreError as error:
        made = framed(element("p", str(error), look="note"))
    return str(made)  # marimo refuses a text that is of a class of its own
