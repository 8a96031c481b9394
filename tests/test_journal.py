"""What is written into a journal is there, and what could not be written left nothing."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duckstore import faults
from duckstore.journal import HEAD_LENGTH, STEP, Journal
from duckstore.recovery import read_journal, salvage
from tests.journals import STORE, Frames, few, frames_of_records, numbered, read, written
from tests.processes import ROOT


@pytest.fixture
def name(tmp_path: Path) -> str:
    return str(tmp_path / "agents.duckdb.journal")


@pytest.fixture
def failing() -> Iterator[Callable[..., None]]:
    """Makes the given steps of writing fail from now on; none of them when called without."""

    def fail_at(*steps: str, code: int = errno.ENOSPC) -> None:
        def observer(step: str) -> None:
            if step in steps:
                raise OSError(code, os.strerror(code))

        faults.observe(observer)

    yield fail_at
    faults.observe(None)


# Reading back ----------------------------------------------------------------------------------


@few
@given(frames=frames_of_records, first=st.integers(1, 2**60))
def test_what_was_written_is_read_back(frames: Frames, first: int, tmp_path: Path) -> None:
    """Any ASCII records come back with their numbers, whatever frames they came in."""
    name = str(tmp_path / "journal")
    written(name, frames, first)
    assert read(name) == numbered(frames, first)


def test_no_journal_holds_nothing(name: str) -> None:
    assert read_journal(name).records == []
    assert read_journal(name).store_id is None
    assert salvage(name) is None


def test_a_new_journal_holds_what_it_was_made_with(name: str) -> None:
    Journal.create(name, STORE, 7, [b"seven", b"eight"]).close()
    assert read(name) == [(7, b"seven"), (8, b"eight")]
    assert stat.S_IMODE(os.stat(name).st_mode) == 0o600


# Growing and cutting ---------------------------------------------------------------------------


def test_a_journal_grows_in_steps(name: str) -> None:
    """Records that cross a step, fill it to the last byte, or are longer than it, are kept."""
    journal = Journal.create(name, STORE, 1, [])
    around = len(b"%010x\n\n" % 0) + HEAD_LENGTH
    for number, end in enumerate([STEP - 2 * HEAD_LENGTH, STEP - 1, STEP, STEP + 1], start=1):
        journal.cut(1, [])
        frames = [[b"a" * (end - journal.end - around)], [b"next"]]
        journal.append(1, frames[0], sync=True)
        assert journal.end == end
        assert os.stat(name).st_size >= end + HEAD_LENGTH, "its end could not be told"
        journal.append(2, frames[1], sync=True)
        assert read(name) == numbered(frames), number
    frames = [[b"b" * 3_000_000], [b"next", b"c" * 3_000_000]]
    journal.cut(1, frames[0])
    journal.append(2, frames[1], sync=True)
    journal.reserve()
    assert os.stat(name).st_size % STEP == 0
    assert os.stat(name).st_size - journal.end >= STEP // 2
    assert read(name) == numbered(frames)
    journal.close()


def test_a_cut_keeps_what_it_is_given(name: str) -> None:
    journal = Journal.create(name, STORE, 1, [])
    journal.append(1, [b"one", b"two"], sync=True)
    journal.append(3, [b"three"], sync=True)
    journal.cut(3, [b"three"])
    assert read(name) == [(3, b"three")]
    journal.append(4, [b"four"], sync=True)
    assert read(name) == [(3, b"three"), (4, b"four")]
    journal.cut(5, [])
    assert read(name) == []
    journal.append(5, [b"five"], sync=True)
    assert read(name) == [(5, b"five")]
    assert stat.S_IMODE(os.stat(name).st_mode) == 0o600
    assert os.listdir(os.path.dirname(name)) == [os.path.basename(name)]
    journal.close()


CUT = """
import os, signal, sys
from duckstore import faults
from duckstore.journal import Journal

journal = Journal.create(sys.argv[1], sys.argv[2], 1, [b"one", b"two", b"three"])
faults.observe(lambda step: step == sys.argv[3] and os.kill(os.getpid(), signal.SIGKILL))
journal.cut(3, [b"three"])
"""


@pytest.mark.parametrize("step", ["journal.cut", "journal.cut.done"])
def test_a_journal_is_cut_at_once(step: str, name: str) -> None:
    """Who is killed meanwhile leaves the old journal or the new one."""
    done = subprocess.run([sys.executable, "-c", CUT, name, STORE, step], cwd=ROOT, check=False)
    assert done.returncode == -9
    old = [(1, b"one"), (2, b"two"), (3, b"three")]
    assert read(name) == (old if step == "journal.cut" else old[2:])


# Failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["journal.extend", "journal.write", "journal.sync"])
def test_a_failed_append_leaves_the_journal_as_it_was(
    step: str, name: str, failing: Callable[..., None]
) -> None:
    journal = Journal.create(name, STORE, 1, [b"one"])
    failing(step)
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            journal.append(2, [b"x" * 2 * STEP], sync=True)
        assert read(name) == [(1, b"one")]
        assert journal.is_sound == (step != "journal.sync")
    failing()
    journal.append(2, [b"two"], sync=True)
    assert read(name) == [(1, b"one"), (2, b"two")]
    journal.cut(2, [b"two"])
    assert journal.is_sound
    journal.close()


def test_a_write_that_stopped_halfway_is_taken_back(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when that is not possible at once: the next append does it before it writes."""
    journal = Journal.create(name, STORE, 1, [b"one"])
    real = os.pwrite

    def half(file: int, data: bytes, position: int) -> int:
        if position > journal.end:
            raise OSError(errno.EIO, "gone")
        if not bytes(data).strip(b"\0"):
            raise OSError(errno.EIO, "gone")
        return real(file, data[: len(data) // 2], position)

    monkeypatch.setattr(os, "pwrite", half)
    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            journal.append(2, [b"x" * 3000], sync=True)
        assert read(name) == [(1, b"one")]
    monkeypatch.setattr(os, "pwrite", real)
    journal.append(2, [b"two"], sync=True)
    journal.append(3, [b"three"], sync=True)
    assert read(name) == [(1, b"one"), (2, b"two"), (3, b"three")]
    journal.close()


FULL = """
import resource, signal, sys
from duckstore.journal import STEP, Journal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal.create(sys.argv[1], sys.argv[2], 1, [b"one"])
resource.setrlimit(resource.RLIMIT_FSIZE, (STEP + 5000, resource.RLIM_INFINITY))
for record in (b"x" * STEP, b"x" * 3 * STEP):
    try:
        journal.append(2, [record], sync=True)
    except OSError as error:
        print(error.strerror)
journal.append(2, [b"two"], sync=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.append(3, [b"three" * STEP], sync=True)
"""


def test_a_journal_that_cannot_grow_takes_what_fits(name: str) -> None:
    """The failure leaves nothing, and what is short enough is written at once."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, name, STORE],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == ["File too large"] * 2
    assert read(name) == [(1, b"one"), (2, b"two"), (3, b"three" * STEP)]


@pytest.mark.parametrize("cause", ["journal.cut", "write"])
def test_a_failed_cut_leaves_the_journal_as_it_was(
    cause: str, name: str, failing: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no file beside it: there may be no room."""
    journal = Journal.create(name, STORE, 1, [b"one"])
    failing(cause)
    if cause == "write":
        monkeypatch.setattr("duckstore.journal.write_at", lambda *_: os.close(-1))
    with pytest.raises(OSError, match=r"No space|Bad file"):
        journal.cut(2, [])
    monkeypatch.undo()
    failing()
    assert os.listdir(os.path.dirname(name)) == [os.path.basename(name)]
    journal.append(2, [b"two"], sync=True)
    assert read(name) == [(1, b"one"), (2, b"two")]
    journal.close()


def test_a_cut_whose_name_is_not_durable_loses_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old file has no name any more: nothing may be written to that one."""
    journal = Journal.create(name, STORE, 1, [b"one"])

    def fail(path: str) -> None:
        raise OSError(errno.EIO, "gone")

    monkeypatch.setattr("duckstore.journal.sync_folder", fail)
    with pytest.raises(OSError, match="gone"):
        journal.cut(2, [])
    assert not journal.is_sound, "its name must be made durable before anything is acknowledged"
    journal.append(2, [b"two"], sync=True)
    assert read(name) == [(2, b"two")]
    monkeypatch.undo()
    journal.cut(2, [b"two"])
    assert journal.is_sound
    journal.close()
