"""unanswered_turns: which questions got no answer, and what came after them."""

from __future__ import annotations

from typing import Any

from duckstore import Store
from duckstore.telemetry import Seen, SeenOutcome
from tests.clock import Clock
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]


def rows(store: Store, **parameters: Any) -> list[Row]:
    """The questions, what became of them and what came next."""
    frame = store.query("unanswered_turns", **parameters)
    return frame.select(
        "session_id", "turn_number", "status", "user_message", "is_last", "next_status"
    ).rows()


def test_every_way_to_have_no_answer(clock: Clock, store: Store) -> None:
    """A question to which nothing came, one that stopped on its way, one that failed."""
    talk = store.conversation("s")
    talk.add([user("one")])
    clock.wait(10)
    talk.add([user("two")])
    clock.wait(1)
    talk.add([assistant("Let me see."), call("look", "c")])
    clock.wait(20)
    talk.add([user("three")])
    clock.wait(1)
    failed = Seen(outcome=SeenOutcome("guardrail", "OutputGuardrailTripwireTriggered", "no"))
    talk.add([call("find", "d"), output("d")], failed)
    clock.wait(30)
    talk.add([user("four"), assistant("4")])
    frame = store.query("unanswered_turns").sort("turn_number")
    assert frame.select(
        "turn_number", "status", "outcome", "error", "assistant_message", "tool_names"
    ).rows() == [
        (1, "unanswered", None, None, None, []),
        (2, "interrupted", None, None, "Let me see.", ["look"]),
        (3, "error", "guardrail", "no", None, ["find"]),
    ]
    assert frame.select("is_last", "next_status", "silence_seconds").rows() == [
        (False, "interrupted", 10.0),
        (False, "error", 20.0),
        (False, "completed", 30.0),
    ]
    runs = store.query("turn_pairs")["run_id"].to_list()
    assert frame["next_run_id"].to_list() == runs[1:]
    assert store.query("unanswered_turns")["turn_number"].to_list() == [3, 2, 1]


def test_where_the_conversation_ended(clock: Clock, store: Store) -> None:
    """Silence goes on to the last item of the store, whichever session it is in."""
    store.conversation("a").add([user("hello?")])
    clock.wait(100)
    store.conversation("b").add([user("hi")])
    clock.wait(5)
    store.conversation("b").add([assistant("hello")])
    frame = store.query("unanswered_turns")
    assert frame.select("session_id", "is_last", "next_run_id", "silence_seconds").rows() == [
        ("a", True, None, 105.0)
    ]
    alone = store.query("unanswered_turns", session_id="a")
    assert alone["silence_seconds"].to_list() == [105.0]


def test_the_last_item_of_the_store(store: Store) -> None:
    store.conversation("a").add([user("hello?")])
    assert store.query("unanswered_turns")["silence_seconds"].to_list() == [0.0]


def test_only_the_current_path(store: Store) -> None:
    """A replaced question is not waiting; nor is one whose answer was generated again."""
    talk = store.conversation("s")
    talk.add([user("old")])
    talk.pop()
    talk.add([user("new"), call("look", "c"), output("c"), assistant("1")])
    talk.pop()
    assert rows(store) == [("s", 1, "interrupted", "new", True, None)]
    talk.add([assistant("2")])
    assert rows(store) == []
    talk.pop()
    talk.add([call("look", "d")])
    assert rows(store) == [("s", 1, "interrupted", "new", True, None)]


def test_the_next_question_is_that_of_the_path(store: Store) -> None:
    """What followed on a branch that was left did not come next."""
    talk = store.conversation("s")
    talk.add([user("one")])
    talk.add([user("two"), assistant("2")])
    talk.rewind(2)
    assert rows(store) == [("s", 1, "unanswered", "one", True, None)]
    talk.add([user("another")])
    assert rows(store) == [
        ("s", 1, "unanswered", "one", False, "unanswered"),
        ("s", 2, "unanswered", "another", True, None),
    ]


def test_a_compaction_answers_nothing(store: Store) -> None:
    """Archived questions are still without an answer, and the summary is no question."""
    talk = store.conversation("s")
    talk.add([user("one")])
    talk.add([user("two"), assistant("2")])
    talk.replace_all([user("Summary.")])
    talk.add([user("three"), assistant("3")])
    assert rows(store) == [("s", 1, "unanswered", "one", False, "completed")]


def test_parameters(clock: Clock, store: Store) -> None:
    """What is left out by time is still what came next; the longest silence comes first."""
    talk = store.conversation("s")
    for word in ("one", "two", "three"):
        talk.add([user(word)])
        clock.wait(10)
    clock.wait(100)
    store.conversation("t").add([user("four")])
    frame = store.query("unanswered_turns")
    assert frame["user_message"].to_list() == ["three", "one", "two", "four"]
    assert frame["silence_seconds"].to_list() == [110.0, 10.0, 10.0, 0.0]
    two, three = frame.sort("created_at")["created_at"].to_list()[1:3]
    one_row = ("s", 1, "unanswered", "one", False, "unanswered")
    two_row = ("s", 2, "unanswered", "two", False, "unanswered")
    three_row = ("s", 3, "unanswered", "three", True, None)
    assert rows(store, until=two) == [one_row]
    assert rows(store, since=two, until=three) == [two_row]
    assert rows(store, since=two, session_id="s") == [three_row, two_row]
    assert rows(store, row_limit=2) == [three_row, one_row]
    assert rows(store, session_id="no such session") == []
