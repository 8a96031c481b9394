"""Stores of older versions are brought up to date, after a copy of them was made."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

import duckstore
from duckstore import errors
from duckstore.schema import SCHEMA_VERSION
from tests.rich import fill
from tests.samples import user


def make_version_1(path: Path) -> None:
    """Take from a store what version 1 did not have."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("drop table request_rows")
        connection.execute("delete from store_meta where key = 'folded'")
        connection.execute("update store_meta set value = '1' where key = 'schema_version'")
        connection.execute("update store_meta set value = 'old' where key = 'relations'")


def test_a_store_of_version_1_is_brought_up_to_date(path: Path) -> None:
    """Everything in it is there, it can be written, and the old file stands beside it."""
    with duckstore.open(path) as store:
        fill(store)
        before = {s.session_id: store.conversation(s.session_id).items() for s in store.sessions()}
    make_version_1(path)
    old = path.read_bytes()
    with duckstore.open(path) as store:
        for session_id, items in before.items():
            assert store.conversation(session_id).items() == items
        store.conversation("orders").add([user("one more")])
        assert store.check() == []
    copy = path.with_name(path.name + ".v1")
    assert copy.read_bytes() == old
    with duckstore.open(path) as store:
        assert store.conversation("orders").items()[-1] == user("one more")
    with duckdb.connect(str(path)) as plain:
        found = plain.execute("select value from store_meta where key = 'schema_version'")
        assert found.fetchall() == [(str(SCHEMA_VERSION),)]


def test_an_older_store_is_not_changed_by_reading(path: Path) -> None:
    duckstore.open(path).close()
    make_version_1(path)
    before = path.read_bytes()
    with pytest.raises(errors.StoreReadOnlyError, match="open it once for writing"):
        duckstore.open(path, read_only=True)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]
