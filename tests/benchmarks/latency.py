"""The latency of durable adds while the file grows through many checkpoints."""

from __future__ import annotations

import os
import random
from pathlib import Path
from time import perf_counter

from duckstore import upkeep
from tests.benchmarks.alternation import close_all
from tests.benchmarks.conversations import Item
from tests.benchmarks.report import Row
from tests.benchmarks.scale import Scale
from tests.benchmarks.stores import (
    DUCKSTORE,
    SQLITE,
    Contender,
    DuckstoreContender,
    SQLiteContender,
)

__all__ = ["measure_latency"]

BATCH = 4
ITEM_BYTES = 4096
IN_TURN = 200
"""Adds of one store, one after the other in one session, before it is the other's turn."""
LEAST_CHECKPOINTS = 20
"""A smaller file than 1.4 GB has its log merged earlier, so that there are so many."""


async def measure_latency(folder: Path, scale: Scale) -> list[Row]:
    """Add until the file has its size. Raises RuntimeError where an item is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    bytes_wanted = scale.latency_megabytes << 20
    store = DuckstoreContender(folder / "store.duckdb")
    contenders: dict[str, Contender] = {
        DUCKSTORE: store,
        SQLITE: SQLiteContender(folder / "session.sqlite"),
    }
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    usual = upkeep.CHECKPOINT_BYTES
    upkeep.CHECKPOINT_BYTES = min(usual, bytes_wanted // LEAST_CHECKPOINTS)
    turns, log, checkpoints = 0, 0, 0
    source = random.Random(7)
    try:
        while store.path.stat().st_size < bytes_wanted:
            turns += 1
            for name, contender in contenders.items():
                session = contender.session(f"latency-{turns}")
                for _ in range(IN_TURN):
                    batch = _batch(source)
                    start = perf_counter()
                    await session.add_items(batch)
                    samples[name].append((perf_counter() - start) * 1000)
                    if name == DUCKSTORE:
                        before, log = log, _size(f"{store.path}.wal")
                        checkpoints += log < before
                contender.release(session)
        start = perf_counter()
        store.fold()
        left = (perf_counter() - start) * 1000
        added = len(samples[DUCKSTORE]) * BATCH
        found = store.store.sql("select count(*) from items").item()
        if found != added:
            raise RuntimeError(f"{found} items are stored instead of {added}")
    finally:
        upkeep.CHECKPOINT_BYTES = usual
        close_all(contenders)
    case = f"add {BATCH} of {ITEM_BYTES >> 10} KB, file to {scale.latency_megabytes:,} MB"
    return [
        Row("latency", case, samples),
        Row("latency", "the longest of them", {name: [max(s)] for name, s in samples.items()}),
        Row("latency", "still folding at the end", {DUCKSTORE: [left]}),
        Row("latency", "checkpoints meanwhile", {DUCKSTORE: [float(checkpoints)]}, "times"),
    ]


def _batch(source: random.Random) -> list[Item]:
    """Items of a size that DuckDB cannot press together much."""
    return [
        {"role": "user", "content": source.randbytes(ITEM_BYTES // 2).hex()} for _ in range(BATCH)
    ]


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
