"""Fixtures that every test file shares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import duckstore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A path for a store that is not there yet."""
    return tmp_path / "agents.duckdb"


@pytest.fixture
def store(path: Path) -> Iterator[duckstore.Store]:
    """An empty store in a file, closed after the test."""
    with duckstore.open(path) as opened:
        yield opened
