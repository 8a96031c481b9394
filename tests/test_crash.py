"""A writer killed at a random moment has lost nothing that it acknowledged."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

import duckstore
from tests.processes import ROOT

SESSIONS = ("a", "b", "c")

# Writes numbered batches and pops for ever. Says of each change that it begins, and then that it
# was acknowledged: what was begun last may be there or not, everything else must be.
WRITER = """
import asyncio, random, sys
import duckstore
from tests.test_crash import SESSIONS, batch

async def main(path, seed):
    dice = random.Random(seed)
    store = duckstore.open(path)
    sessions = {name: store.session(name) for name in SESSIONS}
    number = 0
    while True:
        name = dice.choice(SESSIONS)
        if dice.random() < 0.15:
            print("begin pop", name, 0, flush=True)
            await sessions[name].pop_item()
            print("done pop", name, 0, flush=True)
            continue
        number += 1
        print("begin add", name, seed * 1_000_000 + number, flush=True)
        await sessions[name].add_items(batch(seed * 1_000_000 + number))
        print("done add", name, seed * 1_000_000 + number, flush=True)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""

Mark = tuple[int, int]


def batch(number: int) -> list[dict[str, object]]:
    """The items of a batch, which tell its number and their place in it."""
    size = 1 + number % 5
    return [{"role": "user", "content": "x" * 200, "mark": [number, i]} for i in range(size)]


def apply(path: list[Mark], change: str, number: int) -> list[Mark]:
    """The conversation after one change."""
    if change == "pop":
        return path[:-1]
    return path + [(number, i) for i in range(1 + number % 5)]


def round_of_writing(
    store_path: Path, seed: int, expected: dict[str, list[Mark]]
) -> tuple[str, list[Mark]] | None:
    """Let a process write until it is killed, and follow what it acknowledged in `expected`.

    Returns the change that was begun and not acknowledged: its session, and the conversation that
    it would have led to.
    """
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(store_path), str(seed)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert writer.stdout is not None
    lines = [writer.stdout.readline()]
    time.sleep(random.Random(seed).uniform(0, 0.4))
    writer.send_signal(signal.SIGKILL)
    rest, _ = writer.communicate()
    assert writer.returncode == -signal.SIGKILL
    lines += rest.splitlines(keepends=True)
    unknown = None
    for line in lines:
        if not line.endswith("\n"):
            break  # the writer was killed while it printed
        state, change, name, number = line.split()
        unknown = (name, apply(expected[name], change, int(number)))
        if state == "done":
            expected[name] = unknown[1]
            unknown = None
    return unknown


def play(path: Path, rounds: int) -> None:
    """Kill a writer `rounds` times on one store and verify it after each."""
    expected: dict[str, list[Mark]] = defaultdict(list)
    changed = 0
    for seed in range(1, rounds + 1):
        before = dict(expected)
        unknown = round_of_writing(path, seed, expected)
        changed += before != expected
        with duckstore.open(path) as store:
            for name in SESSIONS:
                found = [tuple(item["mark"]) for item in store.conversation(name).items()]
                if unknown is not None and unknown[0] == name and found == unknown[1]:
                    expected[name] = found
                assert found == expected[name], f"round {seed}, session {name}"
            stored = store.sql(
                "select count(*) as n, count(distinct item->>'$.mark') as marks from items"
            )
            assert stored["n"][0] == stored["marks"][0]
            assert store.check() == []
    assert changed > rounds // 2


def test_a_killed_writer_loses_nothing_acknowledged(path: Path) -> None:
    """Six kills of one growing store: each acknowledged batch is there once, whole, in order."""
    play(path, 6)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_writer_killed_a_hundred_times_loses_nothing_acknowledged(path: Path) -> None:
    play(path, 100)
