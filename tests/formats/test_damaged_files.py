"""Whatever a file holds, a reader takes what is good and raises nothing but its own error."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import duckstore
from duckstore import errors
from duckstore.formats import chat, chatgpt, claude_code, codex
from tests.formats import test_chatgpt, test_claude_code, test_codex, written
from tests.formats.reading import read_all
from tests.samples import json_values

CHATGPT: list[Any] = [
    test_chatgpt.EDITED,
    test_chatgpt.line(
        test_chatgpt.message("user", "?", metadata={"attachments": [{"id": "f"}]}),
        test_chatgpt.message("assistant", "1+1", recipient="python"),
        test_chatgpt.message(
            "tool", {"content_type": "execution_output", "text": "2"}, name="python"
        ),
        test_chatgpt.message(
            "assistant", {"content_type": "thoughts", "thoughts": [{"summary": "s"}]}
        ),
        test_chatgpt.answer("2"),
    ),
]
SOURCES: list[tuple[ModuleType, str, list[Any]]] = [
    (chat, "talk.jsonl", written.CHAT_LINES),
    (claude_code, "4711.jsonl", written.CLAUDE_LINES),
    (codex, "rollout-1.jsonl", written.CODEX_LINES),
    (chatgpt, "conversations.json", CHATGPT),
]
NAMES = [source[1] for source in SOURCES]


def places(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a value."""
    found = [before] if before else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += places(inner, (*before, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += places(inner, (*before, index))
    return found


def change(values: list[Any], place: tuple[Any, ...], new: Any, *, leave_out: bool) -> None:
    holder: Any = values
    for step in place[:-1]:
        holder = holder[step]
    if leave_out:
        del holder[place[-1]]
    else:
        holder[place[-1]] = new


@st.composite
def changed(draw: st.DrawFn, values: list[Any]) -> list[Any]:
    """The values with something else, or nothing, in a few places."""
    found = copy.deepcopy(values)
    names = st.sampled_from(["u", "a", "b", "q1", "root", 1e300, -1, 2**70, True])
    for _ in range(draw(st.integers(1, 4))):
        if not (known := places(found)):
            break
        place = draw(st.sampled_from(known))
        odd = draw(st.one_of(json_values(), names))
        change(found, place, odd, leave_out=draw(st.booleans()))
    return found


def text_of(name: str, values: list[Any]) -> str:
    if name.endswith(".json"):
        return json.dumps(values)
    return "".join(json.dumps(value) + "\n" for value in values)


@pytest.mark.parametrize(("reader", "name", "values"), SOURCES, ids=NAMES)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_wrong_types_in_any_field_are_no_trouble(
    reader: ModuleType, name: str, values: list[Any], tmp_path: Path, data: st.DataObject
) -> None:
    """What comes out is sound, or the file is refused by the reader's own error."""
    path = tmp_path / name
    path.write_text(text_of(name, data.draw(changed(values))), encoding="utf-8")
    try:
        read_all(reader, path)
    except errors.ImportFileError as error:
        assert str(path) in str(error)  # noqa: PT017  # most of the time nothing is raised


@pytest.mark.parametrize(("reader", "name", "values"), SOURCES, ids=NAMES)
@settings(
    max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_comes_out_can_be_stored(
    reader: ModuleType, name: str, values: list[Any], tmp_path: Path, data: st.DataObject
) -> None:
    """And the store is sound with it, also where each file says something else of one session."""
    path = tmp_path / name
    with duckstore.open() as store:
        for _ in range(6):
            path.write_text(text_of(name, data.draw(changed(values))), encoding="utf-8")
            try:
                store.import_file(path, format=reader.NAME)
            except errors.ImportFileError as error:
                assert str(path) in str(error)  # noqa: PT017  # most of the time nothing is raised
        assert store.check() == []


@pytest.mark.parametrize(("reader", "name", "values"), SOURCES, ids=NAMES)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_what_a_cut_costs_is_told(
    reader: ModuleType, name: str, values: list[Any], tmp_path: Path, data: st.DataObject
) -> None:
    """A file that breaks off gives what stands before, with a word on the line that is cut."""
    path = tmp_path / name
    content = text_of(name, values)
    path.write_text(content)
    whole, told = read_all(reader, path)
    cut = data.draw(st.integers(1, len(content) - 2))
    path.write_text(content[:cut])
    is_between_lines = "\n" in content[cut - 1 : cut + 1] and name.endswith(".jsonl")
    try:
        transcripts, skipped = read_all(reader, path)
    except errors.ImportFileError:
        return
    assert transcripts[0].items[0] == whole[0].items[0]
    if not is_between_lines:
        assert len(skipped) > 0
        assert any(word in str(skipped) for word in ("not JSON", "breaks off", "does not end"))
    elif len(content) - cut < 2:
        assert skipped == told


@pytest.mark.parametrize(("reader", "name", "values"), SOURCES, ids=NAMES)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.floats(0, 1), wrong=st.binary(min_size=1, max_size=3))
def test_wrong_bytes_are_no_trouble(
    reader: ModuleType,
    name: str,
    values: list[Any],
    tmp_path: Path,
    place: float,
    wrong: bytes,
) -> None:
    """What comes out is sound, or the file is refused by the reader's own error."""
    content = text_of(name, values).encode()
    at = int(place * len(content))
    path = tmp_path / name
    path.write_bytes(content[:at] + wrong + content[at + len(wrong) :])
    try:
        read_all(reader, path)
    except errors.ImportFileError as error:
        assert str(path) in str(error)  # noqa: PT017  # most of the time nothing is raised


@pytest.mark.parametrize(("reader", "name", "values"), SOURCES, ids=NAMES)
def test_deep_nesting_is_told(
    reader: ModuleType, name: str, values: list[Any], tmp_path: Path
) -> None:
    """Beside it everything else arrives."""
    deep = "[" * 5000 + "]" * 5000
    path = tmp_path / name
    whole = text_of(name, values)
    if name.endswith(".json"):
        path.write_text(whole[:-1] + f", {deep}]")
    else:
        path.write_text(whole + deep + "\n")
    before = tmp_path / "whole" / name
    before.parent.mkdir()
    before.write_text(whole)
    expected, told = read_all(reader, before)
    transcripts, skipped = read_all(reader, path)
    assert [one.items for one in transcripts] == [one.items for one in expected]
    assert len(skipped) == len(told) + 1


DEEP_CHAT = {
    "messages": [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "DEEP"}}
            ],
        },
    ]
}
DEEP_CLAUDE = test_claude_code.answers("z", "u", {**test_claude_code.use("t"), "input": "DEEP"})
DEEP_CODEX = test_codex.item(type="custom_tool_call", call_id="c", name="f", input="DEEP")
DEEP_CHATGPT = test_chatgpt.line(
    test_chatgpt.message("user", "hi"),
    test_chatgpt.message("user", {"content_type": "multimodal_text", "parts": ["DEEP"]}),
)
DEEP: list[tuple[ModuleType, str, list[Any]]] = [
    (chat, "talk.jsonl", [DEEP_CHAT]),
    (claude_code, "4711.jsonl", [*written.CLAUDE_LINES[:1], DEEP_CLAUDE]),
    (codex, "rollout-1.jsonl", [*written.CODEX_LINES, DEEP_CODEX]),
    (chatgpt, "conversations.json", [DEEP_CHATGPT]),
]


@pytest.mark.parametrize("depth", [200, 600, 900, 970, 1000])
@pytest.mark.parametrize(("reader", "name", "values"), DEEP, ids=NAMES)
def test_items_that_are_nested_deeply_are_taken_or_told(
    reader: ModuleType, name: str, values: list[Any], tmp_path: Path, depth: int
) -> None:
    """What JSON just reads may be too deep for what is made of it."""
    deep = "[" * depth + "]" * depth
    path = tmp_path / name
    path.write_text(text_of(name, values).replace('"DEEP"', deep))
    try:
        transcripts, skipped = read_all(reader, path)
    except errors.ImportFileError:
        assert depth >= 900  # and the file had nothing else
        return
    is_there = deep in str([one.items for one in transcripts])
    assert is_there or any("deep" in reason for _, reason in skipped)
    assert is_there or depth >= 900
