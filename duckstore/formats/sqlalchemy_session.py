"""Tables of the SDK's `SQLAlchemySession`, in any database that SQLAlchemy reads.

The database is named by its URL, as the session was: an asynchronous driver in it is replaced by
one that is not. A SQLite file of it is read as a file too, which needs no SQLAlchemy. Its times are
taken to be UTC, which SQLite's are and another server's should be.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from duckstore import errors
from duckstore.formats.sample import Sample, Skipper
from duckstore.formats.sdk_rows import MessageRow, line_of
from duckstore.formats.sqlite_files import columns_of, is_sqlite, open_read_only, table_pairs
from duckstore.formats.sqlite_session import read_tables
from duckstore.formats.values import moment
from duckstore.transcript import Transcript

__all__ = ["ARE_JSON", "NAME", "TITLE", "is_url", "read", "recognizes"]

NAME = "sqlalchemy"
TITLE = "database of the Agents SDK's SQLAlchemySession (a URL, or a SQLite file)"
ARE_JSON = True
"""Its items are as a JSON decoder gives them: they can be described before they are encoded."""

_URL = re.compile(r"[a-z][a-z0-9]*(\+[a-z0-9_]+)?://", re.ASCII)
_ORDER = "created_at, id"
_SYNCHRONOUS = {
    "sqlite+aiosqlite": ("sqlite",),
    "postgresql+asyncpg": ("postgresql+psycopg", "postgresql+psycopg2"),
    "mysql+aiomysql": ("mysql+pymysql",),
    "mysql+asyncmy": ("mysql+pymysql",),
    "mariadb+aiomysql": ("mariadb+pymysql",),
    "mariadb+asyncmy": ("mariadb+pymysql",),
}
"""What takes the place of an asynchronous driver, in the order in which it is looked for."""


def is_url(path: str | Path) -> bool:
    """Whether a database is named and no file."""
    return isinstance(path, str) and _URL.match(path) is not None


def recognizes(sample: Sample) -> bool:
    """Whether it is a SQLite file with SQLAlchemy's tables, whose ids are of type VARCHAR."""
    if sample.is_folder or not is_sqlite(sample.head):
        return False
    try:
        with open_read_only(sample.path) as connection:
            return any(
                columns_of(connection, pair.messages)["session_id"].startswith("VARCHAR")
                for pair in table_pairs(connection)
            )
    except (errors.ImportFileError, sqlite3.Error):
        return False


def read(
    path: str | Path,
    report: Skipper,
    *,
    sessions_table: str | None = None,
    messages_table: str | None = None,
) -> Iterator[Transcript]:
    """Read the sessions of a database.

    Args:
        path: The database's URL as a text, or a SQLite file.
        report: Told what was left out.
        sessions_table: The table of sessions; `agent_sessions` where it is left out.
        messages_table: The table of messages; `agent_messages` where it is left out.

    Raises:
        ImportFileError: The database cannot be read, or has no such tables.
        MissingPackageError: SQLAlchemy or the database's driver is not installed.
    """
    file: str | Path | None = path
    if isinstance(path, str) and is_url(path):
        sqlalchemy = _sqlalchemy()
        url = _parsed(sqlalchemy, path)
        file = _file_of(url)  # SQLAlchemy would make a file that is not there
        if file is None:
            names = (sessions_table or "agent_sessions", messages_table or "agent_messages")
            yield from _read_database(sqlalchemy, url, report, *names)
    if file is not None:
        yield from read_tables(
            Path(file), report, NAME, sessions_table, messages_table, order=_ORDER
        )


def _file_of(url: Any) -> str | None:
    """The SQLite file that a URL names; None where it names another database."""
    is_file = url.get_backend_name() == "sqlite" and "uri" not in url.query
    return str(url.database or "") if is_file else None


def _read_database(
    sqlalchemy: Any, url: Any, report: Skipper, sessions_table: str, messages_table: str
) -> Iterator[Transcript]:
    engine = _engine(sqlalchemy, url)
    name = engine.url.render_as_string(hide_password=True)
    try:
        with engine.connect() as connection:
            tables = sqlalchemy.MetaData()
            sessions, messages = (
                sqlalchemy.Table(table, tables, autoload_with=connection)
                for table in (sessions_table, messages_table)
            )
            for session_id, created_at in connection.execute(
                sqlalchemy.select(sessions.c.session_id, sessions.c.created_at).order_by(
                    sessions.c.created_at, sessions.c.session_id
                )
            ).all():
                place = f"session {session_id}"
                rows = connection.execute(
                    sqlalchemy.select(messages.c.id, messages.c.message_data, messages.c.created_at)
                    .where(messages.c.session_id == session_id)
                    .order_by(messages.c.created_at, messages.c.id)
                )
                weaver = line_of((MessageRow(*row) for row in rows), place, report)
                if weaver.items:
                    yield weaver.transcript(
                        str(session_id),
                        metadata={"database": engine.url.database},
                        source=NAME,
                        session_created_at=moment(created_at),
                        place=place,
                    )
    except sqlalchemy.exc.NoSuchTableError as error:
        raise errors.ImportFileError(
            f"{name} has no table {error}. Name the tables by sessions_table and messages_table"
        ) from error
    except (sqlalchemy.exc.SQLAlchemyError, AttributeError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise errors.ImportFileError(
            f"{name} cannot be read: {reason}. Check the URL, the rights and the tables' columns"
        ) from error
    finally:
        engine.dispose()


def _sqlalchemy() -> Any:
    try:
        import_module("sqlalchemy.exc")
        return import_module("sqlalchemy")
    except ImportError as error:
        raise errors.MissingPackageError(
            "sqlalchemy is needed to read a database by its URL and is not installed: "
            "pip install 'duckstore[sqlalchemy]'"
        ) from error


def _parsed(sqlalchemy: Any, url: str) -> Any:
    try:
        return sqlalchemy.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        # Without its text, which may hold a password.
        raise errors.ImportFileError(
            "the URL is none that SQLAlchemy reads. Give one like postgresql+psycopg://user@host/name"
        ) from error


def _engine(sqlalchemy: Any, url: Any) -> Any:
    drivers = _SYNCHRONOUS.get(url.drivername, (url.drivername,))
    driver = next((name for name in drivers if _is_installed(name)), drivers[0])
    try:
        return sqlalchemy.create_engine(url.set(drivername=driver))
    except sqlalchemy.exc.NoSuchModuleError as error:
        raise errors.ImportFileError(
            f"SQLAlchemy knows no database of the URL's kind: {error}. Check how it begins"
        ) from error
    except sqlalchemy.exc.ArgumentError as error:
        raise errors.ImportFileError(
            f"{url.render_as_string(hide_password=True)} is no URL for its driver. Check its parts"
        ) from error
    except ImportError as error:
        raise errors.MissingPackageError(
            f"{error.name} is needed to read this database and is not installed: "
            f"pip install {error.name}"
        ) from error


def _is_installed(driver: str) -> bool:
    return find_spec(driver.partition("+")[2] or "sqlite3") is not None
