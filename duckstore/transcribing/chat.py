"""Chat Completions messages: what agents see, for tools that know no Responses items."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from duckstore.access import Access
from duckstore.encoding import decode
from duckstore.transcribing.files import TranscribeReport, written_lines
from duckstore.transcribing.reading import told_sessions

__all__ = ["chat_messages", "export_chat"]


def export_chat(
    access: Access,
    path: Path,
    sessions: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TranscribeReport:
    """Write the current path of sessions; see `Store.export_chat`."""
    report = TranscribeReport(str(path))
    with written_lines(path) as file:
        for told in told_sessions(access, sessions, progress):
            messages = chat_messages((decode(told.raws[at]) for at in told.path), report.left_out)
            line = {"session_id": told.attributes["session_id"], "messages": messages}
            file.write(json.dumps(line) + "\n")
            report.session_count += 1
            report.item_count += len(told.path)
            if len(told.raws) > len(told.path):
                report.left_out["not on the current path"] += len(told.raws) - len(told.path)
    return report


def chat_messages(items: Iterable[Any], left_out: Counter[str]) -> list[dict[str, Any]]:
    """Items as messages. Calls that follow each other, and what was said before them, are one.

    Args:
        items: Responses-API items.
        left_out: Counts what has no place, by its type.
    """
    messages: list[dict[str, Any]] = []
    for item in items:
        kind = _kind(item)
        if kind == "message":
            messages.append(_message(item, left_out))
        elif kind == "function_call":
            before = messages[-1] if messages else {}
            if before.get("role") != "assistant":
                messages.append({"role": "assistant", "content": None})
            messages[-1].setdefault("tool_calls", []).append(_call(item))
        elif kind == "function_call_output":
            output = item.get("output")
            messages.append(
                {
                    "role": "tool",
                    "tool_call_id": item.get("call_id"),
                    "content": output if isinstance(output, str) else _texts(output, left_out),
                }
            )
        else:
            left_out[kind] += 1
    return messages


def _kind(item: Any) -> str:
    if not isinstance(item, Mapping):
        return "no object"
    return str(item.get("type") or ("message" if "role" in item else "no type"))


def _call(item: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": item.get("name"), "arguments": item.get("arguments")}
    return {"id": item.get("call_id"), "type": "function", "function": function}


def _message(item: Mapping[str, Any], left_out: Counter[str]) -> dict[str, Any]:
    role, content = item.get("role"), item.get("content")
    if isinstance(content, str) or content is None:
        return {"role": role, "content": content}
    if role == "assistant":
        refusals = [p["refusal"] for p in _parts(content) if isinstance(p.get("refusal"), str)]
        texts = _texts([p for p in _parts(content) if "refusal" not in p], left_out)
        message: dict[str, Any] = {"role": role, "content": texts or None}
        return message | ({"refusal": "".join(refusals)} if refusals else {})
    parts = [part for p in _parts(content) if (part := _part(p, left_out)) is not None]
    if len(parts) == 1 and parts[0]["type"] == "text":
        return {"role": role, "content": parts[0]["text"]}
    return {"role": role, "content": parts}


def _parts(content: Any) -> list[Mapping[str, Any]]:
    values = content if isinstance(content, list) else [content]
    return [p if isinstance(p, Mapping) else {"type": "text", "text": str(p)} for p in values]


def _texts(content: Any, left_out: Counter[str]) -> str:
    """The texts of parts; what is none is left out."""
    texts = []
    for part in _parts(content) if content is not None else ():
        if isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            left_out[str(part.get("type"))] += 1
    return "".join(texts)


def _part(part: Mapping[str, Any], left_out: Counter[str]) -> dict[str, Any] | None:
    """A part of what was said to the model."""
    if isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    if part.get("type") == "input_image" and part.get("image_url"):
        image = {"url": part["image_url"]}
        if part.get("detail"):
            image["detail"] = part["detail"]
        return {"type": "image_url", "image_url": image}
    if part.get("type") == "input_file":
        names = ("file_data", "file_id", "filename")
        return {"type": "file", "file": {name: part[name] for name in names if part.get(name)}}
    if part.get("type") == "input_audio":
        return {"type": "input_audio", "input_audio": part.get("input_audio")}
    left_out[str(part.get("type"))] += 1
    return None
