"""A process that works on one file, as an agent's does: `python -m tests.benchmarks.worker`.

It reads what to do as lines of JSON and answers each with a line. It imports nothing that an agent
would not, so that its memory is that of one, and the SDK only where it is needed: that takes long.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import sqlite3
import sys
from contextlib import closing
from time import perf_counter
from typing import Any

import duckstore
from tests.benchmarks.children import resident
from tests.benchmarks.conversations import Item, items
from tests.benchmarks.soaker import Soaker

__all__ = ["DUCK", "LITE", "Worker"]

DUCK = "duck"
LITE = "lite"
"""The two kinds of file: a store, and one of `SQLiteSession`."""
POLL_SECONDS = 0.02
"""How long a reader waits between two questions."""
BATCHES = 200
"""Different batches, made before anything is timed."""
LENGTH = 250
"""Batches that a session takes before another takes its place."""


class Worker:
    """What a process can be told to do; each method answers with what JSON can hold."""

    def __init__(self, kind: str, path: str) -> None:
        self._kind = kind
        self._path = path
        self._store: duckstore.Store | None = None
        self._sessions: dict[str, Any] = {}
        self._soaker: Soaker | None = None
        self._retries = 0

    def open(self) -> bool:
        """Open the file. Answers whether this process owns it."""
        if self._kind == DUCK:
            self._store = duckstore.open(self._path)
            return self._store._access.is_owner
        return True

    def be_agent(self) -> float:
        """Import the SDK. Answers with the resident size in MB."""
        importlib.import_module("agents")
        return resident()

    def resident(self) -> float:
        """The resident size in MB."""
        return resident()

    async def adds(self, name: str, count: int, size: int, seed: int = 0) -> list[float]:
        """Add batches of some items. Answers with the milliseconds of each."""
        session, times = self._session(name), []
        for number in range(count):
            batch = items(seed + number, size)
            times.append(await self._add(session, batch))
        return times

    async def gets(self, name: str, count: int) -> list[float]:
        """Read a conversation again and again."""
        session, times = self._session(name), []
        for _ in range(count):
            start = perf_counter()
            await session.get_items()
            times.append((perf_counter() - start) * 1000)
        return times

    async def write(self, name: str, seconds: float, size: int) -> dict[str, Any]:
        """Add as fast as it goes for some seconds."""
        batches = [items(number, size) for number in range(BATCHES)]
        times: list[float] = []
        start = perf_counter()
        while perf_counter() - start < seconds:
            session = self._session(f"{name}-{len(times) // LENGTH}")
            times.append(await self._add(session, batches[len(times) % BATCHES]))
        retries, self._retries = self._retries, 0
        rate = len(times) / (perf_counter() - start)
        return {"times": times, "retries": retries, "rate": rate}

    async def count(self, seconds: float) -> dict[str, Any]:
        """Count all items again and again for some seconds, and once more with 0 seconds."""
        times: list[float] = []
        found = 0
        begun = perf_counter()
        while not times or perf_counter() - begun < seconds:
            start = perf_counter()
            found = self._count()
            times.append((perf_counter() - start) * 1000)
            await asyncio.sleep(POLL_SECONDS)
        return {"times": times, "found": found}

    async def turns(self, count: int, sessions: int, history: int) -> None:
        """Do an agent's turns on some sessions, each with some history."""
        for number in range(count):
            session = self._session(f"turns-{number % sessions}")
            if number < sessions:
                await session.add_items(items(number, history))
            await session.get_items(limit=history)
            user, *response = items(number, 4)
            await session.add_items([user])
            await session.add_items(response)

    async def reads(self, names: list[str]) -> int:
        """Read sessions that were not used before, by objects that go again."""
        found = 0
        for name in names:
            session = self._session(name)
            found += len(await session.get_items())
            del self._sessions[name]
            session.close()
        return found

    def query(self, name: str) -> int | None:
        """Ask a question of the catalogue. Answers with the number of rows; None if too many."""
        try:
            return self._opened.query(name).height
        except duckstore.errors.SQLError as error:
            print("NOT ANSWERED:", str(error).splitlines()[0], file=sys.stderr, flush=True)
            return None

    async def fill(self, count: int, size: int) -> None:
        """Add so many items in all, to sessions of a hundred batches each."""
        batches = [items(number, size) for number in range(BATCHES)]
        for number in range(count // size):
            name = f"fill-{number // 100}"
            if number % 100 == 0 and number:
                self._sessions.pop(f"fill-{number // 100 - 1}").close()
            await self._session(name).add_items(batches[number % BATCHES])

    async def soak(self, names: list[str], seconds: float, seed: int) -> dict[str, int]:
        """Do random things with sessions. Answers with how many of each."""
        self._soaker = Soaker(self._opened, names, seed)
        return await self._soaker.go_on(seconds)

    def models(self) -> dict[str, list[Item]]:
        """What the soaked sessions should hold."""
        return self._soaker.models if self._soaker else {}

    def close(self) -> None:
        """Close the file."""
        for session in self._sessions.values():
            session.close()
        if self._store is not None:
            self._store.close()

    @property
    def _opened(self) -> duckstore.Store:
        if self._store is None:
            raise RuntimeError("the store is not open")
        return self._store

    def _session(self, name: str) -> Any:
        if name not in self._sessions:
            self._sessions[name] = self._new_session(name)
        return self._sessions[name]

    def _new_session(self, name: str) -> Any:
        if self._kind == DUCK:
            return self._opened.session(name)
        from agents.memory import SQLiteSession

        while True:
            try:
                return SQLiteSession(name, self._path)
            except sqlite3.OperationalError as error:
                self._retry(error)

    async def _add(self, session: Any, batch: list[Item]) -> float:
        """Add a batch, again and again where SQLite says that it is locked."""
        start = perf_counter()
        while True:
            try:
                await session.add_items(batch)
            except sqlite3.OperationalError as error:
                self._retry(error)
            else:
                return (perf_counter() - start) * 1000

    def _retry(self, error: sqlite3.OperationalError) -> None:
        if "locked" not in str(error):
            raise error
        self._retries += 1

    def _count(self) -> int:
        if self._kind == DUCK:
            return int(self._opened.sql("select count(*) as count from items").item())
        with closing(sqlite3.connect(self._path)) as connection:
            row = connection.execute("select count(*) from agent_messages").fetchone()
        return int(row[0])


async def main(kind: str, path: str) -> None:
    """Do what the lines on stdin say."""
    worker = Worker(kind, path)
    for line in sys.stdin:
        asked = json.loads(line)
        answer = getattr(worker, asked["do"])(**asked["with"])
        if inspect.isawaitable(answer):
            answer = await answer
        print(json.dumps(answer), flush=True)
    worker.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
