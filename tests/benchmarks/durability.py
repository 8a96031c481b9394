"""What durability costs: adds that are on disk when acknowledged, beside adds that are not."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.alternation import Renewed, alternate, close_all
from tests.benchmarks.conversations import items
from tests.benchmarks.preparations import adding
from tests.benchmarks.report import Row
from tests.benchmarks.scale import Scale
from tests.benchmarks.stores import (
    DUCKSTORE,
    RELAXED,
    SQLITE,
    Contender,
    DuckstoreContender,
    SQLiteContender,
)

__all__ = ["measure_durability"]

SIZES = (1, 16)


async def measure_durability(folder: Path, scale: Scale) -> list[Row]:
    """Adds with durability="full" beside the same with "relaxed"."""
    folder.mkdir(parents=True, exist_ok=True)
    contenders: dict[str, Contender] = {
        DUCKSTORE: DuckstoreContender(folder / "full.duckdb"),
        RELAXED: DuckstoreContender(folder / "relaxed.duckdb", "relaxed"),
        SQLITE: SQLiteContender(folder / "session.sqlite"),
    }
    rows = []
    for size in SIZES:
        batches = [items(1000 * size + number, size) for number in range(scale.rounds)]
        renewed = {
            name: Renewed(contender, f"add-{size}", 0, max(1000 // size, 1))
            for name, contender in contenders.items()
        }
        samples = await alternate(
            scale.rounds,
            scale.seconds,
            {name: adding(sessions, batches) for name, sessions in renewed.items()},
        )
        for sessions in renewed.values():
            sessions.close()
        rows.append(Row("durability", f"add {size}, full", samples))
    close_all(contenders)
    return rows
