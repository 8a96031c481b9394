"""Which sessions a store holds, and what describes them: title, user, tags, metadata.

Tags and metadata are kept as JSON text that DuckDB can read: no NaN and no lone surrogate may get
in here, because one such row would make the whole relation unreadable. Characters stand in it
unescaped, so that a search finds them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from duckstore import errors
from duckstore.access import Access
from duckstore.conversation import Conversation

__all__ = ["SessionInfo", "list_sessions", "update_session"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ORDERS = ("updated_at", "created_at", "session_id", "title", "item_count", "run_count")
_MOST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """One session, as `Store.sessions` lists it."""

    session_id: str
    title: str | None
    user_id: str | None
    tags: list[str]
    metadata: dict[str, Any]
    source: str | None
    created_at: datetime
    updated_at: datetime
    item_count: int
    run_count: int
    first_user_message: str | None


def list_sessions(
    access: Access,
    *,
    search: str | None,
    user_id: str | None,
    tag: str | None,
    metadata: Mapping[str, Any] | None,
    source: str | None,
    order_by: str,
    descending: bool,
    limit: int | None,
    offset: int,
) -> list[SessionInfo]:
    """The sessions that match; the arguments are those of `Store.sessions`."""
    if order_by not in _ORDERS:
        raise errors.ArgumentError(f"order_by is {order_by!r}: choose one of {', '.join(_ORDERS)}")
    values: dict[str, Any] = {
        "limit": None if limit is None else _count("limit", limit),
        "offset": _count("offset", offset),
    }
    conditions: list[str] = []
    texts = {"search": search, "user_id": user_id, "tag": tag, "source": source}
    for name, text in texts.items():
        if text is not None:
            conditions.append(_CONDITIONS[name])
            values[name] = _text(name, text)
    for number, (key, value) in enumerate((metadata or {}).items()):
        conditions.append(_METADATA_CONDITION.format(number=number))
        # A JSON pointer: any text can be a key.
        values[f"key_{number}"] = "/" + _text("a metadata key", key).replace("~", "~0").replace(
            "/", "~1"
        )
        values[f"value_{number}"] = _json("metadata", value)
    direction = "desc" if descending else "asc"
    found = access.rows(
        f"""
        select
            session_id, title, user_id, tags, metadata::varchar, source,
            epoch_us(created_at), epoch_us(updated_at), item_count, run_count,
            first_user_message,
        from sessions
        where {" and ".join(conditions) or "true"}
        order by {order_by} {direction} nulls last, session_id asc
        limit $limit offset $offset
        """,
        values,
    )
    return [_session_info(row) for row in found.rows]


# Upper and then lower: letters with two lower case forms (a final sigma) become one.
_CONDITIONS = {
    "search": """contains(
        lower(upper(nfc_normalize(replace(concat_ws(
            chr(10), session_id, title, user_id, array_to_string(tags, chr(10)),
            metadata::varchar, first_user_message
        ), chr(0), ' ')))),
        lower(upper(nfc_normalize(replace($search, chr(0), ' '))))
    )""",
    "user_id": "user_id = $user_id",
    "tag": "list_contains(tags, $tag)",
    "source": "source = $source",
}
# Each contains the other: they are equal, in whatever order their keys stand.
_METADATA_CONDITION = """(
    json_contains(json_extract(metadata, $key_{number}), $value_{number}::json)
    and json_contains($value_{number}::json, json_extract(metadata, $key_{number}))
)"""


def update_session(
    access: Access,
    session_id: str,
    *,
    title: str | None,
    user_id: str | None,
    tags: Iterable[str] | None,
    metadata: Mapping[str, Any] | None,
    source: str | None,
) -> None:
    """Set what describes a session; the arguments are those of `Store.update_session`."""
    given = {"title": title, "user_id": user_id, "source": source}
    values: dict[str, Any] = {
        name: _text(name, text) or None for name, text in given.items() if text is not None
    }
    if tags is not None:
        if isinstance(tags, str):
            raise errors.ArgumentError(f"tags is the text {tags!r}: give a list of texts")
        values["tags"] = _json("tags", [_text("a tag", tag) for tag in tags])
    if metadata is not None:
        if not isinstance(metadata, Mapping):
            raise errors.ArgumentError(f"metadata is {metadata!r}: give a dict")
        values["metadata"] = _json("metadata", dict(metadata))
    Conversation(access, session_id).update(values)


def _count(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST:
        raise errors.ArgumentError(f"{name} is {value!r}: give a whole number from 0 up")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise errors.ArgumentError(f"{name} is {value!r}: give a text")
    return _storable(name, value)


def _json(name: str, value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise errors.ArgumentError(f"{name} is not JSON: {error}") from error
    return _storable(name, text)


def _storable(name: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise errors.ArgumentError(
            f"{name} is {text!r}, which holds a lone surrogate: no file can store that"
        ) from error
    return text


def _session_info(row: tuple[Any, ...]) -> SessionInfo:
    session_id, title, user_id, tags, metadata, source, created, updated, *rest = row
    return SessionInfo(
        session_id,
        title,
        user_id,
        tags,
        json.loads(metadata),
        source,
        _EPOCH + timedelta(microseconds=created),
        _EPOCH + timedelta(microseconds=updated),
        *rest,
    )
