"""Reading items by the stretches of branches on which they stand.

Nothing here knows sessions: a path is a few stretches, and its items are their rows in path order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import duckdb

from duckstore.batch import Entry
from duckstore.branch import Stretch
from duckstore.items import TOOL_SEARCH_KEY
from duckstore.schema import OPEN_END

__all__ = ["TreeItem", "load_entries", "load_rows", "load_tree"]

FEW_STRETCHES = 3
"""A path of so few stretches is read by a select for each."""


_ENTRY_COLUMNS = """
    item_id, branch_id, position, batch_id, run_id, turn_number, user_item_id,
    answers_item_id, call_id, tool_name, part,
    item_type, status, call_index, operation, item
"""


def load_entries(
    cursor: duckdb.DuckDBPyConnection,
    key: int,
    stretches: Sequence[Stretch],
    before: Entry | None,
    last_id: int = OPEN_END,
) -> list[Entry]:
    """The items of the stretches, in path order."""
    rows = load_rows(cursor, key, stretches, _ENTRY_COLUMNS, before, last_id)
    return list(map(_entry, rows))


class TreeItem(NamedTuple):
    """An item with what hangs on it, beyond what a path needs."""

    entry: Entry
    parent_item_id: int | None
    response_id: int | None


def load_tree(cursor: duckdb.DuckDBPyConnection, key: int) -> list[TreeItem]:
    """All items of a session, on whatever branch, in the order in which they came."""
    rows = cursor.execute(
        f"select {_ENTRY_COLUMNS}, parent_item_id, response_id from item_rows"
        " where session_key = ? and item_id >= ? order by item_id",
        [key, key],
    ).fetchall()
    return [TreeItem(_entry(row[:-2]), *row[-2:]) for row in rows]


def load_rows(
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
        is_copy=operation == "fork",
        raw=raw,
    )
