"""One question of each topic, asked of the same sessions in every store.

`SQLiteSession` answers by JSON extraction from its one table, in the SQL that we found fastest
among the plain forms. `AdvancedSQLiteSession` answers from its structure table, and takes texts
from the JSON of the few rows that it found. A question that a store cannot answer, because it
does not keep what is asked for, is left out. The answers must be equal.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import duckstore
from tests.benchmarks.bulk import FILLS
from tests.benchmarks.conversations import TOOL_FAILED, timeline
from tests.benchmarks.report import Row
from tests.benchmarks.scale import Scale
from tests.benchmarks.startup import measure_size
from tests.benchmarks.stores import ADVANCED, DUCKSTORE, SQLITE, sqlite_rows

__all__ = ["QUESTIONS", "Question", "asker", "fill_all", "measure_query"]

ITEMS_PER_SESSION = 40
TEMPLATE_ITEMS = 100_000
"""Items that are generated; more are copies with other ids."""

PAIRS_FROM_JSON = """
with

typed as materialized (
    select
        id, session_id,
        json_extract(message_data, '$.role') as role,
        json_extract(message_data, '$.type') as type
    from agent_messages
),

numbered as (
    select *, sum(role = 'user') over (
        partition by session_id order by id rows unbounded preceding
    ) as turn_number
    from typed
),

turns as (
    select
        session_id, turn_number,
        min(case when role = 'user' then id end) as user_id,
        max(case when role = 'assistant' then id end) as answer_id,
        sum(coalesce(type = 'function_call', 0)) as tool_call_count
    from numbered
    group by session_id, turn_number
)

select
    turns.session_id, turn_number,
    json_extract(users.message_data, '$.content'),
    json_extract(answers.message_data, '$.content[0].text'),
    tool_call_count
from turns
left join agent_messages as users on turns.user_id = users.id
left join agent_messages as answers on turns.answer_id = answers.id
order by turns.session_id, turn_number
"""

# The structure table has no current branch after a reopening: the latest one written stands in.
PAIRS_FROM_STRUCTURE = """
with

latest as (
    select session_id, branch_id, max(id) from message_structure group by session_id
),

turns as (
    select
        session_id, user_turn_number,
        min(case when message_type = 'user' then message_id end) as user_id,
        max(case when message_type = 'assistant' then message_id end) as answer_id,
        sum(message_type = 'function_call') as tool_call_count
    from latest
    inner join message_structure using (session_id, branch_id)
    group by session_id, user_turn_number
)

select
    turns.session_id, user_turn_number,
    json_extract(users.message_data, '$.content'),
    json_extract(answers.message_data, '$.content[0].text'),
    tool_call_count
from turns
left join agent_messages as users on turns.user_id = users.id
left join agent_messages as answers on turns.answer_id = answers.id
order by turns.session_id, user_turn_number
"""

# Grouped by call id, because SQLite joins the outputs six times slower.
TOOLS_FROM_JSON = f"""
with

typed as materialized (
    select
        session_id,
        json_extract(message_data, '$.type') as type,
        json_extract(message_data, '$.call_id') as call_id,
        json_extract(message_data, '$.name') as tool_name,
        json_extract(message_data, '$.output') glob '{TOOL_FAILED}*' as is_error
    from agent_messages
    where json_extract(message_data, '$.type') in ('function_call', 'function_call_output')
),

calls as (
    select session_id, max(tool_name) as tool_name, max(is_error) as is_error
    from typed
    group by session_id, call_id
    having sum(type = 'function_call') > 0
)

select
    tool_name, count(*), sum(coalesce(is_error, 0)), sum(is_error is null),
    count(distinct session_id)
from calls
group by tool_name
order by count(*) desc, tool_name
"""

TOOLS_FROM_STRUCTURE = """
select tool_name, count(distinct message_id), count(distinct session_id)
from message_structure
where message_type = 'function_call'
group by tool_name
order by count(distinct message_id) desc, tool_name
"""

EDITS_FROM_STRUCTURE = """
with

steps as (
    select session_id, message_id, lag(message_id, 1, 0) over (
        partition by session_id, branch_id order by sequence_number
    ) as before_id
    from message_structure
),

alternatives as (
    select distinct session_id, before_id, message_id from steps
),

edit_points as (
    select session_id, before_id
    from alternatives
    group by session_id, before_id
    having count(*) > 1
)

select edit_points.session_id, json_extract(message_data, '$.content')
from edit_points
inner join alternatives using (session_id, before_id)
inner join agent_messages on alternatives.message_id = agent_messages.id
order by 1, before_id, message_id
"""

Asker = Callable[[], Any]


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """One query of the catalogue, and the SQL that answers it elsewhere."""

    case: str
    name: str
    parameters: dict[str, Any]
    columns: tuple[str, ...]
    """The columns of our answer that the others give too."""
    elsewhere: dict[str, str]


_PAIR_COLUMNS = (
    "session_id",
    "turn_number",
    "user_message",
    "assistant_message",
    "tool_call_count",
)
QUESTIONS = (
    Question(
        "turn_pairs",
        "turn_pairs",
        {},
        _PAIR_COLUMNS,
        {SQLITE: PAIRS_FROM_JSON, ADVANCED: PAIRS_FROM_STRUCTURE},
    ),
    Question(
        "tool_usage, current paths",
        "tool_usage",
        {"include_superseded": False},
        ("tool_name", "call_count", "error_count", "pending_count", "session_count"),
        {SQLITE: TOOLS_FROM_JSON},
    ),
    Question(
        "tool_usage, all calls",
        "tool_usage",
        {},
        ("tool_name", "call_count", "session_count"),
        {ADVANCED: TOOLS_FROM_STRUCTURE},
    ),
    Question(
        "edit_points", "edit_points", {}, ("session_id", "text"), {ADVANCED: EDITS_FROM_STRUCTURE}
    ),
)


async def measure_query(folder: Path, scale: Scale) -> list[Row]:
    """Fill three stores with the same sessions, ask each, and look at the files."""
    fill_all(folder, scale.items)
    return measure_questions(folder, scale) + measure_size(folder, scale)


def fill_all(folder: Path, item_count: int, label: str = "", seed: int = 7) -> None:
    """Fill one file of each store with the same sessions, after what is there already."""
    folder.mkdir(parents=True, exist_ok=True)
    template = max(min(item_count, TEMPLATE_ITEMS) // ITEMS_PER_SESSION, 1)
    copies = max(item_count // (template * ITEMS_PER_SESSION), 1)
    for name, fill_file in FILLS.items():
        fill_file(folder / name, timeline(seed, template, ITEMS_PER_SESSION), copies, label)


def measure_questions(folder: Path, scale: Scale) -> list[Row]:
    """Ask every question of every store in turns, and compare the answers."""
    rows = []
    with (
        duckstore.open(folder / "store.duckdb") as store,
        closing(sqlite3.connect(folder / "session.sqlite")) as plain,
        closing(sqlite3.connect(folder / "advanced.sqlite")) as advanced,
    ):
        files = {DUCKSTORE: store, SQLITE: plain, ADVANCED: advanced}
        for question in QUESTIONS:
            askers = {
                name: asker(files[name], question, name)
                for name in (DUCKSTORE, *question.elsewhere)
            }
            samples: dict[str, list[float]] = {name: [] for name in askers}
            answers: dict[str, Any] = {}
            for _ in range(scale.query_rounds):
                answers.clear()
                for name, ask in askers.items():
                    start = perf_counter()
                    answers[name] = ask()
                    samples[name].append((perf_counter() - start) * 1000)
            ours = answers.pop(DUCKSTORE).select(question.columns).rows()
            for name, theirs in answers.items():
                _compare(question.case, ours, name, theirs)
            rows.append(Row("query", f"{question.case} ({len(ours):,} rows)", samples))
    return rows


def asker(opened: duckstore.Store | sqlite3.Connection, question: Question, name: str) -> Asker:
    """What asks a store a question."""
    if isinstance(opened, duckstore.Store):
        return lambda: opened.query(question.name, **question.parameters)
    return lambda: sqlite_rows(opened, question.elsewhere[name])


def _compare(
    case: str, ours: list[tuple[Any, ...]], name: str, theirs: list[tuple[Any, ...]]
) -> None:
    """Raise where two stores give different answers: their times would mean nothing."""
    if sorted(ours, key=repr) == sorted(theirs, key=repr):
        return
    only_ours, only_theirs = set(ours) - set(theirs), set(theirs) - set(ours)
    raise RuntimeError(
        f"{case}: duckstore gives {len(ours)} rows and {name} {len(theirs)}; "
        f"only here {sorted(only_ours, key=repr)[:2]}, only there "
        f"{sorted(only_theirs, key=repr)[:2]}"
    )
