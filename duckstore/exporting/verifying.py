"""The proof that a folder and a store agree: file by file, and row by row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import duckdb

from duckstore import errors
from duckstore.access import Access
from duckstore.check import Finding
from duckstore.database import connect_memory
from duckstore.exporting.content import hashed_columns
from duckstore.exporting.folder import Folder, checksum
from duckstore.exporting.manifest import MANIFEST, Manifest, PartFile
from duckstore.exporting.plan import Planned, Selection, read_plan
from duckstore.exporting.shape import columns_of, definition, relation_sql
from duckstore.exporting.writing import PRICES_PART, hash_key, sessions_of
from duckstore.schema import RELATIONS

__all__ = ["verify_export"]


def verify_export(access: Access, root: Path) -> list[Finding]:
    """Everything in which a folder does not agree with its manifest or with the store."""
    folder = Folder(root)
    try:
        with folder.reading():
            manifest = folder.manifest()
            if manifest is None:
                raise FileNotFoundError
            return [*_against_manifest(folder, manifest), *_against_store(access, folder, manifest)]
    except FileNotFoundError:
        raise errors.StorePathError(
            f"{root} has no {MANIFEST}: name a folder that duckstore has exported to"
        ) from None


def _against_manifest(folder: Folder, manifest: Manifest) -> Iterator[Finding]:
    checked: dict[str, str] = {}
    for name, file in manifest.files():
        for path in filter(None, (file.link, file.path)):
            problem = checked.get(path) if path == file.link else None
            if problem is None:
                problem = checked[path] = _problem_of(folder.root / path, file)
            if problem:
                yield Finding(name, None, f"{path} {problem}")
    for path in folder.foreign(manifest):
        relation = path.split("/")[0]
        yield Finding(
            relation, None, f"{path} is no file of the export, and others read it: move it away"
        )


def _problem_of(path: Path, file: PartFile) -> str:
    try:
        if path.stat().st_size != file.byte_count:
            return (
                f"has {path.stat().st_size} bytes and should have {file.byte_count}: export again"
            )
        if checksum(path) == file.sha256:
            return ""
        return "has other bytes than were written: remove it, and export again"
    except FileNotFoundError:
        return "is missing: export again"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _against_store(access: Access, folder: Folder, manifest: Manifest) -> Iterator[Finding]:
    if manifest.store_id != access.store_id():
        yield Finding(MANIFEST, None, f"it tells of another store than {access.path}")
        return
    if manifest.content not in ("full", "hashed"):
        return
    hashed = hashed_columns(hash_key(access)) if manifest.content == "hashed" else {}
    if manifest.definition != definition(hashed):
        yield Finding(MANIFEST, None, "it was exported by another version: export again")
        return
    access.refresh_prices()
    plan = read_plan(access, _selection(access, manifest), manifest.partition_by)
    known, _ = sessions_of(folder, manifest)
    parts: dict[int, list[Planned]] = defaultdict(list)
    for session in plan.sessions:
        if session.session_key in known:
            parts[known[session.session_key]].append(session)
        else:
            yield Finding("sessions", session.session_id, "it is not in the folder: export again")
    gone = set(known) - {session.session_key for session in plan.sessions}
    if gone:
        yield Finding("sessions", None, f"{len(gone)} in the folder are gone here: export again")
    with connect_memory(memory_limit="1GB", threads=2) as connection:
        for part in (PRICES_PART, *sorted({*parts, *manifest.partitions})):
            names = [r for r in RELATIONS if (r == "prices") == (part == PRICES_PART)]
            live = _of_store(access, names, plan.condition(parts.get(part, [])), hashed)
            for relation in names:
                files = [file for file in manifest.relations[relation] if file.part == part]
                there = _of_files(connection, folder.root, files, relation)
                if live[relation] != there:
                    yield _difference(relation, files, live[relation], there)


_Sums = tuple[int | str | None, ...]
"""How many rows there are, and two sums over all that stands in them."""


def _difference(relation: str, files: Sequence[PartFile], live: _Sums, there: _Sums) -> Finding:
    place = files[0].path if files else "a part that is missing"
    other = ", other ones" if live[0] == there[0] else ""
    return Finding(
        relation,
        None,
        f"the store has {live[0]} rows for {place} and the folder {there[0]}{other}: export again",
    )


def _selection(access: Access, manifest: Manifest) -> Selection:
    """What was asked for; sessions that were purged since are not there to be asked for."""
    since, sessions = manifest.selection.get("since"), manifest.selection.get("sessions")
    if sessions is not None:
        there = access.rows(
            "select session_id from sessions where session_id in (select unnest($ids))",
            {"ids": sessions},
        )
        sessions = tuple(session_id for (session_id,) in there.rows)
    return Selection(datetime.fromisoformat(since) if since else None, sessions)


def _of_store(
    access: Access,
    relations: Sequence[str],
    condition: str,
    hashed: Mapping[str, Sequence[tuple[str, str]]],
) -> dict[str, _Sums]:
    """What the store has of some relations, all at one moment."""
    sums = (
        _sums(relation_sql(name, condition, hashed.get(name, ()), is_sorted=False), name)
        for name in relations
    )
    rows = access.rows(" union all ".join(sums)).rows
    return {name: tuple(values) for name, *values in rows}


def _of_files(
    connection: duckdb.DuckDBPyConnection, root: Path, files: Sequence[PartFile], relation: str
) -> _Sums:
    """What some files have."""
    paths = [str(root / file.link) for file in files if (root / file.link).is_file()]
    if not paths:
        return (0, None, None)
    try:
        rows = connection.execute(
            _sums("from read_parquet($paths, hive_partitioning = false)", relation),
            {"paths": paths},
        ).fetchall()
    except duckdb.Error:
        return (0, "cannot be read", None)  # told by the checksum
    return tuple(rows[0][1:])


def _sums(rows: str, relation: str) -> str:
    columns = ", ".join(f'"{name}"' for name in columns_of(relation))
    return (
        f"(select '{relation}', count(*), format('{{:x}}', bit_xor(hash({columns}))),"
        f" sum(hash({columns})::hugeint)::varchar from ({rows}))"
    )
