"""Data frames arrive in another process as they are in the owner's."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import duckstore
from duckstore.rows import interruptible
from duckstore.schema import RELATIONS
from duckstore.streams import read_stream, write_stream
from tests.processes import BLOCKER, ROOT
from tests.rich import fill
from tests.test_rows import VALUES

OWNER = """
import sys, duckstore
store = duckstore.open(sys.argv[1])
print(store._access.is_owner, flush=True)
sys.stdin.read()
store.close()
"""


@contextmanager
def owner(path: Path, *blocked: str) -> Iterator[None]:
    """A process that has the store open, and cannot import some packages."""
    process = subprocess.Popen(
        [sys.executable, "-c", BLOCKER.format(blocked=blocked) + OWNER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        yield
    finally:
        process.communicate("", timeout=60)


@pytest.mark.parametrize("blocked", [(), ("pyarrow", "polars")], ids=["arrow", "parquet"])
def test_frames_are_equal_on_both_sides(blocked: tuple[str, ...], path: Path) -> None:
    """Every relation, with its types, also where the owner has no pyarrow."""
    with duckstore.open(path) as store:
        fill(store)
    questions = {name: f"from {name} order by all" for name in RELATIONS}
    questions["empty"] = "select * from items where false"
    questions["names"] = 'select 1 as "a ""b", $x as "JSON", 2::hugeint as c1'
    with owner(path, *blocked), duckstore.open(path) as store:
        assert not store._access.is_owner
        there = {name: _ask(store, sql) for name, sql in questions.items()}
    with duckstore.open(path) as store:
        assert store._access.is_owner
        for name, sql in questions.items():
            here = _ask(store, sql)
            assert there[name].schema == here.schema, name
            assert there[name].equals(here), name


def _ask(store: duckstore.Store, sql: str) -> pl.DataFrame:
    return store.sql(sql, x="text") if "$x" in sql else store.sql(sql)


class Sink(io.RawIOBase):
    """Keeps what is written to it."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.parts.append(bytes(data))
        return len(self.parts[-1])

    def close(self) -> None:
        """What was written is read afterwards."""


# Parquet has no such types, or no such values.
OTHER_TYPES = ("170141183460469231731687303715884105727", "enum", "int[2]")


@pytest.mark.parametrize("is_parquet", [False, True], ids=["arrow", "parquet"])
@pytest.mark.parametrize("expression", [text for text, _ in VALUES])
def test_every_type_arrives_as_it_is(
    expression: str, is_parquet: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with duckstore.open() as store:
        sql = f"select {expression} as x"
        try:
            expected = store.sql(sql)
        except duckstore.DuckstoreError:
            return  # no data frame holds it, here or there
        if is_parquet and (expression == "null" or any(w in expression for w in OTHER_TYPES)):
            return
        sink = Sink()
        with monkeypatch.context() as without:
            if is_parquet:
                without.setitem(sys.modules, "pyarrow", None)
            write_stream(store._access.engine, sql, None, interruptible, sink)
        found = read_stream(io.BufferedReader(io.BytesIO(b"".join(sink.parts))))  # type: ignore[arg-type]
        assert found.schema == expected.schema
        assert found.equals(expected)
