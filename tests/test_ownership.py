"""Who owns a store is found out by a lock, told in a file of the user's own, and never doubted."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import duckstore
from duckstore import errors, wire
from duckstore.client import Lane
from duckstore.command import Command
from duckstore.ownership import Ownership, find_post
from tests.owner import AS_NOBODY, needs_root, owned
from tests.processes import python

# What dead owners leave ------------------------------------------------------------------------


def test_what_a_killed_owner_left_is_taken_over(path: Path) -> None:
    """Its socket and its file are there, nobody listens, and what it acknowledged is kept."""
    with owned(path) as keeper:
        with duckstore.open(path) as store:
            store.conversation("s").add(["one"])
            keeper.kill()
            names = {file.name for file in path.parent.iterdir()}
            assert names >= {f"{path.name}.owner", f"{path.name}.socket"}
            assert store.conversation("s").items() == ["one"]
            store.conversation("s").add(["two"])
            assert store._access.is_owner
            assert find_post(str(path)).process_id == os.getpid()  # type: ignore[union-attr]
        assert list(path.parent.iterdir()) == [path]
        with duckstore.open(path) as store:
            assert store.conversation("s").items() == ["one", "two"]
            assert store.check() == []


def test_a_dead_exclusive_owner_keeps_nobody_out(path: Path) -> None:
    """What it said of itself is not believed for a moment: nobody is refused in its name."""
    with owned(path, exclusive=True) as keeper:
        keeper.kill()
        assert find_post(str(path)).address is None  # type: ignore[union-attr]
        taken = Ownership.take(str(path))
        assert taken is not None
        assert find_post(str(path)) is None
        taken.release()
        with owned(path), duckstore.open(path) as store:
            store.conversation("s").add(["one"])
            assert not store._access.is_owner


@pytest.mark.parametrize("rubbish", [b"", b"{", b"[]", b"\xff\xfe", b'{"process_id": 1}'])
def test_rubbish_in_the_file_of_the_owner_is_written_over(rubbish: bytes, path: Path) -> None:
    path.with_name(path.name + ".owner").write_bytes(rubbish)
    path.with_name(path.name + ".socket").write_bytes(b"no socket")
    with owned(path), duckstore.open(path) as store:
        store.conversation("s").add(["one"])
        assert not store._access.is_owner


def test_a_path_that_is_too_long_for_a_socket_is_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket lies elsewhere then, in a folder of the user's own; nothing is left there."""
    short = Path(tempfile.mkdtemp(prefix="duckstore-test-"))
    monkeypatch.setenv("TMPDIR", str(short))
    monkeypatch.setattr(tempfile, "tempdir", None)
    folder = tmp_path / ("deep" * 30) / ("deeper" * 20)
    folder.mkdir(parents=True)
    path = folder / "agents.duckdb"
    with owned(path) as keeper:
        (socket_folder,) = short.iterdir()
        assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
        with duckstore.open(path) as store:
            store.conversation("s").add(["one"])
            assert not store._access.is_owner
            keeper.kill()
            store.conversation("s").add(["two"])
            assert store._access.is_owner
            assert len(list(socket_folder.iterdir())) == 1
            assert store.conversation("s").items() == ["one", "two"]
    assert list(socket_folder.iterdir()) == []
    assert list(folder.iterdir()) == [path]
    shutil.rmtree(short)


# Clients that take over ------------------------------------------------------------------------


def test_a_request_that_is_repeated_is_done_once(path: Path) -> None:
    """By the same owner, by the next one after a kill, and by one that reads it from the file."""

    def ask(number: int | None = None) -> str:
        post = find_post(str(path))
        assert post is not None
        lane.connect(post)
        if number is not None:
            late = Command("pop", "s", {"keep": True}, request=(lane._client_id, number))
            late.encode()
            return str(lane.run(late))
        return str(lane.run(command))

    lane, command = Lane(str(path), 5.0), Command("pop", "s", {"keep": True})
    with owned(path) as keeper, duckstore.open(path) as store:
        store.conversation("s").add(["one", "two", "three"])
        lane.number(command)
        assert ask() == ask() == '"three"'
        keeper.kill()
        assert store.conversation("s").items() == ["one", "two"]
        assert store._access.is_owner
        assert ask() == '"three"'
        with pytest.raises(errors.StoreError, match="given up"):
            ask(0)
        assert store.conversation("s").items() == ["one", "two"]
    with owned(path), duckstore.open(path) as store:
        assert ask() == '"three"'
        assert store.conversation("s").items() == ["one", "two"]
        assert store.check() == []
    lane.drop()


def test_threads_of_a_client_take_over_together(path: Path) -> None:
    """The owner dies while six threads write through it: each change of each is done once."""
    with owned(path) as keeper, duckstore.open(path) as store, ThreadPoolExecutor(6) as pool:

        def write(thread: int) -> None:
            talk = store.conversation(f"talk {thread % 2}")
            for number in range(60):
                talk.add([f"{thread} {number}", "end"])
                if thread == 0 and number == 20:
                    keeper.kill()

        list(pool.map(write, range(6)))
        assert store._access.is_owner
        for talk in range(2):
            items = store.conversation(f"talk {talk}").items()
            assert items[1::2] == ["end"] * 180
            for thread in range(talk, 6, 2):
                own = [item for item in items[::2] if item.startswith(f"{thread} ")]
                assert own == [f"{thread} {number}" for number in range(60)]
        assert store.check() == []


def test_sessions_of_a_loop_take_over_together(path: Path) -> None:
    """The same for the tasks of an event loop, and for pops."""
    with owned(path) as keeper, duckstore.open(path) as store:

        async def use(task: int) -> None:
            session = store.session(f"session {task}")
            for number in range(30):
                await session.add_items([number, "popped"])  # type: ignore[list-item]
                assert await session.pop_item() == "popped"
                if task == 0 and number == 10:
                    keeper.kill()
            assert await session.get_items() == list(range(30))

        async def use_all() -> None:
            await asyncio.gather(*(use(task) for task in range(8)))

        asyncio.run(use_all())
        assert store._access.is_owner
        assert store.check() == []


# Who is refused --------------------------------------------------------------------------------


@needs_root
def test_a_folder_that_cannot_be_written_is_refused(open_folder: Path) -> None:
    path = open_folder / "agents.duckdb"
    told = python(
        AS_NOBODY + f"try:\n    opening({str(path)!r})\nexcept errors.StorePathError as error:\n"
        "    print(error)"
    )
    assert str(path) in told
    assert "needs a folder that can be written" in told
    assert list(open_folder.iterdir()) == []


def test_exclusive_makes_no_socket_and_keeps_others_out(path: Path) -> None:
    """Others are told who has it; when it is closed they are let in."""
    with owned(path, exclusive=True) as keeper:
        assert not path.with_name(path.name + ".socket").exists()
        for settings in ({}, {"exclusive": True}):
            with pytest.raises(errors.StoreLockedError, match="exclusive=True") as caught:
                duckstore.open(path, **settings)
            assert f"process {keeper.process_id}" in str(caught.value)
        keeper.close(path)
        with duckstore.open(path) as store:
            store.conversation("s").add(["one"])


def test_exclusive_is_refused_where_the_store_is_shared(path: Path) -> None:
    """Whoever wants a store for himself does not silently share it."""
    with owned(path) as keeper:
        with pytest.raises(errors.StoreLockedError, match=f"process {keeper.process_id}"):
            duckstore.open(path, exclusive=True)
        keeper.close(path)
        with duckstore.open(path, exclusive=True) as store:
            assert store._access.is_owner


def test_a_client_of_another_version_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "VERSION", wire.VERSION + 1)
    with (
        owned(path) as keeper,
        pytest.raises(errors.StoreLockedError, match="the same version") as caught,
    ):
        duckstore.open(path)
    assert f"process {keeper.process_id}" in str(caught.value)


# Rights ----------------------------------------------------------------------------------------

RIGHTS = """
import os, stat, sys
import duckstore

def merge():
    folding = store._access.engine._folding
    folding.run(folding.upkeep.merge)

path = sys.argv[1] if len(sys.argv) > 1 else {path!r}
os.umask({umask})
with duckstore.open(path) as store:
    store.conversation("s").add(["one"])
    store.sql("select 1")
    merge()
    store.conversation("s").add(["two"])
    store.sql("select 1")
    for name in sorted(os.listdir(os.path.dirname(path))):
        found = os.stat(os.path.join(os.path.dirname(path), name))
        print(name.removeprefix(os.path.basename(path)) or "database", oct(found.st_mode & 0o777))
"""
FILES = ["database", ".journal", ".owner", ".socket", ".wal"]


@pytest.mark.parametrize("umask", [0, 0o22, 0o77], ids=oct)
def test_all_files_are_the_users_own(umask: int, path: Path) -> None:
    """Database, log, journal, socket and the owner's file are made so that others cannot read."""
    told = python(RIGHTS.format(path=str(path), umask=umask)).splitlines()
    assert told == [f"{name} 0o600" for name in FILES]


def test_rights_that_were_given_stay(path: Path) -> None:
    """A database that its group may read stays so, with its log; what holds the key does not."""
    with duckstore.open(path) as store:
        store.conversation("s").add(["zero"])
    path.chmod(0o640)
    told = python(RIGHTS.format(path=str(path), umask=0)).splitlines()
    rights = dict(line.split() for line in told)
    assert rights["database"] == rights[".wal"] == "0o640"
    assert rights[".owner"] == rights[".socket"] == "0o600"
    with duckstore.open(path) as store:
        store.compact()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_file_for_the_key_that_others_can_read_is_closed_to_them(path: Path) -> None:
    path.with_name(path.name + ".owner").touch()
    path.with_name(path.name + ".owner").chmod(0o666)
    with duckstore.open(path):
        assert stat.S_IMODE(path.with_name(path.name + ".owner").stat().st_mode) == 0o600
