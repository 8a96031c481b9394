"""Fixtures that every test file shares."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import duckstore
from tests import rich
from tests.clock import Clock, stop_clock
from tests.owner import Keeper


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A path for a store that is not there yet."""
    return tmp_path / "agents.duckdb"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time that stores of this process see, set by the test."""
    return stop_clock(monkeypatch)


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed store without sessions, made once: making one costs more than most tests."""
    path = tmp_path_factory.mktemp("empty") / "empty.duckdb"
    duckstore.open(path).close()
    return path


@pytest.fixture
def store(path: Path, empty_file: Path) -> Iterator[duckstore.Store]:
    """An empty store in a file, closed after the test."""
    shutil.copy2(empty_file, path)
    with duckstore.open(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def keeper() -> Iterator[Keeper]:
    """A process that owns stores, so that this one is their client."""
    with Keeper() as process:
        yield process


@pytest.fixture
def client(keeper: Keeper, path: Path) -> Iterator[duckstore.Store]:
    """A store that another process owns."""
    keeper.open(path)
    with duckstore.open(path) as store:
        assert not store._access.is_owner
        yield store
        assert store._access._is_closed or not store._access.is_owner
    keeper.close(path)


@pytest.fixture
def both(
    client: duckstore.Store, tmp_path: Path
) -> Iterator[tuple[duckstore.Store, duckstore.Store]]:
    """The same, and one that this process owns."""
    with duckstore.open(tmp_path / "own.duckdb") as own:
        assert own._access.is_owner
        yield client, own


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can get at."""
    folder = Path(tempfile.mkdtemp(prefix="duckstore-test-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a session of every kind, made once."""
    path = tmp_path_factory.mktemp("rich") / "filled.duckdb"
    with duckstore.open(path) as store:
        rich.fill(store)
    return path


@pytest.fixture
def filled(path: Path, original: Path) -> Path:
    """A copy of that store for one test."""
    shutil.copy(original, path)
    return path
