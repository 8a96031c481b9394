"""regeneration_rate: how many answers were generated again."""

from __future__ import annotations

from typing import Any

from duckstore import Store
from duckstore.telemetry import Seen, SeenResponse
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]
SAMPLES: dict[str, list[Any]] = {"model": ["small", None]}


def fill(store: Store) -> None:
    """Two agents in many sessions, one of which is asked again."""
    for number in range(12):
        talk = store.conversation(f"regeneration_rate {number}")
        talk.add([user("go")])
        talk.add([assistant("a")], by("Desk", "small"))
        talk.regenerate()
        talk.add([assistant("b")], by("Expert", "large"))


def by(agent: str | None, model: str | None) -> Seen:
    return Seen(agent_name=agent, response=SeenResponse(model=model))


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Agent and model, their answers, and how many of these were generated again."""
    return (
        store.query("regeneration_rate", **parameters)
        .select("agent_name", "model", "answer_count", "regenerated_count", "regenerated_share")
        .rows()
    )


def test_each_try_is_an_answer(store: Store) -> None:
    """Of three tries two were not taken; an answer without another try was."""
    talk = store.conversation("s")
    talk.add([user("go"), assistant("a")])
    for text in ("b", "c"):
        talk.regenerate()
        talk.add([assistant(text)])
    talk.add([user("more"), assistant("d")])
    assert rows(store) == [(None, None, 4, 2, 0.5)]


def test_the_answer_is_its_agents_and_models(store: Store) -> None:
    """What was asked again belongs to who answered first, whoever answered then."""
    fill(store)
    talk = store.conversation("other")
    talk.add([user("go")])
    talk.add([assistant("a")], by("Desk", "large"))
    assert rows(store) == [
        ("Desk", "small", 12, 12, 1.0),
        ("Expert", "large", 12, 0, 0.0),
        ("Desk", "large", 1, 0, 0.0),
    ]
    assert rows(store, agent_name="Expert") == [("Expert", "large", 12, 0, 0.0)]
    assert [row[0] for row in rows(store, model="large")] == ["Expert", "Desk"]
    assert rows(store, session_id="regeneration_rate 3") == [
        ("Desk", "small", 1, 1, 1.0),
        ("Expert", "large", 1, 0, 0.0),
    ]
    assert rows(store, session_id="no such session") == []
    assert [row[:2] for row in rows(store, row_limit=1)] == [("Desk", "small")]
    assert store.query("regeneration_rate")["session_count"].to_list() == [12, 12, 1]


def test_another_try_from_a_tool_call_on_replaces_the_answer(store: Store) -> None:
    """The answer is that of the agent that came last, though the other try began earlier."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add([call("find", "1"), output("1")], by("Desk", None))
    talk.add([assistant("a")], by("Expert", None))
    talk.regenerate()
    talk.add([assistant("b")], by("Desk", None))
    assert rows(store) == [("Expert", None, 1, 1, 1.0), ("Desk", None, 1, 0, 0.0)]


def test_a_run_that_stopped_has_no_answer(store: Store) -> None:
    """Neither words before a tool call nor a call nor its output end one."""
    talk = store.conversation("s")
    talk.add([user("go"), assistant("Let me see."), call("find", "1")])
    talk.regenerate()
    talk.add([assistant("Let me see."), call("find", "1"), output("1")])
    talk.regenerate()
    talk.add([call("find", "1"), assistant("Let me see."), output("1")])
    assert rows(store) == []
    talk.regenerate()
    talk.add([call("find", "1"), output("1"), assistant("a")])
    assert rows(store) == [(None, None, 1, 0, 0.0)]


def test_edits_and_forks_are_no_second_try(store: Store) -> None:
    """Nor is a question in the place of an answer, or an answer in that of a later question."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    talk.edit(1, "two")
    talk.add([assistant("2")])
    talk.branch("other", at={"position": 1})
    talk.add([assistant("3")])
    talk.add([user("more"), assistant("4")])
    talk.pop()
    talk.pop()
    talk.add([assistant("5")])
    talk.pop()
    talk.add([user("Wait."), assistant("6")])
    assert rows(store) == [(None, None, 6, 0, 0.0)]
    answers = store.sql("select text from messages where role = 'assistant' order by item_id")
    assert answers["text"].to_list() == ["1", "2", "3", "4", "5", "6"]


def test_who_answers_what_came_later_is_not_replaced(store: Store) -> None:
    """Only the run that another try was put into, and not the runs after it."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    talk.add([user("two"), assistant("2")])
    talk.rewind({"position": 1})
    talk.add([assistant("1!")])
    assert rows(store) == [(None, None, 3, 1, 1 / 3)]


def test_compactions_and_copies_are_no_answers(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    copy = talk.fork("t")
    talk.replace_all([assistant("Summary."), output("1")])
    assert rows(store) == [(None, None, 1, 0, 0.0)]
    copy.regenerate()
    copy.add([assistant("2")])
    assert rows(store) == [(None, None, 2, 0, 0.0)]


def test_since_and_until(store: Store) -> None:
    """An answer counts when it was given, and as replaced whenever the other try came."""
    talk = store.conversation("s")
    talk.add([user("go"), assistant("a")])
    talk.regenerate()
    talk.add([assistant("b")])
    moment = store.query("edit_points")["created_at"].to_list()[1]
    assert rows(store, since=moment) == [(None, None, 1, 0, 0.0)]
    assert rows(store, until=moment) == [(None, None, 1, 1, 1.0)]
    assert rows(store, since=moment, until=moment) == []
