"""Whoever asks another process something long: it holds up nobody, and ends with who asked it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import duckstore
from duckstore.client import Lane
from duckstore.ownership import find_post
from tests.owner import Keeper, environment, owned
from tests.processes import ROOT

ENDLESS = (
    "select count(*) from range(1e6::int) a, range(1e6::int) b where (a.range * b.range) % 7 = 3"
)

# Asks what has no end; after Ctrl-C it asks and writes something short.
ASKING = f"""
import sys
import duckstore

with duckstore.open(sys.argv[1]) as store:
    store.sql("select 1")
    print("asking", flush=True)
    try:
        store.sql("{ENDLESS}")
    except KeyboardInterrupt:
        print("stopped", flush=True)
    store.conversation("asking").add(["after"])
    print(store.sql("select 42 as n")["n"][0], store.conversation("asking").items(), flush=True)
"""


def wait_until_readers(keeper: Keeper, path: Path, count: int) -> None:
    """Wait until so many questions are worked on in the owner."""
    code = f"assert stores[{str(path)!r}]._access.engine._file._readers == {count}"
    deadline = time.monotonic() + 10
    while True:
        try:
            keeper.run(code)
            return
        except AssertionError:
            assert time.monotonic() < deadline, f"there are not {count} questions"
            time.sleep(0.02)


class Asking:
    """A process that asks a question without end of a store."""

    def __init__(self, keeper: Keeper, path: Path) -> None:
        self._keeper, self._path = keeper, path
        self.process = subprocess.Popen(
            [sys.executable, "-c", ASKING, str(path)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment(),
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "asking\n"
        self.wait_until_readers(1)

    def wait_until_readers(self, count: int) -> None:
        wait_until_readers(self._keeper, self._path, count)

    def __enter__(self) -> Asking:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def test_a_long_question_holds_up_nobody(
    keeper: Keeper, client: duckstore.Store, path: Path
) -> None:
    """While one client's question is worked on, another writes, reads and asks."""
    with Asking(keeper, path) as asking:
        for number in range(50):
            client.conversation("s").add([number])
        assert client.conversation("s").items() == list(range(50))
        assert client.sql("select count(*) as n from items")["n"][0] == 50
        asking.wait_until_readers(1)
        assert asking.process.poll() is None


def test_ctrl_c_stops_a_question_in_the_owner_too(
    keeper: Keeper, client: duckstore.Store, path: Path
) -> None:
    """The client goes on with its next request, and the owner works for nobody any more."""
    with Asking(keeper, path) as asking:
        asking.process.send_signal(signal.SIGINT)
        told, _ = asking.process.communicate(timeout=30)
        assert told.splitlines() == ["stopped", "42 ['after']"]
        assert asking.process.returncode == 0
        asking.wait_until_readers(0)
    assert client.conversation("asking").items() == ["after"]


def test_a_client_that_dies_while_it_asks_leaves_no_work(
    keeper: Keeper, client: duckstore.Store, path: Path
) -> None:
    """Its question is stopped in the owner, which can rewrite the file again."""
    with Asking(keeper, path) as asking:
        asking.process.kill()
        asking.wait_until_readers(0)
    client.compact()
    client.conversation("s").add(["one"])
    assert client.conversation("s").items() == ["one"]


def test_a_client_that_takes_no_answer_is_let_go_of(keeper: Keeper, path: Path) -> None:
    """Whoever asks for much and then reads nothing, stopped perhaps, holds the file for a while."""
    keeper.run("import duckstore.guest as guest\nguest.SEND_SECONDS = 0.5")
    keeper.open(path)
    post = find_post(str(path))
    assert post is not None
    lane = Lane(str(path), 30.0)
    lane.connect(post)
    sql = "select range as n, repeat('x', 100) as text from range(1_000_000)"
    lane._send({"do": "frame", "sql": sql, "parameters": None}, b"")
    wait_until_readers(keeper, path, 1)
    wait_until_readers(keeper, path, 0)
    lane.drop()
    keeper.close(path)
    keeper.run("import duckstore.guest as guest\nguest.SEND_SECONDS = 60.0")


def test_an_owner_that_ends_does_not_wait_for_a_question(keeper: Keeper, path: Path) -> None:
    """It closes at once; the next owner has everything and is asked the same."""
    keeper.open(path)
    with duckstore.open(path) as store:
        store.conversation("s").add(["one"])
        with Asking(keeper, path) as asking:
            began = time.monotonic()
            keeper.close(path)
            assert time.monotonic() - began < 5
            store.conversation("s").add(["two"])
            assert store.conversation("s").items() == ["one", "two"]
            assert asking.process.poll() is None


def test_a_request_that_takes_time_is_not_taken_for_lost(keeper: Keeper, path: Path) -> None:
    """The owner gives signs of life: a change may take longer than the client's patience."""
    keeper.open(path)
    with duckstore.open(path, timeout=1.0) as store:
        store.conversation("s").add(["one"])
        keeper.run(
            "import threading\n"
            f"lock = stores[{str(path)!r}]._access.engine._journal_lock\n"
            "lock.acquire()\n"
            "threading.Timer(2.5, lock.release).start()"
        )
        began = time.monotonic()
        store.conversation("s").add(["two"])
        assert time.monotonic() - began > 1.5
        assert store.conversation("s").items() == ["one", "two"]
    keeper.close(path)


def test_threads_of_a_client_ask_at_the_same_time(client: duckstore.Store) -> None:
    """Each has a line of its own to the owner: answers are never mixed up."""
    found: dict[int, list[Any]] = {}

    def ask(thread: int) -> None:
        found[thread] = [
            client.sql("select $n as n from range(1000)", n=thread * 100 + number)["n"].unique()[0]
            for number in range(20)
        ]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: [n * 100 + k for k in range(20)] for n in range(6)}


# Its main thread ends at once; another one lives as long as its input is open.
LEAVING = """
import sys, threading
import duckstore

store = duckstore.open(sys.argv[1])
threading.Thread(target=sys.stdin.read).start()
print("open", flush=True)
"""


def test_an_owner_whose_main_thread_has_ended_still_serves(path: Path) -> None:
    """A program may live on in its threads alone."""
    owner = subprocess.Popen(
        [sys.executable, "-c", LEAVING, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "open\n"
    with duckstore.open(path) as store:
        for number in range(20):
            store.conversation("s").add([number])
            assert store.sql("select count(*) as n from items")["n"][0] == number + 1
            assert not store._access.is_owner
        assert store.check() == []
        owner.communicate("")
        assert owner.returncode == 0
        assert store.conversation("s").items() == list(range(20))
        assert store._access.is_owner


def test_compacting_while_others_come_turns_nobody_away(path: Path) -> None:
    """A client that opens the store just when its file is replaced finds it."""
    with owned(path) as keeper:
        keeper.run(
            "import threading\n"
            f"store = stores[{str(path)!r}]\n"
            "ending = threading.Event()\n"
            "def compact():\n"
            "    while not ending.is_set():\n"
            "        store.compact()\n"
            "thread = threading.Thread(target=compact)\n"
            "thread.start()\n"
            "stores['ending'] = type('Ending', (), "
            "{'close': lambda self: (ending.set(), thread.join())})()"
        )
        for number in range(40):
            with duckstore.open(path) as store:
                store.conversation("s").add([number])
                assert len(store.conversation("s").items()) == number + 1
        keeper.close(Path("ending"))
        with duckstore.open(path) as store:
            assert store.conversation("s").items() == list(range(40))
            assert store.check() == []
