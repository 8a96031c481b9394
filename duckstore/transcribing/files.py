"""Files that are written aside, and are there whole or not at all."""

from __future__ import annotations

import gzip
import os
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from duckstore import errors

__all__ = ["TranscribeReport", "written_aside", "written_lines"]


@dataclass(slots=True)
class TranscribeReport:
    """What was written."""

    path: str
    session_count: int = 0
    item_count: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    """How many items have no place in that form, by their type or another reason."""


@contextmanager
def written_aside(path: Path, *, replace: bool) -> Iterator[Path]:
    """A file beside `path` to write to, which takes its place at the end.

    Args:
        path: The file.
        replace: Whether it may be there already.

    Raises:
        StorePathError: It is there, or cannot be written; nothing of it is there.
    """
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        if path.is_dir() or (not replace and os.path.lexists(path)):
            raise FileExistsError(f"{path} is there already")
        try:
            yield aside
            with aside.open("rb") as file:
                os.fsync(file.fileno())
            if replace:
                aside.replace(path)
            else:
                os.link(aside, path)  # which replaces nothing that came meanwhile
        finally:
            with suppress(FileNotFoundError):
                aside.unlink()
    except OSError as error:
        if isinstance(error, errors.DuckstoreError):
            raise
        raise errors.StorePathError(
            f"{path} cannot be written: {error.strerror or error}. Make room, or choose another "
            "file"
        ) from error


@contextmanager
def written_lines(path: Path) -> Iterator[IO[str]]:
    """A text file for lines, gzip where its name says so."""
    with written_aside(path, replace=True) as aside:
        if path.suffix == ".gz":
            with gzip.open(aside, "wt", encoding="utf-8", newline="\n") as file:
                yield file
        else:
            with aside.open("w", encoding="utf-8", newline="\n") as file:
                yield file
