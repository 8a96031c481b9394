"""Each format knows its own files, and no others."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from duckstore.formats.sample import Sample, take_sample
from tests.formats import written
from tests.formats.reading import READERS, read_all
from tests.samples import RECORDINGS, assistant, user


def recognized_by(sample: Sample) -> list[str]:
    return [reader.NAME for reader in READERS if reader.recognizes(sample)]


@pytest.mark.parametrize("name", written.FILES)
def test_a_file_is_recognized_by_its_own_format_alone(tmp_path: Path, name: str) -> None:
    """Whatever its name is, except where nothing else tells it."""
    kind, write = written.FILES[name]
    expected = [kind] if kind != "jsonl" else []
    write(tmp_path / name)
    assert recognized_by(take_sample(tmp_path / name)) == expected
    renamed = tmp_path / "renamed.dat"
    os.rename(tmp_path / name, renamed)
    if not name.startswith(("rollout-2025-08", "rollout-2025-04")):  # told by their names
        assert recognized_by(take_sample(renamed)) == expected


@pytest.mark.parametrize("name", [name for name in written.FILES if name.endswith(".jsonl")])
def test_so_is_it_when_it_is_compressed(tmp_path: Path, name: str) -> None:
    kind, write = written.FILES[name]
    write(tmp_path / name)
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    assert recognized_by(take_sample(packed)) == ([kind] if kind != "jsonl" else [])


def test_a_database_of_sqlalchemy_is_recognized_by_its_own_format_alone(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    pytest.importorskip("aiosqlite")
    from tests.formats.test_sqlalchemy_session import write_sessions

    path = write_sessions(tmp_path / "chat.db", {"a": [user("1"), assistant("2")]})
    assert recognized_by(take_sample(path)) == ["sqlalchemy"]


@pytest.mark.parametrize("kind", ["codex", "claude-code"])
def test_a_folder_is_recognized_by_the_format_of_its_files(tmp_path: Path, kind: str) -> None:
    """Also among other files, and in folders below it."""
    (tmp_path / "notes.txt").write_text("hello")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    for name, (of, write) in written.FILES.items():
        if of == kind:
            write(below / name)
    assert recognized_by(take_sample(tmp_path)) == [kind]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"hello\nworld\n",
        b"[]",
        b"{}",
        b"[[[[",
        b'{"a": ' * 5000,
        b"null\n1\n",
        b'{"type": "user"}\n{"role": 5}\n{"messages": {}}\n{"payload": 1}\n',
        b'{"type": [], "payload": 1, "role": [], "sessionId": 1}\n',
        b'{"type": {}, "payload": 1}\n[{"role": "user", "content": [{"type": []}]}]\n',
        b'{"messages": [{"role": [], "content": [{"type": {}}]}]}\n',
        b'{"role": "user", "content": [{"type": []}, 5]}\n',
        b'{"mapping": []}',
        b'[{"mapping": 5, "current_node": 1}]',
        b'{"sessionId": "x"}\n',
        b"PK\x03\x04 but no zip file",
        b"SQLite format 3\x00 but no database",
        b"\x1f\x8b but no gzip",
        b"\xff\xfe\x00",
        bytes(range(256)) * 300,
    ],
)
def test_anything_else_is_recognized_by_none(tmp_path: Path, content: bytes) -> None:
    """And nothing is raised."""
    path = tmp_path / "conversations.json"
    path.write_bytes(content)
    assert recognized_by(take_sample(path)) == []


def test_every_recording_is_recognized_as_what_it_is() -> None:
    if not RECORDINGS.exists():
        pytest.skip("the recorded conversations are not beside this checkout")
    for path in RECORDINGS.rglob("*"):
        expected = []
        if path.name == "tau-bench-chat-completions.jsonl.gz":
            expected = ["chat"]
        elif path.name.startswith("chatgpt-"):
            expected = ["chatgpt"]
        assert recognized_by(take_sample(path)) == expected, path.name


@pytest.mark.parametrize("name", written.FILES)
def test_what_is_recognized_is_read(tmp_path: Path, name: str) -> None:
    """Nothing of it is left out but what is odd on purpose."""
    kind, write = written.FILES[name]
    if kind == "jsonl":
        return
    write(tmp_path / name)
    [reader] = [reader for reader in READERS if kind == reader.NAME]
    transcripts, _ = read_all(reader, tmp_path / name)
    assert {one.source for one in transcripts} == {kind}
