"""Changes are acknowledged first and folded later, and nobody can tell by what he sees."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import duckstore
from duckstore import errors, faults, folding, journal
from duckstore.command import Command
from duckstore.engine import Engine
from duckstore.requests import Requests
from tests.processes import python
from tests.samples import assistant, call, output, run, user


@contextmanager
def failing(*steps: str) -> Iterator[list[str]]:
    """Have steps of writing fail as on a full disk; the list shows those that were reached."""
    reached: list[str] = []

    def observe(step: str) -> None:
        reached.append(step)
        if step in steps:
            raise OSError(28, "No space left on device")

    faults.observe(observe)
    try:
        yield reached
    finally:
        faults.observe(None)


def engine_of(store: duckstore.Store) -> Engine:
    return store._access.engine


# What is seen --------------------------------------------------------------------------------


def test_sql_sees_what_was_acknowledged_before_it(store: duckstore.Store) -> None:
    """A query waits for no more than what came earlier, and for all of that."""
    conversation = store.conversation("s")
    for number in range(1, 40):
        conversation.add([user(str(number))])
        assert store.sql("select count(*) as n from items").item() == number


def test_a_session_reads_its_own_changes_before_they_are_folded(
    store: duckstore.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However changes of every kind follow each other, memory is what the file will say."""
    monkeypatch.setattr(folding, "WAIT_SECONDS", 60)
    conversation = store.conversation("s")
    conversation.add([user("one"), call("f", "c")])
    assert conversation.items() == [user("one"), call("f", "c")]
    conversation.add([output("c"), assistant("two")])
    assert conversation.items(1) == [assistant("two")]
    assert conversation.pop() == assistant("two")
    assert conversation.branch("other", at={"position": 1}) > 0
    conversation.add([assistant("three")])
    assert conversation.items() == [user("one"), assistant("three")]
    assert engine_of(store)._folding.backlog > 0, "nothing of it needed the file"
    conversation.switch("main")
    assert conversation.items() == [user("one"), call("f", "c"), output("c")]
    assert store.check() == []


def test_an_append_to_a_session_that_is_not_in_memory_is_read_with_it(
    store: duckstore.Store,
) -> None:
    """Read from the file or not, and with whatever limit, the new items stand at the end."""
    for size in (0, 1, 5):
        conversation = store.conversation(f"s{size}")
        old = [user(str(number)) for number in range(size)]
        conversation.add(old)
        for limit in (None, 0, 1, 2, 3, 7):
            engine_of(store).forget(conversation.session_id)
            new = [user(f"new {limit}"), user(f"newer {limit}")]
            conversation.add(new)
            old += new
            expected = old if limit is None else old[max(len(old) - limit, 0) :]
            assert conversation.items(limit) == expected
            assert conversation.items() == old


def test_what_is_returned_can_be_changed_by_the_caller(store: duckstore.Store) -> None:
    async def work() -> None:
        session = store.session("s")
        await session.add_items([user("one")])  # type: ignore[list-item]
        for _ in range(2):
            items: list[Any] = await session.get_items()
            assert items == [user("one")]
            items[0]["content"] = "changed"
            items.clear()

    run(work())


def test_integers_of_any_size_come_back_warm_and_cold(store: duckstore.Store) -> None:
    """A faster decoder is used only where it gives the same values."""
    values = [2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**400, 0.1, 1e308, -0.0]
    conversation = store.conversation("s")
    conversation.add([{"role": "user", "content": "plain"}])
    assert conversation.items() == [{"role": "user", "content": "plain"}]
    conversation.add([{"value": value} for value in values])
    for _ in range(2):
        found = [item["value"] for item in conversation.items()[1:]]
        assert [(type(v), repr(v)) for v in found] == [(type(v), repr(v)) for v in values]
        engine_of(store).forget("s")


# What fails ----------------------------------------------------------------------------------


def test_a_batch_that_cannot_be_written_fails_alone(store: duckstore.Store) -> None:
    """Memory and files are as before, and the next batch is taken."""
    conversation = store.conversation("s")
    conversation.add([user("one")])
    with failing("journal.write"), pytest.raises(errors.StoreWriteError, match="No space left"):
        conversation.add([user("two")])
    assert conversation.items() == [user("one")]
    conversation.add([user("three")])
    assert conversation.items() == [user("one"), user("three")]
    assert store.sql("select text from items")["text"].to_list() == ["one", "three"]
    assert store.check() == []


@pytest.mark.parametrize("step", ["fold.begin", "fold.append", "fold.commit"])
def test_a_fold_that_fails_is_tried_again(step: str, path: Path) -> None:
    """Appends go on, a query says what is the matter, and later everything is there once."""
    with duckstore.open(path) as store:
        conversation = store.conversation("s")
        with failing(step):
            conversation.add([user("one")])
            conversation.add([user("two")])
            with pytest.raises(errors.StoreWriteError, match="safe in the journal"):
                store.sql("select 1")
            assert conversation.items() == [user("one"), user("two")]
            conversation.add([user("three")])
        assert store.sql("select text from items")["text"].to_list() == ["one", "two", "three"]
        assert store.check() == []


def test_what_could_not_be_folded_is_there_after_closing(path: Path) -> None:
    """Closing gives up on a database that cannot be written; the journal brings it in later."""
    with failing("fold.commit"):
        store = duckstore.open(path)
        store.conversation("s").add([user("one")])
        store.close()
    assert path.with_name(path.name + ".journal").exists()
    with duckstore.open(path) as store:
        assert store.conversation("s").items() == [user("one")]
        assert store.check() == []
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_journal_whose_sync_failed_is_made_anew(path: Path) -> None:
    """What the system said it could not sync is never relied on again."""
    with duckstore.open(path) as store:
        conversation = store.conversation("s")
        conversation.add([user("one")])
        with failing("journal.sync"), pytest.raises(errors.StoreWriteError):
            conversation.add([user("two")])
        with failing() as reached:
            conversation.add([user("three")])
        assert reached.index("journal.cut.done") < reached.index("journal.write")
        assert conversation.items() == [user("one"), user("three")]
        assert store.check() == []


# What is kept --------------------------------------------------------------------------------


def test_a_replay_gives_the_rows_that_were_seen_before(path: Path) -> None:
    """Ids that a caller was told before a crash mean the same after it."""
    code = f"""
import os, duckstore
from duckstore import folding
folding.WAIT_SECONDS = 60
store = duckstore.open({str(path)!r})
one = store.conversation("one")
one.add([{{"role": "user", "content": "a"}}, {{"role": "assistant", "content": "b"}}])
store.conversation("none").items()
branch = one.branch("other", at={{"position": 1}})
store.conversation("two").add(["x"])
with store._access.engine.session("one") as state:
    print(branch, [entry.item_id for entry in state.path], flush=True)
os._exit(0)
"""
    branch, ids = python(code).split(" ", 1)
    with duckstore.open(path) as store:
        with engine_of(store).session("one") as state:
            assert str([entry.item_id for entry in state.path]) == ids
            assert state.current.branch_id == int(branch)
        named = store.sql("select branch_id from branches where name = 'other'")
        assert named.item() == int(branch)
        assert store.check() == []


def test_a_repeated_request_is_done_once(path: Path) -> None:
    """Before and after it is folded, and by the next process: with the same answer each time."""

    def pop(number: int) -> Command:
        return Command("pop", "s", {"keep": False}, request=("client", number))

    with duckstore.open(path) as store:
        conversation = store.conversation("s")
        conversation.add([user("one"), user("two"), user("three")])
        engine = engine_of(store)
        answers = [engine.run(pop(1)) for _ in range(2)]
        store.sql("select 1")
        answers.append(engine.run(pop(1)))
        assert len(set(answers)) == 1
        assert "three" in answers[0]
        assert conversation.items() == [user("one"), user("two")]
    with duckstore.open(path) as store:
        assert engine_of(store).run(pop(1)) == answers[0]
        assert store.conversation("s").items() == [user("one"), user("two")]
        assert "two" in engine_of(store).run(pop(2))
        store.purge("s")
        assert store.sql("select count(*) as n from items").item() == 0
        left = Requests(engine_of(store)._file)
        assert left._latest == {}, "what was popped is gone with its session"


def test_a_repeated_request_that_was_refused_is_refused_alike(path: Path) -> None:
    def fork() -> Command:
        values = {"name": "main", "at": None}
        return Command("fork", "s", values, id_count=3, request=("client", 1))

    messages = []
    with duckstore.open(path) as store:
        store.conversation("s").add([user("one")])
        for _ in range(2):
            with pytest.raises(errors.ArgumentError) as caught:
                engine_of(store).run(fork())
            messages.append(str(caught.value))
    with duckstore.open(path) as store:
        with pytest.raises(errors.ArgumentError) as caught:
            engine_of(store).run(fork())
        assert [*messages, str(caught.value)] == [messages[0]] * 3


def test_relaxed_durability_waits_for_no_disk(path: Path) -> None:
    """It survives the end of the process, and full durability beside it is not weakened."""
    code = f"""
import os, duckstore
from duckstore import faults
steps = []
faults.observe(steps.append)
store = duckstore.open({str(path)!r}, durability="relaxed")
store.conversation("s").add([{{"role": "user", "content": "one"}}])
print("journal.sync" in steps, "journal.write" in steps, flush=True)
os._exit(0)
"""
    assert python(code) == "False True"
    with duckstore.open(path) as store, failing() as reached:
        assert store.conversation("s").items() == [user("one")]
        store.conversation("s").add([user("two")])
        assert "journal.sync" in reached
    with pytest.raises(errors.ArgumentError, match="choose 'full'"):
        duckstore.open(path, durability="none")  # type: ignore[arg-type]


def test_waiting_batches_are_synced_together(store: duckstore.Store) -> None:
    """Many sessions of one loop need few syncs, and each batch is whole."""

    async def work() -> None:
        sessions = [store.session(f"s{number}") for number in range(30)]
        for step in range(5):
            adding = [s.add_items([user(f"{step}"), user(f"{step}b")]) for s in sessions]  # type: ignore[list-item]
            await asyncio.gather(*adding)

    with failing() as reached:
        run(work())
    assert 5 <= reached.count("journal.sync") <= 75
    lengths = store.sql("select count(*) as n from items group by session_id")["n"].to_list()
    assert lengths == [10] * 30
    assert store.check() == []


# Memory and threads --------------------------------------------------------------------------


def test_memory_is_bounded_in_bytes(path: Path) -> None:
    """Of many sessions only the latest stay, and all of them can still be read."""
    with duckstore.open(path, cache_bytes=200_000) as store:
        for number in range(60):
            store.conversation(f"s{number}").add([user("x" * 5000), user("y" * 5000)])
            store.sql("select 1")
        for number in range(60):
            items = store.conversation(f"s{number}").items()
            assert [len(item["content"]) for item in items] == [5000, 5000]
        memory = engine_of(store).sessions.memory
        assert sum(slot.size for slot in memory._slots.values()) <= 200_000
        assert 5 < len(memory._slots) < 25
        assert store.check() == []


def test_sessions_are_found_by_the_index_wherever_they_lie(path: Path) -> None:
    """Plain ones, those that went another way, unknown ones, and those that came after it."""
    names = [f"session {number}" for number in range(50)]
    with duckstore.open(path) as store:
        for name in names:
            store.conversation(name).add([user(name), assistant("a")])
        store.conversation(names[7]).pop()
        store.conversation(names[8]).branch("b", at={"position": 1})
        store.purge(names[9])
    with duckstore.open(path) as store:
        engine = engine_of(store)
        for name in names[:5]:
            assert len(store.conversation(name).items()) == 2
        engine._folding.run(engine.sessions.build_index)
        assert engine.sessions.index.is_built
        store.conversation("new").add([user("new")])
        store.conversation(names[20]).add([user("more")])
        store.purge(names[21])
        for name in [*names, "new", "unknown"]:
            engine.forget(name)
        lengths = {name: len(store.conversation(name).items()) for name in [*names, "new", "no"]}
        special = {7: 1, 8: 1, 9: 0, 20: 3, 21: 0}
        expected = {name: special.get(number, 2) for number, name in enumerate(names)}
        assert lengths == expected | {"new": 1, "no": 0}
        assert store.check() == []


def test_an_idle_store_has_no_threads_left(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They end when there was nothing to do for a while, and come back when there is."""
    monkeypatch.setattr("duckstore.committer.IDLE_SECONDS", 0.2)
    monkeypatch.setattr("duckstore.folding.IDLE_SECONDS", 0.2)

    def working() -> list[str]:
        names = [thread.name for thread in threading.enumerate()]
        return [name for name in names if name.startswith(("duckstore fold", "duckstore commit"))]

    with duckstore.open(path) as store:
        for number in range(3):
            store.conversation("s").add([user(str(number))])
            mine = [thread for thread in threading.enumerate() if str(path) in thread.name]
            for thread in mine:
                if thread.name in working():
                    thread.join(timeout=30)
            assert not [name for name in working() if str(path) in name]
        assert len(store.conversation("s").items()) == 3


def test_an_error_of_one_session_is_not_that_of_others(store: duckstore.Store) -> None:
    """Threads that add at once while some of their batches are no JSON lose nothing else."""

    def work(number: int) -> int:
        conversation = store.conversation(f"s{number % 4}")
        if number % 3 == 0:
            with pytest.raises(errors.ItemError):
                conversation.add([user("bad"), object()])
            return 0
        conversation.add([user(str(number))])
        return 1

    with ThreadPoolExecutor(8) as pool:
        stored = sum(pool.map(work, range(60)))
    assert store.sql("select count(*) as n from items").item() == stored == 40
    assert os.path.exists(store.path)


def test_a_journal_that_is_being_cut_is_not_taken_for_a_broken_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An append that comes while the folder is synced waits, and makes no journal anew."""
    with duckstore.open(path) as store:
        store.conversation("s").add([user("one")])
        engine = store._access.engine
        reached, go = threading.Event(), threading.Event()
        sync = journal.sync_folder

        def wait(place: str) -> None:
            reached.set()
            go.wait(10)
            sync(place)

        monkeypatch.setattr(journal, "sync_folder", wait)
        monkeypatch.setattr(engine, "_renew_journal", lambda: pytest.fail("it was made anew"))
        cutting = threading.Thread(target=engine._folding.run, args=(engine._folding.upkeep.merge,))
        cutting.start()
        assert reached.wait(10)
        adding = threading.Thread(target=store.conversation("s").add, args=([user("two")],))
        adding.start()
        adding.join(0.3)
        go.set()
        adding.join(10)
        cutting.join(10)
        assert store.conversation("s").items() == [user("one"), user("two")]
