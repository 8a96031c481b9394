"""A store whose writer was killed, with changes in each of its three files."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import duckstore
from duckstore import errors
from duckstore.journal import journal_path
from duckstore.recovery import read_journal
from tests.processes import ROOT
from tests.test_database import fingerprint

FOLDED, CHANGES = 14, 20
SESSIONS = ("a", "b")

# Ends without closing: the first changes are in the database file, the next ones in DuckDB's log,
# and the last ones in the journal alone.
WRITER = """
import os, signal, sys
import duckstore
from tests.killed import CHANGES, FOLDED, change

store = duckstore.open(sys.argv[1])
engine = store._access.engine
for number in range(CHANGES):
    change(store, number)
    if number == 5:
        is_cut = sys.argv[2] == "cut"
        engine._folding.run(engine._folding.upkeep.merge if is_cut else engine._file.checkpoint)
    if number == FOLDED:
        engine.fold()
print(engine._file.folded, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""

State = list[list[str]]


def change(store: duckstore.Store, number: int) -> None:
    """One change: a few items, or every fifth time one less."""
    conversation = store.conversation(SESSIONS[number % 2])
    if number % 5 == 4:
        conversation.pop()
    else:
        conversation.add([f"{number} {index} " + "x" * 300 for index in range(1 + number % 3)])


def state_after(count: int) -> State:
    """What the sessions hold after so many changes."""
    state: State = [[], []]
    for number in range(count):
        path = state[number % 2]
        if number % 5 == 4:
            del path[-1:]
        else:
            path += [f"{number} {index} " + "x" * 300 for index in range(1 + number % 3)]
    return state


def state_of(store: duckstore.Store) -> State:
    return [store.conversation(name).items() for name in SESSIONS]


ACKNOWLEDGED = state_after(CHANGES)
PREFIXES = [state_after(count) for count in range(CHANGES + 1)]


def killed_store(path: Path, kind: str) -> None:
    """A store whose writer was killed.

    Its journal begins with the first change, or was cut when the database file had six.
    """
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(path), kind],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout == f"{FOLDED + 1}\n"
    assert log_of(path).stat().st_size > 1000
    assert len(read_journal(journal_path(str(path))).records) == CHANGES - 6 * (kind == "cut")
    for ending in (".owner", ".socket"):
        path.with_name(path.name + ending).unlink()


def log_of(path: Path) -> Path:
    return path.with_name(path.name + ".wal")


def copy(killed: Path, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for file in killed.parent.iterdir():
        shutil.copy2(file, folder)
    return folder / killed.name


def open_state(path: Path) -> State:
    """What a store holds, and holds again after one more change and the next opening."""
    with duckstore.open(path) as store:
        found = state_of(store)
        assert store.check() == []
        store.conversation("later").add(["one"])
    with duckstore.open(path) as store:
        assert state_of(store) == found
        assert store.conversation("later").items() == ["one"]
        assert store.check() == []
    return found


def refused(path: Path) -> str | None:
    """What opening a store says against it, while it changes no file; None where it opens."""
    before = fingerprint(path.parent)
    try:
        duckstore.open(path).close()
    except errors.StoreError as error:
        message = str(error)
    else:
        return None
    assert str(path) in message
    assert fingerprint(path.parent) == before
    return message
