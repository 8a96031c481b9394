"""What each command does to a session: the one place where a conversation changes.

`apply` is a function of the command and the session's state alone, so that a replay of the journal
gives the same rows. It checks before it changes: one that raises has changed nothing. The rows and
statements that it leaves in the command are written to DuckDB later.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from duckstore import errors
from duckstore.batch import Entry, NewItem
from duckstore.branch import Branch
from duckstore.command import Command
from duckstore.encoding import decode
from duckstore.items import describe
from duckstore.path import SessionState
from duckstore.schema import TABLES
from duckstore.telemetry import ResponseFacts, Usage

__all__ = ["ALREADY", "FILE_OPERATIONS", "OPERATIONS", "GoTo", "apply", "chains", "new_items"]

GoTo = Callable[[SessionState, Branch], None]
"""Makes a branch the current one of a state, with its path as the file has it."""

FILE_OPERATIONS = frozenset({"switch"})
"""Operations that read the file: what the session did before must be folded first."""

ALREADY = "is in the store already"


def apply(command: Command, state: SessionState, go_to: GoTo) -> None:
    """Do a command: change the state, and leave answer or error, rows and statements in it."""
    ids = command.ids()
    try:
        command.answer = OPERATIONS[command.operation](command, state, ids.__next__, go_to)
    except errors.DuckstoreError as error:
        command.error = error
    command.rows = dict(state.rows)
    state.rows = defaultdict(list)
    command.renames = [
        ("update branch_rows set name = ? where branch_id = ?", [name, branch_id])
        for branch_id, name in state.renamed.items()
    ]
    state.renamed.clear()
    command.is_applied = True


NextId = Callable[[], int]


def new_items(raws: Sequence[str]) -> list[NewItem]:
    """Items with what follows from each of them alone."""
    return [NewItem(raw, describe(decode(raw))) for raw in raws]


def _add(command: Command, state: SessionState, next_id: NextId, go_to: GoTo) -> None:
    facts = ResponseFacts.of_values(command.values)
    state.create(next_id, command.created_at)
    response_ids = state.append(
        new_items(command.raws),
        next_id,
        command.created_at,
        agent_name=facts.agent_name,
        is_live=facts.is_live,
    )
    if response_ids and facts.has_response_row:
        state.rows["response_rows"].append(facts.row(response_ids[-1], state.session_key))


def _pop(command: Command, state: SessionState, next_id: NextId, go_to: GoTo) -> str | None:
    """Take the last readable item off the path; returns its raw text."""
    came_from = (state.current.branch_id, len(state.path))
    popped = None
    while state.path and popped is None:
        last = state.path[-1]
        if not command.values["keep"] and state.owns_last():
            command.statements.extend(_deletions_of(last))
            state.delete_last()
        else:
            state.cut(len(state.path) - 1)
        try:
            decode(last.raw)
        except ValueError:
            continue
        popped = last.raw
    if came_from[1] > len(state.path):
        state.move("pop", came_from, next_id, command.created_at)
    return popped


def _deletions_of(entry: Entry) -> list[tuple[str, list[Any]]]:
    return [
        ("delete from item_rows where item_id = ?", [entry.item_id]),
        ("delete from response_rows where response_id = ?", [entry.item_id]),
    ]


def _clear(command: Command, state: SessionState, next_id: NextId, go_to: GoTo) -> None:
    if not state.is_stored:
        return
    key = state.session_key
    for table in TABLES:
        if table not in ("session_rows", "branch_rows"):
            command.statements.append((f"delete from {table} where session_key = ?", [key]))
    command.statements.append(
        ("delete from branch_rows where session_key = ? and branch_id <> ?", [key, key])
    )
    came_from = (state.current.branch_id, len(state.path))
    state.empty()
    state.renamed[key] = "main"
    state.move("clear", came_from, next_id, command.created_at)


def _purge(command: Command, state: SessionState, next_id: NextId, go_to: GoTo) -> bool:
    if not state.is_stored:
        return False
    command.statements.extend(
        (f"delete from {table} where session_key = ?", [state.session_key]) for table in TABLES
    )
    state.unstore()
    return True


def _update(command: Command, state: SessionState, next_id: NextId, go_to: GoTo) -> None:
    if not state.is_stored:
        state.create(next_id, command.created_at, **command.values)
        return
    command.statements.extend(
        (f"update session_rows set {name} = ? where session_key = ?", [value, state.session_key])
        for name, value in command.values.items()
        if name in ("title", "user_id", "tags", "metadata", "source")
    )


def _compact(command: Command, state: SessionState, next_id: NextId, go_to: GoTo) -> bool:
    """Put items in the place of the end of the path, where it still is what the caller saw."""
    suffix, prefix = command.values["replaced"], command.values["dropped"]
    path_ids = [entry.item_id for entry in state.path]
    if suffix is None:  # the whole conversation
        suffix = path_ids
        state.create(next_id, command.created_at)
    first = len(path_ids) - len(suffix)
    if first < len(prefix) or path_ids[first:] != suffix or path_ids[: len(prefix)] != prefix:
        return False
    new = new_items(command.raws)
    state.compact(first, new, next_id, command.created_at, drop_first=len(prefix))
    return True


def _fork(command: Command, state: SessionState, next_id: NextId, go_to: GoTo) -> int:
    name, position = command.values["name"], command.values["position"]
    at = len(state.path) if position is None else position
    if not 0 <= at <= len(state.path):
        raise errors.ArgumentError(
            f"position {at} is not on the path of session {state.session_id!r}, "
            f"which has {len(state.path)} items"
        )
    if not name or any(branch.name == name for branch in state.branches.values()):
        raise errors.ArgumentError(
            f"session {state.session_id!r} has a branch named {name!r} already: choose another name"
        )
    state.create(next_id, command.created_at)
    return state.fork(name, at, next_id, command.created_at).branch_id


def _switch(command: Command, state: SessionState, next_id: NextId, go_to: GoTo) -> None:
    branch = command.values["branch"]
    target = next((b for b in state.branches.values() if branch in (b.branch_id, b.name)), None)
    if target is None:
        names = ", ".join(repr(b.name) for b in state.branches.values())
        raise errors.ArgumentError(
            f"session {state.session_id!r} has no branch {branch!r}; it has {names}"
        )
    came_from = (state.current.branch_id, len(state.path))
    go_to(state, target)
    state.move("switch", came_from, next_id, command.created_at)


def _import(command: Command, state: SessionState, next_id: NextId, go_to: GoTo) -> None:
    if state.is_stored:
        raise errors.ImportFileError(f"session {state.session_id!r} {ALREADY}")
    values = command.values
    new, parents = new_items(command.raws), values["parents"]
    state.create(next_id, command.created_at, source=values["source"], metadata=values["metadata"])
    entries: list[Entry] = []
    homes: list[Branch] = []
    responses: list[int] = []
    for first, end in chains(parents):
        _end_at(state, parents[first], parents, entries, homes)
        responses += state.append(new[first:end], next_id, command.created_at, operation="import")
        entries += state.path[len(state.path) - (end - first) :]
        homes += [state.current] * (end - first)
    if len(state.branches) > 1:
        state.name_after_current()
    state.rows["response_rows"] += _usage_rows(state, responses, values)


def chains(parents: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Stretches of items that follow each other, as half-open ranges of indexes."""
    first = 0
    for index in range(1, len(parents) + 1):
        if index == len(parents) or parents[index] != index - 1:
            yield first, index
            first = index


def _end_at(
    state: SessionState,
    index: int,
    parents: Sequence[int],
    entries: Sequence[Entry],
    homes: Sequence[Branch],
) -> None:
    """Let the state's path end at the item of that index."""
    if index < 0 and not entries:
        return
    path: list[Entry] = []
    at = index
    while at >= 0:
        path.append(entries[at])
        at = parents[at]
    state.current = homes[index] if index >= 0 else state.branches[state.session_key]
    state.set_path(reversed(path))


def _usage_rows(
    state: SessionState, responses: Sequence[int], values: dict[str, Any]
) -> list[tuple[Any, ...]]:
    """Rows of token usage, where each response has its own."""
    usage = values["usage"] or ()
    if len(usage) != len(responses):
        return []
    models = json.loads(values["metadata"]).get("models")
    model = models[0] if isinstance(models, list) and len(models) == 1 else None
    return [
        ResponseFacts(
            usage=Usage.of_json(tokens), model=model if isinstance(model, str) else None
        ).row(response_id, state.session_key)
        for response_id, tokens in zip(responses, usage, strict=True)
        if isinstance(tokens, dict)
    ]


OPERATIONS: dict[str, Callable[[Command, SessionState, NextId, GoTo], Any]] = {
    "add": _add,
    "pop": _pop,
    "clear": _clear,
    "purge": _purge,
    "update": _update,
    "compact": _compact,
    "fork": _fork,
    "switch": _switch,
    "import": _import,
}
"""Every operation by name."""
