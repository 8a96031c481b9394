"""A folder that follows a store by itself."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import duckstore
from duckstore import errors
from duckstore.exporting import mirror
from tests.exported import assert_is_live, seals, values_of
from tests.owner import owned
from tests.processes import python
from tests.samples import user


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "IDLE_SECONDS", 0.2)


def wait_for(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def texts(folder: Path) -> list[str]:
    """What is in the folder, as soon as there is one."""
    if not (folder / "manifest.json").exists():
        return []
    return [text for (text,) in values_of(folder, "select text from messages order by item_id")]


def test_it_is_exported_when_the_conversations_pause(path: Path, tmp_path: Path) -> None:
    """At once when it is opened, after each pause, and at the end."""
    folder = tmp_path / "out"
    with duckstore.open(path, mirror=folder) as store:
        assert store.mirror is not None
        assert store.mirror.folder == folder
        wait_for(lambda: (folder / "manifest.json").exists())
        store.conversation("s").add([user("one")])
        wait_for(lambda: texts(folder) == ["one"])
        store.conversation("s").add([user("two")])
        wait_for(lambda: texts(folder) == ["one", "two"])
        wait_for(lambda: getattr(store.mirror, "report").row_counts["items"] == 2)  # noqa: B009
        assert store.mirror.error is None
        store.conversation("s").add([user("three")])
    assert texts(folder) == ["one", "two", "three"]
    with duckstore.open(path) as store:
        assert store.mirror is None
        assert store.verify_export(folder) == []
        assert_is_live(store, folder)


def test_nothing_is_done_while_nothing_is_written(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with duckstore.open(path, mirror=folder) as store:
        store.conversation("s").add([user("one")])
        wait_for(lambda: texts(folder) == ["one"])
        time.sleep(0.5)
        assert store.mirror is not None
        before, report = seals(folder), store.mirror.report
        store.conversation("s").items()
        store.sql("from items")
        time.sleep(0.7)
        assert store.mirror.report is report
    assert seals(folder) == before


def test_agents_that_make_no_pause_are_exported_now_and_then(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "IDLE_SECONDS", 0.4)
    monkeypatch.setattr(mirror, "LONGEST_SECONDS", 1.0)
    folder, reports = tmp_path / "out", set()
    with duckstore.open(path, mirror=folder) as store:
        end = time.monotonic() + 20
        while time.monotonic() < end and len(reports) < 3:
            store.conversation("s").add([user("again")])
            assert store.mirror is not None
            if store.mirror.report is not None:
                reports.add(store.mirror.report.row_counts["items"])
            time.sleep(0.01)
    assert len(reports) >= 3


def test_what_was_purged_is_gone_from_the_folder(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with duckstore.open(path, mirror=folder) as store:
        store.conversation("s").add([user("one")])
        wait_for(lambda: texts(folder) == ["one"])
        store.purge("s")
        wait_for(lambda: texts(folder) == [])
        names = [name for name, seal in seals(folder).items() if b"one" in seal.content]
        assert names == []


def test_what_cannot_be_exported_is_told_and_tried_again(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The agent goes on, the log names the folder, and when it can be written it is."""
    monkeypatch.setattr(mirror, "LONGEST_SECONDS", 0.3)
    folder = tmp_path / "out"
    folder.write_text("mine")
    with (
        caplog.at_level(logging.WARNING, logger="duckstore"),
        duckstore.open(path, mirror=folder) as store,
    ):
        store.conversation("s").add([user("one")])
        assert store.mirror is not None
        wait_for(lambda: store.mirror is not None and store.mirror.error is not None)
        assert isinstance(store.mirror.error, errors.StorePathError)
        assert str(folder) in caplog.text
        assert folder.read_text() == "mine"
        folder.unlink()
        wait_for(lambda: store.mirror is not None and store.mirror.error is None)
        wait_for(lambda: texts(folder) == ["one"])


def test_a_client_keeps_one_as_well(path: Path, tmp_path: Path) -> None:
    """Of a store that another process owns, with what is written through this one."""
    folder = tmp_path / "out"
    with owned(path), duckstore.open(path, mirror=folder) as store:
        assert not store._access.is_owner
        store.conversation("s").add([user("one")])
        wait_for(lambda: texts(folder) == ["one"])


def test_a_store_in_memory_has_one_too(tmp_path: Path) -> None:
    """What it was is there when it is no more."""
    with duckstore.open(mirror=tmp_path / "out") as store:
        store.conversation("s").add([user("one")])
    assert texts(tmp_path / "out") == ["one"]


def test_the_home_folder_and_a_relative_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As everywhere; and it stays that folder when the process goes elsewhere."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("~/home", "here"):
        with duckstore.open(mirror=name) as store:
            assert store.mirror is not None
            assert store.mirror.folder == tmp_path / name.removeprefix("~/")
            os.chdir("/")
        assert (tmp_path / name.removeprefix("~/") / "manifest.json").exists()
        os.chdir(tmp_path)


# A program that forgets to close; one that forks.
FORGETS = """
import duckstore
store = duckstore.open({path!r}, mirror={folder!r})
store.conversation("s").add([{{"role": "user", "content": "one"}}])
"""
FORKS = """
import os
child = os.fork()
if not child:
    store.close()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
store.conversation("s").add([{"role": "user", "content": "two"}])
store.close()
store.mirror.close()
"""


def test_a_program_that_does_not_close_its_store(path: Path, tmp_path: Path) -> None:
    """The folder is brought up to date when the program ends."""
    python(FORGETS.format(path=str(path), folder=str(tmp_path / "out")))
    assert texts(tmp_path / "out") == ["one"]


def test_a_forked_child_leaves_it_to_its_parent(path: Path, tmp_path: Path) -> None:
    python(FORGETS.format(path=str(path), folder=str(tmp_path / "out")) + FORKS)
    assert texts(tmp_path / "out") == ["one", "two"]
