"""Messages of the Chat Completions API as items.

An assistant's message becomes the items that the SDK's own Chat Completions model makes of one:
reasoning, the words as an output message, and each tool call. What was said to the model stays a
message; its parts get the names that the Responses API has for them, and a part of an unknown kind
stays as it is. What has no place in an item is told and left out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
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
from duckstore.formats.values import mapping, sequence, text

__all__ = ["ROLES", "Messages"]

ROLES = frozenset(("system", "developer", "user", "assistant", "tool", "function"))

_PLACED = {
    "input": frozenset(("role", "content")),
    "assistant": frozenset(
        (
            *("role", "content", "refusal", "name", "tool_calls", "function_call", "annotations"),
            *("reasoning", "reasoning_content", "thinking_blocks"),
        )
    ),
    "output": frozenset(("role", "content", "tool_call_id", "name")),
}
_TIMES = frozenset(("created_at", "timestamp", "created"))


@dataclass(slots=True)
class _Call:
    """A tool call that has no output yet."""

    call_id: str
    name: str
    is_custom: bool = False


@dataclass(slots=True)
class Messages:
    """Turns the messages of one conversation into items, in their order."""

    leave_out: Callable[[str], None]
    """Told what has no place in an item; the same is told once."""
    _open: list[_Call] = field(default_factory=list)
    _told: set[str] = field(default_factory=set)
    _call_count: int = 0

    def items(self, given: Any) -> list[dict[str, Any]]:
        """The items of a message: none where it says nothing."""
        role = given.get("role") if isinstance(given, dict) else None
        if not isinstance(role, str) or role not in ROLES:
            self._tell(f"a message whose role is {role!r}")
            return []
        if role == "assistant":
            found = self._assistant(given)
        elif role in ("tool", "function"):
            found = self._output(given)
        else:
            self._note_unplaced(given, "input", role)
            content = self._input_content(given.get("content"))
            found = [message(role, content)] if content else []
        if not found:
            self._tell(f"an empty message of role {role}")
        return found

    def _tell(self, what: str) -> None:
        if what not in self._told:
            self._told.add(what)
            self.leave_out(what)

    def _note_unplaced(self, given: dict[str, Any], kind: str, role: str) -> None:
        self._note_more(given, _PLACED[kind] | _TIMES, f"messages of role {role}")

    def _note_more(self, given: dict[str, Any], placed: Collection[str], what: str) -> None:
        for key in sorted(given):
            if key not in placed and given[key] not in (None, [], {}, ""):
                self._tell(f"{key!r} of {what}, which items have no place for")

    # What was said to the model -----------------------------------------------------------------

    def _input_content(self, content: Any) -> str | list[Any]:
        if isinstance(content, str):
            return content
        if content is None:
            return ""
        parts = content if isinstance(content, list) else [content]
        return [self._input_part(part) for part in parts]

    def _input_part(self, part: Any) -> Any:
        if isinstance(part, str):
            return part_text(part)
        if not isinstance(part, dict):
            return part
        kind = part.get("type")
        if kind == "text" and isinstance(part.get("text"), str):
            self._note_more(part, ("type", "text"), "texts")
            return part_text(part["text"])
        if kind == "image_url":
            image = part.get("image_url")
            url = image if isinstance(image, str) else mapping(image).get("url")
            if isinstance(url, str):
                self._note_more(part, ("type", "image_url"), "images")
                return part_image(url, mapping(image).get("detail"))
        if kind == "file" and isinstance(part.get("file"), dict):
            return part_file(**{str(key): value for key, value in part["file"].items()})
        return part

    def _output(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        self._note_unplaced(given, "output", given["role"])
        found = self._answered(text(given.get("tool_call_id")), text(given.get("name")))
        content = self._input_content(given.get("content"))
        if found.is_custom:
            return [custom_call_output(found.call_id, content)]
        return [call_output(found.call_id, content)]

    def _answered(self, call_id: str | None, name: str | None) -> _Call:
        """The call that an output belongs to: the last open one with its id.

        Outputs without an id answer the open calls in their order, those of their name if any.
        """
        places = range(len(self._open))
        for place in places if call_id is None else reversed(places):
            found = self._open[place]
            if found.call_id == call_id or (call_id is None and name in (None, found.name)):
                if name not in (None, found.name):
                    self._tell(f"'name' of outputs where it is not the call's, as {name!r}")
                return self._open.pop(place)
        return _Call(call_id or self._new_call_id(), name or "")

    # What the model said ------------------------------------------------------------------------

    def _assistant(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        self._note_unplaced(given, "assistant", "assistant")
        items = _thoughts(given)
        content = [*self._answer_parts(given.get("content"), given.get("annotations"))]
        if refusal := text(given.get("refusal")):
            content.append({"type": "refusal", "refusal": refusal})
        if content:
            items.append(answer(*content))
        for one in sequence(given.get("tool_calls")):
            items += self._calls(mapping(one))
        if given.get("function_call"):
            items += self._calls({"type": "function", "function": given["function_call"]})
        return items

    def _answer_parts(self, content: Any, annotations: Any) -> list[dict[str, Any]]:
        if isinstance(content, str):
            return [said(content, _citations(annotations))] if content else []
        if content is not None and not isinstance(content, list):
            self._tell(f"an answer that is {content!r:.80}")
        parts: list[dict[str, Any]] = []
        for part in sequence(content):
            words = part if isinstance(part, str) else mapping(part).get("text")
            if isinstance(words, str):
                parts.append(said(words, _citations(annotations)))
            elif isinstance(part, dict):
                parts.append(part)
            else:
                self._tell(f"a part of an answer that is {part!r:.80}")
        return parts

    def _calls(self, one: dict[str, Any]) -> list[dict[str, Any]]:
        is_custom = one.get("type") == "custom"
        self._note_more(one, ("type", "id", "index", "function", "custom"), "tool calls")
        facts = mapping(one.get("custom" if is_custom else "function"))
        name = text(facts.get("name"))
        if name is None:
            self._tell("a tool call without a name")
            return []
        call_id = text(one.get("id")) or self._new_call_id()
        self._open.append(_Call(call_id, name, is_custom))
        if is_custom:
            return [custom_call(call_id, name, text(facts.get("input")) or "")]
        arguments = facts.get("arguments")
        return [call(call_id, name, "" if arguments is None else arguments)]

    def _new_call_id(self) -> str:
        """An id for a call that has none, as in the API before it had several calls at once."""
        self._call_count += 1
        return f"call_{self._call_count}"


def _thoughts(given: dict[str, Any]) -> list[dict[str, Any]]:
    """The reasoning of an assistant's message, as providers that show it write it."""
    blocks = [block for block in sequence(given.get("thinking_blocks")) if isinstance(block, dict)]
    summary = text(given.get("reasoning_content"))
    words = [block["thinking"] for block in blocks if text(block.get("thinking"))]
    if not words and not summary and text(given.get("reasoning")):
        words = [given["reasoning"]]
    if not (blocks or summary or words):
        return []
    signatures = [block["signature"] for block in blocks if text(block.get("signature"))]
    return [
        reasoning(
            [summary] if summary else (),
            words,
            signature="\n".join(signatures),
            provider_data={"thinking_blocks": blocks} if blocks else None,
        )
    ]


def _citations(annotations: Any) -> list[dict[str, Any]]:
    """The pages that an answer names, which this API wraps once more."""
    return [
        {"type": "url_citation", **one["url_citation"]}
        for one in sequence(annotations)
        if isinstance(one, dict) and isinstance(one.get("url_citation"), dict)
    ]
