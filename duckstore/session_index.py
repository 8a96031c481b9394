"""Where in the file each session's rows lie, so that reading one back costs one short query.

DuckDB has no index that serves "the items of this session" well; its zone maps do, when they are
asked for a range of ids. So the owner of a store keeps the first and the last id of every session:
32 bytes each, sorted by a hash of the session id, and a dict for what has changed since. It is made
when sessions are first read back, in one query.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import NamedTuple

import duckdb

from duckstore.breath import Breath

__all__ = ["Place", "SessionIndex"]


class Place(NamedTuple):
    """Where a session's rows are."""

    session_key: int
    last_id: int
    """No item of it has a higher id."""
    is_plain: bool
    """Whether it never went another way, and its one branch is "main": then its items in the order
    of their ids are its path, and nothing else need be read."""


@dataclass(slots=True)
class SessionIndex:
    """The places of all stored sessions."""

    is_built: bool = False
    _low: array[int] = field(default_factory=lambda: array("Q"))
    _high: array[int] = field(default_factory=lambda: array("Q"))
    _keys: array[int] = field(default_factory=lambda: array("q"))
    _last: array[int] = field(default_factory=lambda: array("q"))
    _winding: set[int] = field(default_factory=set)
    """Keys of the sessions that are not plain."""
    _changed: dict[str, Place | None] = field(default_factory=dict)

    def build(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Read the places of all sessions. Nothing may be written meanwhile."""
        built = SessionIndex(is_built=True)
        built._winding = {
            key
            for (key,) in cursor.execute(
                "select session_key from move_rows union"
                " select session_key from branch_rows"
                " where branch_id <> session_key or name <> 'main'"
            ).fetchall()
        }
        cursor.execute(
            """
            select
                md5_number_lower(session_id)::ubigint as low,
                md5_number_upper(session_id)::ubigint as high,
                session_key,
                coalesce(last_id, session_key)
            from session_rows
            left join (
                select session_key, max(item_id) as last_id from item_rows group by session_key
            ) using (session_key)
            order by low, high
            """
        )
        breath = Breath()
        while rows := cursor.fetchmany(500):
            for low, high, key, last in rows:
                built._low.append(low)
                built._high.append(high)
                built._keys.append(key)
                built._last.append(last)
            breath.take()
        self._low, self._high, self._keys, self._last = (
            built._low,
            built._high,
            built._keys,
            built._last,
        )
        self._winding, self._changed, self.is_built = built._winding, {}, True

    def drop(self) -> None:
        """Forget everything; it can be built again."""
        self.is_built, self._changed = False, {}

    def note(self, session_id: str, place: Place | None) -> None:
        """Say where a session lies from now on; None where it was purged."""
        if self.is_built:
            self._changed[session_id] = place

    def find(self, session_id: str) -> Place | None:
        """Where a session lies; None where it is not stored. For a built index only."""
        if session_id in self._changed:
            return self._changed[session_id]
        low, high = _hash(session_id)
        at = bisect_left(self._low, low)
        while at < len(self._low) and self._low[at] == low:
            if self._high[at] == high:
                key = self._keys[at]
                return Place(key, self._last[at], key not in self._winding)
            at += 1
        return None


def _hash(session_id: str) -> tuple[int, int]:
    """The two halves of the md5 hash of a session id, as DuckDB's md5_number_* give them."""
    digest = hashlib.md5(session_id.encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[8:], "little"), int.from_bytes(digest[:8], "little")
