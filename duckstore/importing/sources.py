"""Which files an import reads, and in which format each."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from duckstore import errors
from duckstore.formats import FORMATS, Reader, reader, reader_of
from duckstore.formats.sample import Sample, take_sample

__all__ = ["Source", "Sources", "find_sources"]


@dataclass(frozen=True, slots=True)
class Source:
    """A file, or a folder that is read as a whole, with its reader."""

    path: Path | str
    """A text is the address of a database."""
    reader: Reader
    size: int


@dataclass(slots=True)
class Sources:
    """What an import reads."""

    found: list[Source] = field(default_factory=list)
    unreadable: list[tuple[Path, str]] = field(default_factory=list)
    """Files of a folder that cannot be read, with the reason."""
    ignored: list[Path] = field(default_factory=list)
    """Files of a folder that no format recognizes."""
    is_folder: bool = False
    """Whether a folder was given, of which what is good is taken."""


def find_sources(path: str | os.PathLike[str], format_name: str | None) -> Sources:
    """The files to read.

    Args:
        path: A file, a folder, or the address of a database.
        format_name: The format's name; None to tell it from the files.

    Raises:
        ImportFileError: There is nothing that can be read.
        ArgumentError: No format is named so.
    """
    named = reader(format_name) if format_name is not None else None
    if isinstance(path, str) and "://" in path:
        return Sources([Source(path, named or reader("sqlalchemy"), 0)])
    place = Path(path).expanduser()
    sample = take_sample(place)
    if not sample.is_folder:
        found = named or reader_of(sample)
        if found is None:
            raise errors.ImportFileError(
                f"{place} is of no format that is known: name it, if it is one of "
                f"{', '.join(FORMATS)}"
            )
        return Sources([Source(place, found, place.stat().st_size)])
    sources = _in_folder(sample, named)
    if not sources.found and not sources.unreadable:
        kind = f"the format {format_name}" if format_name else "a known format"
        raise errors.ImportFileError(
            f"{place} holds no file of {kind}, among {len(sources.ignored)}. The formats are "
            f"{', '.join(FORMATS)}"
        )
    return sources


def _in_folder(sample: Sample, named: Reader | None) -> Sources:
    readers = [named] if named is not None else list(map(reader, FORMATS))
    # Those of which files copy each other read the folder themselves.
    whole = [found for found in readers if found.recognizes(sample)]
    sources = Sources(is_folder=True)
    sizes = dict.fromkeys((found.NAME for found in whole), 0)
    for path in _files_in(sample.path, sources.unreadable):
        try:
            one = take_sample(path)
            size = path.stat().st_size
        except (errors.ImportFileError, OSError) as error:
            sources.unreadable.append((path, str(error)))
            continue
        found = next((found for found in readers if found.recognizes(one)), None)
        if found is None:
            sources.ignored.append(path)
        elif found.NAME in sizes:
            sizes[found.NAME] += size
        else:
            sources.found.append(Source(path, found, size))
    sources.found[:0] = [Source(sample.path, found, sizes[found.NAME]) for found in whole]
    return sources


def _files_in(folder: Path, unreadable: list[tuple[Path, str]]) -> Iterator[Path]:
    """The files in a folder and in all folders of it, sorted by their paths."""

    def note(error: OSError) -> None:
        unreadable.append((Path(error.filename), f"it cannot be read: {error.strerror}"))

    for place, folders, names in os.walk(folder, onerror=note):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            try:
                is_file = stat.S_ISREG(path.stat().st_mode)
            except OSError:
                is_file = True  # the reading of it tells what is wrong
            if is_file:
                yield path
