"""Opening a DuckDB file as a store.

Every connection of a store is set up here and nowhere else: UTC (a tz-aware datetime bound to a
timestamp is otherwise stored in the machine's time zone), no extension downloads, no progress
bar, bounded memory and threads. A file that is not a store is refused before DuckDB may write to
it, so that a wrong path never changes somebody's data.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import stat
import tempfile
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from duckstore import errors
from duckstore.failures import open_errors
from duckstore.migrations import migration_sql
from duckstore.schema import OLDEST_TABLES, SCHEMA_VERSION, TABLES, relations_sql, tables_sql

__all__ = ["MEMORY", "Accept", "connect", "connect_memory", "secure_log"]

MEMORY = ":memory:"

# DuckDB 1.5 tools (the duckdb shell that people have) can read what 2.0 writes in this format.
STORAGE_VERSION = "v1.5.0"

_CONFIG = {
    "storage_compatibility_version": STORAGE_VERSION,
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


Accept = Callable[[str, int], None]
"""Takes a store's id and the number of the last command that its database has, and raises where it
is not to be opened: nothing was changed then."""


def connect(
    path: str,
    *,
    memory_limit: str,
    threads: int,
    read_only: bool = False,
    accept: Accept | None = None,
) -> duckdb.DuckDBPyConnection:
    """Open or make the store at `path` and return its first connection.

    A store of an older version is brought up to date, after its file was copied.

    Args:
        path: The file, or `MEMORY`.
        memory_limit: What DuckDB may use at most.
        threads: How many threads a query may use.
        read_only: Whether the file is only read: then it must be there and of this version.
        accept: Asked about a store that is there, before anything is written.

    Raises:
        StorePathError, NotADatabaseError, NotAStoreError, NewerSchemaError, StoreLockedError,
        DamagedStoreError: The file cannot be used; it was not changed.
        ArgumentError: `memory_limit` or `threads` is not what DuckDB takes.
    """
    is_new = False
    if path != MEMORY:
        _check_path(Path(path), read_only)
        if not read_only and os.path.exists(path + ".wal"):
            # Opening for writing changes a file with a log, and drops a log that is not its own.
            with open_errors(path), duckdb.connect(path, read_only=True) as probe:
                if _is_store(probe, path) and accept is not None:
                    accept(*_identity(probe))
        is_new = not os.path.exists(path)
    with open_errors(path):
        connection = duckdb.connect(path, read_only=read_only, config=dict(_CONFIG))
        try:
            if is_new:
                os.chmod(path, 0o600)
            _configure(connection, memory_limit, threads)
            is_store = _is_store(connection, path)
            version = int(_schema_version(connection) or 0) if is_store else SCHEMA_VERSION
            if is_store and accept is not None:
                accept(*_identity(connection))
            if read_only:
                _must_be_ready(path, is_store, version)
            elif not is_store:
                _create(connection)
            elif version == SCHEMA_VERSION:
                _renew_relations(connection)
            if not read_only:
                secure_log(path)
        except BaseException:
            connection.close()
            raise
    if version == SCHEMA_VERSION:
        return connection
    connection.close()
    _migrate(path, version)
    return connect(path, memory_limit=memory_limit, threads=threads)


def connect_memory(*, memory_limit: str, threads: int) -> duckdb.DuckDBPyConnection:
    """A connection that is set up like a store's, to an empty database in memory.

    Raises:
        ArgumentError: `memory_limit` or `threads` is not what DuckDB takes.
    """
    connection = duckdb.connect(MEMORY, config=dict(_CONFIG))
    try:
        _configure(connection, memory_limit, threads)
        # DuckDB would put what does not fit in memory into the current folder.
        place = os.path.join(tempfile.gettempdir(), f"duckstore-{uuid.uuid4().hex[:12]}")
        connection.execute("set temp_directory = '{}'".format(place.replace("'", "''")))
    except BaseException:
        connection.close()
        raise
    return connection


def _identity(connection: duckdb.DuckDBPyConnection) -> tuple[str, int]:
    """The store's id, and the number of the last command that it has."""
    meta = dict(connection.execute("select key, value from store_meta").fetchall())
    return meta.get("store_id", ""), int(meta.get("folded", 0))


def _must_be_ready(path: str, is_store: bool, version: int) -> None:
    """Refuse what reading alone cannot make a store of."""
    if not is_store:
        raise errors.NotAStoreError(f"{path} is an empty database and no store: correct the path")
    if version != SCHEMA_VERSION:
        raise errors.StoreReadOnlyError(
            f"{path} has schema version {version} and must be brought up to version "
            f"{SCHEMA_VERSION}: open it once for writing"
        )


def _migrate(path: str, version: int) -> None:
    """Bring the tables of an older store up to date, in one transaction, after copying its file.

    The file must not be open: a copy would take DuckDB's lock away.
    """
    copy = f"{path}.v{version}"
    for ending in ("", ".wal"):
        if os.path.exists(path + ending):
            shutil.copy2(path + ending, copy + ending)
    with open_errors(path), duckdb.connect(path, config=dict(_CONFIG)) as connection:
        connection.begin()
        for number in range(version, SCHEMA_VERSION):
            connection.execute(migration_sql(number))
        connection.execute(
            "update store_meta set value = ? where key = 'schema_version'", [str(SCHEMA_VERSION)]
        )
        connection.commit()
        connection.execute("checkpoint")


def secure_log(path: str) -> None:
    """Make DuckDB's log with the rights of its file, before DuckDB makes one that all may read."""
    log = path + ".wal"
    if path != MEMORY and not os.path.exists(log):
        rights = stat.S_IMODE(os.stat(path).st_mode)
        os.close(os.open(log, os.O_CREAT | os.O_WRONLY, rights & 0o666))


def _check_path(path: Path, read_only: bool) -> None:
    if path.is_dir():
        raise errors.StorePathError(
            f"{path} is a directory: name a file in it, such as {path / 'agents.duckdb'}"
        )
    folder = path.parent
    if not folder.is_dir():
        raise errors.StorePathError(
            f"the folder {folder} does not exist: make it first, or correct the path {path}"
        )
    if not path.exists():
        if read_only:
            raise errors.StorePathError(f"there is no store at {path}: correct the path")
        if not os.access(folder, os.W_OK):
            raise errors.StorePathError(
                f"{path} cannot be made: no right to write in {folder}. Choose another folder"
            )
        return
    if not path.is_file():
        raise errors.StorePathError(f"{path} is not a regular file: choose another path")
    if not os.access(path, os.R_OK):
        raise errors.StorePathError(f"{path} cannot be read: no right to. Change its rights")
    if not read_only and not os.access(path, os.W_OK):
        raise errors.StorePathError(
            f"{path} cannot be written: no right to. Change its rights, copy it elsewhere, or "
            "open it with read_only=True"
        )
    if path.stat().st_size == 0 and not read_only:
        path.unlink()  # a temporary file made for us: DuckDB refuses empty ones
        return
    with path.open("rb") as file:
        head = file.read(16)
    if head[8:12] != b"DUCK":
        kind = "an SQLite" if head.startswith(b"SQLite format 3") else "not a DuckDB"
        hint = (
            "give the store a path of its own"
            if kind == "not a DuckDB"
            else "the SDK's sessions cannot be opened in place, give the store a path of its own"
        )
        raise errors.NotADatabaseError(f"{path} is {kind} database; {hint}. It was not changed")


def _configure(connection: duckdb.DuckDBPyConnection, memory_limit: str, threads: int) -> None:
    try:
        connection.execute(f"set global memory_limit = '{_plain(memory_limit)}'")
        connection.execute(f"set global threads = {int(threads)}")
    except (duckdb.Error, ValueError) as error:
        raise errors.ArgumentError(
            f"memory_limit={memory_limit!r}, threads={threads!r} is refused by DuckDB: {error}. "
            "Use a size such as '512MB' and a number from 1 up"
        ) from error
    connection.execute("set global TimeZone = 'UTC'")
    with suppress(duckdb.InvalidInputException):  # it is off in a Jupyter without ipywidgets
        connection.execute("set enable_progress_bar = false")
    # A name in a statement is a relation, never a Python variable that happens to be in scope.
    connection.execute("set global python_enable_replacements = false")
    # The owner merges the log by itself, at a time of its own (duckstore.folding), and has row
    # groups written together only after deletions: at 1.4 GB that took up to three seconds.
    connection.execute("set global wal_autocheckpoint = '1TB'")
    connection.execute("set global max_vacuum_tasks = 0")


def _plain(value: str) -> str:
    if not re.fullmatch(r"[0-9.]+ *[A-Za-z%]*", str(value)):
        raise ValueError(f"{value!r} is no size")
    return str(value)


def _is_store(connection: duckdb.DuckDBPyConnection, path: str) -> bool:
    """Whether the open database is a store. False where it is empty, raises if it is another's."""
    tables = {
        name
        for (name,) in connection.execute(
            "select table_name from information_schema.tables"
            " where table_catalog = current_database()"
        ).fetchall()
    }
    if not tables:
        return False
    row = _schema_version(connection) if "store_meta" in tables else None
    if row is None:
        raise errors.NotAStoreError(
            f"{path} is a DuckDB database with other tables ({', '.join(sorted(tables)[:3])}), "
            "not a duckstore: give the store a path of its own. It was not changed"
        )
    if row.isdecimal() and int(row) > SCHEMA_VERSION:
        raise errors.NewerSchemaError(
            f"{path} has schema version {row}, and this duckstore knows versions up to "
            f"{SCHEMA_VERSION}: upgrade duckstore. The file was not changed"
        )
    expected = set(TABLES) if row == str(SCHEMA_VERSION) else set(OLDEST_TABLES)
    if not row.isdecimal() or not tables >= expected:
        missing = ", ".join(sorted(expected - tables)) or "none"
        raise errors.DamagedStoreError(
            f"{path} is no whole store: its schema version is {row!r} and its missing tables are "
            f"{missing}. Restore it from a backup. The file was not changed"
        )
    return True


def _schema_version(connection: duckdb.DuckDBPyConnection) -> str | None:
    """What the database says of its schema; None where it says nothing that is ours."""
    try:
        # Read to the end: an open result keeps its transaction, and that keeps checkpoints away.
        rows = connection.execute(
            "select value::varchar from store_meta where key = 'schema_version'"
        ).fetchall()
    except duckdb.BinderException:
        return None  # a table of that name with other columns
    return rows[0][0] if rows else None


def _create(connection: duckdb.DuckDBPyConnection) -> None:
    connection.begin()
    connection.execute(tables_sql())
    connection.execute(relations_sql())
    connection.executemany(
        "insert into store_meta values (?, ?)",
        [
            ("schema_version", str(SCHEMA_VERSION)),
            ("store_id", str(uuid.uuid4())),
            ("created_at", datetime.now(UTC).isoformat()),
            ("relations", _relations_version()),
            ("folded", "0"),
            _hash_key(),
        ],
    )
    connection.commit()
    # From here on DuckDB's log holds nothing that the journal does not have as well.
    connection.execute("checkpoint")


def _renew_relations(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the relations anew where another duckstore made those in the file."""
    version = _relations_version()
    meta = dict(connection.execute("select key, value from store_meta").fetchall())
    if meta.get("relations") == version and "hash_key" in meta:
        return
    connection.begin()
    if "hash_key" not in meta:
        connection.execute("insert into store_meta values (?, ?)", _hash_key())
    if meta.get("relations") != version:
        connection.execute(relations_sql())
        connection.execute("update store_meta set value = ? where key = 'relations'", [version])
    connection.commit()


def _hash_key() -> tuple[str, str]:
    """The key of the hashes that take the place of texts in an export without content."""
    return "hash_key", secrets.token_hex(16)


def _relations_version() -> str:
    return hashlib.sha256(relations_sql().encode()).hexdigest()
