"""A soak: three processes use fifty sessions at random, and nothing may grow or go wrong."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from statistics import mean

import duckstore
from duckstore.journal import journal_path
from tests.benchmarks.children import Child, resident_of
from tests.benchmarks.report import Row
from tests.benchmarks.scale import Scale
from tests.benchmarks.stores import DUCKSTORE, MIDDLE
from tests.benchmarks.worker import DUCK

__all__ = ["measure_soak"]

PROCESSES = 3
SAMPLES = 60
LEVEL = 1.1
"""What is at most so many times as much in the last third as in the middle one has levelled off."""
SLACK = 1.0
"""So many MB more mean nothing."""


async def measure_soak(folder: Path, scale: Scale) -> list[Row]:
    """Run it, print the samples, and compare every process' model with the store.

    Raises:
        RuntimeError: A session holds something else than it should, or `check` found something.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "store.duckdb"
    with ExitStack() as stack:
        children = [stack.enter_context(Child(DUCK, path)) for _ in range(PROCESSES)]
        for place, child in enumerate(children):
            child.ask("open")
            names = [f"soak-{n}" for n in range(place, scale.soak_sessions, PROCESSES)]
            child.tell("soak", names=names, seconds=scale.soak_seconds, seed=place)
        samples = _sample(path, children, scale.soak_seconds)
        done = [child.answer() for child in children]
        models = {}
        for child in children:
            models.update(child.ask("models"))
    _verify(path, models)
    total = {what: sum(one.get(what, 0) for one in done) for what in sorted(set().union(*done))}
    print("done:", ", ".join(f"{count:,} {what}" for what, count in total.items()))
    rows = []
    for what, values in samples.items():
        third = len(values) // 3
        middle, last = values[third : 2 * third], values[2 * third :]
        is_level = mean(last) <= max(mean(middle) * LEVEL, mean(middle) + SLACK)
        print(f"{what}: {'levels off' if is_level else 'STILL GROWS'}")
        rows.append(Row("soak", what, {DUCKSTORE: last, MIDDLE: middle}, "MB"))
    return rows


def _sample(path: Path, children: list[Child], seconds: float) -> dict[str, list[float]]:
    """Look at everything from time to time. Returns MB by what it is."""
    samples: dict[str, list[float]] = {}
    begun = time.monotonic()
    print("seconds  resident MB of each process  file  log  journal MB")
    while (elapsed := time.monotonic() - begun) < seconds:
        found = {f"resident, process {n}": resident_of(c.pid) for n, c in enumerate(children)}
        for name, place in (("file", path), ("log", f"{path}.wal"), ("journal", _journal(path))):
            found[name] = _megabytes(Path(place))
        for name, value in found.items():
            samples.setdefault(name, []).append(value)
        print(
            f"{elapsed:7.1f}  " + "  ".join(f"{value:.1f}" for value in found.values()), flush=True
        )
        time.sleep(seconds / SAMPLES)
    return samples


def _verify(path: Path, models: dict[str, list[object]]) -> None:
    with duckstore.open(path) as store:
        for name, model in models.items():
            found = store.conversation(name).items()
            if found != model:
                raise RuntimeError(f"session {name} holds {len(found)} items, not {len(model)}")
        findings = store.check()
        if findings:
            raise RuntimeError(f"check found {findings}")
        print(f"{len(models)} sessions are as their processes have them; check found nothing")


def _journal(path: Path) -> str:
    return journal_path(str(path))


def _megabytes(path: Path) -> float:
    try:
        return path.stat().st_size / 2**20
    except FileNotFoundError:
        return 0.0
