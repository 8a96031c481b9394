"""Places in a session, as a command names them: before a run, after an item, or as it once was.

A command cannot hold a branch and a position: the session may have changed until it is done. So it
holds what the caller meant, and the place is looked up when the command is applied:

    None                  the end of the path
    {"turn": 3}           a run of the current path, by its turn_number
    {"item": 42}          an item on any path, by its item_id
    {"position": 6}       after so many items of the path
    {"input": "last"}     after what the last run of the path was asked
    {"history": 57}       where the path was after that entry of its history
    {"time": 1700...}     where it was at that moment, in microseconds since 1970
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from duckstore import errors
from duckstore.batch import Entry
from duckstore.branch import Branch
from duckstore.encoding import decode
from duckstore.items import describe
from duckstore.tree import Place, SessionState, Stored

__all__ = ["PLACES", "Where", "asked_in", "branch_named", "is_on_path", "message_at", "place_of"]

Where = Mapping[str, Any] | None
"""What a command says of a place."""

PLACES = frozenset({"turn", "item", "position", "history", "time"})
"""The words for places that go with a number."""
MOST_NAMES = 20
"""So many branches are named to who asks for one that is not there."""


def is_on_path(state: SessionState, where: Where) -> bool:
    """Whether a place can be found without the file."""
    if where is None or not where.keys().isdisjoint(("turn", "position", "input")):
        return True
    return "item" in where and state.path.index_of(where["item"]) is not None


def place_of(state: SessionState, where: Where, stored: Stored) -> Place:
    """The place that is meant: before a run, after an item, or as the path once was.

    Raises:
        ArgumentError: There is no such place; the message says what there is.
    """
    if where is None:
        return state.current, len(state.path)
    if "turn" in where:
        return state.current, _opening(state, where["turn"])
    if "position" in where:
        return state.current, _position(state, where["position"])
    if "input" in where:
        return state.current, _end_of_input(state)
    if "item" in where:
        branch, position = _home(state, where["item"], stored)
        return branch, position
    head = stored.head_at(state.session_key, where)
    if head is None and "history" in where:
        raise errors.ArgumentError(
            f"session {state.session_id!r} has no history entry {where['history']}: take a "
            "history_id of its own"
        )
    if head is None:
        return state.branches[state.session_key], 0  # before its first item
    if head[0] not in state.branches:
        raise errors.ArgumentError(
            f"what session {state.session_id!r} was then has been purged since"
        )
    return state.branches[head[0]], head[1]


def message_at(state: SessionState, where: Mapping[str, Any], stored: Stored) -> tuple[Place, str]:
    """The message that is meant, with the place before it: of a run, what its user said first.

    Raises:
        ArgumentError: There is no such message.
    """
    if "turn" in where:
        first = _user_message(state, where["turn"])
        return (state.current, first), _message(state.path[first], state)
    index = state.path.index_of(where["item"])
    if index is not None:
        return (state.current, index), _message(state.path[index], state)
    branch, position = _home(state, where["item"], stored)
    (entry,) = stored.entries(state.session_key, branch.stretches(position - 1, position), None)
    return (branch, position - 1), _message(entry, state)


def branch_named(state: SessionState, branch: str | int) -> Branch:
    """A branch by name or id.

    Raises:
        UnknownBranchError: The session has none such, or it was deleted.
    """
    found = state.named(branch) if isinstance(branch, str) else state.branches.get(branch)
    if found is None or found.is_deleted:
        living = [repr(b.name) for b in state.branches.values() if not b.is_deleted]
        more = f" and {len(living) - MOST_NAMES} more" if len(living) > MOST_NAMES else ""
        raise errors.UnknownBranchError(
            f"Branch {branch!r} does not exist: session {state.session_id!r} has "
            f"{', '.join(living[:MOST_NAMES])}{more}"
        )
    return found


def _home(state: SessionState, item_id: int, stored: Stored) -> Place:
    """The place after an item, on the current path or on the branch that it was written on."""
    index = state.path.index_of(item_id)
    if index is not None:
        return state.current, index + 1
    home = stored.home(state.session_key, item_id)
    if home is None:
        raise errors.ArgumentError(
            f"session {state.session_id!r} has no item {item_id}: take an item_id of its own"
        )
    return state.branches[home[0]], home[1]


def _position(state: SessionState, position: int | None) -> int:
    length = len(state.path)
    position = length if position is None else position
    if not 0 <= position <= length:
        raise errors.ArgumentError(
            f"position {position} is not on the path of session {state.session_id!r}, which has "
            f"{length} items"
        )
    return position


def _opening(state: SessionState, turn_number: int) -> int:
    """Where a run of the path begins, with what leads up to its user message."""
    first = _first(state, turn_number)
    if _is_summary(state, first):
        return _compacted(state, turn_number)
    return first


def _user_message(state: SessionState, turn_number: int) -> int:
    """Where the first user message of a run stands on the path."""
    user_item_id = asked_in(state, turn_number)
    if user_item_id is None:
        _first(state, turn_number)
        raise errors.ArgumentError(
            f"run {turn_number} of session {state.session_id!r} has no user message: name the "
            "message by its item_id"
        )
    index = state.path.index_of(user_item_id)
    return index if index is not None else _compacted(state, turn_number)


def asked_in(state: SessionState, turn_number: int) -> int | None:
    """The first user message of a run of the path; None where it has none, or is not there.

    System messages that lead up to it stand before it, and know nothing of it.
    """
    path = state.path
    index = path.first_of_turn(turn_number)
    while index is not None and index < len(path) and path[index].turn_number == turn_number:
        if path[index].user_item_id is not None:
            return path[index].user_item_id
        index += 1
    return None


def _compacted(state: SessionState, turn_number: int) -> int:
    raise errors.ArgumentError(
        f"the beginning of run {turn_number} of session {state.session_id!r} was replaced by a "
        "compaction: name one of its items by its item_id"
    )


def _first(state: SessionState, turn_number: int) -> int:
    index = state.path.first_of_turn(turn_number)
    if index is None:
        path = state.path
        has = f"runs {path[0].turn_number} to {path[-1].turn_number}" if len(path) else "no items"
        raise errors.ArgumentError(
            f"the path of session {state.session_id!r} has no run {turn_number}, it has {has}. A "
            "number is a run's turn_number; name an item by its item_id"
        )
    return index


def _is_summary(state: SessionState, index: int) -> bool:
    """Whether a run that begins at that index was begun by what a compaction put there."""
    entry = state.path[index]
    return entry.run_id != entry.item_id and (
        entry.user_item_id is not None and state.path.index_of(entry.user_item_id) is None
    )


def _end_of_input(state: SessionState) -> int:
    """The length of the path up to the end of the last thing that a user said."""
    for index in range(len(state.path) - 1, -1, -1):
        entry = state.path[index]
        if entry.part == "input" and _is_said_by_user(entry):
            end = index + 1
            while end < len(state.path) and state.path[end].part == "input":
                end += 1
            return end
    raise errors.ArgumentError(
        f"the path of session {state.session_id!r} has no user message to answer again"
    )


def _is_said_by_user(entry: Entry) -> bool:
    try:
        return describe(decode(entry.raw)).is_user_message
    except ValueError:  # a damaged row
        return False


def _message(entry: Entry, state: SessionState) -> str:
    try:
        d = describe(decode(entry.raw))
        kind = d.item_type
    except ValueError:
        kind = "damaged item"
    if kind != "message":
        raise errors.ArgumentError(
            f"item {entry.item_id} of session {state.session_id!r} is no message but a {kind}: "
            "only messages are edited. Rewind to before it instead"
        )
    return entry.raw
