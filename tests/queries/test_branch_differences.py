"""branch_differences: what each branch shares with its parent, and how either goes on."""

from __future__ import annotations

from typing import Any

from duckstore import Store
from duckstore.telemetry import Seen, SeenResponse
from duckstore.usage import Usage
from tests.clock import Clock
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]

COUNTS = ("common_item_count", "item_count", "parent_item_count", "turn_count", "parent_turn_count")


def rows(store: Store, *columns: str, **parameters: Any) -> list[Row]:
    return store.query("branch_differences", **parameters).select(columns).rows()


def used(tokens: int) -> Seen:
    response = SeenResponse(usage=Usage(1, tokens, 0, 0, 0, 0, tokens))
    return Seen(agent_name="Guide", response=response)


def test_an_edit(store: Store) -> None:
    """Each side has its own runs, calls and tokens; what was before the edit is common."""
    talk = store.conversation("s")
    talk.add([user("Hi"), assistant("Hello")], used(1))
    talk.add([user("one")])
    talk.add([call("look", "a"), call("look", "b"), output("a"), output("b")], used(10))
    talk.add([assistant("1")], used(100))
    talk.add([user("more")])
    talk.add([assistant("1.1")], used(1000))
    talk.edit(2, "two")
    talk.add([call("look", "a"), output("a"), assistant("2")], used(20))
    assert rows(store, "branch_name", "parent_branch_name", "kind") == [("main", "main~1", "edit")]
    assert rows(store, "is_current", "parent_is_current") == [(True, False)]
    assert rows(store, *COUNTS) == [(2, 4, 8, 1, 2)]
    assert rows(store, "tool_call_count", "parent_tool_call_count") == [(1, 2)]
    assert rows(store, "total_tokens", "parent_total_tokens") == [(20, 1110)]
    assert rows(store, "last_message", "parent_last_message") == [("2", "1.1")]
    talk.switch("main~1")
    assert rows(store, "is_current", "parent_is_current") == [(False, True)]


def test_a_regeneration_in_the_middle_of_a_run(store: Store) -> None:
    """The call before it is common, and the run counts on both sides."""
    talk = store.conversation("s")
    talk.add([user("Weather?"), call("look", "c"), output("c"), assistant("Rain.")])
    talk.pop()
    talk.add([call("look", "c"), output("c"), assistant("Sun.")])
    assert rows(store, "kind", *COUNTS) == [("regenerate", 3, 3, 1, 1, 1)]
    assert rows(store, "tool_call_count", "parent_tool_call_count") == [(1, 0)]
    assert rows(store, "last_message", "parent_last_message") == [("Sun.", "Rain.")]


def test_a_parent_that_had_begun_later(store: Store) -> None:
    """An edit of an earlier message stands beside all of the path that it left, on whatever
    branches that was written."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")], used(1))
    talk.add([user("two")])
    talk.add([call("look", "a"), output("a"), assistant("2")], used(10))
    talk.pop()
    talk.add([assistant("2!")], used(100))
    talk.add([user("three"), call("look", "b")])
    talk.edit(1, "zero")
    assert rows(store, "branch_name", *COUNTS) == [
        ("main~2", 5, 3, 1, 2, 1),
        ("main", 0, 1, 8, 1, 3),
    ]
    columns = ("tool_call_count", "parent_tool_call_count", "total_tokens", "parent_total_tokens")
    assert rows(store, *columns) == [(1, 0, 100, 10), (0, 2, None, 101)]
    assert rows(store, "last_message", "parent_last_message")[1] == ("zero", "three")
    # Neither is on the path: an earlier message was edited since.
    assert rows(store, "is_current", "parent_is_current") == [(False, False), (True, False)]


def test_a_fork_that_its_parent_outgrew(store: Store) -> None:
    """Both sides are as they are now: nothing of before the fork counts. A fork without items is
    none yet."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")], used(1))
    talk.branch("other", at={"position": 2})
    assert rows(store, *COUNTS) == []
    talk.add([user("two")])
    assert rows(store, *COUNTS) == [(2, 1, 0, 1, 0)]
    assert rows(store, "parent_last_message", "parent_is_current") == [(None, False)]
    talk.switch("main")
    talk.add([call("look", "c"), output("c")])
    assert rows(store, *COUNTS) == [(2, 1, 2, 1, 1)]
    assert rows(store, "parent_last_message", "parent_is_current") == [(None, True)]
    talk.add([user("three"), assistant("3"), user("four")])
    assert rows(store, *COUNTS) == [(2, 1, 5, 1, 3)]
    assert rows(store, "parent_last_message") == [("four",)]
    assert rows(store, "total_tokens", "parent_total_tokens") == [(None, None)]


def test_a_side_without_messages_or_tokens(store: Store) -> None:
    """They are NULL, though the parent has some before the fork, and another fork before them."""
    talk = store.conversation("s")
    talk.add([user("one")])
    talk.add([assistant("1")], used(1))
    talk.branch("first", at={"position": 1})
    talk.add([assistant("one!")])
    talk.switch("main")
    talk.branch("second", at={"position": 2})
    talk.add([user("two")])
    talk.switch("main")
    talk.add([call("look", "c"), output("c")])
    columns = ("branch_name", "parent_item_count", "parent_last_message", "parent_total_tokens")
    assert rows(store, *columns) == [("first", 3, "1", 1), ("second", 2, None, None)]


def test_a_parent_without_items_is_passed_over(store: Store) -> None:
    """It is the branch before it that the new one is another way to."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1"), user("two"), assistant("2")])
    talk.branch("again", at={"position": 4})
    talk.branch("once more", at={"position": 4})
    talk.pop()
    talk.add([assistant("two!")])
    assert rows(store, "branch_name", "parent_branch_name") == [("once more", "main")]
    assert rows(store, *COUNTS) == [(3, 1, 1, 1, 1)]
    assert rows(store, "parent_last_message") == [("2",)]


def test_compactions_and_deleted_branches(store: Store) -> None:
    """Compactions are left out unless asked for; a deleted branch is, but not what left it."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1"), user("two"), assistant("2")])
    talk.replace_all([user("Summary.")])
    talk.add([user("three"), assistant("3")])
    talk.edit(3, "four")
    edits = [("edit", 1, 1, 2, 1, 1)]
    compactions = [("compact", 0, 3, 4, 2, 2)]
    assert rows(store, "kind", *COUNTS) == edits
    assert rows(store, "kind", *COUNTS, include_compactions=True) == compactions + edits
    assert rows(store, "kind", *COUNTS, kind="compact") == compactions
    assert rows(store, "is_current", "parent_is_current", kind="compact") == [(True, False)]
    talk.replace_all([user("Another summary.")])
    assert rows(store, "is_current", "parent_is_current") == [(True, False)]
    talk.branch("other", at={"position": 1})
    talk.add([user("five")])
    talk.edit(4, "six")
    assert len(rows(store, "kind")) == 3
    talk.delete_branch("other~1")
    assert rows(store, "kind", "parent_branch_name") == [
        ("edit", "main~2"),
        ("edit", "other~1"),
    ]


def test_many_branches_are_as_their_items_say(store: Store) -> None:
    """Every figure is that of the items of both branches, after those that they have in common."""
    talk = store.conversation("s")
    for number in range(6):
        talk.add([user(f"q{number}")])
        talk.add([call("look", "c"), output("c"), assistant(f"a{number}")], used(2**number))
    for number, turn in enumerate((5, 3, 4, 2, 6, 3, 1)):
        if number % 3 == 0:
            talk.switch(talk.branches()[number // 2].name)
        last = store.sql("select max(turn_number) from items where is_current").item()
        talk.edit(min(turn, last), f"e{number}")
        talk.add([call("look", "c"), output("c"), assistant(f"b{number}")], used(2 ** (6 + number)))
        if number % 2:
            talk.pop()
            talk.add([assistant(f"c{number}"), user(f"d{number}")])
    paths: dict[int, list[int]] = {}
    for branch_id, item_id in store.sql(
        "select branch_id, item_id from branch_items order by branch_id, position"
    ).rows():
        paths.setdefault(branch_id, []).append(item_id)
    turns = dict(store.sql("select item_id, turn_number from items").rows())
    texts = dict(store.sql("select item_id, text from messages").rows())
    calls = [row[0] for row in store.sql("select id from tool_calls").rows()]
    tokens = dict(store.sql("select anchor_item_id, total_tokens from responses").rows())

    def side(items: list[int]) -> Row:
        own = [tokens[item] for item in items if tokens.get(item) is not None]
        said = [texts[item] for item in items if item in texts]
        run_count = len({turns[item] for item in items})
        call_count = len(set(items) & set(calls))
        return len(items), run_count, call_count, sum(own) if own else None, (said or [None])[-1]

    expected = []
    for branch_id, parent_id in store.sql(
        "select branch_id, parent_branch_id from branches where parent_branch_id is not null"
        " order by branch_id"
    ).rows():
        mine, theirs = paths[branch_id], paths[parent_id]
        common = next(i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b)
        expected.append((branch_id, common, *side(mine[common:]), *side(theirs[common:])))
    names = ("item_count", "turn_count", "tool_call_count", "total_tokens", "last_message")
    columns = ("branch_id", "common_item_count", *names, *(f"parent_{name}" for name in names))
    assert len(expected) == 10
    assert rows(store, *columns) == expected


def test_only_some(store: Store, clock: Clock) -> None:
    """Branches count at the moment they began, in the order of sessions and time."""
    for name in ("b", "a"):
        talk = store.conversation(name)
        talk.add([user("one"), assistant("1")])
        talk.edit(1, "two")
        talk.add([assistant("2")])
    clock.wait(60)
    later = clock.now
    store.conversation("a").regenerate()
    store.conversation("a").add([assistant("3")])
    columns = ("session_id", "kind", "last_message")
    everything = [("a", "edit", "2"), ("a", "regenerate", "3"), ("b", "edit", "2")]
    assert rows(store, *columns) == everything
    assert rows(store, *columns, session_id="b") == everything[2:]
    assert rows(store, *columns, kind="regenerate") == everything[1:2]
    assert rows(store, *columns, since=later) == everything[1:2]
    assert rows(store, *columns, until=later) == [everything[0], everything[2]]
    assert rows(store, *columns, row_limit=1) == everything[:1]
