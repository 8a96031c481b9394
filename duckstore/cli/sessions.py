"""Commands about sessions: `sessions` and `show`."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

import click

from duckstore import errors
from duckstore.cli.options import (
    Chosen,
    Opened,
    complete_session,
    database_option,
    format_option,
    opened,
    pass_chosen,
)
from duckstore.cli.output import write, write_rows
from duckstore.cli.program import note
from duckstore.cli.text import cut

__all__ = ["sessions", "show"]

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
                    _moment(info.updated_at),
                )
                for info in listed
            ],
            chosen.format,
        )
    else:
        rows = [{name: _moment(value) for name, value in asdict(info).items()} for info in listed]
        from duckstore.listing import SessionInfo

        names = [field.name for field in fields(SessionInfo)]
        write(dict.fromkeys(names, "VARCHAR"), [list(row.values()) for row in rows], chosen.format)
    if len(found) > limit:
        note(f"There are more: --offset {wanted['offset'] + limit} shows the next.")


def _moment(value: Any) -> Any:
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


@click.command()
@click.argument("session_id", metavar="SESSION", shell_complete=complete_session)
@click.option("--limit", type=click.IntRange(0), help="Only the last so many items.")
@click.option("--superseded", is_flag=True, help="Also items that are no longer on the path.")
@database_option
@format_option
@pass_chosen
def show(chosen: Chosen, session_id: str, limit: int | None, superseded: bool) -> None:
    """Show a conversation as a person reads it.

    Formats other than table have its items as rows.
    """
    with opened(chosen) as it:
        _must_be_known(it, session_id)
        values = {"session_id": session_id, "superseded": superseded, "limit": limit}
        found = it.access.rows(_ITEMS, values)
    if chosen.format != "table":
        write_rows(found, chosen.format)
        return
    from duckstore.cli.transcript import write_transcript

    if not found.rows:
        note(f"Session {session_id!r} has no items to show.")
    write_transcript([dict(zip(found.columns, row, strict=True)) for row in found.rows])


def _must_be_known(it: Opened, session_id: str) -> None:
    """Raises ArgumentError, with ids that are near, where there is no such session."""
    from duckstore.conversation import Conversation

    Conversation(it.access, session_id)  # refuses what can be no id
    near = it.access.rows(
        "select session_id from session_rows"
        " where session_id = $id or jaro_winkler_similarity(lower(session_id), lower($id)) > 0.7"
        " order by session_id = $id desc, jaro_winkler_similarity(lower(session_id), lower($id))"
        " desc, session_id limit 3",
        {"id": session_id},
    )
    names = [name for (name,) in near.rows]
    if session_id in names:
        return
    hint = f"near it: {', '.join(map(repr, names))}" if names else "none is near it"
    raise errors.ArgumentError(
        f"no session is named {session_id!r}; {hint}. `duckstore sessions` lists all"
    )
