"""A session's life: cancelled in a change, shared by loops, threads and objects, and closed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import duckstore
from duckstore import faults
from duckstore.errors import ClosedError
from tests.samples import assistant, call, output, run, user

THREE = [user("one"), assistant("two"), user("three")]

Operation = Callable[[duckstore.DuckDBSession], Awaitable[Any]]
OPERATIONS: dict[str, Operation] = {
    "get": lambda session: session.get_items(),
    "add": lambda session: session.add_items([user("more")]),
    "add nothing": lambda session: session.add_items([]),
    "pop": lambda session: session.pop_item(),
    "clear": lambda session: session.clear_session(),
}


# Cancellation ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [("add", [*THREE, user("more")]), ("pop", THREE[:2]), ("clear", [])],
)
def test_a_cancelled_change_is_finished_first(
    store: duckstore.Store, name: str, expected: list[Any]
) -> None:
    """Cancelled in its middle, again and again: the change is done, then CancelledError is raised.

    The journal's lock is held from outside, so that the change stands in its middle for sure.
    """

    async def cancel_in_the_middle() -> None:
        session = store.session("s")
        await session.add_items(THREE)
        with store._access.engine._journal_lock:
            change = asyncio.ensure_future(OPERATIONS[name](session))
            for _ in range(5):
                await asyncio.sleep(0)
                change.cancel()
            await asyncio.sleep(0)
            assert not change.done()
        with pytest.raises(asyncio.CancelledError):
            await change
        assert await session.get_items() == expected

    run(cancel_in_the_middle())
    assert store.check() == []


def test_a_cancelled_change_that_fails_raises_the_cancellation(store: duckstore.Store) -> None:
    """Whoever cancels gets CancelledError, not the error of what was cancelled."""

    def fail(step: str) -> None:
        if step == "journal.write":
            raise OSError("no room")

    async def cancel_what_fails() -> None:
        with store._access.engine._journal_lock:
            change = asyncio.ensure_future(store.session("s").add_items([user("one")]))
            await asyncio.sleep(0)
            change.cancel()
        with pytest.raises(asyncio.CancelledError):
            await change

    faults.observe(fail)
    try:
        run(cancel_what_fails())
    finally:
        faults.observe(None)
    assert store.sessions() == []


# Loops, threads, objects -----------------------------------------------------------------------


def test_one_object_serves_many_loops_in_turn(store: duckstore.Store) -> None:
    """A session outlives the event loop that it was first used in."""
    session = store.session("s")
    for number in range(5):
        asyncio.run(session.add_items([user(str(number))]))
    assert asyncio.run(session.get_items()) == [user(str(number)) for number in range(5)]


def test_threads_with_loops_of_their_own_share_one_object(store: duckstore.Store) -> None:
    """Batches of many threads are stored once each, whole, and in each thread's order."""
    session, start = store.session("s"), threading.Barrier(4)

    def write(thread: int) -> None:
        start.wait()
        for number in range(10):
            asyncio.run(session.add_items([call("f", f"{thread}.{number}"), user("end")]))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    items: Any = run(session.get_items())
    calls = [item["call_id"] for item in items[::2]]
    assert [item for item in items[1::2] if item == user("end")] == [user("end")] * 40
    for thread in range(4):
        own = [call_id for call_id in calls if call_id.startswith(f"{thread}.")]
        assert own == [f"{thread}.{number}" for number in range(10)]
    assert store.check() == []


def test_tasks_of_one_loop_write_at_once(store: duckstore.Store) -> None:
    """Concurrent batches to one session and to others are all stored, each whole."""

    async def write_all() -> None:
        await asyncio.gather(
            *(
                store.session(f"s{number % 3}").add_items([call("f", "c"), output("c")])
                for number in range(30)
            )
        )

    run(write_all())
    for number in range(3):
        assert run(store.session(f"s{number}").get_items()) == [call("f", "c"), output("c")] * 10
    assert store.check() == []


def test_several_objects_of_one_session_see_each_other(path: Path) -> None:
    """Objects on one file agree at once on adds, pops and clears, whichever path they came by."""
    first = duckstore.DuckDBSession("s", path)
    second = duckstore.DuckDBSession("s", path.parent / "." / path.name)
    run(first.add_items(THREE))
    assert run(second.pop_item()) == THREE[-1]
    assert run(first.get_items()) == THREE[:2]
    first.close()
    run(second.add_items([user("four")]))
    with duckstore.open(path) as store:
        assert run(store.session("s").get_items()) == [*THREE[:2], user("four")]
        run(store.session("s").clear_session())
    assert run(second.get_items()) == []
    second.close()


# Closing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("in_file", [True, False], ids=["file", "memory"])
def test_a_closed_session_refuses_everything(path: Path, in_file: bool, name: str) -> None:
    """Every method raises RuntimeError after close(), adding nothing included."""
    session = duckstore.DuckDBSession("s", path if in_file else ":memory:")
    session.close()
    with pytest.raises(RuntimeError, match="DuckDBSession is closed"):
        run(OPERATIONS[name](session))  # type: ignore[arg-type]


def test_close_works_plainly_and_awaited_and_twice(path: Path) -> None:
    """`s.close()` and `await s.close()` do the same, in any number and order."""

    async def close_three_times() -> None:
        session = duckstore.DuckDBSession("s", path)
        await session.add_items(THREE)
        session.close()
        await session.close()
        await session.close()

    run(close_three_times())
    session = duckstore.DuckDBSession("s", path)
    assert run(session.get_items()) == THREE
    session.close()
    session.close()


def test_closing_one_session_leaves_the_others(path: Path) -> None:
    """Objects on one file are closed one by one; the second close of one is not another's."""
    first, second = duckstore.DuckDBSession("s", path), duckstore.DuckDBSession("s", path)
    first.close()
    first.close()
    run(second.add_items(THREE))
    assert run(second.get_items()) == THREE
    second.close()


def test_a_session_closes_with_its_block(path: Path) -> None:
    """`async with` closes the session at its end."""

    async def use() -> duckstore.DuckDBSession:
        async with duckstore.DuckDBSession("s", path) as session:
            await session.add_items(THREE)
        return session

    session = run(use())
    with pytest.raises(ClosedError):
        run(session.get_items())


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_session_of_a_closed_store_is_refused(path: Path, name: str) -> None:
    """What a store gave out ends with it, with an error that says so."""
    store = duckstore.open(path)
    session = store.session("s")
    store.close()
    with pytest.raises(ClosedError, match="closed"):
        run(OPERATIONS[name](session))  # type: ignore[arg-type]
