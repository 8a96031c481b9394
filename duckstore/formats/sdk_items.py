"""Items as the Agents SDK keeps them, made from what other formats say.

What a model said in another API gets the SDK's placeholder as its id: a message needs one, and the
SDK takes it off again before it sends a conversation anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from duckstore.formats.values import json_text, text

__all__ = [
    "answer",
    "call",
    "call_output",
    "custom_call",
    "custom_call_output",
    "message",
    "part_file",
    "part_image",
    "part_text",
    "reasoning",
    "said",
]

FAKE_ID = "__fake_id__"
"""What the SDK puts where a provider gives no id."""


def message(role: str, content: str | list[Any]) -> dict[str, Any]:
    """What was said to a model."""
    return {"type": "message", "role": role, "content": content}


def part_text(words: str) -> dict[str, Any]:
    """A text as a part of what was said to a model."""
    return {"type": "input_text", "text": words}


def part_image(url: str, detail: Any = None) -> dict[str, Any]:
    """An image as a part of what was said to a model."""
    return {"type": "input_image", "image_url": url, "detail": text(detail) or "auto"}


def part_file(**facts: Any) -> dict[str, Any]:
    """A file as a part: `file_id`, `file_url`, `file_data` and `filename`, where they are told."""
    told = {name: fact for name, fact in facts.items() if text(fact)}
    return {"type": "input_file", **told}


def said(words: str, annotations: Sequence[Any] = ()) -> dict[str, Any]:
    """A text as a part of an answer."""
    return {"type": "output_text", "text": words, "annotations": list(annotations)}


def answer(*content: dict[str, Any]) -> dict[str, Any]:
    """What a model said."""
    return {
        "type": "message",
        "role": "assistant",
        "content": list(content),
        "id": FAKE_ID,
        "status": "completed",
    }


def reasoning(
    summary: Sequence[str] = (),
    content: Sequence[str] = (),
    *,
    signature: str | None = None,
    provider_data: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What a model thought, in its own words or in a summary of them."""
    item: dict[str, Any] = {
        "type": "reasoning",
        "id": FAKE_ID,
        "summary": [{"type": "summary_text", "text": words} for words in summary],
    }
    if content:
        item["content"] = [{"type": "reasoning_text", "text": words} for words in content]
    if signature:
        item["encrypted_content"] = signature
    if provider_data:
        item["provider_data"] = provider_data
    return item


def call(call_id: str, name: str, arguments: Any) -> dict[str, Any]:
    """A tool call. Arguments that are no text are put into JSON."""
    words = arguments if isinstance(arguments, str) else json_text(arguments)
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": words}


def call_output(call_id: str, output: str | list[Any], *, is_error: bool = False) -> dict[str, Any]:
    """What a tool gave back. A tool that failed gave back something incomplete."""
    item = {"type": "function_call_output", "call_id": call_id, "output": output}
    return {**item, "status": "incomplete"} if is_error else item


def custom_call(call_id: str, name: str, words: str) -> dict[str, Any]:
    """A call of a tool that takes plain text: code, mostly."""
    return {"type": "custom_tool_call", "call_id": call_id, "name": name, "input": words}


def custom_call_output(call_id: str, output: str | list[Any]) -> dict[str, Any]:
    """What a tool that takes plain text gave back."""
    return {"type": "custom_tool_call_output", "call_id": call_id, "output": output}
