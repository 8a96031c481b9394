"""Whole sessions from elsewhere, rows and all, into the store's tables.

What was exported is taken back as it was: the same rows, with ids moved to where this store goes
on. They belong to no command, so the journal does not have them: they are written in one
transaction while nothing else is, and DuckDB's log is merged into the file afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from duckstore import errors
from duckstore.engine import Engine
from duckstore.failures import write_errors
from duckstore.schema import TABLES
from duckstore.session_index import Place

__all__ = ["adopt"]

# What names something that is told by an id of this store. Others that end alike are texts.
_IDS = ("_id", "_key")


def adopt(engine: Engine, job: Mapping[str, Any]) -> int:
    """Write the rows of some sessions, in the process that has the store open.

    Args:
        engine: The store.
        job: `rows`, for each table a statement for the rows of these sessions and of no others;
            `session_ids`, for each session its id there and the one that it gets here; `renamed`,
            the same for all whose ids differ; `parents`, for session keys the item here from which
            that session was forked, where ids were moved otherwise; `replaced`, sessions of this
            store that go; `ids`, the first and the last id of all that is to be
            imported; `shift`, how far the first of several jobs was moved; `is_last`, whether to
            merge the log now.

    Returns:
        How far the ids were moved.

    Raises:
        StoreWriteError: It failed; none of the sessions was taken in.
        ImportFileError: A session of one of the ids was made meanwhile.
    """
    names: dict[str, str] = dict(job["session_ids"])

    def write(cursor: duckdb.DuckDBPyConnection, moved: int) -> dict[str, Place]:
        with write_errors(engine.path):
            _delete(cursor, job["replaced"])
            _must_be_free(cursor, list(names.values()))
            for table, sql in job["rows"].items():
                _insert(cursor, table, sql, moved, names, dict(job["renamed"]))
            for key, item_id in job["parents"]:
                cursor.execute(
                    "update session_rows set parent_item_id = ? where session_key = ?",
                    [item_id, key + moved],
                )
            return _places(cursor, list(names.values()))

    ids = (job["ids"][0], job["ids"][1])
    return engine.adopt(write, ids, job["shift"], job["replaced"], merge=job["is_last"])


def _delete(cursor: duckdb.DuckDBPyConnection, session_ids: Sequence[str]) -> None:
    if session_ids:
        for table in (*(t for t in TABLES if t != "session_rows"), "session_rows"):
            cursor.execute(
                f"delete from {table} where session_key in (select session_key from session_rows"
                " where session_id in (select unnest(?::varchar[])))",
                [list(session_ids)],
            )


def _must_be_free(cursor: duckdb.DuckDBPyConnection, session_ids: Sequence[str]) -> None:
    rows = cursor.execute(
        "select session_id from session_rows where session_id in (select unnest(?::varchar[]))",
        [list(session_ids)],
    ).fetchall()
    if rows:
        raise errors.ImportFileError(
            f"session {rows[0][0]!r} was made while it was being imported: import again"
        )


def _insert(
    cursor: duckdb.DuckDBPyConnection,
    table: str,
    sql: str,
    moved: int,
    names: Mapping[str, str],
    renamed: Mapping[str, str],
) -> None:
    columns = cursor.execute(f"select name, type from pragma_table_info('{table}')").fetchall()
    values = {
        name: f"{name} + {moved}" for name, kind in columns if kind == "BIGINT" and _is_id(name)
    }
    parameters: list[Any] = []
    if table == "session_rows":
        values["session_id"] = "names[session_id]"
        values["parent_session_id"] = "coalesce(renamed[parent_session_id], parent_session_id)"
        maps = "map(?::varchar[], ?::varchar[])"
        sql = f"select *, {maps} as names, {maps} as renamed from ({sql})"
        parameters = [list(names), list(names.values()), list(renamed), list(renamed.values())]
    cursor.execute(
        f"insert into {table} select {', '.join(values.get(name, name) for name, _ in columns)}"
        f" from ({sql})",
        parameters,
    )


def _is_id(name: str) -> bool:
    return name.endswith(_IDS)


def _places(cursor: duckdb.DuckDBPyConnection, session_ids: Sequence[str]) -> dict[str, Place]:
    """Where the sessions lie now."""
    rows = cursor.execute(
        """
        select
            session_rows.session_id,
            session_rows.session_key,
            coalesce(max(item_rows.item_id), session_rows.session_key),
            session_rows.session_key not in (
                select session_key from move_rows
                union all select session_key from branch_rows
                where branch_id <> session_key or name <> 'main'
            )
        from session_rows
        left join item_rows on session_rows.session_key = item_rows.session_key
        where session_rows.session_id in (select unnest(?::varchar[]))
        group by session_rows.session_id, session_rows.session_key
        """,
        [list(session_ids)],
    ).fetchall()
    return {session_id: Place(*place) for session_id, *place in rows}
