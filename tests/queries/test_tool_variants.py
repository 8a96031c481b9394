"""tool_variants: the ways that runs go through the tools."""

from __future__ import annotations

from typing import Any

import pytest

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall
from tests.clock import Clock
from tests.rich import FAILED, facts
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]

SAMPLES: dict[str, list[Any]] = {
    "collapse_repetitions": [True, False, "true"],
    "max_path_length": [0, 2, "1", None],
}


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Each path, and how many runs took it."""
    return store.query("tool_variants", **parameters).select("tool_names", "run_count").rows()


def go(store: Store, session_id: str, *tools: str, failed: str = "", answer: bool = True) -> None:
    """One run that calls the tools one by one."""
    talk = store.conversation(session_id)
    talk.add([user("go")])
    for number, tool in enumerate(tools):
        talk.add(
            [call(tool, str(number)), output(str(number), FAILED if tool == failed else "done")]
        )
    if answer:
        talk.add([assistant("done")])


def test_whole_paths(store: Store) -> None:
    """The order of the tools counts; runs without tools are the empty variant."""
    go(store, "a", "find", "sort")
    go(store, "a", "find", "sort", failed="find")
    go(store, "b", "find", "sort")
    go(store, "b", "sort", "find", answer=False)
    go(store, "b")
    frame = store.query("tool_variants")
    columns = (
        *("tool_names", "path_length", "run_count", "session_count", "run_share"),
        *("cumulative_share", "tool_error_share", "completed_share"),
    )
    assert frame.select(columns).rows() == [
        (["find", "sort"], 2, 3, 2, 0.6, 0.6, pytest.approx(1 / 3), 1.0),
        (["sort", "find"], 2, 1, 1, 0.2, 0.8, 0.0, 0.0),
        ([], 0, 1, 1, 0.2, 1.0, 0.0, 1.0),
    ]
    runs = store.sql("select id, session_id from runs order by id").rows()
    examples = frame.select("example_run_id", "example_session_id").rows()
    assert examples == [runs[0], runs[3], runs[4]]


def test_calls_of_one_response_stand_in_its_order(store: Store) -> None:
    """Also those without an output, and whatever the order of the outputs."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add([call("b", "1"), call("a", "2"), call("c", "3"), output("2"), output("1")])
    assert rows(store) == [(["b", "a", "c"], 1)]


def test_a_repeated_call_id_is_two_steps(store: Store) -> None:
    store.conversation("s").add(
        [user("go"), call("a", "x"), output("x"), call("b", "x"), output("x"), output("nobody")]
    )
    assert rows(store) == [(["a", "b"], 1)]


def test_an_answer_generated_again_keeps_the_tools_before_it(store: Store) -> None:
    """The run that goes on from the middle of another went the whole way."""
    talk = store.conversation("s")
    talk.add([user("go"), call("find", "1"), output("1"), call("sort", "2"), output("2")])
    for _ in range(2):
        talk.pop()
    talk.add([call("count", "3"), output("3"), assistant("a")])
    assert rows(store) == [(["find", "count"], 1)]
    assert rows(store, include_superseded=True) == [
        (["find", "sort"], 1),
        (["find", "count"], 1),
    ]


def test_a_compaction_inside_a_run_cuts_no_path(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("go"), call("find", "1"), output("1")])
    talk.replace_all([user("Summary: found."), call("find", "1"), output("1")])
    talk.add([call("sort", "2"), output("2"), assistant("done")])
    assert rows(store) == [(["find", "sort"], 1)]


def test_an_edit_leaves_the_old_path(store: Store) -> None:
    """A superseded run counts when asked for, and never joins the one that replaced it."""
    go(store, "s", "find")
    for _ in range(4):
        store.conversation("s").pop()
    go(store, "s", "sort")
    assert rows(store) == [(["sort"], 1)]
    assert rows(store, include_superseded=True) == [(["find"], 1), (["sort"], 1)]


def test_calls_inside_a_tool_are_left_out(store: Store) -> None:
    """What an agent that is a tool calls is no step of the run; a call that no item has is."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add(
        [call("ask", "a"), output("a")],
        Seen(
            calls=[
                SeenCall("a", is_item=True, started_us=0, ended_us=2),
                SeenCall("b", "inner", parent=0, started_us=0, ended_us=1),
                SeenCall("c", "lost", started_us=3, error="gone"),
            ]
        ),
    )
    assert store.sql("select tool_name from tool_calls order by id")["tool_name"].to_list() == [
        "ask",
        "inner",
        "lost",
    ]
    assert rows(store) == [(["ask", "lost"], 1)]


def test_repetitions_and_long_paths(store: Store) -> None:
    """Repetitions are taken out first, then the path is cut."""
    go(store, "s", "a", "a", "a", "b", "a")
    go(store, "s", "a", "b", "b", "c")
    go(store, "s")
    assert rows(store, collapse_repetitions=True) == [
        (["a", "b", "a"], 1),
        (["a", "b", "c"], 1),
        ([], 1),
    ]
    assert rows(store, max_path_length=1) == [(["a"], 2), ([], 1)]
    assert rows(store, max_path_length=2) == [(["a", "a"], 1), (["a", "b"], 1), ([], 1)]
    assert rows(store, max_path_length=2, collapse_repetitions=True) == [(["a", "b"], 2), ([], 1)]
    assert rows(store, max_path_length=0) == [([], 3)]


def test_seconds_and_tokens(store: Store, clock: Clock) -> None:
    """Medians over the runs, NULL where nobody told."""
    for seconds, tokens in ((1, 10), (3, 20), (9, 90)):
        talk = store.conversation("s")
        talk.add([user("go")])
        clock.wait(seconds)
        talk.add([call("find", "1"), output("1")], facts("Desk", tokens, 0))
    store.conversation("t").add([user("go")])
    frame = store.query("tool_variants").select("tool_names", "p50_seconds", "p50_tokens")
    assert frame.rows() == [
        (["find"], pytest.approx(3.0, abs=1e-3), 20.0),
        ([], 0.0, None),
    ]


def test_only_some(store: Store) -> None:
    """A tool picks variants and leaves their shares; sessions and times pick runs."""
    go(store, "a", "find")
    go(store, "a", "find")
    go(store, "b", "sort", "find")
    go(store, "b", "sort")
    go(store, "b", "find", "sort")
    go(store, "b")
    times = store.sql("select created_at from runs order by id")["created_at"].to_list()
    moment, end = times[1], times[5]
    frame = store.query("tool_variants", tool_name="sort")
    assert frame.select("tool_names", "run_share", "cumulative_share").rows() == [
        (["sort", "find"], pytest.approx(1 / 6), pytest.approx(3 / 6)),
        (["sort"], pytest.approx(1 / 6), pytest.approx(4 / 6)),
        (["find", "sort"], pytest.approx(1 / 6), pytest.approx(5 / 6)),
    ]
    assert rows(store, session_id="a") == [(["find"], 2)]
    assert rows(store, since=end) == [([], 1)]
    assert rows(store, until=moment) == [(["find"], 1)]
    assert rows(store, since=moment, until=end) == [
        (["find"], 1),
        (["sort", "find"], 1),
        (["sort"], 1),
        (["find", "sort"], 1),
    ]
    assert rows(store, row_limit=1) == [(["find"], 2)]
