"""Every query of the catalogue on stores of several sizes: seconds, and the most memory.

Each is asked once, in a process of its own, so that the peak of its memory is known and nothing is
warm but the file. Each store has one long session too, and stands beside a store of that session
alone: a query that is quadratic in the store or in a session takes 25 times as long where either is
five times as large.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from duckstore import catalogue
from tests.benchmarks.bulk import fill_duckstore
from tests.benchmarks.conversations import timeline
from tests.benchmarks.queries import ITEMS_PER_SESSION, TEMPLATE_ITEMS
from tests.benchmarks.report import Report, Row, short
from tests.benchmarks.scale import Scale
from tests.benchmarks.startup import child_code
from tests.benchmarks.stores import DUCKSTORE

__all__ = ["catalogue_markdown", "measure_catalogue"]

LONG_SESSION = 50
"""One item in so many is in the long session."""
MEMORY_LIMIT = "1500MB"
"""What DuckDB may use; the frame that polars gets comes on top of it."""
_ASK = """
import json, pathlib, resource, sys, time
import duckstore
def peak():
    status = pathlib.Path("/proc/self/status")
    if status.exists():  # getrusage() begins with what the process had from which this one came
        line = next(s for s in status.read_text().splitlines() if s.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**10
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
def main(path, name, limit):
    with duckstore.open(path, read_only=True, memory_limit=limit) as store:
        start = time.perf_counter()
        try:
            height = store.query(name).height
        except duckstore.errors.SQLError as error:
            print(json.dumps(str(error).splitlines()[0]))
            return
        seconds = time.perf_counter() - start
    print(json.dumps([seconds, peak(), height]))
main(*sys.argv[1:])
"""


async def measure_catalogue(folder: Path, scale: Scale) -> list[Row]:
    """Fill a store of each size and one of its long session, and ask both everything."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for count in scale.catalogue_items:
        places = {f"{count:,} items": count, f"{count // LONG_SESSION:,} in one session": 0}
        for place, others in places.items():
            path = folder / f"{count}-{others}.duckdb"
            if others:
                template = max(min(others, TEMPLATE_ITEMS) // ITEMS_PER_SESSION, 1)
                copies = max(others // (template * ITEMS_PER_SESSION), 1)
                fill_duckstore(path, timeline(7, template, ITEMS_PER_SESSION), copies)
            fill_duckstore(path, timeline(8, 1, max(count // LONG_SESSION, 40)), 1, "long")
            for name in catalogue.bundled():
                rows += _ask(path, name, place)
            path.unlink()
    return sorted(rows, key=lambda row: list(catalogue.bundled()).index(row.case.split(",")[0]))


def _ask(path: Path, name: str, place: str) -> list[Row]:
    answer: Any = child_code(_ASK, path, name, MEMORY_LIMIT)
    if isinstance(answer, str):
        print(f"NOT ANSWERED: {name}, {place}: {answer}", file=sys.stderr, flush=True)
        answer = None
    case = f"{name}, {place}"
    seconds = {DUCKSTORE: [answer[0]] if answer else []}
    memory = {DUCKSTORE: [answer[1]] if answer else []}
    return [
        Row("catalogue", case, seconds, "s"),
        Row("catalogue", f"{case}, memory", memory, "MB"),
    ]


def catalogue_markdown(report: Report) -> str:
    """The table of the README: a line a query, with what five times the items come to."""
    found: dict[str, dict[str, list[Row]]] = {}
    for row in report.rows:
        if row.part == "catalogue":
            name, place = row.case.removesuffix(", memory").split(", ", 1)
            found.setdefault(name, {}).setdefault(place, []).append(row)
    places = list(next(iter(found.values())))
    stores = [place for place in places if place.endswith(" items")]
    sessions = [place for place in places if place not in stores]
    head = ["query", *(f"{p}: s" for p in stores), "ratio", *(f"{p}: MB" for p in stores)]
    head += [*(f"{p}: s" for p in sessions), "ratio"]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for name, rows in found.items():
        cells = [f"`{name}`", *_figures([rows[place][0] for place in stores], ratio=True)]
        cells += _figures([rows[place][1] for place in stores], ratio=False)
        lines.append([*cells, *_figures([rows[place][0] for place in sessions], ratio=True)])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\n{report.title}."


def _figures(rows: list[Row], *, ratio: bool) -> list[str]:
    values = [row.samples[DUCKSTORE][0] if row.samples[DUCKSTORE] else None for row in rows]
    texts = ["failed" if value is None else short(value) for value in values]
    if not ratio:
        return texts
    first, last = values[0], values[-1]
    return [*texts, short(last / first) if first and last else ""]
