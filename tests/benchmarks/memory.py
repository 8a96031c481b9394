"""The resident size of an agent's process beside a large file, in processes of their own."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb

from tests.benchmarks.bulk import fill_duckstore, fill_sqlite
from tests.benchmarks.children import Child
from tests.benchmarks.conversations import timeline
from tests.benchmarks.report import Row
from tests.benchmarks.scale import Scale
from tests.benchmarks.stores import DUCKSTORE, SQLITE
from tests.benchmarks.worker import DUCK, LITE

__all__ = ["measure_memory"]

BATCH = 64
"""Items of a commit, where a process writes many."""
TURN_SESSIONS = 10
HISTORY = 100
TEMPLATE_SESSIONS = 2500
ITEMS_PER_SESSION = 40
KINDS = {DUCKSTORE: (DUCK, "store.duckdb"), SQLITE: (LITE, "session.sqlite")}
SAMPLE_SQL = {
    DUCKSTORE: "select session_id from session_rows order by session_key desc limit 100000",
    SQLITE: "select session_id from agent_sessions order by rowid desc limit 100000",
}


async def measure_memory(folder: Path, scale: Scale) -> list[Row]:
    """What a process takes after each kind of work. The files that growth left are used again."""
    files = folder.parent / "growth"
    if not files.exists():
        files = folder
    folder.mkdir(parents=True, exist_ok=True)
    _fill(files, scale)
    size = (files / KINDS[DUCKSTORE][1]).stat().st_size / 2**20
    found: dict[str, dict[str, float]] = {}
    beside = f"{size:,.0f} MB"
    for name, (kind, file) in KINDS.items():
        for case, value in _beside(name, kind, files / file, scale).items():
            found.setdefault(case.format(beside), {})[name] = value
        with Child(kind, folder / f"new-{file}") as child:
            child.ask("be_agent")
            child.ask("open")
            child.ask("fill", count=scale.memory_written, size=BATCH)
            case = f"writing {scale.memory_written:,} items, new file"
            found.setdefault(case, {})[name] = child.ask("resident")
    return [
        Row("memory", case, {name: [value] for name, value in values.items()}, "MB")
        for case, values in found.items()
    ]


def _beside(name: str, kind: str, path: Path, scale: Scale) -> dict[str, float]:
    """Resident size of one process after each thing that it does in turn."""
    sessions = _sessions(name, path, scale.memory_reads)
    found = {}
    with Child(kind, path) as child:
        if kind == DUCK:
            found["import duckstore"] = child.ask("resident")
        found["import agents too"] = child.ask("be_agent")
        child.ask("open")
        found["{} opened"] = child.ask("resident")
        child.ask("turns", count=scale.memory_turns, sessions=TURN_SESSIONS, history=HISTORY)
        found[f"{{}}, then {scale.memory_turns} turns"] = child.ask("resident")
        if not child.ask("reads", names=sessions):
            raise RuntimeError(f"{name} gives no items of the sessions in {path.name}")
        found[f"{{}}, then {len(sessions)} cold reads"] = child.ask("resident")
        if kind == DUCK:
            for query in ("tool_usage", "turn_pairs"):
                child.ask("query", name=query)
                found[f"{{}}, then {query}"] = child.ask("resident")
    return found


def _fill(folder: Path, scale: Scale) -> None:
    """Fill both files with the same, until the store's is large enough."""
    store = folder / KINDS[DUCKSTORE][1]
    number = 0
    while not store.exists() or store.stat().st_size < scale.memory_megabytes << 20:
        number += 1
        is_small = scale.memory_megabytes < 100
        copies, sessions = (1, 10) if is_small else (10, TEMPLATE_SESSIONS)
        for name, fill_file in ((DUCKSTORE, fill_duckstore), (SQLITE, fill_sqlite)):
            steps = timeline(number, sessions, ITEMS_PER_SESSION)
            fill_file(folder / KINDS[name][1], steps, copies, f"m{number}-")


def _sessions(name: str, path: Path, count: int) -> list[str]:
    """Some sessions from all over a file that nobody has open."""
    connect = duckdb.connect if name == DUCKSTORE else sqlite3.connect
    with closing(connect(str(path))) as connection:  # type: ignore[operator]
        found = [row[0] for row in connection.execute(SAMPLE_SQL[name]).fetchall()]
    return found[:: max(len(found) // count, 1)][:count]
