"""The import of a conversation: its tree laid over the stored one, and what is new put there.

The rules:

- What both have, by content, is there once (`duckstore.overlap`). So the same import again changes
  nothing, and that of a grown version adds what has grown.
- The path goes on to where the conversation was when it was read, if it was left where the
  conversation knows it: at an item that goes on there, or where an earlier import left it. Where
  somebody has gone on or back since, it stays, and what is new stands on branches beside it.
- What describes the session and its responses is added where nothing is known yet.
- A session that has nothing in common with the conversation is another one, and is not touched.

Where new items go is decided in `duckstore.planting`. All of it is a function of the command, the
session and what the file has of it, as in `duckstore.operations`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypedDict, cast

from duckstore import errors
from duckstore.batch import NewItem, new_items, response_heads
from duckstore.command import EPOCH, Command
from duckstore.naming import named_branches
from duckstore.observations import response_row
from duckstore.overlap import overlap
from duckstore.planting import Planting
from duckstore.telemetry import Seen, SeenResponse
from duckstore.tree import NextId, SessionState, Stored, StoredTree
from duckstore.usage import Usage

__all__ = ["ATTRIBUTES", "ImportValues", "graft", "id_count_of", "needs_file"]

_OF_USERS = frozenset(("pop", "rewind", "switch", "fork", "delete", "compact", "clear", "purge"))
"""Moves by which somebody brought the path to where it is."""


class ImportValues(TypedDict):
    """What an import says beside its items. Moments are microseconds since 1970."""

    parents: list[int] | None
    """For each item the index of the one before it, or -1; None: one path."""
    created: list[int | None] | None
    agents: list[str | None] | None
    responses: list[list[Any]]
    """Of each: an item of it, token counts or None, model, provider's id, finish reason."""
    branches: dict[str, int]
    """The last item of each branch that has a name."""
    last: int | None
    """The item with which the path ends; None: the last one."""
    title: str | None
    user_id: str | None
    tags: str
    metadata: str
    source: str | None
    session_created: int | None
    comes_in_pieces: bool
    """Whether a conversation of the same source may go on without anything of its beginning."""


def graft(command: Command, state: SessionState, next_id: NextId, stored: Stored) -> dict[str, Any]:
    """Import a conversation.

    Returns:
        `is_another`, whether the session is another conversation, so that nothing was done;
        `is_new`, whether it was made; and how many `items` and `responses` were added.

    Raises:
        ImportFileError: A version up to 0.5 asked for it, and the session is stored.
    """
    if state.is_stored and "tags" not in command.values:  # versions up to 0.5 merged nothing
        raise errors.ImportFileError(f"session {state.session_id!r} is in the store already")
    new = command.described or new_items(command.raws)
    values = _read(command, new)
    parents = range(-1, len(new) - 1) if values["parents"] is None else values["parents"]
    tree = stored.tree(state.session_key) if needs_file(command, state) else None
    found = _found(command, values, parents, tree)
    if found is None:
        return {"is_another": True, "is_new": False, "items": 0, "responses": 0}
    times = _times(values["created"], parents, command.created_at)
    planting = Planting(
        state,
        next_id,
        new,
        parents,
        times,
        values["agents"],
        [told[0] for told in values["responses"]],
    )
    if tree is not None:
        planting.take_stored(tree.items, found)
        planting.stays = _must_stay(state, planting, values["last"], tree)
    is_new = not state.is_stored
    _write_session(command, state, next_id, values, min(times, default=command.created_at))
    planting.plant_all(_wanted(values["branches"], planting))
    said_at = max(
        (time for time, is_found in zip(times, planting.is_found, strict=True) if not is_found),
        default=command.created_at,
    )
    planting.settle(values["last"], said_at)
    _name_branches(state, next_id, planting, values["branches"], said_at)
    command.statements += planting.statements
    added = _write_responses(state, planting, values["responses"], tree)
    item_count = planting.is_found.count(False)
    return {"is_another": False, "is_new": is_new, "items": item_count, "responses": added}


def needs_file(command: Command, state: SessionState) -> bool:
    """Whether there are items that those of the import must be compared with."""
    return state.is_stored and (len(state.branches) > 1 or state.current.tip > 0)


def id_count_of(parents: Sequence[int] | None, item_count: int, branch_count: int) -> int:
    """How many ids an import uses at most.

    A key, the items, a branch and a move for each stretch, a branch for each name, a last move.
    """
    stretches = 1 + sum(parent != index - 1 for index, parent in enumerate(parents or ()) if index)
    return 1 + item_count + 2 * stretches + branch_count + 1


def _read(command: Command, new: Sequence[NewItem]) -> ImportValues:
    """A command's values, also of one that a version up to 0.5 wrote."""
    values = command.values
    if "tags" in values:
        return cast(ImportValues, values)
    models = json.loads(values["metadata"]).get("models")
    model = models[0] if isinstance(models, list) and len(models) == 1 else None
    model = model if isinstance(model, str) else None
    heads = response_heads([item.description.part for item in new], values["parents"])
    begun = list(dict.fromkeys(head for head in heads if head >= 0))
    usage = values["usage"] or ()
    return {
        "parents": values["parents"],
        "created": None,
        "agents": None,
        "responses": [
            [
                head,
                Usage.of_json(told).counts,
                model if isinstance(model, str) else None,
                None,
                None,
            ]
            for head, told in zip(begun, usage, strict=False)
            if len(begun) == len(usage) and isinstance(told, dict)
        ],
        "branches": {},
        "last": None,
        "title": None,
        "user_id": None,
        "tags": "[]",
        "metadata": values["metadata"],
        "source": values["source"],
        "session_created": None,
        "comes_in_pieces": False,
    }


def _found(
    command: Command, values: ImportValues, parents: Sequence[int], tree: StoredTree | None
) -> list[int] | None:
    """For each item which stored one it is, or -1; None where it is another conversation."""
    if tree is None:
        return [-1] * len(command.raws)
    numbers: dict[int | None, int] = {
        item.entry.item_id: number for number, item in enumerate(tree.items)
    }
    found = overlap(
        parents,
        command.raws,
        [numbers.get(item.parent_item_id, -1) for item in tree.items],
        [item.entry.raw for item in tree.items],
    )
    is_piece = values["comes_in_pieces"] and values["source"] == tree.source is not None
    return found if not found or max(found) >= 0 or is_piece else None


def _times(
    told: Sequence[int | None] | None, parents: Sequence[int], now: datetime
) -> list[datetime]:
    """When each item was said. Where that is not told, it was when the one before it was."""
    if told is None:
        return [now] * len(parents)
    known = list(told)
    for index, parent in enumerate(parents):
        if known[index] is None and parent >= 0:
            known[index] = known[parent]
    for index in range(len(known) - 1, -1, -1):
        parent = parents[index]
        if parent >= 0 and known[parent] is None:
            known[parent] = known[index]
    return [now if us is None else EPOCH + timedelta(microseconds=us) for us in known]


def _must_stay(state: SessionState, planting: Planting, last: int | None, tree: StoredTree) -> bool:
    """Whether the path stays where it is: somebody brought it there, or went on from there."""
    here = planting.index_of(state.path.last)
    if here is None or not planting.new:
        return True
    at, before = len(planting.new) - 1 if last is None else last, -1
    while at != here and at >= 0:
        at, before = planting.parents[at], at
    if at == here and before >= 0 and not planting.is_found[before]:
        return False  # it goes on from here
    return tree.last_operation in _OF_USERS


def _wanted(names: Mapping[str, int], planting: Planting) -> dict[int, str]:
    """For the first new item on the way to each named end, the name."""
    wanted: dict[int, str] = {}
    for name, index in names.items():
        first, at = -1, index
        while at >= 0 and not planting.is_found[at]:
            first, at = at, planting.parents[at]
        if first >= 0:
            wanted.setdefault(first, name)
    return wanted


def _name_branches(
    state: SessionState,
    next_id: NextId,
    planting: Planting,
    wanted: Mapping[str, int],
    now: datetime,
) -> None:
    state.set_names(named_branches(state, planting, wanted, next_id, now))
    is_plain = len(state.branches) == 1 and state.current.name == "main"
    if not is_plain and not state.has_moved:
        # A session without any move is read back as one that has a single branch, "main".
        state.move("import", state.here, next_id, now)


ATTRIBUTES = {"title": "", "user_id": "", "tags": "[]", "metadata": "{}", "source": ""}
"""The columns that describe a session, and what stands there where nothing is known."""


def _write_session(
    command: Command,
    state: SessionState,
    next_id: NextId,
    values: ImportValues,
    first_said: datetime,
) -> None:
    """Make the session, or describe it where it is not described."""
    told: dict[str, Any] = {name: cast(Any, values)[name] for name in ATTRIBUTES}
    if not state.is_stored:
        began = values["session_created"]
        created_at = first_said if began is None else EPOCH + timedelta(microseconds=began)
        state.create(next_id, created_at, **told)
        return
    command.statements += [
        (
            f"update session_rows set {name} = ?"
            f" where session_key = ? and coalesce({name}, '') in ('', ?)",
            [told[name], state.session_key, nothing],
        )
        for name, nothing in ATTRIBUTES.items()
        if told[name] not in (None, nothing)
    ]


def _write_responses(
    state: SessionState, planting: Planting, told: Sequence[list[Any]], tree: StoredTree | None
) -> int:
    """Add what is told of responses of which nothing is known; returns of how many."""
    known = set(tree.seen_responses) if tree is not None else set()
    rows = state.rows["response_rows"]
    before = len(rows)
    for index, counts, model, provider_response_id, finish_reason in told:
        response_id, run_id = planting.responses.get(index, (None, 0))
        seen = SeenResponse(
            usage=Usage(*counts) if counts is not None else None,
            model=model,
            provider_response_id=provider_response_id,
            finish_reason=finish_reason,
        )
        if response_id is None or response_id in known or seen == SeenResponse():
            continue
        known.add(response_id)
        rows.append(response_row(seen, response_id, state.session_key, response_id, run_id, Seen()))
    return len(rows) - before
