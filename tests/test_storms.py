"""Many processes that open one store at the same moment: all get it, and lose nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import duckstore
from tests.owner import environment
from tests.processes import ROOT

STORM = 20

# Twenty processes, forked from one that has imported everything and opened nothing: they wait until
# all are there, and then open at the same moment.
DROPS = """
import os, sys, traceback
import duckstore

path, count = sys.argv[1], int(sys.argv[2])
opening = duckstore.open
gate, key = os.pipe()
drops = []
for number in range(count):
    drop = os.fork()
    if drop:
        drops.append(drop)
        continue
    os.close(key)
    os.read(gate, 1)
    try:
        with opening(path) as store:
            store.conversation("shared").add([f"drop-{number} {index}" for index in range(3)])
            store.conversation(f"drop-{number}").add(["own"])
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
os.close(key)
print(sum(os.waitpid(drop, 0)[1] for drop in drops))
"""


@pytest.mark.parametrize("is_new", [True, False], ids=["new", "existing"])
def test_a_storm_of_processes_is_weathered(path: Path, is_new: bool) -> None:
    """Twenty processes open at once, write a batch each and exit: all batches are there, whole."""
    expected = [] if is_new else ["before"]
    if not is_new:
        with duckstore.open(path) as store:
            store.conversation("shared").add(expected)
    storm = subprocess.run(
        [sys.executable, "-c", DROPS, str(path), str(STORM)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(),
        timeout=120,
        check=False,
    )
    assert storm.stdout == "0\n", storm.stderr
    assert list(path.parent.iterdir()) == [path]
    with duckstore.open(path) as store:
        items = store.conversation("shared").items()
        batches = [items[at : at + 3] for at in range(len(expected), len(items), 3)]
        assert items[: len(expected)] == expected
        assert sorted(batches) == sorted(
            [f"drop-{number} {index}" for index in range(3)] for number in range(STORM)
        )
        assert len(store.sessions()) == STORM + 1
        assert store.check() == []
