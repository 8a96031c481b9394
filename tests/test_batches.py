"""An answer frame by frame: the same rows, little memory, and nobody who waits for who reads it."""

from __future__ import annotations

import gc
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow
import pytest

import duckstore
from duckstore import Store, errors
from duckstore.schema import RELATIONS
from duckstore.streams import SMALL_BATCH_ROWS, Batches
from tests.owner import Keeper, environment, owned
from tests.processes import ROOT, python
from tests.rich import fill
from tests.samples import assistant, user
from tests.test_rows import VALUES
from tests.test_streams import OTHER_TYPES, owner

LARGE = "select range as n, repeat('x', 100) as text from range(1_000_000)"
"""More than lies between two processes, or is put aside at a time."""
ENDLESS = "select * from range(1e12::bigint) as numbers(n) where n % 7 <> 3"


def until(is_so: Callable[[], Any]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def readers(store: Store) -> int:
    """How many questions are worked on by the engine of this process."""
    return store._access.engine._file._readers


# The rows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["here", "there"])
@pytest.mark.parametrize("batch_rows", [1, 7, SMALL_BATCH_ROWS, 20_000, 100_000])
def test_every_frame_has_the_rows_that_were_asked_for(
    both: tuple[Store, Store], place: str, batch_rows: int
) -> None:
    """All have the same number, the last one the rest; together they are the answer."""
    store = both[1] if place == "here" else both[0]
    count = batch_rows * 2 + 3 if batch_rows < 1000 else 50_000
    sql = "select range as n, 'text ' || range as text from range($count) order by n"
    frames = list(store.batches(sql, batch_rows, count=count))
    assert [frame.height for frame in frames[:-1]] == [batch_rows] * ((count - 1) // batch_rows)
    assert 0 < frames[-1].height <= batch_rows
    assert pl.concat(frames).equals(store.sql(sql, count=count))


@pytest.mark.parametrize("expression", [text for text, _ in VALUES])
def test_every_type_is_as_in_one_frame(expression: str) -> None:
    with duckstore.open() as store:
        sql = f"select {expression} as x from range(3)"
        try:
            expected = store.sql(sql)
        except errors.SQLError as error:
            with pytest.raises(errors.SQLError, match=re.escape(str(error))):
                store.batches(sql)
            return
        found = pl.concat(store.batches(sql, 2))
        assert found.schema == expected.schema
        assert found.equals(expected)


@pytest.mark.parametrize(
    "blocked",
    [
        # Whole frames come the same way, and tests/test_streams.py has them.
        pytest.param((), id="arrow", marks=pytest.mark.slow),
        pytest.param(("pyarrow", "polars"), id="parquet"),
    ],
)
def test_batches_are_equal_on_both_sides(blocked: tuple[str, ...], path: Path) -> None:
    """Every relation and type, also where the owner has no pyarrow."""
    with duckstore.open(path) as store:
        fill(store)
        here = {relation: store.sql(f"from {relation} order by all") for relation in RELATIONS}
        for expression, _ in VALUES:
            if expression != "null" and not any(word in expression for word in OTHER_TYPES):
                try:
                    here[expression] = store.sql(f"select {expression} as x")
                except errors.SQLError:
                    continue  # no data frame holds it
    with owner(path, *blocked), duckstore.open(path) as store:
        assert not store._access.is_owner
        for name, expected in here.items():
            sql = f"from {name} order by all" if name in RELATIONS else f"select {name} as x"
            found = pl.concat(store.batches(sql, 3))
            assert found.schema == expected.schema, name
            assert found.equals(expected), name


def test_an_answer_without_rows_is_one_frame_with_its_columns(client: Store) -> None:
    (frame,) = client.batches("select item_id, text from items")
    assert frame.schema == {"item_id": pl.Int64, "text": pl.String}
    assert frame.is_empty()


def test_an_archive_gives_batches_too(filled: Path, tmp_path: Path) -> None:
    with duckstore.open(filled) as store:
        store.export_parquet(tmp_path / "folder")
        expected = store.sql("from items order by item_id")
    with duckstore.open_parquet(tmp_path / "folder") as archive:
        found = pl.concat(archive.batches("from items order by item_id", 5))
        assert found.equals(expected)
        assert archive.arrow("from items").read_all().num_rows == expected.height


def test_arrow_is_a_reader_of_batches(both: tuple[Store, Store]) -> None:
    """For whatever reads Arrow: with a schema, and as many rows in a batch as were asked for."""
    for store in both:
        sql = "select range as n, 'x' as text from range($count)"
        reader = store.arrow(sql, 20_000, count=50_000)
        assert isinstance(reader, pyarrow.RecordBatchReader)
        assert reader.schema.names == ["n", "text"]
        assert [batch.num_rows for batch in reader] == [20_000, 20_000, 10_000]
        assert pl.from_arrow(store.arrow(sql, count=3)).equals(store.sql(sql, count=3))  # type: ignore[union-attr]
        assert store.arrow("from items").read_all().num_rows == 0


# Wrong questions --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["batches", "arrow"])
def test_what_is_wrong_is_told_at_once(client: Store, method: str) -> None:
    """Not when somebody looks at the first row; and the store goes on."""
    ask = getattr(client, method)
    for sql in (
        "selec",
        "select * from nothing",
        "drop view items",
        "copy items to 'x'",
        "",
        "x;y",
    ):
        with pytest.raises(errors.SQLError):
            ask(sql)
    with pytest.raises(errors.SQLError, match="Conversion Error"):
        ask("select 'x'::int")
    for batch_rows in (0, -1, True, 1.5, "7", None):
        with pytest.raises(errors.ArgumentError, match="a whole number from 1 up"):
            ask("select 1", batch_rows)
    assert client.sql("select 1 as n").item() == 1


def test_an_error_in_the_middle_is_told_where_it_is(client: Store) -> None:
    """What came before is good; the error is the statement's own."""
    sql = "select if(range = 2_000_000, error('no further'), range) as n from range(3_000_000)"
    with pytest.raises(errors.SQLError, match="no further"):
        for _ in client.batches(sql):
            pass
    assert client.sql("select 1 as n").item() == 1


def test_a_closed_store_gives_none(client: Store) -> None:
    client.close()
    for ask in (client.batches, client.arrow):
        with pytest.raises(errors.ClosedError):
            ask("select 1")


@pytest.mark.parametrize("package", ["polars", "pyarrow"])
def test_a_missing_package_is_named(package: str) -> None:
    code = """
import duckstore
store = duckstore.open()
for ask in (store.batches, store.arrow):
    try:
        ask("select 1")
    except duckstore.errors.MissingPackageError as error:
        print(error)
"""
    told = python(code, blocked=(package,)).splitlines()
    assert len(told) == 2
    assert all("pip install 'duckstore[polars]'" in line for line in told)


# Nobody waits -----------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["here", "there"])
def test_a_slow_reader_holds_nobody_up(
    both: tuple[Store, Store], keeper: Keeper, path: Path, place: str
) -> None:
    """Others write, their log is merged and the file rewritten, and the rows are of one moment."""
    store = both[1] if place == "here" else both[0]
    talk = store.conversation("s")
    talk.add([user("x" * 1000) for _ in range(300)])
    sql = "select a.text from items a, range(300) order by item_id"
    with store.batches(sql, 1000) as batches:
        next(batches)
        if place == "here":
            until(lambda: readers(store) == 0)
        else:
            until(lambda: is_free(keeper, path))
        talk.add([assistant("later")])
        talk.pop()
        store.compact()
        assert store.sql("select count(*) from items").item() == 301
        assert sum(frame.height for frame in batches) == 300 * 300 - 1000
    assert store.check() == []


def is_free(keeper: Keeper, path: Path) -> bool:
    try:
        keeper.run(f"assert stores[{str(path)!r}]._access.engine._file._readers == 0")
    except AssertionError:
        return False
    return True


def _close(batches: Batches) -> None:
    batches.close()


def _drop(batches: Batches) -> None:
    """Nothing but the caller's name for it is left."""


def _fail(batches: Batches) -> None:
    with suppress(ZeroDivisionError), batches:
        next(batches)
        raise ZeroDivisionError


@pytest.mark.parametrize("end", [_close, _drop, _fail], ids=lambda end: end.__name__[1:])
@pytest.mark.parametrize("place", ["here", "there"])
def test_who_ends_early_ends_the_work(
    both: tuple[Store, Store],
    keeper: Keeper,
    path: Path,
    place: str,
    end: Callable[[Batches], None],
) -> None:
    """Closed, left by an error or forgotten: the question stops, in the owner as well."""
    store = both[1] if place == "here" else both[0]
    batches = store.batches(ENDLESS)
    assert next(batches).height == 50_000
    end(batches)
    if end is not _drop:
        with pytest.raises(StopIteration):
            next(batches)
    del batches
    gc.collect()
    if place == "here":
        until(lambda: readers(store) == 0)
    else:
        until(lambda: is_free(keeper, path))
    until(lambda: not any(t.name == "duckstore spool" for t in threading.enumerate()))
    store.conversation("s").add(["after"])
    assert store.sql("select count(*) from items").item() == 1


def test_an_arrow_reader_that_is_forgotten_ends_the_work(store: Store) -> None:
    for is_begun in (False, True):
        reader = store.arrow(ENDLESS)
        if is_begun:
            reader.read_next_batch()
        del reader
        gc.collect()
        until(lambda: readers(store) == 0)


# Reads until Ctrl-C, or waits for the first frame; then it asks something short.
READING = """
import sys
import duckstore
with duckstore.open(sys.argv[1]) as store:
    store.sql("select 1")
    print("asking", flush=True)
    try:
        for frame in store.batches(sys.argv[2]):
            print("reading", flush=True)
    except KeyboardInterrupt:
        print("stopped", store.sql("select 42").item(), flush=True)
    print(sys.stdin.read())
"""


@pytest.mark.parametrize("wait", ["first", "next"])
@pytest.mark.parametrize("place", ["here", "there"])
def test_ctrl_c_ends_the_work(
    keeper: Keeper, path: Path, tmp_path: Path, place: str, wait: str
) -> None:
    """While the first frame is waited for or between two; the next question is answered."""
    keeper.open(path)
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", READING),
            str(path if place == "there" else tmp_path / "own.duckdb"),
            ENDLESS if wait == "next" else f"select count(*) from ({ENDLESS})",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "asking\n"
    if wait == "next":
        assert process.stdout.readline() == "reading\n"
    elif place == "there":
        until(lambda: not is_free(keeper, path))
    else:
        time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    line = "reading\n"
    while line == "reading\n":
        line = process.stdout.readline()
    assert line == "stopped 42\n"
    until(lambda: is_free(keeper, path))
    process.communicate("", timeout=30)
    assert process.returncode == 0
    keeper.close(path)


def test_ctrl_c_ends_a_frame_too(path: Path) -> None:
    """Also when polars, which has a hand in how signals are told, was imported before."""
    code = READING.replace("store.batches(sys.argv[2])", "[store.sql(sys.argv[2])]")
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path), f"select count(*) from ({ENDLESS})"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "asking\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=20)
        assert told.splitlines()[0] == "stopped 42"
    finally:
        process.kill()


def test_closing_the_store_ends_the_wait_for_an_answer(store: Store) -> None:
    threading.Timer(0.3, store.close).start()
    with pytest.raises(errors.ClosedError, match="is closed: open it again"):
        store.batches(f"select count(*) from ({ENDLESS})")


def test_closing_the_store_ends_its_answers(path: Path) -> None:
    """The file is free for the next process at once, and who still reads is told."""
    store = duckstore.open(path)
    batches = store.batches(ENDLESS)
    next(batches)
    gc.collect()
    gc.disable()  # what is left in circles would keep the file open until somebody collects it
    try:
        store.close()
        assert "duckstore spool" not in {thread.name for thread in threading.enumerate()}
        with owned(path):
            with pytest.raises(errors.ClosedError, match="is closed: open it again"):
                list(batches)
            with pytest.raises(StopIteration):
                next(batches)
    finally:
        gc.enable()


# An owner that ends -----------------------------------------------------------------------------

# The owner sends the beginning of an answer, and then nothing.
STUCK = """
import threading
import duckstore.server as server

write = server.write_stream
count = 0

class Sink:
    closed = False
    def __init__(self, sink):
        self.sink, self.left = sink, {size}
    def write(self, data):
        if self.left <= 0:
            self.sink.flush()
            threading.Event().wait()
        self.left -= len(memoryview(data).cast("B"))
        return self.sink.write(data)
    def flush(self):
        self.sink.flush()
    def close(self):
        pass

def stuck(engine, sql, parameters, attend, sink, **options):
    write(engine, sql, parameters, attend, Sink(sink), **options)

server.write_stream = stuck
"""


def test_an_owner_that_ends_in_the_middle_is_told(path: Path) -> None:
    """Half an answer was read, and the other half would not fit it."""
    keeper = Keeper()
    keeper.open(path)
    keeper.run(STUCK.format(size=20_000_000))
    with duckstore.open(path) as store:
        batches = store.batches(LARGE, 10_000)
        next(batches)
        next(batches)
        threading.Timer(0.3, keeper.kill).start()
        with pytest.raises(errors.StoreError, match=r"ended while its answer was read.*Ask again"):
            for _ in batches:
                pass
        assert sum(frame.height for frame in store.batches(LARGE)) == 1_000_000
        assert store._access.is_owner


@pytest.mark.parametrize("size", [pytest.param(0, marks=pytest.mark.slow), 5_000_000])
def test_an_owner_that_ends_before_the_first_frame_is_replaced(path: Path, size: int) -> None:
    """Nothing was handed out yet: the next owner is asked, and nobody sees it."""
    keeper = Keeper()
    keeper.open(path)
    keeper.run(STUCK.format(size=size))
    with duckstore.open(path) as store:
        threading.Timer(0.5, keeper.kill).start()
        frames = list(store.batches(LARGE, 100_000))
        assert [frame.height for frame in frames] == [100_000] * 10
        assert store._access.is_owner
        assert frames[-1]["n"][-1] == 999_999


# Memory, room, processes ------------------------------------------------------------------------


@pytest.mark.slow  # three processes and three million rows
def test_memory_does_not_grow_with_the_answer(path: Path) -> None:
    """Not with one that is ten times as large, neither here nor in the owner."""
    code = f"""
import resource, sys
import duckstore
store = duckstore.open({str(path)!r})
assert store._access.is_owner == (sys.argv[1] == "here")
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
sql = "select range as n, repeat('x', 100) as text from range($count)"
for count in (200_000, 1_500_000):
    assert sum(frame.height for frame in store.batches(sql, count=count)) == count
    print(peak())
"""
    for place in ("here", "there"):
        if place == "there":
            with owned(path) as keeper:
                before = _peak(keeper)
                low, high = _grown(code, place)
                assert _peak(keeper) - before < 150
        else:
            low, high = _grown(code, place)
        assert high - low < 100, (place, low, high)


def _grown(code: str, place: str) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-c", code, place],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    low, high = map(int, done.stdout.split())
    return low, high


def _peak(keeper: Keeper) -> int:
    lines = Path(f"/proc/{keeper.process_id}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) // 1024


def test_want_of_room_is_told_and_leaves_nothing(path: Path) -> None:
    code = f"""
import os, resource, signal
import duckstore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = duckstore.open({str(path)!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, resource.RLIM_INFINITY))
try:
    for frame in store.batches({LARGE!r}):
        pass
except duckstore.errors.StoreWriteError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(sum(frame.height for frame in store.batches({LARGE!r})))
print(sorted(name for name in os.listdir({str(path.parent)!r}) if "agents" not in name))
"""
    told, count, left = python(code).splitlines()
    assert "cannot be put aside in a temporary file" in told
    assert "Make room, or ask for less" in told
    assert count == "1000000"
    assert left == "[]"


def test_a_forked_child_cannot_read_on(path: Path) -> None:
    """It is told so, and its parent reads on."""
    code = f"""
import os, warnings
import duckstore
from duckstore import errors
warnings.simplefilter("ignore")  # that there are threads
store = duckstore.open({str(path)!r})
batches = store.batches({LARGE!r}, 200_000)
next(batches)
child = os.fork()
if not child:
    try:
        next(batches)
    except errors.ForkedError as error:
        os._exit(7)
    os._exit(1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), sum(f.height for f in batches))
"""
    assert python(code) == "7 800000"


def test_threads_read_answers_of_their_own(client: Store) -> None:
    sums: dict[int, int] = {}

    def read(number: int) -> None:
        frames = client.batches("select range * $n as n from range(100_000)", 9_000, n=number)
        sums[number] = sum(frame["n"].sum() for frame in frames)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums == {number: number * 4_999_950_000 for number in range(1, 5)}
