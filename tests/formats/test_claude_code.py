"""Claude Code transcripts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from duckstore import errors
from duckstore.formats import claude_code
from duckstore.formats.sample import take_sample
from duckstore.items import describe
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

SECONDS = iter(range(10**9))


def line(kind: str, uuid: str, parent: str | None, **facts: Any) -> dict[str, Any]:
    """A line as Claude Code writes it."""
    return {
        "type": kind,
        "uuid": uuid,
        "parentUuid": parent,
        "sessionId": "s1",
        "isSidechain": False,
        "cwd": "/project",
        "gitBranch": "main",
        "version": "9.0.0",
        "timestamp": datetime.fromtimestamp(1.7e9 + next(SECONDS), UTC).isoformat(),
        **facts,
    }


def says(uuid: str, parent: str | None, content: Any, **facts: Any) -> dict[str, Any]:
    return line("user", uuid, parent, message={"role": "user", "content": content}, **facts)


def answers(
    uuid: str,
    parent: str | None,
    *blocks: Any,
    response: str | None = None,
    usage: dict[str, Any] | None = None,
    **facts: Any,
) -> dict[str, Any]:
    message = {
        "id": response or f"msg_{uuid}",
        "role": "assistant",
        "model": "claude-9",
        "content": list(blocks),
        "usage": usage or {"input_tokens": 1, "output_tokens": 1},
        "stop_reason": None,
    }
    return line("assistant", uuid, parent, message=message, requestId=f"req_{uuid}", **facts)


def words(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def use(tool_use_id: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": tool_use_id, "name": "Bash", "input": arguments}


def result(tool_use_id: str, content: Any, **facts: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": tool_use_id, "content": content, **facts}


def read_lines(tmp_path: Path, lines: Iterable[Any]) -> Transcript:
    return read_one(claude_code, write_lines(tmp_path / "s1.jsonl", lines))


# Blocks -----------------------------------------------------------------------------------------


def test_blocks_become_items(tmp_path: Path) -> None:
    found = read_lines(
        tmp_path,
        [
            says("u", None, "Look"),
            answers(
                "a",
                "u",
                {"type": "thinking", "thinking": "Hm", "signature": "sig"},
                words("I will"),
                use("t1", command="ls"),
            ),
            says("r", "a", [result("t1", "a.txt")]),
            answers("b", "r", words("One file")),
        ],
    )
    assert found.items == [
        {"type": "message", "role": "user", "content": "Look"},
        {
            "type": "reasoning",
            "id": "__fake_id__",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "Hm"}],
            "encrypted_content": "sig",
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "I will", "annotations": []}],
            "id": "__fake_id__",
            "status": "completed",
        },
        {
            "type": "function_call",
            "call_id": "t1",
            "name": "Bash",
            "arguments": '{"command": "ls"}',
        },
        {"type": "function_call_output", "call_id": "t1", "output": "a.txt"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "One file", "annotations": []}],
            "id": "__fake_id__",
            "status": "completed",
        },
    ]
    assert parents_of(found) == [-1, 0, 1, 2, 3, 4]


def test_images_documents_and_unknown_blocks_are_kept(tmp_path: Path) -> None:
    data = {"type": "base64", "media_type": "image/png", "data": "AA"}
    paper = {"type": "base64", "media_type": "application/pdf", "data": "BB"}
    found = read_lines(
        tmp_path,
        [
            says(
                "u",
                None,
                [
                    words("a"),
                    {"type": "image", "source": data},
                    {"type": "image", "source": {"type": "url", "url": "https://x.test/i"}},
                    {"type": "document", "source": paper, "title": "p.pdf"},
                    {"type": "hologram", "data": 1},
                ],
            ),
            answers("a", "u", use("t"), {"type": "redacted_thinking", "data": "XX"}),
            says(
                "r",
                "a",
                [result("t", [words("b"), {"type": "image", "source": data}], is_error=True)],
            ),
        ],
    )
    assert found.items[0]["content"] == [
        {"type": "input_text", "text": "a"},
        {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "auto"},
        {"type": "input_image", "image_url": "https://x.test/i", "detail": "auto"},
        {
            "type": "input_file",
            "file_data": "data:application/pdf;base64,BB",
            "filename": "p.pdf",
        },
        {"type": "input_text", "text": '{"type": "hologram", "data": 1}'},
    ]
    assert found.items[2]["provider_data"] == {
        "thinking_blocks": [{"type": "redacted_thinking", "data": "XX"}]
    }
    told = describe(found.items[3])
    assert (told.status, told.status_source, told.error) == ("error", "item", "b\n[image]")
    assert [part["type"] for part in found.items[3]["output"]] == ["input_text", "input_image"]


def test_what_the_program_says_is_a_developers(tmp_path: Path) -> None:
    """Notes in the user's name, and the summary of a compaction: they begin no run."""
    found = read_lines(
        tmp_path,
        [
            says("m", None, "Caveat", isMeta=True),
            says("u", "m", "Hi"),
            answers("a", "u", words("Hello")),
            line("system", "b", None, subtype="compact_boundary", logicalParentUuid="a"),
            says("s", "b", "So far: hello", isCompactSummary=True),
            says("v", "s", "On"),
        ],
    )
    assert talk(path_to(found)) == [
        "developer: Caveat",
        "user: Hi",
        "assistant: Hello",
        "developer: So far: hello",
        "user: On",
    ]


def test_a_compaction_follows_the_path_that_it_compacted(tmp_path: Path) -> None:
    """Which need not be the one that was written to last."""
    found = read_lines(
        tmp_path,
        [
            *(says("u", None, "Hi"), answers("a", "u", words("Hello")), says("v", "u", "Or")),
            line("system", "b", None, subtype="compact_boundary", logicalParentUuid="a"),
            says("s", "b", "So far", isCompactSummary=True),
        ],
    )
    assert parents_of(found) == [-1, 0, 0, 1]


def test_a_compaction_without_a_parent_follows_what_it_compacted(tmp_path: Path) -> None:
    """Nor is one an opening whose parent is in a file that is no more there."""
    found = read_lines(
        tmp_path,
        [
            says("u", None, "Hi"),
            line("system", "b", None, subtype="compact_boundary", logicalParentUuid="gone"),
            says("s", "b", "So far", isCompactSummary=True),
            says("t", None, "Again", isCompactSummary=True),
        ],
    )
    assert parents_of(found) == [-1, 0, 1]


# Responses --------------------------------------------------------------------------------------


def test_usage_counts_once_for_each_model_call(tmp_path: Path) -> None:
    """However many lines it is written as, the first of which tell fewer tokens."""
    early = {
        "input_tokens": 3,
        "output_tokens": 1,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 20,
    }
    late = {**early, "output_tokens": 50, "output_tokens_details": {"thinking_tokens": 7}}
    lines = [
        says("u", None, "Hi"),
        answers("a", "u", {"type": "thinking", "thinking": "Hm"}, response="m1", usage=early),
        answers("b", "a", words("Hello"), response="m1", usage=late),
        answers("c", "b", use("t"), response="m1", usage=late),
        says("r", "c", [result("t", "ok")]),
        answers("d", "r", words("Done"), response="m2", usage=early),
    ]
    lines[2]["message"]["stop_reason"] = "tool_use"
    found = read_lines(tmp_path, lines)
    first, second = found.responses
    assert first == response_at(found, 1)
    assert first.usage == Usage(
        request_count=1,
        input_tokens=123,
        output_tokens=50,
        cache_read_input_tokens=100,
        cache_write_input_tokens=20,
        reasoning_output_tokens=7,
        total_tokens=173,
    )
    assert (first.model, first.provider_response_id) == ("claude-9", "m1")
    assert first.finish_reason == "tool_use"
    assert second.item_index == 5
    assert second.usage is not None
    assert second.usage.output_tokens == 1


def test_what_the_program_put_in_the_place_of_an_answer_is_no_model_call(tmp_path: Path) -> None:
    said = answers("a", "u", words("API Error"), usage={"input_tokens": 0, "output_tokens": 0})
    said["message"]["model"] = "<synthetic>"
    found = read_lines(tmp_path, [says("u", None, "Hi"), said])
    assert talk(found.items) == ["user: Hi", "assistant: API Error"]
    assert found.responses == []


def test_results_of_tools_that_ran_side_by_side_are_no_forks(tmp_path: Path) -> None:
    """Each names the line of its own call: they stand one after the other behind all calls."""
    lines = [
        says("u", None, "Hi"),
        answers("a1", "u", use("t1"), response="m"),
        answers("a2", "a1", use("t2"), response="m"),
        line("progress", "p", "a1"),
        says("r1", "p", [result("t1", "1")]),
        answers("a3", "a2", use("t3"), response="m"),
        says("r3", "a3", [result("t3", "3")]),
        says("r2", "a2", [result("t2", "2")]),
        answers("b", "r2", words("Done")),
    ]
    found = read_lines(tmp_path, lines)
    assert talk(path_to(found)) == [
        *("user: Hi", "t1: {}", "t2: {}", "t3: {}"),
        *("t1: 1", "t3: 3", "t2: 2", "assistant: Done"),
    ]
    assert len(found.items) == 8
    assert parents_of(found).count(-1) == len(set(parents_of(found)) - set(range(7))) == 1


def test_results_of_one_line_with_several_calls_are_no_forks(tmp_path: Path) -> None:
    lines = [
        says("u", None, "Hi"),
        answers("a", "u", use("t1"), use("t2")),
        says("r1", "a", [result("t1", "1")]),
        says("r2", "a", [result("t2", "2")]),
        answers("b", "r1", words("Done")),
    ]
    found = read_lines(tmp_path, lines)
    assert parents_of(found) == list(range(-1, 5))
    assert talk(path_to(found))[-1] == "assistant: Done"


def test_results_between_the_lines_of_a_response_stay_there(tmp_path: Path) -> None:
    lines = [
        says("u", None, "Hi"),
        answers("a1", "u", use("t1"), response="m"),
        says("r1", "a1", [result("t1", "1")]),
        answers("a2", "r1", use("t2"), response="m"),
        says("r2", "a2", [result("t2", "2")]),
    ]
    assert talk(path_to(read_lines(tmp_path, lines))) == [
        *("user: Hi", "t1: {}", "t1: 1", "t2: {}", "t2: 2"),
    ]


# Trees ------------------------------------------------------------------------------------------


def test_edits_and_answers_asked_for_again_are_branches(tmp_path: Path) -> None:
    """Also beside the first question; lines of the program between them are passed over."""
    lines = [
        says("u", None, "Hi"),
        line("progress", "p1", "u", data={"type": "hook_progress"}),
        line("attachment", "p2", "p1"),
        answers("a", "p2", words("Hello")),
        answers("b", "p1", words("Hey")),
        says("v", "a", "More"),
        says("w", None, "Good day"),
        answers("c", "w", words("Good day!")),
    ]
    found = read_lines(tmp_path, lines)
    assert talk(found.items) == [
        *("user: Hi", "assistant: Hello", "assistant: Hey"),
        *("user: More", "user: Good day", "assistant: Good day!"),
    ]
    assert parents_of(found) == [-1, 0, 0, 1, -1, 4]
    assert talk(path_to(found)) == ["user: Good day", "assistant: Good day!"]


def test_what_is_known_of_a_session_is_kept(tmp_path: Path) -> None:
    lines = [
        {"type": "summary", "summary": "Of another", "leafUuid": "elsewhere"},
        says("u", None, "Hi", agentName="Helper"),
        answers("a", "u", words("Hello"), sessionId="s2"),
        {"type": "summary", "summary": "A greeting", "leafUuid": "a"},
        {"type": "tag", "tag": "short", "sessionId": "s1"},
        {"type": "file-history-snapshot", "messageId": "u", "snapshot": {}},
        {"type": "queue-operation", "operation": "dequeue", "sessionId": "s1"},
    ]
    found = read_lines(tmp_path, lines)
    assert (found.session_id, found.title, found.tags) == ("u", "A greeting", ["short"])
    assert found.agent_names == ["Helper", None]
    assert found.metadata == {
        "cwd": "/project",
        "git_branch": "main",
        "version": "9.0.0",
        "files": ["s1.jsonl"],
        "session_ids": ["s1", "s2"],
    }
    assert found.created_at == [
        datetime.fromisoformat(lines[1]["timestamp"]),
        datetime.fromisoformat(lines[2]["timestamp"]),
    ]
    assert found.session_created_at == found.created_at[0]
    lines.append({"type": "ai-title", "aiTitle": "Greeting somebody", "sessionId": "s1"})
    assert read_lines(tmp_path, lines).title == "Greeting somebody"
    lines.insert(0, {"type": "custom-title", "customTitle": "Mine", "sessionId": "s1"})
    assert read_lines(tmp_path, lines).title == "Mine"


def test_a_sub_agent_is_a_conversation_of_its_own(tmp_path: Path) -> None:
    side = {"isSidechain": True, "agentId": "ag1"}
    lines = [
        says("u", None, "Ask the agent"),
        answers("a", "u", use("t")),
        says("x", None, "Do it", **side),
        answers("y", "x", words("Did it"), **side),
        says("r", "a", [result("t", "Did it")]),
        says("z", None, "Do that", **{**side, "agentId": "ag2"}),
    ]
    transcripts, skipped = read_all(claude_code, write_lines(tmp_path / "s1.jsonl", lines))
    assert skipped == []
    assert {one.session_id: talk(path_to(one)) for one in transcripts} == {
        "u": ["user: Ask the agent", "t: {}", "t: Did it"],
        "x": ["user: Do it", "assistant: Did it"],
        "z": ["user: Do that"],
    }
    [of_agent] = [one for one in transcripts if one.session_id == "x"]
    assert of_agent.metadata["agent_id"] == "ag1"
    assert of_agent.metadata["parent_session_id"] == "s1"


# Copies -----------------------------------------------------------------------------------------


def conversation() -> list[dict[str, Any]]:
    return [
        says("u", None, "Hi"),
        answers("a", "u", words("Hello")),
        says("v", "a", "More"),
        answers("b", "v", words("More it is")),
    ]


def test_a_resumed_session_is_one_conversation_with_the_first(tmp_path: Path) -> None:
    """Its file copies the lines before it, and the tree has them once."""
    lines = conversation()
    copies = [{**one, "sessionId": "s2"} for one in lines[:2]]
    later = [says("w", "a", "Other", sessionId="s2"), answers("c", "w", words("Other it is"))]
    write_lines(tmp_path / "z-first.jsonl", lines)
    write_lines(tmp_path / "a-second.jsonl", [*copies, *later])
    write_lines(tmp_path / "c-begun.jsonl", copies[:1])
    write_lines(tmp_path / "b-alone.jsonl", [says("q", None, "Alone")])
    assert claude_code.recognizes(take_sample(tmp_path))
    transcripts, skipped = read_all(claude_code, tmp_path)
    assert skipped == []
    assert {one.session_id for one in transcripts} == {"u", "q"}
    [found] = [one for one in transcripts if one.session_id == "u"]
    assert talk(found.items) == [
        *("user: Hi", "assistant: Hello", "user: More", "assistant: More it is"),
        *("user: Other", "assistant: Other it is"),
    ]
    assert parents_of(found) == [-1, 0, 1, 2, 1, 4]
    assert talk(path_to(found))[-1] == "assistant: Other it is"
    assert set(found.metadata["session_ids"]) == {"s1", "s2"}
    assert found.metadata["files"] == ["c-begun.jsonl", "z-first.jsonl", "a-second.jsonl"]
    assert len(found.responses) == 3


def test_a_copy_that_is_read_alone_gets_the_id_of_the_first(tmp_path: Path) -> None:
    """So that a later import finds the conversation that is stored already."""
    lines = conversation()
    first = read_one(claude_code, write_lines(tmp_path / "first.jsonl", lines))
    second = read_one(
        claude_code,
        write_lines(
            tmp_path / "second.jsonl",
            [*({**one, "sessionId": "s2"} for one in lines[:2]), says("w", "a", "Other")],
        ),
    )
    assert first.session_id == second.session_id == "u"
    assert second.items[:2] == first.items[:2]


def test_a_file_that_goes_on_from_another_is_one_conversation_with_it(tmp_path: Path) -> None:
    lines = conversation()
    write_lines(tmp_path / "one" / "first.jsonl", lines[:2])
    write_lines(tmp_path / "two" / "second.jsonl", lines[2:])
    found = read_one(claude_code, tmp_path)
    assert (found.session_id, parents_of(found)) == ("u", [-1, 0, 1, 2])


# Bad input --------------------------------------------------------------------------------------


def test_a_line_whose_parent_is_missing_follows_the_line_before(tmp_path: Path) -> None:
    """And is told; at the beginning of a file it is the opening."""
    lines = conversation()
    [found], skipped = read_all(
        claude_code, write_lines(tmp_path / "s1.jsonl", [lines[1], lines[3]])
    )
    assert parents_of(found) == [-1, 0]
    [(place, reason)] = skipped
    assert (place, "taken, but v, which it follows" in reason) == ("s1.jsonl, line b", True)


def test_circles_of_parents_are_cut_and_told(tmp_path: Path) -> None:
    lines = [
        says("u", "b", "1"),
        answers("a", "u", words("2")),
        answers("b", "a", words("3")),
        line("progress", "p", "q"),
        line("progress", "q", "p"),
        says("v", "q", "4"),
        says("w", "w", "5"),
    ]
    [found], skipped = read_all(claude_code, write_lines(tmp_path / "s1.jsonl", lines))
    assert sorted(talk(found.items)) == [
        "assistant: 2",
        "assistant: 3",
        "user: 1",
        "user: 4",
        "user: 5",
    ]
    assert len([reason for _, reason in skipped if "circle" in reason]) == 3


def test_the_same_uuid_with_other_words_is_told(tmp_path: Path) -> None:
    lines = [says("u", None, "Hi"), says("u", None, "Hi"), says("u", None, "Ho")]
    [found], skipped = read_all(claude_code, write_lines(tmp_path / "s1.jsonl", lines))
    assert talk(found.items) == ["user: Hi"]
    assert [place for place, _ in skipped] == ["line 3"]


def test_lines_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    path = tmp_path / "s1.jsonl"
    good = [json.dumps(one) for one in conversation()]
    odd = [
        "{",
        "5",
        json.dumps({"uuid": "x"}),
        json.dumps({"type": "novelty", "sessionId": "s1"}),
        json.dumps({"type": "novelty", "sessionId": "s1"}),
        json.dumps(says("e", "b", [])),
    ]
    path.write_text("\n".join([*good[:2], *odd, *good[2:], good[0][:40]]))
    [found], skipped = read_all(claude_code, path)
    assert len(found.items) == 4
    assert [place for place, _ in skipped] == [
        *("line 3", "line 4", "line 5", "line 8", "line 11", "line 6"),
    ]


def test_a_file_without_a_conversation_is_an_error(tmp_path: Path) -> None:
    for lines in ([], [{"type": "summary", "summary": "s", "leafUuid": "x"}]):
        with pytest.raises(errors.ImportFileError, match="no transcript of Claude Code"):
            read_all(claude_code, write_lines(tmp_path / "s1.jsonl", lines))
