"""The relations that users and queries read: their columns, their types and what they mean."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import duckstore
from duckstore import Store
from duckstore.schema import RELATIONS
from tests.rich import FAILED, REJECTED, facts, fill
from tests.samples import assistant, call, output, user

# The columns and types of each relation. A column may be added; one that changes or goes breaks
# the queries that people have written.
COLUMNS = {
    "sessions": """
        session_id VARCHAR
        title VARCHAR
        user_id VARCHAR
        tags VARCHAR[]
        metadata JSON
        source VARCHAR
        created_at TIMESTAMPTZ
        updated_at TIMESTAMPTZ
        current_branch_id BIGINT
        parent_session_id VARCHAR
        parent_item_id BIGINT
        item_count BIGINT
        run_count BIGINT
        first_user_message VARCHAR
    """,
    "runs": """
        id BIGINT
        session_id VARCHAR
        user_message VARCHAR
        assistant_message VARCHAR
        created_at TIMESTAMPTZ
        branch_id BIGINT
        turn_number BIGINT
        status VARCHAR
        ended_at TIMESTAMPTZ
        duration_seconds DOUBLE
        working_seconds DOUBLE
        first_response_seconds DOUBLE
        first_tool_call_seconds DOUBLE
        outcome VARCHAR
        error_type VARCHAR
        error VARCHAR
        response_count BIGINT
        tool_call_count BIGINT
        tool_error_count BIGINT
        handoff_count BIGINT
        input_tokens BIGINT
        output_tokens BIGINT
        cache_read_input_tokens BIGINT
        cache_write_input_tokens BIGINT
        reasoning_output_tokens BIGINT
        total_tokens BIGINT
        tool_names VARCHAR[]
        user_item_id BIGINT
        forked_run_id BIGINT
        is_current BOOLEAN
    """,
    "items": """
        item_id BIGINT
        session_id VARCHAR
        branch_id BIGINT
        position BIGINT
        parent_item_id BIGINT
        run_id BIGINT
        turn_number BIGINT
        response_id BIGINT
        item_type VARCHAR
        role VARCHAR
        call_id VARCHAR
        tool_name VARCHAR
        tool_type VARCHAR
        agent_name VARCHAR
        answers_item_id BIGINT
        text VARCHAR
        item VARCHAR
        created_at TIMESTAMPTZ
        batch_id BIGINT
        operation VARCHAR
        is_current BOOLEAN
        is_archived BOOLEAN
    """,
    "messages": """
        item_id BIGINT
        session_id VARCHAR
        branch_id BIGINT
        position BIGINT
        run_id BIGINT
        turn_number BIGINT
        response_id BIGINT
        role VARCHAR
        agent_name VARCHAR
        text VARCHAR
        created_at TIMESTAMPTZ
        operation VARCHAR
        is_current BOOLEAN
        is_archived BOOLEAN
    """,
    "tool_calls": """
        id BIGINT
        run_id BIGINT
        tool_name VARCHAR
        arguments VARCHAR
        output VARCHAR
        created_at TIMESTAMPTZ
        call_id VARCHAR
        session_id VARCHAR
        branch_id BIGINT
        position BIGINT
        turn_number BIGINT
        response_id BIGINT
        anchor_item_id BIGINT
        agent_name VARCHAR
        tool_type VARCHAR
        server_label VARCHAR
        status VARCHAR
        error VARCHAR
        error_type VARCHAR
        status_source VARCHAR
        call_index BIGINT
        parallel_count BIGINT
        output_item_id BIGINT
        handoff_to VARCHAR
        started_at TIMESTAMPTZ
        ended_at TIMESTAMPTZ
        duration_seconds DOUBLE
        overlap_seconds DOUBLE
        approval VARCHAR
        approval_asked_at TIMESTAMPTZ
        approval_decided_at TIMESTAMPTZ
        approval_seconds DOUBLE
        parent_tool_call_id BIGINT
        response_count BIGINT
        input_tokens BIGINT
        output_tokens BIGINT
        total_tokens BIGINT
        arguments_json JSON
        is_current BOOLEAN
        is_archived BOOLEAN
    """,
    "responses": """
        response_id BIGINT
        session_id VARCHAR
        branch_id BIGINT
        run_id BIGINT
        turn_number BIGINT
        anchor_item_id BIGINT
        agent_name VARCHAR
        model VARCHAR
        offered_tools VARCHAR[]
        provider_response_id VARCHAR
        request_count BIGINT
        input_tokens BIGINT
        output_tokens BIGINT
        cache_read_input_tokens BIGINT
        cache_write_input_tokens BIGINT
        reasoning_output_tokens BIGINT
        total_tokens BIGINT
        finish_reason VARCHAR
        started_at TIMESTAMPTZ
        ended_at TIMESTAMPTZ
        duration_seconds DOUBLE
        elapsed_seconds DOUBLE
        error_type VARCHAR
        error VARCHAR
        parent_tool_call_id BIGINT
        has_items BOOLEAN
        trace_id VARCHAR
        span_id VARCHAR
        workflow_name VARCHAR
        group_id VARCHAR
        created_at TIMESTAMPTZ
        is_current BOOLEAN
        is_archived BOOLEAN
    """,
    "outcomes": """
        outcome_id BIGINT
        session_id VARCHAR
        branch_id BIGINT
        run_id BIGINT
        turn_number BIGINT
        anchor_item_id BIGINT
        outcome VARCHAR
        error_type VARCHAR
        error VARCHAR
        started_at TIMESTAMPTZ
        ended_at TIMESTAMPTZ
        duration_seconds DOUBLE
        trace_id VARCHAR
        workflow_name VARCHAR
        group_id VARCHAR
        is_current BOOLEAN
        is_archived BOOLEAN
    """,
    "guardrails": """
        guardrail_id BIGINT
        session_id VARCHAR
        branch_id BIGINT
        run_id BIGINT
        turn_number BIGINT
        anchor_item_id BIGINT
        guardrail_name VARCHAR
        is_triggered BOOLEAN
        agent_name VARCHAR
        started_at TIMESTAMPTZ
        ended_at TIMESTAMPTZ
        duration_seconds DOUBLE
        trace_id VARCHAR
        span_id VARCHAR
        is_current BOOLEAN
        is_archived BOOLEAN
    """,
    "prices": """
        model VARCHAR
        currency VARCHAR
        valid_from DATE
        valid_until DATE
        daily_from VARCHAR
        daily_until VARCHAR
        above_input_tokens BIGINT
        up_to_input_tokens BIGINT
        input_price DOUBLE
        cache_read_price DOUBLE
        cache_write_price DOUBLE
        output_price DOUBLE
        request_price DOUBLE
        price_source VARCHAR
        price_date DATE
    """,
    "costs": """
        response_id BIGINT
        session_id VARCHAR
        run_id BIGINT
        agent_name VARCHAR
        model VARCHAR
        created_at TIMESTAMPTZ
        input_tokens BIGINT
        cache_read_input_tokens BIGINT
        cache_write_input_tokens BIGINT
        output_tokens BIGINT
        currency VARCHAR
        input_cost BIGINT
        cache_read_cost BIGINT
        cache_write_cost BIGINT
        output_cost BIGINT
        request_cost BIGINT
        total_cost BIGINT
        price_source VARCHAR
        price_date DATE
        is_current BOOLEAN
        is_archived BOOLEAN
    """,
    "branches": """
        branch_id BIGINT
        session_id VARCHAR
        name VARCHAR
        parent_branch_id BIGINT
        fork_position BIGINT
        kind VARCHAR
        created_at TIMESTAMPTZ
        is_current BOOLEAN
        deleted_at TIMESTAMPTZ
    """,
    "branch_items": """
        branch_id BIGINT
        position BIGINT
        item_id BIGINT
    """,
    "history": """
        history_id BIGINT
        session_id VARCHAR
        operation VARCHAR
        from_branch_id BIGINT
        from_position BIGINT
        to_branch_id BIGINT
        to_position BIGINT
        created_at TIMESTAMPTZ
    """,
    "edit_points": """
        session_id VARCHAR
        item_before_id BIGINT
        alternative_item_id BIGINT
        branch_id BIGINT
        kind VARCHAR
        rank BIGINT
        alternative_count BIGINT
        position BIGINT
        turn_number BIGINT
        run_id BIGINT
        role VARCHAR
        item_type VARCHAR
        text VARCHAR
        created_at TIMESTAMPTZ
        is_current BOOLEAN
        is_archived BOOLEAN
    """,
}


@pytest.fixture(scope="module")
def rich() -> Iterator[Store]:
    with duckstore.open() as store:
        fill(store)
        yield store


def rows(store: Store, columns: str, relation: str, session: str) -> list[tuple[Any, ...]]:
    """Some columns of one session's rows, in the order in which the rows came to be."""
    return store.sql(
        f"select {columns} from {relation} where session_id = $session order by all",
        session=session,
    ).rows()


@pytest.mark.parametrize("relation", RELATIONS)
def test_columns(relation: str, store: Store) -> None:
    """Each relation has the columns of the golden table, in order and of the same types."""
    found = store.sql(f"describe {relation}").select("column_name", "column_type").rows()
    lines = [line.split() for line in COLUMNS[relation].strip().splitlines()]
    types = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}
    assert found == [(name, types.get(kind, kind)) for name, kind in lines]


def test_the_rich_store_keeps_every_rule(rich: Store) -> None:
    assert rich.check() == []


# Sessions ---------------------------------------------------------------------------------------


def test_sessions(rich: Store) -> None:
    """A session shows what describes it, and counts all that is stored of it."""
    assert rows(
        rich,
        "title, user_id, tags, metadata::varchar, source, first_user_message",
        "sessions",
        "orders",
    ) == [("Two orders", "ada", ["vip", "late"], '{"plan": "pro"}', None, "Where are my orders?")]
    assert rich.sql(
        "select session_id, item_count, run_count from sessions order by session_id"
    ).rows() == [
        ("compacted", 9, 3),
        ("edited", 5, 3),
        ("forked", 3, 2),
        ("halves", 3, 1),
        ("hosted", 4, 1),
        ("odd", 5, 1),
        ("opened", 3, 2),
        ("orders", 13, 3),
    ]


def test_updated_at_is_the_last_change_of_the_conversation(store: Store) -> None:
    """A pop is a change too, though it adds no item."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    [(created, updated)] = rows(store, "created_at, updated_at", "sessions", "s")
    talk.pop()
    [(created_later, updated_later)] = rows(store, "created_at, updated_at", "sessions", "s")
    assert created == created_later <= updated < updated_later


def test_current_branch(rich: Store) -> None:
    """A session's branch is the one that `branches` marks as current."""
    assert (
        rich.sql(
            "select count(*) from sessions inner join branches"
            " on current_branch_id = branch_id and is_current"
        ).item()
        == rich.sql("select count(*) from sessions").item()
    )


# Items and messages -----------------------------------------------------------------------------


def test_items_of_a_run(rich: Store) -> None:
    """An item knows its place, its run, and the response that it came in."""
    found = rich.sql(
        "select position, turn_number, item_type, role, call_id, tool_name, agent_name, text,"
        " item_id = run_id as begins_run, item_id = response_id as begins_response"
        " from items where session_id = 'orders' and turn_number = 1 order by position"
    ).rows()
    assert found == [
        (1, 1, "message", "user", None, None, None, "Where are my orders?", True, None),
        (2, 1, "reasoning", None, None, None, "triage", "Look up both.", False, True),
        (3, 1, "function_call", None, "c1", "find", "triage", 'find({"order": 7})', False, False),
        (4, 1, "function_call", None, "c2", "find", "triage", "find({'order': 8})", False, False),
        (5, 1, "function_call_output", None, "c1", "find", "triage", "shipped", False, None),
        (6, 1, "function_call_output", None, "c2", "find", "triage", FAILED, False, None),
        (7, 1, "message", "assistant", None, None, "triage", "One is shipped.", False, True),
    ]


def test_items_that_are_no_objects_or_of_unknown_types(rich: Store) -> None:
    """Every JSON value is an item, with the words that it has."""
    assert rows(rich, "position, item_type, text, item", "items", "odd") == [
        (1, "message", "hi", '{"role": "user", "content": "hi"}'),
        (2, None, "42", "42"),
        (3, None, "text", '"text"'),
        (4, None, None, "null"),
        (5, "from_the_future", "beep", '{"type": "from_the_future", "text": "beep"}'),
    ]


def test_parents_lead_back_to_the_start(rich: Store) -> None:
    """Each item names the one before it on its path; the first names none."""
    assert rows(rich, "position, parent_item_id is null", "items", "orders") == [
        (position, position == 1) for position in range(1, 14)
    ]
    assert (
        rich.sql(
            "select count(*) from items as item inner join items as parent"
            " on item.parent_item_id = parent.item_id where item.position <> parent.position + 1"
            " and item.operation <> 'compact'"
        ).item()
        == 0
    )


def test_current_archived_and_superseded_items(rich: Store) -> None:
    """An item is on the path, archived by a compaction of it, or superseded."""
    columns = "text, is_current, is_archived"
    assert rows(rich, columns, "items", "edited") == [
        ("2 + 2?", True, False),
        ("2 + 3?", False, False),
        ("4", True, False),
        ("5", False, False),
        ("6", False, False),
    ]
    assert rows(rich, columns, "items", "forked") == [
        ("Knock knock.", False, False),
        ("No.", True, False),
        ("Tell a joke.", True, False),
    ]
    assert rows(rich, columns, "items", "compacted") == [
        ("1", False, True),
        ("2", False, True),
        ("2", False, True),
        ("3", True, False),
        ("The user counts.", True, False),
        ("count({})", False, True),
        ("one", False, True),
        ("three", True, False),
        ("two", False, True),
    ]


def test_messages_are_the_message_items(rich: Store) -> None:
    assert rows(rich, "position, role, agent_name, text", "messages", "orders") == [
        (1, "user", None, "Where are my orders?"),
        (7, "assistant", "triage", "One is shipped."),
        (8, "user", None, "Cancel it."),
        (13, "user", None, "Hello?"),
    ]
    assert (
        rich.sql("select count(*) from messages").item()
        == rich.sql("select count(*) from items where item_type = 'message'").item()
    )


# Runs -------------------------------------------------------------------------------------------


def test_run_status(rich: Store) -> None:
    """Completed ends with words of the agent; interrupted with anything else that is no input."""
    assert rich.sql(
        "select session_id, turn_number, status, user_message, assistant_message, is_current"
        " from runs order by id"
    ).rows() == [
        ("orders", 1, "completed", "Where are my orders?", "One is shipped.", True),
        ("orders", 2, "interrupted", "Cancel it.", None, True),
        ("orders", 3, "unanswered", "Hello?", None, True),
        ("edited", 1, "superseded", "2 + 3?", "6", False),
        ("edited", 1, "superseded", "2 + 2?", "5", False),
        ("edited", 1, "completed", "2 + 2?", "4", True),
        ("forked", 1, "completed", "Tell a joke.", "No.", True),
        ("forked", 1, "superseded", "Tell a joke.", "Knock knock.", False),
        ("compacted", 1, "completed", "one", "1", False),
        ("compacted", 2, "completed", "two", "2", False),
        ("compacted", 3, "completed", "three", "3", True),
        ("opened", 1, "completed", None, "How can I help?", True),
        ("opened", 2, "completed", "Not at all.", "Fine.", True),
        ("halves", 1, "interrupted", "go", None, True),
        ("hosted", 1, "completed", "search", "Nothing found.", True),
        ("odd", 1, "unanswered", "hi", None, True),
    ]


def test_run_figures(rich: Store) -> None:
    """A run counts its responses, calls, failed calls and handoffs, and sums its tokens."""
    assert rows(
        rich,
        "turn_number, response_count, tool_call_count, tool_error_count, handoff_count, tool_names,"
        " input_tokens, output_tokens, total_tokens, cache_read_input_tokens,"
        " reasoning_output_tokens",
        "runs",
        "orders",
    ) == [
        (1, 2, 2, 1, 0, ["find", "find"], 30, 11, 41, 4, 2),
        (2, 2, 2, 0, 1, ["transfer_to_refunds", "cancel"], 70, 15, 85, 4, 2),
        (3, 0, 0, 0, 0, [], None, None, None, None, None),
    ]


def test_the_current_run_is_one_for_each_turn(rich: Store) -> None:
    """However often a turn was edited, one run of it is current at most."""
    assert (
        rich.sql(
            "select count(*) from (select session_id, turn_number from runs where is_current"
            " group by all having count(*) > 1)"
        ).item()
        == 0
    )


def test_the_time_of_a_run_is_from_its_first_item_to_its_last(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("one")])
    talk.add([assistant("1")])
    [(seconds, measured)] = rows(
        store, "duration_seconds, epoch(ended_at) - epoch(created_at)", "runs", "s"
    )
    assert seconds > 0
    assert seconds == pytest.approx(measured, abs=1e-5)


# Tool calls -------------------------------------------------------------------------------------


def test_tool_call_outcomes(rich: Store) -> None:
    """Status, where it is known from, and the error: from the output, or from the call itself."""
    assert rich.sql(
        "select session_id, tool_name, tool_type, server_label, output, status, status_source,"
        " error from tool_calls order by id"
    ).rows() == [
        ("orders", "find", "function", None, "shipped", "ok", "default", None),
        ("orders", "find", "function", None, FAILED, "error", "text", FAILED),
        (
            "orders",
            "transfer_to_refunds",
            "function",
            None,
            '{"assistant": "refunds"}',
            "ok",
            "default",
            None,
        ),
        ("orders", "cancel", "function", None, REJECTED, "rejected", "text", None),
        ("compacted", "count", "function", None, "2", "ok", "default", None),
        ("halves", "wait", "function", None, None, "pending", "default", None),
        ("hosted", "web_search", "web_search", None, None, "ok", "item", None),
        ("hosted", "read", "mcp", "docs", None, "error", "item", "gone"),
    ]


def test_parallel_calls(rich: Store) -> None:
    """A call knows its place among the calls of its response."""
    assert rows(
        rich, "call_id, turn_number, call_index, parallel_count, agent_name", "tool_calls", "orders"
    ) == [
        ("c1", 1, 1, 2, "triage"),
        ("c1", 2, 1, 1, "refunds"),
        ("c2", 1, 2, 2, "triage"),
        ("c3", 2, 1, 1, "triage"),
    ]
    assert (
        rich.sql("select count(*) from tool_calls inner join responses using (response_id)").item()
        == rich.sql("select count(*) from tool_calls").item()
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ("[1, 2]", "[1, 2]"),
        ('"word"', '"word"'),
        ("{'a': 1}", None),
        ('{"a": 1', None),
        ("", None),
        ('{"a": NaN}', '{"a": NaN}'),
        ('{"a": "\\ud800"}', None),
    ],
)
def test_arguments_json(store: Store, arguments: str, expected: str | None) -> None:
    """Arguments come as text as they were, and as JSON only where DuckDB reads them as JSON."""
    store.conversation("s").add([user("go"), call("f", "1", arguments)])
    assert rows(store, "arguments, arguments_json::varchar", "tool_calls", "s") == [
        (arguments, expected)
    ]


def test_an_output_belongs_to_the_latest_open_call_with_its_id(store: Store) -> None:
    store.conversation("s").add(
        [call("a", "x"), call("b", "x"), output("x", "for b"), output("x", "for a"), output("x")]
    )
    assert rows(store, "tool_name, output", "tool_calls", "s") == [("a", "for a"), ("b", "for b")]


def test_an_output_that_was_replaced(store: Store) -> None:
    """A call shows the output of the current path, and is still one call."""
    talk = store.conversation("s")
    talk.add([user("go"), call("a", "x"), output("x", "old")])
    talk.pop()
    assert rows(store, "output, is_current", "tool_calls", "s") == [("old", True)]
    talk.add([output("x", "new")])
    assert rows(store, "output, is_current", "tool_calls", "s") == [("new", True)]
    talk.switch("main~1")
    assert rows(store, "output, is_current", "tool_calls", "s") == [("old", True)]


# Responses --------------------------------------------------------------------------------------


def test_responses(rich: Store) -> None:
    """One row per model call, with what the SDK told of it and NULL where it told nothing."""
    columns = "turn_number, agent_name, input_tokens, output_tokens, total_tokens, trace_id, model"
    assert rows(rich, columns, "responses", "orders") == [
        (1, "triage", 10, 5, 15, "trace_1", None),
        (1, "triage", 20, 6, 26, "trace_1", None),
        (2, "refunds", 40, 8, 48, "trace_1", None),
        (2, "triage", 30, 7, 37, "trace_1", None),
    ]
    assert rows(rich, columns, "responses", "opened") == [
        (1, None, None, None, None, None, None),
        (2, None, None, None, None, None, None),
    ]


def test_shared_history_is_counted_once(store: Store) -> None:
    """Sums over all responses and calls hold whatever branches share; a branch sees the share."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add([call("a", "x"), output("x")], facts("one", 10, 1))
    talk.branch("other")
    talk.add([assistant("done")], facts("one", 20, 1))
    assert store.sql("select sum(total_tokens)::bigint from responses").item() == 32
    assert store.sql("select count(*) from tool_calls").item() == 1
    assert store.sql(
        "select name, sum(total_tokens)::bigint, count(*) from branches"
        " inner join branch_items using (branch_id)"
        " inner join responses on item_id = response_id group by name order by name"
    ).rows() == [("main", 11, 1), ("other", 32, 2)]


# Branches and history ---------------------------------------------------------------------------


def test_branches(rich: Store) -> None:
    """What takes a branch's place takes its name; the one it replaces gets a number."""
    columns = "name, kind, fork_position, parent_branch_id is null, is_current"
    assert rows(rich, columns, "branches", "edited") == [
        ("main", "regenerate", 1, False, True),
        ("main~1", "root", 0, True, False),
        ("main~2", "edit", 0, False, False),
    ]
    assert rows(rich, columns, "branches", "forked") == [
        ("main", "root", 0, True, True),
        ("second try", "fork", 1, False, False),
    ]
    assert rows(rich, columns, "branches", "compacted") == [
        ("main", "compact", 0, False, True),
        ("main~1", "root", 0, True, False),
    ]


def test_branch_items(rich: Store) -> None:
    """The items of a branch in order, what it shares with its parent included."""
    found = rich.sql(
        "select branches.session_id, name, list(text order by branch_items.position) from branches"
        " inner join branch_items using (branch_id) inner join items using (item_id)"
        " where branches.session_id in ('edited', 'forked', 'compacted')"
        " group by all order by all"
    ).rows()
    assert found == [
        ("compacted", "main", ["The user counts.", "three", "3"]),
        ("compacted", "main~1", ["one", "1", "two", "count({})", "2", "2"]),
        ("edited", "main", ["2 + 2?", "4"]),
        ("edited", "main~1", ["2 + 3?", "6"]),
        ("edited", "main~2", ["2 + 2?", "5"]),
        ("forked", "main", ["Tell a joke.", "No."]),
        ("forked", "second try", ["Tell a joke.", "Knock knock."]),
    ]


def test_history(rich: Store) -> None:
    """Every change of a path is a row: from how many items to how many, in the order they came."""

    def changes(session: str) -> list[tuple[Any, ...]]:
        return rich.sql(
            "select operation, from_position, to_position from history"
            " where session_id = $session order by history_id",
            session=session,
        ).rows()

    assert changes("edited") == [
        ("append", 0, 2),
        ("pop", 2, 1),
        ("pop", 1, 0),
        ("edit", 0, 0),
        ("append", 0, 2),
        ("pop", 2, 1),
        ("regenerate", 1, 1),
        ("append", 1, 2),
    ]
    assert changes("forked") == [
        ("append", 0, 2),
        ("fork", 2, 1),
        ("append", 1, 2),
        ("switch", 2, 2),
    ]
    assert changes("compacted") == [
        ("append", 0, 2),
        ("append", 2, 6),
        ("compact", 6, 0),
        ("append", 0, 1),
        ("append", 1, 3),
    ]


def test_clear_leaves_nothing_but_the_session_and_the_clearing(store: Store) -> None:
    """What was said is gone from every relation; the session's own row and the change stay."""
    talk = store.conversation("s")
    talk.add([user("secret"), call("f", "1"), output("1"), assistant("secret")])
    talk.pop()
    talk.add([assistant("other")])
    talk.clear()
    counts = {name: store.sql(f"select count(*) from {name}").item() for name in RELATIONS}
    assert {name for name, count in counts.items() if count} == {"sessions", "branches", "history"}
    assert rows(store, "operation", "history", "s") == [("clear",)]
    assert rows(store, "name, kind", "branches", "s") == [("main", "root")]
    assert rows(store, "item_count, first_user_message", "sessions", "s") == [(0, None)]


# Edit points ------------------------------------------------------------------------------------


def test_edit_points(rich: Store) -> None:
    """One row per alternative, ranked from the first; what was there takes the others' kind."""
    assert rich.sql(
        "select session_id, kind, rank, alternative_count, position, text, is_current,"
        " is_archived from edit_points order by alternative_item_id"
    ).rows() == [
        ("edited", "edit", 1, 2, 1, "2 + 3?", False, False),
        ("edited", "edit", 2, 2, 1, "2 + 2?", True, False),
        ("edited", "regenerate", 1, 2, 2, "5", False, False),
        ("edited", "regenerate", 2, 2, 2, "4", True, False),
        ("forked", "fork", 1, 2, 2, "No.", True, False),
        ("forked", "fork", 2, 2, 2, "Knock knock.", False, False),
        ("compacted", "compact", 1, 2, 1, "one", False, True),
        ("compacted", "compact", 2, 2, 1, "The user counts.", True, False),
    ]


def test_edit_points_name_the_item_before_and_the_branch(rich: Store) -> None:
    assert rich.sql(
        "select edit_points.text, before.text, branches.name from edit_points"
        " inner join branches using (branch_id)"
        " left join items as before on item_before_id = before.item_id"
        " where edit_points.session_id = 'edited' order by alternative_item_id"
    ).rows() == [
        ("2 + 3?", None, "main~1"),
        ("2 + 2?", None, "main~2"),
        ("5", "2 + 2?", "main~2"),
        ("4", "2 + 2?", "main"),
    ]


def test_an_edit_below_a_regeneration_counts_by_itself(store: Store) -> None:
    """Kinds are those of each place: an edited question after an answer that was made again."""
    talk = store.conversation("s")
    talk.add([user("a"), assistant("1")])
    talk.pop()
    talk.add([assistant("2"), user("b")])
    talk.pop()
    talk.add([user("c")])
    assert store.sql(
        "select kind, rank, text from edit_points order by alternative_item_id"
    ).rows() == [("regenerate", 1, "1"), ("regenerate", 2, "2"), ("edit", 1, "b"), ("edit", 2, "c")]
