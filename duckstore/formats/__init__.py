"""The formats of conversations that are stored elsewhere, each a module that reads it.

A module has a NAME, a TITLE for people, `recognizes`, which tells its files by their beginnings,
and `read`. They are imported when they are needed. A format whose conversations come in several
files, of which some have nothing of the beginning, says so with `COMES_IN_PIECES`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from duckstore import errors
from duckstore.formats.sample import Sample, Skipper
from duckstore.transcript import Transcript

__all__ = ["FORMATS", "Reader", "check_options", "reader", "reader_of"]

FORMATS = {
    "sqlite-session": "sqlite_session",
    "sqlalchemy": "sqlalchemy_session",
    "chatgpt": "chatgpt",
    "codex": "codex",
    "claude-code": "claude_code",
    "chat": "chat",
    "jsonl": "jsonl",
}
"""The names of the formats with their modules, in the order in which a file is shown to them."""


class Reader(Protocol):
    """The module of a format."""

    NAME: str
    TITLE: str

    def recognizes(self, sample: Sample) -> bool:
        """Whether a file is of the format."""

    def read(self, path: Path, report: Skipper, **options: Any) -> Iterator[Transcript]:
        """The conversations of a file."""


def reader(name: str) -> Reader:
    """The reader of a format.

    Raises:
        ArgumentError: There is no format of that name.
    """
    if name not in FORMATS:
        raise errors.ArgumentError(
            f"no format is named {name!r}: choose one of {', '.join(FORMATS)}"
        )
    return cast(Reader, import_module(f"duckstore.formats.{FORMATS[name]}"))


def reader_of(sample: Sample) -> Reader | None:
    """The reader that recognizes a file; None where none does."""
    return next((found for found in map(reader, FORMATS) if found.recognizes(sample)), None)


def check_options(found: Reader, options: Mapping[str, Any]) -> None:
    """See that a format has the options that are given for it.

    Raises:
        ArgumentError: It has no such option.
    """
    known = [
        name
        for name, parameter in inspect.signature(found.read).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    for name in options:
        if name not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise errors.ArgumentError(f"the format {found.NAME} has no option {name!r}: {has}")
