"""What it costs to be there: importing, opening, memory, bytes on disk.

Each figure comes from a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.benchmarks.report import Row
from tests.benchmarks.scale import Scale
from tests.benchmarks.stores import ADVANCED, DUCKSTORE, SQLITE

__all__ = ["child_code", "measure_size", "measure_startup"]

_IMPORT = """
from time import perf_counter
start = perf_counter()
import duckdb
between = perf_counter()
import duckstore
end = perf_counter()
print([(between - start) * 1000, (end - between) * 1000])
"""

# The first opening also loads what is loaded on first use, and is left out.
_OPEN = """
import sys
from time import perf_counter
import duckstore
times = []
for path in sys.argv[1:]:
    start = perf_counter()
    duckstore.open(path).close()
    times.append((perf_counter() - start) * 1000)
print(times[1:])
"""

_OPEN_SQLITE = """
import sys
from time import perf_counter
from agents.memory import SQLiteSession
times = []
for path in sys.argv[1:]:
    start = perf_counter()
    SQLiteSession("new", path).close()
    times.append((perf_counter() - start) * 1000)
print(times[1:])
"""

# Linux says what is resident now; elsewhere the peak stands in (in bytes on macOS).
_MEMORY = """
import os, resource, sys
def resident():
    if os.path.exists("/proc/self/statm"):
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize() / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
import duckdb
figures = [resident()]
import duckstore
store = duckstore.open(sys.argv[1])
figures.append(resident())
for name in ("tool_usage", "edit_points", "turn_pairs"):
    store.query(name)
    figures.append(resident())
print(figures)
"""


async def measure_startup(folder: Path, scale: Scale) -> list[Row]:
    """Milliseconds to import duckstore beyond duckdb, and to open a new store."""
    folder.mkdir(parents=True, exist_ok=True)
    times = min(scale.rounds, 9)
    imports = [child_code(_IMPORT) for _ in range(times)]
    opening = {
        name: child_code(code, *(folder / f"new{number}{suffix}" for number in range(times + 1)))
        for name, code, suffix in (
            (DUCKSTORE, _OPEN, ".duckdb"),
            (SQLITE, _OPEN_SQLITE, ".sqlite"),
        )
    }
    return [
        Row("start", "import duckdb", {DUCKSTORE: [first for first, _ in imports]}),
        Row("start", "import duckstore beyond it", {DUCKSTORE: [more for _, more in imports]}),
        Row("start", "make and close a new store", opening),
    ]


def measure_size(folder: Path, scale: Scale) -> list[Row]:
    """Opening, memory and size of the files that hold the queries' sessions."""
    store = folder / "store.duckdb"
    what = f"{scale.items:,} items"
    times = min(scale.rounds, 5) + 1
    opening = {DUCKSTORE: child_code(_OPEN, *[store] * times)}
    sizes = {
        name: [(folder / file).stat().st_size / 2**20]
        for name, file in (
            (DUCKSTORE, "store.duckdb"),
            (SQLITE, "session.sqlite"),
            (ADVANCED, "advanced.sqlite"),
        )
    }
    memory = child_code(_MEMORY, store)
    cases = ("import duckdb", "store opened", "tool_usage", "edit_points", "turn_pairs")
    return [
        Row("size", f"open and close, {what}", opening),
        Row("size", f"file, {what}", sizes, "MB"),
        *(
            Row("size", f"resident after {case}", {DUCKSTORE: [value]}, "MB")
            for case, value in zip(cases, memory, strict=True)
        ),
    ]


def child_code(code: str, *arguments: object) -> Any:
    """What a process of its own prints when it runs the code."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"a child process of the benchmark failed:\n{done.stderr}")
    return json.loads(done.stdout)
