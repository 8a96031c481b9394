"""Rollouts of the Codex command line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from duckstore import errors
from duckstore.formats import codex
from duckstore.formats.sample import take_sample
from duckstore.transcript import Transcript
from duckstore.usage import Usage
from tests.formats.reading import (
    parents_of,
    path_to,
    read_all,
    read_one,
    response_at,
    talk,
    write_lines,
)

BEGAN = datetime(2025, 10, 1, 12, tzinfo=UTC)
NAME = "rollout-2025-10-01T12-00-00-{}.jsonl"
ROOT = "00000000-0000-0000-0000-000000000001"
FORK = "00000000-0000-0000-0000-000000000002"
FORK_OF_FORK = "00000000-0000-0000-0000-000000000003"


def stamped(lines: Iterable[dict[str, Any]], at: datetime = BEGAN) -> list[dict[str, Any]]:
    """Lines with times, a second apart."""
    return [
        {"timestamp": (at + timedelta(seconds=second)).isoformat(), **line}
        for second, line in enumerate(lines)
    ]


def meta(rollout_id: str = ROOT, **facts: Any) -> dict[str, Any]:
    told = {"id": rollout_id, "timestamp": BEGAN.isoformat(), "cwd": "/project"}
    return {"type": "session_meta", "payload": {**told, "cli_version": "9.9", **facts}}


def item(**facts: Any) -> dict[str, Any]:
    return {"type": "response_item", "payload": facts}


def event(kind: str, **facts: Any) -> dict[str, Any]:
    return {"type": "event_msg", "payload": {"type": kind, **facts}}


def model(name: str) -> dict[str, Any]:
    return {"type": "turn_context", "payload": {"model": name, "cwd": "/project"}}


def says(text: str) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return item(type="message", role="user", content=content)


def answers(text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text}]
    return item(type="message", role="assistant", content=content)


def thinks(secret: str) -> dict[str, Any]:
    return item(type="reasoning", summary=[], encrypted_content=secret)


def calls(call_id: str) -> dict[str, Any]:
    return item(type="function_call", name="shell", arguments="{}", call_id=call_id)


def gives(call_id: str, output: str) -> dict[str, Any]:
    return item(type="function_call_output", call_id=call_id, output=output)


def tokens(last: int, total: int) -> dict[str, Any]:
    def counted(number: int) -> dict[str, int]:
        return {
            "input_tokens": 10 * number,
            "cached_input_tokens": 5 * number,
            "output_tokens": 3 * number,
            "reasoning_output_tokens": number,
            "total_tokens": 13 * number,
        }

    info = {"last_token_usage": counted(last), "total_token_usage": counted(total)}
    return event("token_count", info=info, rate_limits=None)


def read_lines(tmp_path: Path, lines: Iterable[dict[str, Any]]) -> Transcript:
    return read_one(codex, write_lines(tmp_path / NAME.format(ROOT), stamped(lines)))


TURN = [
    says("<environment_context>\n<cwd>/project</cwd>\n</environment_context>"),
    says("List the files"),
    event("user_message", message="List the files"),
    model("gpt-9-codex"),
    thinks("gAAAA-the-first-thought"),
    calls("call_0123456789abcdef"),
    tokens(1, 1),
    gives("call_0123456789abcdef", "a.txt"),
    answers("One file"),
    event("agent_message", message="One file"),
    tokens(2, 3),
]


# Items and events -------------------------------------------------------------------------------


def test_items_stay_as_they_are(tmp_path: Path) -> None:
    """Encrypted reasoning too; states of the working folder are left out."""
    snapshot = item(type="ghost_snapshot", ghost_commit={"id": "abc"})
    found = read_lines(tmp_path, [meta(), *TURN, snapshot])
    assert found.items == [line["payload"] for line in TURN if line["type"] == "response_item"]
    assert found.parents is None
    assert found.created_at is not None
    assert found.created_at[0] == BEGAN + timedelta(seconds=1)
    assert found.session_created_at == BEGAN
    assert (found.session_id, found.source) == (ROOT, "codex")


def test_what_is_known_of_a_rollout_is_kept(tmp_path: Path) -> None:
    git = {"branch": "main", "commit_hash": "abc", "n": 1}
    lines = [meta(git=git, originator="cli", source="exec"), *TURN]
    lines.append(event("thread_name_updated", thread_name="Files"))
    found = read_lines(tmp_path, lines)
    assert found.title == "Files"
    assert found.metadata == {
        "rollout_id": ROOT,
        "file": NAME.format(ROOT),
        "cwd": "/project",
        "cli_version": "9.9",
        "originator": "cli",
        "git": {"branch": "main", "commit_hash": "abc"},
        "source": "exec",
    }


def test_each_response_has_its_model_and_tokens(tmp_path: Path) -> None:
    """The same sums told again are no further call."""
    lines = [
        meta(),
        *TURN,
        tokens(2, 3),
        model("gpt-10"),
        says("Again"),
        answers("No"),
        tokens(4, 7),
    ]
    found = read_lines(tmp_path, lines)
    assert [(one.item_index, one.model) for one in found.responses] == [
        (2, "gpt-9-codex"),
        (5, "gpt-9-codex"),
        (7, "gpt-10"),
    ]
    assert response_at(found, 2).usage == Usage(
        request_count=1,
        input_tokens=10,
        output_tokens=3,
        cache_read_input_tokens=5,
        reasoning_output_tokens=1,
        total_tokens=13,
    )
    sums = Usage.sum(one.usage for one in found.responses if one.usage is not None)
    assert (sums.request_count, sums.total_tokens) == (3, 7 * 13)


def test_tokens_that_are_told_after_the_tools_belong_to_the_call_before(tmp_path: Path) -> None:
    lines = [
        *(meta(), says("Go"), calls("call_1"), gives("call_1", "x"), tokens(1, 1)),
        *(answers("Done"), tokens(2, 3)),
    ]
    found = read_lines(tmp_path, lines)
    counted = {one.item_index: one.usage.total_tokens for one in found.responses if one.usage}
    assert counted == {1: 13, 3: 26}


def test_tokens_of_a_call_that_left_no_item_are_told(tmp_path: Path) -> None:
    path = write_lines(tmp_path / NAME.format(ROOT), stamped([meta(), *TURN, tokens(9, 12)]))
    _, skipped = read_all(codex, path)
    assert skipped == [
        ("the whole file", "the token usage of 1 model calls that left no item"),
    ]


def test_a_compaction_is_what_the_model_was_told(tmp_path: Path) -> None:
    compaction = {"type": "compaction", "encrypted_content": "gAAAA-all-of-it-in-short"}
    lines = [
        meta(),
        *TURN,
        {"type": "compacted", "payload": {"message": "So far: one file"}},
        says("Go on"),
        {
            "type": "compacted",
            "payload": {"message": "", "replacement_history": [says("x")["payload"], compaction]},
        },
    ]
    found = read_lines(tmp_path, lines)
    assert talk(found.items)[-3:-1] == ["developer: So far: one file", "user: Go on"]
    assert found.items[-1] == compaction


# Trees ------------------------------------------------------------------------------------------


def test_turns_that_were_taken_back_are_a_branch(tmp_path: Path) -> None:
    """What the program said in the user's name is no turn."""
    lines = [
        meta(),
        says("<environment_context>x</environment_context>"),
        *(says("One"), answers("1"), says("Two"), answers("2"), says("Three"), answers("3")),
        says("<environment_context>y</environment_context>"),
        event("thread_rolled_back", num_turns=2),
        *(says("Other two"), answers("22")),
        event("thread_rolled_back", num_turns=9),
        *(says("Other one"), answers("11")),
    ]
    found = read_lines(tmp_path, lines)
    assert parents_of(found) == [-1, 0, 1, 2, 3, 4, 5, 6, 2, 8, 0, 10]
    assert talk(path_to(found))[1:] == ["user: Other one", "assistant: 11"]


def test_taking_back_what_is_not_there_is_told(tmp_path: Path) -> None:
    lines = [meta(), event("thread_rolled_back", num_turns=1), says("One")]
    lines.append(event("thread_rolled_back", num_turns="two"))
    [found], skipped = read_all(codex, write_lines(tmp_path / NAME.format(ROOT), stamped(lines)))
    assert talk(found.items) == ["user: One"]
    assert len(skipped) == 2


# Copies -----------------------------------------------------------------------------------------


def write_family(folder: Path) -> None:
    """A rollout, a fork of it, and a fork of that; the copies have new times."""
    later, last = BEGAN + timedelta(hours=1), BEGAN + timedelta(hours=2)
    fork_meta = meta(FORK, forked_from_id=ROOT, timestamp=later.isoformat())
    fork = [*TURN, meta(), says("And now?"), answers("Now this")]
    fork_of_fork_meta = meta(FORK_OF_FORK, forked_from_id=FORK, timestamp=last.isoformat())
    fork_of_fork = [*TURN, fork_meta, meta(), says("And then?"), answers("Then that")]
    write_lines(folder / "10" / NAME.format(ROOT), stamped([meta(), *TURN, says("More")]))
    write_lines(folder / "09" / NAME.format(FORK), stamped([fork_meta, *fork], later))
    write_lines(
        folder / "08" / NAME.format(FORK_OF_FORK), stamped([fork_of_fork_meta, *fork_of_fork], last)
    )


def test_forks_have_the_id_of_what_they_are_forks_of(tmp_path: Path) -> None:
    """The first comes first, wherever its file lies; what is shared is equal, item by item."""
    write_family(tmp_path)
    assert codex.recognizes(take_sample(tmp_path))
    transcripts, skipped = read_all(codex, tmp_path)
    assert skipped == []
    assert [one.session_id for one in transcripts] == [ROOT] * 3
    assert [one.metadata["rollout_id"] for one in transcripts] == [ROOT, FORK, FORK_OF_FORK]
    first, second, third = transcripts
    assert list(first.items[:5]) == list(second.items[:5]) == list(third.items[:5])
    assert talk(third.items)[-2:] == ["user: And then?", "assistant: Then that"]


def test_a_fork_that_is_read_alone_has_the_id_too(tmp_path: Path) -> None:
    """Its file names those that it is a copy of."""
    write_family(tmp_path)
    found = read_one(codex, tmp_path / "08" / NAME.format(FORK_OF_FORK))
    assert found.session_id == ROOT
    assert found.metadata["forked_from_id"] == FORK


def test_older_copies_are_told_by_what_they_copy(tmp_path: Path) -> None:
    """They name nothing: but no two conversations have the same drawn ids."""
    later = BEGAN + timedelta(hours=1)
    copy = [meta(FORK, timestamp=later.isoformat()), *TURN, says("And now?")]
    write_lines(tmp_path / "b" / NAME.format(ROOT), stamped([meta(), *TURN]))
    write_lines(tmp_path / "a" / NAME.format(FORK), stamped(copy, later))
    transcripts, _ = read_all(codex, tmp_path)
    assert [one.session_id for one in transcripts] == [ROOT, ROOT]
    assert [len(one.items) for one in transcripts] == [6, 7]


def test_two_conversations_with_the_same_words_stay_two(tmp_path: Path) -> None:
    for rollout_id in (ROOT, FORK):
        lines = stamped([meta(rollout_id), says("Hi"), answers("Hello")])
        write_lines(tmp_path / NAME.format(rollout_id), lines)
    transcripts, _ = read_all(codex, tmp_path)
    assert [one.session_id for one in transcripts] == [ROOT, FORK]


# The first versions -----------------------------------------------------------------------------

ITEMS = [line["payload"] for line in (says("Hi"), thinks("x"), answers("Hello"))]


def test_rollouts_without_envelopes_are_read(tmp_path: Path) -> None:
    lines = [
        {"id": ROOT, "timestamp": "2025-08-01T10:00:00Z", "instructions": None, "git": {}},
        {"record_type": "state"},
        *ITEMS,
    ]
    path = write_lines(tmp_path / NAME.format(ROOT), lines)
    assert codex.recognizes(take_sample(path))
    found = read_one(codex, path)
    assert (found.session_id, found.items, found.created_at) == (ROOT, ITEMS, None)
    assert found.session_created_at == datetime(2025, 8, 1, 10, tzinfo=UTC)


def test_the_json_files_of_the_first_versions_are_read(tmp_path: Path) -> None:
    path = tmp_path / f"rollout-2025-04-20-{ROOT}.json"
    session = {"id": ROOT, "timestamp": "2025-04-20T10:00:00Z", "instructions": ""}
    path.write_text(json.dumps({"session": session, "items": ITEMS}, indent=2))
    assert codex.recognizes(take_sample(path))
    found = read_one(codex, path)
    assert (found.session_id, found.items) == (ROOT, ITEMS)


def test_an_id_that_is_not_told_is_that_of_the_files_name(tmp_path: Path) -> None:
    path = write_lines(tmp_path / NAME.format(FORK), stamped(TURN))
    assert read_one(codex, path).session_id == FORK


# Bad input --------------------------------------------------------------------------------------


def test_lines_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    path = tmp_path / NAME.format(ROOT)
    good = [json.dumps(line) for line in stamped([meta(), says("Hi"), answers("Hello")])]
    odd = [
        "{",
        "5",
        '{"type": "response_item", "payload": []}',
        '{"type": "response_item", "payload": {"role": "user"}}',
        '{"type": "novelty", "payload": {}}',
        '{"type": "novelty", "payload": {}}',
    ]
    path.write_text("\n".join([*good, *odd, good[-1][:50]]))
    [found], skipped = read_all(codex, path)
    assert talk(found.items) == ["user: Hi", "assistant: Hello"]
    numbers = sorted(int(place.rpartition(" ")[2]) for place, _ in skipped)
    assert numbers == [4, 5, 6, 7, 8, 10]


def test_a_file_or_folder_without_a_rollout_is_an_error(tmp_path: Path) -> None:
    path = write_lines(tmp_path / NAME.format(ROOT), [meta()])
    for place in (path, tmp_path):
        with pytest.raises(errors.ImportFileError, match="no rollout of Codex with items"):
            read_all(codex, place)
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.ImportFileError, match="no rollout of Codex with items"):
        read_all(codex, tmp_path / "empty")
    assert not codex.recognizes(take_sample(tmp_path / "empty"))
