"""Messages of a ChatGPT data export as items.

- What a person said is a message; files and images keep the pointers that the export has for them.
- What an assistant says to a tool (`recipient`) is a tool call: a function call where it is a JSON
  object, and a custom tool call where it is plain text, as code is. The tool's message is its
  output. A browser's message whose call the export leaves out tells the call itself: both are made.
- Thoughts and their recap are reasoning.
- What a person did not say (their profile and instructions, which the export calls hidden) is a
  developer's message, so that it begins no run.
- A kind of content that is unknown is kept as its JSON text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from duckstore.formats.sdk_items import (
    answer,
    call,
    call_output,
    custom_call,
    custom_call_output,
    message,
    part_file,
    part_image,
    part_text,
    reasoning,
    said,
)
from duckstore.formats.values import json_text, mapping, sequence, text

__all__ = ["OpenCall", "Said", "convert"]


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A tool call that the next message of its tool answers."""

    call_id: str
    tool_name: str
    is_custom: bool


@dataclass(slots=True)
class Said:
    """What a message is: its items, and the calls that it leaves open after it."""

    items: list[dict[str, Any]] = field(default_factory=list)
    open_calls: tuple[OpenCall, ...] = ()


def convert(key: str, given: dict[str, Any], open_calls: tuple[OpenCall, ...]) -> Said:
    """The items of a message, none where it says nothing.

    Args:
        key: The node's key, from which a call gets its id.
        given: The node's message.
        open_calls: The calls before it on its path that have no output yet.
    """
    author = mapping(given.get("author"))
    role = author.get("role")
    content = mapping(given.get("content"))
    metadata = mapping(given.get("metadata"))
    if role == "tool":
        return _output(key, text(author.get("name")) or "tool", content, metadata, open_calls)
    if role == "assistant":
        recipient = text(given.get("recipient")) or "all"
        if recipient != "all":
            return _call(key, recipient, content, open_calls)
        return Said(_answer(content, metadata), open_calls)
    return Said(_input(role, content, metadata), open_calls)


def _input(role: Any, content: dict[str, Any], metadata: dict[str, Any]) -> list[dict[str, Any]]:
    parts = _parts(content)
    for attached in map(mapping, sequence(metadata.get("attachments"))):
        file_id = text(attached.get("id"))
        if file_id and not any(file_id in str(part.get("image_url")) for part in parts):
            parts.append(part_file(file_id=file_id, filename=attached.get("name")))
    if not parts:
        return []
    if role != "system" and _is_hidden(content, metadata):
        role = "developer"
    elif role not in ("system", "developer"):
        role = "user"
    words = [part["text"] for part in parts if part["type"] == "input_text"]
    return [message(role, words[0] if len(words) == len(parts) == 1 else parts)]


def _is_hidden(content: dict[str, Any], metadata: dict[str, Any]) -> bool:
    return bool(
        metadata.get("is_visually_hidden_from_conversation")
        or metadata.get("is_user_system_message")
        or str(content.get("content_type")).endswith("_editable_context")
    )


def _answer(content: dict[str, Any], metadata: dict[str, Any]) -> list[dict[str, Any]]:
    kind = content.get("content_type")
    if kind == "thoughts":
        thoughts = [mapping(thought) for thought in sequence(content.get("thoughts"))]
        summary = [told for thought in thoughts if (told := text(thought.get("summary")))]
        content_words = [told for thought in thoughts if (told := text(thought.get("content")))]
        return [reasoning(summary, content_words)] if summary or content_words else []
    if kind == "reasoning_recap":
        recap = text(content.get("content"))
        return [reasoning([recap])] if recap else []
    if str(kind).endswith("_editable_context"):
        return _input("developer", content, metadata)
    parts = _parts(content)
    if not parts:
        return []
    citations = _citations(metadata)
    said_parts = [said(part.get("text") or json_text(part)) for part in parts]
    if citations and len(said_parts) == 1:  # their places count in the one text
        said_parts[0]["annotations"] = citations
    return [answer(*said_parts)]


def _call(
    key: str, recipient: str, content: dict[str, Any], open_calls: tuple[OpenCall, ...]
) -> Said:
    parts = _parts(content)
    words = "\n".join(part.get("text") or json_text(part) for part in parts)
    if not words:
        return Said([], open_calls)
    is_custom = not words.lstrip().startswith("{")
    made = (custom_call if is_custom else call)(key, recipient, words)
    return Said([made], (*open_calls, OpenCall(key, recipient, is_custom)))


def _output(
    key: str,
    name: str,
    content: dict[str, Any],
    metadata: dict[str, Any],
    open_calls: tuple[OpenCall, ...],
) -> Said:
    parts = _parts(content)
    words = [part["text"] for part in parts if part["type"] == "input_text"]
    output: str | list[Any] = "\n".join(words) if len(words) == len(parts) else parts
    is_error = content.get("content_type") == "system_error"
    answered = next((found for found in reversed(open_calls) if _is_of(found, name)), None)
    if answered is not None:
        rest = tuple(found for found in open_calls if found is not answered)
        if answered.is_custom:
            return Said([custom_call_output(answered.call_id, output)], rest)
        return Said([call_output(answered.call_id, output, is_error=is_error)], rest)
    made: list[dict[str, Any]] = []
    if command := text(metadata.get("command")):
        made.append(call(key, name, {"command": command, "args": metadata.get("args")}))
    elif not output:
        return Said([], open_calls)  # a tool's empty word: a spinner, mostly
    return Said([*made, call_output(key, output, is_error=is_error)], open_calls)


def _is_of(found: OpenCall, name: str) -> bool:
    """Whether a tool's message answers a call: `dalle` answers what went to `dalle.text2im`."""
    wanted = found.tool_name
    return wanted == name or wanted.startswith(f"{name}.") or name.startswith(f"{wanted}.")


# Content ----------------------------------------------------------------------------------------


def _parts(content: dict[str, Any]) -> list[dict[str, Any]]:
    """What a content holds, as parts of a message; empty texts are none."""
    kind = content.get("content_type")
    if kind == "tether_quote":
        source = [content.get("title"), content.get("url"), content.get("text")]
        return [part_text(words) for words in map(text, source) if words]
    if kind == "user_editable_context":
        given = [content.get("user_profile"), content.get("user_instructions")]
        return [part_text(words) for words in map(text, given) if words]
    if kind == "tether_browsing_display":
        shown = text(content.get("result")) or text(content.get("summary"))
        return [part_text(shown)] if shown else []
    if isinstance(content.get("parts"), list):
        return [made for part in content["parts"] if (made := _part(part)) is not None]
    for key in ("text", "result", "content", "model_set_context"):
        if key in content and (content[key] is None or isinstance(content[key], str)):
            return [part_text(content[key])] if content[key] else []
    rest = {name: value for name, value in content.items() if value not in (None, "", [], {})}
    return [part_text(json_text(content))] if rest.keys() - {"content_type", "language"} else []


def _part(part: Any) -> dict[str, Any] | None:
    if isinstance(part, str):
        return part_text(part) if part else None
    if not isinstance(part, dict):
        return None if part is None else part_text(json_text(part))
    kind = str(part.get("content_type"))
    if kind == "image_asset_pointer" and text(part.get("asset_pointer")):
        return part_image(part["asset_pointer"])
    if kind == "audio_transcription" and isinstance(part.get("text"), str):
        return part_text(part["text"]) if part["text"] else None
    inner = mapping(part.get("audio_asset_pointer"))
    pointer = text(part.get("asset_pointer")) or text(inner.get("asset_pointer"))
    if kind.endswith("_asset_pointer") and pointer:
        return part_file(file_url=pointer)
    return part_text(json_text(part)) if part else None


def _citations(metadata: dict[str, Any]) -> list[dict[str, Any]]:
    """The pages that an answer names, with their places in its text."""
    found = []
    for citation in map(mapping, sequence(metadata.get("citations"))):
        page = mapping(citation.get("metadata"))
        places = (citation.get("start_ix"), citation.get("end_ix"))
        if text(page.get("url")) and all(type(place) is int for place in places):
            found.append(
                {
                    "type": "url_citation",
                    "start_index": places[0],
                    "end_index": places[1],
                    "url": page["url"],
                    "title": text(page.get("title")) or "",
                }
            )
    return found
