"""What a session's tree looks like: its branches, edit points and messages.

Everything here is asked in SQL, and comes back as plain values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from duckstore.access import Access
from duckstore.command import EPOCH

__all__ = [
    "Alternative",
    "BranchInfo",
    "Message",
    "find_alternatives",
    "find_messages",
    "list_branches",
]


@dataclass(frozen=True, slots=True)
class BranchInfo:
    """One path through a session."""

    branch_id: int
    name: str
    kind: str
    """Why it began: root, edit, regenerate, fork or compact."""
    parent: str | None
    """The branch that it began on, by name."""
    fork_position: int
    """How many items of its path it shares with its parent."""
    item_count: int
    """How many items its path has, shared ones too."""
    turn_count: int
    """The turn_number of its last run; 0 where it is empty."""
    is_current: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Message:
    """One message, as `find` returns it."""

    item_id: int
    run_id: int
    turn_number: int
    position: int
    """Where it stands on the branch that it was written on, from 1."""
    branch: str
    role: str
    agent_name: str | None
    text: str
    is_current: bool
    """Whether it is on the session's path."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Alternative:
    """One of the ways in which a conversation went on from an item."""

    rank: int
    """From 1, in the order in which they were said."""
    item_before_id: int | None
    item_id: int
    kind: str | None
    """edit, regenerate, fork or compact; None where there is no other."""
    turn_number: int
    run_id: int
    role: str | None
    item_type: str | None
    text: str | None
    branch: str
    """The branch that goes on from it."""
    branches: tuple[str, ...]
    """All branches that lead through it."""
    is_current: bool
    created_at: datetime


def list_branches(access: Access, session_id: str) -> list[BranchInfo]:
    """The branches of a session in the order in which they began."""
    found = access.rows(_BRANCHES, {"session_id": session_id})
    return [BranchInfo(*_dated(row)) for row in found.rows]


# How long a branch is follows from its own last position and where it was cut; what it inherits
# need not be read.
_BRANCHES = """
with

own as (
    select branches.*, session_rows.session_key
    from branches
    inner join session_rows on branches.session_id = session_rows.session_id
    where branches.session_id = $session_id and branches.deleted_at is null
),

tips as (
    select item_rows.branch_id, max(item_rows.position) as tip
    from item_rows
    inner join session_rows on item_rows.session_key = session_rows.session_key
    where session_rows.session_id = $session_id
    group by item_rows.branch_id
),

lengths as (
    select
        own.*,
        least(coalesce(tips.tip, own.fork_position), branch_ends.end_position) as item_count
    from own
    left join tips on own.branch_id = tips.branch_id
    left join branch_ends on own.branch_id = branch_ends.branch_id
)

select
    lengths.branch_id,
    lengths.name,
    lengths.kind,
    parents.name,
    lengths.fork_position,
    lengths.item_count,
    coalesce(ends.turn_number, 0),
    lengths.is_current,
    epoch_us(lengths.created_at)
from lengths
left join branch_rows as parents on lengths.parent_branch_id = parents.branch_id
left join branch_stretches
    on lengths.branch_id = branch_stretches.branch_id
    and not branch_stretches.is_archived
    and lengths.item_count - branch_stretches.position_offset
    between branch_stretches.first_position and branch_stretches.last_position
left join item_rows as ends
    on branch_stretches.source_branch_id = ends.branch_id
    and lengths.item_count - branch_stretches.position_offset = ends.position
order by lengths.branch_id
"""


def find_messages(
    access: Access,
    session_id: str,
    text: str,
    *,
    role: str | None,
    superseded: bool,
    limit: int | None,
) -> list[Message]:
    """The messages of a session that hold a text, whatever its case, the earliest first."""
    values = {"session_id": session_id, "text": text, "role": role}
    found = access.rows(_MESSAGES, {**values, "superseded": superseded, "row_limit": limit})
    return [Message(*_dated(row)) for row in found.rows]


# Upper and then lower: letters with two lower case forms (a final sigma) become one.
_MESSAGES = """
select
    messages.item_id,
    messages.run_id,
    messages.turn_number,
    messages.position,
    branch_rows.name,
    messages.role,
    messages.agent_name,
    messages.text,
    messages.is_current,
    epoch_us(messages.created_at)
from messages
inner join branch_rows on messages.branch_id = branch_rows.branch_id
where
    messages.session_id = $session_id
    and (messages.is_current or $superseded)
    and ($role::varchar is null or messages.role = $role)
    and contains(
        lower(upper(nfc_normalize(replace(messages.text, chr(0), ' ')))),
        lower(upper(nfc_normalize(replace($text, chr(0), ' '))))
    )
order by messages.item_id
limit $row_limit
"""


def find_alternatives(
    access: Access, session_id: str, where: dict[str, int] | None
) -> list[Alternative]:
    """What was said beside an item, or at every edit point of the session, in order."""
    values = {"session_id": session_id, "turn": None, "item": None, **(where or {})}
    found = access.rows(_ALTERNATIVES, {**values, "everywhere": where is None})
    return [
        alternative
        for _, group in groupby(found.rows, key=lambda row: row[0])
        for alternative in _ranked(list(group))
    ]


def _ranked(rows: Sequence[tuple[Any, ...]]) -> Iterator[Alternative]:
    """The alternatives at one edit point."""
    # What was there first takes the kind of what was put beside it.
    kinds = [row[2] for row in rows if row[3]]
    for rank, row in enumerate(rows, start=1):
        before, item_id, branch_kind, begins_branch, *rest, branches, is_current, created = row
        kind = branch_kind if begins_branch else kinds[0] if kinds else None
        known = kind if len(rows) > 1 else None
        passing = tuple(branches or ())
        yield Alternative(
            *_dated((rank, before, item_id, known, *rest, passing, is_current, created))
        )


_ALTERNATIVES = """
with

own as (
    select item_rows.*
    from item_rows
    inner join session_rows on item_rows.session_key = session_rows.session_key
    where session_rows.session_id = $session_id
),

-- A run of the current path stands for what its user said, or for its first item.
wanted as (
    select coalesce(own.parent_item_id, 0) as parent_item_id
    from own
    where own.item_id = $item
    union
    select coalesce(own.parent_item_id, 0)
    from own
    inner join (
        select coalesce(any_value(user_item_id), min(item_id)) as item_id
        from items
        inner join own using (item_id)
        where items.session_id = $session_id and is_current and own.turn_number = $turn
    ) as openings on own.item_id = openings.item_id
    union
    -- Only the first item of a branch can be an alternative to something.
    select coalesce(own.parent_item_id, 0)
    from own
    inner join branch_rows
        on own.branch_id = branch_rows.branch_id
        and own.position = branch_rows.fork_position + 1
    where $everywhere and branch_rows.parent_branch_id is not null
),

siblings as (
    select own.*
    from own
    inner join wanted on coalesce(own.parent_item_id, 0) = wanted.parent_item_id
    qualify not $everywhere or count(*) over (partition by wanted.parent_item_id) > 1
),

passing as (
    select siblings.item_id, list(branches.name order by branches.branch_id) as names
    from siblings
    inner join branch_stretches
        on siblings.branch_id = branch_stretches.source_branch_id
        and siblings.position
        between branch_stretches.first_position and branch_stretches.last_position
    inner join branches
        on branch_stretches.branch_id = branches.branch_id and branches.deleted_at is null
    where not branch_stretches.is_archived
    group by siblings.item_id
)

select
    siblings.parent_item_id,
    siblings.item_id,
    branch_rows.kind,
    branch_rows.parent_branch_id is not null
    and siblings.position = branch_rows.fork_position + 1,
    siblings.turn_number,
    siblings.run_id,
    siblings.role,
    siblings.item_type,
    items.text,
    branch_rows.name,
    passing.names,
    items.is_current,
    epoch_us(siblings.created_at)
from siblings
inner join branch_rows on siblings.branch_id = branch_rows.branch_id
inner join items on siblings.item_id = items.item_id
left join passing on siblings.item_id = passing.item_id
order by siblings.parent_item_id nulls first, siblings.item_id
"""


def _dated(row: Sequence[Any]) -> list[Any]:
    """The values of a row whose last is a moment in microseconds."""
    return [*row[:-1], EPOCH + timedelta(microseconds=row[-1])]
