"""The file written anew: what gives space back, and what makes deleted words leave the bytes.

DuckDB keeps deleted rows in freed blocks of its file. And the file must not be touched by other
means while it is open (its lock would be lost). So DuckDB itself copies every row, from one
consistent state, into a file aside that takes the old one's name when it is complete. A crash at
any moment leaves the one or the other, whole; a copy that was not finished is removed by the next
opening.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Sequence
from contextlib import suppress

import duckdb

from duckstore import faults
from duckstore.database import connect
from duckstore.failures import write_errors
from duckstore.macros import Macro, install, installed
from duckstore.schema import STORE_TABLES, TABLES
from duckstore.storefile import StoreFile

__all__ = ["copy_rows", "make_aside", "remove_aside", "remove_leftovers", "rewrite_file"]

WAIT_SECONDS = 30.0
"""How long it waits for queries at work to end."""

# What makes the rows of a session lie together, in the order in which they came to be.
_ORDER = {
    "session_rows": "session_key",
    "item_rows": "item_id",
    "response_rows": "response_id",
    "call_rows": "tool_call_id",
    "outcome_rows": "outcome_id",
    "guardrail_rows": "guardrail_id",
    "branch_rows": "branch_id",
    "lineage_rows": "branch_id, first_position",
    "move_rows": "move_id",
    "request_rows": "client_id, request_number",
    "price_rows": "model, valid_from, daily_from, above_input_tokens",
}


def rewrite_file(file: StoreFile, *, wait_seconds: float = WAIT_SECONDS) -> None:
    """Put a copy of an open file in its place. Nothing may be folded meanwhile.

    Questions that wait for no fold go on until the copy is made; then those at work are waited for,
    and new ones wait.

    Raises:
        StoreBusyError: Queries did not end in time; the file is as it was.
        StoreWriteError: There is no room for the new file; the old one stays.
    """
    aside = ""
    try:
        with write_errors(file.path, kept=True):
            with file.working() as cursor:
                macros = installed(cursor)
            aside = make_aside(file.path, macros)
            with file.working() as cursor:
                copy_rows(cursor, aside, file.store_id)
            # The new file has the rights that the old one was given.
            os.chmod(aside, os.stat(file.path).st_mode & 0o777)
        faults.at("rewrite.copied")
        with file.alone(wait_seconds):
            file.replace(aside)
    finally:
        if aside:
            remove_aside(aside)


def make_aside(path: str, macros: Sequence[Macro]) -> str:
    """A store without sessions beside a path, with these macros, and its name."""
    aside = f"{path}.{uuid.uuid4().hex[:8]}.part"
    try:
        with connect(aside, memory_limit="256MB", threads=1) as connection:
            if macros:
                install(connection, macros)
                connection.execute("checkpoint")
    except BaseException:
        remove_aside(aside)
        raise
    with suppress(OSError):
        os.remove(aside + ".wal")
    return aside


def copy_rows(cursor: duckdb.DuckDBPyConnection, target: str, store_id: str | None = None) -> None:
    """Copy all rows that the cursor sees, from one state, into a store without sessions.

    Args:
        cursor: Where to read.
        target: The file of the other store.
        store_id: The id that it gets; that which it has by default.
    """
    name = f"copy_{uuid.uuid4().hex}"
    place = target.replace("'", "''")
    kept = ["folded", "hash_key"]
    if store_id is not None:
        kept += ["store_id", "created_at"]
    cursor.execute(f"attach '{place}' as {name}")
    try:
        cursor.begin()
        for table in (*TABLES, *STORE_TABLES):
            cursor.execute(
                f"insert into {name}.{table} select * from {table} order by {_ORDER[table]}"
            )
        cursor.execute(
            f"update {name}.store_meta as theirs set value = own.value"
            " from store_meta as own where own.key = theirs.key and own.key in (select unnest(?))",
            [kept],
        )
        cursor.commit()
        cursor.execute(f"checkpoint {name}")
    except duckdb.Error:
        with suppress(duckdb.Error):
            cursor.rollback()
        raise
    finally:
        with suppress(duckdb.Error):
            cursor.execute(f"detach {name}")


def remove_aside(aside: str) -> None:
    """Remove a copy that is not wanted, and what is left beside one that took its place."""
    for name in (aside, aside + ".wal"):
        with suppress(OSError):
            os.remove(name)


def remove_leftovers(path: str) -> None:
    """Remove the copies that killed processes left: they may hold what is deleted later."""
    folder, name = os.path.split(path)
    pattern = re.compile(re.escape(name) + r"\.[0-9a-f]{8}\.part(\.wal)?")
    with suppress(OSError):
        for found in os.listdir(folder or "."):
            if pattern.fullmatch(found):
                with suppress(OSError):
                    os.remove(os.path.join(folder, found))
