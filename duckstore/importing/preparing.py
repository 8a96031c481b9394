"""A transcript as the command that imports it: checked, encoded, without what cannot be stored."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from duckstore import errors
from duckstore.access import Access
from duckstore.batch import NewItem
from duckstore.command import EPOCH, Command
from duckstore.encoding import encode_items, readable
from duckstore.grafting import ImportValues, id_count_of
from duckstore.handle import SessionHandle
from duckstore.items import describe
from duckstore.transcript import Transcript, TranscriptResponse, checked_parents

__all__ = ["Prepared", "prepare"]

_MOST_TOKENS = 2**63 - 1
"""Counts above this are damage, and no column holds them."""
_MICROSECOND = timedelta(microseconds=1)
_FIRST = datetime.min.replace(tzinfo=UTC) - EPOCH
_LAST = datetime.max.replace(tzinfo=UTC) - EPOCH


@dataclass
class Prepared:
    """A conversation that can be stored."""

    session_id: str
    place: str
    values: ImportValues
    raws: list[str]
    described: list[NewItem] | None
    """The items with what follows from each, where that is known already."""

    @property
    def parents(self) -> Sequence[int]:
        """For each item the index of the one before it, or -1."""
        told = self.values["parents"]
        return range(-1, len(self.raws) - 1) if told is None else told

    @cached_property
    def marks(self) -> list[int]:
        """What stands for each item where two are compared: the same for the same text."""
        return list(map(hash, self.raws))

    def command(self, session_id: str) -> Command:
        """The command that imports it, as the session of that id.

        It is acknowledged before it is on disk: whoever imports waits for that once, at the end.
        """
        id_count = id_count_of(self.values["parents"], len(self.raws), len(self.values["branches"]))
        command = Command("import", session_id, dict(self.values), self.raws, id_count, sync=False)
        command.described = self.described
        return command


def prepare(
    access: Access, transcript: Transcript, *, are_json: bool = False, comes_in_pieces: bool = False
) -> Prepared:
    """Check and encode a transcript.

    Args:
        access: The store that it is for.
        transcript: The conversation.
        are_json: Whether its items are as a JSON decoder gives them, so that they need not be
            decoded again to be described.
        comes_in_pieces: Whether a conversation of the format may go on in another file without
            anything of its beginning.

    Raises:
        ImportFileError, ItemError, ArgumentError: It cannot be stored; the message says why.
    """
    t = transcript
    session_id = SessionHandle(access, t.session_id).session_id
    raws = encode_items(t.items)
    count = len(raws)
    if t.last_index is not None:
        _check_index("last_index", t.last_index, count)
    for name, index in t.branches.items():
        _check_index(f"the branch {name!r}", index, count)
    created = None
    if t.created_at is not None:
        created = [_moment(at) for at in _of_length("created_at", t.created_at, count)]
    agents = None
    if t.agent_names is not None:
        agents = [_text(name) for name in _of_length("agent_names", t.agent_names, count)]
    values: ImportValues = {
        "parents": checked_parents(t.parents, count),
        "created": created,
        "agents": agents,
        "responses": [_response(told, count) for told in t.responses],
        "branches": {readable(n): i for n, i in t.branches.items() if n.strip()},
        "last": t.last_index,
        "title": _text(t.title),
        "user_id": _text(t.user_id),
        "tags": json.dumps([readable(tag) for tag in t.tags], ensure_ascii=False),
        "metadata": _object(t.metadata),
        "source": _text(t.source),
        "session_created": _moment(t.session_created_at),
        "comes_in_pieces": comes_in_pieces,
    }
    described = None
    if are_json:
        described = [NewItem(raw, describe(v)) for raw, v in zip(raws, t.items, strict=True)]
    return Prepared(session_id, t.place or f"session {session_id!r}", values, raws, described)


def _check_index(name: str, index: Any, count: int) -> None:
    if type(index) is not int or not 0 <= index < count:
        raise errors.ImportFileError(f"{name} is at {index!r}: it has items 0 to {count - 1}")


def _of_length(name: str, values: Sequence[Any], count: int) -> Iterable[Any]:
    if len(values) != count:
        raise errors.ImportFileError(f"{name} has {len(values)} entries for {count} items")
    return values


def _text(value: str | None) -> str | None:
    return readable(value) if value else None


def _moment(at: datetime | None) -> int | None:
    """Microseconds since 1970; without a time zone it is UTC. None out of a datetime's years."""
    if at is None:
        return None
    since = (at if at.tzinfo else at.replace(tzinfo=UTC)) - EPOCH
    return since // _MICROSECOND if _FIRST <= since <= _LAST else None


def _response(told: TranscriptResponse, count: int) -> list[Any]:
    _check_index("a response", told.item_index, count)
    counts = told.usage.counts if told.usage is not None else None
    if counts is not None and not all(0 <= number <= _MOST_TOKENS for number in counts):
        counts = None
    names = (told.model, told.provider_response_id, told.finish_reason)
    return [told.item_index, counts and list(map(int, counts)), *map(_text, names)]


def _object(metadata: Any) -> str:
    """A JSON object as DuckDB reads it: it knows neither NaN nor lone surrogates."""
    try:
        plain = json.loads(json.dumps(dict(metadata)), parse_constant=lambda _: None)
        return readable(json.dumps(plain, ensure_ascii=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise errors.ImportFileError(f"its metadata is not JSON: {error}") from error
