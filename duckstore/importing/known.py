"""What a store has already of the conversations that are imported.

It is asked for some conversations at a time, so that a file that was imported before is compared
without anything being written. What is decided here may be out of date a moment later, as when
another process imports the same file: the command that imports compares again.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from duckstore.access import Access
from duckstore.grafting import ATTRIBUTES
from duckstore.importing.preparing import Prepared
from duckstore.overlap import overlap

__all__ = ["Difference", "Known", "KnownSession"]


@dataclass(frozen=True, slots=True)
class Difference:
    """What the import of a conversation into a session would do."""

    is_another: bool = False
    """Whether the session is another conversation."""
    item_count: int = 0
    """Items that the session does not have."""
    response_count: int = 0
    """Items of responses of which the session knows nothing more."""
    describes: bool = False
    """Whether it tells of the session what is not known."""

    def __bool__(self) -> bool:
        return bool(self.item_count or self.response_count or self.describes)


@dataclass(slots=True)
class KnownSession:
    """A session as far as an import must know it. Items stand for their hashes."""

    marks: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    lacks_response: list[bool] = field(default_factory=list)
    """Of each item, whether it is of a response of which nothing more is known."""
    attributes: dict[str, Any] = field(default_factory=dict)

    def compare(self, prepared: Prepared) -> Difference:
        """What the import of a conversation would do."""
        found = self._found(prepared)
        if self.marks and found and max(found) < 0 and not self._is_piece(prepared):
            return Difference(is_another=True)
        values: Mapping[str, Any] = prepared.values
        told = [found[index] for index, *facts in values["responses"] if any(facts)]
        return Difference(
            item_count=found.count(-1),
            response_count=sum(place >= 0 and self.lacks_response[place] for place in told),
            describes=any(
                self.attributes.get(name) in (None, "", nothing)
                and values[name] not in (None, nothing)
                for name, nothing in ATTRIBUTES.items()
            ),
        )

    def _found(self, prepared: Prepared) -> list[int]:
        return overlap(prepared.parents, prepared.marks, self.parents, self.marks)

    def _is_piece(self, prepared: Prepared) -> bool:
        source = prepared.values["source"]
        is_same = source is not None and source == self.attributes.get("source")
        return prepared.values["comes_in_pieces"] and is_same

    def take(self, prepared: Prepared) -> None:
        """Be as if the conversation had been imported."""
        places = self._found(prepared)
        for index, place in enumerate(places):
            if place < 0:
                places[index] = len(self.marks)
                parent = prepared.parents[index]
                self.marks.append(prepared.marks[index])
                self.parents.append(places[parent] if parent >= 0 else -1)
                self.lacks_response.append(False)
        for index, *_ in prepared.values["responses"]:
            self.lacks_response[places[index]] = False
        for name, nothing in ATTRIBUTES.items():
            if self.attributes.get(name) in (None, "", nothing):
                self.attributes[name] = prepared.values[name]  # type: ignore[literal-required]


class Known:
    """The sessions that a store had when the import began."""

    def __init__(self, access: Access) -> None:
        """Ask which there are: eight bytes of each are kept."""
        self._access = access
        rows = access.rows(
            "select md5_number_lower(session_id)::ubigint as mark from session_rows order by mark"
        ).rows
        self._marks = array("Q", (mark for (mark,) in rows))

    def may_have(self, session_id: str) -> bool:
        """Whether a session was there; in one of so many cases as there are atoms it was not."""
        digest = hashlib.md5(session_id.encode(), usedforsecurity=False).digest()
        mark = int.from_bytes(digest[8:], "little")
        at = bisect_left(self._marks, mark)
        return at < len(self._marks) and self._marks[at] == mark

    def sessions(self, session_ids: Iterable[str]) -> dict[str, KnownSession]:
        """Those of these sessions that are stored, as they are now."""
        names = {"session_ids": [name for name in session_ids if self.may_have(name)]}
        if not names["session_ids"]:
            return {}
        columns = ", ".join(f"session_rows.{name}" for name in ATTRIBUTES)
        described = self._access.rows(
            f"select session_id, {columns} from session_rows"
            " where session_id in (select unnest($session_ids::varchar[]))",
            names,
        ).rows
        found = {
            row[0]: KnownSession(attributes=dict(zip(ATTRIBUTES, row[1:], strict=True)))
            for row in described
        }
        self._fill(found, names)
        return found

    def _fill(self, found: dict[str, KnownSession], names: dict[str, Any]) -> None:
        rows = self._access.rows(
            """
            select
                session_rows.session_id,
                item_rows.item_id,
                item_rows.parent_item_id,
                item_rows.response_id is not null and response_rows.response_id is null,
                item_rows.item
            from item_rows
            inner join session_rows on item_rows.session_key = session_rows.session_key
            left join response_rows on item_rows.response_id = response_rows.response_id
            where session_rows.session_id in (select unnest($session_ids::varchar[]))
            order by item_rows.item_id
            """,
            names,
        ).rows
        places: defaultdict[str, dict[int | None, int]] = defaultdict(dict)
        for session_id, item_id, parent_item_id, lacks_response, item in rows:
            session = found.get(session_id)
            if session is None:
                continue  # it was made between the two questions
            places[session_id][item_id] = len(session.marks)
            session.marks.append(hash(item))
            session.parents.append(places[session_id].get(parent_item_id, -1))
            session.lacks_response.append(lacks_response)
