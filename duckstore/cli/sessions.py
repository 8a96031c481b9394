"""Commands about sessions: `sessions` and `show`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from duckstore import errors
from duckstore.cli.options import (
    Chosen,
    Opened,
    complete_branch,
    complete_session,
    database_option,
    format_option,
    opened,
    pass_chosen,
)
from duckstore.cli.output import write, write_rows
from duckstore.cli.program import note
from duckstore.cli.text import cut

if TYPE_CHECKING:
    from duckstore.conversation import Conversation
    from duckstore.rows import Rows

__all__ = ["conversation_of", "moment", "sessions", "show"]

ORDERS = ("updated_at", "created_at", "session_id", "title", "item_count", "run_count")
TITLE_LENGTH = 60

_COLUMNS = {
    "session_id": "VARCHAR",
    "title": "VARCHAR",
    "runs": "BIGINT",
    "items": "BIGINT",
    "updated_at": "TIMESTAMP WITH TIME ZONE",
}


@click.command()
@click.option("--search", metavar="TEXT", help="Words in id, title, user, tags, metadata, opening.")
@click.option("--user", metavar="USER_ID", help="Only sessions of this user.")
@click.option("--tag", metavar="TAG", help="Only sessions with this tag.")
@click.option("--limit", type=click.IntRange(0), default=100, show_default=True, help="How many.")
@click.option("--offset", type=click.IntRange(0), default=0, help="How many to leave out first.")
@click.option("--order-by", type=click.Choice(ORDERS), default="updated_at", show_default=True)
@click.option("--ascending", is_flag=True, help="The lowest first.")
@database_option
@format_option
@pass_chosen
def sessions(
    chosen: Chosen, /, user: str | None, ascending: bool, limit: int, **wanted: Any
) -> None:
    """List sessions, the latest first.

    json, jsonl and csv have all that is known of a session, the other formats what fits on a line.
    """
    with opened(chosen) as it:
        # One more than asked for tells whether there are more.
        found = it.store.sessions(user_id=user, descending=not ascending, limit=limit + 1, **wanted)
    listed = found[:limit]
    if chosen.format in ("table", "markdown"):
        write(
            _COLUMNS,
            [
                (
                    info.session_id,
                    cut(info.title or info.first_user_message or "", TITLE_LENGTH),
                    info.run_count,
                    info.item_count,
                    moment(info.updated_at),
                )
                for info in listed
            ],
            chosen.format,
        )
    else:
        rows = [{name: moment(value) for name, value in asdict(info).items()} for info in listed]
        from duckstore.listing import SessionInfo

        names = [field.name for field in fields(SessionInfo)]
        write(dict.fromkeys(names, "VARCHAR"), [list(row.values()) for row in rows], chosen.format)
    if len(found) > limit:
        note(f"There are more: --offset {wanted['offset'] + limit} shows the next.")


def moment(value: Any) -> Any:
    """A time in ISO 8601; anything else as it is."""
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


# The items of a session in the order in which they were said, calls with what became of them.
_ITEMS = """
select * from (
    select
        items.turn_number,
        items.position,
        items.item_id,
        case
            when items.is_current then 'current'
            when items.is_archived then 'archived'
            else 'superseded'
        end as state,
        items.item_type,
        items.role,
        items.agent_name,
        if(calls.id is null, items.text, null) as text,
        items.tool_name,
        items.call_id,
        calls.arguments,
        calls.status,
        calls.output,
        calls.error,
        calls.output_item_id,
        items.answers_item_id,
        items.created_at,
        items.item
    from items
    left join tool_calls as calls
        on items.item_id = calls.id and calls.session_id = $session_id
    where items.session_id = $session_id and (items.is_current or $superseded)
    order by items.item_id desc
    limit $limit
)
order by item_id asc
"""


# The same for the path of one branch. The output of a call is the one on that branch: another
# branch can have another one.
_BRANCH_ITEMS = """
with

shown as (
    select
        item_rows.*,
        item_rows.position + branch_stretches.position_offset as path_position,
        branch_stretches.is_archived as is_replaced,
        item_rows.call_index is not null and item_rows.operation <> 'fork' as is_call
    from branches
    inner join branch_stretches on branches.branch_id = branch_stretches.branch_id
    inner join item_rows
        on branch_stretches.source_branch_id = item_rows.branch_id
        and item_rows.position
        between branch_stretches.first_position and branch_stretches.last_position
    where
        branches.session_id = $session_id
        and branches.name = $branch
        and branches.deleted_at is null
),

outputs as (
    select *
    from shown
    where answers_item_id is not null
    qualify row_number() over (
        partition by answers_item_id order by is_replaced asc, item_id desc
    ) = 1
)

select * from (
    select
        shown.turn_number,
        shown.path_position as position,
        shown.item_id,
        case
            when items.is_current then 'current'
            when items.is_archived then 'archived'
            else 'superseded'
        end as state,
        shown.item_type,
        shown.role,
        shown.agent_name,
        if(shown.is_call, null, items.text) as text,
        shown.tool_name,
        shown.call_id,
        if(shown.is_call, shown.arguments, null) as arguments,
        if(shown.is_call, coalesce(outputs.status, shown.status, 'pending'), null) as status,
        if(shown.is_call, coalesce(outputs.text, shown.text), null) as output,
        if(shown.is_call, coalesce(outputs.error, shown.error), null) as error,
        outputs.item_id as output_item_id,
        shown.answers_item_id,
        shown.created_at,
        shown.item
    from shown
    inner join items on shown.item_id = items.item_id and items.session_id = $session_id
    left join outputs on shown.item_id = outputs.answers_item_id and shown.is_call
    where not shown.is_replaced
    order by shown.path_position desc
    limit $limit
)
order by position asc
"""

# How runs of a session ended, but for those that came to an answer.
_ENDS = """
select
    anchor_item_id,
    concat_ws(': ', 'ended', concat_ws(', ', outcome, error_type), error)
from outcomes
where session_id = $session_id and outcome <> 'completed'
order by outcome_id asc
"""


@click.command()
@click.argument("session_id", metavar="SESSION", shell_complete=complete_session)
@click.option(
    "--branch", metavar="BRANCH", shell_complete=complete_branch, help="As this branch has it."
)
@click.option("--tree", is_flag=True, help="Every way that it went, with the edit points.")
@click.option("--limit", type=click.IntRange(0), help="Only the last so many items.")
@click.option("--superseded", is_flag=True, help="Also items that are no longer on the path.")
@database_option
@format_option
@pass_chosen
def show(
    chosen: Chosen,
    session_id: str,
    branch: str | None,
    tree: bool,
    limit: int | None,
    superseded: bool,
) -> None:
    """Show a conversation as a person reads it.

    Formats other than table have its items as rows.
    """
    if tree:
        _must_be_alone(
            "--tree shows every item of every branch",
            {"--branch": branch, "--limit": limit, "--superseded": superseded or None},
        )
        _show_tree(chosen, session_id)
        return
    if branch is not None:
        _must_be_alone("--branch shows one branch", {"--superseded": superseded or None})
    with opened(chosen) as it:
        talk = conversation_of(it, session_id)
        if branch is None:
            values = {"session_id": session_id, "superseded": superseded, "limit": limit}
            found = it.access.rows(_ITEMS, values)
        else:
            talk.items(0, branch)  # tells which there are where it is unknown
            values = {"session_id": session_id, "branch": branch, "limit": limit}
            found = it.access.rows(_BRANCH_ITEMS, values)
        ends = dict(it.access.rows(_ENDS, {"session_id": session_id}).rows)
    _write_items(found, chosen.format, session_id, ends, is_branch=branch is not None)


def _must_be_alone(reason: str, others: Mapping[str, Any]) -> None:
    """Raises UsageError where an option was given that makes no sense beside another."""
    given = [name for name, value in others.items() if value is not None]
    if given:
        raise click.UsageError(f"{reason}: leave out {' and '.join(given)}.")


def _show_tree(chosen: Chosen, session_id: str) -> None:
    from duckstore.cli.tree import read_tree, write_tree

    with opened(chosen) as it:
        conversation_of(it, session_id)
        roots = read_tree(it.access, session_id, is_drawn=chosen.format == "table")
    if not roots and chosen.format == "table":
        note(f"Session {session_id!r} has no items to show.")
    write_tree(roots, chosen.format)


def _write_items(
    found: Rows, style: str, session_id: str, ends: dict[int, str], *, is_branch: bool
) -> None:
    if style != "table":
        write_rows(found, style)
        return
    from duckstore.cli.transcript import write_transcript

    if not found.rows:
        note(f"Session {session_id!r} has no items to show.")
    items = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    if is_branch:
        # A branch is read as it stands: what the session's path left is not marked in it.
        items = [item | {"state": "current"} for item in items]
    write_transcript(items, ends)


def conversation_of(it: Opened, session_id: str) -> Conversation:
    """A session that is stored. Raises ArgumentError, with ids that are near, where it is not."""
    from duckstore.conversation import Conversation

    talk = Conversation(it.access, session_id)  # refuses what can be no id
    near = it.access.rows(
        "select session_id from session_rows"
        " where session_id = $id or jaro_winkler_similarity(lower(session_id), lower($id)) > 0.7"
        " order by session_id = $id desc, jaro_winkler_similarity(lower(session_id), lower($id))"
        " desc, session_id limit 3",
        {"id": session_id},
    )
    names = [name for (name,) in near.rows]
    if session_id in names:
        return talk
    hint = f"near it: {', '.join(map(repr, names))}" if names else "none is near it"
    raise errors.ArgumentError(
        f"no session is named {session_id!r}; {hint}. `duckstore sessions` lists all"
    )
