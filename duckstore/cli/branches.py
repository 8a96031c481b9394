"""Commands about the branches of a conversation: `branches`, `diff`, `edit`, `switch`, `purge`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from duckstore.cli.options import (
    Chosen,
    Opened,
    complete_branch,
    complete_session,
    database_option,
    format_option,
    given_text,
    opened,
    pass_chosen,
)
from duckstore.cli.output import write, write_record
from duckstore.cli.program import ExitCode, note
from duckstore.cli.sessions import conversation_of, moment
from duckstore.cli.text import cut, visible

if TYPE_CHECKING:
    from duckstore.comparison import DiffItem

__all__ = ["branches", "diff", "edit", "purge", "switch"]

PREVIEW_LENGTH = 60
"""How much of an item is shown before it is deleted."""

_NUMBER = "BIGINT"
_TEXT = "VARCHAR"
_COLUMNS = {
    "branch_id": _NUMBER,
    "name": _TEXT,
    "kind": _TEXT,
    "parent": _TEXT,
    "fork_position": _NUMBER,
    "item_count": _NUMBER,
    "turn_count": _NUMBER,
    "is_current": "BOOLEAN",
    "created_at": "TIMESTAMP WITH TIME ZONE",
}
# What fits on a line, by the heads that it has there.
_SHORT = {
    "name": "name",
    "kind": "kind",
    "parent": "parent",
    "fork_position": "fork_position",
    "items": "item_count",
    "turns": "turn_count",
    "is_current": "is_current",
    "created_at": "created_at",
}


@click.command()
@click.argument("session_id", metavar="SESSION", shell_complete=complete_session)
@database_option
@format_option
@pass_chosen
def branches(chosen: Chosen, session_id: str) -> None:
    """List the branches of a conversation.

    json, jsonl and csv have all that is known of a branch, the other formats what fits on a line.
    """
    with opened(chosen) as it:
        found = conversation_of(it, session_id).branches()
    is_short = chosen.format in ("table", "markdown")
    heads = _SHORT if is_short else dict(zip(_COLUMNS, _COLUMNS, strict=True))
    rows = [asdict(branch) for branch in found]
    write(
        {head: _COLUMNS[name] for head, name in heads.items()},
        [[moment(row[name]) for name in heads.values()] for row in rows],
        chosen.format,
    )


_SIDE = {
    "item_id": _NUMBER,
    "turn_number": _NUMBER,
    "item_type": _TEXT,
    "role": _TEXT,
    "agent_name": _TEXT,
    "tool_name": _TEXT,
    "text": _TEXT,
}


@click.command()
@click.argument("session_id", metavar="SESSION", shell_complete=complete_session)
@click.argument("branch_a", metavar="A", shell_complete=complete_branch)
@click.argument("branch_b", metavar="B", shell_complete=complete_branch)
@database_option
@format_option
@pass_chosen
def diff(chosen: Chosen, session_id: str, branch_a: str, branch_b: str) -> None:
    """Show two branches of a conversation beside each other.

    Begins with what they have in common. The distance of two texts is from 0 (the same) to 1.
    Formats other than table have a row for each pair of items, or for an item that only one has.
    """
    from duckstore.cli.sides import common_words, write_sides

    with opened(chosen) as it:
        found = conversation_of(it, session_id).diff(branch_a, branch_b)
    if chosen.format == "table":
        write_sides(found)
        return
    note(common_words(found))
    columns = {f"{side}_{name}": kind for side in ("left", "right") for name, kind in _SIDE.items()}
    write(
        columns | {"distance": "DOUBLE"},
        ((*_side(row.left), *_side(row.right), row.distance) for row in found.rows),
        chosen.format,
    )


def _side(item: DiffItem | None) -> list[Any]:
    return [getattr(item, name, None) for name in _SIDE]


# Where a new item is, and the branch that its own began on: that one has what was there before.
_EDITED = """
select branches.name, parents.name
from items
inner join branches on items.branch_id = branches.branch_id
inner join branches as parents on branches.parent_branch_id = parents.branch_id
where items.item_id = $item_id
"""


@click.command()
@click.argument("session_id", metavar="SESSION", shell_complete=complete_session)
@click.argument("text")
@click.option("--turn", type=int, metavar="N", help="The first message of the user in this run.")
@click.option("--item", type=int, metavar="ID", help="The message with this item_id.")
@database_option
@format_option
@pass_chosen
def edit(chosen: Chosen, session_id: str, text: str, turn: int | None, item: int | None) -> None:
    """Edit a message, and print the new one's item_id.

    TEXT is the new text; - reads it from standard input, without a line end at its end, and -- goes
    before one that begins with a dash. The message is named by --turn or by --item. The path ends
    at the new message, for an agent to answer it. What was there stays stored, on a branch of its
    own.
    """
    if (turn is None) == (item is None):
        raise click.UsageError("Name the message with either --turn or --item.")
    content = given_text(text)
    if text == "-":
        content = content.removesuffix("\n").removesuffix("\r")
    with opened(chosen) as it:
        talk = conversation_of(it, session_id)
        item_id = talk.edit(turn if turn is not None else {"item_id": item}, content)
        found = it.access.rows(_EDITED, {"item_id": item_id}).rows
    if chosen.format == "table":
        click.echo(item_id)  # alone, for the command line that it is put into
    else:
        write_record({"item_id": item_id}, chosen.format)
    for name, old in found:
        note(f"The path is on branch {name!r}. The message as it was is on branch {old!r}.")


@click.command()
@click.argument("session_id", metavar="SESSION", shell_complete=complete_session)
@click.argument("branch", shell_complete=complete_branch)
@database_option
@pass_chosen
def switch(chosen: Chosen, session_id: str, branch: str) -> None:
    """Go to a branch: the conversation goes on where that was left."""
    with opened(chosen) as it:
        conversation_of(it, session_id).switch(branch)
    note(f"The path of session {session_id!r} is on branch {branch!r}.")


# Purging -----------------------------------------------------------------------------------------


@click.command()
@click.argument("session_id", metavar="SESSION", shell_complete=complete_session)
@click.option("--item", type=int, metavar="ID", help="Only this item and what follows it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@database_option
@pass_chosen
def purge(chosen: Chosen, session_id: str, item: int | None, yes: bool) -> ExitCode:
    """Delete a conversation for good, or an item of it.

    All that follows the item on any branch goes with it. Asks before it does that, as nothing of it
    can be brought back.
    """
    # A store that is only to be read refuses it, and nobody needs to be asked.
    must_ask = not (yes or chosen.read_only)
    if must_ask and (sys.stdin is None or not sys.stdin.isatty()):
        raise click.UsageError(
            "Nothing was deleted: standard input is no terminal to ask on. Add --yes to delete for "
            "good."
        )
    with opened(chosen) as it:
        talk = conversation_of(it, session_id)
        if must_ask and not _is_wanted(_question(it, session_id, item)):
            note("Nothing was deleted.")
            return ExitCode.FAILURE
        count, last_id = _items_of(it, session_id)
        if item is None:
            talk.purge_session()
        else:
            talk.purge({"item_id": item})
        # What was added meanwhile is above the last of them.
        count -= _items_of(it, session_id, last_id)[0]
    what = f"{count} item{'' if count == 1 else 's'}"
    if item is None:
        note(f"Deleted for good: session {session_id!r} with {what}.")
    else:
        note(f"Deleted for good: {what} of session {session_id!r}.")
    return ExitCode.OK


def _items_of(it: Opened, session_id: str, last_id: int | None = None) -> tuple[int, int]:
    """How many items a session has, up to one, and the last one's id."""
    found = it.access.rows(
        "select count(*), coalesce(max(item_id), 0) from items"
        " where session_id = $session_id and ($last_id::bigint is null or item_id <= $last_id)",
        {"session_id": session_id, "last_id": last_id},
    )
    ((count, last),) = found.rows
    return count, last


def _question(it: Opened, session_id: str, item: int | None) -> str | None:
    """What the user is to agree to; None where there is nothing to delete."""
    if item is None:
        count, _ = _items_of(it, session_id)
        return f"Delete session {session_id!r} with all its items ({count}) for good?"
    found = it.access.rows(
        "select coalesce(role, item_type, 'item'), coalesce(text, item) from items"
        " where session_id = $session_id and item_id::varchar = $item_id",
        {"session_id": session_id, "item_id": str(item)},  # whatever number was given
    )
    for role, text in found.rows:
        words = cut(f"{role}: {text}", PREVIEW_LENGTH)
        return f"Delete item {item} ({words}) and all that follows it on any branch for good?"
    return None


def _is_wanted(question: str | None) -> bool:
    """The user's answer. Nobody is asked about what is not there: the library says so."""
    if question is None:
        return True
    # Standard output is for data, so click's own prompt, which writes there too, is none.
    click.echo(visible(f"{question} [y/N] "), nl=False, err=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
