"""Going another way in a conversation: every promise of edit, rewind, branch, fork and purge."""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest
from agents import RunConfig, Tool, function_tool
from agents.testing import ScriptedModel, assistant_message, function_call

import duckstore
from duckstore.branching import Branching
from duckstore.conversation import Conversation
from duckstore.errors import (
    ArgumentError,
    BranchNameError,
    ClosedError,
    ItemError,
    UnknownBranchError,
)
from duckstore.schema import RELATIONS
from duckstore.telemetry import Seen
from tests.processes import python
from tests.rich import facts
from tests.runs import QUIET, agent, go, plain, rows, step, streamed_or_not
from tests.samples import assistant, call, output, run, user
from tests.test_session import spoil
from tests.test_wrapping import SUMMARY, Compactor, compacting

LATER = timedelta(days=1)


def system(text: str) -> dict[str, Any]:
    return {"role": "system", "content": text}


def begin(store: duckstore.Store, session_id: str = "s") -> Conversation:
    """A conversation of two runs, the first led up to by a system message."""
    talk = store.conversation(session_id)
    talk.add([system("be brief"), user("one")])
    talk.add([assistant("eins")])
    talk.add([user("two")])
    talk.add([call("look", "a"), output("a"), assistant("zwei")])
    return talk


FIRST = [system("be brief"), user("one"), assistant("eins")]
SECOND = [user("two"), call("look", "a"), output("a"), assistant("zwei")]
WHOLE = [*FIRST, *SECOND]


def the(store: duckstore.Store, text: str, session_id: str = "s") -> dict[str, Any]:
    """The first item of a session with a text, as its row of `items`."""
    found = store.sql(
        "select * from items where text = $text and session_id = $id order by item_id limit 1",
        text=text,
        id=session_id,
    )
    return next(found.iter_rows(named=True))


def operations(store: duckstore.Store, session_id: str = "s") -> list[str]:
    """What the history of a session says, in order."""
    found = store.sql(
        "select operation from history where session_id = $id order by history_id", id=session_id
    )
    return found["operation"].to_list()


def names(talk: Conversation) -> list[str]:
    return [branch.name for branch in talk.branches()]


def current(talk: Conversation) -> str:
    (name,) = [branch.name for branch in talk.branches() if branch.is_current]
    return name


def everything(store: duckstore.Store) -> dict[str, list[Any]]:
    """All rows of all relations."""
    return {
        relation: rows(store, f"select * from {relation} order by all") for relation in RELATIONS
    }


def holds(store: duckstore.Store, marker: str) -> list[str]:
    """The relations that hold a text in any column."""
    return [name for name, found in everything(store).items() if marker in str(found)]


def points(store: duckstore.Store) -> list[tuple[Any, ...]]:
    """The edit points of a store: kind, rank, text, and whether it is on the path."""
    return rows(
        store,
        "select kind, rank, text, is_current from edit_points"
        " order by item_before_id nulls first, rank",
    )


# Edit ------------------------------------------------------------------------------------------


def test_an_edit_puts_an_alternative_in_the_place_of_a_message(store: duckstore.Store) -> None:
    """The path ends with the new message, whose id is returned; what was there is whole on the
    branch that is called main~1 from then on."""
    talk = begin(store)
    item_id = talk.edit(2, "zwo")
    assert talk.items() == [*FIRST, user("zwo")]
    assert item_id == the(store, "zwo")["item_id"]
    assert names(talk) == ["main~1", "main"]
    assert current(talk) == "main"
    assert talk.items(branch="main~1") == WHOLE
    assert store.check() == []


def test_the_edit_of_a_user_message_is_an_edit_everywhere(store: duckstore.Store) -> None:
    """In edit_points, in branches and in the history."""
    talk = begin(store)
    talk.edit(2, "zwo")
    assert points(store) == [("edit", 1, "two", False), ("edit", 2, "zwo", True)]
    assert [branch.kind for branch in talk.branches()] == ["root", "edit"]
    assert operations(store).count("edit") == 1
    assert {"regenerate", "switch", "rewind"}.isdisjoint(operations(store))


TARGETS: dict[str, Callable[[duckstore.Store, Conversation], Any]] = {
    "turn_number": lambda store, talk: 2,
    "item_id": lambda store, talk: {"item_id": the(store, "two")["item_id"]},
    "object": lambda store, talk: SimpleNamespace(item_id=the(store, "two")["item_id"]),
    "row of items": lambda store, talk: the(store, "two"),
    "row of messages": lambda store, talk: next(
        store.sql("select * from messages where text = 'two'").iter_rows(named=True)
    ),
    "row of branch_items": lambda store, talk: next(
        store.sql(
            "select branch_items.* from branch_items inner join items using (item_id)"
            " where text = 'two'"
        ).iter_rows(named=True)
    ),
    "found": lambda store, talk: talk.find("two")[0],
    "alternative": lambda store, talk: talk.alternatives(at=2)[0],
}


@pytest.mark.parametrize("form", TARGETS)
def test_a_message_is_named_in_many_ways(store: duckstore.Store, form: str) -> None:
    """By its run, or by anything that has its item_id: a dict, an object, a row, a result."""
    talk = begin(store)
    talk.edit(TARGETS[form](store, talk), "zwo")
    assert talk.items() == [*FIRST, user("zwo")]


PARTS = [{"type": "input_text", "text": "look"}, {"type": "input_image", "image_url": "data:"}]


@pytest.mark.parametrize(
    ("before", "content", "after"),
    [
        (user("a"), "b", user("b")),
        ({"role": "user", "content": PARTS}, "b", user([{"type": "input_text", "text": "b"}])),  # type: ignore[arg-type]
        (user("a"), PARTS, {"role": "user", "content": PARTS}),
        ({"type": "message", **user("a"), "id": "m", "x": 1}, "b", {**user("b"), "x": 1}),
        (user("a"), {"role": "user", "content": "b", "y": 2}, {**user("b"), "y": 2}),
        (user("a"), {"role": "developer", "content": "b"}, {"role": "developer", "content": "b"}),
        (user("a"), "", user("")),
        (user("a"), [], user([])),  # type: ignore[arg-type]
    ],
    ids=["text", "text for parts", "parts", "keys stay", "item", "role", "empty", "no parts"],
)
def test_content_is_a_text_or_parts_or_an_item(
    store: duckstore.Store, before: dict[str, Any], content: Any, after: dict[str, Any]
) -> None:
    """A text stays one or becomes a part, parts are taken as they are, a dict is the new item."""
    talk = store.conversation("s")
    talk.add([before, assistant("answer")])
    talk.edit(1, content)
    (item,) = talk.items()
    item.pop("type", None)
    assert item == after


def test_the_edit_of_an_answer_is_an_alternative_answer(store: duckstore.Store) -> None:
    """Its text becomes an output_text part, the provider's id goes, every other key stays; the
    kind is regenerate, in edit_points and in the history."""
    answer = {**assistant("eins"), "id": "msg_1", "status": "completed"}
    talk = store.conversation("s")
    talk.add([user("one"), answer])
    talk.edit(talk.find("eins")[0], "uno")
    assert talk.items() == [user("one"), {**assistant("uno"), "status": "completed"}]
    assert points(store) == [("regenerate", 1, "eins", False), ("regenerate", 2, "uno", True)]
    assert operations(store).count("regenerate") == 1
    assert [branch.kind for branch in talk.branches()] == ["root", "regenerate"]
    plain_answer = {"role": "assistant", "content": "1"}
    talk.edit(talk.find("uno")[0], plain_answer)
    talk.edit(talk.find("1", role="assistant")[0], "2")
    assert talk.items() == [user("one"), {"role": "assistant", "content": "2"}]
    assert store.check() == []


def test_a_superseded_message_is_edited_where_it_stands(store: duckstore.Store) -> None:
    """The new one is an alternative to it, after what stood before it; no way is lost."""
    talk = begin(store)
    talk.edit(1, "uno")
    talk.add([assistant("?")])
    talk.edit(the(store, "two"), "zwo")
    assert talk.items() == [*FIRST, user("zwo")]
    ways = {tuple(map(json.dumps, talk.items(branch=name))) for name in names(talk)}
    expected: list[list[Any]] = [WHOLE, [system("be brief"), user("uno"), assistant("?")]]
    assert ways == {tuple(map(json.dumps, way)) for way in (*expected, [*FIRST, user("zwo")])}
    assert operations(store)[-3:].count("switch") == 1
    assert operations(store).count("edit") == 2
    assert store.check() == []


def test_of_two_things_that_a_user_said_the_first_is_edited(store: duckstore.Store) -> None:
    """By a run's number; and the other goes with what followed. Its item_id names the second."""
    talk = store.conversation("s")
    talk.add([user("first"), user("second")])
    talk.add([assistant("answer")])
    talk.edit(1, "other")
    assert talk.items() == [user("other")]
    talk.switch("main~1")
    talk.edit(talk.find("second")[0], "2nd")
    assert talk.items() == [user("first"), user("2nd")]


def test_a_system_message_before_it_stays(store: duckstore.Store) -> None:
    """A run's number means what its user said, not what leads up to it."""
    talk = begin(store)
    talk.edit(1, "uno")
    assert talk.items() == [system("be brief"), user("uno")]
    assert talk.create_branch_from_turn(1, "again") == "again"


def test_the_first_message_of_all_is_edited(store: duckstore.Store) -> None:
    """There is nothing before it, and the old conversation is one branch, the new one another."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("eins")])
    talk.edit(1, "uno")
    assert talk.items() == [user("uno")]
    assert talk.items(branch="main~1") == [user("one"), assistant("eins")]
    assert [(b.parent, b.fork_position) for b in talk.branches()] == [(None, 0), ("main~1", 0)]
    assert store.check() == []


def test_three_alternatives_stand_in_the_order_in_which_they_were_said(
    store: duckstore.Store,
) -> None:
    talk = begin(store)
    talk.edit(2, "second")
    talk.edit(2, "third")
    found = talk.alternatives(at=2)
    assert [(a.rank, a.text, a.kind, a.is_current) for a in found] == [
        (1, "two", "edit", False),
        (2, "second", "edit", False),
        (3, "third", "edit", True),
    ]
    assert [a.branch for a in found] == ["main~1", "main~2", "main"]
    assert talk.alternatives(at=found[0]) == talk.alternatives() == found
    assert [point[:3] for point in points(store)] == [(a.kind, a.rank, a.text) for a in found]


def test_a_later_agent_answers_the_edited_message(store: duckstore.Store) -> None:
    """`Runner.run(agent, [], session=session)` sees the path up to it and adds the answer."""
    session = store.session("s")
    run(go(plain(), "hello", session, streamed=False))
    run(session.edit(1, "good evening"))
    answering = plain()
    run(go(answering, [], session, streamed=False))
    model = cast(ScriptedModel, answering.model)
    assert model.last_call is not None
    assert model.last_call.input == [user("good evening")]
    assert [item.get("role") for item in cast(Any, run(session.get_items()))] == [
        "user",
        "assistant",
    ]
    assert rows(store, "select user_message, status from runs order by id") == [
        ("hello", "superseded"),
        ("good evening", "completed"),
    ]
    assert store.check() == []


UNKNOWN: list[tuple[Any, str]] = [
    (7, "has no run 7, it has runs 1 to 2.*name an item by its item_id"),
    (0, "has no run 0"),
    (-1, "has no run -1"),
    (2**80, "has no run 1208925819614629174706176"),
    ({"item_id": 10**6}, "session 's' has no item 1000000: take an item_id of its own"),
    ({"item_id": 2**80}, "has no item 1208925819614629174706176"),
    (None, "target is None: give a run's turn_number"),
    (True, "target is True: give"),
    (1.0, "target is 1.0: give"),
    ("1", "target is '1': give"),
    ({"item_id": "x"}, r"target is \{'item_id': 'x'\}: give"),
    ({"item_id": True}, "target is .*True.*: give"),
    ({}, r"target is \{\}: give"),
    ({"history_id": 2}, "give a run's turn_number or something with an item_id"),
    ({"position": 2}, "give a run's turn_number or something with an item_id"),
    (datetime(2026, 1, 1), "has no time zone: give one"),
    (datetime(2026, 1, 1, tzinfo=UTC), "give a run's turn_number or something with an item_id"),
]


def test_what_is_no_message_is_told_and_nothing_is_changed(store: duckstore.Store) -> None:
    """The errors name the value and what to do: unknown runs and items, and wrong types."""
    talk = begin(store)
    before = everything(store)
    for target, message in UNKNOWN:
        with pytest.raises(ArgumentError, match=message):
            talk.edit(target, "new")
    for kind in ("function_call", "function_call_output"):
        target = {
            "item_id": store.sql(f"select item_id from items where item_type = '{kind}'").item()
        }
        with pytest.raises(ArgumentError, match=f"no message but a {kind}.*Rewind to before it"):
            talk.edit(target, "new")
    for content in (None, 5, b"bytes", True):
        with pytest.raises(
            ArgumentError, match=r"new_content is .*: give a text, a list of content"
        ):
            talk.edit(2, content)
    for bad in ({"content": object()}, [object()], {1: {2}}):
        with pytest.raises(ItemError, match="not JSON"):
            talk.edit(2, bad)
    with pytest.raises(ArgumentError, match="session 'other' has no item"):
        store.conversation("other").edit(the(store, "two"), "new")
    with pytest.raises(ArgumentError, match="has no run 1, it has no items"):
        store.conversation("other").edit(1, "new")
    assert everything(store) == before
    talk.add([user("three")])
    assert talk.items() == [*WHOLE, user("three")]


def test_a_run_that_no_user_began_is_told(store: duckstore.Store) -> None:
    """Its message is named by its item_id."""
    talk = store.conversation("s")
    talk.add([assistant("How can I help?")])
    with pytest.raises(ArgumentError, match=r"run 1 .* has no user message: name the message by"):
        talk.edit(1, "x")
    talk.edit(talk.find("help")[0], "Yes?")
    assert talk.items() == [assistant("Yes?")]


def test_an_edit_that_is_nested_too_deeply_changes_nothing(store: duckstore.Store) -> None:
    """Also where only the message around it makes it one level too many."""
    talk = begin(store)
    deep: Any = "x"
    for _ in range(500):
        deep = [deep]
    before = everything(store)
    for content in ([deep], deep):
        with pytest.raises(ItemError, match="nested too deeply"):
            talk.edit(2, content)
    assert everything(store) == before
    assert store.check() == []


AWKWARD = [
    {"type": "input_text", "text": "a\x00b \ud800 \u2028", "n": math.inf, "m": -(2**80)},
    {"type": "input_text", "text": '"; drop', "n": 2**80, "m": -0.0, "k": None},
]


def test_an_edit_carries_every_json_value(store: duckstore.Store, path: Path) -> None:
    """NaN, integers of any size, lone surrogates and NUL; also after opening the store again."""
    talk = begin(store)
    talk.edit(2, AWKWARD)
    assert talk.items()[-1] == {"role": "user", "content": AWKWARD}
    talk.edit(2, {"role": "user", "content": "\x00\udfff", "n": math.nan})
    assert math.isnan(talk.items()[-1]["n"])
    store.close()
    with duckstore.open(path) as again:
        last = again.conversation("s").items()[-1]
        assert last["content"] == "\x00\udfff"
        assert math.isnan(last["n"])
        assert again.conversation("s").items(branch="main~2")[-1]["content"] == AWKWARD
        assert again.check() == []


def test_an_edit_of_three_megabytes(store: duckstore.Store) -> None:
    """Is stored whole, and leaves a conversation that goes on."""
    talk = begin(store)
    text = "wörd " * 600_000
    talk.edit(2, text)
    talk.add([assistant("long")])
    assert talk.items()[-2:] == [user(text), assistant("long")]
    assert talk.alternatives(at=2)[1].text == text


def test_a_damaged_message_is_told_and_does_no_harm(store: duckstore.Store) -> None:
    """Its row cannot be read: it is not edited by a text, answered again or copied by a fork."""
    talk = store.conversation("s")
    for text in ("one", "two"):
        talk.add([user(text)])
        talk.add([assistant(text)])
    spoil(store, "s", 3)
    with pytest.raises(ArgumentError, match="no message but a damaged item"):
        talk.edit(2, "new")
    assert talk.fork("copy").items() == [user("one"), assistant("one"), assistant("two")]
    talk.regenerate()
    assert talk.items() == [user("one")]
    talk.add([assistant("uno")])
    assert store.conversation("copy").items() == [user("one"), assistant("one"), assistant("two")]


# Rewind ----------------------------------------------------------------------------------------


def test_a_rewind_to_a_run_ends_before_what_leads_up_to_it(store: duckstore.Store) -> None:
    """System messages that lead up to its user message go with it; what was there is kept."""
    talk = begin(store)
    talk.add([system("be kind"), user("three")])
    talk.rewind(3)
    assert talk.items() == WHOLE
    talk.rewind(1)
    assert talk.items() == []
    assert operations(store)[-2:] == ["rewind", "rewind"]
    assert names(talk) == ["main"]
    talk.add([user("other")])
    assert talk.items() == [user("other")]
    assert talk.items(branch="main~1") == [*WHOLE, system("be kind"), user("three")]
    assert store.check() == []


def test_a_rewind_to_an_item_ends_after_it(store: duckstore.Store) -> None:
    """On the path, later on its branch, and on a branch that was left: the history says whether
    the path was cut or another one was taken."""
    talk = begin(store)
    talk.rewind(the(store, "eins"))
    assert talk.items() == FIRST
    talk.rewind(the(store, "two"))  # forward again
    assert talk.items() == [*FIRST, user("two")]
    talk.edit(2, "zwo")
    talk.rewind(the(store, "zwei"))
    assert talk.items() == WHOLE
    assert current(talk) == "main~1"
    talk.rewind(the(store, "zwo"))
    assert current(talk) == "main"
    talk.rewind(the(store, "one"))
    assert talk.items() == FIRST[:2]
    assert current(talk) == "main"
    moves = [operation for operation in operations(store) if operation != "append"]
    assert moves == ["rewind", "switch", "edit", "switch", "switch", "rewind"]
    assert store.check() == []


def moments(store: duckstore.Store) -> list[dict[str, Any]]:
    """The history of a session, as rows."""
    found = store.sql("select * from history where session_id = 's' order by history_id")
    return list(found.iter_rows(named=True))


def busy(store: duckstore.Store) -> tuple[Conversation, list[list[Any]]]:
    """A conversation that was changed in every way; with its items after each of its moments."""
    talk = store.conversation("s")
    states: list[list[Any]] = []

    def note() -> None:
        states.append(talk.items())

    talk.add([user("one")])
    note()
    talk.add([assistant("eins"), user("two")])
    note()
    talk.pop()
    note()
    talk.edit(1, "uno")
    states.append([])  # the path was cut
    note()
    talk.branch("side", at={"position": 0})
    note()
    talk.add([user("aside")])
    note()
    talk.switch("main~1")
    note()
    talk.replace_all([user("summary")])
    states.append([])
    note()
    talk.rewind({"position": 0})
    note()
    talk.delete_branch("side")
    note()
    return talk, states


def test_the_past_can_be_read_and_gone_back_to(store: duckstore.Store) -> None:
    """At each entry of the history, by its id, its row and its time: items, then a rewind."""
    talk, states = busy(store)
    history = moments(store)
    now, course = talk.items(), operations(store)
    assert len(history) == len(states)
    for entry, state in zip(history, states, strict=True):
        assert talk.at(entry) == talk.at({"history_id": entry["history_id"]}) == state
        assert talk.at(SimpleNamespace(history_id=entry["history_id"])) == state
    # What a change that takes two entries leaves in between is no moment of its own.
    for entry, state in zip(history, states, strict=True):
        if state or entry["operation"] not in ("edit", "compact"):
            assert talk.at(entry["created_at"]) == state
    assert talk.items() == now
    assert operations(store) == course
    for entry, state in zip(history, states, strict=True):
        talk.rewind({"history_id": entry["history_id"]})
        assert talk.items() == state
        assert talk.at(datetime.now(UTC) + LATER) == state
    assert store.check() == []


def test_a_change_to_what_is_already_so_leaves_no_trace(store: duckstore.Store) -> None:
    """Places where the path ends anyway, the future, the current branch, its own name."""
    talk = begin(store)
    talk.add([user("three")])
    before = everything(store)
    talk.rewind(the(store, "three"))
    talk.rewind({"position": 8})
    talk.rewind(datetime.now(UTC) + LATER)
    talk.rewind(moments(store)[-1])
    talk.regenerate()
    talk.switch("main")
    talk.rename("main", "main")
    assert everything(store) == before


def test_a_moment_may_be_given_in_any_time_zone(store: duckstore.Store) -> None:
    """And be any that Python has, from before the first item to after the last."""
    talk = begin(store)
    second = moments(store)[1]["created_at"]
    for hours in (-11, 0, 5.5, 14):
        zone = timezone(timedelta(hours=hours))
        assert talk.at(second.astimezone(zone)) == FIRST
        assert talk.at(datetime.max.replace(tzinfo=zone)) == WHOLE
        assert talk.at(datetime.min.replace(tzinfo=zone)) == []
    first = moments(store)[0]["created_at"]
    assert talk.at(first - timedelta(microseconds=1)) == []
    assert talk.at(first) == FIRST[:2]
    talk.rewind(second)
    assert talk.items() == FIRST
    talk.rewind(datetime.min.replace(tzinfo=timezone(timedelta(hours=14))))
    assert talk.items() == []
    talk.rewind(second)
    assert talk.items() == FIRST


def test_a_place_that_is_none_is_told_and_nothing_is_changed(store: duckstore.Store) -> None:
    """By rewind, branch and fork alike. A row that only has a position is no place: its position
    is that of another branch."""
    talk = begin(store)
    before = everything(store)
    tool_call = next(store.sql("select * from tool_calls").iter_rows(named=True))
    places: list[tuple[Any, str]] = [
        (9, "has no run 9, it has runs 1 to 2"),
        ({"item_id": 10**6}, "session 's' has no item 1000000: take"),
        ({"history_id": 10**6}, "session 's' has no history entry 1000000: take"),
        ({"history_id": 2**80}, "has no history entry 1208925819614629174706176"),
        ({"position": 8}, "position 8 is not on the path of session 's', which has 7 items"),
        ({"position": -1}, "position -1 is not on the path"),
        (datetime(2026, 1, 1), "has no time zone: give one, as in"),
        (tool_call, "give a run's turn_number, something with an item_id, or a moment"),
        *((value, "give a run's turn_number") for value in (True, 1.5, "1", {}, object())),
    ]
    for place, message in places:
        with pytest.raises(ArgumentError, match=message):
            talk.rewind(place)
        with pytest.raises(ArgumentError, match=message):
            talk.branch("new", at=place)
        with pytest.raises(ArgumentError, match=message):
            talk.fork("new", at=place)
    with pytest.raises(ArgumentError, match="to is None"):
        talk.rewind(cast(Any, None))
    for moment in (2, the(store, "two"), {"position": 1}, None, "now", datetime(2026, 1, 1)):
        with pytest.raises(ArgumentError, match="moment is "):
            talk.at(cast(Any, moment))
    assert everything(store) == before


def test_a_session_that_is_not_stored_has_no_place(store: duckstore.Store) -> None:
    """It has no past either, and looking at it stores nothing."""
    talk = store.conversation("new")
    for place in (1, {"item_id": 1}, {"history_id": 1}, {"position": 1}):
        with pytest.raises(ArgumentError):
            talk.rewind(place)
        with pytest.raises(ArgumentError):
            talk.branch("x", at=place)
        with pytest.raises(ArgumentError):
            talk.fork("other", at=place)
    with pytest.raises(ArgumentError, match="no session is named 'new': nothing was stored"):
        talk.fork("other")
    with pytest.raises(ArgumentError, match="no user message"):
        talk.regenerate()
    talk.rewind(datetime.now(UTC))
    assert talk.at(datetime.now(UTC)) == talk.items() == []
    assert [talk.branches(), talk.find(""), talk.alternatives(), talk.alternatives(at=1)] == [
        []
    ] * 4
    assert store.sessions() == []


def test_what_was_cleared_cannot_be_gone_back_to(store: duckstore.Store) -> None:
    """A moment before it finds nothing; an entry of the history of then is not there."""
    talk = begin(store)
    before = moments(store)[-1]
    talk.clear()
    talk.rewind(before["created_at"])
    assert talk.items() == talk.at(before["created_at"]) == []
    for look in (talk.rewind, talk.at):
        with pytest.raises(ArgumentError, match=f"has no history entry {before['history_id']}"):
            look(before)
    assert operations(store) == ["clear"]
    talk.rewind(moments(store)[0])
    talk.add([user("new")])
    assert talk.items() == [user("new")]
    assert store.check() == []


def test_what_was_purged_cannot_be_gone_back_to(store: duckstore.Store) -> None:
    """Neither by its item, nor by its entry of the history, nor by a move to it."""
    talk = begin(store)
    talk.branch("side", at=the(store, "two"))
    talk.add([assistant("zwo")])
    two, history = the(store, "two"), moments(store)
    talk.purge(two)
    gone = [entry for entry in history if entry["to_position"] > 3]
    assert [entry["operation"] for entry in gone] == ["append", "append", "fork", "append"]
    for place in (two, *gone):
        for go_to in (talk.rewind, lambda place: talk.fork("new", at=place)):
            with pytest.raises(ArgumentError, match=r"has no item|has no history|purged since"):
                go_to(place)
    for entry in gone:
        with pytest.raises(ArgumentError, match=r"has no history|purged since"):
            talk.at(entry)
    assert talk.items() == FIRST
    for look in (talk.rewind, talk.at):
        with pytest.raises(ArgumentError, match="what session 's' was then has been purged since"):
            look(history[-1]["created_at"])
    # Where its branch is still there, a moment is what is left of it.
    assert talk.at(history[3]["created_at"]) == talk.items() == FIRST


def test_what_a_pop_deleted_is_not_among_the_items_of_then(path: Path) -> None:
    """With keep_popped=False the past is what was not deleted since."""
    with duckstore.open(path, keep_popped=False) as store:
        talk = store.conversation("s")
        talk.add([user("one"), assistant("eins")])
        then = moments(store)[-1]
        talk.pop()
        talk.add([assistant("uno")])
        assert talk.at(then) == talk.at(then["created_at"]) == [user("one")]
        assert talk.at(moments(store)[-1]) == [user("one"), assistant("uno")]
        talk.rewind(then)
        assert talk.items() == [user("one")]
        assert store.check() == []


# Regenerate ------------------------------------------------------------------------------------


def test_the_last_question_is_answered_again(store: duckstore.Store) -> None:
    """The path ends after it, tool calls and all; every answer is kept, as an alternative."""
    talk = begin(store)
    for answer in ("zwo", "deux"):
        talk.regenerate()
        assert talk.items() == [*FIRST, user("two")]
        talk.add([assistant(answer)])
    talk.regenerate()
    talk.regenerate()
    assert operations(store)[-2:] == ["append", "rewind"]
    assert names(talk) == ["main~1", "main~2", "main"]
    assert [(kind, rank, text) for kind, rank, text, _ in points(store)] == [
        ("regenerate", 1, "look({})"),
        ("regenerate", 2, "zwo"),
        ("regenerate", 3, "deux"),
    ]
    assert talk.items(branch="main~1") == WHOLE
    assert store.check() == []


def test_all_that_was_said_at_once_is_answered_again(store: duckstore.Store) -> None:
    """Several messages of one input, and what is said to the model after them, stay."""
    talk = store.conversation("s")
    talk.add([user("one"), user("and"), system("now")])
    talk.add([call("look", "a")])
    talk.add([output("a"), assistant("answer")])
    talk.regenerate()
    assert talk.items() == [user("one"), user("and"), system("now")]
    assert store.check() == []


def test_there_must_be_something_to_answer(store: duckstore.Store) -> None:
    talk = store.conversation("s")
    talk.add([system("be brief"), assistant("Hello?")])
    before = everything(store)
    with pytest.raises(ArgumentError, match="path of session 's' has no user message to answer"):
        talk.regenerate()
    assert everything(store) == before


# Branches --------------------------------------------------------------------------------------


def test_a_branch_begins_at_a_place_and_leaves_the_other_as_it_is(store: duckstore.Store) -> None:
    """At the end of the path by default. It is the current one, and its id is returned."""
    talk = begin(store)
    branch_id = talk.branch("side")
    assert (current(talk), talk.items()) == ("side", WHOLE)
    talk.add([user("three")])
    talk.switch("main")
    assert talk.items() == WHOLE
    talk.switch(branch_id)
    assert talk.items() == [*WHOLE, user("three")]
    talk.branch("early", at=2)
    assert talk.items() == FIRST
    talk.switch("side")
    talk.branch("there", at=the(store, "one"))
    assert talk.items() == talk.items(branch="there") == FIRST[:2]
    talk.branch("then", at=moments(store)[2])
    assert talk.items() == [*FIRST, user("two")]
    assert operations(store)[-1] == "fork"
    assert talk.items(branch="side") == [*WHOLE, user("three")]
    assert store.check() == []


def test_branches_of_branches_know_where_they_began(store: duckstore.Store) -> None:
    """Their parents and fork positions; how long they are, shared items too; and their order."""
    talk = begin(store)
    talk.branch("a", at=the(store, "two"))
    talk.add([assistant("zwo")])
    talk.branch("b")
    talk.add([user("three")])
    talk.branch("c", at={"position": 1})
    talk.add([user("uno")])
    talk.branch("d", at=the(store, "three"))
    found = talk.branches()
    told = [(b.name, b.kind, b.parent, b.fork_position, b.item_count, b.turn_count) for b in found]
    assert told == [
        ("main", "root", None, 0, 7, 2),
        ("a", "fork", "main", 4, 5, 2),
        ("b", "fork", "a", 5, 6, 3),
        ("c", "fork", "b", 1, 2, 1),
        ("d", "fork", "b", 6, 6, 3),
    ]
    assert [b.is_current for b in found] == [False] * 4 + [True]
    assert all(b.created_at.tzinfo is not None for b in found)
    assert found == sorted(found, key=lambda b: (b.created_at, b.branch_id))
    columns = "branch_id, name, kind, fork_position, created_at"
    in_sql = rows(
        store, f"select {columns} from branches where session_id = 's' order by branch_id"
    )
    assert in_sql == [(b.branch_id, b.name, b.kind, b.fork_position, b.created_at) for b in found]
    assert talk.items(branch="d") == [*WHOLE[:4], assistant("zwo"), user("three")]
    assert store.check() == []


ODD_NAMES = [
    "a\"b'c;--",
    "two\nlines\t",
    "ä ö 日本",
    "n" * 100_000,
    "nul\0nul",
    "main~9",
    "7",
    "-1",
]


def test_a_branch_may_have_any_name(store: duckstore.Store) -> None:
    """With quotes and newlines, very long, or like a number: it is switched to, read, renamed."""
    talk = begin(store)
    for name in ODD_NAMES:
        talk.branch(name)
        talk.switch("main")
        talk.switch(name)
        assert current(talk) == name
        assert talk.items(branch=name) == WHOLE
        talk.rename(name, name + "!")
        talk.rename(name + "!", name)
        assert talk.diff(name, "main").left == name
    assert names(talk) == ["main", *ODD_NAMES]
    talk.switch("main")
    for name in ODD_NAMES:
        talk.delete_branch(name)
    assert names(talk) == ["main"]
    assert store.check() == []


def test_a_name_that_is_none_or_was_used_is_refused(store: duckstore.Store) -> None:
    """Also that of a deleted branch. Nothing is changed."""
    talk = begin(store)
    talk.branch("side")
    talk.branch("deleted")
    talk.switch("main")
    talk.delete_branch("deleted")
    before = everything(store)
    refused: list[tuple[Any, str]] = [
        ("", "Branch name cannot be empty"),
        (" \n", "Branch name cannot be empty"),
        ("main", "'main' has already been used"),
        ("side", "'side' has already been used"),
        ("deleted", "'deleted' has already been used"),
        ("\ud800", "lone surrogate"),
        *((value, "the name of a branch is .*: give a text") for value in (None, 7, b"x", ["x"])),
    ]
    for name, message in refused:
        with pytest.raises(BranchNameError, match=message):
            talk.branch(name)
        if name != "side":
            with pytest.raises(BranchNameError, match=message):
                talk.rename("side", name)
    assert everything(store) == before
    talk.rename("side", "free")
    talk.branch("side")  # a name that was given up is free
    assert names(talk) == ["main", "free", "side"]


def test_a_branch_that_is_not_there_is_told(store: duckstore.Store) -> None:
    """Whatever is given for it: an unknown or deleted one, one of another session, no name at
    all. The error is a LookupError, and lists what there is."""
    talk = begin(store)
    deleted = talk.branch("deleted")
    talk.switch("main")
    talk.delete_branch(deleted)
    other = begin(store, "other").branch("elsewhere")
    before = everything(store)
    nowhere: list[Any] = [
        "nowhere",
        "elsewhere",
        other,
        "deleted",
        deleted,
        10**9,
        2**80,
        -1,
        "\ud800",
    ]
    attempts: list[Callable[[Any], Any]] = [
        talk.switch,
        talk.delete_branch,
        lambda branch: talk.rename(branch, "new"),
        lambda branch: talk.diff("main", branch),
        lambda branch: talk.diff(branch, "main"),
    ]
    for branch in [*nowhere, None, True, 1.0, b"main", {"main"}, ["main"]]:
        for attempt in attempts:
            with pytest.raises(UnknownBranchError, match="does not exist"):
                attempt(branch)
        if branch is not None:
            with pytest.raises(UnknownBranchError, match="does not exist"):
                talk.items(branch=cast(Any, branch))
    with pytest.raises(LookupError, match=r"Branch 'nowhere' does not exist: .*'s' has 'main'$"):
        talk.switch("nowhere")
    assert everything(store) == before


def test_a_deleted_branch_is_off_the_list(store: duckstore.Store) -> None:
    """It cannot be read, and its own items are superseded; what it shares is still the others'."""
    talk = begin(store)
    talk.branch("side", at=the(store, "two"))
    talk.add([assistant("zwo")])
    talk.branch("of it")
    talk.add([user("three")])
    talk.delete_branch("side")
    assert names(talk) == ["main", "of it"]
    assert talk.items() == [*WHOLE[:4], assistant("zwo"), user("three")]
    talk.switch("main")
    talk.delete_branch("of it")
    assert (names(talk), talk.items()) == (["main"], WHOLE)
    with pytest.raises(UnknownBranchError):
        talk.items(branch="side")
    marked = rows(store, "select text, is_current, is_archived from items order by item_id")
    assert marked[-2:] == [("zwo", False, False), ("three", False, False)]
    assert all(is_current for _, is_current, _ in marked[:-2])
    deleted = rows(store, "select name from branches where deleted_at is not null order by 1")
    assert deleted == [("of it",), ("side",)]
    assert operations(store).count("delete") == 2
    assert talk.find("three") == []
    assert len(talk.find("three", superseded=True)) == 1
    talk.rewind(the(store, "zwo"))  # who goes there has it back
    assert (current(talk), names(talk)) == ("side", ["main", "side"])
    assert store.check() == []


def test_the_current_branch_is_deleted_by_force_alone_and_main_never(
    store: duckstore.Store,
) -> None:
    """By force the path is main's from then on. By name or id, and not by an empty name."""
    talk = begin(store)
    branch_id = talk.branch("side", at=2)
    before = everything(store)
    with pytest.raises(ArgumentError, match=r"delete current branch 'side'.*force=True or switch"):
        talk.delete_branch("side")
    for force in (False, True):
        with pytest.raises(ArgumentError, match="Cannot delete the 'main' branch"):
            talk.delete_branch("main", force)
    with pytest.raises(BranchNameError, match="cannot be empty"):
        talk.delete_branch(" ")
    assert everything(store) == before
    talk.delete_branch(branch_id, force=True)
    assert (current(talk), names(talk), talk.items()) == ("main", ["main"], WHOLE)
    assert operations(store)[-2:] == ["switch", "delete"]
    assert store.check() == []


def test_main_is_a_name_like_any(store: duckstore.Store) -> None:
    """It can be given to another branch, and protects the one that has it."""
    talk = begin(store)
    talk.branch("side", at=2)
    talk.rename("main", "first")
    talk.rename("side", "main")
    talk.delete_branch("first")
    assert (names(talk), talk.items()) == (["main"], FIRST)
    assert store.check() == []


# Fork into a session of its own ----------------------------------------------------------------


def sums(store: duckstore.Store) -> list[tuple[Any, ...]]:
    """What is counted over the whole store."""
    return [
        *rows(store, "select count(*), sum(total_tokens) from responses"),
        *rows(store, "select count(*), sum(total_tokens), sum(tool_call_count) from runs"),
        *rows(store, "select count(*), count(*) filter (status = 'pending') from tool_calls"),
        *rows(store, "select sum(run_count) from sessions"),
    ]


def pending(store: duckstore.Store) -> Conversation:
    """A conversation whose second of two parallel calls waits for its output."""
    talk = store.conversation("s")
    talk.add([user("one")])
    talk.add([assistant("eins")], facts("Greeter", 10, 1))
    talk.add([user("two")])
    talk.add([call("look", "a"), call("look", "b"), output("a")], facts("Caller", 20, 2))
    return talk


def test_a_fork_is_a_session_with_the_same_items(store: duckstore.Store) -> None:
    """It knows where it came from, has the attributes and the agents' names, and counts nothing
    that was counted there."""
    talk = pending(store)
    store.update_session(
        "s", title="Talk", user_id="ada", tags=["x", "y"], metadata={"k": [1]}, source="here"
    )
    before = sums(store)
    fork = talk.fork("fork")
    assert fork.session_id == "fork"
    assert fork.items() == talk.items()
    last = rows(store, "select max(item_id) from items where session_id = 's'")[0][0]
    columns = "title, user_id, tags, metadata, parent_session_id, parent_item_id, item_count"
    assert rows(store, f"select {columns} from sessions where session_id = 'fork'") == [
        ("Talk", "ada", ["x", "y"], '{"k": [1]}', "s", last, 6)
    ]
    assert sums(store) == before
    agents = "select agent_name from items where session_id = $id order by item_id"
    for session_id in ("s", "fork"):
        found = store.sql(agents, id=session_id)["agent_name"].to_list()
        assert found == [None, "Greeter", None, *["Caller"] * 3]
    assert operations(store, "fork") == ["fork"]
    assert store.check() == []


def test_a_fork_goes_on_by_itself(store: duckstore.Store) -> None:
    """A pending call is answered there, the answer regenerated; the other session stays as it
    was, and only what is new is counted."""
    talk = pending(store)
    fork, kept = talk.fork("fork"), rows(store, "select * from items where session_id = 's'")
    fork.add([output("b", "late")])
    fork.add([assistant("zwei")], facts("Caller", 30, 3))
    answers = rows(
        store,
        "select outputs.text, calls.call_id, calls.session_id from items as outputs"
        " inner join items as calls on outputs.answers_item_id = calls.item_id"
        " where outputs.session_id = 'fork' order by outputs.item_id",
    )
    assert answers == [("done", "a", "fork"), ("late", "b", "fork")]
    fork.regenerate()
    assert fork.items() == talk.items()[:3]
    fork.add([assistant("zwo")], facts("Caller", 40, 4))
    fork.edit(1, "uno")
    assert fork.items() == [user("uno")]
    assert rows(store, "select * from items where session_id = 's'") == kept
    assert rows(store, "select session_id, total_tokens from responses order by response_id") == [
        ("s", 11),
        ("s", 22),
        ("fork", 33),
        ("fork", 44),
    ]
    assert rows(store, "select session_id, call_id, status from tool_calls order by id") == [
        ("s", "a", "ok"),
        ("s", "b", "pending"),
    ]
    assert store.check() == []


def test_a_fork_ends_at_any_place(store: duckstore.Store) -> None:
    """On the path or off it, or where the session once was; a fork is forked alike."""
    talk = begin(store)
    talk.edit(2, "zwo")
    two, then = the(store, "two"), moments(store)[3]
    places: list[tuple[Any, list[Any]]] = [
        (None, [*FIRST, user("zwo")]),
        (2, FIRST),
        (the(store, "one"), FIRST[:2]),
        (two, WHOLE[:4]),
        ({"position": 0}, []),
        ({"position": 3}, FIRST),
        (then, WHOLE),
        (then["created_at"], WHOLE),
        (datetime.now(UTC) + LATER, [*FIRST, user("zwo")]),
        (datetime(2000, 1, 1, tzinfo=UTC), []),
    ]
    for number, (place, items) in enumerate(places):
        fork = talk.fork(f"fork {number}", at=place)
        assert fork.items() == items, place
        assert fork.fork(f"fork of {number}").items() == items
    parents = rows(
        store,
        "select parent_item_id from sessions where session_id in ('fork 3', 'fork 4') order by 1",
    )
    assert parents == [(two["item_id"],), (None,)]
    assert talk.items() == [*FIRST, user("zwo")]
    assert store.check() == []


def test_a_fork_needs_a_session_that_is_not_stored(store: duckstore.Store) -> None:
    """Neither itself nor another, nor what is no session_id. Nothing is changed."""
    talk = begin(store)
    begin(store, "other")
    before = everything(store)
    for taken in ("other", "s"):
        with pytest.raises(ArgumentError, match=f"'{taken}' is in the store already: choose"):
            talk.fork(taken)
    for bad in (None, 7, b"x", "\ud800"):
        with pytest.raises(ArgumentError, match="session_id"):
            talk.fork(cast(Any, bad))
    assert everything(store) == before


@pytest.mark.parametrize(("purged", "left"), [("s", "fork"), ("fork", "s")])
def test_a_purge_of_either_leaves_the_other(store: duckstore.Store, purged: str, left: str) -> None:
    """The whole session, or an item of it."""
    talk = begin(store)
    talk.fork("fork")
    store.conversation(purged).purge(the(store, "one", purged))
    assert store.conversation(left).items() == WHOLE
    store.purge(purged)
    assert store.conversation(left).items() == WHOLE
    assert [session.session_id for session in store.sessions()] == [left]
    assert store.check() == []


def test_a_session_without_items_is_forked(store: duckstore.Store) -> None:
    store.update_session("s", title="Empty")
    fork = store.conversation("s").fork("fork")
    assert fork.items() == []
    fork.add([user("one")])
    assert rows(store, "select title, parent_item_id from sessions where session_id = 'fork'") == [
        ("Empty", None)
    ]
    assert store.check() == []


def test_a_forked_session_outlives_the_object_that_it_came_from(path: Path) -> None:
    """Each has the store open for itself, with the same settings."""

    async def use() -> None:
        async with duckstore.DuckDBSession("s", path, {"limit": 2}, keep_popped=False) as session:
            await session.add_items(cast(Any, WHOLE))
            fork = await session.fork("fork", at=2)
        assert Path(fork.db_path) == path
        assert await fork.get_items() == FIRST[-2:]
        await fork.add_items([user("three")])  # type: ignore[list-item]
        assert await fork.get_items(-1) == [*FIRST, user("three")]
        with pytest.raises(ClosedError):
            await session.get_items()
        await fork.close()
        with pytest.raises(ClosedError):
            await fork.get_items()

    run(use())
    with duckstore.open(path) as store:
        assert store.conversation("fork").items() == [*FIRST, user("three")]
        assert store.check() == []


def test_a_session_in_memory_is_forked_in_memory() -> None:
    async def use() -> None:
        async with duckstore.DuckDBSession("s") as session:
            await session.add_items(cast(Any, WHOLE))
            fork = await session.fork("fork")
            assert await fork.get_items() == WHOLE
            await fork.close()
            assert await session.get_items() == WHOLE

    run(use())


# Looking ---------------------------------------------------------------------------------------


def test_the_alternatives_of_a_message(store: duckstore.Store) -> None:
    """Each with all that tells it from the others; the message itself alone where it has none."""
    talk = begin(store)
    (alone,) = talk.alternatives(at=2)
    two = the(store, "two")
    assert (alone.rank, alone.kind, alone.text, alone.item_id) == (1, None, "two", two["item_id"])
    talk.edit(2, "zwo")
    talk.add([assistant("?")])
    talk.branch("side")
    talk.branch("deleted")
    talk.switch("side")
    talk.delete_branch("deleted")
    first, second = talk.alternatives(at=2)
    assert [getattr(first, name) for name in ("branch", "branches", "is_current")] == [
        "main~1",
        ("main~1",),
        False,
    ]
    row = the(store, "zwo")
    assert {name: getattr(second, name) for name in second.__slots__} == {
        "rank": 2,
        "item_before_id": row["parent_item_id"],
        "item_id": row["item_id"],
        "kind": "edit",
        "turn_number": 2,
        "run_id": row["run_id"],
        "role": "user",
        "item_type": "message",
        "text": "zwo",
        "branch": "main",
        "branches": ("main", "side"),
        "is_current": True,
        "created_at": row["created_at"],
    }


def test_alternatives_of_all_edit_points_stand_one_after_the_other(store: duckstore.Store) -> None:
    """In the order of what stands before them; a run means what its user said."""
    talk = begin(store)
    talk.edit(the(store, "eins"), "uno")
    talk.add([user("two")])
    talk.edit(2, "due")
    found = talk.alternatives()
    assert [(a.rank, a.text) for a in found] == [(1, "eins"), (2, "uno"), (1, "two"), (2, "due")]
    assert talk.alternatives(at=2) == found[2:]
    assert [a.text for a in talk.alternatives(at=1)] == ["one"]
    assert talk.alternatives(at=found[1]) == talk.alternatives(at=the(store, "eins")) == found[:2]
    for unknown in (9, 0, 2**80, {"item_id": 10**6}, {"item_id": 2**80}):
        assert talk.alternatives(at=unknown) == []
    begin(store, "other")
    assert talk.alternatives(at=the(store, "two", "other")) == []
    for wrong in ({"history_id": 2}, {"position": 1}, datetime.now(UTC), "1", True):
        with pytest.raises(ArgumentError, match=r"at is .*: give a run's turn_number"):
            talk.alternatives(at=cast(Any, wrong))


def test_a_branch_and_itself_have_no_difference(store: duckstore.Store) -> None:
    talk = begin(store)
    found = talk.diff("main", "main")
    assert (found.left, found.right, found.common_count, found.rows) == ("main", "main", 7, [])
    assert found.last_common is not None
    assert found.last_common.text == "zwei"


def test_a_difference_is_told_item_by_item(store: duckstore.Store) -> None:
    """Tool calls are set beside calls of the same tool and messages beside messages of the same
    role, with how far apart their texts are; what has no like stands alone."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add(
        [call("look", "a"), output("a", "kitten"), assistant("same")],
        facts("Left", 1, 1),
    )
    talk.add([user("more")])
    branch_id = talk.branch("side", at={"position": 1})
    talk.add([call("look", "b"), output("b", "sitting"), call("find", "c"), output("c")])
    talk.add([assistant("same")])
    found = talk.diff("main", branch_id)
    assert (found.left, found.right, found.common_count) == ("main", "side", 1)
    assert found.last_common is not None
    assert (found.last_common.text, found.last_common.role) == ("go", "user")
    told = [
        (row.left and row.left.text, row.right and row.right.text, row.distance)
        for row in found.rows
    ]
    assert told == [
        ("look({})", "look({})", 0.0),
        ("kitten", "sitting", 3 / 7),
        (None, "find({})", None),
        (None, "done", None),
        ("same", "same", 0.0),
        ("more", None, None),
    ]
    first = found.rows[0].left
    assert first is not None
    assert {name: getattr(first, name) for name in first.__slots__} == {
        "item_id": the(store, "look({})")["item_id"],
        "turn_number": 1,
        "item_type": "function_call",
        "role": None,
        "agent_name": "Left",
        "tool_name": "look",
        "text": "look({})",
    }
    other = talk.diff("side", "main")
    assert [(row.right, row.left) for row in other.rows if row.left and row.right] == [
        (row.left, row.right) for row in found.rows if row.left and row.right
    ]


def test_branches_that_share_nothing_are_compared_whole(store: duckstore.Store) -> None:
    """Texts of other scripts by their characters; very long ones are not measured."""
    talk = store.conversation("s")
    talk.add([user("äö"), assistant("x" * 5_000), user("y" * 5_001), user(""), user("\0")])
    talk.branch("side", at={"position": 0})
    talk.add([user("日本"), assistant("x" * 4_999), user("y"), user(""), user("\0")])
    found = talk.diff("main", "side")
    assert (found.common_count, found.last_common) == (0, None)
    assert [row.distance for row in found.rows] == [1.0, 1 / 5_000, None, 0.0, 0.0]
    talk.branch("empty", at={"position": 0})
    assert [row.right for row in talk.diff("side", "empty").rows] == [None] * 5
    assert talk.diff("empty", "empty").rows == []


def test_long_runs_of_one_tool_are_set_side_by_side(store: duckstore.Store) -> None:
    """However often it was called."""
    talk = store.conversation("s")

    def calls(count: int, text: str) -> list[Any]:
        return [
            item
            for number in range(count)
            for item in (call("look", f"{text}{number}"), output(f"{text}{number}", text))
        ]

    talk.add([user("go")])
    talk.add(calls(150, "a"))
    talk.branch("side", at={"position": 1})
    talk.add([call("find", "c"), output("c"), *calls(150, "b")])
    found = talk.diff("main", "side").rows
    assert [row.left is None for row in found] == [True] * 2 + [False] * 300
    assert [row.distance for row in found] == [None] * 2 + [0.0, 1.0] * 150


def test_messages_are_found_by_a_text(store: duckstore.Store) -> None:
    """With everything that is known of them, the earliest first; by role, with what is
    superseded, and not more than a limit."""
    talk = begin(store)
    talk.add([user("and one more")])
    talk.edit(3, "one is enough")
    row = the(store, "one is enough")
    first, second = talk.find("ONE")
    assert first.text == "one"
    assert {name: getattr(second, name) for name in second.__slots__} == {
        "item_id": row["item_id"],
        "run_id": row["item_id"],
        "turn_number": 3,
        "position": 8,
        "branch": "main",
        "role": "user",
        "agent_name": None,
        "text": "one is enough",
        "is_current": True,
        "created_at": row["created_at"],
    }
    found = talk.find("one", superseded=True)
    assert [(m.text, m.branch, m.is_current) for m in found] == [
        ("one", "main~1", True),
        ("and one more", "main~1", False),
        ("one is enough", "main", True),
    ]
    assert talk.find("one", superseded=True, limit=2) == found[:2]
    assert talk.find("one", limit=0) == []
    assert talk.find("one", limit=2**80) == [first, second]
    assert [m.text for m in talk.find("e", role="assistant")] == ["eins", "zwei"]
    assert [m.role for m in talk.find("brief", role="system")] == ["system"]
    assert talk.find("one", role="tool") == talk.find("look") == talk.find("done") == []
    assert len(talk.find("")) == 6
    assert store.conversation("other").find("one") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("äö", ["ÄÖ", "äö"]),
        ("A\u0308O\u0308", ["ÄÖ", "äö"]),
        ("σας", ["ΣΑΣ", "σας", "σασ"]),
        ("ΣΑΣ", ["ΣΑΣ", "σας", "σασ"]),
        ("istanbul", ["İstanbul", "ISTANBUL"]),
        ("İSTANBUL", ["İstanbul", "ISTANBUL"]),
        ("привет", ["ПРИВЕТ"]),
        ("a\0b", ["A\0B"]),
        ("b", ["A\0B", "İstanbul", "ISTANBUL", "a\\b"]),
        ("\ud800", ["<\ufffd>"]),
        ("%", ["100%_"]),
        ("_", ["100%_"]),
        ("\\", ["a\\b"]),
        ("日", ["日本"]),
        ("'\"", ["'\""]),
        ("nothing", []),
    ],
)
def test_a_search_is_of_any_script(text: str, found: list[str]) -> None:
    """Case and composition make no difference; no character has a meaning of its own."""
    talk = words()
    assert sorted(message.text for message in talk.find(text)) == sorted(found)


WORDS = ["ÄÖ", "äö", "ΣΑΣ", "σας", "σασ", "İstanbul", "ISTANBUL", "ПРИВЕТ", "A\0B", "<\ud800>"]
WORDS += ["100%_", "a\\b", "日本", "'\""]


@cache
def words() -> Conversation:
    """A conversation of single words, which stays open for all who search in it."""
    talk = duckstore.open().conversation("words")
    talk.add([user(word) for word in WORDS])
    return talk


def test_a_search_for_something_else_is_told(store: duckstore.Store) -> None:
    talk = begin(store)
    for name, value in [
        *(("text", value) for value in (None, 7, b"one", ["one"])),
        *(("role", value) for value in (7, b"user")),
        *(("limit", value) for value in (-1, "1", 1.0, True)),
    ]:
        with pytest.raises(ArgumentError, match=f"{name} is .*: give a (text|whole number)"):
            talk.find(**{"text": "one", name: cast(Any, value)})


# Purge an item ---------------------------------------------------------------------------------

MARKER = "marker-7f3a"


def test_what_is_purged_is_gone_from_everything(store: duckstore.Store, tmp_path: Path) -> None:
    """The item and all that follows it on any branch: from every relation, every read and every
    export; what stands before it stays, and the name main with it. And so it is when the store is
    opened again."""
    talk = begin(store)
    talk.add([user(f"{MARKER}?")], facts("A", 1, 1))
    talk.add(
        [call("look", "b", MARKER), output("b", MARKER), assistant(MARKER)],
        facts(MARKER, 1, 1),
    )
    talk.edit(3, f"edited {MARKER}")
    talk.branch("before", at={"position": 3})
    talk.add([user("kept")])
    talk.branch(f"on {MARKER}", at=the(store, MARKER))
    talk.add([user(f"more {MARKER}")])
    assert holds(store, MARKER) != []
    talk.purge(talk.find(MARKER)[0])
    # What was an alternative to it, and does not follow it, is there still.
    assert {m.text for m in talk.find(MARKER, superseded=True)} == {f"edited {MARKER}"}
    talk.purge(the(store, f"edited {MARKER}"))
    assert holds(store, MARKER) == []
    path = store.path

    def look(store: duckstore.Store, folder: Path) -> None:
        talk = store.conversation("s")
        assert holds(store, MARKER) == []
        store.export_parquet(folder)
        for relation in RELATIONS:
            assert MARKER not in str(pl.read_parquet(folder / relation).rows())
        assert talk.items(branch="before") == [*FIRST, user("kept")]
        assert [talk.items(branch=name) for name in names(talk) if name != "before"].count(WHOLE)
        assert "main" in names(talk)
        assert MARKER not in str(talk.items())
        assert talk.find(MARKER, superseded=True) == []
        assert store.check() == []

    look(store, tmp_path / "one")
    assert "purge" in operations(store)
    store.close()
    with duckstore.open(path) as again:
        look(again, tmp_path / "two")


def test_branches_and_summaries_that_follow_vanish(store: duckstore.Store) -> None:
    """What came after a summary of the item too. What a branch shares with others stays, and the
    branch that is left is main."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("eins")])
    talk.add([user(MARKER), assistant("zwei")])
    talk.replace_all([user("summary")])
    talk.add([assistant("go on")])
    talk.branch("after", at={"position": 1})
    talk.add([assistant("else")])
    talk.purge(the(store, MARKER))
    assert names(talk) == ["main"]
    assert (current(talk), talk.items()) == ("main", [user("one"), assistant("eins")])
    assert rows(store, "select text, is_current from items order by item_id") == [
        ("one", True),
        ("eins", True),
    ]
    talk.add([user("again")])
    assert talk.items() == [user("one"), assistant("eins"), user("again")]
    assert names(talk) == ["main"]
    assert store.check() == []


def test_a_purge_elsewhere_leaves_the_path(store: duckstore.Store) -> None:
    """A branch that shares no more than what stands before the item is as it was."""
    talk = begin(store)
    talk.edit(2, "zwo")
    talk.add([assistant("!")])
    talk.purge(the(store, "two"))
    assert talk.items() == [*FIRST, user("zwo"), assistant("!")]
    assert talk.items(branch="main~1") == FIRST
    assert points(store) == []
    assert store.check() == []


def test_the_usage_of_what_was_purged_is_gone(store: duckstore.Store) -> None:
    """And that of what stands before it is not."""
    talk = store.conversation("s")
    for number in (1, 2, 3):
        talk.add([user(str(number))])
        talk.add([assistant(f"answer {number}")], facts("A", 10, 1))
    talk.edit(3, "other")
    talk.add([assistant("answer 4")], facts("A", 20, 2))
    talk.purge(the(store, "answer 2"))
    for relation in ("responses", "response_rows"):
        assert rows(store, f"select total_tokens from {relation}") == [(11,)]
    usage = talk.get_session_usage()
    assert usage is not None
    assert usage["total_tokens"] == 11
    assert store.check() == []


def test_all_of_a_conversation_is_purged_by_its_first_item(store: duckstore.Store) -> None:
    """The session stays, empty, and goes on."""
    talk = begin(store)
    talk.edit(1, "uno")
    talk.branch("side")
    begin(store, "other")
    talk.purge(the(store, "be brief"))
    assert (talk.items(), names(talk)) == ([], ["main"])
    talk.add([user("new")])
    assert talk.items() == [user("new")]
    assert store.conversation("other").items() == WHOLE
    assert len(store.sessions()) == 2
    assert store.check() == []


def test_an_item_to_purge_must_be_the_sessions_own(store: duckstore.Store) -> None:
    """Another session's, an unknown one and what is no item are told; nothing is changed."""
    talk = begin(store)
    begin(store, "other")
    before = everything(store)
    for item in (the(store, "two", "other"), {"item_id": 10**6}, {"item_id": 2**80}):
        with pytest.raises(ArgumentError, match="session 's' has no item"):
            talk.purge(item)
    for wrong in (2, True, "two", {"history_id": 2}, {"position": 1}, datetime.now(UTC)):
        with pytest.raises(ArgumentError, match=r"item is .*: give"):
            talk.purge(cast(Any, wrong))
    with pytest.raises(ArgumentError, match="has no item"):
        store.conversation("new").purge(the(store, "two"))
    assert everything(store) == before
    with pytest.raises(ArgumentError, match="item is None: give"):
        talk.purge(cast(Any, None))


# One current branch for all --------------------------------------------------------------------


def test_the_current_branch_belongs_to_the_stored_session(
    store: duckstore.Store, path: Path
) -> None:
    """Every object is on it, in this process and in another, and when it is opened again."""
    one, other = begin(store), duckstore.DuckDBSession("s", path)
    code = """
import asyncio, duckstore
async def use():
    async with duckstore.DuckDBSession("s", {path!r}) as session:
        print(len(await session.get_items()))
        {act}
asyncio.run(use())
"""

    def elsewhere(act: str) -> str:
        return python(code.format(path=str(path), act=act))

    run(other.branch("side", at={"position": 3}))
    assert one.items() == FIRST
    assert elsewhere("await session.edit(1, 'uno')") == "3"
    assert one.items() == run(other.get_items()) == [system("be brief"), user("uno")]
    one.switch("main")
    assert elsewhere("await session.rewind(2)") == "7"
    assert one.items() == run(other.get_items()) == FIRST
    other.close()
    store.close()
    with duckstore.open(path) as again:
        assert again.conversation("s").items() == FIRST
        assert current(again.conversation("s")) == "main"
        assert again.check() == []


# The async session -----------------------------------------------------------------------------


def test_the_async_session_has_the_same_methods() -> None:
    """Under the same names, with the same parameters and defaults."""
    own = {name: f for name, f in vars(Branching).items() if not name.startswith("_")}
    assert len(own) == 13
    own["purge"] = Conversation.purge
    for name, method in own.items():
        face = getattr(duckstore.DuckDBSession, name)
        assert inspect.iscoroutinefunction(face), name
        ours, theirs = (inspect.signature(f).parameters.values() for f in (method, face))
        assert [(p.name, p.kind, p.default) for p in ours] == [
            (p.name, p.kind, p.default) for p in theirs
        ]


def test_the_async_session_does_the_same(store: duckstore.Store, path: Path) -> None:
    """Every method once, and the same answers but for ids and times; closed, it says so."""
    talk, session = begin(store, "sync"), duckstore.DuckDBSession("async", path)
    begin(store, "async")
    done: list[list[Any]] = [[], []]

    def both(name: str, *values: Any, **more: Any) -> None:
        done[0].append(getattr(talk, name)(*values, **more))
        done[1].append(run(getattr(session, name)(*values, **more)))
        assert talk.items() == run(session.get_items())

    both("edit", 2, "zwo")
    both("rewind", {"position": 2})
    both("regenerate")
    both("branch", "side", at={"position": 1})
    both("switch", "main~1")
    both("rename", "side", "aside")
    both("branches")
    both("find", "o", role="user", superseded=True, limit=2)
    both("alternatives", at=1)
    both("diff", "main", "main~1")
    both("at", datetime.now(UTC))
    both("delete_branch", "aside")
    both("delete_branch", "main~1", force=True)
    done[0].append(talk.fork("fork of sync", at={"position": 2}).items())
    done[1].append(run(run(session.fork("fork of async", at={"position": 2})).get_items()))
    told = [
        re.sub(r"(id=|^)\d+|datetime\([^)]*\)", "", "\n".join(map(str, answers)), flags=re.M)
        for answers in done
    ]
    assert told[0] == told[1]
    assert "aside" in told[0]
    session.close()
    for name, values in {"edit": (1, "x"), "branches": (), "fork": ("x",), "at": (1,)}.items():
        with pytest.raises(ClosedError):
            run(getattr(session, name)(*values))
    assert store.check() == []


# An agent that answers what was said before ----------------------------------------------------


def acting(act: Callable[[], Awaitable[None]], **settings: Any) -> Any:
    """An agent whose tool does something with the session while the agent is at work."""

    @function_tool
    async def act_now() -> str:
        await act()
        return "acted"

    return agent(
        "Actor",
        step(1, function_call("act_now", "{}", call_id="act")),
        step(2, assistant_message("Late.")),
        tools=cast(list[Tool], [act_now]),
        **settings,
    )


def words_of(items: list[Any]) -> list[str]:
    """What was said, or the kinds of what is no message."""
    return [
        item["type"]
        if "content" not in item
        else item["content"]
        if isinstance(item["content"], str)
        else item["content"][0]["text"]
        for item in items
    ]


ANSWER = ["function_call", "function_call_output", "Late."]
BEFORE = ["hello", "Hello.", "again"]

Act = Callable[[duckstore.DuckDBSession], Awaitable[Any]]


async def edits(session: duckstore.DuckDBSession) -> None:
    await session.edit(1, "good evening")


async def rewinds(session: duckstore.DuckDBSession) -> None:
    await session.rewind(2)


async def switches(session: duckstore.DuckDBSession) -> None:
    await session.switch("early")


async def goes_back_and_asks(session: duckstore.DuckDBSession) -> None:
    await session.rewind(2)
    await session.add_items([user("else")])  # type: ignore[list-item]


async def leaves_and_deletes(session: duckstore.DuckDBSession) -> None:
    await session.switch("early")
    await session.rename("main", "left")
    await session.rename("early", "main")
    await session.delete_branch("left")


ACTS: dict[str, tuple[Act, str, list[str], str]] = {
    # What is done, the path afterwards, and the branch that has the answer
    "edit": (edits, "edit", ["good evening"], "main~1"),
    "rewind": (rewinds, "rewind", ["hello", "Hello."], ""),
    "switch": (switches, "switch", ["hello"], "main"),
    "rewind and ask": (goes_back_and_asks, "edit", ["hello", "Hello.", "else"], "main~1"),
    "delete": (leaves_and_deletes, "delete", ["hello"], "left"),
}


@streamed_or_not
@pytest.mark.parametrize("kind", ACTS)
def test_a_late_answer_goes_to_the_branch_that_it_answers(
    store: duckstore.Store, path: Path, kind: str, streamed: bool
) -> None:
    """Whatever another object did to the session meanwhile: the path is as that left it, the
    answer stands after its question, and the history shows the way there and back."""
    act, operation, left, branch = ACTS[kind]
    session, other = store.session("s"), duckstore.DuckDBSession("s", path)

    async def talk() -> list[str]:
        await go(plain(), "hello", session, streamed=streamed)
        await session.branch("early", at={"position": 1})
        await session.switch("main")
        seen: list[str] = []

        async def act_and_look() -> None:
            await act(other)
            seen.extend(operations(store))

        await go(acting(act_and_look), "again", session, streamed=streamed)
        other.close()
        return seen

    seen = run(talk())
    assert operation in seen
    late = operations(store)[len(seen) :]
    back = (
        ["switch", "append", "switch", "delete"]
        if kind == "delete"
        else ["switch", "append", "switch"]
    )
    assert late == back * (len(late) // len(back))
    assert len(late) >= len(back)
    assert words_of(run(session.get_items())) == left
    conversation = store.conversation("s")
    if kind == "delete":
        assert branch not in names(conversation)
        texts = rows(store, "select text, is_current from items where text = 'Late.'")
        assert texts == [("Late.", False)]
    elif kind == "rewind":
        conversation.rewind(the(store, "Late."))
        assert current(conversation) == "main"
        assert words_of(conversation.items()) == [*BEFORE, *ANSWER]
    else:
        assert words_of(conversation.items(branch=branch)) == [*BEFORE, *ANSWER]
    calls = rows(store, "select status, output from tool_calls")
    assert calls == [("ok", "acted")]
    assert rows(store, "select sum(total_tokens) from responses") == [(1100 + 1100 + 2200,)]
    assert store.check() == []


@streamed_or_not
@pytest.mark.parametrize("gone", ["cleared", "purged", "purged by an item"])
def test_a_late_answer_to_what_is_gone_is_added_to_what_is_there(
    store: duckstore.Store, path: Path, gone: str, streamed: bool
) -> None:
    """The session was cleared or purged while the agent was at work."""
    session, other = store.session("s"), duckstore.DuckDBSession("s", path)

    async def talk() -> None:
        await go(plain(), "hello", session, streamed=streamed)
        await session.branch("side", at={"position": 1})
        await session.switch("main")

        async def act() -> None:
            if gone == "cleared":
                await other.clear_session()
            elif gone == "purged":
                other._conversation.purge_session()
            else:
                await other.purge((await other.find("again"))[0])

        await go(acting(act), "again", session, streamed=streamed)
        other.close()

    run(talk())
    left = ["hello", "Hello."] if gone == "purged by an item" else []
    assert words_of(run(session.get_items())) == [*left, *ANSWER]
    assert "again" not in str(everything(store))
    assert store.check() == []


def test_a_late_answer_to_a_branch_that_was_purged_goes_where_the_path_is(
    store: duckstore.Store, path: Path
) -> None:
    """Not to where the session was in between; and so it is when the store is opened again."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("eins"), user("two")])
    talk.branch("asked")
    course = talk.read().course
    talk.branch("between", at={"position": 2})
    talk.branch("now", at={"position": 2})
    talk.purge(the(store, "two"))

    def answer(store: duckstore.Store, text: str) -> None:
        late = Seen(course=course)
        store.conversation("s").add([assistant(text)], late)

    answer(store, "first")
    store.close()
    with duckstore.open(path) as again:
        answer(again, "second")
        talk = again.conversation("s")
        assert talk.items() == [
            user("one"),
            assistant("eins"),
            assistant("first"),
            assistant("second"),
        ]
        assert current(talk) == "now"
        assert talk.items(branch="between") == [user("one"), assistant("eins")]
        assert again.check() == []


@streamed_or_not
def test_what_a_run_takes_back_itself_is_no_other_course(
    store: duckstore.Store, streamed: bool
) -> None:
    """Pops and appends while it is at work, such as the SDK's own before it tries again, leave
    it on the path."""
    session, other = store.session("s"), store.session("s")

    async def act() -> None:
        popped = [await other.pop_item(), await other.pop_item()]
        await other.add_items(cast(Any, popped[::-1]))

    async def talk() -> None:
        await go(plain(), "hello", session, streamed=streamed)
        await go(acting(act), "again", session, streamed=streamed)

    run(talk())
    assert words_of(run(session.get_items())) == [*BEFORE, *ANSWER]
    assert "switch" not in operations(store)
    assert [point[:3] for point in points(store)] == [
        ("regenerate", 1, "Hello."),
        ("regenerate", 2, "Hello."),
    ]
    assert store.check() == []


def test_two_agents_answer_two_branches_at_once(store: duckstore.Store) -> None:
    """Each its own, whichever is the current one when it has done."""
    session = store.session("s")

    async def talk() -> None:
        await go(plain(), "hello", session, streamed=False)

        async def ask_elsewhere() -> None:
            await session.edit(1, "good evening")
            await go(plain(), [], store.session("s"), streamed=False)

        await go(acting(ask_elsewhere), "again", session, streamed=False)

    run(talk())
    talk_now = store.conversation("s")
    assert words_of(talk_now.items()) == ["good evening", "Hello."]
    assert words_of(talk_now.items(branch="main~1")) == [*BEFORE, *ANSWER]
    assert store.check() == []


# Compaction and input callbacks ----------------------------------------------------------------


def test_a_conversation_that_was_edited_is_compacted(store: duckstore.Store) -> None:
    """The summary takes the place of the path; branches, usage and all items are still there."""
    session, service = store.session("s"), Compactor()
    run(go(plain(), "hello", session, streamed=False))
    run(session.edit(1, "good evening"))
    run(go(plain(), [], compacting(session, service), streamed=False))
    assert run(session.get_items()) == [SUMMARY]
    assert words_of(service.inputs[0]) == ["good evening", "Hello."]
    talk = store.conversation("s")
    assert {b.name: b.kind for b in talk.branches()} == {
        "main~1": "root",
        "main~2": "edit",
        "main": "compact",
    }
    assert words_of(talk.items(branch="main~1")) == ["hello", "Hello."]
    assert words_of(talk.items(branch="main~2")) == ["good evening", "Hello."]
    assert rows(store, "select is_current, is_archived from items order by item_id") == [
        *[(False, False)] * 2,
        *[(False, True)] * 2,
        (True, False),
    ]
    # What a wrapping session adds comes without the run that it is from, and its usage.
    assert rows(store, "select agent_name, total_tokens from responses") == [
        ("Greeter", 1100),
        ("Greeter", None),
    ]
    assert [(kind, text) for kind, _, text, _ in points(store)][:2] == [
        ("edit", "hello"),
        ("edit", "good evening"),
    ]
    talk.edit(the(store, "good evening"), "good night")  # what was compacted can be edited still
    assert words_of(talk.items()) == ["good night"]
    assert store.check() == []


def test_an_edit_while_a_summary_is_made_is_not_lost(store: duckstore.Store) -> None:
    """The summary of what is not the path any more is given up."""

    async def overtake() -> None:
        session = store.session("s")
        await session.add_items(cast(Any, WHOLE))
        snapshot = await session._get_compaction_snapshot(10)
        assert snapshot is not None
        await store.session("s").edit(2, "zwo")
        assert not await snapshot.replace_suffix(0, [SUMMARY])
        assert await session.get_items() == [*FIRST, user("zwo")]

    run(overtake())
    assert names(store.conversation("s")) == ["main~1", "main"]


def test_the_run_that_was_compacted_is_named_by_its_items(store: duckstore.Store) -> None:
    """A run's number means nothing where a summary has taken its beginning; its items are there."""
    talk = begin(store)
    talk.replace_all([user("summary")])
    for change in (lambda: talk.rewind(2), lambda: talk.edit(2, "zwo")):
        with pytest.raises(ArgumentError, match=r"run 2 .* was replaced by a compaction: name one"):
            change()
    talk.rewind(the(store, "two"))
    assert talk.items() == [*FIRST, user("two")]
    assert store.check() == []


@streamed_or_not
def test_an_input_callback_sees_the_edited_path(store: duckstore.Store, streamed: bool) -> None:
    """What it leaves out of a model's input is in the store all the same, and so is the rest."""
    given: list[list[str]] = []

    def only_new(old: list[Any], new: list[Any]) -> list[Any]:
        given.append(words_of(old))
        return new

    config = RunConfig(tracing_disabled=True, session_input_callback=only_new)
    session = store.session("s")
    run(go(plain(), "hello", session, streamed=streamed))
    run(session.edit(1, "good evening"))
    run(go(plain(), [], session, streamed=streamed, run_config=QUIET))
    run(go(plain(), "and?", session, streamed=streamed, run_config=config))
    assert given == [["good evening", "Hello."]]
    talk = store.conversation("s")
    assert words_of(talk.items()) == ["good evening", "Hello.", "and?", "Hello."]
    assert words_of(talk.items(branch="main~1")) == ["hello", "Hello."]
    assert rows(store, "select count(*), sum(total_tokens) from responses") == [(3, 3300)]
    assert store.check() == []


def test_who_edits_what_an_alternative_replaced_stays_on_the_name(store: duckstore.Store) -> None:
    """However often the first version is edited by its id, the current branch is main."""
    talk = store.conversation("s")
    talk.add([user("one")])
    talk.add([assistant("1")])
    (first,) = talk.find("one")
    for number in range(3):
        talk.edit(first, f"edit {number}")
        talk.add([assistant(f"answer {number}")])
    names = {branch.name: branch.is_current for branch in talk.branches()}
    assert names == {"main~1": False, "main~2": False, "main~3": False, "main": True}
    assert [a.text for a in talk.alternatives(at=first)] == ["one", "edit 0", "edit 1", "edit 2"]
    assert talk.items(branch="main~1") == [user("one"), assistant("1")]
    assert store.check() == []


def test_a_fork_that_goes_on_in_a_run_has_that_run(store: duckstore.Store) -> None:
    """Its runs and their count say the same."""
    talk = store.conversation("s")
    talk.add([user("one")])
    fork = talk.fork("fork")
    fork.add([assistant("1")])
    fork.add([user("two")])
    runs = store.sql(
        "select user_message, assistant_message, turn_number from runs"
        " where session_id = 'fork' order by id"
    ).rows()
    assert runs == [("one", "1", 1), ("two", None, 2)]
    (counted,) = store.sessions(search="fork")
    assert counted.run_count == 2
    assert store.check() == []


def test_an_answer_that_was_asked_for_anew_stands_beside_the_first(
    store: duckstore.Store,
) -> None:
    """Even if its question was edited while it was made: it is an alternative, not a sequel."""
    talk = store.conversation("s")
    talk.add([user("one")])
    talk.add([assistant("1")])
    talk.regenerate()
    facts = Seen(course=talk.read().course)
    talk.edit(1, "two")
    talk.add([assistant("2")])
    talk.add([call("look", "c")], facts)
    talk.add([output("c")], facts)
    talk.add([assistant("uno")], facts)
    assert talk.items() == [user("two"), assistant("2")]
    paths = [talk.items(branch=branch.name) for branch in talk.branches()]
    assert [user("one"), assistant("1")] in paths
    assert [user("one"), call("look", "c"), output("c"), assistant("uno")] in paths
    assert len(paths) == 3
    assert store.check() == []


def test_a_name_of_the_only_branch_stays_when_sessions_are_found_by_their_index(
    path: Path,
) -> None:
    """A session that is nothing but renamed is read back with that name, however it is found."""
    with duckstore.open(path) as store:
        for number in range(8):
            store.conversation(f"s{number}").add([user("one")])
        store.conversation("s0").rename("main", "draft")
    with duckstore.open(path) as store:
        for number in range(7, 0, -1):  # until the index is worth its while
            store.conversation(f"s{number}").add([user("two")])
        store._access.engine.sessions.build_index()
        store.conversation("s0").add([user("two")])
        assert [branch.name for branch in store.conversation("s0").branches()] == ["draft"]
        store._access.engine.forget("s0")
        store.conversation("s0").switch("draft")
        assert len(store.conversation("s0").items()) == 2
