"""Which sessions an export holds, in which part each lies, and which parts have changed.

Sessions are put into parts in the order in which they were made, and stay there: so a change of one
session makes its part new and no other. What a session is made of is told by a fingerprint over
its rows; the texts need not be read for it, since items are never changed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from duckstore import errors
from duckstore.access import Access
from duckstore.exporting.shape import columns_of
from duckstore.schema import STORE_TABLES, TABLES

__all__ = ["PARTITIONS", "Plan", "Planned", "Selection", "parts_of", "read_plan"]

PART_ITEMS = 400_000
"""Items after which a new part is begun: files that are worth scanning, and little to write anew
when a session goes on."""

PARTITIONS = {"day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}
"""How sessions are told apart by when they began (UTC): each is a folder like `month=2026-11`."""

_MARKED = (*(t for t in TABLES if t not in ("session_rows", "item_rows", "request_rows")),)


class Selection(NamedTuple):
    """Which sessions are wanted; all, where nothing is said."""

    since: datetime | None = None
    """Only those of which something is as late as this."""
    sessions: tuple[str, ...] | None = None


class Planned(NamedTuple):
    """A session that is to be exported."""

    session_key: int
    session_id: str
    partition: str
    """The value in the folder's name; empty where there are no partitions."""
    item_count: int
    first_item_at: str | None
    last_item_at: str | None
    last_at: str | None
    """When it was last changed: its latest item or move."""
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be exported of a store."""

    sessions: Sequence[Planned]
    """In the order of their keys."""
    stored_keys: Sequence[int]
    """The keys of all sessions of the store, in order."""
    prices: str
    """A fingerprint of the prices."""

    def condition(self, members: Sequence[Planned]) -> str:
        """A condition on `session_key` for these sessions, given in the order of their keys."""
        if not members:
            return "false"
        keys = [session.session_key for session in members]
        bounds = f"session_key between {keys[0]} and {keys[-1]}"
        first = bisect_left(self.stored_keys, keys[0])
        if self.stored_keys[first : first + len(keys)] == keys:
            return bounds
        return f"{bounds} and session_key in (select unnest({keys}::bigint[]))"


def read_plan(access: Access, selection: Selection, partition_by: str | None) -> Plan:
    """Find out what is to be exported.

    Raises:
        ArgumentError: There is no session of one of the ids.
    """
    sessions = [Planned(*row) for row in access.rows(_plan_sql(partition_by)).rows]
    stored_keys = [session.session_key for session in sessions]
    if selection.sessions is not None:
        wanted = set(selection.sessions)
        unknown = sorted(wanted - {session.session_id for session in sessions})
        if unknown:
            raise errors.ArgumentError(
                f"there is no session {unknown[0]!r} in {access.path}: give ids that "
                "Store.sessions lists"
            )
        sessions = [session for session in sessions if session.session_id in wanted]
    if selection.since is not None:
        since = selection.since
        sessions = [s for s in sessions if s.last_at is not None and _moment(s.last_at) >= since]
    return Plan(sessions, stored_keys, access.rows(_prices_sql()).rows[0][0] or "")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _plan_sql(partition_by: str | None) -> str:
    marks = [f"hash({_columns('session_rows', 'session_rows.')})", "items.mark", "items.item_count"]
    joins = []
    for table in _MARKED:
        marks += [f"{table}_marks.mark", f"{table}_marks.row_count"]
        joins.append(
            f"left join (select session_key, bit_xor(hash({_columns(table)})) as mark,"
            f" count(*) as row_count from {table} group by session_key) as {table}_marks"
            f" on session_rows.session_key = {table}_marks.session_key"
        )
    name = (
        f"strftime(session_rows.created_at, '{PARTITIONS[partition_by]}')" if partition_by else "''"
    )
    return f"""
        select
            session_rows.session_key,
            session_rows.session_id,
            {name} as partition,
            coalesce(items.item_count, 0) as item_count,
            items.first_at,
            items.last_at as last_item_at,
            greatest(session_rows.created_at, items.last_at, moves.last_at) as last_at,
            format('{{:x}}', hash({", ".join(marks)})) as fingerprint
        from session_rows
        left join (
            select
                session_key,
                bit_xor(hash(item_id)) as mark,
                count(*) as item_count,
                min(created_at) as first_at,
                max(created_at) as last_at
            from item_rows
            group by session_key
        ) as items on session_rows.session_key = items.session_key
        left join (
            select session_key, max(created_at) as last_at from move_rows group by session_key
        ) as moves on session_rows.session_key = moves.session_key
        {" ".join(joins)}
        order by session_rows.session_key
    """


def _prices_sql() -> str:
    (table,) = STORE_TABLES
    return f"select format('{{:x}}', bit_xor(hash({_columns(table)}))) from {table}"


def _columns(table: str, prefix: str = "") -> str:
    return ", ".join(prefix + name for name in columns_of(table))


def parts_of(
    sessions: Sequence[Planned], known: Mapping[int, int], partitions: Mapping[int, str]
) -> dict[int, list[Planned]]:
    """The sessions of each part, by its number.

    Args:
        sessions: What is to be exported, in the order of the keys.
        known: For each session key of the last export its part.
        partitions: For each part of the last export its partition.
    """
    parts: dict[int, list[Planned]] = defaultdict(list)
    sizes: dict[int, int] = defaultdict(int)
    is_open: dict[str, int] = {}
    number = max(partitions, default=-1)
    for session in sessions:
        part = known.get(session.session_key)
        if part is not None and partitions.get(part) == session.partition:
            parts[part].append(session)
            sizes[part] += session.item_count
            is_open[session.partition] = max(part, is_open.get(session.partition, part))
    placed = {s.session_key for members in parts.values() for s in members}
    new = [session for session in sessions if session.session_key not in placed]
    for part in [part for part, size in sizes.items() if size > 2 * PART_ITEMS]:
        new += _taken_off(parts, sizes, part)
    for session in sorted(new):
        part = is_open.get(session.partition)
        if part is None or sizes[part] >= PART_ITEMS:
            number += 1
            part = is_open[session.partition] = number
        parts[part].append(session)
        sizes[part] += session.item_count
    return {part: sorted(members) for part, members in sorted(parts.items()) if members}


def _taken_off(
    parts: dict[int, list[Planned]], sizes: dict[int, int], part: int
) -> Iterable[Planned]:
    """What a part that grew too large gives away."""
    members, size, kept = parts[part], 0, 0
    while kept < len(members) and (not kept or size + members[kept].item_count <= PART_ITEMS):
        size += members[kept].item_count
        kept += 1
    parts[part], sizes[part] = members[:kept], max(size, PART_ITEMS)
    return members[kept:]
