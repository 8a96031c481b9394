"""Beside the SDK's `AdvancedSQLiteSession`: the same methods, results, errors, and what differs.

First random use of both, in what both get right, with the same results after every step. Then one
promise at a time: shapes and signatures, and each difference with what either class does.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis.strategies as st
import pytest
from agents import Runner, RunState, Usage
from agents.extensions.memory import AdvancedSQLiteSession
from agents.testing import ModelStep, assistant_message, function_call
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import duckstore
from duckstore import errors
from tests.owner import Keeper
from tests.runs import (
    QUIET,
    agent,
    calling,
    delete,
    go,
    handing_over,
    plain,
    step,
    streamed_or_not,
)
from tests.samples import assistant, call, output, run, user
from tests.test_session import spoil
from tests.test_wrapping import SUMMARY, Compactor, compacting

# Random use -------------------------------------------------------------------------------------

USERS: list[dict[str, Any]] = [
    user("alpha is 100% sure"),
    user("beta wrote a_b"),
    user('GAMMA said "hi" to alpha'),
    user("delta\\slash, naïve"),
    user("zeta " * 30),
    user("eta\nnew line"),
    {**user("theta"), "type": "message"},
    user(""),
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "see alpha"},
            {"type": "input_image", "image_url": "data:,"},
        ],
    },
]
"""One of them begins a turn. What is looked for stands in none of the other items."""

OTHERS: dict[str, list[dict[str, Any]]] = {
    "assistant": [assistant("42")],
    "assistant without type": [{"role": "assistant", "content": "42"}],
    "system": [{"type": "message", "role": "system", "content": "42"}],
    "reasoning": [{"type": "reasoning", "id": "r", "summary": []}],
    "call": [call("look", "a")],
    "call with output": [call("find", "b"), output("b")],
    "two calls": [call("look", "a"), call("look", "b"), output("a"), output("b")],
    "output without call": [output("never called")],
    "call in a namespace": [{**call("look", "n"), "namespace": "crm"}],
    "call in its own namespace": [{**call("look", "n"), "namespace": "look"}],
    "custom call": [
        {"type": "custom_tool_call", "name": "sql", "call_id": "q", "input": "select 42"},
        {"type": "custom_tool_call_output", "call_id": "q", "output": "42"},
    ],
    "computer call": [{"type": "computer_call", "id": "k", "call_id": "k", "action": {}}],
    "file search": [{"type": "file_search_call", "id": "f", "queries": [], "status": "completed"}],
    "web search": [{"type": "web_search_call", "id": "w", "status": "completed"}],
    "code": [{"type": "code_interpreter_call", "id": "i", "code": "42", "status": "completed"}],
    "shell": [{"type": "shell_call", "call_id": "s", "action": {"commands": []}}],
    "patch": [{"type": "apply_patch_call", "call_id": "p", "operation": {}}],
    "tool search": [
        {"type": "tool_search_call", "arguments": {}, "execution": "server"},
        {"type": "tool_search_output", "tools": [], "execution": "server"},
    ],
    "mcp call": [
        {"type": "mcp_call", "id": "m", "server_label": "disk", "name": "read", "arguments": "{}"}
    ],
    "mcp call without server": [{"type": "mcp_call", "id": "m", "name": "read", "arguments": ""}],
    "mcp tools": [{"type": "mcp_list_tools", "id": "l", "server_label": "disk", "tools": []}],
    "handoff": [call("transfer_to_desk", "h"), output("h", '{"assistant": "Desk"}')],
    "unknown": [{"type": "not known yet", "call_id": "a"}],
}
BATCHES = st.lists(st.sampled_from(sorted(OTHERS)), max_size=3)
TERMS = [
    *("alpha", "ALPHA", "Gamma", "a_b", "_", "0%", '"HI"', "\\", "TA\\slash", "zeta zeta", ""),
    *("eta\nNEW", "u00ef", "input", "alpha  is", "nowhere"),
]
LABELS = ("b", "c d", "e~f")
LIMITS = st.one_of(st.none(), st.integers(-1, 5))


class Advanced(RuleBasedStateMachine):
    """A conversation in a store of ours, and in a file of the SDK's.

    What they do differently on purpose is left out: no branch begins at turn 1, a session begins
    with a user message, and branches without items, which the SDK does not know, are not asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.path = Path(self.folder.name) / "ours.duckdb"
        self.era = self.turn = self.steps = 0
        self.branches: list[dict[str, Any]] = []
        self._open()

    def _open(self) -> None:
        self.store = duckstore.open(self.path)
        self.ours = self.store.session("s")
        self.other = duckstore.DuckDBSession("s", self.path)
        self.theirs = advanced(Path(self.folder.name) / "theirs.db")

    def _close(self) -> None:
        self.other.close()
        self.theirs.close()
        self.store.close()

    def teardown(self) -> None:
        self._close()
        self.loop.close()
        self.folder.cleanup()

    def ask(self, session: Any, method: str, *values: Any) -> Any:
        return self.loop.run_until_complete(outcome(session, method, *values))

    def both(self, method: str, *values: Any) -> Any:
        """Call both sessions, ours by one of its objects, and compare what comes of it."""
        self.turn += 1
        ours = self.ask((self.ours, self.other)[self.turn % 2], method, *values)
        theirs = self.ask(self.theirs, method, *values)
        assert_same(ours, theirs)
        return theirs

    def name(self, label: str) -> str:
        """A branch's name. After a clear others are used: theirs are never free again."""
        return label if label == "main" or not self.era else f"{label}{self.era}"

    def counts(self) -> dict[str, int]:
        """How many items each branch of ours has."""
        return {"main": 0, **{b["branch_id"]: b["message_count"] for b in self.branches}}

    def current(self) -> str:
        """The branch that ours is on."""
        return next((b["branch_id"] for b in self.branches if b["is_current"]), "main")

    # What may happen ------------------------------------------------------------------------

    @initialize(turns=st.lists(st.tuples(st.sampled_from(USERS), BATCHES), min_size=1, max_size=4))
    def begin(self, turns: list[tuple[dict[str, Any], list[str]]]) -> None:
        for asked, kinds in turns:
            self.add_turn(asked, kinds)

    @rule(asked=st.sampled_from(USERS), kinds=BATCHES)
    def add_turn(self, asked: dict[str, Any], kinds: list[str]) -> None:
        self.both("add_items", [asked, *(item for kind in kinds for item in OTHERS[kind])])

    @rule(kinds=BATCHES)
    def add_more(self, kinds: list[str]) -> None:
        if self.ask(self.theirs, "get_items", 1):
            self.both("add_items", [item for kind in kinds for item in OTHERS[kind]])

    @rule(count=st.integers(1, 3))
    def pop(self, count: int) -> None:
        for _ in range(count):
            self.both("pop_item")

    @rule(turn=st.integers(2, 5), label=st.sampled_from([*LABELS, "main", " "]))
    def branch_from_turn(self, turn: int, label: str) -> None:
        self.both("create_branch_from_turn", turn, self.name(label))

    @rule(term=st.sampled_from(TERMS), label=st.sampled_from(LABELS))
    def branch_from_content(self, term: str, label: str) -> None:
        found = self.ask(self.theirs, "find_turns_by_content", term)
        if not found or found[0]["turn"] > 1:
            self.both("create_branch_from_content", term, self.name(label))

    @rule(label=st.sampled_from([*LABELS, "main", "nowhere"]))
    def switch(self, label: str) -> None:
        if self.counts().get(self.name(label)) != 0:
            self.both("switch_to_branch", self.name(label))

    @rule(label=st.sampled_from([*LABELS, "main", "nowhere", " "]), force=st.booleans())
    def delete(self, label: str, force: bool) -> None:
        counts = self.counts()
        name = self.name(label)
        if counts.get(name) == 0 or (name == self.current() and force and not counts["main"]):
            return
        self.both("delete_branch", name, force)

    @rule(limit=LIMITS, label=st.sampled_from([*LABELS, "main"]))
    def read(self, limit: int | None, label: str) -> None:
        self.both("get_items", limit)
        if self.name(label) in self.counts():
            self.both("get_items", limit, self.name(label))

    @rule(term=st.sampled_from(TERMS), label=st.sampled_from([None, *LABELS, "main"]))
    def find(self, term: str, label: str | None) -> None:
        name = label and self.name(label)
        if name is None or name in self.counts():  # one that is not there is no error in theirs
            self.both("find_turns_by_content", term, name)

    @precondition(lambda self: self.turn > 60)
    @rule()
    def clear(self) -> None:
        self.both("clear_session")
        self.era += 1
        self.turn = 0

    @rule()
    def reopen(self) -> None:
        """Ours is where it was. Theirs begins on main, and has to be told."""
        name = self.current()
        if self.counts()[name]:
            self._close()
            self._open()
            assert self.ask(self.theirs, "switch_to_branch", name) is None

    # What must hold -------------------------------------------------------------------------

    @invariant()
    def both_have_the_same_branches(self) -> None:
        self.branches = self.ask(self.ours, "list_branches")
        ours, theirs = listed(self.branches), listed(self.ask(self.theirs, "list_branches"))
        assert {name: rest for name, rest in ours.items() if rest["message_count"]} == theirs

    @invariant()
    def both_say_the_same_of_a_branch(self) -> None:
        """Each time of another one, with the current one between any two."""
        names = [name for name, count in self.counts().items() if count and not is_replaced(name)]
        wanted = [None, *names]
        self.steps += 1
        name = wanted[self.steps % len(wanted)] if self.steps % 2 else None
        self.both("get_items", None, name)
        for method in ("get_conversation_turns", "get_conversation_by_turns", "get_tool_usage"):
            self.both(method, name)


def advanced(path: Path | str = ":memory:") -> AdvancedSQLiteSession:
    """The SDK's session."""
    return AdvancedSQLiteSession(session_id="s", db_path=path, create_tables=True)


async def outcome(session: Any, method: str, *values: Any) -> Any:
    """What a call returns, or the ValueError that it raises."""
    try:
        return await getattr(session, method)(*values)
    except ValueError as error:
        return error


def assert_same(ours: Any, theirs: Any) -> None:
    """One outcome is the other. Our errors may say more; times and the order of tools differ."""
    if isinstance(theirs, ValueError):
        assert isinstance(ours, errors.ArgumentError), f"refused by theirs alone: {theirs}"
        assert str(theirs) in str(ours)
        return
    assert not isinstance(ours, ValueError), f"refused by ours alone: {ours}"
    assert comparable(ours) == comparable(theirs)


def comparable(value: Any) -> Any:
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return sorted(value)
    if isinstance(value, list):
        return [comparable(part) for part in value]
    if isinstance(value, dict):
        return {key: part for key, part in value.items() if key != "timestamp"}
    return value


def listed(branches: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Branches by name, without their times and without what another one replaced in ours."""
    return {
        branch["branch_id"]: {k: v for k, v in branch.items() if k != "created_at"}
        for branch in branches
        if not is_replaced(branch["branch_id"])
    }


def is_replaced(name: str) -> bool:
    """Whether that is the name of a branch that another one took the place of."""
    return re.fullmatch(r".*~\d+", name) is not None


def test_random_use_gives_what_the_sdk_gives() -> None:
    run_state_machine_as_test(
        Advanced,
        settings=settings(
            max_examples=4,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_much_random_use_gives_what_the_sdk_gives() -> None:
    run_state_machine_as_test(
        Advanced,
        settings=settings(
            max_examples=300,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


# One promise at a time ----------------------------------------------------------------------------


@pytest.fixture(params=["owner"])
def ours(request: pytest.FixtureRequest) -> Iterator[duckstore.DuckDBSession]:
    """A session of ours, in a store that this process owns."""
    store = request.getfixturevalue("store" if request.param == "owner" else "client")
    yield store.session("s")
    assert store.check() == []


also_as_client = pytest.mark.parametrize("ours", ["owner", "client"], indirect=True)
"""With a store that another process owns as well."""


@pytest.fixture
def theirs() -> Iterator[AdvancedSQLiteSession]:
    session = advanced()
    yield session
    session.close()


class Through:
    """A session that keeps everything in another one, and does not hand on the run."""

    session_settings = None

    def __init__(self, inner: Any) -> None:
        self.session_id, self.inner = inner.session_id, inner

    async def get_items(self, limit: int | None = None) -> list[Any]:
        items: list[Any] = await self.inner.get_items(limit)
        return items

    async def add_items(self, items: list[Any]) -> None:
        await self.inner.add_items(items)

    async def pop_item(self) -> Any:
        return await self.inner.pop_item()

    async def clear_session(self) -> None:
        await self.inner.clear_session()


def same(ours: Any, theirs: Any, method: str, *values: Any) -> Any:
    """What both return, or the error that both raise."""
    results = [run(outcome(session, method, *values)) for session in (ours, theirs)]
    assert_same(*results)
    return results[1]


def add(session: Any, *batches: list[Any]) -> None:
    for batch in batches:
        run(session.add_items(batch))


def turns(*texts: str) -> list[list[dict[str, Any]]]:
    """Batches: a user's message and an answer for each text."""
    return [[user(text), assistant("42")] for text in texts]


def ask(session: Any, method: str, *values: Any) -> Any:
    return run(getattr(session, method)(*values))


def names(session: Any) -> list[str]:
    return [branch["branch_id"] for branch in ask(session, "list_branches")]


def tokens(session: Any, branch: str | None = None) -> dict[int, int]:
    """The tokens of each turn."""
    found = ask(session, "get_turn_usage", None, branch)
    return {turn["user_turn_number"]: turn["total_tokens"] for turn in found}


def all_tokens(session: Any, branch: str | None = None) -> int | None:
    usage = ask(session, "get_session_usage", branch)
    return usage and usage["total_tokens"]


# Shape ------------------------------------------------------------------------------------------

METHODS = [
    name
    for name, _ in inspect.getmembers(AdvancedSQLiteSession, inspect.isfunction)
    if not name.startswith("_")
]


def parameters(owner: type, name: str) -> list[tuple[str, Any, Any]]:
    found = inspect.signature(getattr(owner, name)).parameters.values()
    return [(p.name, p.kind, p.default) for p in found]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_there_with_the_same_arguments(name: str) -> None:
    """By name, order and default. Ours may have more, which need not be given."""
    expected = parameters(AdvancedSQLiteSession, name)
    found = parameters(duckstore.DuckDBSession, name)
    assert found[: len(expected)] == expected
    for _, kind, default in found[len(expected) :]:
        assert kind is inspect.Parameter.KEYWORD_ONLY
        assert default is not inspect.Parameter.empty
    if inspect.iscoroutinefunction(getattr(AdvancedSQLiteSession, name)):
        assert inspect.iscoroutinefunction(getattr(duckstore.DuckDBSession, name))


def test_synchronous_code_has_the_same_methods(store: duckstore.Store) -> None:
    """A conversation takes and returns what the session of its id does."""
    session, conversation = store.session("s"), store.conversation("s")
    run(Runner.run(calling(), "hello", session=session, run_config=QUIET))
    for name in METHODS:
        if name in ("add_items", "get_items", "pop_item", "clear_session", "close"):
            continue
        method = getattr(conversation, name)
        expected = parameters(type(session), name)
        assert parameters(type(conversation), name) == expected
        if all(default is not inspect.Parameter.empty for _, _, default in expected[1:]):
            assert method() == ask(session, name)


def shape(value: Any) -> Any:
    """The keys and types of a value."""
    if isinstance(value, dict):
        return {key: shape(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value), [shape(part) for part in value]
    return type(value)


@also_as_client
def test_every_result_has_the_same_keys_and_types(ours: Any, theirs: Any) -> None:
    """Of a conversation with tools, a failure and usage. Theirs adds to the token details whatever
    else the installed openai package knows.
    """
    for session in (ours, theirs):
        for text in ("hello", "x" * 200):
            result = run(Runner.run(calling(), text, session=session, run_config=QUIET))
            ask(session, "store_run_usage", result)
        ask(session, "create_branch_from_turn", 2, "b")
        ask(session, "switch_to_branch", "main")
    for method, *values in [
        *(["list_branches"], ["get_conversation_turns"], ["get_conversation_by_turns"]),
        *(["find_turns_by_content", "hello"], ["get_tool_usage"], ["get_items"], ["pop_item"]),
        *(["get_session_usage"], ["get_turn_usage"], ["get_turn_usage", 1], ["get_turn_usage", 7]),
        *(["create_branch_from_turn", 2, "c"], ["create_branch_from_content", "hello", "d"]),
        *(["switch_to_branch", "main"], ["delete_branch", "b"], ["store_run_usage", result]),
        ["clear_session"],
    ]:
        found, expected = ask(ours, method, *values), ask(theirs, method, *values)
        for usage in expected if isinstance(expected, list) else [expected]:
            if isinstance(usage, dict) and usage.get("input_tokens_details"):
                for more in usage["input_tokens_details"].keys() - KNOWN:
                    del usage["input_tokens_details"][more]
        assert shape(found) == shape(expected), method


KNOWN = {"cached_tokens", "cache_write_tokens"}


CONTENTS: list[Any] = [
    *("short", "x" * 100, "x" * 101, "é\U0001f986" * 60, "", "\ud800 and \x00", "%_\\"),
    [{"type": "input_text", "text": "what is this"}, {"type": "input_image", "image_url": "u"}],
    [{"type": "input_text", "text": "ünïcode " * 30}],
]


def test_every_content_is_previewed_as_theirs(ours: Any, theirs: Any) -> None:
    """Texts of any length, lists of parts as JSON; and what is no content at all."""
    for session in (ours, theirs):
        add(session, *([{"role": "user", "content": content}] for content in CONTENTS))
    assert len(same(ours, theirs, "get_conversation_turns")) == len(CONTENTS)
    for term in ("", "x" * 101, "\ud800 AND \x00", "WHAT", "\\"):
        assert same(ours, theirs, "find_turns_by_content", term)
    for session in (ours, theirs):
        add(session, *([{"role": "user", "content": content}] for content in (None, [], {})))
    assert len(same(ours, theirs, "get_conversation_turns")) == len(CONTENTS) + 3


def test_items_and_tools_are_named_as_theirs(ours: Any, theirs: Any) -> None:
    """Those of a server or namespace with its name before their own; hosted ones by their type."""
    items = [item for kind in sorted(OTHERS) for item in OTHERS[kind]]
    for session in (ours, theirs):
        add(session, [user("one"), *items])
    assert len(same(ours, theirs, "get_conversation_by_turns")[1]) == 1 + len(items)
    found = {name: number for name, number, _ in same(ours, theirs, "get_tool_usage")}
    assert found["crm.look"] == found["disk.read"] == found["read"] == found["tool_search"] == 1
    assert found["look"] == 4


def test_times_are_theirs_with_microseconds(ours: Any, theirs: Any) -> None:
    """UTC, with a space between day and time."""
    for session, form in ((theirs, r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), (ours, r".{19}\.\d{6}")):
        before = datetime.now(UTC).replace(microsecond=0, tzinfo=None)
        add(session, *turns("one"))
        (turn,) = ask(session, "get_conversation_turns")
        (branch,) = ask(session, "list_branches")
        for text in (turn["timestamp"], branch["created_at"]):
            assert re.fullmatch(form, text)
            assert before <= datetime.fromisoformat(text) <= datetime.now(UTC).replace(tzinfo=None)


def test_a_branch_without_a_name_is_named_as_theirs(ours: Any, theirs: Any) -> None:
    """After its turn and the second, with a number where that name was used."""
    for session in (ours, theirs):
        add(session, *turns("one", "two", "three"))
        made = []
        for method, value in (
            *(("create_branch_from_turn", 3), ("create_branch_from_turn", 2)),
            *(("create_branch_from_content", "two"), ("create_branch_from_content", "two")),
        ):
            ask(session, "switch_to_branch", "main")
            made.append(ask(session, method, value))
        assert re.fullmatch(r"branch_from_turn_3_\d{10}", made[0])
        assert all(re.fullmatch(r"branch_from_turn_2_\d{10}(_[23])?", name) for name in made[1:])
        assert sorted(names(session)) == sorted(["main", *made])
        assert len({*made}) == 4


# Errors -----------------------------------------------------------------------------------------


REFUSALS: list[tuple[str, Any, type[Exception]]] = [
    ("create_branch_from_turn", (9, "x"), errors.ArgumentError),
    ("create_branch_from_turn", (0, "x"), errors.ArgumentError),
    ("create_branch_from_turn", (-1, None), errors.ArgumentError),
    ("create_branch_from_turn", (9, " "), errors.BranchNameError),
    ("create_branch_from_turn", (2, ""), errors.BranchNameError),
    ("create_branch_from_turn", (2, "main"), errors.BranchNameError),
    ("create_branch_from_turn", (2, "b"), errors.BranchNameError),
    ("create_branch_from_turn", (2, "deleted"), errors.BranchNameError),
    ("create_branch_from_content", ("nowhere", "x"), errors.ArgumentError),
    ("create_branch_from_content", ("nowhere", " "), errors.ArgumentError),
    ("create_branch_from_content", ("two", "b"), errors.BranchNameError),
    ("switch_to_branch", ("nowhere",), errors.UnknownBranchError),
    ("switch_to_branch", ("deleted",), errors.UnknownBranchError),
    ("switch_to_branch", ("",), errors.UnknownBranchError),
    ("delete_branch", ("nowhere",), errors.UnknownBranchError),
    ("delete_branch", ("nowhere", True), errors.UnknownBranchError),
    ("delete_branch", ("deleted",), errors.UnknownBranchError),
    ("delete_branch", ("",), errors.BranchNameError),
    ("delete_branch", (" ", True), errors.BranchNameError),
    ("delete_branch", ("main",), errors.ArgumentError),
    ("delete_branch", ("main", True), errors.ArgumentError),
    ("delete_branch", ("b",), errors.ArgumentError),
]


@also_as_client
def test_what_theirs_refuses_is_refused_in_its_words(ours: Any, theirs: Any) -> None:
    """As a ValueError of ours that begins with the same words; and nothing is changed by it."""
    for session in (ours, theirs):
        add(session, *turns("one", "two", "three"))
        ask(session, "create_branch_from_turn", 3, "deleted")
        ask(session, "delete_branch", "deleted", True)
        ask(session, "create_branch_from_turn", 3, "b")
    for method, values, kind in REFUSALS:
        said = same(ours, theirs, method, *values)
        with pytest.raises(ValueError, match=re.escape(str(said))) as refused:
            ask(ours, method, *values)
        assert type(refused.value) is kind
        assert str(refused.value).startswith(str(said))
    assert sorted(names(ours)) == ["b", "main"]
    assert len(same(ours, theirs, "get_items")) == 4


def test_a_turn_is_a_whole_number(path: Path) -> None:
    """Anything else is refused before it is asked for, and the store is as it was."""
    with duckstore.open(path) as store:
        session = store.session("s")
        add(session, *turns("one", "two"))
        for turn in ("2", 2.0, None, [], {"item": 1}, object()):
            with pytest.raises(errors.ArgumentError, match=r"turn_number is .*: give a whole"):
                ask(session, "create_branch_from_turn", turn, "x")
            if turn is not None:
                with pytest.raises(errors.ArgumentError, match="give a whole number, or None"):
                    ask(session, "get_turn_usage", turn)
        assert names(session) == ["main"]
    with duckstore.open(path) as store:
        assert len(ask(store.session("s"), "get_items")) == 4
        assert store.check() == []


def test_a_number_may_have_any_size(ours: Any) -> None:
    run(converse(ours, plain()))
    for number in (10**30, -(10**30)):
        assert ask(ours, "get_turn_usage", number) == {}
        with pytest.raises(errors.ArgumentError, match=f"Turn {number} does not contain"):
            ask(ours, "create_branch_from_turn", number)
        with pytest.raises(errors.UnknownBranchError):
            ask(ours, "get_tool_usage", number)


def test_a_search_term_is_a_text(ours: Any) -> None:
    add(ours, *turns("one", "two"))
    for term in (None, 5, b"x", ["x"]):
        for method in ("find_turns_by_content", "create_branch_from_content"):
            with pytest.raises(errors.ArgumentError, match=r"search_term is .*: give a text"):
                ask(ours, method, term)


READS: list[list[Any]] = [
    *(["get_conversation_turns"], ["get_conversation_by_turns"], ["get_tool_usage"]),
    *(["get_session_usage"], ["get_turn_usage", None], ["get_turn_usage", 1]),
    *(["find_turns_by_content", "one"], ["get_items", None]),
]


@also_as_client
def test_a_branch_that_is_not_there_is_an_error_for_reads_too(ours: Any, theirs: Any) -> None:
    """In theirs, a mistyped name looks like an empty branch. The error says which there are."""
    for session in (ours, theirs):
        add(session, *turns("one", "two"))
        ask(session, "create_branch_from_turn", 2, "deleted")
        ask(session, "delete_branch", "deleted", True)
    for method, *values in READS:
        for branch in ("nowhere", "deleted"):
            assert not ask(theirs, method, *values, branch)
        for branch in ("nowhere", "deleted", "", "\ud800", 4711):
            with pytest.raises(errors.UnknownBranchError, match=r"session 's' has 'main'$"):
                ask(ours, method, *values, branch)
        for thing in (True, 1.5, ["main"], b"main"):
            with pytest.raises(errors.UnknownBranchError, match="does not exist: give the name"):
                ask(ours, method, *values, thing)


def test_a_branch_is_named_by_its_id_as_well(ours: Any) -> None:
    add(ours, *turns("one", "two"))
    ask(ours, "create_branch_from_turn", 2, "b")
    main, b = (branch.branch_id for branch in ask(ours, "branches"))
    assert len(ask(ours, "get_conversation_turns", main)) == 2
    assert len(ask(ours, "get_conversation_turns", b)) == 1
    ask(ours, "switch_to_branch", main)
    ask(ours, "delete_branch", b)
    assert names(ours) == ["main"]


def test_damaged_messages_are_left_out_as_in_theirs(store: duckstore.Store) -> None:
    """The turns that can be read are shown; one whose text was damaged is not among them."""
    session = store.session("s")
    add(session, *turns("one", "two", "three"), [user("four"), user("and more")])
    spoil(store, "s", 3, 7)
    found = ask(session, "get_conversation_turns")
    assert [(turn["turn"], turn["content"]) for turn in found] == [
        *((1, "one"), (3, "three"), (4, "and more"))
    ]
    assert [turn["turn"] for turn in ask(session, "find_turns_by_content", "")] == [1, 3, 4]


# Where ours differs -----------------------------------------------------------------------------


@also_as_client
def test_a_branch_from_turn_1_can_be_listed_and_switched_to(ours: Any, theirs: Any) -> None:
    """Theirs is lost as soon as it is left."""
    for session in (ours, theirs):
        add(session, *turns("one", "two"))
        assert ask(session, "create_branch_from_turn", 1, "b") == "b"
        assert ask(session, "get_items") == []
    assert names(theirs) == ["main"]
    assert listed(ask(ours, "list_branches"))["b"] == {
        "branch_id": "b",
        "message_count": 0,
        "user_turns": 0,
        "is_current": True,
    }
    for session in (ours, theirs):
        ask(session, "switch_to_branch", "main")
    with pytest.raises(ValueError, match="Branch 'b' does not exist"):
        ask(theirs, "switch_to_branch", "b")
    ask(ours, "switch_to_branch", "b")
    add(ours, *turns("other"))
    assert [turn["content"] for turn in ask(ours, "get_conversation_turns")] == ["other"]


def test_a_branch_without_items_stays_a_branch(ours: Any, theirs: Any) -> None:
    """Also `main` before anything was said, and one from which everything was popped."""
    ask(ours, "switch_to_branch", "main")
    with pytest.raises(ValueError, match="Branch 'main' does not exist"):
        ask(theirs, "switch_to_branch", "main")
    for session in (ours, theirs):
        assert names(session) == []
        add(session, *turns("one", "two"))
        ask(session, "create_branch_from_turn", 2, "b")
        for _ in range(2):
            ask(session, "pop_item")
        ask(session, "switch_to_branch", "main")
    assert (names(ours), names(theirs)) == (["main", "b"], ["main"])
    ask(ours, "switch_to_branch", "b")
    for session in (ours, theirs):
        ask(session, "clear_session")
    assert (names(ours), names(theirs)) == (["main"], [])


@also_as_client
def test_several_messages_of_one_input_are_one_turn(ours: Any, theirs: Any) -> None:
    """What the user said is one text then. In theirs the answer belongs to the last of them."""
    for session in (ours, theirs):
        add(session, [user("one"), user("two")], [assistant("42")], [user("three")])
    found = ask(ours, "get_conversation_turns")
    assert [(turn["turn"], turn["content"]) for turn in found] == [(1, "one\n\ntwo"), (2, "three")]
    assert [turn["turn"] for turn in ask(theirs, "get_conversation_turns")] == [1, 2, 3]
    assert [len(items) for items in ask(ours, "get_conversation_by_turns").values()] == [3, 1]
    assert [len(items) for items in ask(theirs, "get_conversation_by_turns").values()] == [1, 2, 1]
    assert [ask(s, "list_branches")[0]["user_turns"] for s in (ours, theirs)] == [2, 3]
    assert ask(ours, "create_branch_from_content", "three") in names(ours)
    assert ask(ours, "get_items") == [user("one"), user("two"), assistant("42")]


def test_what_an_assistant_opens_with_is_turn_1(ours: Any, theirs: Any) -> None:
    """In theirs it is turn 0. It is no user's turn in either."""
    for session in (ours, theirs):
        add(session, [assistant("Hello!")], *turns("one"))
    assert list(ask(ours, "get_conversation_by_turns")) == [1, 2]
    assert list(ask(theirs, "get_conversation_by_turns")) == [0, 1]
    assert [turn["turn"] for turn in ask(ours, "get_conversation_turns")] == [2]
    assert [turn["turn"] for turn in ask(theirs, "get_conversation_turns")] == [1]
    assert [ask(s, "list_branches")[0]["user_turns"] for s in (ours, theirs)] == [1, 1]
    with pytest.raises(errors.ArgumentError, match="Turn 1 does not contain a user message"):
        ask(ours, "create_branch_from_turn", 1)
    for session, turn in ((ours, 2), (theirs, 1)):
        ask(session, "create_branch_from_turn", turn, "b")
        assert ask(session, "get_items") == [assistant("Hello!")]


def test_system_messages_belong_to_the_question_that_they_lead_up_to(
    ours: Any, theirs: Any
) -> None:
    """In theirs they belong to the turn before, and stay on a branch from that question."""
    system = {"type": "message", "role": "system", "content": "be brief"}
    for session in (ours, theirs):
        add(session, [system, user("one")], [assistant("42")], [system, user("two")])
    kinds = [
        {n: [item["type"] for item in items] for n, items in ask(s, by_turns).items()}
        for by_turns in ["get_conversation_by_turns"]
        for s in (ours, theirs)
    ]
    assert kinds == [
        {1: ["message", "user", "assistant"], 2: ["message", "user"]},
        {0: ["message"], 1: ["user", "assistant", "message"], 2: ["user"]},
    ]
    for session, expected in ((ours, 3), (theirs, 4)):
        ask(session, "create_branch_from_turn", 2, "b")
        assert len(ask(session, "get_items")) == expected
    ask(ours, "create_branch_from_turn", 1, "c")
    assert ask(ours, "get_items") == []


@also_as_client
def test_what_an_assistant_said_is_found(ours: Any, theirs: Any) -> None:
    """Theirs looks at user messages alone."""
    for session in (ours, theirs):
        add(session, *turns("one"), [user("two"), assistant("Sunny in Oslo.")])
    (found,) = ask(ours, "find_turns_by_content", "oslo")
    assert (found["turn"], found["content"]) == (2, "two")
    assert ask(theirs, "find_turns_by_content", "oslo") == []
    with pytest.raises(ValueError, match="No user turns found containing 'oslo'"):
        ask(theirs, "create_branch_from_content", "oslo")
    assert ask(ours, "create_branch_from_content", "oslo", "b") == "b"
    assert len(ask(ours, "get_items")) == 2


@pytest.mark.parametrize("term", ["ärger", "ΩΜΈΓΑ", "ωμέγας", "ПРИВЕТ", "i\u0308", "Ï"])
def test_case_is_ignored_in_every_script(ours: Any, theirs: Any, term: str) -> None:
    """So are the ways to write one letter. Theirs does it for ASCII letters only."""
    for session in (ours, theirs):
        add(session, *turns("ÄRGER, ωμέγα, Ωμέγας, Привет, naïve"))
        assert len(ask(session, "find_turns_by_content", term)) == (session is ours)


def test_a_search_reads_what_a_person_would(ours: Any, theirs: Any) -> None:
    """The place of a picture as well. Theirs reads texts alone."""
    content = [{"type": "input_image", "image_url": "u"}, {"type": "input_text", "text": "what?"}]
    for session in (ours, theirs):
        add(session, [{"role": "user", "content": content}])
        assert len(ask(session, "find_turns_by_content", "what")) == 1
        assert len(ask(session, "find_turns_by_content", "[image]")) == (session is ours)
        assert len(ask(session, "find_turns_by_content", "input_text")) == 0


def test_the_current_branch_belongs_to_the_stored_session(path: Path, tmp_path: Path) -> None:
    """All objects are on it, after reopening too. Each object of theirs has one of its own."""
    with duckstore.open(path) as store:
        ours, other = store.session("s"), duckstore.DuckDBSession("s", path)
        theirs, others = (advanced(tmp_path / "theirs.db") for _ in range(2))
        for session in (ours, theirs):
            add(session, *turns("one", "two"))
            ask(session, "create_branch_from_turn", 2, "b")
        assert [len(ask(s, "get_items")) for s in (ours, other)] == [2, 2]
        assert [len(ask(s, "get_items")) for s in (theirs, others)] == [2, 4]
        other.close()
    with duckstore.open(path) as store:
        assert len(ask(store.session("s"), "get_items")) == 2
        current = [b["branch_id"] for b in ask(store.session("s"), "list_branches")][-1]
        assert current == "b"
    for session in (theirs, others):
        session.close()


def test_the_current_branch_is_shared_by_processes(
    keeper: Keeper, path: Path, client: duckstore.Store
) -> None:
    """What one process switches to, the others are on."""
    session = client.session("s")
    add(session, *turns("one", "two"))
    keeper.run(f"stores[{str(path)!r}].conversation('s').create_branch_from_turn(2, 'b')")
    assert len(ask(session, "get_items")) == 2
    ask(session, "switch_to_branch", "main")
    keeper.run(f"assert len(stores[{str(path)!r}].conversation('s').items()) == 4")


@also_as_client
def test_what_was_replaced_is_listed(ours: Any, theirs: Any) -> None:
    """After a pop, what is added is an alternative. In theirs what was popped is gone."""
    for session in (ours, theirs):
        add(session, *turns("one"))
        ask(session, "pop_item")
        add(session, [assistant("43")])
        assert ask(session, "get_items") == [user("one"), assistant("43")]
    assert (names(ours), names(theirs)) == (["main~1", "main"], ["main"])
    ask(ours, "switch_to_branch", "main~1")
    assert ask(ours, "get_items") == [user("one"), assistant("42")]


def test_a_name_is_free_again_after_a_clear(ours: Any, theirs: Any) -> None:
    """It is not after a deletion: that branch is still stored. Theirs keeps names for ever."""
    for session in (ours, theirs):
        add(session, *turns("one", "two"))
        ask(session, "create_branch_from_turn", 2, "b")
        ask(session, "clear_session")
        add(session, *turns("one", "two"))
    with pytest.raises(ValueError, match="Branch ID 'b' has already been used"):
        ask(theirs, "create_branch_from_turn", 2, "b")
    assert ask(ours, "create_branch_from_turn", 2, "b") == "b"


def test_calls_are_counted_where_a_tool_was_called(ours: Any, theirs: Any) -> None:
    """Of every kind of tool; to ask for leave is no call, nor is an output alone."""
    served = {"server_label": "disk", "name": "read", "arguments": "{}"}
    batch = [
        user("one"),
        {"type": "mcp_approval_request", "id": "p", **served},
        {"type": "mcp_approval_response", "approval_request_id": "p", "approve": True},
        {"type": "mcp_call", "id": "m", **served, "output": "42"},
        {"type": "image_generation_call", "id": "i", "status": "completed", "result": "aaaa"},
        {"type": "local_shell_call", "id": "l", "call_id": "l", "action": {}},
        {"type": "tool_search_output", "tools": [], "execution": "client"},
    ]
    for session in (ours, theirs):
        add(session, batch)
    assert ask(ours, "get_tool_usage") == [
        ("disk.read", 1, 1),
        ("image_generation_call", 1, 1),
        ("local_shell_call", 1, 1),
    ]
    assert sorted(ask(theirs, "get_tool_usage")) == [("disk.read", 2, 1), ("tool_search", 1, 1)]


def test_an_item_has_the_type_that_it_leaves_out(ours: Any, theirs: Any) -> None:
    """A message or a reference may. In theirs it is "other"; and a speaker's name is no tool."""
    batch = [{**user("one"), "name": "Ann"}, {"role": "system", "content": "brief"}, {"id": "x"}]
    for session in (ours, theirs):
        add(session, batch)
    kinds = [ask(session, "get_conversation_by_turns")[1] for session in (ours, theirs)]
    assert [item["type"] for item in kinds[0]] == ["user", "message", "item_reference"]
    assert [item["type"] for item in kinds[1]] == ["user", "other", "other"]
    assert [items[0]["tool_name"] for items in kinds] == [None, "Ann"]


@also_as_client
def test_what_a_compaction_replaced_still_counts(ours: Any) -> None:
    """Its calls and tokens were paid for. Its turns are no turns of the conversation any more, even
    where the summary keeps what the user said.
    """

    class Keeping(Compactor):
        async def compact(self, **request: Any) -> Any:
            await super().compact(**request)
            return SimpleNamespace(output=[user("hello"), dict(SUMMARY)], usage=None)

    run(Runner.run(calling(), "hello", session=ours, run_config=QUIET))
    before = [ask(ours, method) for method in ("get_tool_usage", "get_turn_usage")]
    assert before[0] == [("broken", 1, 1), ("weather", 2, 1)]
    run(compacting(ours, Keeping()).run_compaction({"force": True}))
    assert [ask(ours, method) for method in ("get_tool_usage", "get_turn_usage")] == before
    assert ask(ours, "get_conversation_turns") == []
    assert ask(ours, "find_turns_by_content", "") == []
    assert ask(ours, "get_conversation_by_turns") == {
        1: [{"type": kind, "tool_name": None} for kind in ("user", "compaction")]
    }
    assert listed(ask(ours, "list_branches"))["main"] == {
        "branch_id": "main",
        "message_count": 2,
        "user_turns": 0,
        "is_current": True,
    }


# Usage ------------------------------------------------------------------------------------------


def counts(usage: Any) -> Any:
    """Usage without what only the installed openai package knows."""
    if isinstance(usage, list):
        return [counts(turn) for turn in usage]
    details = usage.get("input_tokens_details")
    return {**usage, "input_tokens_details": details and {k: details[k] for k in KNOWN}}


async def converse(session: Any, *agents: Any, wrapped: bool = False) -> list[Any]:
    """A run of each agent, its usage stored after it."""
    results = []
    for number, starting in enumerate(agents, start=1):
        behind = Through(session) if wrapped else session
        results.append(
            await Runner.run(starting, f"question {number}", session=behind, run_config=QUIET)
        )
        await session.store_run_usage(results[-1])
    return results


@also_as_client
@pytest.mark.parametrize("wrapped", [False, True], ids=["seen", "behind another session"])
def test_usage_is_theirs(ours: Any, theirs: Any, wrapped: bool) -> None:
    """Of runs with tools, a handoff and plain answers, by turn and together."""
    for session in (ours, theirs):
        run(converse(session, calling(), plain(), handing_over(), wrapped=wrapped))
    assert tokens(ours) == {1: 6600, 2: 1100, 3: 6600}
    assert counts(ask(ours, "get_turn_usage")) == counts(ask(theirs, "get_turn_usage"))
    assert counts(ask(ours, "get_turn_usage", 3)) == counts(ask(theirs, "get_turn_usage", 3))
    for values in ((), ("main",)):
        same(ours, theirs, "get_session_usage", *values)
    same(ours, theirs, "get_turn_usage", 9)
    assert ask(ours, "get_session_usage") == {
        "requests": 7,
        "input_tokens": 13000,
        "output_tokens": 1300,
        "total_tokens": 14300,
        "total_turns": 3,
    }


def asking_another() -> Any:
    """An agent that uses another one as a tool: both have one usage."""
    expert = agent("Expert", step(2, assistant_message("Sunny.")))
    return agent(
        "Desk",
        step(1, function_call("expert", {"input": "?"}, call_id="a")),
        step(3, assistant_message("It is sunny.")),
        tools=[expert.as_tool("expert", "Knows it.")],
    )


@pytest.mark.parametrize("make", [plain, calling, handing_over, asking_another])
@streamed_or_not
def test_usage_of_a_run_that_the_session_saw_is_stored_already(
    ours: Any, make: Any, streamed: bool
) -> None:
    """`store_run_usage` adds nothing to it."""
    result = run(go(make(), "hello", ours, streamed=streamed))
    before = ask(ours, "get_turn_usage")
    assert [turn["total_tokens"] for turn in before] == [result.context_wrapper.usage.total_tokens]
    ask(ours, "store_run_usage", result)
    assert ask(ours, "get_turn_usage") == before


def test_usage_that_one_session_stored_is_not_stored_by_another(store: duckstore.Store) -> None:
    """Whether the first one saw the run or was told of it."""
    seeing, told, other = (store.session(name) for name in ("seeing", "told", "other"))
    add(other, *turns("one"))
    results = [
        *run(converse(seeing, calling())),
        *run(converse(told, plain(), wrapped=True)),
    ]
    for result in results:
        ask(other, "store_run_usage", result)
    assert [tokens(session) for session in (seeing, told, other)] == [{1: 6600}, {1: 1100}, {}]


@streamed_or_not
def test_usage_of_an_agent_that_was_a_tool_is_its_callers(ours: Any, streamed: bool) -> None:
    """Behind another session, too, it is stored once."""
    result = run(go(asking_another(), "hello", Through(ours), streamed=streamed))
    for _ in range(2):
        ask(ours, "store_run_usage", result)
    assert tokens(ours) == {1: 6600}


@also_as_client
def test_a_result_counts_once(ours: Any) -> None:
    """However often it is stored, at once and one after the other."""

    async def talk() -> None:
        result = await Runner.run(calling(), "hello", session=Through(ours), run_config=QUIET)
        assert await ours.get_turn_usage() == []
        await asyncio.gather(*(ours.store_run_usage(result) for _ in range(4)))
        await ours.store_run_usage(result)

    run(talk())
    assert tokens(ours) == {1: 6600}


def test_a_result_counts_once_when_the_store_was_opened_again(path: Path) -> None:
    with duckstore.open(path) as store:
        (result,) = run(converse(store.session("s"), calling(), wrapped=True))
    with duckstore.open(path) as store:
        ask(store.session("s"), "store_run_usage", result)
        assert tokens(store.session("s")) == {1: 6600}


@pytest.mark.parametrize("late", [False, True], ids=["each after its run", "both at the end"])
@pytest.mark.parametrize("wrapped", [False, True], ids=["seen", "behind another session"])
def test_results_of_one_turn_add_up(ours: Any, theirs: Any, wrapped: bool, late: bool) -> None:
    """The second run answers the same question. Theirs keeps the usage of the last one alone."""

    async def talk(session: Any) -> None:
        behind = Through(session) if wrapped else session
        results = []
        again = agent("Second", step(4, assistant_message("Again.")))
        for starting, asked in ((calling(), "one"), (again, [])):
            results.append(
                await Runner.run(starting, asked, session=behind, run_config=QUIET)  # type: ignore[arg-type]
            )
            if not late:
                await session.store_run_usage(results[-1])
        if late:
            for result in results:
                await session.store_run_usage(result)

    for session in (ours, theirs):
        run(talk(session))
    assert tokens(ours) == {1: 11000}
    assert tokens(theirs) == {1: 4400}
    assert ask(ours, "get_session_usage")["total_turns"] == 1


@pytest.mark.parametrize(
    ("wrapped", "early", "by_json"),
    [
        pytest.param(False, True, False, id="seen"),
        pytest.param(False, True, True, id="seen, by JSON"),
        pytest.param(True, False, False, id="behind another session, stored at the end"),
        pytest.param(True, True, False, id="behind another session, stored both times"),
        pytest.param(True, True, True, id="behind another session, stored both times, by JSON"),
    ],
)
def test_a_resumed_run_counts_once(
    ours: Any, theirs: Any, wrapped: bool, early: bool, by_json: bool
) -> None:
    """Its second result holds what the first one did."""

    async def talk(session: Any) -> None:
        behind = Through(session) if wrapped else session
        starting = agent(
            "Keeper",
            step(1, function_call("delete", {"name": "x"}, call_id="a")),
            step(2, assistant_message("Gone.")),
            tools=[delete],
        )
        result = await Runner.run(starting, "Delete x", session=behind, run_config=QUIET)
        if early:
            await session.store_run_usage(result)
        state = result.to_state()
        if by_json:
            state = await RunState.from_json(starting, state.to_json())
        state.approve(state.get_interruptions()[0])
        result = await Runner.run(starting, state, session=behind, run_config=QUIET)
        await session.store_run_usage(result)

    for session in (ours, theirs):
        run(talk(session))
        assert tokens(session) == {1: 3300}


def test_a_result_without_a_place_is_stored_when_there_is_one(ours: Any) -> None:
    """A run whose items are not in the session yet has nothing that its usage could belong to."""

    async def talk() -> None:
        result = await Runner.run(plain(), "hello", run_config=QUIET)
        await ours.store_run_usage(result)
        assert await ours.get_session_usage() is None
        await ours.add_items(result.to_input_list())
        await ours.store_run_usage(result)

    run(talk())
    assert tokens(ours) == {1: 1100}


@also_as_client
def test_usage_that_a_branch_shares_is_in_its_figures(ours: Any, theirs: Any) -> None:
    """The session counts it once. Theirs leaves it out of the branch's."""
    for session in (ours, theirs):
        run(converse(session, plain(), calling()))
        ask(session, "create_branch_from_turn", 2, "b")
        run(converse(session, handing_over()))
    assert (tokens(ours, "b"), tokens(theirs, "b")) == ({1: 1100, 2: 6600}, {2: 6600})
    assert (tokens(ours, "main"), tokens(theirs, "main")) == ({1: 1100, 2: 6600},) * 2
    assert (all_tokens(ours, "b"), all_tokens(theirs, "b")) == (7700, 6600)
    assert ask(ours, "get_session_usage", "b")["total_turns"] == 2
    same(ours, theirs, "get_session_usage")
    assert ask(ours, "get_session_usage")["total_turns"] == 3


def test_turns_of_a_branch_are_counted_by_their_numbers(ours: Any) -> None:
    """An answer that was begun over twice in its middle is one turn of its branch."""
    for number, popped in enumerate((0, 2, 2)):
        for _ in range(popped):
            ask(ours, "pop_item")
        run(Runner.run(calling(), [] if number else "hello", session=ours, run_config=QUIET))  # type: ignore[arg-type]
    usage = ask(ours, "get_session_usage", "main")
    assert usage["total_turns"] == len(ask(ours, "get_turn_usage")) == 1
    assert usage["total_tokens"] == ask(ours, "get_turn_usage", 1)["total_tokens"]


def test_a_pop_loses_the_usage_of_nothing_else(ours: Any, theirs: Any) -> None:
    """The answer's tokens leave the turn with it, and were paid for still. Theirs keeps them in the
    turn until its question is popped, and then forgets them.
    """
    for session in (ours, theirs):
        run(converse(session, plain(), calling(), plain()))
        ask(session, "pop_item")
    assert (tokens(ours), tokens(theirs)) == ({1: 1100, 2: 6600}, {1: 1100, 2: 6600, 3: 1100})
    for session in (ours, theirs):
        ask(session, "pop_item")
        assert tokens(session) == {1: 1100, 2: 6600}
    assert (all_tokens(ours), all_tokens(theirs)) == (8800, 7700)
    ask(ours, "pop_item")  # the last of the second run's three responses
    assert tokens(ours) == {1: 1100, 2: 3300}


def test_a_pop_that_deletes_loses_the_usage_of_nothing_else(path: Path) -> None:
    with duckstore.open(path, keep_popped=False) as store:
        session = store.session("s")
        run(converse(session, plain(), calling()))
        ask(session, "pop_item")
        assert tokens(session) == {1: 1100, 2: 3300}
        assert all_tokens(session) == 4400


def test_the_usage_of_a_deleted_branch_was_paid_for(ours: Any, theirs: Any) -> None:
    """It stays in the session's figures; in theirs it does not. A clear deletes it in both."""
    for session in (ours, theirs):
        run(converse(session, plain(), plain()))
        ask(session, "create_branch_from_turn", 2, "b")
        run(converse(session, calling()))
        ask(session, "delete_branch", "b", True)
        assert tokens(session) == {1: 1100, 2: 1100}
    assert (all_tokens(ours), all_tokens(theirs)) == (8800, 2200)
    for session in (ours, theirs):
        ask(session, "clear_session")
        assert all_tokens(session) is None


def test_a_request_counts_where_the_model_told_no_tokens(ours: Any, theirs: Any) -> None:
    for session in (ours, theirs):
        silent = ModelStep(output=[assistant_message("42")], usage=Usage())
        run(converse(session, agent("Silent", silent)))
        assert tokens(session) == {1: 0}
    assert same(ours, theirs, "get_session_usage")["requests"] == 1


def test_usage_that_cannot_be_stored_is_an_error(
    ours: Any, theirs: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Theirs logs it and goes on."""
    result = run(Runner.run(plain(), "hello", run_config=QUIET))
    for session in (ours, theirs):
        add(session, *turns("one"))
        session.close()
    with pytest.raises(errors.ClosedError):
        ask(ours, "store_run_usage", result)
    with caplog.at_level(logging.ERROR):
        ask(theirs, "store_run_usage", result)
    assert "Failed to store session usage" in caplog.text


def test_what_is_no_result_has_no_usage(ours: Any, theirs: Any) -> None:
    add(ours, *turns("one"))
    for thing in (None, "result", object()):
        assert same(ours, theirs, "store_run_usage", thing) is None
    assert ask(ours, "get_turn_usage") == []
