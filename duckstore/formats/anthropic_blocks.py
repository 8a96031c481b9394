"""Content blocks of Anthropic's Messages API as items.

A thought becomes reasoning as the SDK keeps that of a Claude model: its words as content and its
signature as encrypted content; a block without words is kept whole in `provider_data`. A tool's
use and result become a function call and its output; so do those of tools that the provider runs.
A result that is an error has the status `incomplete`. A block of an unknown kind is kept as its
JSON text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from duckstore.formats.sdk_items import (
    answer,
    call,
    call_output,
    message,
    part_file,
    part_image,
    part_text,
    reasoning,
    said,
)
from duckstore.formats.values import count, json_text, mapping, text
from duckstore.usage import Usage

__all__ = ["answer_items", "input_items", "usage_of"]


def input_items(content: Any, role: str) -> list[dict[str, Any]]:
    """The items of what was said to a model: tool results, and a message of the rest."""
    if isinstance(content, str):
        return [message(role, content)] if content else []
    items: list[dict[str, Any]] = []
    parts: list[Any] = []
    for block in _blocks(content):
        if _is_result(block):
            items.append(_result(block))
        elif (part := _part(block)) is not None:
            parts.append(part)
    if parts:
        items.append(message(role, _plain(parts)))
    return items


def answer_items(content: Any) -> list[dict[str, Any]]:
    """The items of what a model said, in their order; texts that follow each other are one."""
    if isinstance(content, str):
        return [answer(said(content))] if content else []
    items: list[dict[str, Any]] = []
    for block in _blocks(content):
        kind = block.get("type")
        if kind in ("thinking", "redacted_thinking"):
            items.append(_thought(block))
        elif _is_use(block):
            arguments = block.get("input")
            items.append(call(block["id"], block["name"], {} if arguments is None else arguments))
        elif _is_result(block):
            items.append(_result(block))
        elif kind == "text" and isinstance(block.get("text"), str):
            if block["text"]:
                items.append(answer(said(block["text"])))
        elif block:
            items.append(answer(said(json_text(block))))
    return items


def usage_of(usage: Any) -> Usage | None:
    """Token counts with the SDK's meaning: the input includes what a cache held or was given."""
    if not isinstance(usage, dict):
        return None
    read = count(usage.get("cache_read_input_tokens"))
    written = count(usage.get("cache_creation_input_tokens"))
    tokens_in = count(usage.get("input_tokens")) + read + written
    tokens_out = count(usage.get("output_tokens"))
    if not tokens_in and not tokens_out:
        return None
    details = mapping(usage.get("output_tokens_details"))
    return Usage(
        request_count=1,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cache_read_input_tokens=read,
        cache_write_input_tokens=written,
        reasoning_output_tokens=count(details.get("thinking_tokens")),
        total_tokens=tokens_in + tokens_out,
    )


def _blocks(content: Any) -> Iterable[dict[str, Any]]:
    for block in content if isinstance(content, list) else [content]:
        if isinstance(block, dict):
            yield block
        elif block is not None:
            yield {"type": "text", "text": block if isinstance(block, str) else json_text(block)}


def _is_use(block: dict[str, Any]) -> bool:
    is_named = text(block.get("id")) and text(block.get("name"))
    return bool(str(block.get("type")).endswith("tool_use") and is_named)


def _is_result(block: dict[str, Any]) -> bool:
    return str(block.get("type")).endswith("tool_result") and bool(text(block.get("tool_use_id")))


def _result(block: dict[str, Any]) -> dict[str, Any]:
    content = block.get("content")
    output: str | list[Any]
    if content is None or isinstance(content, str):
        output = content or ""
    else:
        output = _plain([part for one in _blocks(content) if (part := _part(one)) is not None])
    return call_output(block["tool_use_id"], output, is_error=block.get("is_error") is True)


def _plain(parts: list[Any]) -> str | list[Any]:
    """A single text as a text, anything else as the list of its parts."""
    if not parts:
        return ""
    is_text = len(parts) == 1 and parts[0]["type"] == "input_text"
    return str(parts[0]["text"]) if is_text else parts


def _part(block: dict[str, Any]) -> dict[str, Any] | None:
    kind = block.get("type")
    if kind == "text" and isinstance(block.get("text"), str):
        return part_text(block["text"]) if block["text"] else None
    source = mapping(block.get("source"))
    address = text(source.get("url")) or _data_url(source)
    if kind == "image" and address:
        return part_image(address)
    if kind == "document" and (address or text(source.get("file_id"))):
        return part_file(
            file_url=source.get("url"),
            file_data=_data_url(source),
            file_id=source.get("file_id"),
            filename=block.get("title"),
        )
    return part_text(json_text(block)) if block else None


def _data_url(source: dict[str, Any]) -> str | None:
    data, kind = text(source.get("data")), text(source.get("media_type"))
    if source.get("type") != "base64" or data is None:
        return None
    return f"data:{kind or 'application/octet-stream'};base64,{data}"


def _thought(block: dict[str, Any]) -> dict[str, Any]:
    words = text(block.get("thinking"))
    if words is None:
        return reasoning(provider_data={"thinking_blocks": [block]})
    return reasoning(content=[words], signature=text(block.get("signature")))
