"""What each command does to a session: the one place where a conversation changes.

`apply` is a function of the command and the session's state alone (with what the file has of it),
so that a replay of the journal gives the same rows. It checks before it changes: one that raises
has changed nothing. The rows and statements that it leaves in the command are written to DuckDB
later. What makes a conversation take another course stands in `duckstore.edits`, and the import of
one in `duckstore.grafting`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from duckstore import edits, errors, grafting, observations
from duckstore.batch import Entry, new_items
from duckstore.branch import common_length
from duckstore.command import Command
from duckstore.encoding import decode
from duckstore.grafting import graft
from duckstore.places import branch_named, is_on_path
from duckstore.recording import record
from duckstore.schema import TABLES
from duckstore.telemetry import Seen
from duckstore.tree import NextId, Place, SessionState, Stored

__all__ = ["ALREADY", "OPERATIONS", "apply", "needs_file", "new_items"]

ALREADY = "is in the store already"
ERASING = frozenset({"clear", "pop", "purge", "purge_items"})
"""Operations that delete what was said. A pop does so only where popped items are not kept."""


def apply(command: Command, state: SessionState, stored: Stored) -> None:
    """Do a command: change the state, and leave answer or error, rows and statements in it."""
    ids = command.ids()
    try:
        command.answer = OPERATIONS[command.operation](command, state, ids.__next__, stored)
    except errors.DuckstoreError as error:
        command.error = error
    command.rows = dict(state.rows)
    state.rows = defaultdict(list)
    command.renames = [
        ("update branch_rows set name = ? where branch_id = ?", [name, branch_id])
        for branch_id, name in state.renamed.items()
    ]
    state.renamed.clear()
    command.erases = command.operation in ERASING and bool(command.statements)
    command.dropped, state.path.dropped = state.path.dropped, []
    command.is_applied = True


def needs_file(command: Command, state: SessionState) -> bool:
    """Whether a command asks the file: what the session did before must be folded first."""
    values = command.values
    match command.operation:
        case "add":
            return state.place_of_course(values.get("course")) is not None
        case "edit":
            return not is_on_path(state, values["target"])
        case "rewind":
            return not is_on_path(state, values["to"])
        case "fork":
            return not is_on_path(state, values["at"])
        case "switch":
            return _must_read(state, values["branch"])
        case "purge_items" | "record":
            return True
        case "observe":
            return observations.needs_file(command, state)
        case "delete_branch":
            return bool(values["force"])
        case "import":
            return grafting.needs_file(command, state)
        case _:
            return False


def _must_read(state: SessionState, name: str | int) -> bool:
    """Whether a branch shows items that are not on the path."""
    try:
        branch = branch_named(state, name)
    except errors.UnknownBranchError:
        return False
    return common_length(state.current, len(state.path), branch, branch.length) < branch.length


def _add(command: Command, state: SessionState, next_id: NextId, stored: Stored) -> None:
    seen = Seen.of_values(command.values)
    state.create(next_id, command.created_at)
    meant = state.place_of_course(seen.course)
    if meant is not None:
        _add_elsewhere(command, state, meant, seen, next_id, stored)
    else:
        _append(command, state, seen, next_id)


def _append(command: Command, state: SessionState, seen: Seen, next_id: NextId) -> None:
    responses = state.append(
        new_items(command.raws),
        next_id,
        command.created_at,
        agent_names=seen.agent_name,
        is_live=seen.is_live,
    )
    if command.values:
        rows = state.rows["item_rows"]
        last_entry = state.path[-1]
        response_id, run_id = responses[-1] if responses else (None, last_entry.run_id)
        anchor = observations.anchor_of_batch(rows, response_id, run_id)
        observations.write(seen, anchor, response_id, command, state, next_id)


def _add_elsewhere(
    command: Command,
    state: SessionState,
    place: Place,
    seen: Seen,
    next_id: NextId,
    stored: Stored,
) -> None:
    """Append where an agent is that answers, which the conversation has left meanwhile."""
    current, length = state.current, len(state.path)
    (branch, position), came_from = place, state.here
    was_deleted = branch.is_deleted
    state.go_to(branch, position, stored)
    state.move("switch", came_from, next_id, command.created_at)
    _append(command, state, seen, next_id)
    came_from, holder = state.here, state.current
    try:
        state.go_to(current, length, stored)
    except errors.DuckstoreError as error:
        raise RuntimeError("the way back to the current branch was not found") from error
    state.move("switch", came_from, next_id, command.created_at)
    for deleted in {branch.branch_id: branch, holder.branch_id: holder}.values():
        if was_deleted:
            deleted.is_deleted = True
            came_from = (deleted.branch_id, deleted.length)
            state.move("delete", came_from, next_id, command.created_at)


def _pop(command: Command, state: SessionState, next_id: NextId, stored: Stored) -> str | None:
    """Take the last readable item off the path; returns its raw text."""
    came_from = state.here
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
        *observations.deletions_of([entry.item_id]),
    ]


def _clear(command: Command, state: SessionState, next_id: NextId, stored: Stored) -> None:
    if not state.is_stored:
        return
    key = state.session_key
    for table in TABLES:
        if table not in ("session_rows", "branch_rows"):
            command.statements.append((f"delete from {table} where session_key = ?", [key]))
    command.statements.append(
        ("delete from branch_rows where session_key = ? and branch_id <> ?", [key, key])
    )
    came_from = state.here
    state.empty()
    state.renamed[key] = "main"
    state.move("clear", came_from, next_id, command.created_at)


def _purge(command: Command, state: SessionState, next_id: NextId, stored: Stored) -> bool:
    if not state.is_stored:
        return False
    command.statements.extend(
        (f"delete from {table} where session_key = ?", [state.session_key]) for table in TABLES
    )
    state.unstore()
    return True


def _update(command: Command, state: SessionState, next_id: NextId, stored: Stored) -> None:
    if not state.is_stored:
        state.create(next_id, command.created_at, **command.values)
        return
    command.statements.extend(
        (f"update session_rows set {name} = ? where session_key = ?", [value, state.session_key])
        for name, value in command.values.items()
        if name in ("title", "user_id", "tags", "metadata", "source")
    )


def _compact(command: Command, state: SessionState, next_id: NextId, stored: Stored) -> bool:
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


def _copy(command: Command, state: SessionState, next_id: NextId, stored: Stored) -> None:
    """Begin a session with the items of another one, which remembers where it came from."""
    values = dict(command.values)
    if state.is_stored:
        raise errors.ArgumentError(
            f"session {state.session_id!r} {ALREADY}: choose another session_id for the fork"
        )
    agent_names = values.pop("agent_names")
    state.create(next_id, command.created_at, **values)
    if command.raws:
        state.append(
            new_items(command.raws),
            next_id,
            command.created_at,
            operation="fork",
            agent_names=agent_names,
        )


OPERATIONS: dict[str, Callable[[Command, SessionState, NextId, Stored], Any]] = {
    "add": _add,
    "pop": _pop,
    "clear": _clear,
    "purge": _purge,
    "purge_items": edits.purge_items,
    "update": _update,
    "compact": _compact,
    "edit": edits.edit,
    "rewind": edits.rewind,
    "fork": edits.fork,
    "switch": edits.switch,
    "rename": edits.rename,
    "delete_branch": edits.delete_branch,
    "copy": _copy,
    "observe": observations.observe,
    "record": record,
    "import": graft,
}
"""Every operation by name."""
