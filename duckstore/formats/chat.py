"""Transcripts of the Chat Completions API.

- JSON lines with `{"messages": [...]}`, each a conversation, or with lists of messages;
- JSON lines that are messages themselves: one conversation, named after the file;
- a JSON document that is one such object, a list of them, or a list of messages.

A conversation's id is its `session_id`, `conversation_id` or `id`, or else the file's name with the
line's number. `metadata` becomes the session's metadata, with whatever else stands beside the
messages. Times of messages (`created_at`, `timestamp` or `created`) are taken where they are told.
Messages are turned into items as `duckstore.formats.chat_messages` describes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from duckstore import errors
from duckstore.formats.chat_messages import ROLES, Messages
from duckstore.formats.documents import (
    Breakage,
    elements,
    first_value,
    open_document,
    text_encoding,
)
from duckstore.formats.sample import Sample, Skipper, json_lines, take_sample
from duckstore.formats.trees import Weaver
from duckstore.formats.values import mapping, moment, text
from duckstore.transcript import Transcript

__all__ = ["ARE_JSON", "NAME", "TITLE", "read", "recognizes"]

NAME = "chat"
TITLE = "Chat Completions transcripts (messages)"
ARE_JSON = True
"""Its items are as a JSON decoder gives them: they can be described before they are encoded."""

_IDS = ("session_id", "conversation_id", "id")
_TIMES = ("created_at", "timestamp", "created")
_OF_CHAT_ALONE = frozenset(("tool_calls", "function_call", "tool_call_id"))
_PARTS_OF_CHAT_ALONE = frozenset(("text", "image_url", "input_audio", "file"))


def recognizes(sample: Sample) -> bool:
    """Whether it holds conversations with `messages`, or messages as only this API has them.

    Messages with nothing but a role and a text are items of the Responses API just as well, and
    are left to the format of items.
    """
    if sample.is_folder:
        return False
    values = list(sample.values)
    for value in sample.values:
        values += value[:1] if isinstance(value, list) else []
    if any(map(_is_conversation, values)):
        return True
    messages = [message for value in values for message in _listed(value)]
    if not messages:
        first = first_value(sample.head)
        if _is_conversation(first):
            return True
        messages = [first]
    return all(map(_is_message, messages)) and any(map(_is_of_chat_alone, messages))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_conversation(value: Any) -> bool:
    messages = value.get("messages") if isinstance(value, dict) else None
    return isinstance(messages, list) and any(map(_is_message, messages))


def _is_message(value: Any) -> bool:
    if not isinstance(value, dict) or "type" in value:
        return False
    return isinstance(value.get("role"), str) and value["role"] in ROLES


def _is_of_chat_alone(message: dict[str, Any]) -> bool:
    if message["role"] in ("tool", "function") or _OF_CHAT_ALONE & message.keys():
        return True
    content = message.get("content")
    return isinstance(content, list) and any(
        text(mapping(part).get("type")) in _PARTS_OF_CHAT_ALONE for part in content
    )


def read(path: Path, report: Skipper) -> Iterator[Transcript]:
    """Read a file's conversations.

    Args:
        path: The file.
        report: Told what was left out.

    Raises:
        ImportFileError: The file cannot be read or holds no messages.
    """
    is_found = False
    loose: list[Any] = []
    stem = path.name.removesuffix(".gz").removesuffix(".jsonl").removesuffix(".json")
    for place, number, value in _values(path, report):
        transcript = None
        if isinstance(value, list):
            transcript = _transcript({"messages": value}, f"{stem}:{number}", place, report)
        elif isinstance(value, dict) and isinstance(value.get("messages"), list):
            transcript = _transcript(value, f"{stem}:{number}", place, report)
        elif isinstance(value, dict) and "role" in value:
            loose.append(value)
        else:
            report.skip(place, "it is neither a conversation with messages nor a message")
        if transcript is not None:
            is_found = True
            yield transcript
    if loose:
        transcript = _transcript({"messages": loose}, stem, "the messages", report)
        if transcript is not None:
            is_found = True
            yield transcript
    if not is_found:
        raise errors.ImportFileError(
            f"{path} holds no messages of the Chat Completions API. Give a file of JSON lines or "
            'of JSON with {"messages": [...]}'
        )


def _values(path: Path, report: Skipper) -> Iterator[tuple[str, int, Any]]:
    """The values of the file's lines, or of its one document, with their places."""
    if _is_document(path):
        with open_document(path) as (stream, raw):
            number = 0
            try:
                for number, value in enumerate(elements(stream), start=1):
                    yield f"conversation {number}", number, value
                    report.advance(raw.tell())
            except Breakage as error:
                report.skip(f"what follows value {number}", str(error))
        return
    for number, value, done in json_lines(path, report):
        yield f"line {number}", number, value
        report.advance(done)


def _is_document(path: Path) -> bool:
    """Whether the file is one JSON document and not one on each line."""
    sample = take_sample(path)
    head = sample.head.decode(text_encoding(sample.head), errors="ignore").lstrip()
    if head.startswith("["):
        # A list on the first line is the document, if no further one follows.
        return len(sample.values) < 2 or not isinstance(sample.values[0], list)
    return not sample.values and head.startswith("{")


def _transcript(given: dict[str, Any], name: str, place: str, report: Skipper) -> Transcript | None:
    messages = Messages(lambda what: report.skip(place, f"left out: {what}"))
    weaver = Weaver()
    for number, message in enumerate(given["messages"], start=1):
        try:
            items = messages.items(message)
        except RecursionError:
            report.skip(f"{place}, message {number}", "it is nested too deeply")
            continue
        told = mapping(message)
        created_at = next((at for key in _TIMES if (at := moment(told.get(key)))), None)
        agent_name = text(told.get("name")) if told.get("role") == "assistant" else None
        for item in items:
            weaver.add(item, created_at, agent_name)
    if not weaver.items:
        report.skip(place, "it has no messages that say anything")
        return None
    placed = {"messages", "metadata", *_TIMES}
    metadata = {key: value for key, value in given.items() if key not in placed}
    if isinstance(given.get("metadata"), dict):
        metadata.update(given["metadata"])
    session_id = name
    for key in _IDS:
        with suppress(ValueError):
            session_id = _id(given.get(key))
            metadata.pop(key, None)
            break
    return weaver.transcript(
        session_id,
        metadata={key: value for key, value in metadata.items() if value is not None},
        title=text(metadata.pop("title", None)),
        source=NAME,
        session_created_at=next((at for key in _TIMES if (at := moment(given.get(key)))), None),
        place=place,
    )


def _id(value: Any) -> str:
    """A conversation's id; some write numbers. Raises ValueError where it is none."""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise ValueError
    return str(value)
