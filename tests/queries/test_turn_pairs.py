"""turn_pairs: every user message with the answer that it got."""

from __future__ import annotations

from typing import Any

from duckstore import Store
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]


def rows(store: Store, **parameters: Any) -> list[Row]:
    """What the query answers, without ids and times."""
    frame = store.query("turn_pairs", **parameters)
    return frame.select(
        "turn_number", "status", "user_message", "assistant_message", "tool_names"
    ).rows()


def test_pairs_of_an_ordinary_conversation(store: Store) -> None:
    """Each question stands beside its last answer, with the tools called in between in order."""
    talk = store.conversation("s")
    talk.add([user("Two cities?")])
    talk.add([assistant("A moment."), call("find", "1"), call("sort", "2"), output("1")])
    talk.add([output("2"), assistant("Oslo, Rome.")])
    talk.add([user("Three?")])
    assert rows(store) == [
        (1, "completed", "Two cities?", "Oslo, Rome.", ["find", "sort"]),
        (2, "unanswered", "Three?", None, []),
    ]


def test_a_call_id_that_comes_twice_is_two_calls(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("go"), call("a", "x"), output("x"), call("b", "x"), output("x")])
    assert rows(store) == [(1, "interrupted", "go", None, ["a", "b"])]
    assert store.query("turn_pairs")["tool_call_count"].to_list() == [2]


def test_halves_of_calls(store: Store) -> None:
    """An output without a call is no call; a call without output leaves its run interrupted."""
    talk = store.conversation("s")
    talk.add([user("one"), output("nobody"), assistant("1")])
    talk.add([user("two"), assistant("Let me see."), call("look", "c")])
    assert rows(store) == [
        (1, "completed", "one", "1", []),
        (2, "interrupted", "two", "Let me see.", ["look"]),
    ]


def test_an_edited_question(store: Store) -> None:
    """The run that an edit replaced is left out unless asked for, and keeps its answer."""
    talk = store.conversation("s")
    talk.add([user("2 + 3?"), assistant("5")])
    talk.pop()
    talk.pop()
    talk.add([user("2 + 2?"), assistant("4")])
    assert rows(store) == [(1, "completed", "2 + 2?", "4", [])]
    assert rows(store, include_superseded=True) == [
        (1, "superseded", "2 + 3?", "5", []),
        (1, "completed", "2 + 2?", "4", []),
    ]


def test_an_answer_generated_again_in_the_middle_of_a_run(store: Store) -> None:
    """Both answers stand beside the same question; the call before them counts once."""
    talk = store.conversation("s")
    talk.add([user("Weather?"), call("look", "c"), output("c"), assistant("Rain.")])
    talk.pop()
    talk.add([assistant("Sun.")])
    assert rows(store, include_superseded=True) == [
        (1, "superseded", "Weather?", "Rain.", ["look"]),
        (1, "completed", "Weather?", "Sun.", []),
    ]
    assert rows(store) == [(1, "completed", "Weather?", "Sun.", [])]


def test_a_popped_answer_leaves_its_question_unanswered(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("Weather?"), assistant("Rain.")])
    talk.pop()
    assert rows(store) == [(1, "unanswered", "Weather?", None, [])]


def test_a_run_with_two_user_messages(store: Store) -> None:
    """Messages given together are one question."""
    talk = store.conversation("s")
    talk.add([user("Look at this."), user("Is it right?")])
    talk.add([assistant("Yes.")])
    assert rows(store) == [(1, "completed", "Look at this.\n\nIs it right?", "Yes.", [])]


def test_a_conversation_opened_by_the_assistant(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([assistant("How can I help?"), user("Thanks, no."), assistant("Bye.")])
    assert rows(store) == [
        (1, "completed", None, "How can I help?", []),
        (2, "completed", "Thanks, no.", "Bye.", []),
    ]


def test_a_fork_by_name(store: Store) -> None:
    """Only the branch that the session is on is shown, unless the others are asked for."""
    talk = store.conversation("s")
    talk.add([user("Joke?"), assistant("No."), user("Please."), assistant("Knock.")])
    talk.branch("polite", at={"position": 2})
    talk.add([user("Pretty please."), assistant("Who is there?")])
    assert rows(store) == [
        (1, "completed", "Joke?", "No.", []),
        (2, "completed", "Pretty please.", "Who is there?", []),
    ]
    talk.switch("main")
    assert [row[2] for row in rows(store)] == ["Joke?", "Please."]
    assert len(rows(store, include_superseded=True)) == 3


def test_compaction_keeps_the_pairs(store: Store) -> None:
    """What a compaction took off the path was said all the same; its summary is no question."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    talk.replace_all([user("Summary: the user counts.")])
    talk.add([user("two"), assistant("2")])
    assert rows(store) == [(1, "completed", "one", "1", []), (2, "completed", "two", "2", [])]


def test_since_and_until(store: Store) -> None:
    """A run counts from the moment of its question: since includes it, until leaves it out."""
    talk = store.conversation("s")
    for word in ("one", "two", "three"):
        talk.add([user(word)])
        talk.add([assistant(word)])
    first, second, third = store.query("turn_pairs")["created_at"].to_list()
    assert first < second < third
    assert [row[2] for row in rows(store, since=second)] == ["two", "three"]
    assert [row[2] for row in rows(store, until=second)] == ["one"]
    assert [row[2] for row in rows(store, since=second, until=third)] == ["two"]
    assert [row[2] for row in rows(store, since=second.isoformat())] == ["two", "three"]


def test_sessions_and_row_limit(store: Store) -> None:
    """Sessions come in the order of their ids; an unknown one has no rows."""
    for name in ("b", "a"):
        store.conversation(name).add([user(f"in {name}")])
    assert [row[2] for row in rows(store)] == ["in a", "in b"]
    assert [row[2] for row in rows(store, row_limit=1)] == ["in a"]
    assert [row[2] for row in rows(store, session_id="b")] == ["in b"]
    assert rows(store, session_id="no such session") == []
