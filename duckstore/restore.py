"""Reading one session's state back from the file.

The queries are few and narrow: the session's row, its branches with what they inherit and where
they end, and the items of the current path. All ids of a session lie above its key, so that
DuckDB's zone maps skip the part of the file that is older than the session.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from duckstore.batch import Entry
from duckstore.branch import Branch, Stretch
from duckstore.course import Diversion, note_move
from duckstore.schema import OPEN_END
from duckstore.session_index import Place
from duckstore.stretches import load_entries
from duckstore.tree import SessionState

__all__ = ["last_id", "load_answered", "load_branch", "load_state", "load_texts"]


def load_texts(cursor: duckdb.DuckDBPyConnection, place: Place) -> list[str]:
    """The raw items of a session that never went another way, in order."""
    rows = cursor.execute(
        "select item_id, item from item_rows where session_key = ? and item_id between ? and ?",
        [place.session_key, place.session_key, place.last_id],
    ).fetchall()
    rows.sort()
    return [raw for _, raw in rows]


def load_state(
    cursor: duckdb.DuckDBPyConnection, session_id: str, place: Place | None = None
) -> SessionState | None:
    """The state of a stored session, or None where there is no such session.

    Args:
        cursor: Where to read.
        session_id: The session.
        place: Where it lies, if that is known: this saves most of the questions.
    """
    if place is None:
        rows = cursor.execute(
            "select session_key from session_rows where session_id = ?", [session_id]
        ).fetchall()
        if not rows:
            return None
        place = Place(rows[0][0], OPEN_END, is_plain=False)
    key = place.session_key
    diversions: list[Diversion] = []
    if place.is_plain:
        branch = Branch(key, "main", None, 0, "root", tip=0)
        branches, has_moved = {key: branch}, False
    else:
        branches = _load_branches(cursor, key)
        current, has_moved, diversions = _follow_moves(cursor, key, branches)
        branch = branches[current]
    state = SessionState(
        key, session_id, branches, branch, has_moved=has_moved, diversions=diversions
    )
    state.path.replace(_load_path(cursor, key, branch, place.last_id))
    if len(branches) == 1 and branch.end == OPEN_END:
        branch.tip = len(state.path)
        state.answered = {e.answers_item_id: 1 for e in state.path if e.answers_item_id is not None}
    else:
        _load_tips(cursor, key, branches)
        state.answered = load_answered(cursor, key)
    return state


def _load_branches(cursor: duckdb.DuckDBPyConnection, key: int) -> dict[int, Branch]:
    branches = {
        row[0]: Branch(
            branch_id=row[0],
            name=row[1],
            parent_branch_id=row[2],
            fork_position=row[3],
            kind=row[4],
            tip=row[3],
        )
        for row in cursor.execute(
            "select branch_id, name, parent_branch_id, fork_position, kind"
            " from branch_rows where session_key = ? order by branch_id",
            [key],
        ).fetchall()
    }
    if len(branches) > 1:
        for branch_id, *stretch in cursor.execute(
            "select branch_id, source_branch_id, first_position, last_position, position_offset,"
            " archived_at from lineage_rows where session_key = ?",
            [key],
        ).fetchall():
            branches[branch_id].lineage.append(Stretch(*stretch))
    return branches


def load_branch(
    cursor: duckdb.DuckDBPyConnection, session_id: str, name: str | int
) -> tuple[int, Branch] | None:
    """One branch of a session, and the session's key, without the other branches.

    None where there is none, or it was deleted.
    """
    column = "name" if isinstance(name, str) else "branch_id"
    rows = cursor.execute(
        "select session_key, branch_id, branch_rows.name, parent_branch_id, fork_position, kind"
        " from branch_rows inner join session_rows using (session_key)"
        f" where session_id = ? and branch_rows.{column} = ?",
        [session_id, name],
    ).fetchall()
    if not rows:
        return None
    key, branch_id, branch_name, parent_id, fork_position, kind = rows[0]
    branch = Branch(branch_id, branch_name, parent_id, fork_position, kind, tip=fork_position)
    branch.lineage = [
        Stretch(*stretch)
        for stretch in cursor.execute(
            "select source_branch_id, first_position, last_position, position_offset, archived_at"
            " from lineage_rows where session_key = ? and branch_id = ?",
            [key, branch.branch_id],
        ).fetchall()
    ]
    _follow_moves(cursor, key, {branch.branch_id: branch}, only=branch.branch_id)
    ((tip,),) = cursor.execute(
        "select max(position) from item_rows"
        " where session_key = ? and item_id >= ? and branch_id = ?",
        [key, branch.branch_id, branch.branch_id],
    ).fetchall()
    branch.tip = fork_position if tip is None else tip
    return None if branch.is_deleted else (key, branch)


def _follow_moves(
    cursor: duckdb.DuckDBPyConnection,
    key: int,
    branches: dict[int, Branch],
    *,
    only: int | None = None,
) -> tuple[int, bool, list[Diversion]]:
    """Set where each branch ends, or only one.

    Returns the current one's id, whether there are moves, and where the conversation took another
    course.

    The views `branch_ends` and `current_branches` say the same; read plainly and followed here,
    the moves cost one short query instead of two aggregates.
    """
    current, has_moved = key, False
    diversions: list[Diversion] = []
    for move_id, operation, from_id, from_position, to_id, to_position, end in cursor.execute(
        "select move_id, operation, from_branch_id, from_position, to_branch_id, to_position,"
        " end_position from move_rows where session_key = $key"
        " and ($only::bigint is null or $only in (from_branch_id, to_branch_id)) order by move_id",
        {"key": key, "only": only},
    ).fetchall():
        has_moved = True
        was_cut = from_id in branches and branches[from_id].end != OPEN_END
        move = (move_id, operation, from_id, from_position, to_id, to_position)
        note_move(diversions, *move, was_cut=was_cut)
        if operation in ("edit", "regenerate", "compact") and from_id in branches:
            branches[from_id].end = OPEN_END
        if operation == "delete" and from_id in branches:
            branches[from_id].is_deleted = True
        if to_id in branches:  # another one's items were purged since
            current = to_id
            branches[to_id].end, branches[to_id].is_deleted = end, False
    return current, has_moved, diversions


def _load_tips(cursor: duckdb.DuckDBPyConnection, key: int, branches: dict[int, Branch]) -> None:
    for branch_id, tip in cursor.execute(
        "select branch_id, max(position) from item_rows"
        " where session_key = ? and item_id >= ? group by branch_id",
        [key, key],
    ).fetchall():
        branches[branch_id].tip = tip


def load_answered(
    cursor: duckdb.DuckDBPyConnection, key: int, without: Mapping[int, int] | None = None
) -> dict[int, int]:
    """How many outputs each call has, but for those from a position of a branch on."""
    left_out = list(without or ())
    return dict(
        cursor.execute(
            """
            select answers_item_id, max(answer_number)
            from item_rows
            left join (select unnest($branches) as branch_id, unnest($positions) as first_position)
                as left_out on item_rows.branch_id = left_out.branch_id
            where session_key = $key and item_id >= $key and answers_item_id is not null
                and (first_position is null or position < first_position)
            group by answers_item_id
            """,
            {
                "key": key,
                "branches": left_out,
                "positions": [(without or {})[branch] for branch in left_out],
            },
        ).fetchall()
    )


def _load_path(
    cursor: duckdb.DuckDBPyConnection, key: int, branch: Branch, last_id: int = OPEN_END
) -> list[Entry]:
    """The items of a branch's path, from the start to where the branch ends now."""
    stretches = [s for s in branch.lineage if s.archived_at is None]
    stretches.append(Stretch(branch.branch_id, branch.fork_position + 1, OPEN_END))
    if len(stretches) == 1:
        stretches = [Stretch(branch.branch_id, 1, branch.end)]
    entries = load_entries(cursor, key, stretches, None, last_id)
    return entries[: branch.end] if branch.end < len(entries) else entries


def last_id(cursor: duckdb.DuckDBPyConnection) -> int:
    """The highest id that the store has given out."""
    rows = cursor.execute(
        """
        select max(id) from (
            select max(session_key) as id from session_rows
            union all select max(item_id) from item_rows
            union all select max(branch_id) from branch_rows
            union all select max(move_id) from move_rows
            union all select max(response_id) from response_rows
            union all select max(tool_call_id) from call_rows
            union all select max(outcome_id) from outcome_rows
            union all select max(guardrail_id) from guardrail_rows
        )
        """
    ).fetchall()
    return int(rows[0][0] or 0)
