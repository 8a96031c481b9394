"""What makes a conversation take another course: edits, rewinds, branches.

The operations are functions of a command and the session's state, as in `duckstore.operations`.
Each finds its place first and changes the state after that.
"""

from __future__ import annotations

from typing import Any

from duckstore import errors
from duckstore.batch import Batch, NewItem
from duckstore.branch import Branch
from duckstore.command import Command
from duckstore.encoding import decode, encode_items
from duckstore.items import describe
from duckstore.places import asked_in, branch_named, message_at, place_of
from duckstore.schema import SEEN_TABLES
from duckstore.tree import NextId, SessionState, Stored, kind_of

__all__ = ["delete_branch", "edit", "fork", "purge_items", "rename", "rewind", "switch"]

MAIN = "main"


def edit(command: Command, state: SessionState, next_id: NextId, stored: Stored) -> int:
    """Put an edited message in the place of one, as an alternative; returns its item_id."""
    (branch, index), raw = message_at(state, command.values["target"], stored)
    new_raw = _edited(raw, decode(command.raws[0]))
    new = NewItem(new_raw, describe(decode(new_raw)))
    came_from, left = state.here, state.current
    # Who edits what an alternative had replaced stays on the branch of that name.
    keeps_name = branch.name.startswith(f"{left.name}~")
    if branch is left and index < len(state.path):
        state.path.cut(index)
    else:
        state.go_to(branch, index, stored)
        if state.here != came_from:
            state.move("switch", came_from, next_id, command.created_at)
        came_from = state.here
    state.replace_branch(
        kind_of([new]),
        came_from,
        next_id,
        command.created_at,
        named_after=left if keeps_name else None,
    )
    Batch(state, "append", command.created_at).add_all([new], next_id)
    return state.path[-1].item_id


def _edited(raw: str, content: Any) -> str:
    """A message with other content: text, a list of parts, or a whole item.

    The provider's id of the old message is not the new one's.
    """
    if isinstance(content, dict):
        item = content
    else:
        old = decode(raw)
        if isinstance(content, str) and isinstance(old.get("content"), list):
            kind = "output_text" if old.get("role") == "assistant" else "input_text"
            content = [{"type": kind, "text": content}]
        item = {key: value for key, value in old.items() if key != "id"} | {"content": content}
    (encoded,) = encode_items([item])
    return encoded


def rewind(command: Command, state: SessionState, next_id: NextId, stored: Stored) -> None:
    """End the path at a place, on whatever branch that is."""
    branch, length = place_of(state, command.values["to"], stored)
    came_from = state.here
    if branch is state.current and length == len(state.path):
        return
    is_back = branch is state.current and length < len(state.path)
    if is_back:
        state.cut(length)
    else:
        state.go_to(branch, length, stored)
    state.move("rewind" if is_back else "switch", came_from, next_id, command.created_at)


def fork(command: Command, state: SessionState, next_id: NextId, stored: Stored) -> list[Any]:
    """Begin a branch by name and go there; returns its id and its name."""
    at, name = command.values["at"], command.values["name"]
    if command.values.get("needs_user"):
        _must_ask(state, at["turn"])
    place = place_of(state, at, stored)
    if name is None:
        name = _free_name(state, command)
    _check_name(state, name)
    state.create(next_id, command.created_at)
    state.fork(name, place, next_id, command.created_at, stored)
    return [state.current.branch_id, name]


def _must_ask(state: SessionState, turn_number: int) -> None:
    if asked_in(state, turn_number) is None:
        raise errors.ArgumentError(
            f"Turn {turn_number} does not contain a user message in branch {state.current.name!r}"
        )


def _free_name(state: SessionState, command: Command) -> str:
    """The name that `AdvancedSQLiteSession` gives to a branch without one."""
    turn = (command.values["at"] or {}).get("turn", 0)
    base = f"branch_from_turn_{turn}_{command.created_us // 1_000_000}"
    name, number = base, 1
    while state.named(name) is not None:
        number += 1
        name = f"{base}_{number}"
    return name


def _check_name(state: SessionState, name: str) -> None:
    if not name.strip():
        raise errors.BranchNameError("Branch name cannot be empty")
    if state.named(name) is not None:
        raise errors.BranchNameError(
            f"Branch ID {name!r} has already been used. Choose a new branch ID."
        )


def switch(command: Command, state: SessionState, next_id: NextId, stored: Stored) -> None:
    """Go to a branch, where it was left."""
    _go_to(state, branch_named(state, command.values["branch"]), command, next_id, stored)


def _go_to(
    state: SessionState, branch: Branch, command: Command, next_id: NextId, stored: Stored
) -> None:
    came_from = state.here
    if branch is state.current:
        return
    state.go_to(branch, branch.length, stored)
    state.move("switch", came_from, next_id, command.created_at)


def rename(command: Command, state: SessionState, next_id: NextId, stored: Stored) -> None:
    """Give a branch another name."""
    branch, name = branch_named(state, command.values["branch"]), command.values["name"]
    if name == branch.name:
        return
    _check_name(state, name)
    state.rename(branch, name)


def delete_branch(command: Command, state: SessionState, next_id: NextId, stored: Stored) -> None:
    """Take a branch off the list. Its own items stay stored, superseded."""
    branch = branch_named(state, command.values["branch"])
    if branch.name == MAIN:
        raise errors.ArgumentError(f"Cannot delete the {MAIN!r} branch")
    if branch is state.current:
        if not command.values["force"]:
            raise errors.ArgumentError(
                f"Cannot delete current branch {branch.name!r}. "
                "Use force=True or switch branches first"
            )
        _go_to(state, branch_named(state, MAIN), command, next_id, stored)
    branch.is_deleted = True
    came_from = (branch.branch_id, branch.length)
    state.move("delete", came_from, next_id, command.created_at)


def purge_items(command: Command, state: SessionState, next_id: NextId, stored: Stored) -> int:
    """Delete an item for good, with all that follows it on any branch; returns how many branches.

    What follows goes by the tree, and through a compaction: what came after a summary of the item
    follows it too.
    """
    item_id = command.values["item"]
    home = stored.home(state.session_key, item_id)
    if home is None:
        raise errors.ArgumentError(
            f"session {state.session_id!r} has no item {item_id}: take an item_id of its own"
        )
    branch, position = state.branches[home[0]], home[1]
    gone = _following(state, branch.branch_id, position)
    came_from = state.here
    if state.current.branch_id in gone:
        state.go_to(branch, position - 1, stored)
    elif state.current is branch and len(state.path) >= position:
        state.path.cut(position - 1)
    _delete_rows(command, state, item_id, branch, position, gone)
    names_gone = {state.branches[branch_id].name for branch_id in gone}
    for branch_id in gone:
        state.remove(state.branches[branch_id])
    if MAIN in names_gone:
        state.rename(branch, MAIN)
    branch.tip = position - 1
    if state.current is branch:
        state.cut(len(state.path))
    state.answered = stored.answered(
        state.session_key, without={branch.branch_id: position, **dict.fromkeys(gone, 0)}
    )
    state.move("purge", came_from, next_id, command.created_at)
    return len(gone)


def _following(state: SessionState, branch_id: int, position: int) -> set[int]:
    """The branches all of whose own items follow an item."""
    return {
        other.branch_id
        for other in state.branches.values()
        for stretch in other.lineage
        if stretch.source_branch_id == branch_id and stretch.last_position >= position
    }


def _delete_rows(
    command: Command,
    state: SessionState,
    item_id: int,
    branch: Branch,
    position: int,
    gone: set[int],
) -> None:
    key, ids = state.session_key, sorted(gone)
    own = "session_key = ? and item_id >= ? and branch_id = ? and position >= ?"
    values = [key, item_id, branch.branch_id, position]
    command.statements += [
        *(
            (
                f"delete from {table} where session_key = ? and item_id in"
                f" (select item_id from item_rows where {own})",
                [key, *values],
            )
            for table in SEEN_TABLES
        ),
        (f"delete from item_rows where {own}", values),
        # What a client was told of this session may hold what it popped.
        ("delete from request_rows where session_key = ?", [key]),
    ]
    if ids:
        command.statements += [
            *(
                (
                    f"delete from {table} where session_key = ? and item_id in (select item_id"
                    " from item_rows where session_key = ? and branch_id in (select unnest(?)))",
                    [key, key, ids],
                )
                for table in SEEN_TABLES
            ),
            *(
                (
                    f"delete from {table} where session_key = ? and branch_id in"
                    " (select unnest(?))",
                    [key, ids],
                )
                for table in ("item_rows", "branch_rows", "lineage_rows")
            ),
        ]
