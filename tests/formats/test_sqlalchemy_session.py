"""Tables of the SDK's `SQLAlchemySession`, written by its own class."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from duckstore import errors
from duckstore.formats import sqlalchemy_session, sqlite_session
from duckstore.formats.sample import take_sample
from tests.formats.reading import read_all, read_one
from tests.processes import ROOT
from tests.samples import assistant, call, output, run, user

sqlalchemy = pytest.importorskip("sqlalchemy")
pytest.importorskip("aiosqlite")


def write_sessions(path: Path, conversations: dict[str, list[Any]], **tables: str) -> Path:
    from agents.extensions.memory import SQLAlchemySession
    from sqlalchemy.ext.asyncio import create_async_engine

    async def write() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        for session_id, items in conversations.items():
            session = SQLAlchemySession(session_id, engine=engine, create_tables=True, **tables)
            await session.add_items(items)
        await engine.dispose()

    run(write())
    return path


CONVERSATIONS: dict[str, list[Any]] = {
    "one": [user("a"), call("find", "c1"), output("c1"), assistant("b\ud800")],
    "two": [user("é"), assistant("y")],
}


@pytest.mark.parametrize("address", ["{}", "sqlite:///{}", "sqlite+aiosqlite:///{}"])
def test_every_session_arrives_from_a_file_or_a_url(tmp_path: Path, address: str) -> None:
    path = write_sessions(tmp_path / "chat.db", CONVERSATIONS)
    transcripts, skipped = read_all(sqlalchemy_session, address.format(path))
    assert skipped == []
    assert {one.session_id: one.items for one in transcripts} == CONVERSATIONS
    for one in transcripts:
        assert one.source == "sqlalchemy"
        assert one.created_at is not None
        assert one.session_created_at is not None
        for at in [*one.created_at, one.session_created_at]:
            assert at is not None
            assert timedelta(seconds=-1) < datetime.now(UTC) - at < timedelta(minutes=10)


def test_items_are_in_the_order_of_their_times(tmp_path: Path) -> None:
    """As the session itself reads them: a compaction writes its summary with an older time."""
    path = write_sessions(tmp_path / "chat.db", {"a": [user("1"), user("2"), user("3")]})
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "update agent_messages set created_at = '2020-01-01 00:00:00' where id = 3"
        )
    assert read_one(sqlalchemy_session, path).items == [user("3"), user("1"), user("2")]


def test_a_database_that_is_no_file_is_read_through_sqlalchemy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of another server come the same way as those of this one do here."""
    path = write_sessions(tmp_path / "chat.db", CONVERSATIONS)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("update agent_messages set message_data = '{' where id = 2")
    monkeypatch.setattr(sqlalchemy_session, "_file_of", lambda url: None)
    transcripts, skipped = read_all(sqlalchemy_session, f"sqlite:///{path}")
    assert {one.session_id: one.items for one in transcripts} == {
        "one": [item for item in CONVERSATIONS["one"] if item.get("type") != "function_call"],
        "two": CONVERSATIONS["two"],
    }
    assert [place for place, _ in skipped] == ["session one, message 2"]
    assert transcripts[0].created_at is not None
    assert all(at is not None and at.tzinfo is UTC for at in transcripts[0].created_at)
    with pytest.raises(errors.ImportFileError, match="has no table nowhere"):
        read_all(sqlalchemy_session, f"sqlite:///{path}", messages_table="nowhere")


def test_tables_with_names_of_their_own(tmp_path: Path) -> None:
    path = write_sessions(
        tmp_path / "chat.db", CONVERSATIONS, sessions_table="talks", messages_table="lines"
    )
    transcripts, _ = read_all(
        sqlalchemy_session, f"sqlite:///{path}", sessions_table="talks", messages_table="lines"
    )
    assert len(transcripts) == 2


def test_its_files_are_told_from_those_of_the_other_sessions(tmp_path: Path) -> None:
    sample = take_sample(write_sessions(tmp_path / "chat.db", CONVERSATIONS))
    assert sqlalchemy_session.recognizes(sample)
    assert not sqlite_session.recognizes(sample)


def test_a_file_is_read_where_sqlalchemy_is_not_installed(tmp_path: Path) -> None:
    path = write_sessions(tmp_path / "chat.db", CONVERSATIONS)
    program = (
        "import sys\n"
        "sys.modules['sqlalchemy'] = None\n"
        "from pathlib import Path\n"
        "from duckstore import errors\n"
        "from duckstore.formats import sqlalchemy_session as reader\n"
        "from tests.formats.reading import Report\n"
        f"print(len(list(reader.read(Path({str(path)!r}), Report()))))\n"
        "try:\n"
        "    list(reader.read('postgresql://host/name', Report()))\n"
        "except errors.MissingPackageError as error:\n"
        "    print(error)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.splitlines()[0] == "2"
    assert "duckstore[sqlalchemy]" in found.stdout.splitlines()[1]


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(errors.ImportFileError, match="is not there"):
        read_all(sqlalchemy_session, f"sqlite:///{tmp_path}/nowhere.db")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("nothing://host/name", errors.ImportFileError, "knows no database"),
        ("postgresql+asyncpg://me:secret@host/name", errors.MissingPackageError, "psycopg"),
        ("mysql+aiomysql://me:secret@host/name", errors.MissingPackageError, "pymysql"),
        ("postgresql://me:secret@host:wrong/name", errors.ImportFileError, "none that SQLAlchemy"),
    ],
)
def test_a_url_that_leads_nowhere_is_an_error(url: str, error: type, message: str) -> None:
    """Which keeps the password to itself."""
    if error is errors.MissingPackageError and sqlalchemy_session._is_installed(f"+{message}"):
        pytest.skip(f"{message} is installed")
    with pytest.raises(error, match=message) as raised:
        read_all(sqlalchemy_session, url)
    assert "secret" not in str(raised.value)


def test_a_database_that_cannot_be_reached_is_an_error_without_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlalchemy_session, "_file_of", lambda url: None)
    with pytest.raises(errors.ImportFileError, match="no URL for its driver") as raised:
        read_all(sqlalchemy_session, f"sqlite://me:secret@host/{tmp_path}/nowhere/x.db")
    assert "secret" not in str(raised.value)


def test_what_is_a_url() -> None:
    assert sqlalchemy_session.is_url("postgresql+psycopg://host/name")
    assert sqlalchemy_session.is_url("sqlite:///file.db")
    assert not sqlalchemy_session.is_url("folder/file.db")
    assert not sqlalchemy_session.is_url(Path("file.db"))
