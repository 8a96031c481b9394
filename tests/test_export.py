"""Parquet export: what other tools find in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pyarrow import parquet

import duckstore
from duckstore import Store, errors
from duckstore.export import _ORDER
from duckstore.schema import RELATIONS
from tests.rich import fill
from tests.samples import user

UTC_TIME = pl.Datetime("us", "UTC")
FILES = sorted(f"{relation}.parquet" for relation in RELATIONS)

# What a reader finds for each type of the live relations.
PARQUET_TYPES = {
    "VARCHAR": "string",
    "JSON": "string",
    "BIGINT": "int64",
    "DOUBLE": "double",
    "BOOLEAN": "bool",
    "VARCHAR[]": "list<element: string>",
    "TIMESTAMP WITH TIME ZONE": "timestamp[us, tz=UTC]",
    "DATE": "date32[day]",
}


@pytest.fixture(scope="module")
def rich() -> Iterator[Store]:
    with duckstore.open() as opened:
        fill(opened)
        yield opened


@pytest.fixture(scope="module")
def exported(rich: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "deep" / "er"
    counts = rich.export_parquet(folder)
    assert counts == {
        relation: rich.sql(f"select count(*) from {relation}").item() for relation in RELATIONS
    }
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_one_file_for_each_relation_and_nothing_else(exported: Path) -> None:
    assert names(exported) == FILES


@pytest.mark.parametrize("relation", RELATIONS)
def test_the_file_holds_the_rows_of_the_relation(
    rich: Store, exported: Path, relation: str
) -> None:
    """Same columns, types and rows as the live relation, in the documented order."""
    live = rich.sql(f"from {relation} order by {_ORDER[relation]}")
    assert_frame_equal(pl.read_parquet(exported / f"{relation}.parquet"), live)


@pytest.mark.parametrize("relation", RELATIONS)
def test_types_that_every_reader_takes(rich: Store, exported: Path, relation: str) -> None:
    """pyarrow sees plain types: JSON is text, moments are UTC, nothing is hugeint or decimal."""
    schema = parquet.read_schema(exported / f"{relation}.parquet")
    types = rich.sql(f"describe {relation}").select("column_name", "column_type").rows()
    assert [(field.name, str(field.type)) for field in schema] == [
        (name, PARQUET_TYPES[kind]) for name, kind in types
    ]


def test_json_and_moments_in_polars(exported: Path) -> None:
    sessions = pl.read_parquet(exported / "sessions.parquet")
    assert sessions.schema["metadata"] == pl.String
    assert sessions.schema["tags"] == pl.List(pl.String)
    assert sessions.schema["created_at"] == UTC_TIME
    calls = pl.read_parquet(exported / "tool_calls.parquet")
    assert calls.schema["arguments_json"] == pl.String
    assert '{"order": 7}' in calls["arguments_json"].to_list()


def test_the_files_can_be_joined_without_the_store(exported: Path) -> None:
    """A branch's items in order are a plain join of the files."""
    items = pl.scan_parquet(exported / "items.parquet")
    places = pl.scan_parquet(exported / "branch_items.parquet")
    branches = pl.scan_parquet(exported / "branches.parquet")
    texts = (
        branches.filter((pl.col("session_id") == "forked") & (pl.col("name") == "second try"))
        .join(places, on="branch_id")
        .join(items.select("item_id", "text"), on="item_id")
        .sort("position")
        .collect()["text"]
    )
    assert texts.to_list() == ["Tell a joke.", "Knock knock."]


def test_an_empty_store_gives_files_with_columns(store: Store, tmp_path: Path) -> None:
    assert store.export_parquet(tmp_path / "out") == dict.fromkeys(RELATIONS, 0)
    assert names(tmp_path / "out") == FILES
    frame = pl.read_parquet(tmp_path / "out" / "runs.parquet")
    assert frame.is_empty()
    assert frame.columns == store.sql("from runs").columns


def test_a_later_export_replaces_an_earlier_one(store: Store, tmp_path: Path) -> None:
    """Its files are replaced, other files in the folder stay."""
    store.conversation("s").add([user("one")])
    store.export_parquet(tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    store.conversation("s").clear()
    store.conversation("s").add([user("two")])
    store.export_parquet(str(tmp_path / "out"))
    assert pl.read_parquet(tmp_path / "out" / "items.parquet")["text"].to_list() == ["two"]
    assert names(tmp_path / "out") == sorted([*FILES, "notes.txt"])
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["it's", "ünï", "a b", "{x}", "100%", "a*", "?[0]", "-"])
def test_a_folder_of_any_name(store: Store, tmp_path: Path, name: str) -> None:
    store.export_parquet(tmp_path / name)
    assert names(tmp_path / name) == FILES


def test_the_home_folder(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tilde means the user's folder, as it does for the store's own path."""
    monkeypatch.setenv("HOME", str(tmp_path))
    store.export_parquet("~/out")
    assert names(tmp_path / "out") == FILES


def test_a_folder_that_is_a_file(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(errors.StorePathError, match="Choose a folder") as caught:
            store.export_parquet(folder)
        assert str(folder) in str(caught.value)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_without_the_right_to_write(store: Store, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(errors.StorePathError, match=r"Permission denied.*Choose a folder"):
        store.export_parquet(tmp_path / "closed")


@pytest.mark.parametrize("relation", [RELATIONS[0], RELATIONS[-1]])
def test_a_failed_export_changes_nothing(store: Store, tmp_path: Path, relation: str) -> None:
    """Where one file cannot be put in its place, none is, and nothing half-written stays."""
    folder = tmp_path / "out"
    store.conversation("s").add([user("one")])
    store.export_parquet(folder)
    (folder / f"{relation}.parquet").unlink()
    (folder / f"{relation}.parquet").mkdir()
    store.conversation("s").add([user("two")])
    with pytest.raises(errors.StorePathError, match=f"{relation}.parquet is a directory"):
        store.export_parquet(folder)
    assert names(folder) == FILES
    assert pl.read_parquet(folder / "items.parquet")["text"].to_list() == ["one"]
    assert store.conversation("s").items() == [user("one"), user("two")]


def test_purged_words_are_in_no_later_export(store: Store, tmp_path: Path) -> None:
    store.conversation("s").add([user("a very secret word")])
    store.conversation("t").add([user("hello")])
    store.purge("s")
    store.export_parquet(tmp_path / "out")
    for path in (tmp_path / "out").iterdir():
        assert "secret" not in str(pl.read_parquet(path).rows()), path.name
