"""Importing a conversation again, grown, in pieces: every item once, and everything where it is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

import duckstore
from duckstore import errors
from duckstore.command import Command
from duckstore.importing.preparing import prepare
from duckstore.telemetry import Seen
from duckstore.transcript import Transcript, TranscriptResponse
from duckstore.usage import Usage
from tests.processes import ROOT
from tests.samples import assistant, call, output, user

START = datetime(2025, 1, 1, 12, tzinfo=UTC)


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def bring(store: duckstore.Store, transcript: Transcript) -> dict[str, Any]:
    """Import a transcript; what the operation answers."""
    prepared = prepare(store._access, transcript)
    answer: dict[str, Any] = store._access.run(prepared.command(prepared.session_id))
    return answer


def part_of(whole: Transcript, length: int) -> Transcript:
    """A conversation when it had so many items."""
    return replace(
        whole,
        items=whole.items[:length],
        parents=whole.parents[:length] if whole.parents is not None else None,
        created_at=whole.created_at[:length] if whole.created_at is not None else None,
        agent_names=whole.agent_names[:length] if whole.agent_names is not None else None,
        responses=[told for told in whole.responses if told.item_index < length],
        branches={name: index for name, index in whole.branches.items() if index < length},
        last_index=None,
    )


# The relations without ids and names: items stand for the place at which they came.
FACTS = {
    "sessions": """
        select title, user_id, tags, metadata::varchar, source, created_at, updated_at, item_count,
            run_count, first_user_message
        from sessions where session_id = $session_id
    """,
    "items": """
        select numbered.place, position, before, run.place, turn_number, response.place, item_type,
            role, call_id, tool_name, agent_name, answered.place, text, item, created_at,
            is_current, is_archived
        from numbered
        left join places as run on numbered.run_id = run.item_id
        left join places as response on numbered.response_id = response.item_id
        left join places as answered on numbered.answers_item_id = answered.item_id
        where numbered.session_id = $session_id
        order by numbered.place
    """,
    "runs": """
        select session_id, user_message, assistant_message, created_at, turn_number, status,
            ended_at, duration_seconds, response_count, tool_call_count, tool_error_count,
            input_tokens, output_tokens, total_tokens, tool_names, is_current
        from runs where session_id = $session_id order by all
    """,
    "tool_calls": """
        select session_id, tool_name, arguments, output, created_at, call_id, turn_number,
            agent_name, status, call_index, parallel_count, is_current
        from tool_calls where session_id = $session_id order by all
    """,
    "responses": """
        select places.place, turn_number, agent_name, model, provider_response_id,
            input_tokens, output_tokens, total_tokens, finish_reason, created_at, is_current
        from responses left join places on responses.response_id = places.item_id
        where responses.session_id = $session_id order by all
    """,
    "branches": """
        select session_id, fork_position, kind, is_current, created_at, list(place order by place)
        from branches left join branch_items using (branch_id) left join places using (item_id)
        where session_id = $session_id
        group by all order by all
    """,
    "edit_points": """
        select session_id, place, kind, rank, alternative_count, position, turn_number, text,
            is_current
        from edit_points left join places on alternative_item_id = item_id
        where session_id = $session_id order by all
    """,
}
PLACES = """
    with places as (
        select
            item_id,
            row_number() over (partition by session_id order by item_id) as place
        from items
    ),
    numbered as (
        select items.*, places.place, parents.place as before
        from items
        inner join places on items.item_id = places.item_id
        left join places as parents on items.parent_item_id = parents.item_id
    )
"""


def facts(store: duckstore.Store, session_id: str) -> dict[str, list[Any]]:
    names = {"session_id": session_id}
    return {name: store._access.rows(PLACES + sql, names).rows for name, sql in FACTS.items()}


def paths_of(transcript: Transcript) -> set[tuple[str, ...]]:
    """The items of every way from an opening to an end."""
    length = len(transcript.items)
    parents = transcript.parents or range(-1, length - 1)
    found = set()
    for end in set(range(length)) - set(parents):
        path = []
        while end >= 0:
            path.append(json.dumps(transcript.items[end]))
            end = parents[end]
        found.add(tuple(reversed(path)))
    return found


def branches_of(store: duckstore.Store, session_id: str) -> set[tuple[str, ...]]:
    talk = store.conversation(session_id)
    return {
        tuple(json.dumps(item) for item in talk.items(branch=branch.branch_id))
        for branch in talk.branches()
    }


# Growing ------------------------------------------------------------------------------------------

USAGE = Usage(1, 100, 10, 0, 0, 0, 110)


@st.composite
def conversations(draw: st.DrawFn) -> Transcript:
    """A tree of few different items, so that alternatives are often alike."""
    length = draw(st.integers(1, 14))
    item = st.sampled_from(
        [
            *(user("one"), user("two"), assistant("yes"), assistant("no")),
            *(call("find", "a"), call("look", "b"), output("a"), output("b"), output("a", "x")),
        ]
    )
    parents = [-1]
    for index in range(1, length):
        parents.append(draw(st.sampled_from([index - 1] * 4 + list(range(-1, index)))))
    items = draw(st.lists(item, min_size=length, max_size=length))
    told = [index for index in range(length) if items[index].get("role") == "assistant"]
    return Transcript(
        "s",
        items,
        parents,
        created_at=[at(index) for index in range(length)],
        agent_names=[draw(st.sampled_from(["a", "b", None])) for _ in range(length)],
        responses=[
            TranscriptResponse(index, USAGE, "model") for index in told if draw(st.booleans())
        ],
        source="test",
    )


@pytest.mark.parametrize("examples", [8, pytest.param(400, marks=pytest.mark.slow)])
def test_a_conversation_that_grew_is_as_if_it_had_been_imported_whole(examples: int) -> None:
    """In whatever pieces it came, and however often each of them; relation by relation."""
    numbers = count()
    with duckstore.open() as pieces, duckstore.open() as once:

        @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
        @given(whole=conversations(), data=st.data())
        def grow(whole: Transcript, data: st.DataObject) -> None:
            name = f"s{next(numbers)}"
            whole = replace(whole, session_id=name)
            length = len(whole.items)
            cuts = [*sorted(data.draw(st.sets(st.integers(1, length), max_size=4))), length]
            for cut in cuts:
                bring(pieces, part_of(whole, cut))
                again = bring(pieces, part_of(whole, cut))
                assert (again["items"], again["responses"]) == (0, 0)
            bring(once, whole)
            assert facts(pieces, name) == facts(once, name)
            assert branches_of(pieces, name) == paths_of(whole)
            assert pieces.conversation(name).items() == once.conversation(name).items()

        grow()
        assert pieces.check() == []
        assert once.check() == []


@st.composite
def distinct(draw: st.DrawFn) -> Transcript:
    """A tree whose alternatives differ."""
    length = draw(st.integers(1, 10))
    parents = [-1] + [draw(st.integers(-1, index - 1)) for index in range(1, length)]
    return Transcript("s", [user(f"item {index}") for index in range(length)], parents)


def subtree(whole: Transcript, kept: set[int]) -> Transcript:
    """The items that are kept, with all before them."""
    assert whole.parents is not None
    for index in sorted(kept, reverse=True):
        while index >= 0:
            kept.add(index)
            index = whole.parents[index]
    places = {index: place for place, index in enumerate(sorted(kept))} | {-1: -1}
    return replace(
        whole,
        items=[whole.items[index] for index in sorted(kept)],
        parents=[places[whole.parents[index]] for index in sorted(kept)],
    )


@pytest.mark.parametrize("examples", [10, pytest.param(300, marks=pytest.mark.slow)])
def test_pieces_in_any_order_make_the_whole_tree(examples: int) -> None:
    """Each item is there once, and every way can be read."""
    numbers = count()
    with duckstore.open() as store:

        @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
        @given(whole=distinct(), data=st.data())
        def grow(whole: Transcript, data: st.DataObject) -> None:
            whole = replace(whole, session_id=f"s{next(numbers)}")
            everything = range(len(whole.items))
            pieces = st.sets(st.sampled_from(everything), min_size=1)
            for piece in data.draw(st.lists(pieces, max_size=3)):
                bring(store, replace(subtree(whole, piece), source="one"))
            shared = bring(store, replace(whole, source="one"))
            if shared["is_another"]:
                return  # no opening of the pieces is its own: never, as they are of one tree
            found = branches_of(store, whole.session_id)
            assert paths_of(whole) <= found
            items = store._access.rows(
                "select count(*), count(distinct item) from items where session_id = $name",
                {"name": whole.session_id},
            ).rows
            assert items == [(len(whole.items), len(whole.items))]

        grow()
        assert store.check() == []


# What arrives ----------------------------------------------------------------------------------


def talk(**facts: Any) -> Transcript:
    """A conversation of two runs with a tool call, half a minute long."""
    items = [
        *(user("one"), call("find", "c"), output("c"), assistant("1")),
        *(user("two"), assistant("2")),
    ]
    moments = [at(second) for second in (0, 2, 5, 6, 20, 30)]
    return Transcript("s", items, created_at=moments, **facts)


def rows(store: duckstore.Store, sql: str) -> list[Any]:
    return store._access.rows(sql).rows


def test_everything_that_is_told_arrives(store: duckstore.Store) -> None:
    """Times, agents, responses with usage and model, and what describes the session."""
    counted = Usage(1, 10, 2, 4, 0, 1, 12)
    bring(
        store,
        talk(
            agent_names=["x", "a", "x", "a", "x", "b"],
            responses=[
                TranscriptResponse(1, counted, "m", "r1", "tool_calls"),
                TranscriptResponse(5, None, "n"),
                TranscriptResponse(4, counted, "of a question"),
            ],
            title="A talk",
            user_id="u",
            tags=["t"],
            metadata={"k": [1, float("nan")]},
            source="elsewhere",
            session_created_at=at(-5),
        ),
    )
    assert rows(
        store,
        "select title, user_id, tags, metadata::varchar, source, epoch(created_at - $1), "
        "epoch(updated_at) from sessions".replace("$1", f"'{START.isoformat()}'::timestamptz"),
    ) == [("A talk", "u", ["t"], '{"k": [1, null]}', "elsewhere", -5.0, at(30).timestamp())]
    assert rows(store, "select epoch(created_at), agent_name from items order by item_id") == [
        (at(second).timestamp(), agent)
        for second, agent in zip(
            (0, 2, 5, 6, 20, 30), (None, "a", "x", "a", None, "b"), strict=True
        )
    ]
    assert rows(store, "select duration_seconds, status from runs order by id") == [
        (6.0, "completed"),
        (10.0, "completed"),
    ]
    assert rows(
        store,
        "select model, provider_response_id, finish_reason, input_tokens,"
        " cache_read_input_tokens, total_tokens from responses order by response_id",
    ) == [
        ("m", "r1", "tool_calls", 10, 4, 12),
        (None, None, None, None, None, None),
        ("n", None, None, None, None, None),
    ]
    assert store.check() == []
    assert store.conversation("s").at(at(6)) == talk().items[:4]
    assert store.conversation("s").at(at(29)) == talk().items[:5]


def test_what_is_not_told_is_not_made_up(store: duckstore.Store) -> None:
    """An item without a time has that of the one before it, or of the next; else that of the
    import. What is known of no response makes no row."""
    moments = [None, at(1), None, None, at(20), None]
    bring(store, replace(talk(responses=[TranscriptResponse(1)]), created_at=moments))
    bring(store, Transcript("untimed", [user("x")]))
    assert rows(store, "select epoch(created_at) from items where session_id = 's'") == [
        (at(second).timestamp(),) for second in (1, 1, 1, 1, 20, 20)
    ]
    ((now,),) = rows(store, "select created_at > '2026-01-01' from items where session_id <> 's'")
    assert now
    assert rows(store, "select count(*) from response_rows") == [(0,)]


def branch_names(store: duckstore.Store) -> list[tuple[str, bool, int]]:
    return rows(
        store,
        "select name, is_current, count(item_id) from branches left join branch_items"
        " using (branch_id) group by branch_id, name, is_current order by branch_id",
    )


TREE = [user("one"), assistant("1"), user("two"), user("other"), assistant("?")]
PARENTS = [-1, 0, 1, 1, 3]


@pytest.mark.parametrize(
    ("facts", "expected", "current"),
    [
        ({}, [("main~1", False, 3), ("main", True, 4)], TREE[:2] + TREE[3:]),
        ({"last_index": 2}, [("main", True, 3), ("main~1", False, 4)], TREE[:3]),
        ({"last_index": 1}, [("main", True, 2), ("main~1", False, 4)], TREE[:2]),
        (
            {"branches": {"side": 4, "main": 2}, "last_index": 4},
            [("main", False, 3), ("side", True, 4)],
            TREE[:2] + TREE[3:],
        ),
        (
            {"branches": {"early": 0, "main": 2}, "last_index": 2},
            [("main", True, 3), ("main~1", False, 4), ("early", False, 1)],
            TREE[:3],
        ),
        ({"branches": {"a": 2, "b": 4}}, [("a", False, 3), ("b", True, 4)], TREE[:2] + TREE[3:]),
    ],
)
def test_branches_have_their_names_and_the_path_its_end(
    facts: dict[str, Any], expected: Any, current: list[Any], path: Path
) -> None:
    """Those without a name get one as after an edit. All is so after opening again, too."""
    with duckstore.open(path) as store:
        bring(store, Transcript("s", TREE, PARENTS, **facts))
        assert branch_names(store) == expected
        assert store.conversation("s").items() == current
        assert store.check() == []
    with duckstore.open(path) as store:
        assert store.conversation("s").items() == current
        assert branch_names(store) == expected
        assert [b.name for b in store.conversation("s").branches()] == [e[0] for e in expected]
        assert store.check() == []


def test_one_branch_that_is_not_called_main(path: Path) -> None:
    """It keeps its name when the session is read back by its place in the file."""
    with duckstore.open(path) as store:
        for number in range(6):
            bring(store, replace(talk(branches={"talk": 5}), session_id=f"s{number}"))
    with duckstore.open(path) as store:
        store._access.engine.sessions.build_index()
        for number in range(6):
            (branch,) = store.conversation(f"s{number}").branches()
            assert branch.name == "talk"
            store.conversation(f"s{number}").switch("talk")
            store.conversation(f"s{number}").add([user("more")])
        assert store.check() == []


# Growing ---------------------------------------------------------------------------------------


def test_a_grown_conversation_adds_what_is_new(store: duckstore.Store) -> None:
    """Items with their usage, and nothing twice; the path goes on."""
    told = [TranscriptResponse(index, USAGE, "m") for index in (1, 3, 5)]
    whole = talk(responses=told)
    bring(store, part_of(whole, 3))
    answer = bring(store, whole)
    assert (answer["is_new"], answer["items"], answer["responses"]) == (False, 3, 2)
    assert bring(store, whole) == {**answer, "items": 0, "responses": 0}
    assert bring(store, part_of(whole, 2)) == {**answer, "items": 0, "responses": 0}
    assert rows(store, "select sum(total_tokens)::int, count(*) from responses") == [(330, 3)]
    assert store.conversation("s").items() == whole.items
    assert branch_names(store) == [("main", True, 6)]
    assert store.check() == []


def test_a_response_that_was_cut_is_one(store: duckstore.Store) -> None:
    """Its calls are parallel, and its run has one response, wherever the file ended then."""
    items = [user("go"), call("a", "1"), call("b", "2"), call("c", "3"), output("1"), output("3")]
    for length in range(1, 7):
        bring(store, Transcript("s", items[:length]))
    calls = "select tool_name, call_index, parallel_count, status from tool_calls order by id"
    assert rows(store, calls) == [("a", 1, 3, "ok"), ("b", 2, 3, "pending"), ("c", 3, 3, "ok")]
    assert rows(store, "select count(*) from responses") == [(1,)]
    assert rows(store, "select count(*), any_value(response_count) from runs") == [(1, 1)]
    assert store.check() == []


def test_responses_that_follow_each_other_are_told_apart(store: duckstore.Store) -> None:
    """Where two are told of in a row; one whose first item is not named is not divided."""
    items = [user("go"), assistant("1"), assistant("2"), assistant("3"), assistant("4")]
    told = [TranscriptResponse(index, USAGE) for index in (2, 3)]
    bring(store, Transcript("s", items[:4], responses=told))
    bring(store, Transcript("s", items, responses=[*told, TranscriptResponse(4, USAGE)]))
    heads = "select text, response_id = item_id, input_tokens from items left join responses"
    found = rows(store, f"{heads} using (response_id) where items.role = 'assistant' order by text")
    assert found == [("1", True, 100), ("2", False, 100), ("3", True, 100), ("4", True, 100)]
    assert store.check() == []


GROWN = Transcript("s", [user("one"), assistant("1"), user("two"), assistant("2")])


def go_on(store: duckstore.Store) -> None:
    store.conversation("s").add([user("here"), assistant("yes")])


def go_back(store: duckstore.Store) -> None:
    store.conversation("s").rewind({"position": 1})


def take_back(store: duckstore.Store) -> None:
    store.conversation("s").pop()


def switch_away(store: duckstore.Store) -> None:
    store.conversation("s").branch("aside", at={"position": 1})


def empty_by_hand(store: duckstore.Store) -> None:
    store.conversation("s").pop()
    store.conversation("s").pop()


def put_in_place(store: duckstore.Store) -> None:
    store.conversation("s").replace_all([user("a summary")])


@pytest.mark.parametrize(
    "change", [go_on, go_back, take_back, switch_away, empty_by_hand, put_in_place]
)
@pytest.mark.parametrize("forks", [False, True])
def test_the_path_stays_where_somebody_brought_it(change: Any, forks: bool, path: Path) -> None:
    """What is new stands on a branch beside; also when more comes, and after opening again."""
    first = part_of(GROWN, 2)
    second = replace(GROWN, items=[*GROWN.items, assistant("no")], parents=[-1, 0, 1, 2, 2])
    with duckstore.open(path) as store:
        bring(store, first)
        change(store)
        before = store.conversation("s").items()
        name = next(b.name for b in store.conversation("s").branches() if b.is_current)
        assert bring(store, second if forks else GROWN)["items"] == (3 if forks else 2)
        assert store.conversation("s").items() == before
        assert store.check() == []
    with duckstore.open(path) as store:
        bring(store, second)
        assert store.conversation("s").items() == before
        assert next(b.name for b in store.conversation("s").branches() if b.is_current) == name
        assert paths_of(second) <= branches_of(store, "s")
        store.conversation("s").add([user("and on")])
        assert store.conversation("s").items() == [*before, user("and on")]
        assert store.check() == []


def test_the_path_goes_on_from_where_somebody_came_back_to(store: duckstore.Store) -> None:
    """Whoever has switched back to the conversation's end sees what follows it."""
    bring(store, part_of(GROWN, 2))
    switch_away(store)
    store.conversation("s").switch("main")
    bring(store, GROWN)
    assert store.conversation("s").items() == GROWN.items
    assert branch_names(store) == [("main", True, 4), ("aside", False, 1)]
    assert store.check() == []


def test_the_path_goes_where_the_conversation_went(store: duckstore.Store) -> None:
    """To the other answer that was asked for meanwhile, which takes over the branch's name."""
    bring(store, part_of(GROWN, 4))
    bring(store, Transcript("s", [*GROWN.items, assistant("other")], [-1, 0, 1, 2, 2]))
    assert store.conversation("s").items() == [*GROWN.items[:3], assistant("other")]
    assert branch_names(store) == [("main~1", False, 4), ("main", True, 4)]
    kinds = rows(store, "select kind, rank, is_current from edit_points order by rank")
    assert kinds == [("regenerate", 1, False), ("regenerate", 2, True)]
    assert store.check() == []


def test_who_answers_meanwhile_answers_where_it_was(store: duckstore.Store) -> None:
    """An agent that read the conversation before an import moved the path adds to what it read."""
    bring(store, part_of(GROWN, 3))
    reading = store.conversation("s").read()
    bring(store, Transcript("s", [*GROWN.items[:3], user("else")], [-1, 0, 1, 1]))
    store.conversation("s").add([assistant("late")], Seen(course=reading.course))
    assert store.conversation("s").items() == [*GROWN.items[:2], user("else")]
    assert (*map(json.dumps, [*GROWN.items[:3], assistant("late")]),) in branches_of(store, "s")
    assert store.check() == []


def test_a_deleted_branch_is_not_brought_back(store: duckstore.Store) -> None:
    """What comes after its end is on another one; what is on it stays superseded."""
    tree = Transcript("s", TREE, PARENTS, last_index=2)
    bring(store, tree)
    store.conversation("s").delete_branch("main~1")
    bring(store, Transcript("s", [*TREE, user("more")], [*PARENTS, 4], last_index=2))
    names = [branch.name for branch in store.conversation("s").branches()]
    assert names == ["main", "main~2"]
    assert store.conversation("s").items(branch="main~2")[-1] == user("more")
    assert store.conversation("s").items() == TREE[:3]
    assert store.check() == []


def test_a_branch_that_was_left_in_its_middle_ends_there(path: Path) -> None:
    """Though something new is begun from what follows there, which stays superseded."""
    with duckstore.open(path) as store:
        bring(store, GROWN)
        go_back(store)
        switch_away(store)
        bring(store, Transcript("s", [*GROWN.items, assistant("else")], [-1, 0, 1, 2, 2]))
    with duckstore.open(path) as store:
        assert store.conversation("s").items(branch="main") == GROWN.items[:1]
        store.conversation("s").switch("main")
        assert store.conversation("s").items() == GROWN.items[:1]
        assert store.check() == []


def test_a_named_branch_without_items_gets_its_first(store: duckstore.Store) -> None:
    """As `AdvancedSQLiteSession` makes them, before anything is said on them."""
    bring(store, replace(GROWN, branches={"main": 3, "side": 1}, last_index=3))
    bring(
        store,
        replace(
            GROWN,
            items=[*GROWN.items, user("on the side")],
            parents=[-1, 0, 1, 2, 1],
            branches={"main": 3, "side": 4},
            last_index=4,
        ),
    )
    assert branch_names(store) == [("main", False, 4), ("side", True, 3)]
    assert store.check() == []


def test_what_describes_a_session_stays(store: duckstore.Store) -> None:
    """Only what is not known yet is taken from the file."""
    store.update_session("s", title="Mine", metadata={"a": 1})
    bring(store, talk(title="Theirs", tags=["t"], metadata={"b": 2}, source="x", user_id="u"))
    (info,) = store.sessions()
    assert (info.title, info.metadata) == ("Mine", {"a": 1})
    assert (info.tags, info.source, info.user_id) == (["t"], "x", "u")


def test_another_conversation_of_the_same_id_is_not_touched(store: duckstore.Store) -> None:
    """Not a row is changed; pieces of one that come from the same source belong together."""
    bring(store, talk(source="a"))
    before = {table: rows(store, f"select * from {table}") for table in ("items", "sessions")}
    other = Transcript("s", [user("something else")], source="a", title="Other")
    assert bring(store, other)["is_another"]
    pieces = prepare(store._access, replace(other, source="b"), comes_in_pieces=True)
    assert store._access.run(pieces.command("s"))["is_another"]
    for table, was in before.items():
        assert rows(store, f"select * from {table}") == was
    pieces = prepare(store._access, other, comes_in_pieces=True)
    assert store._access.run(pieces.command("s"))["items"] == 1
    assert branches_of(store, "s") == paths_of(talk()) | paths_of(other)
    assert store.check() == []


def test_what_was_cleared_or_purged_comes_again(store: duckstore.Store) -> None:
    """They are deleted for good, so that an import brings them as new."""
    bring(store, GROWN)
    store.conversation("s").clear()
    assert bring(store, GROWN)["items"] == 4
    store.purge("s")
    assert bring(store, GROWN)["is_new"]
    store.conversation("s").purge({"item_id": store.conversation("s").find("two")[0].item_id})
    assert store.conversation("s").items() == GROWN.items[:2]
    assert bring(store, GROWN)["items"] == 2
    assert store.check() == []


def test_it_is_the_same_through_another_process(client: duckstore.Store) -> None:
    bring(client, part_of(GROWN, 1))
    bring(client, GROWN)
    assert client.conversation("s").items() == GROWN.items
    assert client.check() == []


# The journal -----------------------------------------------------------------------------------


KILLED = """
import os, signal, sys
import duckstore
from tests.test_grafting import GROWN, bring, go_on, last, part_of

store = duckstore.open(sys.argv[1])
bring(store, part_of(GROWN, 2))
if sys.argv[2] == "folded":
    store._access.engine.fold()
go_on(store)
store._access.submit(last(store).command("s")).wait()
print(store._access.engine._file.folded < store._access.engine._number, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("when", ["folded", "not yet"])
def test_a_replay_after_a_crash_gives_the_same(when: str, path: Path) -> None:
    """Of imports that nothing but the journal has, also such as ask the file."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), when],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "True\n"), done.stderr
    with duckstore.open() as unharmed:
        bring(unharmed, part_of(GROWN, 2))
        go_on(unharmed)
        bring(unharmed, LAST)
        with duckstore.open(path) as store:
            times = ("sessions", "items", "runs", "tool_calls", "responses", "branches")
            for name, found in facts(store, "s").items():
                if name not in times:
                    assert found == facts(unharmed, "s")[name]
            assert branches_of(store, "s") == branches_of(unharmed, "s")
            assert store.conversation("s").items() == unharmed.conversation("s").items()
            assert store.check() == []


LAST = Transcript("s", [*GROWN.items, assistant("no")], [-1, 0, 1, 2, 2], branches={"end": 4})


def last(store: duckstore.Store) -> Any:
    return prepare(store._access, LAST)


def test_an_import_that_an_older_version_wrote_is_done_as_then(path: Path) -> None:
    """Its journal may still hold one: a new session with its tree and usage, or nothing."""
    values = {
        "parents": PARENTS,
        "source": "old",
        "metadata": '{"models": ["m"]}',
        "usage": [{"input_tokens": 5, "output_tokens": 1}] * 2,
    }
    raws = [json.dumps(item) for item in TREE]
    with duckstore.open(path) as store:
        store._access.run(Command("import", "s", values, raws, 20, True))
        with pytest.raises(errors.ImportFileError, match="already"):
            store._access.run(Command("import", "s", values, raws, 20, True))
        assert branch_names(store) == [("main~1", False, 3), ("main", True, 4)]
        found = rows(store, "select model, input_tokens, total_tokens from responses")
        assert found == [("m", 5, 6), ("m", 5, 6)]
        assert [s.source for s in store.sessions()] == ["old"]
        assert store.check() == []


def test_a_client_cannot_send_what_does_not_fit(client: duckstore.Store) -> None:
    """It would be tried again at every opening; the owner goes on without it."""
    good = prepare(client._access, talk(responses=[TranscriptResponse(1, USAGE)]))
    for name, value in (
        *(("parents", [-1, 5, 0, 0, 0, 0]), ("parents", [-1]), ("parents", "x")),
        *(("created", [1] * 5), ("created", ["x"] * 6), ("created", [2**70] * 6)),
        *(("agents", [7] * 6), ("last", 6), ("last", "0"), ("branches", {"a": 6})),
        *(("responses", [[0]]), ("responses", [[9, None, None, None, None]])),
        *(("responses", [[1, [1], None, None, None]]), ("title", 5), ("title", "\ud800")),
        *(("responses", [[1, [2**63] * 7, None, None, None]]), ("comes_in_pieces", None)),
        *(("tags", "{}"), ("tags", "[1]"), ("metadata", "[]"), ("metadata", '{"a": NaN}')),
        *(("session_created", "now"), ("nothing like it", 1)),
    ):
        command = good.command("s")
        command.values = {**command.values, name: value}
        with pytest.raises(errors.ArgumentError, match="import cannot be done"):
            client._access.run(command)
    client._access.run(good.command("s"))
    assert client.conversation("s").items() == talk().items
