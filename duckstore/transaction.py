"""One fold: what many commands left, as one DuckDB transaction.

Rows are collected by table and appended in chunks, statements run in between where a command has
any, and the number of the last command is written at the end.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import duckdb

from duckstore import faults
from duckstore.breath import Breath
from duckstore.command import Command

__all__ = ["Transaction"]

CHUNK = 64
"""Rows that are handed to DuckDB at a time: meanwhile no other thread of the process goes on."""


class Transaction:
    """One fold: rows by table, statements in between, the number of the last command at the end."""

    def __init__(
        self,
        cursor: duckdb.DuckDBPyConnection,
        appenders: dict[str, Any],
    ) -> None:
        self.cursor = cursor
        self._appenders = appenders
        self.breath = Breath()
        self.erases = False
        """Whether any command deletes what was said."""
        self._rows: dict[str, list[tuple[Any, ...]]] = defaultdict(list)

    def add(self, command: Command) -> None:
        """Write what a command left, after what the earlier ones did."""
        self.erases |= command.erases
        if command.statements:
            self._run(command.statements)
        for table, rows in command.rows.items():
            self._rows[table] += rows
        if command.renames:
            self._run(command.renames)
        if command.request is not None:
            self._rows["request_rows"].append(_request_row(command))

    def _run(self, statements: list[tuple[str, list[Any]]]) -> None:
        self.flush()
        for sql, values in statements:
            self.cursor.execute(sql, values)

    def flush(self) -> None:
        """Let the cursor see all rows so far."""
        for table, rows in self._rows.items():
            appender = self._appenders[table]
            for start in range(0, len(rows), CHUNK):
                appender.append_rows(rows[start : start + CHUNK])
                self.breath.take()
            appender.flush()
        self._rows.clear()

    def finish(self, number: int) -> None:
        """Say that this is all, up to the command of that number."""
        faults.at("fold.append")
        self.flush()
        self.cursor.execute("update store_meta set value = ? where key = 'folded'", [str(number)])
        if self.erases:
            self.cursor.execute(
                "insert into store_meta select 'must_erase', 'true'"
                " where not exists (from store_meta where key = 'must_erase')"
            )


def _request_row(command: Command) -> tuple[Any, ...]:
    """What a client that repeats its request is told."""
    assert command.request is not None  # noqa: S101
    key = next(
        (
            rows[0][0 if table == "session_rows" else 1]
            for table, rows in command.rows.items()
            if rows
        ),
        None,
    )
    error = command.error
    told = [type(error).__name__, str(error)] if error is not None else None
    answer = command.first_id if command.operation == "add" else command.answer
    text = json.dumps({"answer": answer, "error": told})
    return (*command.request, key, text, command.created_at)
