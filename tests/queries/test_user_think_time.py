"""user_think_time: how long people take before they ask the next question."""

from __future__ import annotations

from typing import Any

from duckstore import Store
from duckstore.telemetry import Seen, SeenOutcome
from tests.clock import Clock
from tests.samples import assistant, call, import_tree, output, user

Row = tuple[Any, ...]


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Turn numbers with their questions and times."""
    frame = store.query("user_think_time", **parameters)
    return frame.select(
        "turn_number", "question_count", "timed_count", "p50_seconds", "max_seconds"
    ).rows()


def turn(store: Store, clock: Clock, name: str, think: float) -> None:
    """Somebody thinks for so long, asks, and gets an answer after a while."""
    clock.wait(think)
    store.conversation(name).add([user("go")])
    clock.wait(1000)
    store.conversation(name).add([assistant("done")])


def test_quantiles_by_turn(clock: Clock, store: Store) -> None:
    """From the end of a run to the next question; the first question has none before it."""
    for name, think in {"a": 10, "b": 20, "c": 300, "d": 301}.items():
        turn(store, clock, name, 5)
        turn(store, clock, name, think)
    turn(store, clock, "d", 7)
    frame = store.query("user_think_time")
    assert frame.columns[-2:] == ["max_seconds", "within_share"]
    assert rows(store) == [(2, 4, 4, 160.0, 301.0), (3, 1, 1, 7.0, 7.0)]
    assert frame["p95_seconds"].round(6).to_list() == [300.85, 7.0]
    assert frame["within_share"].to_list() == [0.75, 1.0]
    shorter = store.query("user_think_time", within_seconds=15)
    assert shorter["within_share"].to_list() == [0.25, 1.0]


def test_only_the_end_counts(clock: Clock, store: Store) -> None:
    """Steps within a run are nobody's thinking; a question without an answer ends its run."""
    talk = store.conversation("s")
    talk.add([user("one")])
    clock.wait(50)
    talk.add([call("look", "c")])
    clock.wait(50)
    talk.add([output("c"), assistant("1")])
    clock.wait(3)
    talk.add([user("two")])
    clock.wait(4)
    talk.add([user("three")])
    assert rows(store) == [(2, 1, 1, 3.0, 3.0), (3, 1, 1, 4.0, 4.0)]


def test_the_runner_ends_after_the_last_item(clock: Clock, store: Store) -> None:
    """Where its end is known, it is that: nobody thinks while the agent still tries."""
    talk = store.conversation("s")
    talk.add([user("one")])
    clock.wait(1)
    now = clock.microseconds + 1  # as a batch gets it
    outcome = SeenOutcome("error", "ValueError", None, now, now + 60_000_000)
    talk.add([call("look", "c"), output("c")], Seen(outcome=outcome))
    clock.wait(65)
    talk.add([user("two")])
    assert rows(store) == [(2, 1, 1, 5.0, 5.0)]


def test_an_edit_is_not_timed(clock: Clock, store: Store) -> None:
    """What is said for the second time after the same answer was not thought of since then."""
    turn(store, clock, "s", 5)
    turn(store, clock, "s", 6)
    store.conversation("s").rewind(2)
    clock.wait(1000)
    turn(store, clock, "s", 7)
    turn(store, clock, "s", 8)
    assert rows(store) == [(3, 1, 1, 8.0, 8.0)]
    assert rows(store, include_superseded=True) == [(2, 1, 1, 6.0, 6.0), (3, 1, 1, 8.0, 8.0)]


def test_an_answer_generated_again(clock: Clock, store: Store) -> None:
    """The next question follows the answer that is on its own path."""
    turn(store, clock, "s", 5)
    turn(store, clock, "s", 6)
    talk = store.conversation("s")
    for _ in range(3):
        talk.pop()
    clock.wait(100)
    talk.add([assistant("better")])
    turn(store, clock, "s", 9)
    assert rows(store) == [(2, 1, 1, 9.0, 9.0)]
    assert rows(store, include_superseded=True) == [(2, 2, 2, 7.5, 9.0)]


def test_a_branch_from_the_middle_of_a_run(clock: Clock, store: Store) -> None:
    """The run before ended, on that path, where the branch began."""
    talk = store.conversation("s")
    talk.add([user("one")])
    talk.add([call("look", "c"), output("c")])
    clock.wait(10)
    now = clock.microseconds + 1  # as a batch gets it
    outcome = SeenOutcome("completed", started_us=now, ended_us=now + 5_000_000)
    talk.add([assistant("1")], Seen(outcome=outcome))
    clock.wait(20)
    talk.branch("other", at={"position": 3})
    talk.add([user("stop")])
    assert rows(store) == [(2, 1, 1, 30.0, 30.0)]


def test_a_compaction_between(clock: Clock, store: Store) -> None:
    """It is no part of the run before: the time goes from the answer."""
    turn(store, clock, "s", 5)
    clock.wait(10)
    store.conversation("s").replace_all([user("Summary.")])
    turn(store, clock, "s", 20)
    assert rows(store) == [(2, 1, 1, 30.0, 30.0)]


def test_what_was_stored_at_one_moment_is_not_timed(store: Store) -> None:
    """Neither an import nor one batch says when anything was asked."""
    items = [user("one"), assistant("1"), user("two")]
    store.conversation("a").add(items)
    import_tree(store, "b", items, [-1, 0, 1])
    assert rows(store) == [(2, 2, 0, None, None)]
    assert store.query("user_think_time")["within_share"].to_list() == [None]


def test_a_forked_session(clock: Clock, store: Store) -> None:
    """What it was forked with was said to somebody else."""
    turn(store, clock, "a", 5)
    clock.wait(10)
    store.conversation("a").fork("b")
    turn(store, clock, "b", 5)
    assert rows(store) == []
    turn(store, clock, "b", 6)
    assert rows(store) == [(3, 1, 1, 6.0, 6.0)]


def test_a_conversation_opened_by_the_assistant(clock: Clock, store: Store) -> None:
    """The first question follows what the assistant said."""
    store.conversation("s").add([assistant("Hello.")])
    clock.wait(12)
    store.conversation("s").add([user("Hi.")])
    assert rows(store) == [(2, 1, 1, 12.0, 12.0)]


def test_parameters(clock: Clock, store: Store) -> None:
    """since includes a question of that moment, until leaves it out."""
    for name in ("a", "b"):
        for think in (5, 6, 7):
            turn(store, clock, name, think)
    pairs = store.query("turn_pairs", session_id="b")
    second, third = pairs["created_at"].to_list()[1:]
    assert rows(store) == [(2, 2, 2, 6.0, 6.0), (3, 2, 2, 7.0, 7.0)]
    assert rows(store, row_limit=1) == [(2, 2, 2, 6.0, 6.0)]
    assert rows(store, session_id="b") == [(2, 1, 1, 6.0, 6.0), (3, 1, 1, 7.0, 7.0)]
    assert rows(store, since=second) == rows(store, session_id="b")
    assert rows(store, since=third) == [(3, 1, 1, 7.0, 7.0)]
    assert rows(store, since=second, until=third) == [(2, 1, 1, 6.0, 6.0)]
    assert rows(store, session_id="no such session") == []


SAMPLES: dict[str, list[Any]] = {"within_seconds": [0, 300.0, "60"]}
