"""Reading one session's state back from the file.

The queries are few and narrow: the session's row, its branches with what they inherit and where
they end, and the items of the current path. All ids of a session lie above its key, so that
DuckDB's zone maps skip the part of the file that is older than the session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from duckstore.batch import Entry
from duckstore.branch import Branch, Stretch
from duckstore.items import TOOL_SEARCH_KEY
from duckstore.path import SessionState
from duckstore.schema import OPEN_END
from duckstore.session_index import Place

__all__ = ["last_id", "load_path", "load_state", "load_texts"]


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
    if place.is_plain:
        branch = Branch(key, "main", None, 0, "root", tip=0)
        branches, has_moved = {key: branch}, False
    else:
        branches = _load_branches(cursor, key)
        current, has_moved = _follow_moves(cursor, key, branches)
        branch = branches[current]
    state = SessionState(key, session_id, branches, branch, has_moved=has_moved)
    state.set_path(load_path(cursor, key, branch, place.last_id))
    if len(branches) == 1 and branch.end == OPEN_END:
        branch.tip = len(state.path)
        state.answered = {e.answers_item_id: 1 for e in state.path if e.answers_item_id is not None}
    else:
        _load_tips(cursor, key, branches)
        state.answered = _load_answered(cursor, key)
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


def _follow_moves(
    cursor: duckdb.DuckDBPyConnection, key: int, branches: dict[int, Branch]
) -> tuple[int, bool]:
    """Set where each branch ends. Returns the current one's id, and whether there are moves.

    The views `branch_ends` and `current_branches` say the same; read plainly and followed here,
    the moves cost one short query instead of two aggregates.
    """
    current, has_moved = key, False
    for operation, from_id, to_id, end in cursor.execute(
        "select operation, from_branch_id, to_branch_id, end_position"
        " from move_rows where session_key = ? order by move_id",
        [key],
    ).fetchall():
        has_moved = True
        if operation in ("edit", "regenerate", "compact") and from_id in branches:
            branches[from_id].end = OPEN_END
        if to_id is not None:
            current = to_id
            branches[to_id].end = end
    return current, has_moved


def _load_tips(cursor: duckdb.DuckDBPyConnection, key: int, branches: dict[int, Branch]) -> None:
    for branch_id, tip in cursor.execute(
        "select branch_id, max(position) from item_rows"
        " where session_key = ? and item_id >= ? group by branch_id",
        [key, key],
    ).fetchall():
        branches[branch_id].tip = tip


def _load_answered(cursor: duckdb.DuckDBPyConnection, key: int) -> dict[int, int]:
    return dict(
        cursor.execute(
            "select answers_item_id, max(answer_number) from item_rows"
            " where session_key = ? and item_id >= ? and answers_item_id is not null"
            " group by answers_item_id",
            [key, key],
        ).fetchall()
    )


def load_path(
    cursor: duckdb.DuckDBPyConnection, key: int, branch: Branch, last_id: int = OPEN_END
) -> list[Entry]:
    """The items of a branch's path, from the start to where the branch ends now."""
    stretches = [s for s in branch.lineage if s.archived_at is None]
    stretches.append(Stretch(branch.branch_id, branch.fork_position + 1, OPEN_END))
    by_source = {s.source_branch_id: s for s in stretches}
    rows = cursor.execute(
        """
        select
            item_id, branch_id, position, batch_id, run_id, turn_number, user_item_id,
            answers_item_id, call_id, tool_name, part,
            item_type, status, call_index, operation, item
        from item_rows
        where session_key = ? and item_id between ? and ?
        """,
        [key, key, last_id],
    ).fetchall()
    visible: list[tuple[int, tuple[Any, ...]]] = []
    for row in rows:
        stretch = by_source.get(row[1])
        if stretch is None or not stretch.first_position <= row[2] <= stretch.last_position:
            continue
        position = row[2] + stretch.position_offset
        if position <= branch.end:
            visible.append((position, row))
    visible.sort(key=lambda pair: pair[0])
    entries: list[Entry] = []
    for _, row in visible:
        entries.append(_entry(row, entries[-1] if entries else None))
    return entries


def _entry(row: Sequence[Any], before: Entry | None) -> Entry:
    item_id, branch_id, position, batch_id, run_id, turn_number, user_item_id = row[:7]
    answers_item_id, call_id, tool_name, part, item_type, status, call_index, operation, raw = row[
        7:
    ]
    is_call = call_index is not None
    # The same rule as Description.pairing_key, from the stored columns: a call with a status
    # of its own was answered by the provider in the same item.
    is_half = answers_item_id is not None or (is_call and status is None)
    key = call_id
    if call_id is None and item_type in ("tool_search_call", "tool_search_output"):
        key = TOOL_SEARCH_KEY
    has_work = before.run_has_work if before and before.turn_number == turn_number else False
    return Entry(
        item_id=item_id,
        branch_id=branch_id,
        position=position,
        batch_id=batch_id,
        run_id=run_id,
        turn_number=turn_number,
        user_item_id=user_item_id,
        answers_item_id=answers_item_id,
        pairing_key=key if is_half else None,
        tool_name=tool_name,
        part=part,
        is_call=is_call,
        run_has_work=has_work or part != "input" or operation == "compact",
        raw=raw,
    )


def last_id(cursor: duckdb.DuckDBPyConnection) -> int:
    """The highest id that the store has given out."""
    rows = cursor.execute(
        """
        select max(id) from (
            select max(session_key) as id from session_rows
            union all select max(item_id) from item_rows
            union all select max(branch_id) from branch_rows
            union all select max(move_id) from move_rows
        )
        """
    ).fetchall()
    return int(rows[0][0] or 0)
