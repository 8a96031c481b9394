"""A forked child is a client of its parent, and never touches what is the parent's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.processes import python

BEGIN = """
import multiprocessing, os, sys, traceback
import duckstore
from duckstore import errors

def in_child(work):
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)

def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

store = duckstore.open({path!r})
talk = store.conversation("s")
talk.add(["before"])
"""


def script(path: Path, code: str) -> list[str]:
    """What a program that has a store open prints."""
    return python(BEGIN.format(path=str(path)) + code).splitlines()


def test_a_forked_child_and_its_parent_both_write(path: Path) -> None:
    """The child goes on with the same objects, through the parent; closing it is its own matter."""
    code = """
def work():
    assert not store._access.is_owner
    for number in range(20):
        talk.add([f"child {number}"])
    assert talk.pop() is not None
    assert store.sql("select count(*) as n from items")["n"][0] >= 21
    store.close()
    try:
        talk.items()
    except errors.ClosedError:
        return
    raise AssertionError("the child's store is open")

child = in_child(work)
for number in range(20):
    talk.add([f"parent {number}"])
print(ended(child), store._access.is_owner, store.check())
items = talk.items()
print(len(items), [i for i in items if i.startswith("c")][:19] == [f"child {n}" for n in range(19)])
talk.add(["after"])
print(talk.items()[-1])
"""
    first, second, third = script(path, code)
    assert first == "0 True []"
    assert second.split()[0] == "40"
    assert third == "after"


def test_a_child_of_multiprocessing_writes(path: Path) -> None:
    """Workers of a 'fork' pool share the store that was opened before them."""
    code = """
def work(number):
    duckstore.open(path).conversation("s").add([f"opened {number}"])
    talk.add([f"inherited {number}"])
    return os.getpid()

path = store.path
with multiprocessing.get_context("fork").Pool(3) as pool:
    pids = set(pool.map(work, range(12), chunksize=1))
assert os.getpid() not in pids
print(sorted(talk.items()) == sorted(
    ["before"] + [f"{how} {n}" for how in ("opened", "inherited") for n in range(12)]
), store.check())
"""
    assert script(path, code) == ["True []"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_child_keeps_nothing_of_the_parents_open(path: Path) -> None:
    """Neither its lock nor its journal nor its socket nor the connections of its clients."""
    code = f"""
other = os.fork()
if not other:
    store.close()
    with duckstore.open({str(path)!r}) as client:
        client.conversation("other").add(["client"])
        ready.release()
        done.acquire()
    os._exit(0)
ready.acquire()

def work():
    names = []
    for number in os.listdir("/proc/self/fd"):
        try:
            names.append(os.readlink(f"/proc/self/fd/{{number}}"))
        except FileNotFoundError:
            pass
    mine = [n for n in names if n.endswith((".owner", ".journal")) or n.startswith("socket:")]
    assert not mine, mine

child = in_child(work)
print(ended(child))
done.release()
print(ended(other))
"""
    semaphores = (
        "context = multiprocessing.get_context('fork')\n"
        "ready, done = context.Semaphore(0), context.Semaphore(0)\n"
    )
    assert script(path, semaphores + code) == ["0", "0"]


def test_a_child_outlives_its_parents_store_as_a_client_of_others(path: Path) -> None:
    """DuckDB cannot open a file anew in a fork; where another owns it, the child goes on."""
    code = f"""
from tests.owner import Keeper

gate, key = os.pipe()

def work():
    os.close(key)
    os.read(gate, 1)
    try:
        talk.add(["refused"])
    except errors.ForkedError as error:
        assert "spawn" in str(error), error
    else:
        raise AssertionError("the child took over")
    with Keeper() as keeper:
        keeper.open({str(path)!r})
        talk.add(["child"])
        assert talk.items() == ["before", "child"]
        assert not store._access.is_owner

child = in_child(work)
os.close(gate)
store.close()
os.close(key)
print(ended(child))
"""
    assert script(path, code) == ["0"]


def test_a_child_never_has_a_client_of_its_parent_wait(path: Path) -> None:
    """A parent that is killed is gone for its clients too, though its child lives on."""
    end = str(path.with_name("end"))
    code = f"""
from tests.owner import owned

store.close()
with owned({str(path)!r}) as keeper:
    keeper.run('''
import os, time
if not os.fork():
    while not os.path.exists({end!r}):
        time.sleep(0.01)
    os._exit(0)
''')
    with duckstore.open({str(path)!r}, timeout=5) as client:
        client.conversation("s").add(["one"])
        keeper.run('''
import os, time
if not os.fork():
    while not os.path.exists({end!r}):
        time.sleep(0.01)
    os._exit(0)
''')
        keeper.process.kill()
        keeper.process.wait()
        client.conversation("s").add(["two"])
        print(client._access.is_owner, client.conversation("s").items(), client.check())
open({end!r}, "w").close()
"""
    assert script(path, code) == ["True ['before', 'one', 'two'] []"]


def test_a_child_of_a_store_in_memory_is_told_so(path: Path) -> None:
    """There is no file that it could share."""
    code = """
memory = duckstore.open()
memory.conversation("s").add(["one"])

def work():
    uses = [
        lambda: memory.conversation("s").items(),
        lambda: memory.conversation("s").add(["two"]),
        lambda: memory.conversation("s").pop(),
        lambda: memory.check(),
        lambda: memory.sessions(),
        lambda: memory.sql("select 1"),
    ]
    for use in uses:
        try:
            use()
        except errors.ForkedError as error:
            assert "spawn" in str(error)
        else:
            raise AssertionError("no error")
    memory.close()

print(ended(in_child(work)), memory.conversation("s").items(), memory.check())
"""
    assert script(path, code) == ["0 ['one'] []"]
