"""Processes around an export: one that exports and is killed, and ones that read meanwhile.

The first forks a child for each export, so that thirty of them cost seconds: it never opens a store
itself, and a fork of it has no threads to lose.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.owner import environment
from tests.processes import ROOT

PART_ITEMS = 12
SESSIONS = 7
ADDED = 3
"""Items of each batch: whoever counts others sees half a batch."""


class Nursery:
    """The process that exports. Ends with its block."""

    def __init__(self) -> None:
        self._process = _start("exports")
        assert self._read() == "ready"

    def export(self, path: Path, folder: Path, **order: Any) -> float:
        """Export a store in a child.

        Args:
            path: The store.
            folder: Where to.
            order: `change`, a change that is made before; `step` and `times`, at which it kills
                itself; `delay`, seconds after which it is killed; `twice`, that two do it at once.

        Returns:
            How long it took; negative where it was killed.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order | {"path": str(path), "folder": str(folder)}))
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        seconds, *statuses = json.loads(self._read())
        assert set(statuses) <= {0, -signal.SIGKILL}, statuses
        return float(seconds if statuses[0] == 0 else -seconds)

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def __enter__(self) -> Nursery:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate(timeout=60)


class Reader:
    """A process that reads an export again and again until its block ends, and what it says."""

    def __init__(self, kind: str, folder: Path) -> None:
        """Begin to read.

        Args:
            kind: One of `READS`.
            folder: The export, which is there.
        """
        self._process = _start(kind, str(folder))
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "reading\n"

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        told, _ = self._process.communicate(timeout=60)
        if error is None:
            assert self._process.returncode == 0, told
            count, states = map(int, told.split())
            assert count > 5
            assert states > 1


def _start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.exporter", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
    )


def change(store: Any, number: int) -> None:
    """One change: three items more in a session; now and then another one is emptied."""
    talk = store.conversation(f"session {number % SESSIONS}")
    talk.add([{"role": "user", "content": f"{number} {index} MARK"} for index in range(ADDED)])
    if number % 4 == 3:
        store.conversation(f"session {(number * 2) % SESSIONS}").clear()


# In the processes --------------------------------------------------------------------------------


def _export(order: dict[str, Any]) -> None:
    """What a child does."""
    import duckstore
    from duckstore import faults
    from duckstore.exporting import plan

    plan.PART_ITEMS = PART_ITEMS
    left = order.get("times", 1)

    def observe(step: str) -> None:
        nonlocal left
        left -= step == order.get("step")
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    faults.observe(observe)
    with duckstore.open(order["path"]) as store:
        if "change" in order:
            change(store, order["change"])
        store.export_parquet(order["folder"])


def _exports() -> None:
    import duckstore.cli.exports
    import duckstore.store  # noqa: F401  # a child need not import it

    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        began = time.perf_counter()
        children = [_forked(order) for _ in range(1 + order.get("twice", 0))]
        if "delay" in order:
            time.sleep(order["delay"])
            os.kill(children[0], signal.SIGKILL)
        statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        print(json.dumps([time.perf_counter() - began, *statuses]), flush=True)


def _forked(order: dict[str, Any]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        _export(order)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


# Everything that a whole state fulfils, of whatever moment.
ARCHIVE_SQL = f"""
select
    (select count(*) from items) as items,
    (select count(*) from items) % {ADDED} = 0
    and (select count(*) from items) = (select count(*) from messages)
    and (select count(*) from items) = (select sum(item_count) from sessions)
    and (select count(*) from items) = (
        select count(*) from branch_items inner join items using (item_id)
    )
    and (select count(*) from history) >= (select count(*) from items) / {ADDED} as is_whole
"""


def _reads_archive(folder: str, is_over: Any) -> tuple[int, set[Any]]:
    import duckstore

    count, seen = 0, set[Any]()
    while not is_over():
        with duckstore.open_parquet(folder) as archive:
            for _ in range(5):
                items, is_whole = archive._rows(ARCHIVE_SQL).rows[0]
                assert is_whole, items
                seen.add(items)
                count += 1
    return count, seen


def _reads_files(folder: str, is_over: Any) -> tuple[int, set[Any]]:
    """By a tool that opens each file once."""
    import polars as pl

    def read() -> Any:
        paths = sorted(Path(folder, "items").rglob("*.parquet"))
        return pl.concat(pl.read_parquet(path.read_bytes()) for path in paths)

    return _loop(is_over, read)


def _reads_polars(folder: str, is_over: Any) -> tuple[int, set[Any]]:
    """By one that opens each file twice, and says so of one that was replaced in between."""
    import polars as pl

    def read() -> Any:
        for _ in range(5):
            with suppress(pl.exceptions.ComputeError):
                return pl.read_parquet(f"{folder}/items/**/*.parquet")
        raise AssertionError("it cannot be read when it is asked again either")

    return _loop(is_over, read)


def _loop(is_over: Any, read: Any) -> tuple[int, set[Any]]:
    count, seen = 0, set[Any]()
    while not is_over():
        items = read()
        assert all(n % ADDED == 0 for n in items.group_by("session_id").len()["len"])
        assert items["text"].str.ends_with("MARK").all()
        seen.add(items.height)
        count += 1
    return count, seen


READS = {"archive": _reads_archive, "files": _reads_files, "polars": _reads_polars}


def _reads(kind: str, folder: str) -> None:
    import select

    print("reading", flush=True)
    count, seen = READS[kind](folder, lambda: bool(select.select([sys.stdin], [], [], 0.02)[0]))
    print(count, len(seen))


if __name__ == "__main__":
    _exports() if sys.argv[1] == "exports" else _reads(*sys.argv[1:])
