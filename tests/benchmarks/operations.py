"""What an agent does with a session: add, get, pop, and a whole turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.benchmarks.alternation import Prepare, Renewed, alternate, close_all
from tests.benchmarks.bulk import FILLS
from tests.benchmarks.conversations import items, timeline
from tests.benchmarks.preparations import (
    adding,
    appending,
    cold,
    correcting,
    popping,
    turning,
    warm,
    writing,
)
from tests.benchmarks.report import Row
from tests.benchmarks.scale import Scale
from tests.benchmarks.stores import (
    APPENDER,
    FILE,
    Contender,
    RawAppender,
    RawFile,
    fill,
    open_contenders,
)

__all__ = [
    "GET_SIZES",
    "HISTORY",
    "check_target",
    "measure_add",
    "measure_get",
    "measure_pop",
    "measure_renewed",
    "measure_turn",
]

ADD_SIZES = (1, 4, 16, 64)
GET_SIZES = (10, 100, 1000)
HISTORY = 100
"""Items that a session holds before a pop or a turn."""
OTHER_ITEMS = 5
"""Items of each of the other sessions in the file."""


async def measure_add(folder: Path, scale: Scale) -> list[Row]:
    """Durable batches of several sizes, and how fast DuckDB and the disk alone take the same."""
    contenders = open_contenders(folder)
    appender, file = RawAppender(folder / "raw.duckdb"), RawFile(folder / "raw.jsonl")
    rows = []
    for size in ADD_SIZES:
        batches = [items(1000 * size + number, size) for number in range(scale.add_rounds)]
        renewed = {
            name: Renewed(contender, f"add-{size}", 0, max(1000 // size, 1))
            for name, contender in contenders.items()
        }
        prepares = {name: adding(sessions, batches) for name, sessions in renewed.items()}
        prepares[APPENDER] = appending(appender, batches)
        prepares[FILE] = writing(file, batches)
        samples = await alternate(scale.add_rounds, scale.seconds, prepares)
        for sessions in renewed.values():
            sessions.close()
        rows.append(Row("add", f"{size} item{'s' if size > 1 else ''}", samples))
    appender.close()
    file.close()
    close_all(contenders)
    return rows


async def measure_get(folder: Path, scale: Scale) -> list[Row]:
    """Whole conversations, used just before or not, alone in the file or beside many others."""
    rows = []
    for place, others in (("alone", 0), (f"beside {scale.sessions:,}", scale.sessions)):
        contenders = await _with_targets(folder / place.split()[0], others)
        for size in GET_SIZES:
            target = f"target-{size}"
            for contender in contenders.values():
                await check_target(contender, target, size)
                await contender.warm_up([f"target-{size}" for size in GET_SIZES])
            for heat, prepare in (("warm", warm), ("cold", cold)):
                samples = await alternate(
                    scale.rounds,
                    scale.seconds,
                    {name: prepare(contender, target) for name, contender in contenders.items()},
                )
                rows.append(Row("get", f"{size} items, {heat}, {place}", samples))
        close_all(contenders)
    return rows


async def check_target(contender: Contender, session_id: str, size: int) -> None:
    """Raise where a store does not give back what was added: its times would mean nothing."""
    session = contender.session(session_id)
    if await session.get_items() != items(size, size):
        raise RuntimeError(f"{contender.name} does not return the {size} items that were added")
    contender.release(session)


async def _with_targets(folder: Path, others: int) -> dict[str, Contender]:
    """Files with one session of each size, half of the other sessions before and half after."""
    folder.mkdir(parents=True)
    _fill_others(folder, others // 2, "before")
    contenders = open_contenders(folder)
    for contender in contenders.values():
        for size in GET_SIZES:
            session = contender.session(f"target-{size}")
            await fill(session, items(size, size))
            contender.release(session)
    close_all(contenders)
    _fill_others(folder, others - others // 2, "after")
    return open_contenders(folder)


def _fill_others(folder: Path, number: int, label: str) -> None:
    """Fill all files of a folder with small sessions, each template session many times."""
    template = min(number, 5000)
    if template:
        for name, fill_file in FILLS.items():
            steps = timeline(len(label), template, OTHER_ITEMS)
            fill_file(folder / name, steps, number // template, label)


async def measure_renewed(
    contenders: Mapping[str, Contender],
    label: str,
    uses: int,
    prepare: Callable[[Renewed], Prepare],
    rounds: int,
    seconds: float,
) -> dict[str, list[float]]:
    """Time an operation on sessions with some history, that are renewed after some uses."""
    renewed = {
        name: Renewed(contender, label, HISTORY, uses) for name, contender in contenders.items()
    }
    samples = await alternate(
        rounds, seconds, {name: prepare(sessions) for name, sessions in renewed.items()}
    )
    for sessions in renewed.values():
        sessions.close()
    return samples


async def measure_pop(folder: Path, scale: Scale) -> list[Row]:
    """A pop alone, and a pop and an add."""
    contenders = open_contenders(folder)
    rows = []
    for case, prepare, uses in (("pop", popping, 40), ("pop + add", correcting, 10)):
        samples = await measure_renewed(
            contenders, case, uses, prepare, scale.rounds, scale.seconds
        )
        rows.append(Row("pop", f"{case}, {HISTORY} items", samples))
    close_all(contenders)
    return rows


async def measure_turn(folder: Path, scale: Scale) -> list[Row]:
    """What the Runner does in one turn: read the history, add the input, add the response."""
    contenders = open_contenders(folder)
    samples = await measure_renewed(contenders, "turn", 10, turning, scale.rounds, scale.seconds)
    close_all(contenders)
    return [Row("turn", f"get {HISTORY}, add 1, add 3", samples)]
