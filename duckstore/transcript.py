"""A conversation as it was read from somewhere else, before it is stored.

Readers of foreign formats make these, and the import stores them. What a format does not tell stays
None or empty: nothing is made up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from duckstore import errors
from duckstore.usage import Usage

__all__ = ["Transcript", "TranscriptResponse", "checked_parents"]


@dataclass(frozen=True, slots=True)
class TranscriptResponse:
    """What is told of one model call beyond its items."""

    item_index: int
    """An item of the response: the index of any of those that the model made in it."""
    usage: Usage | None = None
    model: str | None = None
    provider_response_id: str | None = None
    finish_reason: str | None = None


@dataclass(slots=True)
class Transcript:
    """One conversation with every way that it went."""

    session_id: str
    items: Sequence[Any]
    """Responses-API input items as JSON values, each after the one that it follows."""
    parents: Sequence[int] | None = None
    """For each item the index of the one before it, or -1 for an opening; None: one path."""
    created_at: Sequence[datetime | None] | None = None
    """For each item when it was said, with a time zone."""
    agent_names: Sequence[str | None] | None = None
    """For each item the agent that it comes from."""
    responses: Sequence[TranscriptResponse] = ()
    branches: Mapping[str, int] = field(default_factory=dict)
    """Names of paths, each with the index of its last item; those without get names as usual."""
    last_index: int | None = None
    """The item with which the current path ends; None: the last one."""
    title: str | None = None
    user_id: str | None = None
    tags: Sequence[str] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    source: str | None = None
    """Where it comes from: a format's name or what the file says."""
    session_created_at: datetime | None = None
    place: str = ""
    """Where in the file it stands, for people: "line 3", "conversation 12"."""


def checked_parents(parents: Any, count: int) -> list[int] | None:
    """The parents of so many items as they can be used; None where the items are one path.

    Raises:
        ImportFileError: They are no parents of these items.
    """
    if parents is None:
        return None
    if not isinstance(parents, Sequence) or len(parents) != count:
        raise errors.ImportFileError(f"parents is not a list of {count} indexes, one for each item")
    checked = [-1 if parent is None else parent for parent in parents]
    for index, parent in enumerate(checked):
        if type(parent) is not int or not -1 <= parent < index:
            raise errors.ImportFileError(
                f"the parent of item {index} is {parent!r}: it must be the index of an earlier "
                "item, or -1"
            )
    return None if checked == list(range(-1, count - 1)) else checked
