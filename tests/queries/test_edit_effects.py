"""edit_effects: what an edit or another try changed."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from duckstore import Store
from duckstore.telemetry import Seen, SeenCall, SeenOutcome, SeenResponse
from duckstore.usage import Usage
from tests.clock import Clock
from tests.rich import FAILED, reasoning
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]


def fill(store: Store) -> None:
    """A question that is edited twice, and its last answer is generated again."""
    talk = store.conversation("edit_effects")
    talk.add([user("one"), call("find", "1"), output("1"), assistant("1")])
    talk.edit(1, "two")
    talk.add([call("sort", "1"), output("1", FAILED), assistant("2")])
    talk.edit(1, "three")
    talk.add([assistant("3")])
    talk.regenerate()
    talk.add([call("find", "1"), output("1"), assistant("4")])


def used(tokens: int, elapsed_us: int | None = None, **more: Any) -> Seen:
    """What is known of a model call."""
    usage = Usage(1, tokens, 0, 0, 0, 0, tokens)
    return Seen(response=SeenResponse(usage=usage, elapsed_us=elapsed_us), **more)


def sides(store: Store, *columns: str, **parameters: Any) -> list[Row]:
    """Columns as they were before and after."""
    frame = store.query("edit_effects", **parameters)
    names = [f"{side}_{column}" for column in columns for side in ("before", "after")]
    return frame.select(names).rows()


def test_edits_and_regenerations(store: Store) -> None:
    """Each alternative stands beside the one before it, with the run that either led to."""
    fill(store)
    frame = store.query("edit_effects")
    assert frame.select("turn_number", "kind", "rank", "is_current").rows() == [
        (1, "edit", 2, False),
        (1, "edit", 3, True),
        (1, "regenerate", 2, True),
    ]
    assert sides(store, "answer", "tool_names", "tool_error_count") == [
        ("1", "2", ["find"], ["sort"], 0, 1),
        ("2", "3", ["sort"], [], 1, 0),
        ("3", "4", [], ["find"], 0, 0),
    ]
    assert sides(store, "status") == [("completed", "completed")] * 3
    ids = sides(store, "run_id")
    assert ids[0][1] == ids[1][0]
    assert ids[1][1] == ids[2][0]
    runs = store.sql("select id, assistant_message from runs").rows()
    assert [dict(runs)[run_id] for run_id in ids[2]] == ["3", "4"]


def test_a_regeneration_in_the_middle_of_a_run(store: Store) -> None:
    """What came before it belongs to both, and so to neither side."""
    talk = store.conversation("s")
    talk.add([user("Weather?")])
    talk.add([call("look", "1"), output("1", FAILED)], used(100))
    talk.add([call("look", "2"), output("2", "wet")], used(20))
    talk.add([assistant("Rain.")], used(3))
    for _ in range(3):
        talk.pop()
    talk.add([call("ask", "3"), output("3", "dry")], used(7000))
    assert sides(store, "answer", "tool_names", "tool_error_count", "total_tokens") == [
        ("Rain.", None, ["look"], ["ask"], 0, 0, 23, 7000)
    ]
    assert sides(store, "status") == [("completed", "interrupted")]


def test_words_from_before_another_try_are_no_answer_of_it(store: Store) -> None:
    """Nor is a message without words."""
    talk = store.conversation("s")
    talk.add([user("go"), assistant("Let me see."), call("find", "1"), output("1")])
    talk.pop()
    talk.pop()
    talk.add([assistant("Done."), {"role": "assistant", "content": ""}])
    assert sides(store, "answer", "tool_names") == [(None, "Done.", ["find"], [])]


def test_an_answer_after_its_reasoning_has_the_tokens_of_both(store: Store) -> None:
    """An alternative within a response: the model call is that of all of it."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add([reasoning("Hm."), assistant("a")], used(10))
    talk.pop()
    talk.add([assistant("b")], used(2000))
    assert sides(store, "answer", "total_tokens") == [("a", "b", 10, 2000)]


def test_what_later_tries_began_from_does_not_count(store: Store) -> None:
    """A try that was itself begun over in its middle is what it was before that."""
    talk = store.conversation("s")
    talk.add([user("go"), assistant("a")])
    talk.regenerate()
    talk.add([call("find", "1"), output("1"), assistant("b")])
    talk.pop()
    talk.add([call("sort", "1"), output("1"), assistant("c")])
    assert sides(store, "answer", "tool_names") == [
        ("a", "b", [], ["find"]),
        ("b", "c", [], ["sort"]),
    ]


def test_status(store: Store) -> None:
    """How each run ended, though all but the last are superseded."""
    talk = store.conversation("s")
    talk.add([user("one")])
    talk.edit(1, "two")
    talk.add([assistant("Let me see."), call("find", "1")])
    talk.edit(1, "three")
    talk.add([call("find", "1"), output("1")], Seen(outcome=SeenOutcome("max_turns")))
    talk.edit(1, "four")
    talk.add([assistant("4")], Seen(outcome=SeenOutcome("cancelled")))
    talk.edit(1, "five")
    talk.add([assistant("5")], Seen(outcome=SeenOutcome("completed")))
    statuses = ["unanswered", "interrupted", "error", "interrupted", "completed"]
    assert sides(store, "status") == list(pairwise(statuses))
    assert sides(store, "answer")[:2] == [(None, "Let me see."), ("Let me see.", None)]


def test_an_output_after_the_last_words(store: Store) -> None:
    """The agent had not read it: its words are no end."""
    talk = store.conversation("s")
    talk.add([user("one"), call("find", "1"), assistant("Soon."), output("1")])
    talk.edit(1, "two")
    talk.add([call("find", "1"), assistant("Soon.")])
    assert sides(store, "status") == [("interrupted", "completed")]


def test_a_run_that_went_on(store: Store) -> None:
    """How it ended is not what was said of it before more came."""
    talk = store.conversation("s")
    talk.add([user("one")])
    talk.add([call("find", "1")], Seen(outcome=SeenOutcome("interrupted")))
    talk.edit(1, "two")
    talk.add([call("find", "1")], Seen(outcome=SeenOutcome("interrupted")))
    talk.add([output("1"), assistant("2")])
    assert sides(store, "status") == [("interrupted", "completed")]


def test_seconds(clock: Clock, store: Store) -> None:
    """From the question to the end; of an answer, the time that its model took comes before it."""
    talk = store.conversation("s")
    talk.add([user("one")])
    clock.wait(2)
    talk.add([assistant("1")], used(1, 1_500_000))
    clock.wait(100)
    talk.regenerate()
    clock.wait(3)
    talk.add([call("find", "1"), output("1")], used(1, 2_000_000))
    clock.wait(4)
    talk.add([assistant("2")], used(1, 4_000_000))
    clock.wait(100)
    talk.edit(1, "two")
    clock.wait(5)
    end_us = clock.microseconds + 2_000_000
    talk.add([assistant("3")], Seen(outcome=SeenOutcome("completed", ended_us=end_us)))
    assert sides(store, "seconds", kind="edit") == [(pytest.approx(2), pytest.approx(7))]
    assert sides(store, "seconds", kind="regenerate") == [(1.5, pytest.approx(6))]


def test_what_is_not_known_is_null(clock: Clock, store: Store) -> None:
    """No usage, no time of an answer, none of a question that nobody answered."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    talk.regenerate()
    clock.wait(3)
    talk.add([assistant("2")])
    talk.edit(1, "two")
    assert sides(store, "total_tokens") == [(None, None)] * 2
    assert sides(store, "seconds", kind="regenerate") == [(None, None)]
    assert [after for _, after in sides(store, "seconds", kind="edit")] == [None]
    talk.add([], Seen())
    assert sides(store, "status", kind="edit") == [("completed", "unanswered")]


def test_tools_of_an_agent_that_is_a_tool(store: Store) -> None:
    """Its calls and tokens are the run's too, where the call that it ran in is."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    talk.edit(1, "two")
    seen = used(
        1000,
        calls=[
            SeenCall("1", started_us=0, ended_us=1, is_item=True),
            SeenCall("x", tool_name="inner", started_us=0, ended_us=1, parent=0),
        ],
        responses=[SeenResponse(usage=Usage(1, 30, 0, 0, 0, 0, 30), parent=0)],
    )
    talk.add([call("ask", "1"), output("1")], seen)
    talk.add([assistant("2")], used(4))
    assert sides(store, "tool_names", "total_tokens") == [([], ["ask", "inner"], None, 1034)]
    talk.pop()
    talk.add([assistant("3")], used(5))
    assert sides(store, "tool_names", "total_tokens", kind="regenerate") == [([], [], 4, 5)]


def test_a_question_in_the_place_of_an_answer_is_not_compared(store: Store) -> None:
    """It is with the question that stood there before it."""
    talk = store.conversation("s")
    talk.add([user("go"), assistant("a")])
    talk.pop()
    talk.add([user("first"), assistant("1")])
    assert sides(store, "answer") == []
    talk.pop()
    talk.pop()
    talk.add([assistant("b")])
    talk.pop()
    talk.add([user("second"), assistant("2")])
    assert sides(store, "answer") == [("a", "b"), ("1", "2")]


def test_forks_only_when_asked_for_and_compactions_never(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    talk.branch("other", at={"position": 1})
    talk.add([assistant("2")])
    talk.replace_all([user("Summary.")])
    talk.add([assistant("3")])
    assert sides(store, "answer") == []
    assert sides(store, "answer", kind="fork") == [("1", "2")]
    assert sides(store, "answer", kind="compact") == []


def test_what_was_copied_from_another_session_is_not_known(store: Store) -> None:
    """The run was the other session's; what was put in its place is one of this."""
    talk = store.conversation("s")
    talk.add([user("one"), call("find", "1"), output("1"), assistant("1")])
    copy = talk.fork("t")
    copy.edit(1, "two")
    copy.add([assistant("2")])
    assert sides(store, "answer", "status", "tool_names", "tool_error_count") == [
        (None, "2", None, "completed", None, [], None, 0)
    ]


def test_since_and_until(store: Store) -> None:
    """An alternative counts when it was begun, whenever the one before it was."""
    fill(store)
    moments = store.query("edit_effects")["created_at"].to_list()
    assert sides(store, "answer", since=moments[1]) == [("2", "3"), ("3", "4")]
    assert sides(store, "answer", until=moments[1]) == [("1", "2")]
    assert sides(store, "answer", since=moments[1], until=moments[2]) == [("2", "3")]


def test_sessions_and_row_limit(store: Store) -> None:
    """In the order of sessions and of positions in them."""
    fill(store)
    talk = store.conversation("a")
    talk.add([user("x"), assistant("y")])
    talk.edit(1, "z")
    assert sides(store, "answer") == [("y", None), ("1", "2"), ("2", "3"), ("3", "4")]
    assert sides(store, "answer", row_limit=2) == [("y", None), ("1", "2")]
    assert sides(store, "answer", session_id="a") == [("y", None)]
    assert sides(store, "answer", session_id="no such session") == []
