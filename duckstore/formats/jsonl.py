"""JSON lines of Responses-API items: the format of recordings, and of duckstore's own export.

A file is UTF-8 text, plain or gzip, with one JSON object a line, each a conversation:

    {"session_id": "a", "items": [...], "parents": [...], ...}

Only `items` must be there. The keys, any of which may be left out or be null:

- `session_id`: text. Without it the conversation is named FILE:LINE.
- `items`: the items in the order in which they came, any JSON values.
- `parents`: for each item the index of the one before it, or -1 where nothing is before it. Two
  items with one parent are alternatives. Without it each item follows the one before.
- `created_at`: for each item when it was said, as an ISO 8601 text with a time zone, or null.
- `agent_names`: for each item the agent that it comes from, or null.
- `responses`: what is known of model calls, a list of objects. `item_index` is the first item of
  the model's in it; `model`, `provider_response_id` and `finish_reason` are texts; `usage` is an
  object of token counts as the Responses or the Chat Completions API names them, or with the names
  that the columns of `responses` have (`request_count`, `input_tokens`, `output_tokens`,
  `cache_read_input_tokens`, `cache_write_input_tokens`, `reasoning_output_tokens`, `total_tokens`).
  A call that begins right after another one's items is told of by standing here.
- `usage`: instead of `responses`, a list of such counts, one for each response in order. Where
  there are not as many of them as responses, they are left out.
- `branches`: an object with the names of branches, each with the index of its last item.
- `last_index`: the item at which the conversation was when it was written, the last one by default.
- `title`, `user_id`, `source`: texts. `tags`: a list of texts. `meta`: an object.
- `session_created_at`: when the session was made, an ISO 8601 text.

Other keys are not read. A line that is a list is a conversation without anything but its items. A
file whose lines are items themselves is one conversation, named after the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from duckstore import errors
from duckstore.batch import response_heads
from duckstore.formats.documents import first_value
from duckstore.formats.sample import Sample, Skipper, json_lines
from duckstore.formats.values import mapping, moment, sequence, text
from duckstore.items import KNOWN_TYPES, describe
from duckstore.transcript import Transcript, TranscriptResponse, checked_parents
from duckstore.usage import Usage

__all__ = ["ARE_JSON", "NAME", "TITLE", "read", "recognizes"]

NAME = "jsonl"
TITLE = "JSON lines of Responses-API items"
ARE_JSON = True
"""Its items are as a JSON decoder gives them: they can be described before they are encoded."""

_ROLES = frozenset(("user", "assistant", "system", "developer"))
_OF_CHAT = frozenset(("messages", "tool_calls", "function_call", "tool_call_id"))
_PARTS_OF_CHAT = frozenset(("text", "image_url", "input_audio", "file"))


def recognizes(sample: Sample) -> bool:
    """Whether its first line is a conversation with items, or an item."""
    first = sample.values[0] if sample.values else first_value(sample.head)
    if sample.is_folder or any(map(_is_of_chat, sample.values)):
        return False
    if isinstance(first, list):
        return bool(first) and all(map(_is_item, first))
    return _is_item(first) or isinstance(mapping(first).get("items"), list)


def _is_item(value: Any) -> bool:
    if not isinstance(value, dict) or _is_of_chat(value):
        return False
    if "type" in value:
        return value["type"] in KNOWN_TYPES
    return value.get("role") in _ROLES and "content" in value


def _is_of_chat(value: Any) -> bool:
    if not isinstance(value, dict) or "type" in value or "items" in value:
        return False
    parts = map(mapping, sequence(value.get("content")))
    return bool(_OF_CHAT & value.keys()) or any(p.get("type") in _PARTS_OF_CHAT for p in parts)


def read(path: Path, report: Skipper) -> Iterator[Transcript]:
    """Read a file's conversations.

    Args:
        path: The file.
        report: Told what was left out.

    Raises:
        ImportFileError: The file cannot be read, or no line of it is a conversation or an item.
    """
    stem = path.name.removesuffix(".gz").removesuffix(".jsonl")
    is_found, loose = False, []
    for number, value, done in json_lines(path, report):
        place = f"line {number}"
        if isinstance(value, list):
            value = {"items": value}
        if isinstance(value, dict) and isinstance(value.get("items"), list):
            transcript = _transcript(value, f"{stem}:{number}", place, report)
            if transcript is not None:
                is_found = True
                yield transcript
        elif isinstance(value, dict) and "items" in value:
            report.skip(place, f"items is a {type(value['items']).__name__} and not a list")
        elif isinstance(value, dict) and ("type" in value or "role" in value):
            loose.append(value)
        else:
            report.skip(place, "neither a conversation with items nor an item")
        report.advance(done)
    if loose:
        yield Transcript(stem, loose, place="the items")
    elif not is_found:
        raise errors.ImportFileError(
            f"{path} holds no conversation. Give a file of JSON lines, each with a list of items, "
            "or each an item; the README shows one"
        )


def _transcript(line: dict[str, Any], name: str, place: str, report: Skipper) -> Transcript | None:
    """The conversation of a line; None where it makes none."""
    items = line["items"]
    described = [line.get(key) for key in ("title", "user_id", "tags", "meta")]
    if not items and not any(described):
        report.skip(place, "it has no items")
        return None
    try:
        parents = checked_parents(line.get("parents"), len(items))
    except errors.ImportFileError as error:
        report.skip(place, str(error))
        return None
    given = _Given(line, place, report)
    meta = given.of("meta", dict) or {}
    last_index = given.of("last_index", int)
    return Transcript(
        session_id=given.of("session_id", str) or name,
        items=items,
        parents=parents,
        created_at=given.list_of("created_at", moment, len(items)),
        agent_names=given.list_of("agent_names", text, len(items)),
        responses=_responses(given, items, parents, meta),
        branches={
            branch: index
            for branch, index in (given.of("branches", dict) or {}).items()
            if given.is_index("branches", index, len(items))
        },
        last_index=last_index if given.is_index("last_index", last_index, len(items)) else None,
        title=given.of("title", str),
        user_id=given.of("user_id", str),
        tags=[tag for tag in given.of("tags", list) or () if isinstance(tag, str)],
        metadata=meta,
        source=given.of("source", str),
        session_created_at=moment(line.get("session_created_at")),
        place=place,
    )


class _Given:
    """The keys of a line. What one says that makes no sense is told and left out."""

    def __init__(self, line: dict[str, Any], place: str, report: Skipper) -> None:
        self._line, self._place, self._report = line, place, report

    def of(self, key: str, kind: type) -> Any:
        """The value of a key, if it is of that type."""
        value = self._line.get(key)
        if value is None or (isinstance(value, kind) and not isinstance(value, bool)):
            return value
        self._leave_out(key, f"it is a {type(value).__name__}")
        return None

    def list_of(self, key: str, read: Any, length: int) -> list[Any] | None:
        """The list of a key, with something for each item, as `read` makes it."""
        values = self.of(key, list)
        if values is not None and len(values) != length:
            self._leave_out(key, f"it has {len(values)} entries for {length} items")
            return None
        made = [read(value) for value in values or ()]
        told = sum(value is not None for value in values or ())
        if sum(one is not None for one in made) < told:
            self._leave_out(key, "not every entry of it can be read", "in part ")
        return made or None

    def is_index(self, key: str, value: Any, length: int) -> bool:
        """Whether it is the index of an item."""
        if value is None:
            return False
        is_one = type(value) is int and 0 <= value < length
        if not is_one:
            self._leave_out(key, f"{value!r} is the index of no item", "in part ")
        return is_one

    def _leave_out(self, key: str, reason: str, how: str = "") -> None:
        self._report.skip(self._place, f"taken, {how}without its {key}: {reason}")


def _responses(
    given: _Given, items: Sequence[Any], parents: Sequence[int] | None, meta: dict[str, Any]
) -> list[TranscriptResponse]:
    told = given.of("responses", list)
    if told:
        return [
            TranscriptResponse(
                item_index=value["item_index"],
                usage=_usage(value.get("usage")),
                model=text(value.get("model")),
                provider_response_id=text(value.get("provider_response_id")),
                finish_reason=text(value.get("finish_reason")),
            )
            for value in map(mapping, told)
            if given.is_index("responses", value.get("item_index", -1), len(items))
        ]
    usage = given.of("usage", list)
    if not usage:
        return []
    before = range(-1, len(items) - 1) if parents is None else parents
    heads = response_heads([describe(item).part for item in items], before)
    begun = list(dict.fromkeys(head for head in heads if head >= 0))
    if len(begun) != len(usage):
        return []
    models = sequence(meta.get("models"))
    model = text(models[0]) if len(models) == 1 else None
    return [
        TranscriptResponse(head, _usage(counts), model)
        for head, counts in zip(begun, usage, strict=True)
        if isinstance(counts, dict)
    ]


def _usage(value: Any) -> Usage | None:
    """Token counts, by whichever names they are told."""
    if not isinstance(value, dict):
        return None
    told = Usage.of_json(value)
    own = {name: value[name] for name in Usage.__slots__ if type(value.get(name)) is int}
    return replace(told, **own)
