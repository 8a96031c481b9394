"""Rows on their way into files, with what is to be redacted taken out of every text."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import duckdb

from duckstore import errors
from duckstore.access import Access
from duckstore.database import connect_memory
from duckstore.exporting.content import CONTENT
from duckstore.exporting.redaction import Redaction
from duckstore.exporting.shape import columns_of
from duckstore.frames import BATCH_ROWS, polars_of
from duckstore.streams import Batches

if TYPE_CHECKING:
    import polars

__all__ = ["write_redacted"]


def write_redacted(
    access: Access,
    relations: Sequence[str],
    jobs: Sequence[tuple[str, str]],
    redaction: Redaction,
) -> list[int]:
    """Write the rows of relations into files, changed on the way: no file ever has the original.

    All are of one moment, so they are asked for in one statement, and come one after the other.

    Args:
        access: The store.
        relations: Their names.
        jobs: For each a statement, and the path of its file.
        redaction: What is taken out.

    Returns:
        How many rows each file has.
    """
    polars_of()
    statement = " union all by name ".join(
        f"(select {number} as number, {name} from ({sql}) as {name})"
        for number, (name, (sql, _)) in enumerate(zip(relations, jobs, strict=True))
    )
    pieces: list[list[str]] = [[] for _ in relations]
    counts = [0 for _ in relations]
    with (
        connect_memory(memory_limit="1GB", threads=2) as connection,
        Batches(access.put_aside(statement), BATCH_ROWS) as batches,
    ):
        for batch in batches:
            for number, relation in enumerate(relations):
                rows = batch.filter(batch["number"] == number)[relation].struct.unnest()
                if rows.height or not pieces[number]:  # an empty one has its columns
                    piece = f"{jobs[number][1]}.{len(pieces[number])}"
                    _write(connection, _redacted(rows, relation, redaction), relation, piece)
                    pieces[number].append(piece)
                    counts[number] += rows.height
        for (_, path), own in zip(jobs, pieces, strict=True):
            _join(connection, own, path)
    return counts


def _write(
    connection: duckdb.DuckDBPyConnection, rows: polars.DataFrame, relation: str, path: str
) -> None:
    kinds = ", ".join(
        f'"{name}"::{"varchar" if kind == "JSON" else kind} as "{name}"'
        for name, kind in columns_of(relation).items()
    )
    connection.register("redacted", rows)
    _copy(connection, f"select {kinds} from redacted", path)
    connection.unregister("redacted")


def _join(connection: duckdb.DuckDBPyConnection, pieces: Sequence[str], path: str) -> None:
    """Make one file of several, which go."""
    if len(pieces) > 1:
        listed = ", ".join(map(_quoted, pieces))
        _copy(connection, f"from read_parquet([{listed}], hive_partitioning = false)", path)
        for piece in pieces:
            os.unlink(piece)
    else:
        os.replace(pieces[0], path)


def _copy(connection: duckdb.DuckDBPyConnection, sql: str, path: str) -> None:
    try:
        connection.execute(f"copy ({sql}) to {_quoted(path)} (format parquet, compression zstd)")
    except duckdb.Error as error:
        raise errors.StorePathError(
            f"writing to {os.path.dirname(path)} failed: {error}. Make room, or choose a folder "
            "that can be written"
        ) from error


def _quoted(path: str) -> str:
    return "'{}'".format(path.replace("'", "''"))


def _redacted(frame: polars.DataFrame, relation: str, redaction: Redaction) -> polars.DataFrame:
    """Rows with everything that was said changed, and all other texts as far as patterns go.

    Those may hold an address that nobody said: a session id, a tag, the name of a branch. The
    user's functions see only what was said.
    """
    import polars as pl

    columns = []
    for name, kind in columns_of(relation).items():
        if name in CONTENT[relation]:
            columns.append(pl.Series(name, _each(frame[name], redaction.json), dtype=pl.String))
        elif kind == "VARCHAR":
            changed = _each(frame[name], redaction.identifier)
            columns.append(pl.Series(name, changed, dtype=pl.String))
        elif kind == "VARCHAR[]":
            lists = [
                None if own is None else [one and redaction.identifier(one) for one in own]
                for own in frame[name].to_list()
            ]
            columns.append(pl.Series(name, lists, dtype=pl.List(pl.String)))
    return frame.with_columns(columns)


def _each(column: polars.Series, change: Callable[[str], str]) -> list[str | None]:
    """Change every text of a column; each that comes several times once."""
    known: dict[str, str] = {}
    changed: list[str | None] = []
    for text in column.to_list():
        if text is not None and text not in known:
            known[text] = change(text)
        changed.append(None if text is None else known[text])
    return changed
