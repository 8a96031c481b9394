"""HTML as a reader sees it: its elements, what is folded, and all its words."""

from __future__ import annotations

from html.parser import HTMLParser

__all__ = ["Page"]

VOID = {"br", "hr", "img", "input", "link", "meta"}


class Page(HTMLParser):
    """A parsed page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()
        self.text = ""
        self.open_text = ""
        """What is seen before anything is unfolded."""
        self.style = ""
        self.most_folds = 0
        """How deeply what is folded is inside of other folds."""
        self._path: list[str] = []
        self.feed(text)
        self.close()
        assert self._path == [], "an element is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= set(attrs)
        if tag not in VOID:
            self._path.append(tag)
        self.most_folds = max(self.most_folds, self._path.count("details"))

    def handle_endtag(self, tag: str) -> None:
        assert self._path.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self._path:
            self.style += data
            return
        # Words of different elements are words of their own.
        self.text += f"{data}\n"
        folds = self._path.count("details")
        if folds == 0 or (folds == 1 and "summary" in self._path):
            self.open_text += f"{data}\n"

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"a declaration: {decl}")
