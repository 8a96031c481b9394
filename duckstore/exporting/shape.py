"""What is selected for one part of an export: each relation, for some sessions only.

The relations are views over the whole store, and some of them group and number rows, so that a
condition on their result does not spare DuckDB the work for all the other sessions. So a part's
statement is made of the views' own texts, over tables of which it sees the part's sessions alone:
each part costs what it holds, and no more memory than that.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping, Sequence

import duckdb

from duckstore.catalogue import empty_store
from duckstore.schema import RELATIONS, STORE_TABLES, TABLES, relations_sql

__all__ = ["EXPORTED_TABLES", "ORDER", "columns_of", "definition", "relation_sql", "table_sql"]

ORDER = {
    "sessions": "session_id",
    "runs": "session_id, id",
    "items": "session_id, position, item_id",
    "messages": "session_id, position, item_id",
    "tool_calls": "session_id, position, id",
    "outcomes": "session_id, outcome_id",
    "guardrails": "session_id, guardrail_id",
    "responses": "session_id, response_id",
    "prices": "model, valid_from nulls first, daily_from, above_input_tokens",
    "costs": "session_id, response_id",
    "branches": "session_id, branch_id",
    "branch_items": "branch_id, position",
    "history": "session_id, history_id",
    "edit_points": "session_id, position, item_before_id, rank",
}
"""What makes a relation's rows come out the same every time: by session and position."""

EXPORTED_TABLES = tuple(t for t in (*TABLES, *STORE_TABLES) if t != "request_rows")
"""The tables that go along, so that an export can be imported as what it was."""

_TABLE_ORDER = {
    "session_rows": "session_key",
    "response_rows": "response_id",
    "call_rows": "tool_call_id",
    "outcome_rows": "outcome_id",
    "guardrail_rows": "guardrail_id",
    "branch_rows": "branch_id",
    "lineage_rows": "branch_id, source_branch_id, first_position, last_position, position_offset",
    "move_rows": "move_id",
    "price_rows": "all",
}

# Of the items only what the relation `items` does not tell. The arguments of a call stand in its
# text there, behind the tool's name, unless it has a text of its own.
_ITEM_REST = """
    item_id,
    session_key,
    forked_run_id,
    user_item_id,
    answer_number,
    call_index,
    parallel_count,
    part,
    server_label,
    status,
    status_source,
    error,
    handoff_to,
    text is not null as has_text,
    arguments is not null as has_arguments,
    case when text is not null or call_index is null then arguments end as arguments
"""

_VIEW = re.compile(r"(?:\s|--[^\n]*\n)*create or replace view (\w+) as", re.IGNORECASE)
_COMMENT = re.compile(r"--[^\n]*")
_WORD = re.compile(r"\w+")


@functools.cache
def _views() -> dict[str, str]:
    """The text of every view, by name."""
    found = {}
    for statement in duckdb.extract_statements(relations_sql()):
        match = _VIEW.match(statement.query)
        if match is None:
            raise RuntimeError("relations.sql holds a statement that makes no view")
        found[match[1]] = statement.query[match.end() :].rstrip().rstrip(";")
    return found


@functools.cache
def _needs(name: str) -> tuple[str, ...]:
    """A view with all that it is made of, each after those that it needs; tables first."""
    views, order = _views(), []
    for word in dict.fromkeys(_WORD.findall(_COMMENT.sub("", views[name]))):
        if word in (*TABLES, *STORE_TABLES):
            order.append(word)
        elif word in views and word != name:
            order += _needs(word)
    return tuple(dict.fromkeys([*sorted(order, key=lambda it: it in views), name]))


@functools.cache
def columns_of(relation: str) -> dict[str, str]:
    """The columns of a relation with their DuckDB types."""
    rows = empty_store().cursor().execute(f"describe {relation}").fetchall()
    return {name: kind for name, kind, *_ in rows}


def definition(replaced: Mapping[str, Sequence[tuple[str, str]]]) -> str:
    """Tells what is selected from what another duckstore selects: a hash.

    Args:
        replaced: For each relation the columns with the expressions that stand in their place.
    """
    texts = [relation_sql(relation, "true", replaced.get(relation, ())) for relation in RELATIONS]
    texts += [table_sql(table, "true") for table in EXPORTED_TABLES]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def relation_sql(
    relation: str,
    condition: str,
    replaced: Sequence[tuple[str, str]] = (),
    *,
    is_sorted: bool = True,
) -> str:
    """A statement for the rows of a relation, with types that every reader takes.

    Args:
        relation: One of `RELATIONS`.
        condition: Which sessions: a condition on `session_key`.
        replaced: Columns with the expressions that stand in their place.
        is_sorted: Whether the rows come in the order of the files.
    """
    parts = [
        f"{name} as not materialized (\n"
        + (_rows_of(name, condition) if name not in _views() else _views()[name])
        + "\n)"
        for name in _needs(relation)[:-1]
    ]
    text = _views()[relation]
    parts.append(f"exported as not materialized (\n{text}\n)")
    values = dict(replaced)
    columns = ", ".join(
        f'{values[name]} as "{name}"'
        if name in values
        else f'"{name}"::varchar as "{name}"'
        if kind == "JSON"
        else f'"{name}"'
        for name, kind in columns_of(relation).items()
    )
    order = f" order by {ORDER[relation]}" if is_sorted else ""
    return f"with {', '.join(parts)}\nselect {columns} from exported{order}"


def table_sql(table: str, condition: str) -> str:
    """A statement for the rows of a table, without what `items` tells of them."""
    if table == "item_rows":
        return f"select {_ITEM_REST} from main.item_rows where {condition} order by item_id"
    return f"{_rows_of(table, condition)} order by {_TABLE_ORDER[table]}"


def _rows_of(table: str, condition: str) -> str:
    where = f" where {condition}" if table in TABLES else ""
    return f"select * from main.{table}{where}"
