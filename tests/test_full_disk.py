"""Writes that fail are told, store nothing, and cost nothing of what was acknowledged before."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.faulty import BOOK, batches, build, environment, outcome, told
from tests.processes import python

FULL = (
    BOOK
    + """
size = 20_000
if sys.argv[3] == "merged":
    duckstore.upkeep.CHECKPOINT_BYTES = 300_000
store = duckstore.open(path)
conversation = store.conversation("s")
for number in range(5):
    write(number)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), resource.RLIM_INFINITY))
for number in range(5, 80):
    write(number)
assert failed
if end == "room":
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    write(80)
    assert acknowledged[-1] == 80 and store.check() == []
finish()
"""
)


@pytest.mark.parametrize("end", ["room", "close", "kill"])
@pytest.mark.parametrize("kind", ["merged", "unmerged"])
@pytest.mark.parametrize("limit", [900_000, 1_300_000])
def test_files_that_cannot_grow_lose_nothing_acknowledged(
    limit: int, kind: str, end: str, path: Path
) -> None:
    """A failed write is told, stores nothing, and the store goes on as soon as there is room.

    With the lower limit the journal cannot be written up to the end that it has, with the other
    one it cannot be extended. The database cannot take what is folded, and where its log is
    merged early, cannot be merged either.
    """
    acknowledged, failed = outcome(FULL, path, end, kind, str(limit))
    assert acknowledged[:5] == [0, 1, 2, 3, 4]
    assert sorted(acknowledged + failed) == list(range(80 + (end == "room")))
    assert batches(path) == acknowledged


def test_a_store_that_cannot_be_opened_for_want_of_room_says_so(path: Path) -> None:
    """What a killed process left waits for the opening that has room."""
    write = f"import os, duckstore; store = duckstore.open({str(path)!r});"
    python(write + "store.conversation('s').add(['0']); os._exit(0)")
    code = f"""
import resource, signal, duckstore
from duckstore import errors
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    duckstore.open({str(path)!r})
except errors.StoreWriteError as error:
    print("safe in the journal" in str(error), {str(path)!r} in str(error))
"""
    assert python(code) == "True True"
    assert batches(path) == [0]


def test_a_store_goes_on_after_duckdb_gave_up_its_connection(path: Path) -> None:
    """An error that is fatal to DuckDB costs a reopening, which the store does itself."""
    code = f"""
import resource, signal
import duckdb, duckstore
from duckstore import errors
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = duckstore.open({str(path)!r})
store.conversation("a").add(["one"])
store.conversation("b").add(["x" * 400_000])
engine = store._access.engine
engine.fold()
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
try:
    engine._folding.run(engine._folding.upkeep.merge)
except errors.StoreWriteError as error:
    print(type(error.__cause__).__name__)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
engine.forget("a")
print(store.conversation("a").items(), len(store.conversation("b").items()))
store.conversation("a").add(["two"])
print(store.conversation("a").items(), store.check())
"""
    expected = ["FatalException", "['one'] 1", "['one', 'two'] []"]
    assert python(code).splitlines() == expected


def test_a_store_goes_on_after_duckdb_could_not_be_opened_again(path: Path) -> None:
    """While it is not, changes are acknowledged and questions are told; then it tries again."""
    code = f"""
import resource, signal
import duckstore
from duckstore import errors
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = duckstore.open({str(path)!r})
store.conversation("a").add(["one"])
store.conversation("b").add(["x" * 400_000])
engine = store._access.engine
engine.fold()
free, (soft, hard) = resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_NOFILE)

def ask():
    try:
        print(store.sql("select count(*) as n from items")["n"][0])
    except errors.StoreError as error:
        print(type(error).__name__)

ask()
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, free))
resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
try:
    engine._folding.run(engine._folding.upkeep.merge)
except errors.StoreWriteError as error:
    print("safe in the journal" in str(error))
resource.setrlimit(resource.RLIMIT_FSIZE, (free, free))
store.conversation("a").add(["two"])
ask()
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
ask()
print(store.conversation("a").items(), store.check())
"""
    assert python(code).splitlines() == ["2", "True", "StoreWriteError", "3", "['one', 'two'] []"]


# Failing calls of the system -------------------------------------------------------------------

FAULTY = (
    BOOK
    + """
fault, told, has_room = sys.argv[3], sys.argv[4], sys.argv[5] == "room"
size = 300
store = duckstore.open(path)
conversation = store.conversation("s")
folding = store._access.engine._folding

def failure(work):
    try:
        work()
    except errors.StoreWriteError as error:
        assert path in str(error) and "safe in the journal" in str(error), error
        return "told"
    return "done"

def count():
    assert store.sql("select count(*) as n from items")["n"][0] == len(acknowledged)

for number in range(5):
    write(number)
count()
for number in range(5, 8):
    write(number)
with open(os.environ["FAULT_TRIGGER"], "w") as trigger:
    trigger.write(fault)
for number in range(8, 14):
    write(number)
    if number in (10, 12) and told:
        outcomes = failure(count), failure(lambda: folding.run(folding.upkeep.merge))
        assert outcomes == tuple(told.split(",")), outcomes
if has_room:
    os.unlink(os.environ["FAULT_TRIGGER"])
    for number in range(14, 17):
        write(number)
    count()
    write(17)
    assert acknowledged[-4:] == [14, 15, 16, 17] and store.check() == []
finish()
"""
)

EIO, ENOSPC = errno.EIO, errno.ENOSPC


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("library"))


def play(
    path: Path, library: Path, end: str, fault: str, answers: str, room: str
) -> list[list[int]]:
    trigger = path.with_name("trigger")
    book = outcome(FAULTY, path, end, fault, answers, room, env=environment(library, trigger))
    trigger.unlink(missing_ok=True)
    return book


@pytest.mark.parametrize(("end", "room"), [("close", "room"), ("kill", "room"), ("kill", "none")])
@pytest.mark.parametrize(
    ("code", "endings", "calls"),
    [
        (EIO, ".journal", "sync"),
        (EIO, ".journal,.new", "sync"),
        (ENOSPC, ".journal", "write"),
        (ENOSPC, ".journal,.new,.wal,.duckdb", "write"),
    ],
    ids=["sync", "sync and renewal", "write", "everything"],
)
def test_a_journal_that_cannot_be_written_fails_its_batches(
    code: int, endings: str, calls: str, end: str, room: str, path: Path, library: Path
) -> None:
    """Each is told that nothing of it was stored, and so it is when the store is opened again.

    Only where the process was killed before there was room may the last of those whose sync
    failed be there: whether its bytes came to the disk is not known.
    """
    acknowledged, failed = play(path, library, end, told(code, endings, calls), "", room)
    assert failed == list(range(8, 14))
    assert acknowledged[:8] == list(range(8))
    found = batches(path)
    if calls == "sync" and room == "none":
        assert found[:8] == acknowledged
        assert found[8:] in ([], *([number] for number in failed))
    else:
        assert found == acknowledged


@pytest.mark.parametrize(("end", "room"), [("close", "room"), ("kill", "none"), ("close", "none")])
@pytest.mark.parametrize(
    ("code", "endings", "calls", "answers"),
    [
        (EIO, ".wal", "sync", "told,told"),
        (ENOSPC, ".wal", "write", "told,told"),
        (EIO, ".duckdb", "sync", "done,told"),
        (ENOSPC, ".duckdb", "write", "done,told"),
        (EIO, ".duckdb,.wal", "write,sync", "told,told"),
    ],
    ids=["log sync", "log write", "file sync", "file write", "both"],
)
def test_a_database_that_cannot_be_written_holds_up_no_batch(
    code: int,
    endings: str,
    calls: str,
    answers: str,
    end: str,
    room: str,
    path: Path,
    library: Path,
) -> None:
    """The journal takes them; who asks in SQL is told that they cannot be folded, and are safe.

    A merge of the log that fails concerns nobody who only asks.
    """
    acknowledged, failed = play(path, library, end, told(code, endings, calls), answers, room)
    assert failed == []
    assert acknowledged == list(range(18 if room == "room" else 14))
    assert batches(path) == acknowledged
    assert os.path.exists(path)
