"""`python -m tests.benchmarks`: run the suite and print its table."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import duckdb

from tests.benchmarks.operations import (
    Scale,
    measure_add,
    measure_get,
    measure_pop,
    measure_turn,
)
from tests.benchmarks.queries import fill_all, measure_queries
from tests.benchmarks.report import Report
from tests.benchmarks.startup import measure_size, measure_startup

__all__ = ["main", "run"]

PARTS = ("add", "get", "pop", "turn", "query", "start")
QUICK = Scale(rounds=20, seconds=5, sessions=1000, items=20_000, query_rounds=2)


async def run(folder: Path, scale: Scale, parts: Sequence[str] = PARTS) -> Report:
    """Measure the parts in `folder`, which must be empty, and return what was found."""
    report = Report(
        f"duckstore benchmarks: Python {platform.python_version()}, DuckDB {duckdb.__version__}, "
        f"openai-agents {version('openai-agents')}, {platform.system()}"
    )
    operations = {
        "add": measure_add,
        "get": measure_get,
        "pop": measure_pop,
        "turn": measure_turn,
    }
    for part, measure in operations.items():
        if part in parts:
            _say(f"{part} ...")
            _settle()
            report.rows += await measure(folder, scale)
    if "start" in parts:
        _say("start ...")
        report.rows += measure_startup(folder, scale)
    if "query" in parts:
        filled = folder / "queries"
        _say(f"filling three stores with {scale.items:,} items ...")
        seconds = fill_all(filled, scale.items)
        _say("filled in " + ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items()))
        _settle()
        report.rows += measure_queries(filled, scale)
        report.rows += measure_size(filled, scale)
    gc.unfreeze()
    return report


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options, run, print the table on stdout and progress on stderr."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="this part; repeatable")
    parser.add_argument("--quick", action="store_true", help="few rounds, small files")
    parser.add_argument("--rounds", type=int, help="operations of each kind and store")
    parser.add_argument("--items", type=int, help="items in the files that are queried")
    parser.add_argument("--sessions", type=int, help="other sessions in the file")
    parser.add_argument("--folder", type=Path, help="where the files go (default: temporary)")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args(arguments)
    scale = QUICK if options.quick else Scale()
    given = {name: getattr(options, name) for name in ("rounds", "items", "sessions")}
    scale = replace(scale, **{name: value for name, value in given.items() if value is not None})
    start, load = perf_counter(), _load()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        report = asyncio.run(run(Path(folder), scale, options.only or PARTS))
    report.title += f", {os.cpu_count()} cores, load {load} before and {_load()} after"
    print(report.text())
    if options.json:
        options.json.write_text(report.json() + "\n", encoding="utf-8")
    _say(f"done in {perf_counter() - start:.0f} s")


def _settle() -> None:
    """Keep what stands in memory already out of the collector's way."""
    gc.collect()
    gc.freeze()


def _load() -> str:
    """How busy the machine is: far above its cores, even ratios are rough."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
