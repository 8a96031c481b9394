"""Parquet for others: every relation as one file.

Types are those that every reader takes: JSON as text (polars reads DuckDB's JSON as binary), no
hugeint, no interval. A file is written beside its place and renamed into it, so that a reader
never sees half of one.
"""

from __future__ import annotations

import os
from pathlib import Path

import duckdb

from duckstore import errors
from duckstore.database import reading
from duckstore.engine import Engine
from duckstore.schema import RELATIONS

__all__ = ["export_parquet"]

# What makes a relation's rows come out the same every time.
_ORDER = {
    "sessions": "session_id",
    "runs": "id",
    "items": "item_id",
    "messages": "item_id",
    "tool_calls": "id",
    "responses": "response_id",
    "branches": "branch_id",
    "branch_items": "branch_id, position",
    "history": "history_id",
    "edit_points": "session_id, position, item_before_id, rank",
}


def export_parquet(engine: Engine, folder: Path) -> dict[str, int]:
    """Write each relation to `folder/RELATION.parquet`, all from one state of the store.

    Returns:
        The number of rows of each relation.

    Raises:
        StorePathError: The folder cannot be made or written.
    """
    counts: dict[str, int] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with reading(engine.connection()) as cursor:
            for relation in RELATIONS:
                target = folder / f"{relation}.parquet"
                part = folder / f".{relation}.{os.getpid()}.parquet"
                try:
                    counts[relation] = _write(cursor, relation, part)
                    part.replace(target)
                finally:
                    part.unlink(missing_ok=True)
    except (OSError, errors.SQLError) as error:
        raise errors.StorePathError(
            f"the export to {folder} failed: {error}. Choose a folder that can be written"
        ) from error
    return counts


def _write(cursor: duckdb.DuckDBPyConnection, relation: str, path: Path) -> int:
    columns = ", ".join(
        f'"{name}"::varchar as "{name}"' if kind == "JSON" else f'"{name}"'
        for name, kind, *_ in cursor.execute(f"describe {relation}").fetchall()
    )
    target = str(path).replace("'", "''")
    row = cursor.execute(
        f"copy (select {columns} from {relation} order by {_ORDER[relation]})"
        f" to '{target}' (format parquet, compression zstd)"
    ).fetchone()
    return int(row[0]) if row else 0
