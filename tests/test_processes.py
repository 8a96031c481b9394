"""Many processes on one store, killed and ended at any moment: nothing is lost, nothing doubled."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import duckstore
from duckstore.ownership import find_post
from tests.owner import environment
from tests.processes import ROOT
from tests.writer import TASKS, path_after

WRITERS = 5
TASK_COUNT = 2_000
MOST_SECONDS = 3.0
"""What no change of a process that lives may take, whoever dies."""

# Asks until it is told to end; every answer must hold whole batches only.
READER = """
import os, sys, time
import duckstore

with duckstore.open(sys.argv[1]) as store:
    rounds = 0
    while not os.path.exists(sys.argv[2]):
        found = store.sql(
            "select count(*) as n, count(distinct item) as d,"
            " count(distinct batch_id) as b from items where session_id <> 'tasks'"
        )
        assert found["n"][0] == found["d"][0], "an item is there twice"
        torn = store.sql(
            "select batch_id from items where session_id <> 'tasks' group by batch_id"
            " having count(*) <> 1 + split_part(any_value(item->>'$'), ' ', -2)::int % 3"
        )
        assert torn.height == 0, torn
        rounds += 1
        print("done", rounds, flush=True)
        time.sleep(0.02)
    print("ended", rounds, 0, flush=True)
"""


@dataclass
class Worker:
    """A process that writes, or the one that reads, with what it says in a file."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    end: Path

    @classmethod
    def start(cls, path: Path, name: str) -> Worker:
        folder = path.parent.parent
        log, end = folder / f"{name}.log", folder / f"{name}.end"
        what = ["-c", READER] if name.startswith("reader") else ["-m", "tests.writer"]
        arguments = [str(path), str(end)] if what[0] == "-c" else [str(path), name, str(end)]
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, *what, *arguments], stdout=out, cwd=ROOT, env=environment()
            )
        return cls(name, process, log, end)

    @property
    def is_reader(self) -> bool:
        return self.name.startswith("reader")

    def lines(self) -> list[list[str]]:
        """What it said; a last line that it was killed in is left out."""
        *whole, _ = self.log.read_text("ascii").split("\n")
        return [line.split(maxsplit=2) for line in whole]

    def count(self) -> int:
        """How many changes were acknowledged."""
        return self.log.read_bytes().count(b"done")

    def finish(self) -> None:
        """Have it end by itself, and see that nothing went wrong in it."""
        self.end.touch()
        assert self.process.wait(timeout=60) == 0, self.name
        last = self.lines()[-1]
        assert last[0] == "ended"
        assert float(last[2]) < MOST_SECONDS, f"{self.name} had to wait {last[2]} s"


class Crowd:
    """The processes of one store."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.alive: list[Worker] = []
        self.gone: list[Worker] = []
        self.killed: list[Worker] = []

    def start(self, name: str) -> None:
        self.alive.append(Worker.start(self.path, name))

    def until(self, condition: Callable[[], Any]) -> Any:
        """Wait for something, and fail at once where a process fails."""
        deadline = time.monotonic() + 60
        while not (found := condition()):
            for worker in self.alive:
                assert worker.process.poll() is None, f"{worker.name} failed"
            assert time.monotonic() < deadline, "nothing goes on"
            time.sleep(0.005)
        return found

    def all_go_on(self, count: int) -> None:
        """Wait until each writer has done so many changes more, and the reader has an answer."""
        goals = [(w, w.count() + (1 if w.is_reader else count)) for w in self.alive]
        self.until(lambda: all(worker.count() >= goal for worker, goal in goals))

    def owner(self) -> Worker:
        """The process that has the file, once one has it."""

        def found() -> Worker | None:
            post = find_post(self.path.as_posix())
            own = [w for w in self.alive if post and w.process.pid == post.process_id]
            return own[0] if own else None

        worker: Worker = self.until(found)
        return worker

    def lose(self, number: signal.Signals) -> Worker:
        """End the owner by a signal."""
        worker = self.owner()
        worker.process.send_signal(number)
        assert worker.process.wait(timeout=60) == -number
        self.alive.remove(worker)
        self.killed.append(worker)
        return worker

    def dismiss(self, worker: Worker) -> None:
        """Have one end by itself."""
        worker.finish()
        self.alive.remove(worker)
        self.gone.append(worker)

    def verify(self) -> None:
        """All have ended: what they were told is what is there."""
        assert sorted(self.path.parent.iterdir()) == [self.path]
        tasks: list[str] = []
        unknown = 0
        with duckstore.open(self.path) as store:
            for worker in self.gone + self.killed:
                if worker.is_reader:
                    continue
                lines = worker.lines()
                done = [line for line in lines if line[0] == "done"]
                begun = sum(line[0] == "begin" for line in lines)
                tasks += [json.loads(line[2]) for line in done if line[1] == "task"]
                unknown += begun > len(done)
                items = store.conversation(worker.name).items()
                # What was begun and not acknowledged may be there or not; nothing else.
                possible = [path_after(worker.name, n) for n in {len(done), begun}]
                assert items in possible, worker.name
            left = store.conversation(TASKS).items()
            taken = [task for task in tasks if task is not None]
            assert len(set(taken)) == len(taken), "a task was handed out twice"
            assert not set(taken) & set(left), "a task that was handed out is still there"
            assert len(taken) + len(left) >= TASK_COUNT - unknown, "a task got lost"
            gaps = store.sql(
                "select session_id from items where is_current group by session_id"
                " having list(position order by position) <> range(1, count(*) + 1)"
            )
            assert gaps.height == 0
            doubles = store.sql("select count(*) - count(distinct item) as n from items")
            assert doubles["n"][0] == 0
            assert store.check() == []
        assert sorted(self.path.parent.iterdir()) == [self.path]


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Crowd]:
    """Five writers and a reader at work on one store, the first owner a writer."""
    path = tmp_path / "store" / "agents.duckdb"
    path.parent.mkdir()
    with duckstore.open(path) as store:
        store.conversation(TASKS).add([f"task {number}" for number in range(TASK_COUNT)])
    crowd = Crowd(path)
    try:
        crowd.start("first")
        crowd.owner()
        for number in range(1, WRITERS):
            crowd.start(f"writer-{number}")
        crowd.start("reader-0")
        crowd.all_go_on(1)
        yield crowd
    finally:
        for worker in crowd.alive:
            worker.process.kill()
            worker.process.wait()


def lose_owners(crowd: Crowd, times: int, number: signal.Signals) -> None:
    """End the owner so many times at random moments, with a new process in its place each time."""
    dice = random.Random(times)
    for loss in range(times):
        lost = crowd.lose(number)
        kind = "reader" if lost.is_reader else "writer"
        crowd.start(f"{kind}-after-{loss}")
        crowd.all_go_on(5)
        time.sleep(dice.uniform(0, 0.1))
    for worker in list(crowd.alive):
        crowd.dismiss(worker)
    crowd.verify()


def test_killed_owners_lose_nothing_and_hold_up_nobody(crowd: Crowd) -> None:
    """Eight owners are killed at work: what was acknowledged is there, once, in order.

    Pops and forks that had to be asked for again gave each writer the one right answer, and no
    change of a process that lived took more than a second.
    """
    lose_owners(crowd, 8, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_fifty_killed_owners_lose_nothing_and_hold_up_nobody(crowd: Crowd) -> None:
    lose_owners(crowd, 50, signal.SIGKILL)


def test_a_terminated_owner_is_as_good_as_a_killed_one(crowd: Crowd) -> None:
    """SIGTERM, which Python does not catch by itself, loses nothing either."""
    lose_owners(crowd, 2, signal.SIGTERM)


def test_owners_that_exit_hand_over_to_those_who_go_on(crowd: Crowd) -> None:
    """One after the other closes the store and ends while the others write, down to the last."""
    while crowd.alive:
        crowd.dismiss(crowd.owner())
        if crowd.alive:
            crowd.all_go_on(2)
    crowd.verify()
