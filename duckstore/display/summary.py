"""What a store, or an export of one, holds: a few figures, its tools and its latest sessions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from duckstore.display.markup import Markup, element, joined
from duckstore.display.style import framed
from duckstore.display.texts import count_of, cut, moment, span_of
from duckstore.rows import Rows

__all__ = ["summary_html"]

MOST_TOOLS = 8
MOST_SESSIONS = 8
TEXT_LENGTH = 70
"""How much of a name or an opening is shown in a table."""

# Each asks the relations once, so that an export answers them too.
_TOTALS = """
select
    count(*),
    count(distinct user_id),
    sum(run_count)::bigint,
    sum(item_count)::bigint,
    min(created_at),
    max(updated_at),
from sessions
"""
_RESPONSES = """
select
    count(*),
    sum(input_tokens)::bigint,
    sum(output_tokens)::bigint,
    sum(total_tokens)::bigint,
from responses
"""
_TOOLS = """
select
    tool_name,
    count(*) as call_count,
    count(*) filter (where status = 'error') as error_count,
    sum(count(*)) over ()::bigint,
    count(*) over (),
from tool_calls
group by tool_name
order by call_count desc, tool_name asc nulls last
limit $tool_limit
"""
_SESSIONS = """
select
    session_id,
    left(coalesce(title, first_user_message, ''), $length),
    run_count,
    item_count,
    updated_at,
from sessions
order by updated_at desc, session_id asc
limit $session_limit
"""


def summary_html(kind: str, path: str, ask: Callable[..., Rows]) -> Markup:
    """The summary of a store.

    Args:
        kind: What it is, for the heading.
        path: Where it is.
        ask: Runs a reading statement with parameters.

    Raises:
        DuckstoreError: It cannot be asked.
    """
    totals, responses = ask(_TOTALS).rows[0], ask(_RESPONSES).rows[0]
    tools = ask(_TOOLS, {"tool_limit": MOST_TOOLS}).rows
    limits = {"session_limit": MOST_SESSIONS, "length": TEXT_LENGTH * 4}
    sessions = ask(_SESSIONS, limits).rows if totals[0] else []
    return framed(
        element("p", f"{kind} ", element("code", path), look="head"),
        *_facts(totals, responses, tools),
        _tools(tools),
        _sessions(sessions, totals[0]),
    )


def _facts(
    totals: Sequence[Any], responses: Sequence[Any], tools: Sequence[Sequence[Any]]
) -> list[Markup]:
    sessions, users, runs, items, first, last = totals
    if not sessions:
        return [element("p", "No sessions yet.")]
    response_count, input_tokens, output_tokens, total_tokens = responses
    counts = [
        count_of(sessions, "session") + (f" of {count_of(users, 'user')}" if users else ""),
        count_of(runs, "run"),
        count_of(items, "item"),
        count_of(tools[0][3] if tools else 0, "tool call"),
        count_of(response_count, "response"),
    ]
    tokens = "Token usage is not known."
    if total_tokens is not None:
        tokens = f"{count_of(total_tokens, 'token')}: {input_tokens or 0:,} in, "
        tokens += f"{output_tokens or 0:,} out"
    return [
        element("p", " · ".join(counts)),
        element("p", tokens),
        element("p", span_of(first, last), look="facts"),
    ]


def _tools(tools: Sequence[Sequence[Any]]) -> Markup | None:
    if not tools:
        return None
    rows = [
        [
            _name(name),
            _number(f"{calls:,}"),
            _number(f"{failed:,}", is_bad=failed > 0),
            _number(f"{failed / calls:.0%}", is_bad=failed > 0),
        ]
        for name, calls, failed, *_ in tools
    ]
    heads = ["tool", "calls", "errors", "share"]
    return _table(heads, rows, tools[0][4] - len(tools), "tools")


def _sessions(sessions: Sequence[Sequence[Any]], count: int) -> Markup | None:
    if not sessions:
        return None
    rows = [
        [
            _name(session_id),
            element("td", cut(opening, TEXT_LENGTH)),
            _number(f"{runs:,}"),
            _number(f"{items:,}"),
            element("td", moment(updated_at), look="moment"),
        ]
        for session_id, opening, runs, items, updated_at in sessions
    ]
    heads = ["latest sessions", "title or opening", "runs", "items", "updated"]
    return _table(heads, rows, count - len(sessions), "sessions")


def _name(text: str | None) -> Markup:
    return element("td", element("code", cut(text or "(no name)", TEXT_LENGTH)))


def _number(text: str, *, is_bad: bool = False) -> Markup:
    return element("td", text, look="number error" if is_bad else "number")


def _table(
    heads: Sequence[str], rows: Sequence[Sequence[Markup]], missing: int, noun: str
) -> Markup:
    numbers = {"calls", "errors", "share", "runs", "items"}
    more = element("tr", element("td", f"and {missing:,} {noun} more", look="quiet"))
    return element(
        "table",
        element("thead", _row(*(_head(name, name in numbers) for name in heads))),
        element("tbody", *(_row(*cells) for cells in rows), more if missing > 0 else None),
        look="rows",
    )


def _head(name: str, is_number: bool) -> Markup:
    return element("th", name, look="number" if is_number else "")


def _row(*cells: Markup) -> Markup:
    return element("tr", joined(*cells))
