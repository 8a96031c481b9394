"""Another store, or an export of one, taken into a store whole: with its runs, responses, branches,
edits and history, and what was seen of its runs.

A session that the store does not have comes with every row. Of one that it has, the items are
compared: where the other has all of ours and more, it has gone on there, and takes the place of
ours; where ours has all of theirs, nothing is to be done; else the two have nothing to do with each
other. Sessions are taken in some at a time, each whole; what was begun and not ended is gone on
with by importing again.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from duckstore import errors
from duckstore.access import Access
from duckstore.database import connect_memory
from duckstore.exporting.folder import PRIVATE, Folder, checksum
from duckstore.exporting.manifest import MANIFEST, Manifest
from duckstore.exporting.writing import Wish, export_parquet
from duckstore.importing import FileReport, ImportReport, Skipped
from duckstore.registry import acquire, release
from duckstore.schema import SCHEMA_VERSION, STORE_TABLES
from duckstore.settings import Settings

__all__ = ["FORMATS", "Merged", "format_of", "import_whole", "is_store", "merge"]

FORMATS = ("duckstore", "parquet")
"""The formats that hold whole sessions: a store's file, and a folder that was exported to."""

CHUNK_ITEMS = 50_000
"""About how many items are written at a time: so long, agents wait."""
DATABASE_MAGIC = b"DUCK"

_IDS = {
    "item_rows": "item_id",
    "branch_rows": "branch_id",
    "move_rows": "move_id",
    "response_rows": "response_id",
    "call_rows": "tool_call_id",
    "outcome_rows": "outcome_id",
    "guardrail_rows": "guardrail_id",
}

# A row of `item_rows`, from what the relation `items` tells and what was kept beside it.
_ITEMS = """
    select
        rest.item_id, rest.session_key, items.branch_id, items.position, items.parent_item_id,
        items.batch_id, items.operation, items.run_id, rest.forked_run_id, items.turn_number,
        rest.user_item_id, items.response_id, items.answers_item_id, rest.answer_number,
        rest.call_index, rest.parallel_count, rest.part, items.item_type, items.role, items.call_id,
        items.tool_name, items.tool_type, rest.server_label, items.agent_name, rest.status,
        rest.status_source, rest.error, rest.handoff_to,
        case
            when rest.arguments is not null then rest.arguments
            when rest.has_arguments then substr(
                items.text,
                length(coalesce(items.tool_name, '')) + 2,
                length(items.text) - length(coalesce(items.tool_name, '')) - 2
            )
        end as arguments,
        case when rest.has_text then items.text end as text,
        items.item,
        items.created_at
    from (from {rest} where {condition}) as rest
    inner join {items} as items on rest.item_id = items.item_id
    order by rest.item_id
"""

# How many items of each session only one of the two has.
_COMPARED = """
    with

    names as (select unnest($theirs) as session_id, unnest($ours) as name),

    theirs as (
        select names.session_id, position, hash(item) as mark, count(*) as item_count
        from {items} as items
        inner join names on items.session_id = names.session_id
        group by all
    ),

    ours as (
        select names.session_id, position, hash(item) as mark, count(*) as item_count
        from item_rows
        inner join session_rows on item_rows.session_key = session_rows.session_key
        inner join names on session_rows.session_id = names.name
        group by all
    )

    select
        session_id,
        sum(greatest(coalesce(theirs.item_count, 0) - coalesce(ours.item_count, 0), 0))::bigint,
        sum(greatest(coalesce(ours.item_count, 0) - coalesce(theirs.item_count, 0), 0))::bigint
    from theirs
    full join ours using (session_id, position, mark)
    group by session_id
"""


# The items here from which sessions of theirs were forked.
_PARENTS = """
    with

    forked as (
        select
            unnest($keys::bigint[]) as session_key,
            unnest($items::bigint[]) as item_id,
            unnest($names::varchar[]) as name
    )

    select forked.session_key, min(ours.item_id)
    from forked
    left join {items} as theirs on forked.item_id = theirs.item_id
    left join session_rows on forked.name = session_rows.session_id
    left join item_rows as ours
        on session_rows.session_key = ours.session_key
        and theirs.position = ours.position
        and theirs.item = ours.item
    group by forked.session_key
"""


class Found(NamedTuple):
    """A session of the other store."""

    session_key: int
    session_id: str
    item_count: int
    part: int


@dataclass(slots=True)
class Merged:
    """What became of the sessions of another store."""

    new_count: int = 0
    grown_count: int = 0
    unchanged_count: int = 0
    item_count: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """Session ids with the reason."""


def is_store(path: Path) -> bool:
    """Whether a file is a DuckDB database."""
    try:
        if not path.is_file():  # a pipe may never give anything
            return False
        with path.open("rb") as file:
            return file.read(12)[8:] == DATABASE_MAGIC
    except OSError:
        return False


def format_of(path: Path) -> str | None:
    """Which of `FORMATS` a path leads to; None where it is neither."""
    if path.is_dir():
        return "parquet" if (path / MANIFEST).is_file() else None
    return "duckstore" if is_store(path) else None


def import_whole(
    access: Access,
    path: Path,
    *,
    dry_run: bool,
    strict: bool,
    on_conflict: str,
    progress: Callable[[int, int], None] | None,
) -> ImportReport:
    """Take another store or an export in; see `Store.import_file`.

    Raises:
        ImportFileError: It is neither; with `strict`, a session would be left out.
        ArgumentError: `on_conflict` makes no sense.
        StoreError: See `merge`.
    """
    if on_conflict not in ("skip", "rename"):
        raise errors.ArgumentError(f"on_conflict is {on_conflict!r}: give 'skip' or 'rename'")
    name = format_of(path)
    if name is None:
        raise errors.ImportFileError(
            f"{path} is neither a duckstore file nor a folder that one was exported to: give its "
            "format, or correct the path"
        )
    if strict:
        planned = merge(access, path, on_conflict=on_conflict, dry_run=True)
        if planned.skipped:
            listed = "; ".join(
                f"session {place}: {reason}" for place, reason in planned.skipped[:20]
            )
            raise errors.ImportFileError(f"nothing of {path} was imported: {listed}")
    merged = merge(access, path, on_conflict=on_conflict, dry_run=dry_run, progress=progress)
    report = FileReport(
        str(path),
        name,
        merged.new_count,
        merged.grown_count,
        merged.unchanged_count,
        merged.item_count,
        [Skipped(f"session {place}", reason) for place, reason in merged.skipped],
    )
    return ImportReport([report])


def merge(
    access: Access,
    path: Path,
    *,
    on_conflict: str = "skip",
    dry_run: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Merged:
    """Take the sessions of a store's file, or of a folder that was exported to, into a store.

    Args:
        access: The store.
        path: The file or the folder. A file may be in use.
        on_conflict: What becomes of a session whose id stands for something else here: "skip", or
            "rename" to an id that is free.
        dry_run: Only say what would be done.
        progress: Called with the number of items that are done, and that are to be done.

    Raises:
        ImportFileError: It is none, or its texts were left out.
        NewerSchemaError, DamagedStoreError, StorePathError: It cannot be read.
        StoreWriteError: It could not be stored; repeat it to go on.
    """
    with _exported(access, path) as root:
        folder = Folder(root)
        with _held(folder) as manifest:
            _check(manifest, folder, access)
            if root == path:  # else it was made just now
                _check_files(manifest, root)
            with connect_memory(memory_limit="1GB", threads=2) as connection:
                work = _Merge(access, folder, manifest, connection, on_conflict)
                return work.run(dry_run, progress or (lambda done, total: None))


@contextmanager
def _exported(access: Access, path: Path) -> Iterator[Path]:
    """The folder to take from; of a store's file one that is made for this."""
    if path.is_dir():
        yield path
        return
    if access.path == os.path.realpath(path):
        raise errors.ImportFileError(f"{path} is the store itself: name another file")
    other = acquire(path, Settings(read_only=True), is_reading=True)
    try:
        with tempfile.TemporaryDirectory(prefix="duckstore-") as scratch:
            export_parquet(other, Path(scratch), Wish(partition_by=None))
            yield Path(scratch)
    finally:
        release(other)


@contextmanager
def _held(folder: Folder) -> Iterator[Manifest]:
    try:
        with folder.reading():
            manifest = folder.manifest()
            if manifest is None:
                raise FileNotFoundError
            yield manifest
    except FileNotFoundError:
        raise errors.ImportFileError(
            f"{folder.root} has no {MANIFEST}: name a folder that duckstore has exported to"
        ) from None


def _check(manifest: Manifest, folder: Folder, access: Access) -> None:
    root = folder.root
    if manifest.schema_version > SCHEMA_VERSION:
        raise errors.NewerSchemaError(
            f"{root} was exported by a later duckstore (schema version "
            f"{manifest.schema_version}): upgrade duckstore"
        )
    if manifest.schema_version < SCHEMA_VERSION:
        raise errors.ImportFileError(
            f"{root} was exported by an earlier duckstore (schema version "
            f"{manifest.schema_version}): export its store anew with this one, and import that"
        )
    if manifest.content != "full":
        raise errors.ImportFileError(
            f"{root} was exported without its texts ({manifest.content}): it can be asked, with "
            "open_parquet, but not imported"
        )
    missing = [file.link for _, file in manifest.files() if not (root / file.link).is_file()]
    if missing:
        raise errors.ImportFileError(
            f"{root} lacks {missing[0]}: copy the export with its folder {PRIVATE}, or export "
            "anew. Without it, it can be asked and not imported"
        )


def _check_files(manifest: Manifest, root: Path) -> None:
    """Refuse files that are not as they were written, before anything is taken from one."""
    sums = {file.link: file.sha256 for _, file in manifest.files()}
    for link, sha256 in sums.items():
        if checksum(root / link) != sha256:
            raise errors.DamagedStoreError(
                f"{root / link} has other bytes than were written: export anew, and import that. "
                "Nothing of it was imported"
            )


class _Merge:
    """A merge at work."""

    def __init__(
        self,
        access: Access,
        folder: Folder,
        manifest: Manifest,
        connection: duckdb.DuckDBPyConnection,
        on_conflict: str,
    ) -> None:
        self._access, self._folder, self._manifest = access, folder, manifest
        self._connection = connection
        self._on_conflict = on_conflict
        self._merged = Merged()
        self._here: dict[str, str] = {}
        """The ids that sessions of theirs have here."""

    def run(self, dry_run: bool, progress: Callable[[int, int], None]) -> Merged:
        """Do it."""
        sessions = self._sessions()
        names, replaced = self._decide(sessions)
        todo = [session for session in sessions if session.session_id in names]
        self._merged.item_count += sum(session.item_count for session in todo)
        if dry_run:
            return self._merged
        done, total = 0, self._merged.item_count
        parents = self._parents(names)
        shift = None
        ids = self._ids()
        for chunk in _chunks(todo):
            progress(done, total)
            shift = self._access.adopt(
                {
                    "rows": self._rows(chunk),
                    "session_ids": [[s.session_id, names[s.session_id]] for s in chunk],
                    "renamed": [[k, v] for k, v in self._here.items() if k != v],
                    "parents": [it for s in chunk for it in parents.get(s.session_key, ())],
                    "replaced": [names[s.session_id] for s in chunk if s.session_id in replaced],
                    "ids": ids,
                    "shift": shift,
                    "is_last": chunk[-1] is todo[-1],
                }
            )
            done += sum(session.item_count for session in chunk)
        self._adopt_prices()
        progress(total, total)
        return self._merged

    # What is there ---------------------------------------------------------------------------

    def _files(self, name: str, part: int | None = None) -> str:
        group = self._manifest.tables if name in self._manifest.tables else self._manifest.relations
        paths = [
            str(self._folder.root / file.link).replace("'", "''")
            for file in group[name]
            if part is None or file.part == part
        ]
        listed = ", ".join(f"'{path}'" for path in paths)
        return f"read_parquet([{listed}], hive_partitioning = false)"

    def _ask(self, sql: str) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql).fetchall()
        except duckdb.Error as error:
            raise errors.DamagedStoreError(
                f"{self._folder.root} cannot be read: {error}. Export anew"
            ) from error

    def _sessions(self) -> list[Found]:
        found = []
        for part in self._manifest.partitions:
            found += [
                Found(key, session_id, item_count, part)
                for key, session_id, item_count in self._ask(
                    f"""
                    select session_key, session_id, coalesce(item_count, 0)
                    from {self._files("session_rows", part)}
                    left join (
                        select session_key, count(*) as item_count
                        from {self._files("item_rows", part)} group by session_key
                    ) using (session_key)
                    order by session_key
                    """
                )
            ]
        return found

    def _ids(self) -> tuple[int, int]:
        """The first and the last id of all rows."""
        ends = [f"select min({i}), max({i}) from {self._files(t)}" for t, i in _IDS.items()]
        union = " union all ".join(f"({end})" for end in ends)
        ((first, last),) = self._ask(f"select min(a), max(b) from ({union}) as ends(a, b)")
        return first or 1, last or 1

    def _decide(self, sessions: Sequence[Found]) -> tuple[dict[str, str], set[str]]:
        """Which sessions to take, each with the id that it gets; and which replace others."""
        names = {session.session_id: session.session_id for session in sessions}
        there = self._those_here(list(names))
        taken, replaced = {k: v for k, v in names.items() if k not in there}, set[str]()
        asked = {name: name for name in names if name in there}
        numbers = dict.fromkeys(asked, 1)
        while asked:
            differing = self._settle(asked, taken, replaced)
            if self._on_conflict != "rename":
                reason = "the store has another session of that id"
                self._merged.skipped += [(session_id, reason) for session_id in differing]
                break
            for session_id in differing:
                numbers[session_id] += 1
                while f"{session_id}~{numbers[session_id]}" in names:  # that is one of theirs
                    numbers[session_id] += 1
            named = {session_id: f"{session_id}~{numbers[session_id]}" for session_id in differing}
            there = self._those_here(list(named.values()))
            taken |= {k: v for k, v in named.items() if v not in there}
            asked = {k: v for k, v in named.items() if v in there}
        self._merged.new_count = len(taken) - self._merged.grown_count
        self._here |= taken
        return taken, replaced

    def _those_here(self, session_ids: list[str]) -> set[str]:
        rows = self._access.rows(
            "select session_id from session_rows where session_id in (select unnest($ids))",
            {"ids": session_ids},
        ).rows
        return {session_id for (session_id,) in rows}

    def _settle(
        self, asked: Mapping[str, str], taken: dict[str, str], replaced: set[str]
    ) -> list[str]:
        """Compare sessions with those of our names; returns which have nothing to do with them."""
        rows = self._access.rows(
            _COMPARED.format(items=self._files("items")),
            {"theirs": list(asked), "ours": list(asked.values())},
        ).rows
        differing, counts = [], {name: (theirs, ours) for name, theirs, ours in rows}
        for session_id, name in asked.items():
            only_theirs, only_ours = counts.get(session_id, (0, 0))
            if not only_theirs:
                self._here[session_id] = name
                self._merged.unchanged_count += 1
            elif not only_ours:
                taken[session_id] = name
                replaced.add(session_id)
                self._merged.grown_count += 1
            else:
                differing.append(session_id)
        return differing

    # What is taken ---------------------------------------------------------------------------

    def _parents(self, taken: Mapping[str, str]) -> dict[int, list[tuple[int, int | None]]]:
        """For sessions that were forked from one that is not taken now: the item here, if any.

        The items of one that was taken before, or that both stores have, have other ids here.
        """
        forked = self._ask(
            "select session_key, parent_item_id, parent_session_id"
            f" from {self._files('session_rows')}"
            " where parent_session_id is not null and parent_item_id is not null"
        )
        lost = [(key, item, name) for key, item, name in forked if name not in taken]
        if not lost:
            return {}
        rows = self._access.rows(
            _PARENTS.format(items=self._files("items")),
            {
                "keys": [key for key, _, _ in lost],
                "items": [item for _, item, _ in lost],
                "names": [self._here.get(name) for _, _, name in lost],
            },
        ).rows
        return {key: [(key, item)] for key, item in rows}

    def _rows(self, chunk: Sequence[Found]) -> dict[str, str]:
        """For each table a statement for the rows of some sessions of one part."""
        keys, part = [session.session_key for session in chunk], chunk[0].part
        condition = (
            f"session_key between {min(keys)} and {max(keys)}"
            f" and session_key in (select unnest({keys}::bigint[]))"
        )
        rows = {
            table: f"from {self._files(table, part)} where {condition}"
            for table in self._manifest.tables
            if table not in ("item_rows", *STORE_TABLES)
        }
        rows["item_rows"] = _ITEMS.format(
            rest=self._files("item_rows", part),
            items=self._files("items", part),
            condition=condition,
        )
        return rows

    def _adopt_prices(self) -> None:
        """Take the prices of models for which there are none of their source."""
        (table,) = STORE_TABLES
        sql = (
            f"from {self._files(table)} as theirs anti join {table} as ours"
            " on theirs.model = ours.model and theirs.source = ours.source"
        )
        if self._access.rows(f"select count(*) from ({sql})").rows[0][0]:
            nothing = dict.fromkeys(("session_ids", "renamed", "parents", "replaced"), ())
            job = {"ids": [1, 1], "shift": None, "is_last": True, "rows": {table: sql}}
            self._access.adopt(nothing | job)


def _chunks(sessions: Sequence[Found]) -> Iterator[list[Found]]:
    """Sessions of one part each, some at a time."""
    chunk: list[Found] = []
    size = 0
    for session in sessions:
        if chunk and (session.part != chunk[0].part or size + session.item_count > CHUNK_ITEMS):
            yield chunk
            chunk, size = [], 0
        chunk.append(session)
        size += session.item_count
    if chunk:
        yield chunk
