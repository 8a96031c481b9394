"""Random use of a session beside the same use of the SDK's `SQLiteSession`: always the same."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from agents import SQLiteSession
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

import duckstore
from tests.samples import assistant, call, json_values, output, user

NAMES = st.sampled_from(["first", "second"])
ITEMS = st.one_of(
    st.sampled_from(
        [user("one"), user("two"), assistant("yes"), call("f", "c"), call("g", "c"), output("c")]
    ),
    json_values(),
)
LIMITS = st.one_of(
    st.none(), st.integers(-3, 6), st.sampled_from([2**31 - 1, 2**31, 2**63, -(2**70)])
)


def exact(value: Any) -> str:
    """A text that differs where values differ, and is the same for two NaN."""
    return repr(value)


class Oracle(RuleBasedStateMachine):
    """Two conversations in one file of ours, and in one of the SDK's."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.path = Path(self.folder.name) / "ours.duckdb"
        self._open()

    def _open(self) -> None:
        self.store = duckstore.open(self.path)
        self.ours = {name: self.store.session(name) for name in ("first", "second")}
        theirs = Path(self.folder.name) / "theirs.db"
        self.theirs = {name: SQLiteSession(name, theirs) for name in self.ours}

    def _close(self) -> None:
        for session in self.ours.values():
            session.close()
        for theirs in self.theirs.values():
            theirs.close()
        self.store.close()

    def teardown(self) -> None:
        self._close()
        self.loop.close()
        self.folder.cleanup()

    def both(self, name: str, method: str, *values: Any) -> None:
        """Call both sessions and compare what they return."""
        results = [
            self.loop.run_until_complete(getattr(session, method)(*values))
            for session in (self.ours[name], self.theirs[name])
        ]
        assert exact(results[0]) == exact(results[1])

    @rule(name=NAMES, items=st.lists(ITEMS, max_size=6))
    def add(self, name: str, items: list[Any]) -> None:
        self.both(name, "add_items", items)

    @rule(name=NAMES, count=st.integers(1, 3))
    def pop(self, name: str, count: int) -> None:
        for _ in range(count):
            self.both(name, "pop_item")

    @rule(name=NAMES)
    def clear(self, name: str) -> None:
        self.both(name, "clear_session")

    @rule(name=NAMES, limit=LIMITS)
    def read_some(self, name: str, limit: int | None) -> None:
        # SQLite binds no integer above 64 bits: such a limit means all to both.
        if limit is not None and abs(limit) >= 2**63:
            ours = self.loop.run_until_complete(self.ours[name].get_items(limit))
            theirs: list[Any] = self.loop.run_until_complete(self.theirs[name].get_items(-1))
            assert exact(ours) == exact(theirs)
            return
        self.both(name, "get_items", limit)

    @rule(name=NAMES, limit=st.integers(0, 4))
    def default_limit(self, name: str, limit: int) -> None:
        """A session's own limit counts where a call names none."""
        self.ours[name] = self.store.session(name, session_settings={"limit": limit})
        self.theirs[name].close()
        self.theirs[name] = SQLiteSession(
            name, Path(self.folder.name) / "theirs.db", session_settings={"limit": limit}
        )
        self.both(name, "get_items")

    @rule(name=NAMES)
    def another_object(self, name: str) -> None:
        """A second session object stands for the same conversation."""
        settings = self.ours[name].session_settings
        self.ours[name] = duckstore.DuckDBSession(name, self.path, settings)

    @rule()
    def reopen(self) -> None:
        self._close()
        self._open()

    @invariant()
    def both_are_the_same(self) -> None:
        for name in self.ours:
            self.both(name, "get_items", -1)


def test_random_use_gives_what_the_sdk_gives() -> None:
    run_state_machine_as_test(
        Oracle,
        settings=settings(
            max_examples=20,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
