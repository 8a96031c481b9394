"""A store opened for reading changes nothing and stands in nobody's way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import duckstore
from duckstore import errors
from tests.processes import ROOT, python
from tests.samples import run, user

WRITER = """
import sys, duckstore
with duckstore.open(sys.argv[1], timeout=20) as store:
    store.conversation("s").add([{"role": "user", "content": "two"}])
    print("written", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def stored(path: Path) -> Path:
    """A store with one item, closed."""
    with duckstore.open(path) as store:
        store.conversation("s").add([user("one")])
    return path


def writer(path: Path) -> subprocess.Popen[str]:
    """Another process that writes an item and keeps the store open."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    return process


def test_it_reads_all_that_is_there(stored: Path) -> None:
    with duckstore.open(stored, read_only=True) as store:
        assert store.conversation("s").items() == [user("one")]
        assert run(store.session("s").get_items()) == [user("one")]
        assert store.sql("select count(*) as n from items").item() == 1
        assert [s.session_id for s in store.sessions()] == ["s"]
        assert store.query("turn_pairs").height == 1
        assert store.check() == []


def test_every_change_is_refused(stored: Path) -> None:
    before = stored.read_bytes()
    with duckstore.open(stored, read_only=True) as store:
        conversation, session = store.conversation("s"), store.session("s")
        changes: list[Callable[[], object]] = [
            lambda: conversation.add([user("two")]),
            conversation.pop,
            conversation.clear,
            lambda: conversation.branch("b"),
            lambda: store.purge("s"),
            lambda: store.update_session("s", title="t"),
            lambda: run(session.add_items([user("two")])),  # type: ignore[list-item]
            lambda: run(session.pop_item()),
        ]
        for change in changes:
            with pytest.raises(errors.StoreReadOnlyError, match="read_only=True"):
                change()
        assert conversation.items() == [user("one")]
    assert stored.read_bytes() == before
    assert [file.name for file in stored.parent.iterdir()] == [stored.name]


def test_it_keeps_no_writer_out_and_sees_what_that_writes(stored: Path) -> None:
    """A reader that asked something a moment ago holds up a writer for a moment only."""
    with duckstore.open(stored, read_only=True) as store:
        assert store.sql("select count(*) as n from items").item() == 1
        process = writer(stored)
        assert store.conversation("s").items() == [user("one"), user("two")]
        assert store.sql("select count(*) as n from items").item() == 2
        process.communicate("")
        assert store.sql("select count(*) as n from items").item() == 2
        assert store.conversation("s").items() == [user("one"), user("two")]


def test_readers_share_a_file(stored: Path) -> None:
    code = f"""
import duckstore
with duckstore.open({str(stored)!r}, read_only=True) as store:
    print(store.sql("select count(*) as n from items").item())
"""
    with duckstore.open(stored, read_only=True) as store:
        assert store.sql("select count(*) as n from items").item() == 1
        assert python(code) == "1"


def test_a_folder_that_cannot_be_written_can_be_read(stored: Path) -> None:
    """Run as a user who may not write there, since the superuser may everywhere."""
    if os.geteuid() != 0:
        pytest.skip("needs the right to become another user")
    stored.chmod(0o644)
    for folder in (stored.parent, *stored.parent.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    code = f"""
import os, sys
sys.dont_write_bytecode = True
import duckstore, duckstore.store, duckstore.frames, polars, pyarrow
from duckstore import errors
os.setgid(65534); os.setuid(65534)
try:
    duckstore.open({str(stored)!r})
except errors.StorePathError as error:
    print("read_only=True" in str(error))
with duckstore.open({str(stored)!r}, read_only=True) as store:
    print(store.conversation("s").items(), store.sql("select count(*) as n from items").item())
"""
    expected = "True\n[{'role': 'user', 'content': 'one'}] 1"
    assert python(code) == expected


def test_what_only_the_journal_has_is_never_passed_over(path: Path) -> None:
    """After a crash the file must be opened for writing once; until then reading says so."""
    python(
        "import os, duckstore\n"
        f"store = duckstore.open({str(path)!r})\n"
        "store.conversation('s').add([{'role': 'user', 'content': 'one'}])\n"
        "os._exit(0)\n"
    )
    with pytest.raises(errors.StoreReadOnlyError, match="open the store once for writing"):
        duckstore.open(path, read_only=True)
    duckstore.open(path).close()
    with duckstore.open(path, read_only=True) as store:
        assert store.conversation("s").items() == [user("one")]


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.StorePathError, match="there is no store"):
        duckstore.open(tmp_path / "missing.duckdb", read_only=True)
    (tmp_path / "empty.duckdb").touch()
    with pytest.raises(errors.NotADatabaseError):
        duckstore.open(tmp_path / "empty.duckdb", read_only=True)
    with pytest.raises(errors.ArgumentError, match="cannot be read_only"):
        duckstore.open(read_only=True)
    with pytest.raises(errors.ArgumentError, match="do not go together"):
        duckstore.open(tmp_path / "a.duckdb", read_only=True, exclusive=True)
    assert [file.name for file in tmp_path.iterdir()] == ["empty.duckdb"]
