"""What every face of a session stands on: its id, and the way to its store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from duckstore import errors
from duckstore.access import Access
from duckstore.command import EPOCH, Command

__all__ = ["HasHistoryId", "HasItemId", "SessionHandle", "Target", "where_of"]


class HasItemId(Protocol):
    """Anything that stands for an item, such as what `find` returns."""

    @property
    def item_id(self) -> int:
        """The item."""


class HasHistoryId(Protocol):
    """Anything that stands for an entry of the history."""

    @property
    def history_id(self) -> int:
        """The entry."""


Target = int | datetime | Mapping[str, Any] | HasItemId | HasHistoryId
"""A place in a session: a run's turn_number; an item, as anything that has an `item_id` (what
`find` returned, a row of `items` as a dict, `{"item_id": 42}`); `{"position": 6}`, after so many
items of the path; a moment, as a datetime with a time zone or anything that has a `history_id`."""


def where_of(target: Target, *, name: str = "target") -> dict[str, int]:
    """A place as commands name it; see `duckstore.places`.

    Raises:
        ArgumentError: It is none.
    """
    if isinstance(target, int) and not isinstance(target, bool):
        return {"turn": target}
    if isinstance(target, datetime):
        if target.utcoffset() is None:
            raise errors.ArgumentError(
                f"{name} is {target!r}, which has no time zone: give one, as in "
                "datetime.now(timezone.utc)"
            )
        since = min(max(target - EPOCH, _FIRST), _LAST)
        return {"time": (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds}
    values = (
        target
        if isinstance(target, Mapping)
        else {key: getattr(target, key, None) for key in ("item_id", "history_id")}
    )
    for key, word in _WORDS.items():
        number = values.get(key)
        if key == "position" and len(values) > 1:
            continue  # a row of another relation, which has it on a branch of its own
        if isinstance(number, int) and not isinstance(number, bool):
            return {word: number}
    raise errors.ArgumentError(
        f"{name} is {target!r}: give a run's turn_number, something with an item_id, or a moment"
    )


_FIRST, _LAST = (bound.replace(tzinfo=UTC) - EPOCH for bound in (datetime.min, datetime.max))
_WORDS = {"item_id": "item", "history_id": "history", "position": "position"}


class SessionHandle:
    """A session of a store."""

    def __init__(self, access: Access, session_id: str) -> None:
        if not isinstance(session_id, str):
            raise errors.ArgumentError(
                f"session_id is {session_id!r}, a {type(session_id).__name__}: it must be a string"
            )
        try:
            session_id.encode()
        except UnicodeEncodeError as error:
            raise errors.ArgumentError(
                f"session_id {session_id!r} holds a lone surrogate, which no file can store"
            ) from error
        self._access = access
        self.session_id = session_id

    def _command(
        self,
        operation: str,
        values: dict[str, Any] | None = None,
        raws: Sequence[str] = (),
        id_count: int = 1,
    ) -> Command:
        return Command(
            operation, self.session_id, values or {}, raws, id_count, self._access.is_durable
        )

    def _run(
        self,
        operation: str,
        values: dict[str, Any] | None = None,
        raws: Sequence[str] = (),
        id_count: int = 4,
    ) -> Any:
        """Do a change. Four ids are enough for a session's key, a branch and two moves."""
        return self._access.run(self._command(operation, values, raws, id_count))
