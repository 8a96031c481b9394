"""preference_pairs: a chosen and a rejected answer to the same words."""

from __future__ import annotations

from typing import Any

from duckstore import Store
from duckstore.telemetry import Seen
from tests.clock import Clock
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]
Message = dict[str, str]

SAMPLES: dict[str, list[Any]] = {
    "max_prompt_messages": [0, 1, "2", None],
    "min_answer_chars": [0, 2, "1000", None],
    "include_forks": [True, False, "true"],
}


def fill(store: Store) -> None:
    """An answer that is generated three times."""
    again(store, "preference_pairs", "first", "second", "third")


def again(store: Store, name: str, *answers: str, agent: str | None = None) -> None:
    """A question with these answers, one after the other."""
    talk = store.conversation(name)
    talk.add([user("Why?")])
    for number, answer in enumerate(answers):
        if number:
            talk.regenerate()
        talk.add([assistant(answer)], Seen(agent_name=agent))


def rows(store: Store, *columns: str, **parameters: Any) -> list[Row]:
    return store.query("preference_pairs", **parameters).select(columns).rows()


def pairs(store: Store, **parameters: Any) -> list[Row]:
    """Prompt, chosen and rejected answer."""
    return rows(store, "prompt", "chosen", "rejected", **parameters)


def context(store: Store, **parameters: Any) -> list[list[Message]]:
    """The messages that led to each pair."""
    return [row[0] for row in rows(store, "prompt_messages", **parameters)]


def message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def test_an_answer_that_was_generated_again(store: Store) -> None:
    """The answer on the path is chosen. The lists are those that a trainer takes."""
    talk = store.conversation("s")
    talk.add([user("Hi."), assistant("Hello."), user("Why?"), assistant("Because.")])
    talk.regenerate()
    talk.add([assistant("It depends.")])
    assert pairs(store) == [("Why?", "It depends.", "Because.")]
    assert context(store) == [
        [message("user", "Hi."), message("assistant", "Hello."), message("user", "Why?")]
    ]
    assert rows(store, "chosen_messages", "rejected_messages") == [
        ([message("assistant", "It depends.")], [message("assistant", "Because.")])
    ]
    runs = {text: run for run, text in store.sql("select id, assistant_message from runs").rows()}
    assert rows(store, "turn_number", "chosen_run_id", "rejected_run_id", "is_current") == [
        (2, runs["It depends."], runs["Because."], True)
    ]
    talk.switch("main~1")
    assert pairs(store) == [("Why?", "Because.", "It depends.")]


def test_three_answers_are_two_pairs(store: Store) -> None:
    """Each rejected answer stands beside the chosen one, and never two rejected ones."""
    fill(store)
    assert pairs(store) == [("Why?", "third", "first"), ("Why?", "third", "second")]
    store.conversation("preference_pairs").switch("main~2")
    assert pairs(store) == [("Why?", "second", "first"), ("Why?", "second", "third")]


def test_where_none_is_on_the_path_the_newest_is_chosen(store: Store) -> None:
    """An earlier message was edited since; another answer after the edit has another prompt."""
    fill(store)
    talk = store.conversation("preference_pairs")
    talk.edit(1, "How?")
    talk.add([assistant("So.")])
    talk.pop()
    talk.add([assistant("Thus.")])
    assert rows(store, "prompt", "chosen", "rejected", "is_current") == [
        ("Why?", "third", "first", False),
        ("Why?", "third", "second", False),
        ("How?", "Thus.", "So.", True),
    ]


def test_what_a_compaction_archived_stays_chosen(store: Store) -> None:
    """Its summary is no answer; and where that stands before a question, it leads there."""
    again(store, "s", "no", "yes")
    talk = store.conversation("s")
    talk.replace_all([assistant("A summary.")])
    talk.add([user("How?"), assistant("So.")])
    talk.regenerate()
    talk.add([assistant("Thus.")])
    assert pairs(store) == [("Why?", "yes", "no"), ("How?", "Thus.", "So.")]
    assert context(store) == [
        [message("user", "Why?")],
        [message("assistant", "A summary."), message("user", "How?")],
    ]
    talk.replace_suffix(talk.snapshot(10), 2, [assistant("Another summary.")])
    assert pairs(store) == [("Why?", "yes", "no"), ("How?", "Thus.", "So.")]
    assert rows(store, "is_current") == [(True,), (True,)]


def test_no_pairs(store: Store) -> None:
    """Of equal answers, without an answer, without a question, of edits and of summaries."""
    again(store, "equal", "yes", "yes")
    again(store, "pending", "no", "yes")
    store.conversation("pending").regenerate()
    store.conversation("pending").add([call("look", "c")])
    talk = store.conversation("half")
    talk.add([user("Why?"), call("look", "c")])
    talk.regenerate()
    talk.add([assistant("Because.")])
    talk = store.conversation("opening")
    talk.add([{"role": "system", "content": "Be brief."}, assistant("Hi."), assistant("Hello.")])
    talk.pop()
    talk.add([assistant("Welcome.")])
    talk = store.conversation("edited")
    talk.add([user("Why?"), assistant("Because.")])
    talk.edit(1, "How?")
    talk.add([assistant("So.")])
    talk.add([user("one"), assistant("1")])
    talk.pop()
    talk.add([user("more"), assistant("2")])
    talk = store.conversation("slow")
    talk.add([user("Why?"), assistant("A moment."), call("look", "c")])
    talk.pop()
    talk.add([assistant("Because.")])
    talk = store.conversation("slower")
    talk.add([user("Why?"), assistant("A moment."), assistant("Because.")])
    talk.pop()
    talk.add([call("look", "c")])
    talk = store.conversation("cut in two")
    talk.add([user("Why?"), call("look", "c"), output("c")])
    talk.replace_all([user("A summary.")])
    talk.add([assistant("Because.")])
    talk.pop()
    talk.add([assistant("It depends.")])
    talk = store.conversation("compacted")
    talk.add([user("Why?"), assistant("Because.")])
    talk.replace_suffix(talk.snapshot(10), 1, [assistant("A summary.")])
    assert pairs(store) == []


def test_more_said_by_the_user_is_no_answer(store: Store) -> None:
    """Where the path goes on with that, the newest answer is chosen."""
    again(store, "s", "no", "yes")
    talk = store.conversation("s")
    talk.pop()
    talk.add([user("And how?"), assistant("So.")])
    assert rows(store, "prompt", "chosen", "rejected", "is_current") == [
        ("Why?", "yes", "no", False)
    ]


def test_an_answer_that_was_begun_over_in_its_middle(store: Store) -> None:
    """Where the path goes through an alternative that was begun over itself, its answer is the one
    on the path. Both edit points have a pair, and calls count in either."""
    talk = store.conversation("s")
    talk.add([user("Why?"), assistant("Plainly.")])
    talk.regenerate()
    talk.add([call("look", "c"), output("c"), assistant("old")])
    talk.pop()
    talk.add([assistant("new")])
    assert pairs(store) == [("Why?", "new", "Plainly."), ("Why?", "new", "old")]
    assert context(store) == [[message("user", "Why?")]] * 2
    assert rows(store, "has_tool_calls") == [(True,), (True,)]
    talk.pop()
    talk.add([assistant("newer")])
    assert pairs(store)[1:] == [("Why?", "newer", "old"), ("Why?", "newer", "new")]
    assert rows(store, "has_tool_calls") == [(True,)] * 3


def test_calls(store: Store) -> None:
    """A pair that may rest on what a tool said tells so, wherever the call was; a call of another
    run does not count."""
    again(store, "s", "no", "yes")
    talk = store.conversation("s")
    talk.add([user("How?"), call("look", "c"), output("c"), assistant("So.")])
    talk.regenerate()
    talk.add([assistant("Thus.")])
    assert rows(store, "prompt", "has_tool_calls") == [("Why?", False), ("How?", True)]


def test_a_question_of_two_messages(store: Store) -> None:
    """The prompt has both. Instructions before the question are no part of it, also where the run
    was begun over after them."""
    talk = store.conversation("s")
    talk.add([{"role": "developer", "content": "Be brief."}, user("Look."), user("Why?")])
    talk.add([assistant("1")])
    talk.pop()
    talk.add([assistant("2")])
    talk.rewind({"position": 1})
    talk.add([user("How?")])
    talk.add([assistant("3")])
    talk.pop()
    talk.add([assistant("4")])
    assert pairs(store) == [("Look.\n\nWhy?", "2", "1"), ("How?", "4", "3")]
    first = message("system", "Be brief.")
    assert context(store) == [
        [first, message("user", "Look."), message("user", "Why?")],
        [first, message("user", "How?")],
    ]


def test_the_context_is_bounded_and_follows_the_path(store: Store) -> None:
    """Messages come from the branches that the path goes through, the latest so many; what an edit
    replaced, calls and outputs are not among them."""
    talk = store.conversation("s")
    talk.add([user("a"), assistant("b"), user("old"), assistant("old")])
    talk.edit(2, "c")
    talk.add([call("look", "x"), output("x", "seen"), assistant("old")])
    talk.pop()
    talk.add([assistant("d"), user("e"), assistant("old")])
    talk.branch("other")
    talk.pop()
    talk.add([assistant("f")])
    assert pairs(store) == [("c", "d", "old"), ("e", "f", "old")]
    letters = [[m["content"] for m in messages] for messages in context(store)]
    assert letters == [["a", "b", "c"], ["a", "b", "c", "d", "e"]]
    for count in range(6):
        found = context(store, max_prompt_messages=count)
        assert [[m["content"] for m in messages] for messages in found] == [
            ["a", "b", "c"][max(3 - count, 0) :],
            ["a", "b", "c", "d", "e"][5 - count :],
        ]
    assert context(store, max_prompt_messages=None) == context(store)
    assert [row[0] for row in pairs(store, max_prompt_messages=0)] == ["c", "e"]


def test_the_context_is_at_most_twenty_messages(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([message for n in range(15) for message in (user(f"q{n}"), assistant(f"a{n}"))])
    talk.regenerate()
    talk.add([assistant("other")])
    [messages] = context(store)
    assert len(messages) == 20
    assert messages[0] == message("assistant", "a4")
    assert messages[-1] == message("user", "q14")


def test_forks_only_when_asked_for(store: Store) -> None:
    """A branch begun by name is no second try, unless one takes it for that."""
    talk = store.conversation("s")
    talk.add([user("Joke?"), assistant("No.")])
    talk.branch("again", at={"position": 1})
    talk.add([assistant("Knock.")])
    assert pairs(store) == []
    assert pairs(store, include_forks=True) == [("Joke?", "Knock.", "No.")]


def test_a_session_that_was_forked_from_another(store: Store) -> None:
    """An answer to what was copied there is a pair of its own session only."""
    again(store, "a", "no", "yes")
    store.conversation("a").fork("b")
    talk = store.conversation("b")
    talk.regenerate()
    talk.add([assistant("perhaps")])
    assert pairs(store, session_id="b") == [("Why?", "perhaps", "yes")]
    assert pairs(store, session_id="a") == [("Why?", "yes", "no")]


def test_only_some(store: Store, clock: Clock) -> None:
    """A pair counts at the moment its later answer was begun; an agent's are those it is chosen
    for."""
    again(store, "a", "no", "yes", agent="Guide")
    clock.wait(60)
    later = clock.now
    again(store, "b", "No!", "Yes!", agent="Clerk")
    columns = ("session_id", "agent_name", "chosen")
    first, second = [("a", "Guide", "yes")], [("b", "Clerk", "Yes!")]
    assert rows(store, *columns) == first + second
    assert rows(store, *columns, session_id="b") == second
    assert rows(store, *columns, agent_name="Guide") == first
    assert rows(store, *columns, since=later) == second
    assert rows(store, *columns, until=later) == first
    assert rows(store, *columns, min_answer_chars=3) == second
    assert rows(store, *columns, row_limit=1) == first
    assert rows(store, "created_at", since=later)[0][0] > later
