"""Parquet for others: every relation as one file.

Types are those that every reader takes: JSON as text (polars reads DuckDB's JSON as binary), no
hugeint, no interval. All files are written aside and renamed into their places when the last one
is complete, so that a reader never sees half of one, and a failed export leaves an earlier one
as it was.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from duckstore import errors
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
    "outcomes": "outcome_id",
    "guardrails": "guardrail_id",
    "responses": "response_id",
    "prices": "model, valid_from nulls first, daily_from, above_input_tokens",
    "costs": "response_id",
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
    folder = folder.expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Inside the folder, so that the files are on its disk and a rename is all it takes.
        with TemporaryDirectory(prefix=".export-", dir=folder) as parts:
            with engine.reading() as cursor:
                for relation in RELATIONS:
                    counts[relation] = _write(cursor, relation, Path(parts) / f"{relation}.parquet")
            _put_in_place(Path(parts), folder)
    except (OSError, errors.SQLError) as error:
        raise errors.StorePathError(
            f"the export to {folder} failed: {error}. Choose a folder that can be written"
        ) from error
    return counts


def _put_in_place(parts: Path, folder: Path) -> None:
    """Rename the finished files into the folder, over those of an earlier export."""
    for relation in RELATIONS:
        target = folder / f"{relation}.parquet"
        if target.is_dir():
            raise IsADirectoryError(f"{target} is a directory")
    for relation in RELATIONS:
        (parts / f"{relation}.parquet").replace(folder / f"{relation}.parquet")


def _write(cursor: duckdb.DuckDBPyConnection, relation: str, path: Path) -> int:
    columns = ", ".join(
        f'"{name}"::varchar as "{name}"' if kind == "JSON" else f'"{name}"'
        for name, kind, *_ in cursor.execute(f"describe {relation}").fetchall()
    )
    target = str(path).replace("'", "''")
    rows = cursor.execute(
        f"copy (select {columns} from {relation} order by {_ORDER[relation]})"
        f" to '{target}' (format parquet, compression zstd)"
    ).fetchall()
    return int(rows[0][0])
