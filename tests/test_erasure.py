"""What is deleted leaves the bytes of the store's files as well."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import duckstore
from duckstore import faults, upkeep
from tests.owner import Keeper
from tests.processes import ROOT
from tests.samples import assistant, call, output, user

MARK = "zebrafinch-4711"
KEPT = "keepthis-0815"


def fill(store: duckstore.Store) -> None:
    """Marked words in every place that a store has for words, in one session; and another one."""
    talk = store.conversation("marked")
    talk.add([user("hello")])
    talk.add([assistant("hi")])
    talk.add([user(f"{MARK} in a question")])
    talk.add([call(f"tool {MARK}", "c", f'{{"key": "{MARK}"}}'), output("c", f"out {MARK}")])
    talk.edit(2, f"{MARK} in an edited question")
    talk.add([assistant(f"{MARK} in an answer")])
    talk.add([user(f"{MARK} {'x' * 100_000}")])
    other = store.conversation("kept")
    for number in range(50):
        other.add([user(f"{KEPT} {number} {'y' * 2000}"), assistant("yes")])
    store.sql("select count(*) from items")
    folding = store._access.engine._folding
    folding.run(folding.upkeep.merge)


def bytes_beside(path: Path) -> dict[str, bytes]:
    """The bytes of the store's files."""
    return {
        found.name: found.read_bytes()
        for found in path.parent.iterdir()
        if found.name.startswith(path.name) and not found.name.endswith(".socket")
    }


def names_with(path: Path, words: str) -> list[str]:
    return [name for name, data in bytes_beside(path).items() if words.encode() in data]


def clear(store: duckstore.Store) -> None:
    store.conversation("marked").clear()


def purge(store: duckstore.Store) -> None:
    assert store.purge("marked")


def purge_item(store: duckstore.Store) -> None:
    """The first question and, on any branch, what follows the greeting."""
    talk = store.conversation("marked")
    while found := talk.find(MARK, superseded=True):
        talk.purge(found[0])
    assert talk.items() == [user("hello"), assistant("hi")]


DELETIONS = {"clear": clear, "purge": purge, "purge an item": purge_item}


@pytest.mark.parametrize("how", DELETIONS)
def test_what_is_deleted_is_in_no_byte_after_closing(how: str, path: Path) -> None:
    with duckstore.open(path) as store:
        fill(store)
    assert names_with(path, MARK) == [path.name]
    with duckstore.open(path) as store:
        DELETIONS[how](store)
        assert store.check() == []
    assert names_with(path, MARK) == []
    assert names_with(path, KEPT) == [path.name]
    with duckstore.open(path) as store:
        assert len(store.conversation("kept").items()) == 100
        assert store.check() == []


@pytest.mark.parametrize("how", DELETIONS)
def test_it_is_in_no_byte_after_a_compaction_while_the_store_is_open(how: str, path: Path) -> None:
    with duckstore.open(path) as store:
        fill(store)
        DELETIONS[how](store)
        store.compact()
        # DuckDB's own files are not to be read while they are open: a copy in another process.
        code = (
            "import sys; from pathlib import Path; from tests.test_erasure import names_with;"
            "print(names_with(Path(sys.argv[1]), sys.argv[2]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(path), MARK],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=True,
        )
        assert done.stdout.strip() == "[]"
        assert len(store.conversation("kept").items()) == 100


def test_popped_items_that_are_not_kept_leave_the_bytes_too(path: Path) -> None:
    with duckstore.open(path, keep_popped=False) as store:
        talk = store.conversation("s")
        talk.add([user("hello"), user(MARK)])
        store.sql("select count(*) from items")
        assert talk.pop() == user(MARK)
    assert names_with(path, MARK) == []


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_many_deletions_share_one_rewriting_in_the_background(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "ERASE_SECONDS", 1.0)
    rewritten: list[str] = []
    with duckstore.open(path) as store:
        for number in range(20):
            store.conversation(f"s{number}").add([user(MARK)])
        faults.observe(lambda step: rewritten.append(step) if step == "rewrite.replaced" else None)
        try:
            for number in range(20):
                store.purge(f"s{number}")
            wait_until(lambda: bool(rewritten))
            wait_until(lambda: not store._access.engine._file.must_erase)
            store.conversation("later").add([user(KEPT)])
            assert store.check() == []
        finally:
            faults.observe(None)
    assert len(rewritten) == 1
    assert names_with(path, MARK) == []


@pytest.mark.slow
def test_a_question_at_work_puts_the_rewriting_off(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stopped by nothing, and the words leave the bytes after it."""
    monkeypatch.setattr(upkeep, "ERASE_SECONDS", 0.2)
    monkeypatch.setattr(upkeep, "ERASE_BYTES", 1 << 30)
    monkeypatch.setattr(upkeep, "QUERY_SECONDS", 0.1)
    with duckstore.open(path) as store:
        store.conversation("s").add([user(MARK)])
        engine = store._access.engine
        with engine.reading() as cursor:
            assert cursor.execute("select count(*) from items").fetchall() == [(1,)]
            store.purge("s")
            tried: list[str] = []
            faults.observe(lambda step: tried.append(step) if step == "rewrite.copied" else None)
            try:
                wait_until(lambda: len(tried) >= 2)
            finally:
                faults.observe(None)
            assert cursor.execute("select count(*) from items").fetchall() == [(1,)]
        wait_until(lambda: not engine._file.must_erase)
    assert names_with(path, MARK) == []


def test_a_large_file_is_written_anew_after_the_next_opening(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing does not take the time for it; nothing that was deleted is forgotten by that."""
    with duckstore.open(path) as store:
        fill(store)
    monkeypatch.setattr(upkeep, "ERASE_AT_END_BYTES", 1000)
    with duckstore.open(path) as store:
        purge(store)
    assert names_with(path, MARK) == [path.name]
    monkeypatch.setattr(upkeep, "ERASE_SECONDS", 0.1)
    monkeypatch.setattr(upkeep, "ERASE_BYTES", 1 << 30)
    with duckstore.open(path) as store:
        wait_until(lambda: not store._access.engine._file.must_erase)
    assert names_with(path, MARK) == []


def test_a_process_that_is_killed_after_a_deletion_leaves_it_to_the_next(path: Path) -> None:
    with duckstore.open(path) as store:
        fill(store)
    code = """
import os, signal, sys, duckstore
store = duckstore.open(sys.argv[1])
store.purge("marked")
if sys.argv[2] == "folded":
    store.sql("select count(*) from items")
os.kill(os.getpid(), signal.SIGKILL)
"""
    for state in ("journal", "folded"):
        done = subprocess.run([sys.executable, "-c", code, str(path), state], cwd=ROOT, check=False)
        assert done.returncode == -signal.SIGKILL
    assert names_with(path, MARK) != []
    with duckstore.open(path) as store:
        assert store.check() == []
    assert names_with(path, MARK) == []


def test_a_copy_that_a_killed_process_left_is_removed(path: Path) -> None:
    """It holds what may be deleted later."""
    with duckstore.open(path) as store:
        fill(store)
    code = """
import os, signal, sys, duckstore
from duckstore import faults
store = duckstore.open(sys.argv[1])
faults.observe(
    lambda step: step == "rewrite.copied" and os.kill(os.getpid(), signal.SIGKILL)
)
store.compact()
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(names_with(path, MARK)) == 2
    near = path.with_name(path.name + ".mine.part")
    near.write_text("a file of somebody else")
    with duckstore.open(path) as store:
        purge(store)
    assert names_with(path, MARK) == []
    assert near.exists()


@pytest.mark.slow
def test_what_cannot_be_written_anew_is_tried_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "ERASE_SECONDS", 0.1)
    monkeypatch.setattr(upkeep, "ERASE_BYTES", 1 << 30)
    failures = 2

    def fail(step: str) -> None:
        nonlocal failures
        if step == "rewrite.copied" and failures:
            failures -= 1
            raise OSError(28, os.strerror(28))

    with duckstore.open(path) as store:
        fill(store)
        faults.observe(fail)
        try:
            purge(store)
            wait_until(lambda: not failures)
            wait_until(lambda: not store._access.engine._file.must_erase)
        finally:
            faults.observe(None)
        assert store.check() == []
    assert names_with(path, MARK) == []


def test_what_a_client_was_told_of_a_popped_item_goes_with_it(path: Path, keeper: Keeper) -> None:
    """The owner remembers the answer to a client's latest request, to repeat it."""
    keeper.open(path)
    with duckstore.open(path) as store:
        talk = store.conversation("s")
        talk.add([user("hello"), user(MARK)])
        assert talk.pop() == user(MARK)
        found = talk.find(MARK, superseded=True)[0]
        talk.purge(found)
        assert talk.items() == [user("hello")]
    keeper.close(path)
    assert names_with(path, MARK) == []
