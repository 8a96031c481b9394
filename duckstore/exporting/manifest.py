"""The page that tells what an export consists of. It is written last: with it the export is there.

`manifest.json` names every file with its size, checksum and number of rows, and says of what store
and moment they are. Whoever reads the files that it names sees one whole export.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from duckstore import errors

__all__ = ["FORMAT_VERSION", "MANIFEST", "Manifest", "PartFile", "parse"]

MANIFEST = "manifest.json"
TITLE = "duckstore export"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class PartFile:
    """One Parquet file."""

    part: int
    path: str
    """Relative to the folder, with slashes."""
    sha256: str
    byte_count: int
    row_count: int

    @property
    def link(self) -> str:
        """Where the same bytes lie under a name that is never given to others."""
        return f"_duckstore/files/{self.sha256[:32]}.parquet"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an export consists of."""

    schema_version: int
    duckstore_version: str
    store_id: str
    exported_at: str
    partition_by: str | None
    content: str
    """full, hashed, or redacted with what was looked for."""
    selection: dict[str, Any]
    """What was asked for: `since` and `sessions`, null for all."""
    definition: str
    """Tells which statements the relations were made with."""
    prices: str
    """A fingerprint of the store's prices."""
    session_count: int
    first_item_at: str | None
    last_item_at: str | None
    partitions: dict[int, str]
    """For each part the month, or what else it is told apart by."""
    columns: dict[str, dict[str, str]]
    """For each relation its columns with their types in the store."""
    relations: dict[str, list[PartFile]]
    tables: dict[str, list[PartFile]]
    """Files that other tools need not read: for importing the export."""
    sessions_file: str
    """The checksum of the list of sessions, with part and fingerprint of each."""
    row_counts: dict[str, int] = field(default_factory=dict)

    def files(self) -> Iterator[tuple[str, PartFile]]:
        """Every file with the relation or table that it belongs to."""
        for group in (self.relations, self.tables):
            for name, files in group.items():
                for file in files:
                    yield name, file

    def text(self) -> str:
        """The page."""
        values = {"format": TITLE, "format_version": FORMAT_VERSION} | asdict(self)
        return json.dumps(values, indent=1) + "\n"

    def is_like(self, other: Manifest | None) -> bool:
        """Whether both tell of the same export, whenever it was made."""
        return other is not None and asdict(self) | {"exported_at": ""} == asdict(other) | {
            "exported_at": ""
        }


def parse(text: str, place: str) -> Manifest:
    """The manifest that a page holds.

    Raises:
        DamagedStoreError: It holds none.
        NewerSchemaError: A later duckstore wrote it.
    """
    try:
        values = json.loads(text)
        if values.pop("format", None) != TITLE:
            raise ValueError("it is no manifest of a duckstore export")
        version = values.pop("format_version")
        if version > FORMAT_VERSION:
            raise errors.NewerSchemaError(
                f"{place} is of format version {version}, and this duckstore knows versions up to "
                f"{FORMAT_VERSION}: upgrade duckstore. Nothing was changed"
            )
        values["partitions"] = {int(part): name for part, name in values["partitions"].items()}
        for group in ("relations", "tables"):
            values[group] = {
                name: [PartFile(**file) for file in files] for name, files in values[group].items()
            }
        return Manifest(**values)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise errors.DamagedStoreError(
            f"{place} cannot be read: {error}. Name a folder that duckstore has exported to; where "
            "it is one, export anew into another folder"
        ) from error
