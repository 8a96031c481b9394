"""What a command asks the file, while it is applied: see `duckstore.tree.Stored`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import duckdb

from duckstore import errors
from duckstore.batch import Entry
from duckstore.branch import Stretch
from duckstore.command import EPOCH
from duckstore.restore import load_answered
from duckstore.stretches import load_entries, load_rows, load_tree
from duckstore.tree import SeenOfRun, StoredTree
from duckstore.usage import Usage

__all__ = ["StoredSessions"]


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
            return load_entries(self._cursor, session_key, stretches, before)

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
            return load_rows(self._cursor, session_key, stretches, columns, last_id=last_id)

    def tree(self, session_key: int) -> StoredTree:
        """All items of a session, and what an import of more of them must know."""
        with _told_apart():
            items = load_tree(self._cursor, session_key)
        own = "where session_key = ?"
        (source,) = self._row(f"select source from session_rows {own}", [session_key])
        last = self._row(
            f"select operation from move_rows {own} order by move_id desc limit 1", [session_key]
        )
        seen = self._rows(f"select response_id from response_rows {own}", [session_key])
        return StoredTree(items, source, last[0] if last else None, frozenset(r for (r,) in seen))

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
            return load_answered(self._cursor, session_key, without)

    def last_of_batch(self, session_key: int, first_id: int, end_id: int) -> tuple[int, int] | None:
        """The last item with an id in that half-open range, and its run."""
        found: tuple[int, int] | None = self._row(
            "select item_id, run_id from item_rows"
            " where session_key = ? and item_id between ? and ? order by item_id desc limit 1",
            [session_key, first_id, end_id - 1],
        )
        return found

    def seen_of_run(self, session_key: int, run_id: int) -> SeenOfRun:
        """What is stored of a run beyond its items."""
        run = [session_key, run_id]
        responses = self._rows(
            """
            select
                coalesce(heads.item_id, seen.response_id) as response_id,
                seen.response_id is not null,
                seen.total_tokens is not null,
                heads.said
            from (
                select
                    response_id as item_id,
                    list(coalesce(call_id, text) order by item_id asc) filter (
                        where call_id is not null or item_type = 'message'
                    ) as said
                from item_rows
                where session_key = $1 and run_id = $2 and response_id is not null
                group by response_id
            ) as heads
            full join (
                select *
                from response_rows
                where session_key = $1 and run_id = $2
            ) as seen on heads.item_id = seen.response_id
            where seen.parent_tool_call_id is null
            order by response_id
            """,
            run,
        )
        sums = ", ".join(f"coalesce(sum({name}), 0)::bigint" for name in Usage.__slots__)
        of_run = "where session_key = ? and run_id = ?"
        usage = self._row(f"select {sums} from response_rows {of_run}", run)
        outcome = self._row(f"select arg_max(outcome, outcome_id) from outcome_rows {of_run}", run)
        calls = self._rows(f"select tool_call_id from call_rows {of_run}", run)
        guardrails = self._rows(
            f"select guardrail_name, is_triggered from guardrail_rows {of_run}", run
        )
        return SeenOfRun(
            responses, list(usage), outcome[0], {call for (call,) in calls}, set(guardrails)
        )

    def _row(self, sql: str, values: list[Any]) -> Any:
        rows = self._rows(sql, values)
        return rows[0] if rows else None

    def _rows(self, sql: str, values: list[Any]) -> list[Any]:
        with _told_apart():
            return self._cursor.execute(sql, values).fetchall()


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
