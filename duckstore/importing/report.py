"""What an import did, file by file, and what it left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["FileReport", "ImportReport", "Skipped", "Skips"]


class Skipped(NamedTuple):
    """Something that was left out, or not taken as it stands."""

    place: str
    """Where it stands in the file, for people: "line 3"."""
    reason: str


@dataclass(slots=True)
class FileReport:
    """What became of one file, or of a folder that is read as a whole."""

    path: str
    format: str
    session_count: int = 0
    """Sessions that were made."""
    grown_count: int = 0
    """Sessions to which something was added."""
    unchanged_count: int = 0
    """Sessions that had everything already."""
    item_count: int = 0
    """Items that were added."""
    skipped: list[Skipped] = field(default_factory=list)
    error: str | None = None
    """Why nothing, or nothing further, could be read; for a file in a folder."""


@dataclass(slots=True)
class ImportReport:
    """What an import did, or with `dry_run` what it would do."""

    files: list[FileReport] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    """Files of a folder that no format recognizes."""

    @property
    def format(self) -> str:
        """The names of the formats that were read."""
        return ", ".join(dict.fromkeys(file.format for file in self.files))

    @property
    def session_count(self) -> int:
        """Sessions that were made."""
        return sum(file.session_count for file in self.files)

    @property
    def grown_count(self) -> int:
        """Sessions to which something was added."""
        return sum(file.grown_count for file in self.files)

    @property
    def unchanged_count(self) -> int:
        """Sessions that had everything already."""
        return sum(file.unchanged_count for file in self.files)

    @property
    def item_count(self) -> int:
        """Items that were added."""
        return sum(file.item_count for file in self.files)

    @property
    def skipped(self) -> list[Skipped]:
        """What was left out, with the file in each place where there are several."""
        if len(self.files) == 1:
            return self.files[0].skipped
        return [
            Skipped(f"{file.path}, {place}", reason)
            for file in self.files
            for place, reason in file.skipped
        ]


class Skips:
    """What a reader tells, put into the report of its file."""

    def __init__(self, report: FileReport, on_advance: Callable[[int], None]) -> None:
        self._report, self._on_advance = report, on_advance

    def skip(self, place: str, reason: str) -> None:
        """Something was left out, or was not taken as it stands."""
        self._report.skipped.append(Skipped(place, reason))

    def advance(self, done: int) -> None:
        """So many bytes of the file were read."""
        self._on_advance(done)
