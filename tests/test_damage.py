"""A store whose files were damaged gives what was acknowledged, or says which file is damaged."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from duckstore.journal import TITLE_LENGTH, journal_path
from duckstore.recovery import salvage
from tests.killed import (
    ACKNOWLEDGED,
    FOLDED,
    PREFIXES,
    copy,
    killed_store,
    log_of,
    open_state,
    refused,
)


@pytest.fixture(scope="module", params=["whole", "cut"])
def killed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(request.param) / "agents.duckdb"
    killed_store(path, request.param)
    return path


@pytest.fixture
def path(killed: Path, tmp_path: Path) -> Path:
    """A copy of the killed store."""
    return copy(killed, tmp_path)


def flip(data: bytearray, at: int, dice: random.Random) -> None:
    data[at] ^= 1 << dice.randrange(8)


def cut_off(data: bytearray, at: int, dice: random.Random) -> None:
    del data[at:]


def blank(data: bytearray, at: int, dice: random.Random) -> None:
    first = at - at % 512
    data[first : first + 512] = bytes(len(data[first : first + 512]))


def noise(data: bytearray, at: int, dice: random.Random) -> None:
    data[at : at + 64] = dice.randbytes(len(data[at : at + 64]))


DAMAGES = [flip, cut_off, blank, noise]


def damage(file: Path, end: int, how: Callable[..., None], dice: random.Random) -> int:
    """Damage a file somewhere before a byte. Returns where; it may be as it was afterwards."""
    data = bytearray(file.read_bytes())
    at = dice.randrange(end)
    how(data, at, dice)
    file.write_bytes(data)
    return at


# DuckDB's log ----------------------------------------------------------------------------------


def play_log(killed: Path, folder: Path, rounds: int, how: Callable[..., None]) -> None:
    """Damage the log at many places: the journal has all of it, so that nothing may be missing."""
    dice = random.Random(how.__name__)
    for number in range(rounds):
        path = copy(killed, folder / str(number))
        at = damage(log_of(path), log_of(path).stat().st_size, how, dice)
        assert open_state(path) == ACKNOWLEDGED, at
        shutil.rmtree(path.parent)


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_log_costs_nothing(
    how: Callable[..., None], killed: Path, tmp_path: Path
) -> None:
    """Whatever DuckDB says of its log, the journal has everything that stood there."""
    play_log(killed, tmp_path, 2, how)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("how", DAMAGES)
def test_a_log_damaged_anywhere_costs_nothing(
    how: Callable[..., None], killed: Path, tmp_path: Path
) -> None:
    play_log(killed, tmp_path, 100, how)


# The journal -----------------------------------------------------------------------------------


def play_journal(killed: Path, folder: Path, rounds: int, how: Callable[..., None]) -> None:
    """Damage the journal at many places: it is told or was dropped by a crash, and recovered."""
    dice = random.Random(how.__name__)
    whole = Path(journal_path(str(killed))).read_bytes().rstrip(b"\0")
    end, told = len(whole), 0
    starts = [frame.start() for frame in re.finditer(rb"^DJF1 ", whole, re.MULTILINE)]
    for number in range(rounds):
        path = copy(killed, folder / str(number))
        journal = journal_path(str(path))
        at = damage(Path(journal), end, how, dice)
        message = refused(path)
        if message is None:
            # A blank sector at the end is what a crash leaves before anybody is told: it cannot be
            # told from one that went blank later, with the frames that ended in it.
            lost = sum(after > at - at % 512 for after in [*starts[1:], end])
            possible = PREFIXES[-1 - lost :] if how is blank else PREFIXES[-1:]
            assert open_state(path) in possible, at
        elif at >= TITLE_LENGTH:
            told += 1
            assert journal in message
            assert salvage(journal) is not None
            # What was folded does not need the journal.
            assert open_state(path) in PREFIXES[FOLDED + 1 :], at
        shutil.rmtree(path.parent)
    assert told > rounds // 2 or how is blank


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_journal_is_told_and_recovered(
    how: Callable[..., None], killed: Path, tmp_path: Path
) -> None:
    """Opening names it and changes nothing; after `salvage` the store has what stood before."""
    play_journal(killed, tmp_path, 2, how)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("how", DAMAGES)
def test_a_journal_damaged_anywhere_is_told_and_recovered(
    how: Callable[..., None], killed: Path, tmp_path: Path
) -> None:
    play_journal(killed, tmp_path, 100, how)
