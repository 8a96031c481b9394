"""`duckstore import`: every option, and no bad input that ends in a traceback."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import duckstore
from duckstore.cli import ExitCode
from duckstore.cli.imports import MOST_NOTES
from tests.samples import assistant, user
from tests.test_cli import call, data, failure


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "talk.jsonl"


def write(path: Path, *lines: Any) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def row(path: Path, kind: str | None, *counts: int) -> dict[str, Any]:
    names = ("session_count", "grown_count", "unchanged_count", "item_count", "skipped_count")
    return {
        "path": str(path),
        "source_format": kind,
        **dict(zip(names, counts, strict=True)),
    }


TALK = {"session_id": "a", "items": [user("x"), assistant("y")]}


def test_it_makes_the_store_and_names_what_it_leaves_out(path: Path, source: Path) -> None:
    """That is no failure: what is good is in the store."""
    result = call("-d", path, "--format", "json", "import", write(source, TALK, 17))
    assert result.exit_code == ExitCode.OK
    assert json.loads(result.stdout) == [row(source, "jsonl", 1, 0, 0, 2, 1)]
    assert result.stderr.startswith(f"{source}, line 2: ")
    assert [found["session_id"] for found in data("-d", path, "sessions")] == ["a"]
    write(source, TALK)
    assert data("-d", path, "import", source) == [row(source, "jsonl", 0, 0, 1, 0, 0)]


def test_of_much_that_is_left_out_the_first_is_named(path: Path, source: Path) -> None:
    result = call("-d", path, "import", write(source, TALK, *range(MOST_NOTES + 5)))
    *notes, last = result.stderr.splitlines()
    assert (len(notes), last) == (MOST_NOTES, f"{source}: 5 more were left out")


def test_several_paths_and_folders(path: Path, tmp_path: Path) -> None:
    """Each file has its row; one that cannot be read is told, and the others are imported."""
    folder = tmp_path / "folder"
    folder.mkdir()
    one = write(folder / "one.jsonl", TALK)
    chat = write(folder / "chat.jsonl", {"id": "c", "messages": [user("hello")]})
    (folder / "note.txt").write_text("nothing")
    other = write(tmp_path / "other.jsonl", {**TALK, "session_id": "b"})
    missing = tmp_path / "missing.jsonl"
    result = call("-d", path, "--format", "json", "import", folder, missing, other)
    assert result.exit_code == ExitCode.FAILURE
    assert json.loads(result.stdout) == [
        row(chat, "chat", 1, 0, 0, 1, 0),
        row(one, "jsonl", 1, 0, 0, 2, 0),
        row(other, "jsonl", 1, 0, 0, 2, 0),
    ]
    assert "1 files of no known format were left alone\n" in result.stderr
    assert f"Error: {missing} is not there" in result.stderr
    (only,) = data("-d", path, "import", "--from", "jsonl", other)
    assert only["unchanged_count"] == 1


def test_a_dry_run_makes_no_file(path: Path, source: Path) -> None:
    """It counts as the import would, also against a store that is there."""
    expected = [row(write(source, TALK), "jsonl", 1, 0, 0, 2, 0)]
    assert data("-d", path, "import", "--dry-run", source) == expected
    assert list(path.parent.iterdir()) == [source]
    assert data("-d", path, "import", source) == expected
    grown = {**TALK, "items": [*TALK["items"], user("z")]}  # type: ignore[misc]
    expected = [row(write(source, grown), "jsonl", 0, 1, 0, 1, 0)]
    assert data("-d", path, "import", "--dry-run", source) == expected
    with duckstore.open(path) as store:
        assert len(store.conversation("a").items()) == 2


def test_strict_imports_nothing_of_a_path_with_a_problem(path: Path, source: Path) -> None:
    assert "line 2" in failure("-d", path, "import", "--strict", write(source, TALK, 17))
    assert data("-d", path, "sessions") == []
    write(source, TALK)
    assert data("-d", path, "import", "--strict", source)[0]["session_count"] == 1


def test_conflicts(path: Path, source: Path) -> None:
    """They are left out with a note that names the option that takes them."""
    write(source, TALK, {**TALK, "items": [user("other")]})
    result = call("-d", path, "import", source)
    assert "line 2: session 'a'" in result.stderr
    assert "rename" in result.stderr
    assert data("-d", path, "import", "--on-conflict", "rename", source) == [
        row(source, "jsonl", 1, 0, 1, 1, 0)
    ]
    assert {found["session_id"] for found in data("-d", path, "sessions")} == {"a", "a~2"}


@pytest.mark.parametrize("kind", ["garbage", "half", "gzip", "pipe", "loop", "zip", "sqlite"])
def test_bad_input_is_one_clear_line(kind: str, path: Path, tmp_path: Path) -> None:
    """Whatever it is; and where nothing is there, no store is made."""
    place = tmp_path / "bad.jsonl"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "loop":
        place.symlink_to(place)
    else:
        place.write_bytes(
            {
                "garbage": b"\x01\x02 no json \xff\xfe" * 50,
                "half": b'{"session_id": "a", "items": [',
                "gzip": b"\x1f\x8b\x08\x00half",
                "zip": b"PK\x03\x04half",
                "sqlite": b"SQLite format 3\x00" + b"\x00" * 50,
            }[kind]
        )
    assert "bad.jsonl" in failure("-d", path, "import", place)
    assert "bad.jsonl" in failure("-d", path, "import", "--from", "jsonl", place)
    assert "bad.jsonl" in failure("-d", path, "import", "--dry-run", "--strict", place)


def test_a_path_that_is_not_there_makes_no_store(path: Path, tmp_path: Path) -> None:
    assert "missing" in failure("-d", path, "import", tmp_path / "missing")
    assert not path.exists()
    assert call("-d", path, "import").exit_code == ExitCode.USAGE
    assert call("-d", path, "import", "--from", "yaml", "x").exit_code == ExitCode.USAGE
    assert "SQLAlchemy" in call("-d", path, "import", "nothing://x").stderr
