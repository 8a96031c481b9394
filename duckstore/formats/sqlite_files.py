"""SQLite files of somebody else, read without changing anything or leaving anything behind.

A file is opened read-only and read in one transaction, so that an agent may go on writing to it:
what is read is one state of it, with what its write-ahead log holds. Where SQLite cannot open it in
its place, as in a folder without the right to write, a copy of the file and its log is read.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from duckstore import errors

__all__ = [
    "MAGIC",
    "TablePair",
    "columns_of",
    "is_sqlite",
    "open_read_only",
    "quoted",
    "table_pairs",
]

MAGIC = b"SQLite format 3\x00"
_HEADER_SIZE = 100
_FORMAT_AT = 18
"""Where the header says how the file is written: 2 for with a write-ahead log."""
_PATIENCE_SECONDS = 10.0
_COPY_TRIES = 10
_PAIR_COLUMNS = {"id", "session_id", "message_data", "created_at"}


@dataclass(frozen=True, slots=True)
class TablePair:
    """The two tables of the SDK's sessions in a database."""

    sessions: str
    messages: str


def is_sqlite(head: bytes) -> bool:
    """Whether a file that begins so is SQLite's."""
    return head.startswith(MAGIC)


def quoted(name: str) -> str:
    """A table's name as it stands in a statement, whatever it is."""
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def open_read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a SQLite file for reading, in one transaction.

    Raises:
        ImportFileError: It cannot be opened, or is no whole SQLite file.
    """
    is_at_rest = _is_at_rest(path)
    before = _stamps(path)
    with closing(_connect(path, is_at_rest)) as connection:
        try:
            _begin(connection)
        except sqlite3.Error as error:
            if not _may_be_copied(error):
                raise _unreadable(path, error) from error
            with _copied(path, error) as copy:
                yield copy
            return
        yield connection
    if is_at_rest and _stamps(path) != before:
        raise errors.ImportFileError(
            f"{path} was written to while it was read. What was imported of it is whole: import it "
            "again for the rest"
        )


def _is_at_rest(path: Path) -> bool:
    """Whether a file has a write-ahead log, and nobody has it open.

    SQLite would make the log's files to read it, and would leave them behind.
    """
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no file" if path.exists() else "not there"
        raise errors.ImportFileError(f"{path} is {kind}: give a SQLite file")
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER_SIZE)
    except OSError as error:
        raise _unreadable(path, error) from error
    if not is_sqlite(head):
        raise errors.ImportFileError(f"{path} is no SQLite file: give one")
    has_log = any(path.with_name(f"{path.name}-{end}").exists() for end in ("wal", "journal"))
    return head[_FORMAT_AT : _FORMAT_AT + 1] == b"\x02" and not has_log


def _connect(path: Path, is_at_rest: bool) -> sqlite3.Connection:
    options = "mode=ro&immutable=1" if is_at_rest else "mode=ro"
    try:
        return sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?{options}",
            uri=True,
            timeout=_PATIENCE_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error as error:
        raise _unreadable(path, error) from error


def _begin(connection: sqlite3.Connection) -> None:
    # A text that is no UTF-8 must not end the reading: it is seen where it is decoded.
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    connection.execute("begin")
    connection.execute("select count(*) from sqlite_master").fetchone()


def _may_be_copied(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY"))


@contextmanager
def _copied(path: Path, reason: Exception) -> Iterator[sqlite3.Connection]:
    with tempfile.TemporaryDirectory(prefix="duckstore-import-") as folder:
        copy = Path(folder) / "copy.db"
        try:
            _copy_files(path, copy)
            with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
                _begin(connection)
                yield connection
        except (OSError, sqlite3.Error) as error:
            raise _unreadable(path, error) from reason


def _copy_files(path: Path, copy: Path) -> None:
    """Copy a file and its log, again where somebody wrote meanwhile: both must fit together."""
    log, log_copy = path.with_name(f"{path.name}-wal"), copy.with_name(f"{copy.name}-wal")
    for _ in range(_COPY_TRIES):
        before = _stamps(path, log)
        log_copy.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            shutil.copyfile(log, log_copy)
        shutil.copyfile(path, copy)
        if _stamps(path, log) == before:
            return
    raise OSError("it is being written to without a pause")


def _stamps(*paths: Path) -> list[tuple[int, int] | None]:
    """When each file was last written, and its size."""
    stamps: list[tuple[int, int] | None] = []
    for path in paths:
        try:
            found = path.stat()
        except FileNotFoundError:
            stamps.append(None)
        else:
            stamps.append((found.st_mtime_ns, found.st_size))
    return stamps


def _unreadable(path: Path, error: Exception) -> errors.ImportFileError:
    return errors.ImportFileError(
        f"{path} cannot be read as a SQLite file: {error}. Check that it is whole, and your "
        "right to read it"
    )


def table_pairs(connection: sqlite3.Connection) -> list[TablePair]:
    """The pairs of tables that look like the SDK's, whatever their names; the usual pair first."""
    names = connection.execute("select name from sqlite_master where type = 'table' order by name")
    pairs = []
    for (name,) in names.fetchall():
        if not columns_of(connection, name).keys() >= _PAIR_COLUMNS:
            continue
        for row in connection.execute(f"pragma foreign_key_list({quoted(name)})").fetchall():
            table = str(row[2])
            if row[3] == "session_id" and "session_id" in columns_of(connection, table):
                pairs.append(TablePair(table, name))
                break
    return sorted(pairs, key=lambda pair: (pair.messages != "agent_messages", pair.messages))


def columns_of(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    """The columns of a table with their types in capitals; none where there is no such table."""
    rows = connection.execute(f"pragma table_info({quoted(table)})").fetchall()
    return {row[1]: str(row[2]).upper() for row in rows}
