"""turn_duration: how long turns take, and how much of that is waiting."""

from __future__ import annotations

from typing import Any

import pytest

from duckstore import Store
from duckstore.telemetry import Seen, SeenOutcome
from tests.clock import Clock
from tests.samples import assistant, call, import_tree, output, user

Row = tuple[Any, ...]


def rows(store: Store, **parameters: Any) -> list[Row]:
    """The statuses with their runs and durations."""
    frame = store.query("turn_duration", **parameters)
    return frame.select(
        "status",
        "run_count",
        "timed_count",
        "p50_duration_seconds",
        "p95_duration_seconds",
        "max_duration_seconds",
    ).rows()


def turn(store: Store, clock: Clock, name: str, seconds: float) -> None:
    """One turn that takes so long."""
    store.conversation(name).add([user("go")])
    clock.wait(seconds)
    store.conversation(name).add([assistant("done")])
    clock.wait(1000)


def ended(clock: Clock, outcome: str, seconds: float) -> Seen:
    """The Runner ends now, after so many seconds of work."""
    now = clock.microseconds + 1  # as a batch gets it
    return Seen(outcome=SeenOutcome(outcome, None, None, now - round(seconds * 1_000_000), now))


def test_quantiles_by_status(clock: Clock, store: Store) -> None:
    """The statuses with the most runs first, each with the seconds from first item to last."""
    for seconds in (1, 2, 3, 4, 105):
        turn(store, clock, f"s{seconds}", seconds)
    waiting = store.conversation("waiting")
    waiting.add([user("go")])
    clock.wait(7)
    waiting.add([call("look", "c")])
    store.conversation("lost").add([user("hello?")])
    assert rows(store) == [
        ("completed", 5, 5, 3.0, pytest.approx(84.8), 105.0),
        ("interrupted", 1, 1, 7.0, 7.0, 7.0),
        ("unanswered", 1, 0, None, None, None),
    ]


def test_what_was_stored_at_one_moment_is_not_timed(clock: Clock, store: Store) -> None:
    """An import or a single batch says nothing of time, and zero would be a guess."""
    store.conversation("batch").add([user("go"), assistant("done")])
    import_tree(store, "imported", [user("go"), assistant("done")], [-1, 0])
    assert rows(store) == [("completed", 2, 0, None, None, None)]
    clock.wait(1)
    turn(store, clock, "s", 5)
    assert rows(store) == [("completed", 3, 1, 5.0, 5.0, 5.0)]


def test_a_turn_that_waited(clock: Clock, store: Store) -> None:
    """Working time is the Runner's own; the rest of the duration is waiting."""
    talk = store.conversation("s")
    talk.add([user("Delete it.")])
    clock.wait(2)
    talk.add([call("delete", "c")], ended(clock, "interrupted", 2))
    clock.wait(95)
    talk.add([output("c")])
    clock.wait(3)
    talk.add([assistant("Gone.")], ended(clock, "completed", 3))
    turn(store, clock, "nobody watched", 50)
    frame = store.query("turn_duration")
    assert frame.select(
        "run_count",
        "max_duration_seconds",
        "working_known_count",
        "p50_working_seconds",
        "p95_working_seconds",
        "max_working_seconds",
    ).rows() == [(2, 100.0, 1, 5.0, 5.0, 5.0)]
    assert frame["waiting_share"].to_list() == [0.95]


def test_nobody_watched(clock: Clock, store: Store) -> None:
    """Without working times there is no share of waiting, rather than 0."""
    turn(store, clock, "s", 5)
    frame = store.query("turn_duration")
    assert frame.select("working_known_count", "p50_working_seconds", "waiting_share").rows() == [
        (0, None, None)
    ]


def test_an_error_ends_when_the_runner_ended(clock: Clock, store: Store) -> None:
    """The duration goes on to the Runner's end, which comes after the last item."""
    talk = store.conversation("s")
    talk.add([user("go")])
    clock.wait(4)
    talk.add([call("look", "c"), output("c")])
    clock.wait(1)
    now = clock.microseconds + 1  # as a batch gets it
    outcome = SeenOutcome("error", "ValueError", "no", now - 5_000_000, now + 5_000_000)
    talk.add([call("look", "d"), output("d")], Seen(outcome=outcome))
    assert rows(store) == [("error", 1, 1, 10.0, 10.0, 10.0)]


def test_superseded_runs(clock: Clock, store: Store) -> None:
    """They are a status of their own, and only when asked for."""
    turn(store, clock, "s", 5)
    store.conversation("s").pop()
    store.conversation("s").pop()
    clock.wait(1)
    turn(store, clock, "s", 9)
    assert rows(store) == [("completed", 1, 1, 9.0, 9.0, 9.0)]
    assert rows(store, include_superseded=True) == [
        ("completed", 1, 1, 9.0, 9.0, 9.0),
        ("superseded", 1, 1, 5.0, 5.0, 5.0),
    ]


def test_parameters(clock: Clock, store: Store) -> None:
    """since includes a run that began at that moment, until leaves it out."""
    turn(store, clock, "a", 1)
    turn(store, clock, "b", 2)
    begins = store.query("turn_pairs", session_id="b")["created_at"][0]
    store.conversation("c").add([user("go")])
    assert [row[:2] for row in rows(store)] == [("completed", 2), ("unanswered", 1)]
    assert [row[:2] for row in rows(store, row_limit=1)] == [("completed", 2)]
    assert rows(store, session_id="b") == [("completed", 1, 1, 2.0, 2.0, 2.0)]
    assert rows(store, until=begins) == [("completed", 1, 1, 1.0, 1.0, 1.0)]
    assert rows(store, since=begins, session_id="b") == rows(store, session_id="b")
    assert rows(store, since=begins, session_id="a") == []
