"""What an agent does with a session: add, get, pop, and a whole turn.

Each operation of one store is followed by the same operation of the next, in an order that
rotates from round to round. Only the operation is timed, not what prepares it, and no loop is
started: everything runs in the one loop of the benchmark.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from tests.benchmarks.bulk import FILLS, duckstore_rows
from tests.benchmarks.conversations import Item, items, timeline
from tests.benchmarks.report import Row
from tests.benchmarks.stores import (
    APPENDER,
    FILE,
    Contender,
    RawAppender,
    RawFile,
    Session,
    fill,
    open_contenders,
)

__all__ = ["Scale", "measure_add", "measure_get", "measure_pop", "measure_turn"]

ADD_SIZES = (1, 4, 16, 64)
GET_SIZES = (10, 100, 1000)
HISTORY = 100
"""Items that a session holds before a pop or a turn."""
OTHER_ITEMS = 5
"""Items of each of the other sessions in the file."""
WARM_UP = 3
LEAST_ROUNDS = 5

Action = Callable[[], Awaitable[object]]
Prepare = Callable[[int], Awaitable[Action]]


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    rounds: int = 200
    seconds: float = 15
    """No case goes on for longer, once it has had a few rounds."""
    sessions: int = 50_000
    items: int = 1_000_000
    query_rounds: int = 3


async def alternate(scale: Scale, prepares: Mapping[str, Prepare]) -> dict[str, list[float]]:
    """Time the prepared actions one by one in turns. Returns milliseconds by store."""
    samples: dict[str, list[float]] = {name: [] for name in prepares}
    names = list(prepares)
    started = perf_counter()
    for number in range(-min(WARM_UP, scale.rounds), scale.rounds):
        if number >= LEAST_ROUNDS and perf_counter() - started > scale.seconds:
            break
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            action = await prepares[name](number)
            start = perf_counter()
            await action()
            elapsed = perf_counter() - start
            if number >= 0:
                samples[name].append(elapsed * 1000)
    return samples


class Renewed:
    """A session with some history, replaced by a fresh one after some uses."""

    def __init__(self, contender: Contender, label: str, length: int, uses: int) -> None:
        self._contender = contender
        self._label = label
        self._length = length
        self._uses = uses
        self._used = 0
        self._session: Session | None = None

    async def session(self) -> Session:
        """The session to use next."""
        if self._session is not None and self._used % self._uses:
            self._used += 1
            return self._session
        self.close()
        self._session = self._contender.session(f"{self._label}-{self._used // self._uses}")
        self._used += 1
        await fill(self._session, items(self._used, self._length))
        return self._session

    def close(self) -> None:
        """Close the session object."""
        if self._session is not None:
            self._contender.release(self._session)


async def measure_add(folder: Path, scale: Scale) -> list[Row]:
    """Durable batches of several sizes, and how fast DuckDB and the disk alone take the same."""
    contenders = open_contenders(folder / "add")
    appender, file = RawAppender(folder / "raw.duckdb"), RawFile(folder / "raw.jsonl")
    rows = []
    for size in ADD_SIZES:
        batches = [items(1000 * size + number, size) for number in range(scale.rounds)]
        renewed = {
            name: Renewed(contender, f"add-{size}", 0, max(1000 // size, 1))
            for name, contender in contenders.items()
        }
        prepares: dict[str, Prepare] = {
            name: _adding(sessions, batches) for name, sessions in renewed.items()
        }
        prepares[APPENDER] = _appending(appender, batches)
        prepares[FILE] = _writing(file, batches)
        samples = await alternate(scale, prepares)
        for sessions in renewed.values():
            sessions.close()
        rows.append(Row("add", f"{size} item{'s' if size > 1 else ''}", samples))
    appender.close()
    file.close()
    _close(contenders)
    return rows


def _adding(sessions: Renewed, batches: list[list[Item]]) -> Prepare:
    async def prepare(number: int) -> Action:
        session, batch = await sessions.session(), batches[number]
        return lambda: session.add_items(batch)

    return prepare


def _appending(appender: RawAppender, batches: list[list[Item]]) -> Prepare:
    async def prepare(number: int) -> Action:
        rows = duckstore_rows(batches[number])

        async def act() -> None:
            appender.write(rows)

        return act

    return prepare


def _writing(file: RawFile, batches: list[list[Item]]) -> Prepare:
    async def prepare(number: int) -> Action:
        text = b"".join(json.dumps(item).encode() + b"\n" for item in batches[number])

        async def act() -> None:
            file.write(text)

        return act

    return prepare


async def measure_get(folder: Path, scale: Scale) -> list[Row]:
    """Whole conversations, used just before or not, alone in the file or beside many others."""
    rows = []
    for place, others in (("alone", 0), (f"beside {scale.sessions:,}", scale.sessions)):
        contenders = await _with_targets(folder / place.split()[0], others)
        for size in GET_SIZES:
            expected = items(size, size)
            for name, contender in contenders.items():
                session = contender.session(f"target-{size}")
                if await session.get_items() != expected:
                    raise RuntimeError(f"{name} does not return the {size} items that were added")
                contender.release(session)
            for heat, prepare in (("warm", _warm), ("cold", _cold)):
                samples = await alternate(
                    scale, {name: prepare(c, f"target-{size}") for name, c in contenders.items()}
                )
                rows.append(Row("get", f"{size} items, {heat}, {place}", samples))
        _close(contenders)
    return rows


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
    _close(contenders)
    _fill_others(folder, others - others // 2, "after")
    return open_contenders(folder)


def _fill_others(folder: Path, number: int, label: str) -> None:
    """Fill all files of a folder with small sessions, each template session many times."""
    template = min(number, 5000)
    if template:
        for name, fill_file in FILLS.items():
            steps = timeline(len(label), template, OTHER_ITEMS)
            fill_file(folder / name, steps, number // template, label)


def _warm(contender: Contender, session_id: str) -> Prepare:
    session = contender.session(session_id)

    async def prepare(number: int) -> Action:
        if number < 0:
            await session.get_items()
        return session.get_items

    return prepare


def _cold(contender: Contender, session_id: str) -> Prepare:
    used: list[Session] = []

    async def prepare(number: int) -> Action:
        while used:
            contender.release(used.pop())
        contender.forget(session_id)

        async def act() -> None:
            session = contender.session(session_id)
            used.append(session)
            await session.get_items()

        return act

    return prepare


async def measure_pop(folder: Path, scale: Scale) -> list[Row]:
    """A pop alone, and the pop and add by which the SDK's documentation corrects a message."""
    contenders = open_contenders(folder / "pop")

    def popping(sessions: Renewed) -> Prepare:
        async def prepare(number: int) -> Action:
            return (await sessions.session()).pop_item

        return prepare

    def correcting(sessions: Renewed) -> Prepare:
        async def prepare(number: int) -> Action:
            session = await sessions.session()

            async def act() -> None:
                await session.pop_item()
                await session.add_items([{"role": "user", "content": f"correction {number}"}])

            return act

        return prepare

    rows = []
    for case, prepare, uses in (("pop", popping, 40), ("pop + add", correcting, 10)):
        renewed = {
            name: Renewed(contender, case, HISTORY, uses) for name, contender in contenders.items()
        }
        samples = await alternate(scale, {name: prepare(s) for name, s in renewed.items()})
        rows.append(Row("pop", f"{case}, {HISTORY} items", samples))
        for sessions in renewed.values():
            sessions.close()
    _close(contenders)
    return rows


async def measure_turn(folder: Path, scale: Scale) -> list[Row]:
    """What the Runner does in one turn: read the history, add the input, add the response."""
    contenders = open_contenders(folder / "turn")

    def turning(sessions: Renewed) -> Prepare:
        async def prepare(number: int) -> Action:
            session = await sessions.session()
            user, *response = items(number + WARM_UP, 4)

            async def act() -> None:
                await session.get_items()
                await session.add_items([user])
                await session.add_items(response)

            return act

        return prepare

    renewed = {
        name: Renewed(contender, "turn", HISTORY, 10) for name, contender in contenders.items()
    }
    samples = await alternate(scale, {name: turning(s) for name, s in renewed.items()})
    for sessions in renewed.values():
        sessions.close()
    _close(contenders)
    return [Row("turn", f"get {HISTORY}, add 1, add 3", samples)]


def _close(contenders: Mapping[str, Contender]) -> None:
    for contender in contenders.values():
        contender.close()
