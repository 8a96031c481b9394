"""The rules that hold in every store at every commit, as one function.

The tests call it after each step of their random play, `duckstore check` on a user's file. Each
rule is a query that finds what breaks it. Two rules need Python: that every raw item can be read
and that its columns follow from it, and that a session read back is the path that SQL shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb

from duckstore.encoding import decode
from duckstore.engine import Engine
from duckstore.errors import DamagedStoreError
from duckstore.items import describe
from duckstore.rules import RULES

__all__ = ["Finding", "check_store"]

MOST_PER_RULE = 20
"""How many findings of one rule are reported."""
MOST_TRIES = 100
"""How often a session that others write to is looked at."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where a rule does not hold."""

    rule: str
    session_id: str | None
    message: str


def check_store(engine: Engine) -> list[Finding]:
    """Verify every rule on every session; at most 20 findings of each rule."""
    findings: list[Finding] = []
    with engine.reading() as cursor:
        for rule, sql in RULES.items():
            rows = cursor.execute(
                f"select session_id, broken.message from ({sql.strip()})"
                " as broken (session_key, message) left join session_rows using (session_key)"
                f" order by all limit {MOST_PER_RULE}"
            ).fetchall()
            findings += [Finding(rule, session_id, message) for session_id, message in rows]
        findings += _check_columns(cursor)
        paths = _stored_paths(cursor)
    return findings + _check_paths(engine, paths)


def _check_columns(cursor: duckdb.DuckDBPyConnection) -> list[Finding]:
    """Every raw item can be read, and its columns are those that follow from it."""
    rule = "an item's columns follow from its raw text"
    findings: list[Finding] = []
    cursor.execute(
        "select session_id, item_id, item, part, item_type, role, text, call_id, tool_type,"
        " arguments, status, error from placed_items order by item_id"
    )
    while rows := cursor.fetchmany(1000):
        for session_id, item_id, raw, *stored in rows:
            try:
                d = describe(decode(raw))
            except ValueError as error:
                findings.append(Finding(rule, session_id, f"item {item_id} is not JSON: {error}"))
                continue
            derived = [
                *(d.part, d.item_type, d.role, d.text, d.call_id),
                *(d.tool_type, d.arguments, d.status, d.error),
            ]
            if derived != stored:
                findings.append(Finding(rule, session_id, f"item {item_id} differs"))
            if len(findings) >= MOST_PER_RULE:
                return findings
    return findings


def _stored_paths(
    cursor: duckdb.DuckDBPyConnection, session_id: str | None = None
) -> Iterator[tuple[str, list[int]]]:
    """The current path of one session or of all, as the relations show it."""
    rows = cursor.execute(
        """
        select session_id, coalesce(list(item_id order by branch_items.position)
            filter (where item_id is not null), [])
        from session_rows
        inner join current_branches using (session_key)
        left join branch_items using (branch_id)
        where $session_id::varchar is null or session_id = $session_id
        group by session_id
        order by session_id
        """,
        {"session_id": session_id},
    ).fetchall()
    return iter(rows)


def _check_paths(engine: Engine, paths: Iterator[tuple[str, list[int]]]) -> list[Finding]:
    """What a session would return is the path that SQL shows."""
    findings: list[Finding] = []
    for session_id, stored in paths:
        if len(findings) >= MOST_PER_RULE:
            break
        message = _compare_path(engine, session_id, stored)
        if message is not None:
            findings.append(Finding("a session returns its current path", session_id, message))
    return findings


def _compare_path(engine: Engine, session_id: str, stored: list[int]) -> str | None:
    """What is wrong with one session's path, or None.

    The session is never held while the file is asked: what is folded meanwhile may need it. So
    the path is looked at before and after, until nobody wrote in between.
    """
    try:
        held = _held_path(engine, session_id)
        for _ in range(MOST_TRIES):
            if held == stored:
                return None
            with engine.reading() as cursor:
                stored = next((path for _, path in _stored_paths(cursor, session_id)), [])
            before, held = held, _held_path(engine, session_id)
            if held == before != stored:
                return f"the session returns {len(held)} items and its path has {len(stored)}"
    except DamagedStoreError as error:
        return str(error)
    return None  # it changes faster than it can be looked at


def _held_path(engine: Engine, session_id: str) -> list[int]:
    with engine.session(session_id) as state:
        return [entry.item_id for entry in state.path]
