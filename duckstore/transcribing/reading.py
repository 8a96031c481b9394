"""Sessions of a store as others can write them down: the tree, its branches, and what was used.

Some sessions are read at a time, with a few questions for all of them. What is added meanwhile may
come along; each item comes after the one that it follows in any case.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from duckstore.access import Access
from duckstore.exporting.plan import Plan, Planned, Selection, read_plan
from duckstore.exporting.shape import relation_sql

__all__ = ["Told", "told_sessions"]

CHUNK_ITEMS = 20_000
"""About how many items are in memory at a time."""
_COUNTS = (
    *("request_count", "input_tokens", "output_tokens", "cache_read_input_tokens"),
    *("cache_write_input_tokens", "reasoning_output_tokens", "total_tokens"),
)
_RESPONSE = ("model", "provider_response_id", "finish_reason")

_ITEMS = """
    select session_key, item_id, parent_item_id, item, created_at, agent_name
    from item_rows
    where {condition}
    order by item_id
"""


@dataclass(slots=True)
class Told:
    """One session."""

    attributes: dict[str, Any]
    """Its row of the relation `sessions`."""
    raws: list[str] = field(default_factory=list)
    """Its items as JSON texts, in the order in which they came."""
    parents: list[int] = field(default_factory=list)
    """For each the index of the one before it, or -1."""
    created_at: list[str] = field(default_factory=list)
    """For each when it came, in ISO 8601."""
    agent_names: list[str | None] = field(default_factory=list)
    paths: dict[str, list[int]] = field(default_factory=dict)
    """For each branch, by name, the indexes of its items in order."""
    current: str = ""
    """The name of the branch that the session is on."""
    responses: list[dict[str, Any]] = field(default_factory=list)
    """What is known of its model calls, each with `item_index`."""

    @property
    def path(self) -> list[int]:
        """The items that the agent sees."""
        return self.paths.get(self.current, [])

    def is_chain(self, path: Sequence[int]) -> bool:
        """Whether each item of a path follows the one before it. After a compaction that took
        away the beginning, it does not."""
        return all(
            self.parents[index] == before for index, before in zip(path, (-1, *path), strict=False)
        )


def told_sessions(
    access: Access,
    sessions: Sequence[str] | None,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Told]:
    """Every session, or those with some ids, in the order in which they were made.

    Raises:
        ArgumentError: There is no session of one of the ids.
    """
    ids = None if sessions is None else tuple(sorted(set(sessions)))
    plan = read_plan(access, Selection(None, ids), None)
    done, total = 0, sum(session.item_count for session in plan.sessions)
    for chunk in _chunks(plan.sessions):
        if progress is not None:
            progress(done, total)
        yield from _told(access, plan, chunk)
        done += sum(session.item_count for session in chunk)
    if progress is not None:
        progress(total, total)


def _chunks(sessions: Sequence[Planned]) -> Iterator[list[Planned]]:
    chunk: list[Planned] = []
    size = 0
    for session in sessions:
        if chunk and size + session.item_count > CHUNK_ITEMS:
            yield chunk
            chunk, size = [], 0
        chunk.append(session)
        size += session.item_count
    if chunk:
        yield chunk


def _told(access: Access, plan: Plan, chunk: Sequence[Planned]) -> Iterator[Told]:
    condition = plan.condition(chunk)

    def rows_of(relation: str) -> list[dict[str, Any]]:
        found = access.rows(relation_sql(relation, condition))
        return [dict(zip(found.columns, row, strict=True)) for row in found.rows]

    branches = {row["branch_id"]: row for row in rows_of("branches") if row["deleted_at"] is None}
    places = rows_of("branch_items")
    responses = defaultdict(list)
    for row in rows_of("responses"):
        if row["has_items"]:
            responses[row["session_id"]].append(row)
    told = {row["session_id"]: Told(row) for row in rows_of("sessions")}
    # The items last: so every other row is about one that is there.
    by_key = {s.session_key: told[s.session_id] for s in chunk if s.session_id in told}
    indexes: dict[int, int] = {}
    for key, item_id, parent, raw, created_at, agent in access.rows(
        _ITEMS.format(condition=condition)
    ).rows:
        own = by_key.get(key)
        if own is None:  # it was made meanwhile
            continue
        indexes[item_id] = len(own.raws)
        own.raws.append(raw)
        own.parents.append(indexes.get(parent, -1))
        own.created_at.append(created_at)
        own.agent_names.append(agent)
    for branch in branches.values():
        if branch["session_id"] in told:
            own = told[branch["session_id"]]
            own.paths[branch["name"]] = []
            if branch["is_current"]:
                own.current = branch["name"]
    for row in places:
        home = branches.get(row["branch_id"])
        if home is not None and row["item_id"] in indexes and home["session_id"] in told:
            told[home["session_id"]].paths[home["name"]].append(indexes[row["item_id"]])
    for session_id, own in told.items():
        own.responses = [
            _response(row, indexes[row["response_id"]])
            for row in responses[session_id]
            if row["response_id"] in indexes
        ]
        yield own


def _response(row: dict[str, Any], index: int) -> dict[str, Any]:
    told: dict[str, Any] = {"item_index": index}
    usage = {name: row[name] for name in _COUNTS if row[name] is not None}
    if usage:
        told["usage"] = usage
    return told | {name: row[name] for name in _RESPONSE if row[name] is not None}
