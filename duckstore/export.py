"""Rows of a store into Parquet files, in the process that has it open."""

from __future__ import annotations

import os
from collections.abc import Sequence

from duckstore import errors
from duckstore.engine import Engine

__all__ = ["write_parquet"]


def write_parquet(engine: Engine, jobs: Sequence[Sequence[str]]) -> list[int]:
    """Write the rows of some statements into one file each, all from one state of the store.

    Args:
        engine: The store.
        jobs: Pairs of a statement and the path of its file.

    Returns:
        How many rows each file has.

    Raises:
        StorePathError: A file cannot be written.
    """
    counts = []
    try:
        with engine.reading() as cursor:
            for sql, path in jobs:
                target = path.replace("'", "''")
                rows = cursor.execute(
                    f"copy ({sql}) to '{target}' (format parquet, compression zstd)"
                ).fetchall()
                counts.append(int(rows[0][0]))
    except (OSError, errors.SQLError) as error:
        folder = os.path.dirname(jobs[len(counts)][1])
        raise errors.StorePathError(
            f"writing to {folder} failed: {error}. Make room, or choose a folder that can be "
            "written"
        ) from error
    return counts
