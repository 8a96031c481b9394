"""What one item is: its type, its words, and its part in a tool call.

`describe(item)` reads a decoded item and gives the columns that analysis needs. It is total: any
JSON value gets a description, an unknown type too, so that no item is ever refused because of
its shape. It looks at one item alone; what depends on the neighbours (which run, which call an
output answers) is decided in `duckstore.batch`.

The types are those of `TResponseInputItem` in openai-agents 0.24 (openai 3.x).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from duckstore.encoding import readable

__all__ = ["KNOWN_TYPES", "TOOL_SEARCH_KEY", "Description", "Part", "describe"]

Part = Literal["input", "model", "output"]
"""Who made an item: the caller, the model (with its hosted tools), or a local tool."""

TOOL_SEARCH_KEY = "tool_search"
"""Pairing key of tool searches without a call id."""
TOOL_FAILED = "An error occurred while running the tool"
"""Start of the text that the SDK's default failure function puts in place of an output."""
TOOL_REJECTED = "Tool execution was not approved."
"""The SDK's default output of a tool call that a person refused to approve."""

_UNFINISHED = frozenset(
    ("in_progress", "searching", "generating", "interpreting", "calling", "incomplete")
)
"""States of a hosted tool call that came to no result."""
_FAILED = frozenset(
    (
        ("apply_patch_call_output", "failed"),
        ("function_call_output", "incomplete"),  # what an import makes of a result with an error
    )
)
"""Types and states of outputs that tell of a failure."""


class Description(NamedTuple):
    """The columns of one item that follow from the item alone.

    One is made for every item that is stored: a frozen dataclass takes three times as long.
    """

    part: Part
    item_type: str | None = None
    role: str | None = None
    text: str | None = None
    call_id: str | None = None
    tool_name: str | None = None
    tool_type: str | None = None
    server_label: str | None = None
    arguments: str | None = None
    status: str | None = None
    status_source: str | None = None
    error: str | None = None
    handoff_to: str | None = None
    is_call: bool = False
    is_output: bool = False

    @property
    def is_user_message(self) -> bool:
        """Whether a user said it."""
        return self.item_type == "message" and self.role == "user"

    @property
    def pairing_key(self) -> str | None:
        """What a call and its output have in common, or None where the item is no half of a pair.

        Tool searches that the provider runs have no call id and are paired with each other.
        """
        if not self.is_output and not (self.is_call and self.status is None):
            return None
        if self.call_id is None and self.item_type in ("tool_search_call", "tool_search_output"):
            return TOOL_SEARCH_KEY
        return self.call_id


def describe(item: Any) -> Description:
    """Describe one decoded item. Never raises, whatever JSON value it is given."""
    if not isinstance(item, dict):
        return Description(part="input", text=_text(item))
    item_type = _string(item.get("type"))
    if item_type is None:  # two types may leave theirs out
        if "role" in item and "content" in item:
            item_type = "message"
        elif isinstance(item.get("id"), str) and item.keys() <= {"id", "type"}:
            item_type = "item_reference"
    build = _BUILDERS.get(item_type or "")
    if build is not None:
        return build(item)
    return Description(
        part="input",
        item_type=item_type,
        role=_string(item.get("role")),
        call_id=_string(item.get("call_id")),
        text=_text(item.get("text")) or _text(item.get("content")),
    )


def _message(item: dict[str, Any]) -> Description:
    role = _string(item.get("role"))
    return Description(
        part="model" if role == "assistant" else "input",
        item_type="message",
        role=role,
        text=_text(item.get("content")),
    )


def _reasoning(item: dict[str, Any]) -> Description:
    words = [_text(item.get("summary")), _text(item.get("content"))]
    return Description(
        part="model", item_type="reasoning", text="\n".join(w for w in words if w) or None
    )


def _call(tool_type: str, arguments_key: str) -> _Builder:
    """A tool call whose output is an item of its own."""

    def build(item: dict[str, Any]) -> Description:
        return Description(
            part="model",
            item_type=_string(item.get("type")),
            call_id=_string(item.get("call_id")),
            tool_name=_string(item.get("name")) or tool_type,
            tool_type=tool_type,
            arguments=_arguments(item.get(arguments_key, item.get("actions"))),
            is_call=True,
        )

    return build


def _output(*, part: Part = "output", output_key: str = "output") -> _Builder:
    """The output of a tool call, as an item of its own."""

    def build(item: dict[str, Any]) -> Description:
        item_type = _string(item.get("type")) or ""
        output = item.get(output_key)
        text = _text_or_json(output)
        status, source, error = _outcome(item_type, item, output, text)
        call_id = _string(item.get("call_id"))
        if call_id is None and item_type == "local_shell_call_output":
            call_id = _string(item.get("id"))
        by_server = item_type == "tool_search_output" and item.get("execution") != "client"
        return Description(
            part="model" if by_server else part,
            item_type=item_type,
            call_id=call_id,
            text=text,
            status=status,
            status_source=source,
            error=error,
            handoff_to=_handoff_target(item_type, text),
            is_output=True,
        )

    return build


def _hosted_call(
    tool_type: str, arguments_keys: tuple[str, ...], output_keys: tuple[str, ...]
) -> _Builder:
    """A tool call that the model's provider ran: call and output are one item."""

    def build(item: dict[str, Any]) -> Description:
        arguments = next((item[k] for k in arguments_keys if item.get(k) is not None), None)
        output = next((item[k] for k in output_keys if item.get(k) is not None), None)
        error = _text_or_json(item.get("error"))
        state = _string(item.get("status"))
        failed = error is not None or state == "failed"
        unfinished = state in _UNFINISHED
        text = "[image]" if tool_type == "image_generation" and output else _text_or_json(output)
        return Description(
            part="model",
            item_type=_string(item.get("type")),
            call_id=_string(item.get("call_id")) or _string(item.get("id")),
            tool_name=_string(item.get("name")) or tool_type,
            tool_type=tool_type,
            server_label=_string(item.get("server_label")),
            arguments=_arguments(arguments),
            text=text,
            status="error" if failed else "pending" if unfinished else "ok",
            status_source="item",
            error=error if failed else None,
            is_call=True,
        )

    return build


def _mcp_list_tools(item: dict[str, Any]) -> Description:
    tools = item.get("tools")
    names = (
        [_string(t.get("name")) for t in tools if isinstance(t, dict)]
        if isinstance(tools, list)
        else []
    )
    return Description(
        part="model",
        item_type="mcp_list_tools",
        server_label=_string(item.get("server_label")),
        text=", ".join(name for name in names if name) or None,
        error=_text_or_json(item.get("error")),
    )


def _mcp_approval_request(item: dict[str, Any]) -> Description:
    return Description(
        part="model",
        item_type="mcp_approval_request",
        call_id=_string(item.get("id")),
        tool_name=_string(item.get("name")),
        server_label=_string(item.get("server_label")),
        arguments=_arguments(item.get("arguments")),
    )


def _mcp_approval_response(item: dict[str, Any]) -> Description:
    return Description(
        part="output",
        item_type="mcp_approval_response",
        call_id=_string(item.get("approval_request_id")),
        text=_text(item.get("reason")),
        status="ok" if item.get("approve") is True else "rejected",
        status_source="item",
    )


def _plain(part: Part, item_type: str) -> _Builder:
    """An item that is stored and counted, and has no words of its own."""

    def build(item: dict[str, Any]) -> Description:
        return Description(part=part, item_type=item_type, role=_string(item.get("role")))

    return build


def _outcome(
    item_type: str, item: dict[str, Any], output: Any, text: str | None
) -> tuple[str, str, str | None]:
    """Status, where it is known from, and the error text of a tool call's output."""
    if (item_type, _string(item.get("status"))) in _FAILED:
        return "error", "item", text
    if item_type == "shell_call_output" and isinstance(output, list):
        for chunk in output:
            outcome = chunk.get("outcome") if isinstance(chunk, dict) else None
            if not isinstance(outcome, dict):
                continue
            if outcome.get("type") == "timeout":
                return "error", "item", "timeout"
            if outcome.get("exit_code") not in (0, None):
                return "error", "item", f"exit code {outcome['exit_code']}"
    if text is not None and text.startswith(TOOL_FAILED):
        return "error", "text", text
    if text is not None and text.startswith(TOOL_REJECTED):
        return "rejected", "text", None
    return "ok", "default", None


def _handoff_target(item_type: str, text: str | None) -> str | None:
    """The agent that a handoff went to: the SDK answers one with `{"assistant": NAME}`."""
    if item_type != "function_call_output" or text is None or not text.startswith('{"assistant"'):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    if isinstance(value, dict) and list(value) == ["assistant"]:
        return _string(value["assistant"])
    return None


def _string(value: Any) -> str | None:
    return readable(value) if isinstance(value, str) else None


def _text(value: Any) -> str | None:
    """The words that a person would read in a content value, or None where there are none."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, list):
        words = [word for part in value if (word := _part_text(part)) is not None]
        return "\n".join(words) if words else None
    return None if isinstance(value, dict) else str(value)


def _part_text(part: Any) -> str | None:
    if not isinstance(part, dict):
        return _text(part) if isinstance(part, str) else None
    if isinstance(part.get("stdout"), str) or isinstance(part.get("stderr"), str):
        streams = [_string(part.get("stdout")), _string(part.get("stderr"))]
        return "\n".join(stream for stream in streams if stream)
    for key in ("text", "refusal", "transcript", "logs"):
        if isinstance(part.get(key), str):
            return readable(part[key])
    kind = part.get("type")
    if not isinstance(kind, str):
        return None
    if kind.endswith("file"):
        name = _string(part.get("filename"))
        return f"[file: {name}]" if name else "[file]"
    for medium in ("image", "audio", "screenshot"):
        if medium in kind:
            return f"[{'image' if medium == 'screenshot' else medium}]"
    return None


def _arguments(value: Any) -> str | None:
    """What a tool was called with: a text as it is, anything else as JSON."""
    if value is None or isinstance(value, str):
        return _string(value)
    return readable(json.dumps(value, ensure_ascii=False))


def _text_or_json(value: Any) -> str | None:
    """The words of a value, or its JSON text where it has none."""
    if value is None:
        return None
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, dict) and "screenshot" in str(value.get("type")):
        return "[image]"
    words = _text(value) if isinstance(value, list) else None
    return words if words is not None else readable(json.dumps(value, ensure_ascii=False))


_Builder = Callable[[dict[str, Any]], Description]

_BUILDERS: dict[str, _Builder] = {
    "message": _message,
    "reasoning": _reasoning,
    "function_call": _call("function", "arguments"),
    "function_call_output": _output(),
    "custom_tool_call": _call("custom", "input"),
    "custom_tool_call_output": _output(),
    "computer_call": _call("computer", "action"),
    "computer_call_output": _output(),
    "local_shell_call": _call("local_shell", "action"),
    "local_shell_call_output": _output(),
    "shell_call": _call("shell", "action"),
    "shell_call_output": _output(),
    "apply_patch_call": _call("apply_patch", "operation"),
    "apply_patch_call_output": _output(),
    "tool_search_call": _call("tool_search", "arguments"),
    "tool_search_output": _output(output_key="tools"),
    "program": _call("program", "code"),
    "program_output": _output(part="model", output_key="result"),
    "web_search_call": _hosted_call("web_search", ("action",), ("results",)),
    "file_search_call": _hosted_call("file_search", ("queries",), ("results",)),
    "code_interpreter_call": _hosted_call("code_interpreter", ("code",), ("outputs",)),
    "image_generation_call": _hosted_call(
        "image_generation", ("revised_prompt", "action"), ("result",)
    ),
    "mcp_call": _hosted_call("mcp", ("arguments",), ("output",)),
    "mcp_list_tools": _mcp_list_tools,
    "mcp_approval_request": _mcp_approval_request,
    "mcp_approval_response": _mcp_approval_response,
    "compaction": _plain("model", "compaction"),
    "compaction_trigger": _plain("input", "compaction_trigger"),
    "additional_tools": _plain("input", "additional_tools"),
    "configuration_update": _plain("input", "configuration_update"),
    "item_reference": _plain("input", "item_reference"),
}

KNOWN_TYPES = frozenset(_BUILDERS)
"""The types of items that are known."""
