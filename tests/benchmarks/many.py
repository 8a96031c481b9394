"""Many sessions at once in one process and one event loop: how many commits a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from tests.benchmarks.alternation import close_all
from tests.benchmarks.bulk import duckstore_rows
from tests.benchmarks.conversations import Item, items
from tests.benchmarks.preparations import file_text
from tests.benchmarks.report import RATE, Row
from tests.benchmarks.scale import Scale
from tests.benchmarks.stores import (
    APPENDER,
    DUCKSTORE,
    FILE,
    SQLITE,
    Contender,
    DuckstoreContender,
    RawAppender,
    RawFile,
    Session,
    SQLiteContender,
)

__all__ = ["measure_many"]

SESSIONS = (16, 50)
BATCH = 2
"""Items of a commit: a call and its output."""
RAW_EVERY = 4
"""The raw limits are slow, and hardly differ: they are measured in every fourth round."""


async def measure_many(folder: Path, scale: Scale) -> list[Row]:
    """Rounds of each store in turns; the raw limits commit the same batches one by one."""
    folder.mkdir(parents=True, exist_ok=True)
    store = DuckstoreContender(folder / "store.duckdb")
    contenders: dict[str, Contender] = {
        DUCKSTORE: store,
        SQLITE: SQLiteContender(folder / "session.sqlite"),
    }
    appender, file = RawAppender(folder / "raw.duckdb"), RawFile(folder / "raw.jsonl")
    rows = []
    for count in SESSIONS:
        each = max(scale.many_commits // count, 1)
        batches = [items(number, BATCH) for number in range(count * each)]
        raw: dict[str, Callable[[], None]] = {
            APPENDER: _each(appender.write, list(map(duckstore_rows, batches))),
            FILE: _each(file.write, list(map(file_text, batches))),
        }
        rates: dict[str, list[float]] = {name: [] for name in (*contenders, *raw)}
        folding, whole = [], []
        sessions = {
            name: [contender.session(f"many-{count}-{number}") for number in range(count)]
            for name, contender in contenders.items()
        }
        for number in range(-1, scale.many_rounds):
            for name in contenders:
                start = perf_counter()
                await asyncio.gather(
                    *(
                        _add(session, batches[place * each : (place + 1) * each])
                        for place, session in enumerate(sessions[name])
                    )
                )
                seconds = perf_counter() - start
                if number >= 0:
                    rates[name].append(len(batches) / seconds)
                if name == DUCKSTORE:
                    store.fold()
                    everything = perf_counter() - start
                    if number >= 0:
                        folding.append((everything - seconds) * 1000)
                        whole.append(len(batches) / everything)
            for name, write in raw.items() if number % RAW_EVERY == 0 else ():
                start = perf_counter()
                write()
                rates[name].append(len(batches) / (perf_counter() - start))
        for name, contender in contenders.items():
            for session in sessions[name]:
                contender.release(session)
        case = f"{count} sessions, add {BATCH}"
        rows += [
            Row("many", case, rates, RATE),
            Row("many", f"{case}, and folded", rates | {DUCKSTORE: whole}, RATE),
            Row("many", f"{case}, still folding {len(batches):,}", {DUCKSTORE: folding}),
        ]
    appender.close()
    file.close()
    close_all(contenders)
    return rows


async def _add(session: Session, batches: list[list[Item]]) -> None:
    for batch in batches:
        await session.add_items(batch)


def _each(write: Callable[[list], None], batches: list) -> Callable[[], None]:  # type: ignore[type-arg]
    def act() -> None:
        for batch in batches:
            write(batch)

    return act
