"""`python -m tests.benchmarks`: run the suite and print its table."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import duckdb

from tests.benchmarks.archive import measure_archive
from tests.benchmarks.branches import measure_branches
from tests.benchmarks.catalogue import catalogue_markdown, measure_catalogue
from tests.benchmarks.durability import measure_durability
from tests.benchmarks.goals import markdown
from tests.benchmarks.growth import measure_growth
from tests.benchmarks.latency import measure_latency
from tests.benchmarks.many import measure_many
from tests.benchmarks.memory import measure_memory
from tests.benchmarks.operations import measure_add, measure_get, measure_pop, measure_turn
from tests.benchmarks.processes import measure_processes
from tests.benchmarks.queries import measure_query
from tests.benchmarks.report import Report
from tests.benchmarks.scale import QUICK, Scale
from tests.benchmarks.soak import measure_soak
from tests.benchmarks.startup import measure_startup
from tests.benchmarks.watching import measure_watching

__all__ = ["ALL", "PARTS", "main", "run"]

MEASURES = {
    "add": measure_add,
    "get": measure_get,
    "pop": measure_pop,
    "turn": measure_turn,
    "many": measure_many,
    "durability": measure_durability,
    "processes": measure_processes,
    "latency": measure_latency,
    "start": measure_startup,
    "query": measure_query,
    "growth": measure_growth,
    "memory": measure_memory,
    "branches": measure_branches,
    "watching": measure_watching,
    "catalogue": measure_catalogue,
    "archive": measure_archive,
    "soak": measure_soak,
}
ALL = tuple(MEASURES)
PARTS = ALL[:-3]
"""What runs unless something is named: the last three take long, each by itself."""
KEPT = {"growth": "memory"}
"""Files that a later part uses again."""


async def run(folder: Path, scale: Scale, parts: Sequence[str] = PARTS) -> Report:
    """Measure the parts in `folder`, which must be empty, and return what was found."""
    report = Report(
        f"duckstore benchmarks: Python {platform.python_version()}, DuckDB {duckdb.__version__}, "
        f"openai-agents {version('openai-agents')}, {platform.system()}"
    )
    for part, measure in MEASURES.items():
        if part in parts:
            start = perf_counter()
            gc.collect()
            gc.freeze()  # what stands in memory already is out of the collector's way
            try:
                report.rows += await measure(folder / part, scale)
            finally:
                gc.unfreeze()
            if KEPT.get(part) not in parts:
                shutil.rmtree(folder / part)
            _say(f"{part}: {perf_counter() - start:.0f} s")
    return report


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options, run, print the table on stdout and progress on stderr."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=ALL, help="this part; repeatable")
    parser.add_argument("--quick", action="store_true", help="few rounds, small files")
    parser.add_argument("--rounds", type=int, help="operations of each kind and store")
    parser.add_argument("--items", type=int, help="items in the files that are queried")
    parser.add_argument("--sessions", type=int, help="other sessions in the file")
    parser.add_argument(
        "--growth", type=_counts, help="items at which growth is measured, as 1000,50000"
    )
    parser.add_argument("--megabytes", type=int, help="how large the file of `latency` grows")
    parser.add_argument("--seconds", type=float, help="how long the soak takes")
    parser.add_argument("--folder", type=Path, help="where the files go (default: temporary)")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--markdown", type=Path, help="write the table of the goals here as well")
    options = parser.parse_args(arguments)
    given = {
        "rounds": options.rounds,
        "items": options.items,
        "sessions": options.sessions,
        "growth": options.growth,
        "latency_megabytes": options.megabytes,
        "soak_seconds": options.seconds,
    }
    scale = replace(
        QUICK if options.quick else Scale(),
        **{name: value for name, value in given.items() if value is not None},
    )
    start, load = perf_counter(), _load()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        report = asyncio.run(run(Path(folder), scale, options.only or PARTS))
    report.title += f", {os.cpu_count()} cores, load {load} before and {_load()} after"
    print(report.text())
    if options.json:
        options.json.write_text(report.json() + "\n", encoding="utf-8")
    if options.markdown:
        write = catalogue_markdown if options.only == ["catalogue"] else markdown
        options.markdown.write_text(write(report) + "\n", encoding="utf-8")
    _say(f"done in {perf_counter() - start:.0f} s")


def _counts(text: str) -> tuple[int, ...]:
    return tuple(sorted(int(part) for part in text.split(",")))


def _load() -> str:
    """How busy the machine is: far above its cores, even ratios are rough."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
