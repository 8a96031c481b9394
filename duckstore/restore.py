"""Reading one session's state back from the file.

The queries are few and narrow: the session's row, its branches with what they inherit and where
they end, and the items of the current path. All ids of a session lie above its key, so that
DuckDB's zone maps skip the part of the file that is older than the session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import duckdb

from duckstore import errors
from duckstore.batch import Entry
from duckstore.branch import Branch, Stretch
from duckstore.command import EPOCH
from duckstore.items import TOOL_SEARCH_KEY
from duckstore.schema import OPEN_END
from duckstore.session_index import Place
from duckstore.tree import SessionState, is_diversion

__all__ = ["StoredSessions", "last_id", "load_state", "load_texts"]

FEW_STRETCHES = 3
"""A path of so few stretches is read by a select for each."""


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
    diversions: list[tuple[int, int]] = []
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
) -> tuple[int, bool, list[tuple[int, int]]]:
    """Set where each branch ends. Returns the current one's id, whether there are moves, and those
    by which the conversation took another course.

    The views `branch_ends` and `current_branches` say the same; read plainly and followed here,
    the moves cost one short query instead of two aggregates.
    """
    current, has_moved, diversions = key, False, []
    for move_id, operation, from_id, from_position, to_id, to_position, end in cursor.execute(
        "select move_id, operation, from_branch_id, from_position, to_branch_id, to_position,"
        " end_position from move_rows where session_key = ? order by move_id",
        [key],
    ).fetchall():
        has_moved = True
        if is_diversion(operation, from_id, from_position, to_id, to_position):
            diversions.append((move_id, from_id))
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


def _load_answered(
    cursor: duckdb.DuckDBPyConnection, key: int, without: Mapping[int, int] | None = None
) -> dict[int, int]:
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
    entries = _load_entries(cursor, key, stretches, None, last_id)
    return entries[: branch.end] if branch.end < len(entries) else entries


_ENTRY_COLUMNS = """
    item_id, branch_id, position, batch_id, run_id, turn_number, user_item_id,
    answers_item_id, call_id, tool_name, part,
    item_type, status, call_index, operation, item
"""


def _load_entries(
    cursor: duckdb.DuckDBPyConnection,
    key: int,
    stretches: Sequence[Stretch],
    before: Entry | None,
    last_id: int = OPEN_END,
) -> list[Entry]:
    """The items of the stretches, in path order."""
    rows = _load_rows(cursor, key, stretches, _ENTRY_COLUMNS, before, last_id)
    return list(map(_entry, rows))


def _load_rows(
    cursor: duckdb.DuckDBPyConnection,
    key: int,
    stretches: Sequence[Stretch],
    columns: str,
    before: Entry | None = None,
    last_id: int = OPEN_END,
) -> list[tuple[Any, ...]]:
    """Columns of the items of some stretches, in path order.

    `columns` begins with item_id, branch_id and position. Ids grow along a path: so those that
    follow an entry are looked for above its id only.
    """
    if not stretches:
        return []
    first_id = before.item_id + 1 if before else key
    if len(stretches) <= FEW_STRETCHES:
        sql, values = _selects(key, stretches, columns, first_id, last_id)
    else:
        sql, values = _join(key, stretches, columns, first_id, last_id)
    rows = cursor.execute(sql, values).fetchall()
    by_source = {stretch.source_branch_id: stretch for stretch in stretches}
    if len(by_source) < len(stretches):
        raise KeyError(f"a path of session {key} shares two stretches of one branch")
    visible: list[tuple[int, tuple[Any, ...]]] = []
    for row in rows:
        source = by_source.get(row[1])
        if source is not None and source.first_position <= row[2] <= source.last_position:
            visible.append((row[2] + source.position_offset, row))
    visible.sort(key=lambda pair: pair[0])
    return [row for _, row in visible]


def _selects(
    key: int, stretches: Sequence[Stretch], columns: str, first_id: int, last_id: int
) -> tuple[str, list[Any]]:
    """One plain select for each stretch: so DuckDB reads the texts of the rows that are wanted.

    With an `or` it reads those of all rows of the session, and each select takes 1 ms to plan.
    """
    sql = " union all ".join(
        [
            f"select {columns} from item_rows where session_key = ? and item_id between ? and ?"
            " and branch_id = ? and position between ? and ?"
        ]
        * len(stretches)
    )
    values: list[Any] = []
    for stretch in stretches:
        # Every item of a branch came after it began.
        values += (key, max(first_id, stretch.source_branch_id), last_id)
        values += (stretch.source_branch_id, stretch.first_position, stretch.last_position)
    return sql, values


def _join(
    key: int, stretches: Sequence[Stretch], columns: str, first_id: int, last_id: int
) -> tuple[str, list[Any]]:
    """One select for many stretches."""
    sources, firsts, lasts = (
        [stretch.source_branch_id for stretch in stretches],
        [stretch.first_position for stretch in stretches],
        [stretch.last_position for stretch in stretches],
    )
    sql = f"""
        select {columns}
        from item_rows
        inner join (
            select
                unnest($1::bigint[]) as source_branch_id,
                unnest($2::bigint[]) as first_position,
                unnest($3::bigint[]) as last_position
        ) as stretches
            on item_rows.branch_id = stretches.source_branch_id
            and item_rows.position between first_position and last_position
        where session_key = $4 and item_id between $5 and $6 and position between $7 and $8
    """
    return sql, [sources, firsts, lasts, key, first_id, last_id, min(firsts), max(lasts)]


def _entry(row: Sequence[Any]) -> Entry:
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
        works=part != "input" or operation == "compact",
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


class StoredSessions:
    """What the file tells of sessions: see `duckstore.tree.Stored`."""

    def __init__(
        self, cursor: duckdb.DuckDBPyConnection | None, prepare: Callable[[], None] = lambda: None
    ) -> None:
        """With what to read, and what to call before, to have it see what was done just now."""
        self._reader = cursor
        self._prepare = prepare

    @property
    def _cursor(self) -> duckdb.DuckDBPyConnection:
        assert self._reader is not None  # noqa: S101
        self._prepare()
        return self._reader

    def entries(
        self, session_key: int, stretches: Sequence[Stretch], before: Entry | None
    ) -> list[Entry]:
        """The items of these stretches, in path order."""
        if not stretches:
            return []
        with _told_apart():
            return _load_entries(self._cursor, session_key, stretches, before)

    def raws(self, session_key: int, stretches: Sequence[Stretch], last_id: int) -> list[str]:
        """The raw items of these stretches that have no higher id, in path order."""
        return [row[3] for row in self.columns(session_key, stretches, "item", last_id)]

    def columns(
        self, session_key: int, stretches: Sequence[Stretch], columns: str, last_id: int
    ) -> list[tuple[Any, ...]]:
        """item_id, branch_id, position and columns of these items, in path order."""
        if not stretches:
            return []
        columns = f"item_id, branch_id, position, {columns}"
        with _told_apart():
            return _load_rows(self._cursor, session_key, stretches, columns, last_id=last_id)

    def home(self, session_key: int, item_id: int) -> tuple[int, int] | None:
        """The branch that an item was written on, and its position there."""
        found: tuple[int, int] | None = self._row(
            "select branch_id, position from item_rows where session_key = ? and item_id = ?",
            [session_key, item_id],
        )
        return found

    def head_at(self, session_key: int, moment: Mapping[str, int]) -> tuple[int, int, int] | None:
        """Where the path was at a moment: the branch, its length, and the latest id of then.

        Args:
            session_key: The session.
            moment: `{"history": history_id}` or `{"time": microseconds since 1970}`.

        Returns:
            None where the session had no history yet, or has no entry of that id. What was deleted
            since is not counted.
        """
        bound: Any
        if "history" in moment:
            bound = moment["history"]
            condition, moved = "batch_id = $2", "move_id = $2"
        else:
            bound = EPOCH + timedelta(microseconds=moment["time"])
            condition = moved = "created_at <= $2"
        found: tuple[int, int, int] | None = self._row(
            f"""
            with head as (
                select branch_id, position, id
                from (
                    (
                        select item_id as id, branch_id, position
                        from item_rows
                        where session_key = $1 and item_id >= $1 and {condition}
                        order by item_id desc
                        limit 1
                    )
                    union all
                    (
                        select move_id, to_branch_id, to_position
                        from move_rows
                        where session_key = $1 and {moved}
                        order by move_id desc
                        limit 1
                    )
                )
                order by id desc
                limit 1
            )

            -- Where items were deleted, others may have taken their positions since.
            select
                head.branch_id,
                greatest(
                    coalesce(max(item_rows.position), 0),
                    least(head.position, coalesce(any_value(branch_rows.fork_position), 0))
                ),
                head.id
            from head
            left join branch_rows on head.branch_id = branch_rows.branch_id
            left join item_rows
                on item_rows.session_key = $1
                and head.branch_id = item_rows.branch_id
                and item_rows.position <= head.position
                and item_rows.item_id <= head.id
            group by head.branch_id, head.position, head.id
            """,
            [session_key, bound],
        )
        return found

    def answered(self, session_key: int, without: Mapping[int, int]) -> dict[int, int]:
        """How many outputs each call has, but for those from a position of a branch on."""
        with _told_apart():
            return _load_answered(self._cursor, session_key, without)

    def response_without_usage(self, run_id: int) -> tuple[int, bool] | None:
        """The latest response of a run without usage, or the latest, and whether it has none."""
        found: tuple[int, bool] | None = self._row(
            """
            select item_rows.item_id, response_rows.total_tokens is null
            from item_rows
            left join response_rows on item_rows.item_id = response_rows.response_id
            where item_rows.run_id = ? and item_rows.item_id = item_rows.response_id
            order by 2 desc, 1 desc
            limit 1
            """,
            [run_id],
        )
        return found

    def _row(self, sql: str, values: list[Any]) -> Any:
        with _told_apart():
            rows = self._cursor.execute(sql, values).fetchall()
        return rows[0] if rows else None


@contextmanager
def _told_apart() -> Iterator[None]:
    """Say of a branch that cannot be read what that means."""
    try:
        yield
    except (duckdb.Error, KeyError) as error:
        raise errors.DamagedStoreError(
            f"a branch cannot be read from the file: {type(error).__name__}: {error}. Run "
            "`duckstore check` on a copy of it"
        ) from error
