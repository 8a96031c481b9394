"""reformulations: where people asked nearly the same thing again."""

from __future__ import annotations

from typing import Any

import pytest

from duckstore import Store
from tests.clock import Clock
from tests.rich import FAILED
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]

FIRST = "What is the weather in Oslo today?"
SECOND = "In Oslo today, what is the WEATHER"
OTHER = "Thank you, and now book me a table."


def rows(store: Store, **parameters: Any) -> list[Row]:
    """The later questions, with how similar they are to the ones before."""
    frame = store.query("reformulations", **parameters)
    return frame.select("session_id", "turn_number", "user_message", "similarity").rows()


def ask(store: Store, name: str, *texts: str) -> None:
    """Turns with these questions, each answered."""
    for text in texts:
        store.conversation(name).add([user(text), assistant(f"On {text}")])


def fill(store: Store) -> None:
    """Two pairs, for the contract."""
    ask(store, "reformulations", FIRST, SECOND, OTHER)
    ask(store, "reformulations 2", FIRST, FIRST)


def test_the_same_words_in_another_order(clock: Clock, store: Store) -> None:
    """A row holds both questions, the answer between and what failed before it."""
    talk = store.conversation("s")
    talk.add([user(FIRST)])
    talk.add([call("look", "c"), call("find", "d"), output("c", FAILED), output("d")])
    talk.add([call("read", "c"), output("c", FAILED), assistant("I do not know.")])
    clock.wait(30)
    talk.add([user(SECOND), call("find", "e"), output("e", FAILED), assistant("Rain.")])
    talk.add([user(OTHER), assistant("Done.")])
    first, second, _ = store.query("turn_pairs").iter_rows(named=True)
    frame = store.query("reformulations")
    assert frame.rows(named=True) == [
        {
            "session_id": "s",
            "turn_number": 2,
            "run_id": second["run_id"],
            "earlier_run_id": first["run_id"],
            "similarity": 1.0,
            "earlier_user_message": FIRST,
            "earlier_assistant_message": "I do not know.",
            "earlier_status": "completed",
            "user_message": SECOND,
            "status": "completed",
            "created_at": second["created_at"],
            "failed_tools": ["look", "read"],
            "seconds_between": pytest.approx(30, abs=0.001),
        }
    ]


def test_similarity_is_the_share_of_the_words(store: Store) -> None:
    """Twice the words in common by the words of both, each counted once."""
    ask(store, "s", "one two three four", "one two three five", "one one one six seven")
    assert rows(store) == [("s", 2, "one two three five", 0.75)]
    assert rows(store, min_similarity=0.25) == [
        ("s", 2, "one two three five", 0.75),
        ("s", 3, "one one one six seven", 2 / 7),
    ]
    assert rows(store, min_similarity=0.75) == [("s", 2, "one two three five", 0.75)]
    assert rows(store, min_similarity=0.76) == []


def test_only_neighbours_are_compared(store: Store) -> None:
    """The same question after another one is no new try."""
    ask(store, "s", FIRST, OTHER, FIRST)
    ask(store, "t", FIRST)
    assert rows(store) == []


def test_a_question_without_answer(store: Store) -> None:
    store.conversation("s").add([user(FIRST)])
    store.conversation("s").add([user(FIRST)])
    frame = store.query("reformulations")
    assert frame.select("earlier_status", "earlier_assistant_message", "failed_tools").rows() == [
        ("unanswered", None, [])
    ]


def test_short_messages_are_no_questions(store: Store) -> None:
    """Nor is what has no words at all."""
    ask(store, "s", "go on", "go on", "no answer", "no answer")
    ask(
        store,
        "t",
        "?????????????",
        "!!!!!!!!!!!!!",
        "。。。。。。。。。。。",
        "。。。。。。。。。。。",
    )
    assert rows(store, session_id="s") == []
    assert rows(store, session_id="t") == []
    assert rows(store, min_chars=9, session_id="s") == [("s", 4, "no answer", 1.0)]
    assert rows(store, min_chars=5, session_id="s") == [
        ("s", 2, "go on", 1.0),
        ("s", 4, "no answer", 1.0),
    ]


def test_scripts_without_spaces(store: Store) -> None:
    """Characters are compared; but two numbers are not the same for having the same digits."""
    ask(store, "a", "今天奥斯陆的天气怎么样？", "奥斯陆今天的天气怎么样")
    ask(store, "b", "今天奥斯陆的天气怎么样？", "请帮我预订两个人的晚餐座位")
    ask(store, "c", "8190333-XYZ-ABC", "3390811-ZXY-BCA")
    assert rows(store) == [("a", 2, "奥斯陆今天的天气怎么样", 1.0)]


def test_messages_given_together(store: Store) -> None:
    """The last is compared, which is the question; the others are often the same every time."""
    context = "It is now five in the afternoon, and the user is in Oslo."
    talk = store.conversation("s")
    talk.add([user(context), user(FIRST), assistant("Rain.")])
    talk.add([user(context), user(OTHER), assistant("Done.")])
    talk.add([user(OTHER + " Now!"), assistant("Done.")])
    frame = store.query("reformulations")
    assert frame.select("earlier_user_message", "user_message").rows() == [
        (f"{context}\n\n{OTHER}", OTHER + " Now!")
    ]


def test_only_the_beginning_is_compared(store: Store) -> None:
    """Of texts of any length, which then cost no more."""
    same = " ".join(f"word{number:02}" for number in range(40))
    ask(store, "s", same + " alpha" * 1000, same + " " + " ".join(map(str, range(1000))))
    assert [row[3] for row in rows(store)] == [1.0]


def test_what_replaced_a_question_is_an_edit(store: Store) -> None:
    """It is compared with the question before it, and not with the one that it replaced."""
    ask(store, "s", OTHER, FIRST)
    talk = store.conversation("s")
    talk.rewind(2)
    ask(store, "s", SECOND)
    assert rows(store) == []
    talk.rewind(2)
    ask(store, "s", OTHER)
    assert rows(store) == [("s", 2, OTHER, 1.0)]
    instructed = store.conversation("with instructions")
    instructed.add([{"role": "system", "content": "Be brief."}, user(FIRST)])
    instructed.pop()
    instructed.add([user(SECOND)])
    assert rows(store, include_superseded=True, session_id="with instructions") == []
    ask(store, "s", FIRST, SECOND)
    talk.rewind(4)
    assert rows(store) == [("s", 2, OTHER, 1.0)]
    assert rows(store, include_superseded=True) == [
        ("s", 2, OTHER, 1.0),
        ("s", 4, SECOND, 1.0),
    ]


def test_an_answer_generated_again(store: Store) -> None:
    """The answer between is the one on the path, with the failures before it."""
    talk = store.conversation("s")
    talk.add([user(FIRST), call("look", "c"), output("c", FAILED), assistant("old")])
    talk.add([user(FIRST), assistant("no")])
    for _ in range(3):
        talk.pop()
    talk.add([call("find", "d"), output("d", FAILED), assistant("new"), user(SECOND)])
    talk.add([assistant("first try")])
    talk.pop()
    talk.add([assistant("second try")])
    frame = store.query("reformulations")
    assert frame.select("user_message", "earlier_assistant_message", "failed_tools").rows() == [
        (SECOND, "new", ["look", "find"])
    ]


def test_a_compaction_between(store: Store) -> None:
    """Its summary is no question: what was asked before it is what was asked before."""
    ask(store, "s", FIRST)
    store.conversation("s").replace_all([user("Summary of the weather.")])
    ask(store, "s", SECOND)
    frame = store.query("reformulations")
    assert frame.select("earlier_user_message", "turn_number").rows() == [(FIRST, 2)]


def test_parameters(store: Store) -> None:
    """The moment is that of the second question; the most similar come first."""
    ask(store, "a", "one two three four", "one two three five")
    ask(store, "b", FIRST, FIRST, FIRST)
    second, third = store.query("turn_pairs", session_id="b")["created_at"].to_list()[1:]
    every = [("b", 2, FIRST, 1.0), ("b", 3, FIRST, 1.0), ("a", 2, "one two three five", 0.75)]
    assert rows(store) == every
    assert rows(store, row_limit=2) == every[:2]
    assert rows(store, session_id="a") == every[2:]
    assert rows(store, since=third) == every[1:2]
    assert rows(store, since=second, until=third) == every[:1]
    assert rows(store, until=second) == every[2:]
    assert rows(store, session_id="no such session") == []


SAMPLES: dict[str, list[Any]] = {"min_similarity": [0.5, "0.9"], "min_chars": [0, "100"]}
