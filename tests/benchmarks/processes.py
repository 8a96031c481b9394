"""Several processes on one file: a client alone, and five that write while one reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from tests.benchmarks.bulk import fill_duckstore, fill_sqlite
from tests.benchmarks.children import Child
from tests.benchmarks.conversations import timeline
from tests.benchmarks.report import RATE, Row
from tests.benchmarks.scale import Scale
from tests.benchmarks.stores import DUCKSTORE, OWNER, SQLITE
from tests.benchmarks.worker import DUCK, LITE, Worker

__all__ = ["measure_processes"]

BATCH = 3
"""Items of a commit."""
AT_ONCE = 10
"""Operations of one store before it is another's turn."""
HISTORY = 100
FILES = {DUCKSTORE: (DUCK, "store.duckdb"), SQLITE: (LITE, "session.sqlite")}
Samples = dict[str, list[float]]


async def measure_processes(folder: Path, scale: Scale) -> list[Row]:
    """A client beside its owner, then five writers and a reader; each with SQLite in turns."""
    folder.mkdir(parents=True, exist_ok=True)
    return await _client(folder / "alone", scale) + _crowd(folder / "crowd", scale)


async def _client(folder: Path, scale: Scale) -> list[Row]:
    """This process owns the store, and a child is its only client."""
    folder.mkdir()
    owner = Worker(DUCK, str(folder / FILES[DUCKSTORE][1]))
    owner.open()
    samples: dict[str, Samples] = {"add": {}, "get": {}}
    with ExitStack() as stack:
        stack.callback(owner.close)
        children = {
            name: stack.enter_context(Child(kind, folder / file))
            for name, (kind, file) in FILES.items()
        }
        for name, child in children.items():
            if child.ask("open") and name == DUCKSTORE:
                raise RuntimeError("the child owns the store that this process has opened")
            child.ask("adds", name="read", count=1, size=HISTORY)
        for number in range(-1, max(scale.rounds // AT_ONCE, 1)):
            seed = number * AT_ONCE
            found = {name: _both(child, seed) for name, child in children.items()}
            found[OWNER] = (
                await owner.adds(f"own-{seed // 1000}", AT_ONCE, BATCH, seed),
                await owner.gets("read", AT_ONCE),
            )
            if number >= 0:
                for name, (adds, gets) in found.items():
                    samples["add"].setdefault(name, []).extend(adds)
                    samples["get"].setdefault(name, []).extend(gets)
    rows = []
    for case, what in (("add", f"add {BATCH}"), ("get", f"get {HISTORY}")):
        more = median(samples[case][DUCKSTORE]) - median(samples[case][OWNER])
        rows += [
            Row("processes", f"{what}, a client alone", samples[case]),
            Row("processes", f"{what}, more than in the owner", {DUCKSTORE: [more]}),
        ]
    return rows


def _both(child: Child, seed: int) -> tuple[list[float], list[float]]:
    adds = child.ask("adds", name=f"add-{seed // 1000}", count=AT_ONCE, size=BATCH, seed=seed)
    return adds, child.ask("gets", name="read", count=AT_ONCE)


def _crowd(folder: Path, scale: Scale) -> list[Row]:
    """Five writers and a reader, of each store in turns; one of the writers owns the store."""
    folder.mkdir()
    steps = max(scale.process_items // 40, 1)
    fill_duckstore(folder / FILES[DUCKSTORE][1], timeline(7, steps, 40), 1)
    fill_sqlite(folder / FILES[SQLITE][1], timeline(7, steps, 40), 1)
    appends: Samples = {name: [] for name in FILES}
    counts: Samples = {name: [] for name in FILES}
    rates: Samples = {name: [] for name in FILES}
    retries: Samples = {name: [0.0] for name in FILES}
    with ExitStack() as stack:
        crowds = {name: stack.enter_context(_opened(folder, name, scale)) for name in FILES}
        expected = {
            name: reader.ask("count", seconds=0)["found"] for name, (_, reader) in crowds.items()
        }
        for number in range(2):
            for name, (writers, reader) in crowds.items():
                for place, writer in enumerate(writers):
                    session = f"w{number}-{place}"
                    writer.tell("write", name=session, seconds=scale.process_seconds, size=BATCH)
                reader.tell("count", seconds=scale.process_seconds)
                told = [writer.answer() for writer in writers]
                counts[name] += reader.answer()["times"]
                commits = sum(len(one["times"]) for one in told)
                rates[name].append(sum(one["rate"] for one in told))
                appends[name] += [time for one in told for time in one["times"]]
                retries[name][0] += sum(one["retries"] for one in told)
                expected[name] += commits * BATCH
                found = _count(reader)
                if found != expected[name]:
                    raise RuntimeError(f"{name} has {found} items instead of {expected[name]}")
    row = Row("processes", f"add {BATCH}, {scale.writers} writers and a reader", appends)
    return [
        row,
        Row("processes", "the same, p95", {name: [row.point(name, 0.95)] for name in appends}),
        Row("processes", f"commits of {scale.writers} writers", rates, RATE),
        Row("processes", "count of all items meanwhile", counts),
        Row("processes", "adds repeated because of a lock", retries, "times"),
    ]


def _count(reader: Child) -> int:
    return int(reader.ask("count", seconds=0)["found"])


@contextmanager
def _opened(folder: Path, name: str, scale: Scale) -> Iterator[tuple[list[Child], Child]]:
    """The writers and the reader of a store, with its file open."""
    kind, file = FILES[name]
    with ExitStack() as stack:
        children = [
            stack.enter_context(Child(kind, folder / file)) for _ in range(scale.writers + 1)
        ]
        for child in children:
            child.ask("open")
        yield children[:-1], children[-1]
        for child in children:
            child.end()
