"""ChatGPT data exports."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from duckstore import errors
from duckstore.formats import chatgpt
from duckstore.formats.sample import take_sample
from tests.formats.reading import (
    parents_of,
    path_to,
    read_all,
    read_one,
    response_at,
    talk,
)
from tests.samples import RECORDINGS


def message(role: str, content: Any, **facts: Any) -> dict[str, Any]:
    """A message as an export writes it."""
    if isinstance(content, str):
        content = {"content_type": "text", "parts": [content]}
    name = facts.pop("name", None)
    told = {
        "author": {"role": role, "name": name, "metadata": {}},
        "content": content,
        "create_time": None,
        "recipient": "all",
        "metadata": {},
    }
    return {**told, **facts}


def answer(words: str, model: str = "gpt-9", **facts: Any) -> dict[str, Any]:
    metadata = {"model_slug": model, "finish_details": {"type": "stop"}}
    return message("assistant", words, metadata=metadata, **facts)


Step = tuple[str, str | None, dict[str, Any] | None]


def conversation(steps: Iterable[Step], current: str, **facts: Any) -> dict[str, Any]:
    """A conversation: each step is a node's key, its parent and its message."""
    mapping: dict[str, Any] = {}
    for key, parent, said in steps:
        mapping[key] = {"id": key, "message": said, "parent": parent, "children": []}
        if parent in mapping:
            mapping[parent]["children"].append(key)
    told = {"title": "T", "create_time": 1.5e9, "conversation_id": "c1", "current_node": current}
    return {**told, "mapping": mapping, **facts}


def line(*messages: dict[str, Any] | None) -> dict[str, Any]:
    """A conversation of messages one after the other."""
    steps = [(f"n{i}", f"n{i - 1}" if i else None, one) for i, one in enumerate(messages)]
    return conversation(steps, f"n{len(messages) - 1}")


def write(path: Path, *conversations: Any) -> Path:
    path.write_text(json.dumps(list(conversations)), encoding="utf-8")
    return path


def items_of(tmp_path: Path, *messages: dict[str, Any] | None) -> list[Any]:
    return list(read_one(chatgpt, write(tmp_path / "conversations.json", line(*messages))).items)


# Trees ------------------------------------------------------------------------------------------

EDITED = conversation(
    [
        ("root", None, None),
        ("sys", "root", message("system", "", metadata={"is_visually_hidden": True})),
        ("q1", "sys", message("user", "How far?", create_time=1.0)),
        ("a1", "q1", answer("Far.", create_time=2.0)),
        ("q2", "sys", message("user", "How far is it?", create_time=3.0)),
        ("a2", "q2", answer("2 km.", create_time=4.0)),
        ("a3", "q2", answer("3 km.", "gpt-8", create_time=5.0)),
        ("q3", "a2", message("user", "Thanks", create_time=6.0)),
    ],
    "a3",
)


def test_edited_questions_and_regenerated_answers_are_branches(tmp_path: Path) -> None:
    """In the order in which they were said; the path that was shown last is the current one."""
    found = read_one(chatgpt, write(tmp_path / "conversations.json", EDITED))
    assert talk(found.items) == [
        "user: How far?",
        "assistant: Far.",
        "user: How far is it?",
        "assistant: 2 km.",
        "assistant: 3 km.",
        "user: Thanks",
    ]
    assert parents_of(found) == [-1, 0, -1, 2, 2, 3]
    assert talk(path_to(found)) == ["user: How far is it?", "assistant: 3 km."]


def test_what_is_known_of_a_conversation_is_kept(tmp_path: Path) -> None:
    export = {**EDITED, "default_model_slug": "gpt-9", "gizmo_id": "g-1", "update_time": 1.6e9}
    found = read_one(chatgpt, write(tmp_path / "conversations.json", export))
    assert (found.session_id, found.title, found.source) == ("c1", "T", "chatgpt")
    assert found.session_created_at == datetime(2017, 7, 14, 2, 40, tzinfo=UTC)
    assert found.created_at == [datetime.fromtimestamp(at, UTC) for at in (1, 2, 3, 4, 5, 6)]
    assert found.metadata == {
        "model": "gpt-9",
        "gizmo_id": "g-1",
        "updated_at": "2020-09-13 12:26:40+00:00",
        "file": "conversations.json",
    }
    assert [(one.item_index, one.model) for one in found.responses] == [
        (1, "gpt-9"),
        (3, "gpt-9"),
        (4, "gpt-8"),
    ]
    assert {one.finish_reason for one in found.responses} == {"stop"}


def test_a_parent_that_is_missing_is_found_among_those_that_list_it(tmp_path: Path) -> None:
    export = line(message("user", "1"), answer("2"))
    del export["mapping"]["n1"]["parent"]
    found = read_one(chatgpt, write(tmp_path / "conversations.json", export))
    assert parents_of(found) == [-1, 0]


def test_lost_parents_and_circles_are_told_and_cut(tmp_path: Path) -> None:
    """Nothing of what was said is lost by them."""
    export = conversation(
        [
            ("a", "gone", message("user", "1")),
            ("b", "d", message("user", "2", create_time=9.0)),
            ("c", "b", answer("3", create_time=8.0)),
            ("d", "c", message("user", "4", create_time=7.0)),
            ("e", "e", message("user", "5")),
            ("f", "d", answer("6")),
        ],
        "f",
    )
    [found], skipped = read_all(chatgpt, write(tmp_path / "conversations.json", export))
    assert sorted(talk(found.items)) == [
        *("assistant: 3", "assistant: 6"),
        *("user: 1", "user: 2", "user: 4", "user: 5"),
    ]
    assert {place for place, _ in skipped} == {
        f"conversation 1, node {key}" for key in ("a", "d", "e")
    }
    assert talk(path_to(found)) == ["user: 4", "assistant: 6"]


# Messages ---------------------------------------------------------------------------------------


def test_code_and_what_it_printed_are_a_custom_tool_call(tmp_path: Path) -> None:
    found = items_of(
        tmp_path,
        message("user", "1+1?"),
        message(
            "assistant",
            {"content_type": "code", "language": "python", "text": "print(1+1)"},
            recipient="python",
        ),
        message("tool", {"content_type": "execution_output", "text": "2"}, name="python"),
        answer("2"),
    )
    assert found[1:3] == [
        {"type": "custom_tool_call", "call_id": "n1", "name": "python", "input": "print(1+1)"},
        {"type": "custom_tool_call_output", "call_id": "n1", "output": "2"},
    ]


def test_a_json_call_is_a_function_call_and_images_are_its_output(tmp_path: Path) -> None:
    pointer = "sediment://file_1"
    found = items_of(
        tmp_path,
        message("assistant", '{"prompt": "a duck"}', recipient="dalle.text2im"),
        message(
            "tool",
            {
                "content_type": "multimodal_text",
                "parts": [
                    {"content_type": "image_asset_pointer", "asset_pointer": pointer},
                    "made",
                ],
            },
            name="dalle.text2im",
        ),
    )
    assert found == [
        {
            "type": "function_call",
            "call_id": "n0",
            "name": "dalle.text2im",
            "arguments": '{"prompt": "a duck"}',
        },
        {
            "type": "function_call_output",
            "call_id": "n0",
            "output": [
                {"type": "input_image", "image_url": pointer, "detail": "auto"},
                {"type": "input_text", "text": "made"},
            ],
        },
    ]


def test_an_output_belongs_to_the_call_of_its_tool_on_its_own_path(tmp_path: Path) -> None:
    export = conversation(
        [
            ("q", None, message("user", "?")),
            ("c1", "q", message("assistant", "one", recipient="python")),
            ("c2", "q", message("assistant", "two", recipient="python")),
            ("c3", "c2", message("assistant", "again two", recipient="python")),
            ("o2", "c3", message("tool", "2", name="python")),
            ("w", "o2", message("assistant", "{}", recipient="web.search")),
            ("p", "w", message("assistant", "three", recipient="python")),
            ("ow", "p", message("tool", "found", name="web")),
            ("op", "ow", message("tool", "3", name="python")),
            ("o1", "c1", message("tool", "1", name="python")),
        ],
        "op",
    )
    found = read_one(chatgpt, write(tmp_path / "conversations.json", export))
    assert sorted(talk(found.items)) == [
        *("c1: 1", "c1: one", "c2: two", "c3: 2", "c3: again two"),
        *("p: 3", "p: three", "user: ?", "w: found", "w: {}"),
    ]


def test_a_browser_that_tells_its_command_is_a_pair_and_another_an_output(tmp_path: Path) -> None:
    browsed = {"content_type": "tether_browsing_display", "result": "a page", "summary": None}
    quoted = {"content_type": "tether_quote", "url": "u", "title": "t", "text": "words"}
    found = items_of(
        tmp_path,
        message("tool", browsed, name="browser", metadata={"command": "search", "args": ["x"]}),
        message("tool", quoted, name="browser"),
        message("tool", {**browsed, "result": ""}, name="browser"),
        message("tool", {"content_type": "system_error", "text": "broke"}, name="browser"),
    )
    assert talk(found) == [
        'n0: {"command": "search", "args": ["x"]}',
        "n0: a page",
        "n1: t\nu\nwords",
        "n3: broke",
    ]
    assert found[-1]["status"] == "incomplete"


def test_thoughts_are_reasoning_and_of_one_response_with_the_answer(tmp_path: Path) -> None:
    thoughts = {
        "content_type": "thoughts",
        "thoughts": [{"summary": "Distance", "content": "It is far."}],
    }
    export = line(
        message("user", "?"),
        message("assistant", thoughts, metadata={"model_slug": "gpt-9"}),
        message("assistant", {"content_type": "reasoning_recap", "content": "For 5 s"}),
        answer("Far."),
    )
    found = read_one(chatgpt, write(tmp_path / "conversations.json", export))
    assert talk(found.items)[1:] == [
        "thought: Distance+It is far.",
        "thought: For 5 s",
        "assistant: Far.",
    ]
    [response] = found.responses
    assert response == response_at(found, 1)
    assert (response.model, response.finish_reason) == ("gpt-9", "stop")


def test_what_a_person_did_not_say_is_a_developers(tmp_path: Path) -> None:
    """So that it begins no run."""
    profile = {
        "content_type": "user_editable_context",
        "user_profile": "I am a duck",
        "user_instructions": "Be short",
    }
    hidden = {"is_visually_hidden_from_conversation": True}
    found = items_of(
        tmp_path,
        message("system", "Custom", metadata={"is_user_system_message": True}),
        message("user", profile, metadata=hidden),
        message("user", "context", metadata=hidden),
        message("assistant", {"content_type": "model_editable_context", "model_set_context": "m"}),
        message("user", "hi"),
    )
    assert talk(found) == [
        "system: Custom",
        "developer: I am a duck+Be short",
        "developer: context",
        "developer: m",
        "user: hi",
    ]


def test_files_images_and_voices_keep_their_pointers(tmp_path: Path) -> None:
    image = {"content_type": "image_asset_pointer", "asset_pointer": "file-service://file-1"}
    voice = {"content_type": "audio_asset_pointer", "asset_pointer": "file-service://file-2"}
    live = {
        "content_type": "real_time_user_audio_video_asset_pointer",
        "audio_asset_pointer": voice,
    }
    heard = {"content_type": "audio_transcription", "text": "hello", "direction": "in"}
    [found] = items_of(
        tmp_path,
        message(
            "user",
            {"content_type": "multimodal_text", "parts": [image, voice, live, heard, {"x": 1}, ""]},
            metadata={"attachments": [{"id": "file-1"}, {"id": "file-9", "name": "a.pdf"}]},
        ),
    )
    assert found["content"] == [
        {"type": "input_image", "image_url": "file-service://file-1", "detail": "auto"},
        {"type": "input_file", "file_url": "file-service://file-2"},
        {"type": "input_file", "file_url": "file-service://file-2"},
        {"type": "input_text", "text": "hello"},
        {"type": "input_text", "text": '{"x": 1}'},
        {"type": "input_file", "file_id": "file-9", "filename": "a.pdf"},
    ]


def test_citations_and_unknown_contents_are_kept(tmp_path: Path) -> None:
    page = {"metadata": {"url": "https://x.test", "title": "X"}, "start_ix": 0, "end_ix": 4}
    found = items_of(
        tmp_path,
        message("assistant", "See X", metadata={"citations": [page, {"metadata": {}}, 5]}),
        message("assistant", {"content_type": "hologram", "data": [1]}),
    )
    assert found[0]["content"][0]["annotations"] == [
        {
            "type": "url_citation",
            "start_index": 0,
            "end_index": 4,
            "url": "https://x.test",
            "title": "X",
        }
    ]
    assert talk(found)[1] == 'assistant: {"content_type": "hologram", "data": [1]}'


# Files ------------------------------------------------------------------------------------------


def test_the_zip_file_is_read_with_all_its_parts(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in (1, 0):
            one = {**line(message("user", str(number))), "conversation_id": f"c{number}"}
            archive.writestr(f"conversations-00{number}.json", json.dumps([one]))
        archive.writestr("user.json", "{}")
        archive.writestr("shared_conversations.json", "[]")
    assert chatgpt.recognizes(take_sample(path))
    transcripts, skipped = read_all(chatgpt, path)
    assert skipped == []
    assert [one.session_id for one in transcripts] == ["c0", "c1"]


def test_one_conversation_by_itself_is_read(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text(json.dumps(EDITED, indent=1))
    assert chatgpt.recognizes(take_sample(path))
    assert read_one(chatgpt, path).session_id == "c1"


def test_a_conversation_larger_than_the_sample_is_recognized(tmp_path: Path) -> None:
    long = conversation([("a", None, message("user", "x" * 100_000))], "a")
    path = write(tmp_path / "conversations.json", long)
    assert chatgpt.recognizes(take_sample(path))


def test_of_an_export_that_breaks_off_the_whole_conversations_are_taken(tmp_path: Path) -> None:
    path = write(tmp_path / "conversations.json", EDITED, {**EDITED, "conversation_id": "c2"})
    path.write_bytes(path.read_bytes()[:-40])
    [found], skipped = read_all(chatgpt, path)
    assert found.session_id == "c1"
    [(place, reason)] = skipped
    assert place == "the rest"
    assert "breaks off" in reason


def test_a_zip_file_that_breaks_off_or_holds_something_else_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conversations.json", json.dumps([EDITED] * 50))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert not chatgpt.recognizes(take_sample(path))
    with pytest.raises(errors.ImportFileError, match="cannot be unpacked"):
        read_all(chatgpt, path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photos.txt", "")
    assert not chatgpt.recognizes(take_sample(path))
    with pytest.raises(errors.ImportFileError, match="holds no conversation of a ChatGPT"):
        read_all(chatgpt, path)


def test_a_damaged_part_of_a_zip_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("conversations-000.json", json.dumps([EDITED]))
        archive.writestr("conversations-001.json", json.dumps([EDITED]))
    data = bytearray(path.read_bytes())
    data[data.index(b"How far?") : data.index(b"How far?") + 3] = b"Too"
    path.write_bytes(data)
    transcripts, skipped = read_all(chatgpt, path)
    assert len(transcripts) >= 1
    [(place, reason)] = skipped
    assert place == "conversations-000.json, the rest"
    assert "CRC" in reason


def test_conversations_that_are_none_are_told(tmp_path: Path) -> None:
    empty = conversation([("a", None, message("user", ""))], "a")
    path = write(tmp_path / "conversations.json", 5, {"mapping": []}, empty, EDITED)
    [found], skipped = read_all(chatgpt, path)
    assert found.place == "conversation 4"
    assert [place for place, _ in skipped] == [f"conversation {number}" for number in (1, 2, 3)]
    with pytest.raises(errors.ImportFileError, match="holds no conversation of a ChatGPT"):
        read_all(chatgpt, write(tmp_path / "conversations.json", 5))


# Recordings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "fork_count"), [("chatgpt-tree", 2), ("chatgpt-citations", 0)])
def test_a_recorded_export_arrives_whole(name: str, fork_count: int) -> None:
    path = RECORDINGS / "chatgpt" / f"{name}.json"
    if not path.exists():
        pytest.skip("the recorded conversations are not beside this checkout")
    [export] = json.loads(path.read_text(encoding="utf-8"))
    [found], _ = read_all(chatgpt, path)
    said = [
        node["message"]
        for node in export["mapping"].values()
        if node["message"] and any(node["message"]["content"].get("parts", [True]))
    ]
    for one in said:
        words = one["content"].get("result") or one["content"]["parts"][0]
        assert any(words in text for text in talk(found.items))
    assert found.title == export["title"]
    parents = parents_of(found)
    assert sum(parents.count(index) > 1 for index in set(parents)) == fork_count
    shown = export["mapping"].get(export["current_node"])  # one names a node that it leaves out
    last = shown["message"]["content"]["parts"][0] if shown else words
    assert last in talk(path_to(found))[-1]
