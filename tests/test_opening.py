"""Files of a store that do not fit together are refused; those that do are put together."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import duckstore
from duckstore.journal import journal_path
from duckstore.recovery import salvage
from tests.killed import (
    ACKNOWLEDGED,
    FOLDED,
    change,
    copy,
    killed_store,
    log_of,
    open_state,
    refused,
    state_after,
    state_of,
)
from tests.processes import ROOT


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("killed") / "agents.duckdb"
    killed_store(path, "whole")
    return path


@pytest.fixture
def path(killed: Path, tmp_path: Path) -> Path:
    """A copy of the killed store."""
    return copy(killed, tmp_path)


def test_a_log_that_is_gone_costs_nothing(path: Path) -> None:
    log_of(path).unlink()
    assert open_state(path) == ACKNOWLEDGED


def test_a_damaged_log_is_kept(path: Path) -> None:
    data = bytearray(log_of(path).read_bytes())
    data[len(data) // 2] ^= 0xFF
    log_of(path).write_bytes(data)
    assert open_state(path) == ACKNOWLEDGED
    assert path.with_name(path.name + ".wal.damaged").read_bytes() == data


def test_a_log_that_the_journal_does_not_cover_is_not_put_aside(path: Path) -> None:
    """Without the journal the log is all that there is: the damage is told, and nothing changed."""
    os.unlink(journal_path(str(path)))
    data = bytearray(log_of(path).read_bytes())
    data[len(data) // 2] ^= 0xFF
    log_of(path).write_bytes(data)
    assert "cannot be read by DuckDB" in (refused(path) or "")


# Files that do not belong together -------------------------------------------------------------


def test_a_journal_of_another_store_is_refused(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "agents.duckdb"
    other.parent.mkdir()
    killed_store(other, "whole")
    shutil.copy2(journal_path(str(other)), journal_path(str(path)))
    assert "belongs to another database" in (refused(path) or "")
    os.unlink(journal_path(str(path)))
    assert open_state(path) == state_after(FOLDED + 1)


@pytest.mark.parametrize("is_empty", [False, True])
def test_a_missing_database_beside_its_journal_is_told(is_empty: bool, path: Path) -> None:
    """Nothing new is begun in its place, also where an empty file stands there."""
    moved = path.rename(path.with_name("moved"))
    if is_empty:
        path.touch()
    assert "is missing, and its journal" in (refused(path) or "")
    moved.replace(path)
    assert open_state(path) == ACKNOWLEDGED


def test_an_older_copy_of_the_database_is_refused(tmp_path: Path) -> None:
    """Its journal begins later than the copy ends: what is between would be missing unseen."""
    path = tmp_path / "agents.duckdb"
    with duckstore.open(path) as store:
        change(store, 0)
    older = path.read_bytes()
    with duckstore.open(path) as store:
        change(store, 1)
    newer = path.read_bytes()
    write = "import os, sys, duckstore; from tests.killed import change\n"
    write += "change(duckstore.open(sys.argv[1]), 2); os._exit(0)"
    subprocess.run([sys.executable, "-c", write, str(path)], cwd=ROOT, check=True)
    for ending in (".owner", ".socket"):
        path.with_name(path.name + ending).unlink()
    path.write_bytes(older)
    assert "the file is older than its journal" in (refused(path) or "")
    path.write_bytes(newer)
    assert open_state(path) == state_after(3)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_journal_that_may_not_be_read_is_named(path: Path) -> None:
    os.chmod(journal_path(str(path)), 0)
    assert "cannot be read" in (refused(path) or "")


def test_a_folder_in_the_place_of_the_journal_is_named(path: Path) -> None:
    journal = journal_path(str(path))
    os.unlink(journal)
    os.mkdir(journal)
    assert f"the journal {journal} cannot be read" in (refused(path) or "")


def test_a_recovered_store_can_be_killed_again(path: Path) -> None:
    """After `salvage` the database may be ahead of its journal: what comes next has no gap."""
    journal = Path(journal_path(str(path)))
    data = bytearray(journal.read_bytes())
    data[1500] ^= 1
    journal.write_bytes(data)
    assert "damaged at byte" in (refused(path) or "")
    assert salvage(str(journal)) is not None
    kill = "import os, sys, duckstore; store = duckstore.open(sys.argv[1]);"
    kill += "store.conversation('a').add(['new']); os._exit(0)"
    a, b = state_after(FOLDED + 1)
    for times in (1, 2):
        subprocess.run([sys.executable, "-c", kill, str(path)], cwd=ROOT, check=True)
        with duckstore.open(path) as store:
            assert state_of(store) == [a + ["new"] * times, b]
            assert store.check() == []
