"""Random operations on sessions, with a model of what each must hold."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from time import perf_counter

import duckstore
from tests.benchmarks.conversations import Item, items

__all__ = ["Soaker"]

MOST_ITEMS = 80
"""A session that holds more is cleared."""
MOST_PAUSE = 0.2
"""Seconds at most that a session waits between two operations, as an agent thinks."""
WEIGHTS = {"add": 45, "get": 20, "pop": 8, "edit": 9, "clear": 2, "sql": 8, "query": 8}


class Soaker:
    """One process' sessions, which nobody else changes."""

    def __init__(self, store: duckstore.Store, names: list[str], seed: int) -> None:
        self.models: dict[str, list[Item]] = {name: [] for name in names}
        self._store = store
        self._seed = seed
        self._done: Counter[str] = Counter()

    async def go_on(self, seconds: float) -> dict[str, int]:
        """Use all sessions at once for some seconds. Returns how often each thing was done.

        Raises:
            RuntimeError: A session did not hold what it should.
        """
        end = perf_counter() + seconds
        await asyncio.gather(*(self._use(name, end) for name in self.models))
        return dict(self._done)

    async def _use(self, name: str, end: float) -> None:
        dice = random.Random(f"{self._seed} {name}")
        session, model = self._store.session(name), self.models[name]
        while perf_counter() < end:
            await asyncio.sleep(dice.uniform(0, MOST_PAUSE))
            [operation] = dice.choices(list(WEIGHTS), weights=WEIGHTS.values())
            if len(model) > MOST_ITEMS:
                operation = "clear"
            self._done[operation] += 1
            if operation == "add":
                await self._add(session, model, dice)
            elif operation == "get":
                self._equal(name, await session.get_items(), model)
            elif operation == "pop":
                await self._pop(name, session, model)
            elif operation == "edit":
                await self._pop(name, session, model)
                await self._add(session, model, dice)
            elif operation == "clear":
                await session.clear_session()
                model.clear()
            elif operation == "sql":
                sql = "select count(*) from items where session_id = $name and is_current"
                found = await asyncio.to_thread(self._store.sql, sql, name=name)
                self._equal(name, found.item(), len(model))
            else:
                query = dice.choice(("tool_usage", "turn_pairs"))
                await asyncio.to_thread(self._store.query, query, session_id=name)

    async def _add(
        self, session: duckstore.DuckDBSession, model: list[Item], dice: random.Random
    ) -> None:
        batch = items(dice.randrange(1 << 30), dice.randint(1, 6))
        await session.add_items(batch)  # type: ignore[arg-type]
        model += batch

    async def _pop(self, name: str, session: duckstore.DuckDBSession, model: list[Item]) -> None:
        expected = model.pop() if model else None
        self._equal(name, await session.pop_item(), expected)

    @staticmethod
    def _equal(name: str, found: object, expected: object) -> None:
        if found != expected:
            raise RuntimeError(f"session {name} gives {found!r} instead of {expected!r}")
