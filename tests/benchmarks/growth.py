"""Everything measured again and again while one file of each store grows to millions of items."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import duckstore
from tests.benchmarks.alternation import Renewed, alternate, close_all
from tests.benchmarks.bulk import FILLS
from tests.benchmarks.conversations import Add, items
from tests.benchmarks.inside import inside
from tests.benchmarks.operations import GET_SIZES, check_target, measure_renewed
from tests.benchmarks.preparations import adding, cold, popping, turning, warm
from tests.benchmarks.queries import QUESTIONS, asker, fill_all
from tests.benchmarks.report import Row
from tests.benchmarks.scale import Scale
from tests.benchmarks.startup import child_code
from tests.benchmarks.stores import ADVANCED, DUCKSTORE, SQLITE, Contender, open_contenders

__all__ = ["measure_growth"]

ADD = 4
READ = 100
SHARE = 3
"""A case has a third of the time and half of the rounds that it has elsewhere."""
ADVANCED_MOST = 100_000
"""Items beside which `AdvancedSQLiteSession` is still used: it reads all of them each time."""
PATIENCE = 150.0
"""Seconds that a question may take: one that took longer, or would now, is not asked again."""
ASKED = {
    QUESTIONS[0]: {"": asker, ", inside": inside},
    QUESTIONS[1]: {"": asker},
    QUESTIONS[2]: {"": asker},
}
"""Questions, and whether their answer is brought out or stays inside the database."""
FILES = {DUCKSTORE: "store.duckdb", SQLITE: "session.sqlite", ADVANCED: "advanced.sqlite"}

_OPEN = """
import asyncio, sys, time
from time import perf_counter
import duckstore
async def main(path, times, *names):
    with duckstore.open(path) as store:
        start = perf_counter()
        await store.session(names[0]).get_items()
        first = perf_counter() - start
        for name in names[1:]:
            await store.session(name).get_items()
        start = perf_counter()
        engine = store._access.engine
        engine._folding.run(lambda: None)
        while not engine.sessions.index.is_built:
            time.sleep(0.0005)
        index = perf_counter() - start
    opening = []
    for _ in range(int(times)):
        start = perf_counter()
        duckstore.open(path).close()
        opening.append((perf_counter() - start) * 1000)
    print([opening, first * 1000, index * 1000])
asyncio.run(main(*sys.argv[1:]))
"""
_OPEN_SQLITE = """
import asyncio, sys
from time import perf_counter
from agents.memory import SQLiteSession
async def main(path, times, name):
    session = SQLiteSession(name, path)
    start = perf_counter()
    await session.get_items()
    first = perf_counter() - start
    session.close()
    opening = []
    for _ in range(int(times)):
        start = perf_counter()
        SQLiteSession(name, path).close()
        opening.append((perf_counter() - start) * 1000)
    print([opening, first * 1000])
asyncio.run(main(*sys.argv[1:]))
"""


async def measure_growth(folder: Path, scale: Scale) -> list[Row]:
    """Fill up to each size, ask and measure. Rows of one kind stand together."""
    found: dict[str, list[Row]] = {}
    before = 0
    asked: dict[tuple[str, str], float] = {}
    for count in scale.growth:
        label = f"g{count}"
        _fill(folder, count - before, label)
        place = f"{count:,} items"
        asked = {key: seconds * count / max(before, 1) for key, seconds in asked.items()}
        step = _ask(folder, asked, scale)
        step |= await _use(folder, label, scale, with_advanced=count <= ADVANCED_MOST)
        step |= _open(folder, label, scale)
        sizes = {name: [(folder / file).stat().st_size / 2**20] for name, file in FILES.items()}
        step["file"] = Row("growth", "file", sizes, "MB")
        for case, row in step.items():
            row = Row(row.part, f"{case}, {place}", row.samples, row.unit)
            found.setdefault(case, []).append(row)
        before = count
    return [row for rows in found.values() for row in rows]


def _fill(folder: Path, more: int, label: str) -> None:
    """Add sessions: half before the ones that will be read, and half after them."""
    fill_all(folder, more // 2, f"{label}a", seed=more)
    for name, fill_file in FILLS.items():
        targets = ((str(size), Add(items(size, size))) for size in GET_SIZES)
        fill_file(folder / name, targets, 1, label)
    fill_all(folder, more - more // 2, f"{label}b", seed=more + 1)


def _target(label: str, size: int) -> str:
    return f"{label}0-{size}"


async def _use(folder: Path, label: str, scale: Scale, *, with_advanced: bool) -> dict[str, Row]:
    """Add, get, pop and turn."""
    rounds, seconds = max(scale.rounds // 2, 1), scale.seconds / SHARE
    contenders = open_contenders(folder, with_advanced=with_advanced)
    for contender in contenders.values():
        for size in GET_SIZES:
            await check_target(contender, _target(label, size), size)
        await contender.warm_up([_target(label, size) for size in GET_SIZES])
    found = {f"add {ADD}": await _adds(contenders, label, rounds, seconds)}
    for case, prepare, sizes in (("warm", warm, (READ,)), ("cold", cold, GET_SIZES)):
        for size in sizes:
            found[f"get {size}, {case}"] = await alternate(
                rounds,
                seconds,
                {name: prepare(one, _target(label, size)) for name, one in contenders.items()},
            )
    for case, uses, ready in (("pop", 40, popping), ("turn", 10, turning)):
        found[case] = await measure_renewed(
            contenders, f"{label}-{case}", uses, ready, rounds, seconds
        )
    close_all(contenders)
    return {case: Row("growth", case, samples) for case, samples in found.items()}


async def _adds(
    contenders: Mapping[str, Contender], label: str, rounds: int, seconds: float
) -> dict[str, list[float]]:
    batches = [items(number, ADD) for number in range(rounds)]
    renewed = {name: Renewed(one, f"{label}-add", 0, 250) for name, one in contenders.items()}
    samples = await alternate(
        rounds, seconds, {name: adding(sessions, batches) for name, sessions in renewed.items()}
    )
    for sessions in renewed.values():
        sessions.close()
    return samples


def _ask(folder: Path, asked: dict[tuple[str, str], float], scale: Scale) -> dict[str, Row]:
    """Ask questions, of each store that answers in a sensible time.

    Args:
        folder: Where the files are.
        asked: How many seconds each case is expected to take for each store; set to what it took.
        scale: How often to ask.
    """
    found = {}
    with (
        duckstore.open(folder / FILES[DUCKSTORE]) as store,
        closing(sqlite3.connect(folder / FILES[SQLITE])) as plain,
        closing(sqlite3.connect(folder / FILES[ADVANCED])) as advanced,
    ):
        files = {DUCKSTORE: store, SQLITE: plain, ADVANCED: advanced}
        for question, ways in ASKED.items():
            for way, make in ways.items():
                case = f"{question.case}{way}"
                samples = {}
                for name in (DUCKSTORE, *question.elsewhere):
                    expected = asked.get((case, name), 0.0)
                    if expected <= PATIENCE:
                        ask = make(files[name], question, name)
                        samples[name] = _times(ask, scale.query_rounds if expected < 1 else 1)
                    if samples.get(name):
                        asked[case, name] = median(samples[name]) / 1000
                found[case] = Row("growth", case, samples)
    return found


def _times(ask: Callable[[], Any], rounds: int) -> list[float]:
    """Milliseconds of each asking. None where the answer is too much: that is said on stderr."""
    times = []
    for _ in range(rounds):
        start = perf_counter()
        try:
            ask()
        except duckstore.errors.SQLError as error:
            print("NOT ANSWERED:", str(error).splitlines()[0], file=sys.stderr, flush=True)
            return []
        times.append((perf_counter() - start) * 1000)
    return times


def _open(folder: Path, label: str, scale: Scale) -> dict[str, Row]:
    """Open, and read for the first time, in processes of their own."""
    times = min(scale.rounds, 3)
    targets = [_target(label, size) for size in (READ, *(s for s in GET_SIZES if s != READ))]
    opening, first, index = child_code(_OPEN, folder / FILES[DUCKSTORE], times, *targets)
    opening_sqlite, first_sqlite = child_code(
        _OPEN_SQLITE, folder / FILES[SQLITE], times, targets[0]
    )
    found = {
        "open and close": {DUCKSTORE: opening, SQLITE: opening_sqlite},
        f"first get of {READ} in a process": {DUCKSTORE: [first], SQLITE: [first_sqlite]},
        "making the index of sessions": {DUCKSTORE: [index]},
    }
    return {case: Row("growth", case, samples) for case, samples in found.items()}
