"""A torn end of a journal is told from damage, and damage is never read over."""

from __future__ import annotations

import json
import os
import random
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duckstore import errors
from duckstore.command import Command
from duckstore.journal import HEAD_LENGTH, STEP, TITLE_LENGTH, Journal
from duckstore.recovery import SECTOR, read_journal, salvage
from tests.journals import STORE, Frames, few, frames_of_records, numbered, read, written


@pytest.fixture
def name(tmp_path: Path) -> str:
    return str(tmp_path / "agents.duckdb.journal")


def damage_at(name: str) -> int:
    """The byte that the error about a journal names."""
    with pytest.raises(errors.DamagedStoreError, match="damaged at byte") as caught:
        read_journal(name)
    assert name in str(caught.value)
    return int(str(caught.value).partition("at byte ")[2].partition(":")[0])


# What a crash leaves ---------------------------------------------------------------------------


@few
@given(frames=frames_of_records.filter(bool), data=st.data())
def test_a_torn_last_frame_is_dropped(frames: Frames, data: st.DataObject, tmp_path: Path) -> None:
    """Whichever of its sectors were not written, what stands before it is read and nothing else."""
    name = str(tmp_path / "journal")
    *_, start, end = written(name, frames)
    whole = bytearray(Path(name).read_bytes())
    sectors = range(start // SECTOR, -(-end // SECTOR))
    for sector in data.draw(st.sets(st.sampled_from(sectors), min_size=1), label="missing sectors"):
        first, last = max(start, sector * SECTOR), min(end, (sector + 1) * SECTOR)
        whole[first:last] = bytes(last - first)
    Path(name).write_bytes(whole)
    assert read(name) == numbered(frames[:-1])


def test_a_last_frame_that_was_begun_is_dropped(name: str) -> None:
    """However many of its first bytes were written."""
    frames = [[b"a" * 700], [b"x" * 600, b"y" * 20]]
    *_, start, end = written(name, frames)
    whole = Path(name).read_bytes()
    for cut in range(start, end):
        Path(name).write_bytes(whole[:cut].ljust(len(whole), b"\0"))
        assert read(name) == numbered(frames[:-1]), cut
        assert salvage(name) is None


def test_a_missing_frame_before_others_is_damage(name: str) -> None:
    """What was never written was never acknowledged, unless something that came later was."""
    frames = [[b"one" * 100], [b"two" * 300], [b"three" * 300], [b"four"]]
    starts = written(name, frames)
    whole = Path(name).read_bytes()
    for missing in range(len(frames) - 1):
        start, end = starts[missing], starts[missing + 1]
        for first, last in [(start, end), (start, end - end % SECTOR or end)]:
            damaged = bytearray(whole)
            damaged[first:last] = bytes(last - first)
            Path(name).write_bytes(damaged)
            assert damage_at(name) == start


@pytest.mark.parametrize("is_told", [False, True])
def test_relaxed_frames_may_be_lost_in_any_order(is_told: bool, name: str) -> None:
    """What nobody waited for is no damage when the machine ends; what somebody was told is."""
    journal = Journal.create(name, STORE, 1, [])
    journal.append(1, [b"told" * 200], sync=True)
    start = journal.end
    journal.append(2, [b"lost" * 300], sync=False)
    end = journal.end
    journal.append(3, [b"kept" * 300], sync=is_told)
    journal.close()
    whole = bytearray(Path(name).read_bytes())
    whole[start:end] = bytes(end - start)
    Path(name).write_bytes(whole)
    if is_told:
        assert damage_at(name) == start
    else:
        assert read(name) == [(1, b"told" * 200)]


def test_texts_that_look_like_frames_are_only_texts(name: str, tmp_path: Path) -> None:
    """An item may quote a journal: it neither ends one nor makes a torn frame look like damage."""
    written(str(tmp_path / "other"), [[b"one"], [b"two", b"three"]])
    quoted = (tmp_path / "other").read_bytes()[TITLE_LENGTH:].rstrip(b"\0").decode("ascii")
    heads = [line for line in quoted.splitlines() if line.startswith("DJF1")]
    raws = [json.dumps(text) for text in (quoted, *heads, *(h + "\n" for h in heads), "DJF1 ")]
    command = Command("add", quoted, {"name": quoted}, raws)
    frames = [[command.place(1, 1, 1)], [command.place(2, 9, 2)], [b"last"]]
    *_, before, last, end = written(name, frames)
    assert read(name) == numbered(frames)
    whole = bytearray(Path(name).read_bytes())
    whole[last:end] = bytes(end - last)
    whole[before : before + SECTOR] = bytes(SECTOR)  # the head; the quoting text is still there
    Path(name).write_bytes(whole)
    assert read(name) == numbered(frames[:1])


# Damage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", [b"third", b"t" * 1200], ids=["short", "long"])
def test_no_byte_of_a_frame_can_change_unseen(last: bytes, name: str) -> None:
    """A changed byte is damage at the frame that it stands in, and never other records.

    A byte that became NUL too, unless a sector ends with it: then it is what a crash leaves.
    """
    frames = [[b"first"], [b"second", b"x" * 500], [last]]
    starts = written(name, frames)
    whole = Path(name).read_bytes()[: starts[-1] + 2 * HEAD_LENGTH]
    dice = random.Random(1)
    for position in range(starts[0], starts[-1]):
        start = max(s for s in starts[:-1] if s <= position)
        for value in {0, whole[position] ^ 0x20, whole[position] ^ 1, *dice.randbytes(2)}:
            damaged = bytearray(whole)
            damaged[position] = value
            if damaged == whole or (not value and looks_torn(position, starts)):
                continue
            Path(name).write_bytes(damaged)
            assert damage_at(name) == start, (position, value)


def looks_torn(position: int, starts: list[int]) -> bool:
    """Whether one byte of the last frame is all of it in a sector, or its end."""
    start, end = starts[-2:]
    sector = position - position % SECTOR
    alone = max(sector, start) == position == min(sector + SECTOR, end) - 1
    return alone or position == end - 1


@pytest.mark.parametrize(
    ("at", "by"),
    [(5, b"0"), (5, b"+"), (5, b" "), (5, b"_"), (HEAD_LENGTH - 1, b" "), (4, b"\t")],
)
def test_a_head_that_reads_as_the_same_numbers_is_damage(at: int, by: bytes, name: str) -> None:
    """Python takes `+1` and `0_1` for numbers; a journal holds them in one form only."""
    start, _ = written(name, [[b"one"]])
    damaged = bytearray(Path(name).read_bytes())
    damaged[start + at : start + at + 1] = b"1" if by == b"0" else by
    Path(name).write_bytes(damaged)
    assert damage_at(name) == start


def test_the_crc_of_a_head_has_one_form(name: str) -> None:
    """Neither capital letters nor anything else that is the same number."""
    forms = 0
    for number in range(1, 40):  # until a sum begins with a zero
        start, end = written(name, [[b"one"]], number)
        whole = Path(name).read_bytes()[: end + HEAD_LENGTH]
        at = start + HEAD_LENGTH - 9
        crc = whole[at : at + 8]
        for other in {crc.upper(), *(sign + crc[1:] for sign in (b"+", b" ", b"_"))} - {crc}:
            Path(name).write_bytes(whole[:at] + other + whole[at + 8 :])
            assert damage_at(name) == start
            forms += other.startswith(b"+") and crc.startswith(b"0")
    assert forms, "no sum began with a zero"


def test_a_journal_that_was_cut_off_is_damage(name: str) -> None:
    """At whatever byte: behind the last frame a whole journal always has room for a head."""
    frames = [[b"first"], [b"second", b"x" * 500], [b"third"]]
    starts = written(name, frames)
    whole = Path(name).read_bytes()
    for length in range(starts[-1] + HEAD_LENGTH):
        Path(name).write_bytes(whole[:length])
        start = max((s for s in starts if s <= length), default=0)
        assert damage_at(name) == start, length
    Path(name).write_bytes(whole[: starts[-1] + HEAD_LENGTH])
    assert read(name) == numbered(frames)


def test_a_journal_whose_bytes_are_gone_is_damage(name: str) -> None:
    """A journal gets its name when its first line is on disk: without one, it was lost."""
    written(name, [[b"one"]])
    for lost in (bytes(STEP), b"", b"something else\n" * 100):
        Path(name).write_bytes(lost)
        assert damage_at(name) == 0


def test_a_record_that_is_missing_is_damage(name: str) -> None:
    journal = Journal.create(name, STORE, 1, [b"one"])
    end = journal.end
    journal.append(3, [b"three"], sync=False)
    journal.close()
    assert damage_at(name) == end


# Salvage ---------------------------------------------------------------------------------------


def test_what_stands_before_the_damage_is_kept(name: str) -> None:
    """The damaged file is copied first, each time to a name of its own, for its owner alone."""
    frames = [[b"one"], [b"two"], [b"three"], [b"four"]]
    starts = written(name, frames)
    for count, ending in [(2, ".damaged"), (1, ".damaged.1"), (0, ".damaged.2")]:
        damaged = bytearray(Path(name).read_bytes())
        damaged[starts[count] + HEAD_LENGTH] ^= 1
        Path(name).write_bytes(damaged)
        assert damage_at(name) == starts[count]
        assert salvage(name) == (name + ending, count)
        assert Path(name + ending).read_bytes() == damaged
        assert read(name) == numbered(frames[:count])
        for file in (name, name + ending):
            assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
        assert salvage(name) is None


@pytest.mark.parametrize("lost", [b"", bytes(STEP), b"text\n" * 1000])
def test_a_journal_of_which_nothing_is_left_is_moved_away(lost: bytes, name: str) -> None:
    Path(name).write_bytes(lost)
    assert salvage(name) == (name + ".damaged", 0)
    assert Path(name + ".damaged").read_bytes() == lost
    assert read_journal(name).records == []
    assert not os.path.exists(name)


def test_a_journal_that_was_cut_off_goes_on_after_salvage(name: str) -> None:
    frames = [[b"one"], [b"two" * 300]]
    starts = written(name, frames)
    os.truncate(name, starts[-1])
    assert salvage(name) == (name + ".damaged", 2)
    assert read(name) == numbered(frames)
