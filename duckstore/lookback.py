"""Other paths than the current one: those of branches, and what a session was at a moment.

A path is a few stretches of item rows, known without reading any, so that the end of a long branch
is read as fast as that of a short one, however many branches there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from duckstore import errors
from duckstore.branch import Branch, Stretch, common_length
from duckstore.encoding import is_exact
from duckstore.engine import Engine
from duckstore.places import Where, branch_named, is_on_path, place_of
from duckstore.restore import load_branch
from duckstore.schema import OPEN_END
from duckstore.sessions import Texts
from duckstore.stored import StoredSessions

__all__ = ["path_to", "sides_of", "texts_elsewhere"]


def texts_elsewhere(
    engine: Engine, session_id: str, limit: int | None, where: Mapping[str, Any]
) -> Texts:
    """The latest raw items of another path than the current one.

    Args:
        engine: The store to ask.
        session_id: The session.
        limit: How many items; None or a negative number for all.
        where: `{"branch": name or id}`, or a place (`duckstore.places`) that the path leads to.

    Raises:
        ArgumentError: There is no such branch or place.
    """
    most = OPEN_END if limit is None or limit < 0 else limit
    if "branch" in where and not engine.sessions.is_in_memory(session_id):
        # All branches of a session that is not in memory need not be read for one of them.
        with engine.reading() as cursor:
            known = load_branch(cursor, session_id, where["branch"])
            if known is not None:
                found = _Found(*known, known[1].length)
                return _texts(cursor, found, most)
    if "branch" in where:
        with engine.session(session_id) as state:
            branch = branch_named(state, where["branch"])
            if branch is state.current:
                raws = [entry.raw for entry in state.path[max(len(state.path) - most, 0) :]]
                return Texts(raws, state.path.is_exact, state.course)
            found = _Found(state.session_key, branch, branch.length)
    else:
        found = _find(engine, session_id, where)
    with engine.reading() as cursor:
        return _texts(cursor, found, most)


def _texts(cursor: duckdb.DuckDBPyConnection, found: _Found, most: int) -> Texts:
    stretches = found.stretches(most)
    raws = StoredSessions(cursor).raws(found.session_key, stretches, found.last_id)
    return Texts(raws, all(map(is_exact, raws)))


def path_to(engine: Engine, session_id: str, where: Where) -> dict[str, Any]:
    """The items of the path that leads to a place: their ids, raw texts and agents' names.

    Raises:
        ArgumentError: There is no such place, or no such session.
    """
    found = _find(engine, session_id, where)
    if not found.session_key:
        raise errors.ArgumentError(f"no session is named {session_id!r}: nothing was stored in it")
    with engine.reading() as cursor:
        rows = StoredSessions(cursor).columns(
            found.session_key, found.stretches(OPEN_END), "item, agent_name", found.last_id
        )
    return {
        "item_ids": [row[0] for row in rows],
        "raws": [row[3] for row in rows],
        "agent_names": [row[4] for row in rows],
    }


def sides_of(engine: Engine, session_id: str, one: str | int, other: str | int) -> dict[str, Any]:
    """What two branches have in common, and the ids of the items that each has after that.

    Raises:
        UnknownBranchError: The session has no such branch.
    """
    with engine.session(session_id) as state:
        key = state.session_key
        first, second = branch_named(state, one), branch_named(state, other)
        common = common_length(first, first.length, second, second.length)
        sides = [branch.stretches(common, branch.length) for branch in (first, second)]
        before = first.stretches(max(common - 1, 0), common)
        names = [first.name, second.name]
    with engine.reading() as cursor:
        stored = StoredSessions(cursor)
        last, left, right = (
            [row[0] for row in stored.columns(key, stretches, "0", OPEN_END)]
            for stretches in (before, *sides)
        )
    return {
        "names": names,
        "common_count": common,
        "last_common": last[0] if last else None,
        "left": left,
        "right": right,
    }


@dataclass(frozen=True, slots=True)
class _Found:
    """A path: the first `length` items of a branch, and none above `last_id`."""

    session_key: int
    branch: Branch
    length: int
    last_id: int = OPEN_END

    def stretches(self, most: int) -> list[Stretch]:
        """Where its latest items stand."""
        return self.branch.stretches(max(self.length - most, 0), self.length)


def _find(engine: Engine, session_id: str, where: Where) -> _Found:
    """The path to a place, which the file may have to be asked for."""
    with engine.session(session_id) as state:
        key, root = state.session_key, state.branches[state.session_key]
        if is_on_path(state, where):
            return _Found(key, *place_of(state, where, StoredSessions(None)))
    assert where is not None  # noqa: S101
    # The session is not held while the file is asked: what is folded meanwhile may need it.
    with engine.reading() as cursor:
        stored, last_id = StoredSessions(cursor), OPEN_END
        if "item" in where:
            home = stored.home(key, where["item"])
        else:
            head = stored.head_at(key, where)
            home = head[:2] if head else None
            last_id = head[2] if head else OPEN_END
    if home is None:
        if "time" in where:
            return _Found(key, root, 0)  # it had no items yet
        ((what, number),) = where.items()
        raise errors.ArgumentError(
            f"session {session_id!r} has no {_WORDS[what]} {number}: take one of its own"
        )
    with engine.session(session_id) as state:
        branch = state.branches.get(home[0])
    if branch is None:
        raise errors.ArgumentError(f"what session {session_id!r} was then has been purged since")
    return _Found(key, branch, home[1], last_id)


_WORDS = {"item": "item", "history": "history entry"}
