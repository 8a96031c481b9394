"""A writer killed at any step of writing, folding, merging or closing has lost nothing."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import duckstore
from duckstore import faults
from tests.processes import ROOT

SESSIONS = ("a", "b", "cleared", "tree")
CHANGES = 40

Change = tuple[str, str, Any]
"""What is done, to which session, and with which batch, branch, position or message."""
Mark = tuple[int, int]
State = dict[str, list[Mark]]

# Does the changes of a plan one after another, says of each that it is done, and closes the store.
# At the nth time that a step is reached the process is killed by itself, whichever thread it is in.
WRITER = """
import os, signal, sys
import duckstore, duckstore.upkeep
from duckstore import faults
from tests.test_crash_steps import CHANGES, do, plan

path, seed, step, times = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
duckstore.upkeep.CHECKPOINT_BYTES = 300_000

def observer(reached):
    global times
    times -= reached == step
    if not times:
        os.kill(os.getpid(), signal.SIGKILL)

faults.observe(observer)
store = duckstore.open(path)
folding = store._access.engine._folding
for number, change in enumerate(plan(seed)):
    if number % 6 == 5:
        folding.run(folding.upkeep.merge)
    if number % 10 == 9 and step.startswith("rewrite"):
        store.compact()
    do(store, number, change)
    print("done", number, flush=True)
store.close()
"""

# Opens a store, has it fold and merge what the journal has, and is killed at a step of that.
OPENER = """
import os, signal, sys
import duckstore
from duckstore import faults

path, step = sys.argv[1:]
faults.observe(lambda reached: reached == step and os.kill(os.getpid(), signal.SIGKILL))
store = duckstore.open(path)
store._access.engine._folding.run(store._access.engine._folding.upkeep.merge)
store.close()
"""


def plan(seed: int) -> Iterator[Change]:
    """The changes that a writer makes, in order."""
    dice = random.Random(seed)
    branches, length = ["main"], 0
    yield "add", "tree", 1
    for number in range(1, CHANGES):
        kind = dice.random()
        if number % 9 == 4:
            yield "add", "b", 1_100_000  # more than the journal grows by
        elif kind < 0.2:
            yield "pop", dice.choice("ab"), None
        elif kind < 0.3 and length:
            branches.append(f"branch {number}")
            yield "fork", "tree", branches[-1]
        elif kind < 0.4:
            yield "switch", "tree", dice.choice(branches)
        elif kind < 0.45:
            yield "clear", "cleared", None
        elif kind < 0.55:
            yield "edit", "tree", dice.randrange(100)
        else:
            session = dice.choice(SESSIONS)
            length += session == "tree"
            yield "add", session, 10


def batch(number: int, size: int) -> list[dict[str, object]]:
    return [
        {"role": "user", "content": "x" * size, "mark": [number, index]}
        for index in range(1 + number % 3)
    ]


def do(store: duckstore.Store, number: int, change: Change) -> None:
    """Make one change of a store."""
    kind, session, value = change
    conversation = store.conversation(session)
    if kind == "add":
        conversation.add(batch(number, value // (1 + number % 3)))
    elif kind == "pop":
        conversation.pop()
    elif kind == "fork":
        conversation.branch(value, at={"position": 1})
    elif kind == "switch":
        conversation.switch(value)
    elif kind == "edit":
        ids = conversation._access.tail(session, None).item_ids
        if ids:
            (new,) = batch(0, 10)
            conversation.edit({"item_id": ids[value % len(ids)]}, {**new, "mark": [number, 0]})
    else:
        conversation.clear()


def state_after(seed: int, count: int) -> State:
    """The conversations after so many changes of a plan, worked out without a store."""
    state: State = {name: [] for name in SESSIONS}
    branches: dict[str, list[Mark]] = {"main": state["tree"]}
    for number, (kind, session, value) in enumerate(plan(seed)):
        if number == count:
            break
        path = state[session]
        if kind == "add":
            path += [(number, index) for index in range(1 + number % 3)]
        elif kind == "fork":
            state[session] = branches[value] = path[:1]
        elif kind == "switch":
            state[session] = branches[value]
        elif kind == "edit":
            if path:
                edited = [*path[: value % len(path)], (number, 0)]
                name = next(name for name, line in branches.items() if line is path)
                state[session] = branches[name] = edited
        else:
            del path[-1 if kind == "pop" else 0 :]
    return state


def state_of(store: duckstore.Store) -> State:
    return {
        name: [tuple(item["mark"]) for item in store.conversation(name).items()]
        for name in SESSIONS
    }


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=60,
    )


def write_until_killed(path: Path, seed: int, step: str, times: int) -> int:
    """Let a process write until it is killed. Returns how many changes were acknowledged."""
    done = python(WRITER, path, seed, step, times)
    assert done.returncode == -signal.SIGKILL, f"{step} was not reached\n{done.stderr}"
    return done.stdout.count("\n")


def verify(path: Path, seed: int, count: int) -> None:
    """A killed writer's store has what was acknowledged, once, and the rest can be added to it."""
    with duckstore.open(path) as store:
        found = state_of(store)
        if count < CHANGES and found != state_after(seed, count):
            count += 1  # the change that was being made
        assert found == state_after(seed, count)
        marks = store.sql("select count(*) as n, count(distinct item->>'$.mark') as m from items")
        assert marks["n"][0] == marks["m"][0]
        assert store.check() == []
        for number, change in enumerate(plan(seed)):
            if number >= count:
                do(store, number, change)
        assert state_of(store) == state_after(seed, CHANGES)
    with duckstore.open(path) as store:
        assert state_of(store) == state_after(seed, CHANGES)
        assert store.check() == []


# Closing and what comes with it happens once.
ONCE = ("close.begin", "close.closed", "journal.remove")
# The first, second and fourth time of the others are with the slow tests.
CASES = [(step, 1 if step in ONCE else 3) for step in faults.STEPS]


@pytest.mark.parametrize(("step", "times"), CASES)
def test_a_writer_killed_at_a_step_loses_nothing_acknowledged(
    step: str, times: int, path: Path
) -> None:
    """Each change is there once and whole; the one being made may be there or not."""
    seed = times
    count = write_until_killed(path, seed, step, times)
    verify(path, seed, count)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("step", [step for step in faults.STEPS if step not in ONCE])
def test_a_writer_killed_at_any_time_of_a_step_loses_nothing_acknowledged(
    step: str, tmp_path: Path
) -> None:
    for seed in range(20):
        path = tmp_path / f"{seed}.duckdb"
        count = write_until_killed(path, seed, step, 1 + seed % 4)
        verify(path, seed, count)


@pytest.mark.slow
@pytest.mark.parametrize(
    "step",
    [
        "journal.cut",
        "journal.cut.done",
        "fold.commit",
        "fold.committed",
        "checkpoint.done",
        "close.closed",
    ],
)
def test_who_is_killed_while_it_recovers_loses_nothing_either(step: str, path: Path) -> None:
    """However often: each opening begins where the one before was stopped."""
    count = write_until_killed(path, 3, "journal.synced", 30)
    done = python(OPENER, path, step)
    assert done.returncode == -signal.SIGKILL, done.stderr
    done = python(OPENER, path, step)
    assert done.returncode in (-signal.SIGKILL, 0), done.stderr  # it may have no such step left
    verify(path, 3, count)


REWRITE = """
import os, signal, sys, threading, time
import duckstore
from tests.test_crash_steps import batch

path, work, share = sys.argv[1], sys.argv[2], float(sys.argv[3])
store = duckstore.open(path)
folding = store._access.engine._folding

def go():
    store.compact() if work == "compact" else folding.run(folding.upkeep.merge)

def fill(first):
    for number in range(first, first + 60):
        store.conversation("a").add(batch(number, 30_000))
    store._access.engine.fold()

def kill():
    time.sleep(share * seconds)
    os.kill(os.getpid(), signal.SIGKILL)

fill(0)
began = time.monotonic()
go()
seconds = time.monotonic() - began
fill(60)
print("filled", flush=True)
threading.Thread(target=kill, daemon=True).start()
go()
time.sleep(60)
"""


@pytest.mark.parametrize(
    "share",
    [0.5, 0.95, *(pytest.param(share, marks=pytest.mark.slow) for share in (0.2, 0.8))],
)
@pytest.mark.parametrize("work", ["merge", "compact"])
def test_a_rewriting_of_the_file_that_is_killed_loses_nothing(
    work: str, share: float, path: Path
) -> None:
    """The file itself is being written, by DuckDB, or put in the place of the one before.

    The process is killed after a share of the time that it needed for half as much.
    """
    done = python(REWRITE, path, work, share)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout.startswith("filled")
    marks = [(number, index) for number in range(120) for index in range(1 + number % 3)]
    for _ in range(2):
        with duckstore.open(path) as store:
            assert [tuple(item["mark"]) for item in store.conversation("a").items()] == marks
            assert store.check() == []
