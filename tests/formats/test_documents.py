"""JSON documents that are read piece by piece."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from duckstore.formats import documents
from duckstore.formats.documents import Breakage, elements, first_value
from tests.samples import json_values


def same(one: Any, other: Any) -> bool:
    return json.dumps(one) == json.dumps(other)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(json_values(), max_size=4),
    chunk=st.integers(1, 9),
    indent=st.sampled_from([None, 1]),
)
def test_a_list_is_read_value_by_value(
    values: list[Any], chunk: int, indent: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the pieces in which it is read end."""
    monkeypatch.setattr(documents, "_CHUNK", chunk)
    text = json.dumps(values, indent=indent)
    assert same(list(elements(io.BytesIO(text.encode()))), values)


def test_values_one_after_the_other_are_read_too() -> None:
    text = '{"a": 1}\n{"b": 2}  {"c": 3}'
    assert list(elements(io.BytesIO(text.encode()))) == [{"a": 1}, {"b": 2}, {"c": 3}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_encodings_with_a_mark_are_understood(encoding: str) -> None:
    text = json.dumps(["é", "\U0001f986"], ensure_ascii=False)
    content = text.encode(encoding)
    if encoding == "utf-16-le":
        content = b"\xff\xfe" + content
    assert list(elements(io.BytesIO(content))) == ["é", "\U0001f986"]


@pytest.mark.parametrize(
    ("text", "before", "message"),
    [
        ("", [], "it is empty"),
        ("[1, 2", [1, 2], "does not end"),
        ('[1, "ab', [1], "breaks off"),
        ("[1, }", [1], "no JSON here"),
        ("[1, " + "[" * 5000, [1], "nested too deeply"),
        ("hello", [], "no JSON here"),
    ],
)
def test_what_stands_before_a_breakage_is_given(text: str, before: list[Any], message: str) -> None:
    found = elements(io.BytesIO(text.encode()))
    assert [next(found) for _ in before] == before
    with pytest.raises(Breakage, match=message):
        next(found)


def test_a_document_that_is_wrong_is_not_read_to_its_end() -> None:
    """What comes after a wrong word helps nothing, however much it is."""
    stream = io.BytesIO(b'[{"a": wrong}, ' + b" " * (5 * documents._CHUNK))
    with pytest.raises(Breakage, match="no JSON here"):
        list(elements(stream))
    assert stream.tell() <= 2 * documents._CHUNK


def test_the_first_object_is_told_from_the_beginning() -> None:
    """Of one that goes on, the keys that are there."""
    assert first_value(b'{"a": 1}') == {"a": 1}
    assert first_value(b' [ {"a": 1}, {"b"') == {"a": 1}
    assert first_value(b'{"a": 1, "b": {"c": {"d": 2}, "e": [5, ') == {
        "a": 1,
        "b": {"c": {"d": 2}, "e": [None]},
    }
    assert first_value(b'[{"messages": [{"role": "user", "content": "lo') == {
        "messages": [{"role": "user", "content": None}]
    }
    for nothing in (b"", b"[", b"[1]", b"hello", b'{"a', b"\xff\xfe{"):
        assert first_value(nothing) is None


@given(head=st.binary(max_size=60) | st.text(alphabet='[]{}",:a1\\ ', max_size=60))
def test_whatever_a_beginning_is_nothing_is_raised(head: bytes | str) -> None:
    found = first_value(head if isinstance(head, bytes) else head.encode())
    assert found is None or isinstance(found, dict)
