"""An export that is killed at any moment, or done by several at once, ends as one that was not."""

from __future__ import annotations

import json
import random
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import duckstore
from duckstore import faults
from duckstore.exporting import plan
from duckstore.exporting.manifest import parse
from tests.exported import assert_is_live, assert_is_sound, contents
from tests.exporter import PART_ITEMS, Nursery, Reader, change
from tests.owner import Keeper
from tests.samples import user

# What an export of the changes below reaches, and how often at least.
STEPS = {
    "export.part": (2,),
    "export.adopted": (1, 30),
    "export.complete": (1,),
    "export.published": (1,),
    "export.placed": (12,),
    "export.swept": (1,),
    "export.end": (1,),
}


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as process:
        yield process


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "PART_ITEMS", PART_ITEMS)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Path:
    """A store in three parts that was exported and has changed since: a session grew, one was
    cleared, one purged and one is new. And the folder that an export without a kill makes of it."""
    place = tmp_path_factory.mktemp("begun")
    with duckstore.open(place / "agents.duckdb") as store:
        for number in range(10):
            change(store, number)
    assert nursery.export(place / "agents.duckdb", place / "out") > 0
    copy(place, place / "ended")
    with duckstore.open(place / "agents.duckdb") as store:
        change(store, 11)
        store.purge("session 2")
        store.conversation("new").add([user(str(number)) for number in range(PART_ITEMS)])
        store.conversation("newer").add([user(str(number)) for number in range(3)])
    (place / "ended" / "agents.duckdb").unlink()
    assert nursery.export(place / "agents.duckdb", place / "ended" / "out") > 0
    return place


def copy(place: Path, target: Path) -> Path:
    """A store and its folder with their second names; faster than to make them again."""
    target.mkdir(exist_ok=True)
    for name in ("agents.duckdb", "out"):
        subprocess.run(["cp", "-a", place / name, target / name], check=True)
    return target


def left_over(folder: Path) -> set[str]:
    """Files of duckstore's own that no manifest names."""
    manifest = parse((folder / "manifest.json").read_text(), "")
    named = {Path(file.link).name for _, file in manifest.files()}
    found = {path.name for path in (folder / "_duckstore").rglob("*") if path.is_file()}
    return {name for name in found - named - {"lock"} if not name.endswith(".json.gz")}


# One that is killed ------------------------------------------------------------------------------


def test_every_step_is_tried() -> None:
    assert tuple(STEPS) == faults.EXPORT_STEPS


@pytest.mark.parametrize(
    ("step", "times"), [(step, n) for step, times in STEPS.items() for n in times]
)
def test_killed_at_a_step(
    step: str, times: int, begun: Path, nursery: Nursery, tmp_path: Path
) -> None:
    """Who follows the manifest sees the old state or the new one; the next export ends as one that
    was never killed, with every file in its place and no other."""
    place = copy(begun, tmp_path)
    assert nursery.export(place / "agents.duckdb", place / "out", step=step, times=times) < 0
    old, new = (contents(it) for it in (begun / "out", begun / "ended" / "out"))
    manifest = json.loads((place / "out" / "manifest.json").read_text())
    is_new = step in ("export.published", "export.placed", "export.swept", "export.end")
    expected = new if is_new else old
    assert manifest["row_counts"] == expected["manifest.json"]["row_counts"]
    with duckstore.open_parquet(place / "out") as archive:
        told = archive.sql("select session_id, text from messages").rows()
    texts = [
        (row[1], row[9])
        for name, rows in expected.items()
        if name.startswith("messages/")
        for row in rows
    ]
    assert sorted(told) == sorted(texts)
    assert nursery.export(place / "agents.duckdb", place / "out") > 0
    assert contents(place / "out") == new
    assert left_over(place / "out") == set()
    with duckstore.open(place / "agents.duckdb") as store:
        assert_is_live(store, place / "out")


def play_kills(nursery: Nursery, path: Path, folder: Path, count: int, seed: int) -> int:
    """Change and export so often, each time killed at another moment; returns how often it was."""
    dice = random.Random(seed)
    killed = 0
    longest = nursery.export(path, folder, change=0)
    with Reader("archive", folder), Reader("files", folder), Reader("polars", folder):
        for number in range(1, 8):  # every session is there
            longest = max(longest, nursery.export(path, folder, change=number))
        for number in range(8, 8 + count):
            delay = dice.uniform(0, longest)
            killed += nursery.export(path, folder, change=number, delay=delay) < 0
        assert nursery.export(path, folder) > 0
    return killed


@pytest.mark.parametrize(
    ("count", "seed"),
    [(8, 1), pytest.param(30, 2, marks=pytest.mark.slow)],  # half a minute for the thirty
)
def test_killed_at_random_moments(
    count: int, seed: int, nursery: Nursery, path: Path, tmp_path: Path
) -> None:
    """Whoever reads meanwhile sees no error and no half state; then it is as if nothing had been.

    One reader asks an archive questions that only whole states fulfil. Another looks for the files
    of a relation by itself, and finds each of them whole. polars does so too and opens each twice:
    it says so where one was replaced in between, and reads it when it is asked again.
    """
    folder = tmp_path / "out"
    assert play_kills(nursery, path, folder, count, seed) > count / 2
    assert left_over(folder) == set()
    with duckstore.open(path) as store:
        assert_is_sound(store, folder)
        assert store.check() == []


# Several -----------------------------------------------------------------------------------------


def test_two_at_once_are_one(begun: Path, nursery: Nursery, tmp_path: Path) -> None:
    """They wait for each other, and the second finds nothing to do."""
    place = copy(begun, tmp_path)
    assert nursery.export(place / "agents.duckdb", place / "out", twice=1) > 0
    assert contents(place / "out") == contents(begun / "ended" / "out")
    assert left_over(place / "out") == set()


def test_two_threads_at_once_are_one(begun: Path, tmp_path: Path) -> None:
    """Of one process, too."""
    place = copy(begun, tmp_path)
    reports = []
    with duckstore.open(place / "agents.duckdb") as store:
        threads = [
            threading.Thread(target=lambda: reports.append(store.export_parquet(place / "out")))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(report.is_changed for report in reports) == [False, True]
    assert contents(place / "out") == contents(begun / "ended" / "out")


@pytest.mark.parametrize("step", ["export.part", "export.adopted"])
def test_the_owner_of_the_store_is_killed_meanwhile(step: str, begun: Path, tmp_path: Path) -> None:
    """The client that exports becomes the owner, and goes on."""
    place = copy(begun, tmp_path)
    keeper = Keeper()
    keeper.open(place / "agents.duckdb")
    left = 2

    def observe(reached: str) -> None:
        nonlocal left
        left -= reached == step
        if not left and keeper.process.returncode is None:
            keeper.kill()

    with duckstore.open(place / "agents.duckdb") as store:
        assert not store._access.is_owner
        faults.observe(observe)
        try:
            store.export_parquet(place / "out")
        finally:
            faults.observe(None)
        assert keeper.process.returncode is not None
        assert store._access.is_owner
        assert contents(place / "out") == contents(begun / "ended" / "out")
        assert store.verify_export(place / "out") == []


def test_agents_write_meanwhile(path: Path, tmp_path: Path) -> None:
    """Each session is exported as of one moment, and the last export has everything."""
    folder, is_over = tmp_path / "out", threading.Event()
    with duckstore.open(path) as store:
        change(store, 0)
        store.export_parquet(folder)

        def write() -> None:
            number = 0
            while not is_over.wait(0.02):
                number += 1
                change(store, number)

        agent = threading.Thread(target=write)
        with Reader("archive", folder):
            agent.start()
            for _ in range(4):
                store.export_parquet(folder)
            is_over.set()
            agent.join()
            store.export_parquet(folder)
        assert_is_live(store, folder)
