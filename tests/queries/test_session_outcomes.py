"""session_outcomes: how sessions ended."""

from __future__ import annotations

from typing import Any

import pytest

from duckstore import Store
from duckstore.telemetry import Seen, SeenOutcome
from tests.clock import Clock
from tests.rich import FAILED
from tests.samples import assistant, call, output, user

SAMPLES: dict[str, list[Any]] = {"user_id": ["ada", "nobody", None]}


def rows(store: Store, **parameters: Any) -> list[tuple[Any, ...]]:
    """Status; sessions and their share; median runs and seconds; with tool errors, with edits."""
    frame = store.query("session_outcomes", **parameters)
    return frame.select(
        "last_status",
        "session_count",
        "session_share",
        "p50_run_count",
        "p50_run_seconds",
        "tool_error_session_count",
        "edited_session_count",
    ).rows()


def several(store: Store, clock: Clock) -> None:
    """Three sessions that were answered, with calls that are pending, and one that failed."""
    for name, waits in (("a", (1, 2)), ("b", (4,)), ("c", (6, 10, 20))):
        talk = store.conversation(name)
        for seconds in waits:
            clock.wait(60)
            talk.add([user("go")])
            clock.wait(seconds)
            talk.add([call("wait", "1"), assistant("done")])
    clock.wait(60)
    talk = store.conversation("d")
    talk.add([user("go")])
    clock.wait(5)
    seen = Seen(outcome=SeenOutcome("error", error_type="Timeout"))
    talk.add([call("find", "1"), output("1", FAILED)], seen)


def test_sessions_by_the_status_of_their_last_run(store: Store, clock: Clock) -> None:
    """The most frequent first; a session counts its runs and their seconds together."""
    several(store, clock)
    assert rows(store) == [
        ("completed", 3, 0.75, 2.0, 4.0, 0, 0),
        ("error", 1, 0.25, 1.0, 5.0, 1, 0),
    ]
    frame = store.query("session_outcomes")
    assert frame["tool_error_session_share"].to_list() == [0.0, 1.0]
    assert frame["edited_session_share"].to_list() == [0.0, 0.0]


def test_a_run_that_was_left_is_not_the_last(store: Store, clock: Clock) -> None:
    """Its seconds and errors count only when asked for; that there was an edit always does."""
    talk = store.conversation("s")
    talk.add([user("one")])
    clock.wait(1)
    talk.add([assistant("1")])
    talk.add([user("two")])
    clock.wait(8)
    talk.add([call("find", "1"), output("1", FAILED)])
    assert rows(store) == [("interrupted", 1, 1.0, 2.0, pytest.approx(9.0), 1, 0)]
    talk.edit(2, "zwei")
    clock.wait(2)
    talk.add([assistant("2")])
    assert rows(store) == [("completed", 1, 1.0, 2.0, pytest.approx(3.0), 0, 1)]
    assert rows(store, include_superseded=True) == [
        ("completed", 1, 1.0, 3.0, pytest.approx(11.0), 1, 1)
    ]
    talk.rewind(2)
    talk.add([user("drei")])
    assert rows(store)[0][:4] == ("unanswered", 1, 1.0, 2.0)


def test_a_failed_call_before_an_answer_generated_again_is_on_the_path(store: Store) -> None:
    """It belongs to a run of which the rest was replaced."""
    talk = store.conversation("s")
    talk.add([user("go"), call("find", "1"), output("1", FAILED), assistant("no")])
    talk.pop()
    talk.add([assistant("yes")])
    assert rows(store) == [("completed", 1, 1.0, 1.0, 0.0, 1, 1)]


def test_a_session_without_runs_has_no_status(store: Store) -> None:
    """Nor has one all of whose runs were popped."""
    store.update_session("empty", title="Nothing yet")
    assert rows(store) == [(None, 1, 1.0, 0.0, None, 0, 0)]
    talk = store.conversation("popped")
    talk.add([user("go")])
    talk.pop()
    store.conversation("s").add([user("go"), assistant("done")])
    assert rows(store) == [
        (None, 2, pytest.approx(2 / 3), 0.0, None, 0, 0),
        ("completed", 1, pytest.approx(1 / 3), 1.0, 0.0, 0, 0),
    ]


def test_branches_and_compactions_are_no_edits(store: Store) -> None:
    """What a compaction archived was run all the same."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    talk.add([user("two"), assistant("2")])
    talk.branch("other", at={"position": 2})
    talk.replace_all([user("Summary.")])
    talk.add([user("three"), assistant("3")])
    assert rows(store) == [("completed", 1, 1.0, 2.0, 0.0, 0, 0)]


def test_only_some(store: Store, clock: Clock) -> None:
    """A session counts at the moment of its last change; shares are those of what is chosen."""
    several(store, clock)
    store.update_session("a", user_id="ada")
    last = store.query("session_summary", session_id="d")["updated_at"][0]
    assert [row[:3] for row in rows(store, since=last)] == [("error", 1, 1.0)]
    assert [row[:3] for row in rows(store, until=last)] == [("completed", 3, 1.0)]
    assert rows(store, session_id="a") == [("completed", 1, 1.0, 2.0, 3.0, 0, 0)]
    assert rows(store, user_id="ada") == [("completed", 1, 1.0, 2.0, 3.0, 0, 0)]
    assert [row[:3] for row in rows(store, row_limit=1)] == [("completed", 3, 0.75)]
    assert rows(store, user_id="nobody") == []
