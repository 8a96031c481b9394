"""An export, from the question what has changed to the folder that shows it."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckstore
from duckstore import errors, faults
from duckstore.access import Access
from duckstore.exporting.content import hashed_columns
from duckstore.exporting.folder import Folder, checksum, sessions_link
from duckstore.exporting.manifest import Manifest, PartFile
from duckstore.exporting.plan import PARTITIONS, Plan, Planned, Selection, parts_of, read_plan
from duckstore.exporting.redacting import write_redacted
from duckstore.exporting.redaction import Redaction
from duckstore.exporting.shape import (
    EXPORTED_TABLES,
    columns_of,
    definition,
    relation_sql,
    table_sql,
)
from duckstore.schema import RELATIONS, SCHEMA_VERSION, STORE_TABLES

__all__ = [
    "PRICES_PART",
    "ExportReport",
    "Wish",
    "export_parquet",
    "hash_key",
    "sessions_of",
    "wish_of",
]

NO_PARTITION = "__HIVE_DEFAULT_PARTITION__"
"""The name that Hive gives to the folder of rows without a value: there, the files of a store
without sessions have their columns."""
PRICES_PART = -1
"""The part of what belongs to no session."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What an export is to be like."""

    partition_by: str | None = "month"
    selection: Selection = field(default_factory=Selection)
    has_text: bool = True
    redaction: Redaction | None = None

    @property
    def content(self) -> str:
        """What the manifest says of the texts."""
        if self.redaction is not None:
            return f"redacted: {self.redaction.name}"
        return "full" if self.has_text else "hashed"


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export did."""

    folder: str
    row_counts: dict[str, int]
    """How many rows each relation has in the folder now."""
    session_count: int
    written_count: int
    """Files that are new or have other bytes than before."""
    kept_count: int
    removed_count: int
    foreign_files: list[str]
    """Files among those of the relations that duckstore did not write, which other tools would read
    as well: they were left alone."""

    @property
    def is_changed(self) -> bool:
        """Whether anything in the folder is other than before."""
        return bool(self.written_count or self.removed_count)


def wish_of(
    access: Access,
    since: datetime | None,
    sessions: Iterable[str] | None,
    partition_by: str | None,
    text: bool,
    redact: Iterable[str | Callable[[str], str]] | None,
) -> Wish:
    """What the arguments of `Store.export_parquet` ask for.

    Raises:
        ArgumentError: One of them makes no sense.
    """
    if partition_by is not None and partition_by not in PARTITIONS:
        raise errors.ArgumentError(
            f"partition_by is {partition_by!r}: give {', '.join(PARTITIONS)} or None"
        )
    if since is not None and (not isinstance(since, datetime) or since.tzinfo is None):
        raise errors.ArgumentError(
            f"since is {since!r}: give a datetime with a time zone, such as "
            "datetime(2026, 11, 1, tzinfo=UTC)"
        )
    if redact is not None and not text:
        raise errors.ArgumentError("text=False leaves nothing to redact: give one of the two")
    if isinstance(redact, str) or isinstance(sessions, str):
        raise errors.ArgumentError("redact and sessions are lists: give one with a single text")
    ids = None if sessions is None else tuple(sorted(set(sessions)))
    redaction = None if redact is None else Redaction(list(redact), hash_key(access))
    return Wish(partition_by, Selection(since, ids), text, redaction)


def export_parquet(
    access: Access,
    root: Path,
    wish: Wish,
    progress: Callable[[int, int], None] | None = None,
) -> ExportReport:
    """Bring a folder up to the state of the store; see `Store.export_parquet`."""
    folder = Folder(root)
    _must_take(folder.manifest(), root, access)  # before anything is made in it
    try:
        with folder.taken() as staging:
            return _Export(access, folder, wish, staging, progress).run()
    except OSError as error:
        if isinstance(error, errors.DuckstoreError):
            raise
        raise errors.StorePathError(
            f"the export to {root} failed: {error}. Make room, or choose a folder that can be "
            "written"
        ) from error


class _Export:
    """One export at work."""

    def __init__(
        self,
        access: Access,
        folder: Folder,
        wish: Wish,
        staging: Path,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._access, self._folder, self._wish, self._staging = access, folder, wish, staging
        self._progress = progress or (lambda done, total: None)
        self._hashed = {} if wish.has_text else hashed_columns(hash_key(access))
        self._definition = definition(self._hashed)
        if wish.redaction is not None:
            self._definition += " " + hashlib.sha256(wish.redaction.definition.encode()).hexdigest()
        self._store_id = access.store_id()
        self._before = folder.manifest()
        _must_take(self._before, folder.root, access)
        self._written = 0

    def run(self) -> ExportReport:
        """Do it."""
        self._access.refresh_prices()
        plan = read_plan(self._access, self._wish.selection, self._wish.partition_by)
        known, marks = self._known()
        partitions = dict(self._before.partitions) if self._before and known else {}
        partitions = {part: name for part, name in partitions.items() if name != NO_PARTITION}
        parts = parts_of(plan.sessions, known, partitions)
        names = {part: members[0].partition for part, members in parts.items()}
        if not parts:
            parts, names = {0: []}, {0: NO_PARTITION if self._wish.partition_by else ""}
        files = self._write(plan, parts, names, known, marks)
        manifest = self._manifest(plan, names, files, self._write_sessions(parts))
        removed = self._removed(manifest)
        if manifest.is_like(self._before):
            assert self._before is not None  # noqa: S101
            manifest = self._before
            self._folder.place(manifest)
            self._folder.sweep(manifest, None)
        else:
            self._folder.publish(manifest, self._before, self._staging)
        _remove_flat_files(self._folder.root)
        faults.at("export.end")
        total = sum(1 for _ in manifest.files())
        return ExportReport(
            str(self._folder.root),
            manifest.row_counts,
            len(plan.sessions),
            self._written,
            total - self._written,
            removed,
            self._folder.foreign(manifest),
        )

    # What was exported before ----------------------------------------------------------------

    def _known(self) -> tuple[dict[int, int], dict[int, str]]:
        """The part and the fingerprint of each session in the folder, where they still count."""
        before = self._before
        if before is None or before.partition_by != self._wish.partition_by:
            return {}, {}
        return sessions_of(self._folder, before)

    def _write_sessions(self, parts: Mapping[int, Sequence[Planned]]) -> str:
        rows = [[s.session_key, part, s.fingerprint] for part, own in parts.items() for s in own]
        staged = self._staging / "sessions.json.gz"
        staged.write_bytes(gzip.compress(json.dumps(rows).encode(), 6, mtime=0))
        digest = checksum(staged)
        self._folder.adopt(staged, sessions_link(digest))
        return digest

    def _is_new(self) -> bool:
        """Whether everything is to be written, whatever the sessions say."""
        before, redaction = self._before, self._wish.redaction
        if redaction is not None and redaction.has_functions:
            return True  # who can say what a function did when it was last called
        return before is None or (
            (before.definition, before.content, before.partition_by)
            != (self._definition, self._wish.content, self._wish.partition_by)
        )

    # Writing ---------------------------------------------------------------------------------

    def _write(
        self,
        plan: Plan,
        parts: Mapping[int, Sequence[Planned]],
        names: Mapping[int, str],
        known: Mapping[int, int],
        marks: Mapping[int, str],
    ) -> dict[tuple[str, int], PartFile]:
        """Write what has changed. Returns all files by relation or table, and part."""
        before = {(name, f.part): f for name, f in self._before.files()} if self._before else {}
        before = {at: file for at, file in before.items() if self._folder.has(file)}
        is_new = self._is_new()
        is_other_price = self._before is None or self._before.prices != plan.prices
        left = set(known) - {s.session_key for own in parts.values() for s in own}
        changed = {known[key] for key in left}
        changed |= {
            part
            for part, members in parts.items()
            if any(
                known.get(s.session_key) != part or marks.get(s.session_key) != s.fingerprint
                for s in members
            )
        }
        files: dict[tuple[str, int], PartFile] = {}
        work = []
        for part, members in [*parts.items(), (PRICES_PART, ())]:
            wanted = []
            for name in self._names_of(part):
                is_due = is_new or part in changed or (name, part) not in before
                if is_due or (is_other_price and name in ("costs", "prices", *STORE_TABLES)):
                    wanted.append(name)
                else:
                    files[name, part] = before[name, part]
            if wanted:
                work.append((part, members, wanted))
        done, total = 0, sum(s.item_count for _, members, _ in work for s in members)
        for part, members, wanted in work:
            self._progress(done, total)
            condition = plan.condition(members)
            place = names.get(part, "")
            for file, name in self._write_part(part, condition, wanted, place):
                files[name, part] = file
                if before.get((name, part)) != file:
                    self._written += 1
            done += sum(session.item_count for session in members)
        self._progress(total, total)
        return files

    def _names_of(self, part: int) -> list[str]:
        """The relations and tables of which a part has rows."""
        names = ["prices"] if part == PRICES_PART else [r for r in RELATIONS if r != "prices"]
        if self._wish.content == "full":
            names += [t for t in EXPORTED_TABLES if (t in STORE_TABLES) == (part == PRICES_PART)]
        return names

    def _write_part(
        self, part: int, condition: str, names: Sequence[str], partition: str
    ) -> Iterator[tuple[PartFile, str]]:
        faults.at("export.part")
        jobs = [
            (
                relation_sql(name, condition, self._hashed.get(name, ()))
                if name in RELATIONS
                else table_sql(name, condition),
                str(self._staging / f"{name}.parquet"),
            )
            for name in names
        ]
        if self._wish.redaction is not None:
            counts = write_redacted(self._access, names, jobs, self._wish.redaction)
        else:
            counts = self._access.write_parquet(jobs)
        for name, count in zip(names, counts, strict=True):
            staged = self._staging / f"{name}.parquet"
            path = self._path(name, part, partition) if name in RELATIONS else ""
            file = PartFile(part, path, checksum(staged), staged.stat().st_size, count)
            self._folder.adopt(staged, file.link)
            yield file, name

    def _path(self, relation: str, part: int, partition: str) -> str:
        """Where other tools find a file."""
        if part == PRICES_PART:
            return f"{relation}/part-00000.parquet"
        by = self._wish.partition_by
        return f"{relation}/{f'{by}={partition}/' if by else ''}part-{part:05}.parquet"

    # What is told ----------------------------------------------------------------------------

    def _manifest(
        self,
        plan: Plan,
        names: Mapping[int, str],
        files: Mapping[tuple[str, int], PartFile],
        sessions_file: str,
    ) -> Manifest:
        groups: dict[str, list[PartFile]] = {name: [] for name in (*RELATIONS, *EXPORTED_TABLES)}
        for (name, _), file in sorted(files.items()):
            groups[name].append(file)
        relations = {name: groups[name] for name in RELATIONS}
        firsts = [s.first_item_at for s in plan.sessions if s.first_item_at is not None]
        lasts = [s.last_item_at for s in plan.sessions if s.last_item_at is not None]
        return Manifest(
            schema_version=SCHEMA_VERSION,
            duckstore_version=duckstore.__version__,
            store_id=self._store_id,
            exported_at=datetime.now(UTC).isoformat(),
            partition_by=self._wish.partition_by,
            content=self._wish.content,
            selection=self._selection(),
            definition=self._definition,
            prices=plan.prices,
            session_count=len(plan.sessions),
            first_item_at=min(firsts, default=None),
            last_item_at=max(lasts, default=None),
            partitions=dict(names),
            columns={relation: columns_of(relation) for relation in RELATIONS},
            relations=relations,
            tables={name: groups[name] for name in EXPORTED_TABLES if groups[name]},
            sessions_file=sessions_file,
            row_counts={name: sum(f.row_count for f in own) for name, own in relations.items()},
        )

    def _selection(self) -> dict[str, Any]:
        """What was asked for."""
        (since, ids), redaction = self._wish.selection, self._wish.redaction
        if ids is not None and redaction is not None:
            ids = tuple(map(redaction.identifier, ids))
        return {
            "since": since.astimezone(UTC).isoformat() if since is not None else None,
            "sessions": None if ids is None else [*ids],
        }

    def _removed(self, manifest: Manifest) -> int:
        """How many files the folder had for parts that are no more."""
        if self._before is None:
            return 0
        now = {(name, file.part) for name, file in manifest.files()}
        return sum(1 for name, file in self._before.files() if (name, file.part) not in now)


def _must_take(before: Manifest | None, root: Path, access: Access) -> None:
    """Refuse a folder that is not for this store, or not for this version."""
    if before is None:
        return
    if before.store_id != access.store_id():
        raise errors.StorePathError(
            f"{root} holds the export of another store than {access.path}: choose another folder, "
            "or remove that one"
        )
    if before.schema_version > SCHEMA_VERSION:
        raise errors.NewerSchemaError(
            f"{root} was exported by a later duckstore (schema version {before.schema_version}): "
            "upgrade duckstore. Nothing was changed"
        )


def sessions_of(folder: Folder, manifest: Manifest) -> tuple[dict[int, int], dict[int, str]]:
    """For each session key of an export its part, and its fingerprint; nothing where it is lost."""
    try:
        path = folder.root / sessions_link(manifest.sessions_file)
        rows = json.loads(gzip.decompress(path.read_bytes()))
        return {key: part for key, part, _ in rows}, {key: mark for key, _, mark in rows}
    except (OSError, EOFError, ValueError, TypeError):
        return {}, {}  # everything is new then, and compared by its bytes


def hash_key(access: Access) -> str:
    """The store's key for the hashes that take the place of texts.

    Raises:
        StoreError: An older store has none before it is opened for writing.
    """
    rows = access.rows("select value from store_meta where key = 'hash_key'").rows
    if not rows:
        raise errors.StoreError(
            f"{access.path} has no key for hashes yet: open it once for writing, then export it "
            "without text"
        )
    return str(rows[0][0])


def _remove_flat_files(root: Path) -> None:
    """Remove the files of duckstore 0.5, which wrote each relation as one file."""
    flat = [root / f"{relation}.parquet" for relation in RELATIONS]
    if all(path.is_file() for path in flat):
        for path in flat:
            path.unlink(missing_ok=True)
