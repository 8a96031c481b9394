"""Many threads and event loops on one store: order, whole batches, nothing lost."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckstore
from tests.samples import assistant, call, output, run, user

SESSIONS = 3
WRITERS = 8
BATCHES = 12


def batch(writer: int, number: int) -> list[dict[str, Any]]:
    """One batch, each item of which tells whose it is."""
    mark = {"writer": writer, "number": number}
    items = [user("q"), call("f", "c"), output("c"), assistant("a")][: 1 + number % 4]
    return [{**item, **mark} for item in items]


async def write(writer: int, path: Path) -> None:
    """Write all batches of one writer, in turn to each session, each from an object of its own."""
    async with duckstore.open(path) as store:
        for number in range(BATCHES):
            session = store.session(f"session {(writer + number) % SESSIONS}")
            await session.add_items(batch(writer, number))  # type: ignore[arg-type]


def verify(store: duckstore.Store) -> None:
    """Every batch of every writer is there once, whole, in its writer's order."""
    seen: list[tuple[int, int]] = []
    for index in range(SESSIONS):
        items = store.conversation(f"session {index}").items()
        last: dict[int, int] = {}
        while items:
            writer, number = items[0]["writer"], items[0]["number"]
            expected = batch(writer, number)
            assert items[: len(expected)] == expected
            assert number > last.get(writer, -1)
            last[writer] = number
            seen.append((writer, number))
            del items[: len(expected)]
    assert sorted(seen) == [(w, n) for w in range(WRITERS) for n in range(BATCHES)]
    assert store.check() == []


def test_threads_with_loops_of_their_own_keep_batches_whole(path: Path) -> None:
    """Readers ask analytical questions meanwhile and always see whole batches."""
    done = threading.Event()
    with duckstore.open(path) as store, ThreadPoolExecutor(WRITERS + 2) as pool:

        def read() -> int:
            rounds = 0
            while not done.is_set() or not rounds:
                torn = store.sql(
                    "select batch_id from items group by batch_id"
                    " having count(*) <> 1 + any_value((item->>'$.number')::int) % 4"
                )
                assert torn.height == 0
                calls = store.sql("select count(*) as n, count(distinct id) as d from tool_calls")
                assert calls["n"][0] == calls["d"][0]
                rounds += 1
            return rounds

        readers = [pool.submit(read) for _ in range(2)]
        writers = [pool.submit(run, write(writer, path)) for writer in range(WRITERS)]
        for writing in writers:
            writing.result()
        done.set()
        assert all(reading.result() > 0 for reading in readers)
        verify(store)
    with duckstore.open(path) as store:
        verify(store)


def test_tasks_of_one_loop_keep_batches_whole(path: Path) -> None:
    async def work() -> None:
        await asyncio.gather(*(write(writer, path) for writer in range(WRITERS)))

    with duckstore.open(path) as store:
        run(work())
        verify(store)


def test_one_session_object_serves_several_loops_at_once(path: Path) -> None:
    """A session belongs to no event loop."""
    session = duckstore.DuckDBSession("s", path)

    def append(number: int) -> None:
        run(session.add_items([user(str(number))]))  # type: ignore[list-item]

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(append, i) for i in range(20)]:
            done.result()
    found: list[Any] = run(session.get_items())
    session.close()
    assert sorted(int(item["content"]) for item in found) == list(range(20))


def test_check_finds_nothing_while_others_write(path: Path) -> None:
    """The rules hold at every commit: a check beside writers finds nothing either."""
    with duckstore.open(path) as store, ThreadPoolExecutor(2) as pool:
        writing = [pool.submit(run, write(writer, path)) for writer in range(2)]
        findings = store.check()
        while not all(work.done() for work in writing):
            findings += store.check()
        assert findings == []


def test_pops_of_many_threads_take_each_item_once(path: Path) -> None:
    with duckstore.open(path) as store, ThreadPoolExecutor(6) as pool:
        store.conversation("s").add([user(str(i)) for i in range(30)])
        popped = list(pool.map(lambda _: store.conversation("s").pop(), range(40)))
        texts = [item["content"] for item in popped if item is not None]
        assert sorted(texts, key=int) == [str(i) for i in range(30)]
        assert popped.count(None) == 10
        assert store.check() == []
