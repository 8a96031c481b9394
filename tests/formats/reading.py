"""Reading a file with a reader, and what the tests ask of what it gives."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from duckstore.formats import (
    chat,
    chatgpt,
    claude_code,
    codex,
    sqlalchemy_session,
    sqlite_session,
)
from duckstore.transcript import Transcript, TranscriptResponse

READERS: tuple[ModuleType, ...] = (
    chat,
    chatgpt,
    claude_code,
    codex,
    sqlalchemy_session,
    sqlite_session,
)


@dataclass
class Report:
    """Takes down what a reader tells."""

    skipped: list[tuple[str, str]] = field(default_factory=list)
    done: list[int] = field(default_factory=list)

    def skip(self, place: str, reason: str) -> None:
        self.skipped.append((place, reason))

    def advance(self, done: int) -> None:
        self.done.append(done)


def read_all(
    reader: ModuleType, path: Path | str, **options: Any
) -> tuple[list[Transcript], list[tuple[str, str]]]:
    """The transcripts of a file, and what was left out of it."""
    report = Report()
    transcripts = list(reader.read(path, report, **options))
    for transcript in transcripts:
        assert_sound(transcript)
    return transcripts, report.skipped


def read_one(reader: ModuleType, path: Path | str, **options: Any) -> Transcript:
    """The one transcript of a file of which nothing is left out."""
    transcripts, skipped = read_all(reader, path, **options)
    assert skipped == []
    [transcript] = transcripts
    return transcript


def assert_sound(transcript: Transcript) -> None:
    """What every transcript promises to the import."""
    count = len(transcript.items)
    assert count
    assert isinstance(transcript.session_id, str)
    assert transcript.session_id
    json.dumps(transcript.items)
    json.dumps(dict(transcript.metadata))
    parents = parents_of(transcript)
    assert len(parents) == count
    assert all(-1 <= parent < index for index, parent in enumerate(parents))
    for listed in (transcript.created_at, transcript.agent_names):
        assert listed is None or len(listed) == count
    assert all(at is None or at.tzinfo is not None for at in transcript.created_at or ())
    ends = [transcript.last_index, *transcript.branches.values()]
    assert all(end is None or 0 <= end < count for end in ends)
    for response in transcript.responses:
        assert 0 <= response.item_index < count
    indexes = [response.item_index for response in transcript.responses]
    assert len(indexes) == len(set(indexes))


def parents_of(transcript: Transcript) -> list[int]:
    """The parents of the items, written out."""
    if transcript.parents is None:
        return list(range(-1, len(transcript.items) - 1))
    return list(transcript.parents)


def path_to(transcript: Transcript, last: int | None = None) -> list[Any]:
    """The items from the opening to an item; to the end of the current path."""
    if last is None:
        last = transcript.last_index
    if last is None:
        last = len(transcript.items) - 1
    parents, path = parents_of(transcript), []
    while last >= 0:
        path.append(transcript.items[last])
        last = parents[last]
    return path[::-1]


def words(item: Any) -> str:
    """What a person would read of an item, with who said it."""
    if item["type"] == "message":
        content = item["content"]
        if isinstance(content, list):
            content = "+".join(part.get("text", part["type"]) for part in content)
        return f"{item['role']}: {content}"
    if item["type"] == "reasoning":
        parts = [*item["summary"], *item.get("content", [])]
        return "thought: " + "+".join(part["text"] for part in parts)
    for key in ("arguments", "input", "output"):
        if key in item:
            return f"{item['call_id']}: {item[key]}"
    return str(item["type"])


def talk(items: Iterable[Any]) -> list[str]:
    """What a person would read of items."""
    return list(map(words, items))


def response_at(transcript: Transcript, index: int) -> TranscriptResponse:
    """What is told of the response with an item."""
    [found] = [one for one in transcript.responses if one.item_index == index]
    return found


def write_lines(path: Path, lines: Iterable[Any]) -> Path:
    """Write JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path
