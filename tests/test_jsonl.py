"""JSON lines of items: every key that the format has, and which files are of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from duckstore import errors
from duckstore.formats import jsonl
from duckstore.formats.sample import take_sample
from duckstore.transcript import Transcript, TranscriptResponse
from duckstore.usage import Usage
from tests.formats.reading import Report, read_all, read_one
from tests.samples import assistant, call, output, user

ITEMS = [user("one"), call("find", "c"), output("c"), assistant("1")]


def write(path: Path, *lines: Any) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "talk.jsonl"


def test_every_key_is_read(file: Path) -> None:
    line = {
        "session_id": "a",
        "items": ITEMS,
        "parents": [-1, 0, 1, None],
        "created_at": ["2026-01-02T03:04:05.000006+00:00", None, "2026-01-02T04:04:05+01:00", None],
        "agent_names": [None, "x", None, "y"],
        "responses": [
            {
                "item_index": 1,
                "usage": {"input_tokens": 5, "output_tokens": 2, "request_count": 3},
                "model": "m",
                "provider_response_id": "r",
                "finish_reason": "stop",
            },
            {
                "item_index": 3,
                "usage": {
                    "prompt_tokens": 9,
                    "completion_tokens": 1,
                    "prompt_tokens_details": {"cached_tokens": 4},
                },
            },
        ],
        "branches": {"main": 3, "early": 2},
        "last_index": 2,
        "title": "t",
        "user_id": "u",
        "tags": ["x", "y"],
        "source": "s",
        "meta": {"k": [1]},
        "session_created_at": "2026-01-01T00:00:00Z",
        "something else": 1,
    }
    assert read_one(jsonl, write(file, line)) == Transcript(
        "a",
        ITEMS,
        parents=[-1, 0, 1, -1],
        created_at=[
            datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
            None,
            datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            None,
        ],
        agent_names=[None, "x", None, "y"],
        responses=[
            TranscriptResponse(1, Usage(3, 5, 2, 0, 0, 0, 7), "m", "r", "stop"),
            TranscriptResponse(3, Usage(1, 9, 1, 4, 0, 0, 10)),
        ],
        branches={"main": 3, "early": 2},
        last_index=2,
        title="t",
        user_id="u",
        tags=["x", "y"],
        source="s",
        metadata={"k": [1]},
        session_created_at=datetime(2026, 1, 1, tzinfo=UTC),
        place="line 1",
    )


def test_usage_without_indexes_belongs_to_the_responses_in_order(file: Path) -> None:
    """Where there are as many; of one model, if the metadata names one."""
    usage = [{"input_tokens": 1}, {"input_tokens": 2}]
    found = read_one(
        jsonl, write(file, {"items": ITEMS, "usage": usage, "meta": {"models": ["m"]}})
    )
    assert [
        (told.item_index, told.usage and told.usage.input_tokens) for told in found.responses
    ] == [
        (1, 1),
        (3, 2),
    ]
    assert {told.model for told in found.responses} == {"m"}
    assert read_one(jsonl, write(file, {"items": ITEMS, "usage": usage[:1]})).responses == []


def test_lines_of_items_and_lists_of_them(file: Path) -> None:
    """Lines that are items are one conversation, named after the file; a list is one of its own."""
    found = read_one(jsonl, write(file, *ITEMS))
    assert (found.session_id, found.items) == ("talk", ITEMS)
    first, second = read_all(jsonl, write(file, ITEMS[:1], {"items": ITEMS}))[0]
    assert (first.session_id, first.items) == ("talk:1", ITEMS[:1])
    assert (second.session_id, second.items) == ("talk:2", ITEMS)


def test_a_session_without_items_is_one_if_it_says_anything(file: Path) -> None:
    report = Report()
    write(file, {"session_id": "a", "items": [], "title": "t"}, {"items": []})
    assert [(one.session_id, one.title) for one in jsonl.read(file, report)] == [("a", "t")]
    assert report.skipped == [("line 2", "it has no items")]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([{"items": []}], True),
        ([{"session_id": "a", "items": [user("x" * 100_000)]}], True),
        ([user("x")], True),
        ([{"type": "reasoning", "summary": []}], True),
        ([[user("x"), assistant("y")]], True),
        ([{"messages": [user("x")]}], False),
        ([user("x"), {"role": "tool", "content": "y", "tool_call_id": "c"}], False),
        ([{"role": "user", "content": [{"type": "text", "text": "x"}]}], False),
        ([{"type": "user", "uuid": "u", "message": user("x")}], False),
        ([{"type": "response_item", "payload": user("x")}], False),
        ([{"id": "x", "timestamp": "2026-01-01"}, user("x")], False),
        ([{"items": 5}], False),
        ([[]], False),
        ([7, user("x")], False),
        ([], False),
    ],
)
def test_its_files_are_told_from_others(lines: list[Any], expected: bool, file: Path) -> None:
    assert jsonl.recognizes(take_sample(write(file, *lines))) is expected


def test_a_file_without_conversations_is_an_error(file: Path) -> None:
    """That names it; what its lines are is told before."""
    report = Report()
    with pytest.raises(errors.ImportFileError, match=r"talk\.jsonl holds no conversation"):
        list(jsonl.read(write(file, 7, {"items": []}), report))
    assert [place for place, _ in report.skipped] == ["line 1", "line 2"]
