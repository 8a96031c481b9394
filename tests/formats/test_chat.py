"""Transcripts of the Chat Completions API."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from agents.models.chatcmpl_converter import Converter
from openai.types.chat import ChatCompletionMessage

from duckstore import errors
from duckstore.formats import chat
from duckstore.formats.sample import take_sample
from tests.formats.reading import read_all, read_one, talk, write_lines
from tests.samples import RECORDINGS, recording

QUESTION = {"role": "user", "content": "How far is it?"}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "measure", "arguments": '{"to": 1}'}},
        {"id": "c2", "type": "function", "function": {"name": "measure", "arguments": "{}"}},
    ],
}
OUTPUTS = [
    {"role": "tool", "tool_call_id": "c2", "name": "measure", "content": "2 km"},
    {"role": "tool", "tool_call_id": "c1", "content": "1 km"},
]
ANSWER = {"role": "assistant", "content": "One kilometre."}
MESSAGES = [{"role": "system", "content": "Be exact."}, QUESTION, CALL, *OUTPUTS, ANSWER]
SAID = [
    "system: Be exact.",
    "user: How far is it?",
    'c1: {"to": 1}',
    "c2: {}",
    "c2: 2 km",
    "c1: 1 km",
    "assistant: One kilometre.",
]


def items_of(tmp_path: Path, *messages: Any) -> list[Any]:
    """The items of messages of which nothing is left out."""
    return list(read_one(chat, write_lines(tmp_path / "c.jsonl", [{"messages": messages}])).items)


# Files ------------------------------------------------------------------------------------------


def test_each_line_is_a_conversation(tmp_path: Path) -> None:
    lines = [
        {"session_id": "a", "messages": MESSAGES, "metadata": {"k": 1}, "model": "m", "tools": []},
        {"id": 7, "messages": [QUESTION], "created": 1700000000},
        {"messages": [QUESTION]},
        [QUESTION, ANSWER],
    ]
    transcripts, skipped = read_all(chat, write_lines(tmp_path / "talks.jsonl", lines))
    assert skipped == []
    assert [one.session_id for one in transcripts] == ["a", "7", "talks:3", "talks:4"]
    assert talk(transcripts[0].items) == SAID
    assert transcripts[0].metadata == {"k": 1, "model": "m", "tools": []}
    assert transcripts[1].session_created_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert talk(transcripts[3].items) == [SAID[1], SAID[-1]]
    assert {one.source for one in transcripts} == {"chat"}


@pytest.mark.parametrize("indent", [None, 2])
def test_a_document_is_a_conversation_or_a_list_of_them(tmp_path: Path, indent: int | None) -> None:
    path = tmp_path / "talk.json"
    path.write_text(json.dumps({"id": "x", "messages": MESSAGES}, indent=indent))
    assert talk(read_one(chat, path).items) == SAID
    path.write_text(json.dumps([{"messages": MESSAGES}, {"messages": [QUESTION]}], indent=indent))
    transcripts, _ = read_all(chat, path)
    assert [(one.session_id, len(one.items)) for one in transcripts] == [
        ("talk:1", 7),
        ("talk:2", 1),
    ]
    path.write_text(json.dumps(MESSAGES, indent=indent))
    found = read_one(chat, path)
    assert (found.session_id, talk(found.items)) == ("talk", SAID)


def test_lines_that_are_messages_are_one_conversation(tmp_path: Path) -> None:
    found = read_one(chat, write_lines(tmp_path / "talk.jsonl", MESSAGES))
    assert (found.session_id, talk(found.items)) == ("talk", SAID)


def test_a_gzip_file_and_one_in_utf_16_are_read(tmp_path: Path) -> None:
    line = json.dumps({"messages": [{"role": "user", "content": "é"}]}, ensure_ascii=False)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(line.encode()))
    (tmp_path / "b.jsonl").write_text(line, encoding="utf-16")
    (tmp_path / "c.json").write_text(f"[\n{line}\n]", encoding="utf-16")
    for path in tmp_path.iterdir():
        assert chat.recognizes(take_sample(path))
        assert talk(read_one(chat, path).items) == ["user: é"]


def test_times_and_names_of_messages_are_kept(tmp_path: Path) -> None:
    messages = [
        {**QUESTION, "timestamp": "2024-05-01T10:00:00+02:00"},
        {**ANSWER, "name": "Measurer", "created_at": 1714551600.5},
    ]
    found = read_one(chat, write_lines(tmp_path / "c.jsonl", [{"messages": messages}]))
    assert found.created_at == [
        datetime(2024, 5, 1, 8, tzinfo=UTC),
        datetime(2024, 5, 1, 8, 20, 0, 500000, tzinfo=UTC),
    ]
    assert found.agent_names == [None, "Measurer"]


def test_the_recording_equals_its_own_conversion(tmp_path: Path) -> None:
    """Item by item, apart from the placeholder that stands for a message's id."""
    expected = {
        (line["meta"]["task_id"], line["meta"]["trial"]): line for line in recording("tau-bench")
    }
    transcripts, skipped = read_all(chat, RECORDINGS / "tau-bench-chat-completions.jsonl.gz")
    assert skipped == []
    assert len(transcripts) == 40

    def without_id(items: Any) -> list[Any]:
        return [{key: value for key, value in item.items() if key != "id"} for item in items]

    for one in transcripts:
        line = expected[one.metadata["task_id"], one.metadata["trial"]]
        assert without_id(one.items) == without_id(line["items"])
        assert one.metadata["reward"] == line["meta"]["reward"]


# Messages ---------------------------------------------------------------------------------------


def test_an_answer_becomes_what_the_sdk_makes_of_one(tmp_path: Path) -> None:
    """Compared with the SDK's own converter, which says the same with a few empty fields more."""
    message = {
        "role": "assistant",
        "content": "See there.",
        "refusal": "But not that.",
        "reasoning_content": "Hm.",
        "annotations": [
            {
                "type": "url_citation",
                "url_citation": {
                    "url": "https://example.com",
                    "title": "There",
                    "start_index": 0,
                    "end_index": 3,
                },
            }
        ],
        "tool_calls": CALL["tool_calls"],
    }
    made = Converter.message_to_output_items(ChatCompletionMessage.model_validate(message))
    expected = [item.model_dump(exclude_unset=True) for item in made]
    found = items_of(tmp_path, message)
    assert [item["type"] for item in found] == [item["type"] for item in expected]
    for mine, theirs in zip(found, expected, strict=True):
        for part in theirs["content"] if theirs["type"] == "message" else []:
            part.pop("logprobs", None)
        if mine["type"] == "function_call":
            theirs.pop("id")
        assert mine == theirs


def test_parts_get_the_names_of_the_responses_api(tmp_path: Path) -> None:
    """And one of an unknown kind stays as it is."""
    [found] = items_of(
        tmp_path,
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
                {"type": "image_url", "image_url": {"url": "https://x.test/a", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
                {"type": "file", "file": {"file_id": "f1", "filename": "a.pdf"}},
                {"type": "hologram", "data": [1]},
            ],
        },
    )
    assert found == {
        "type": "message",
        "role": "user",
        "content": [
            {"type": "input_text", "text": "Look"},
            {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "auto"},
            {"type": "input_image", "image_url": "https://x.test/a", "detail": "low"},
            {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
            {"type": "input_file", "file_id": "f1", "filename": "a.pdf"},
            {"type": "hologram", "data": [1]},
        ],
    }


def test_an_answer_in_parts_keeps_texts_and_refusals(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "A"}, {"type": "refusal", "refusal": "B"}]
    [found] = items_of(tmp_path, {"role": "assistant", "content": parts})
    assert found["content"] == [
        {"type": "output_text", "text": "A", "annotations": []},
        {"type": "refusal", "refusal": "B"},
    ]


def test_the_older_function_call_is_paired_with_its_output(tmp_path: Path) -> None:
    """It has no id: one is made, which the function's message gets too."""
    found = items_of(
        tmp_path,
        {"role": "assistant", "content": "", "function_call": {"name": "f", "arguments": "1"}},
        {"role": "function", "name": "f", "content": "one"},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "2"}},
        {"role": "function", "name": "f", "content": "two"},
    )
    assert talk(found) == ["call_1: 1", "call_1: one", "call_2: 2", "call_2: two"]


def test_an_output_belongs_to_the_last_open_call_with_its_id(tmp_path: Path) -> None:
    """Ids repeat; and outputs without an id answer the calls of their name in order."""
    code = {"id": "c", "type": "custom", "custom": {"name": "code", "input": "1"}}
    found = items_of(
        tmp_path,
        {"role": "assistant", "tool_calls": [code, CALL["tool_calls"][0]]},
        {"role": "assistant", "tool_calls": [{**CALL["tool_calls"][0], "id": "c"}]},
        {"role": "tool", "tool_call_id": "c", "content": "of the function"},
        {"role": "tool", "tool_call_id": "c", "content": "of the code"},
    )
    assert [item["type"] for item in found[-2:]] == [
        "function_call_output",
        "custom_tool_call_output",
    ]
    found = items_of(
        tmp_path,
        {"role": "assistant", "tool_calls": [code, *CALL["tool_calls"]]},
        {"role": "tool", "name": "measure", "content": "1"},
        {"role": "tool", "name": "measure", "content": "2"},
    )
    assert talk(found)[-2:] == ["c1: 1", "c2: 2"]


def test_custom_tools_and_outputs_in_parts(tmp_path: Path) -> None:
    found = items_of(
        tmp_path,
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "c", "type": "custom", "custom": {"name": "code", "input": "1+1"}},
                {"id": "d", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}},
            ],
        },
        {"role": "tool", "tool_call_id": "c", "content": "2"},
        {"role": "tool", "tool_call_id": "d", "content": [{"type": "text", "text": "3"}]},
    )
    assert found == [
        {"type": "custom_tool_call", "call_id": "c", "name": "code", "input": "1+1"},
        {"type": "function_call", "call_id": "d", "name": "f", "arguments": '{"a": 1}'},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "2"},
        {
            "type": "function_call_output",
            "call_id": "d",
            "output": [{"type": "input_text", "text": "3"}],
        },
    ]


def test_what_has_no_place_is_told_and_told_once(tmp_path: Path) -> None:
    messages = [
        {**QUESTION, "name": "one of us", "weight": None},
        {**QUESTION, "name": "another"},
        {**ANSWER, "audio": {"id": "a"}},
        {"role": "assistant", "content": ""},
        {"role": "narrator", "content": "Meanwhile"},
        {"role": "assistant", "content": 7},
        "not a message",
        {"role": "assistant", "tool_calls": [{"id": "x", "type": "function"}, 5]},
        {"role": "user", "content": [{"type": "text", "text": "t", "cache_control": {"a": 1}}]},
    ]
    [found], skipped = read_all(chat, write_lines(tmp_path / "c.jsonl", [{"messages": messages}]))
    assert talk(found.items) == [*[SAID[1]] * 2, SAID[-1], "user: t"]
    assert {place for place, _ in skipped} == {"line 1"}
    reasons = "\n".join(reason for _, reason in skipped)
    for told in (
        "'name' of messages of role user",
        "'audio' of messages of role assistant",
        "an empty message of role assistant",
        "a message whose role is 'narrator'",
        "an answer that is 7",
        "a message whose role is None",
        "a tool call without a name",
        "'cache_control' of texts",
    ):
        assert reasons.count(told) == 1, told


# Bad input --------------------------------------------------------------------------------------


def test_what_is_good_is_taken_from_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    good = json.dumps({"messages": MESSAGES})
    path.write_text(f'{good}\n{{"messages"\n{{"messages": 5}}\n[]\n3\n{good}\n{good[:-30]}')
    transcripts, skipped = read_all(chat, path)
    assert [one.session_id for one in transcripts] == ["c:1", "c:6"]
    assert [place for place, _ in skipped] == [f"line {number}" for number in (2, 3, 4, 5, 7)]


def test_a_document_that_breaks_off_gives_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps([{"messages": MESSAGES}] * 3, indent=1)[:-100])
    transcripts, skipped = read_all(chat, path)
    assert len(transcripts) == 2
    [(place, reason)] = skipped
    assert place == "what follows value 2"
    assert "breaks off" in reason


@pytest.mark.parametrize("content", ["", "\n\n", "hello\n", '{"a": 1}\n', "[1, 2", "[[]]"])
def test_a_file_without_messages_is_an_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(content)
    with pytest.raises(errors.ImportFileError, match="holds no messages of the Chat Completions"):
        read_all(chat, path)


def test_messages_that_are_items_too_are_left_to_the_items(tmp_path: Path) -> None:
    """Nothing tells `{"role", "content"}` from an item: those files stay what they were."""
    plain = write_lines(tmp_path / "plain.jsonl", [QUESTION, ANSWER])
    assert not chat.recognizes(take_sample(plain))
    assert chat.recognizes(take_sample(write_lines(tmp_path / "called.jsonl", MESSAGES)))
    parts = {"role": "user", "content": [{"type": "text", "text": "a"}]}
    assert chat.recognizes(take_sample(write_lines(tmp_path / "parts.jsonl", [parts])))
