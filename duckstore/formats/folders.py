"""Folders of files of one format, which are read together because files copy each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from duckstore import errors
from duckstore.formats.sample import Sample, take_sample

__all__ = ["LONG_AGO", "Silent", "files_of", "holds_any"]

LONG_AGO = datetime.min.replace(tzinfo=UTC)
"""When something began of which no time is told: before everything else."""
_LOOKED_AT = 200
"""Files of a folder that are looked at to tell what it holds."""


class Silent:
    """Takes what a first reading leaves out: the second one tells it."""

    def skip(self, place: str, reason: str) -> None:
        """Do nothing."""

    def advance(self, done: int) -> None:
        """Do nothing."""


def files_of(
    folder: Path, is_named: Callable[[str], object], recognizes: Callable[[Sample], bool]
) -> Iterator[Path]:
    """The files of a format in a folder and in all folders of it, sorted by their paths.

    Args:
        folder: The folder.
        is_named: Whether a file of the format may have that name.
        recognizes: Whether a file is of the format.
    """
    for path in _named(folder, is_named):
        if _is_recognized(path, recognizes):
            yield path


def holds_any(
    folder: Path, is_named: Callable[[str], object], recognizes: Callable[[Sample], bool]
) -> bool:
    """Whether a file of the format is among the first files of a folder that are named so."""
    found = islice(_named(folder, is_named), _LOOKED_AT)
    return any(_is_recognized(path, recognizes) for path in found)


def _named(folder: Path, is_named: Callable[[str], object]) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(place, name) for name in sorted(names) if is_named(name))


def _is_recognized(path: Path, recognizes: Callable[[Sample], bool]) -> bool:
    try:
        return recognizes(take_sample(path))
    except errors.ImportFileError:
        return False
