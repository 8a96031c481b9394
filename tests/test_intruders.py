"""Whoever disturbs an owner, or cannot have the store, harms nobody and is told why."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection
from pathlib import Path

import pytest

import duckstore
from duckstore import errors
from duckstore.access import Access
from duckstore.client import Lane
from duckstore.ownership import find_post
from duckstore.settings import Settings
from tests.owner import AS_NOBODY, Keeper, needs_root, owned
from tests.processes import python

# Who may not have it ---------------------------------------------------------------------------


@needs_root
def test_another_user_can_neither_connect_nor_read_the_key(open_folder: Path) -> None:
    """Even where the folder and the database are open to all."""
    path = open_folder / "agents.duckdb"
    with owned(path):
        open_folder.chmod(0o777)
        path.chmod(0o666)
        code = f"""
import socket
print(find_post({str(path)!r}))
for name in (".owner", ".journal", ".socket"):
    try:
        if name == ".socket":
            socket.socket(socket.AF_UNIX).connect({str(path)!r} + name)
        else:
            open({str(path)!r} + name).read()
    except PermissionError:
        print("refused")
try:
    opening({str(path)!r})
except errors.StorePathError as error:
    print(error)
"""
        with duckstore.open(path) as store:
            store.conversation("s").add(["one"])
            *lines, told = python(AS_NOBODY + code).splitlines()
            assert lines == ["None", "refused", "refused", "refused"]
            assert "belongs to another user" in told
            assert store.conversation("s").items() == ["one"]


FOREIGN = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""

REFUSED = """
import os
import duckstore
from duckstore import errors
opening = duckstore.open
gate, key = os.pipe()
for number in range(4):
    if not os.fork():
        os.close(key)
        os.read(gate, 1)
        try:
            opening({path!r})
        except errors.DuckstoreError as error:
            print(type(error).__name__, error, flush=True)
        os._exit(0)
os.close(key)
for number in range(4):
    os.wait()
"""


def test_a_program_that_holds_the_file_is_named_to_each_who_comes(path: Path) -> None:
    """One after the other, and several at once: each gets the same error, and nothing is left."""
    with duckstore.open(path) as store:
        store.conversation("s").add(["one"])
    with subprocess.Popen(
        [sys.executable, "-c", FOREIGN, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "open\n"
        for _ in range(2):
            with pytest.raises(errors.StoreLockedError, match=rf"PID {program.pid}\b"):
                duckstore.open(path)
        told = python(REFUSED.format(path=str(path))).splitlines()
        assert len(told) == 4
        for line in told:
            assert line.startswith("StoreLockedError")
            assert f"PID {program.pid}" in line
        program.communicate("")
    with duckstore.open(path) as store:
        assert store.conversation("s").items() == ["one"]
    assert list(path.parent.iterdir()) == [path]


# Who disturbs ----------------------------------------------------------------------------------


def dial(path: Path) -> socket.socket:
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(20)
    line.connect(str(path) + ".socket")
    return line


def test_nobody_who_speaks_nonsense_disturbs_others(path: Path) -> None:
    """Silence, noise, half a message, another key, or odd requests: others are served meanwhile."""
    with owned(path) as keeper, duckstore.open(path) as store:
        silent = [dial(path) for _ in range(3)]
        for noise in (
            b"GET / HTTP/1.1\r\n\r\n",
            b"\xff" * 5000,
            b"\x7f\xff\xff\xff",
            b"\0\0\0\4ab",
        ):
            line = dial(path)
            line.sendall(noise)
            silent.append(line)
        with pytest.raises(AuthenticationError):
            Client(str(path) + ".socket", "AF_UNIX", authkey=b"another key")
        post = find_post(str(path))
        assert post is not None
        odd = [b"", b"Q", b"Q\n", b"Q[]\n", b'Q{"do": 1}\n', b'Q{"do": "nothing"}\n']
        odd += [b'Q{"do": "run", "sync": true}\nno command', b'Q{"do": "task", "task": "x"}\n']
        for request in odd:
            lane = Lane(str(path), 5.0)
            lane.connect(post)
            assert isinstance(lane._connection, Connection)
            lane._connection.send_bytes(request)
            store.conversation("s").add([repr(request)])
            lane.drop()
        assert store.conversation("s").items() == [repr(request) for request in odd]
        assert store.check() == []
        assert not store._access.is_owner
        assert keeper.process.poll() is None
        for line in silent:
            line.close()


def test_who_says_nothing_is_let_go_of_and_who_has_greeted_is_not(path: Path) -> None:
    """A connection without a greeting ends after a while; an idle client's stays."""
    with owned(path) as keeper, duckstore.open(path) as store:
        store.conversation("s").add(["one"])
        (lane,) = store._access._idle
        line = lane._connection
        keeper.run("import duckstore.server as server\nserver.GREETING_SECONDS = 0.1")
        with dial(path) as silent:
            while silent.recv(1000):
                continue  # its question; then the end, or a timeout that fails the test
        assert store.conversation("s").items() == ["one"]
        assert store._access._idle == [lane]
        assert lane._connection is line


# Who is stopped --------------------------------------------------------------------------------


def test_a_stopped_owner_is_named_in_time_and_goes_on(path: Path) -> None:
    """An open client and a new one get an error after their timeout, and later everything works.

    What was given up while the owner could not even read it is not stored after all.
    """
    with owned(path) as keeper, duckstore.open(path, timeout=1.0) as store:
        store.conversation("s").add(["before"])
        uses = (
            lambda: store.conversation("s").add(["given up"]),
            lambda: store.sql("select 1"),
            lambda: Access(str(path), Settings(timeout=1.0)),
        )
        with keeper.stopped():
            for use in uses:
                began = time.monotonic()
                with pytest.raises(errors.StoreBusyError, match=f"process {keeper.process_id}"):
                    use()
                assert 0.9 < time.monotonic() - began < 5
        store.conversation("s").add(["after"])
        assert store.conversation("s").items() == ["before", "after"]
        assert store.check() == []
        assert not store._access.is_owner


def test_a_stopped_owner_is_told_in_the_middle_of_a_large_message(
    keeper: Keeper, path: Path
) -> None:
    """More than the system takes at a time does not block for ever either."""
    keeper.open(path)
    with duckstore.open(path, timeout=1.0) as store:
        store.conversation("s").add(["before"])
        with keeper.stopped(), pytest.raises(errors.StoreBusyError):
            store.conversation("s").add(["x" * 5_000_000])
        store.conversation("s").add(["after"])
        assert store.conversation("s").items() == ["before", "after"]
    keeper.close(path)
