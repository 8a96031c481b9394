"""The SDK's Session contract, as `DuckDBSession` keeps it."""

from __future__ import annotations

from pathlib import Path

import duckstore
from tests.samples import run, user


def test_items_come_back_in_order(path: Path) -> None:
    session = duckstore.DuckDBSession("s", path)
    run(session.add_items([user("one"), user("two")]))
    assert run(session.get_items()) == [user("one"), user("two")]
    session.close()
