"""The contract of sessions once more, with every store owned by another process.

The tests are those of the modules below, run again as they are; here the fixtures `path` and
`store` lead to a file that another process has open already, so that this one is its client. What
is left out reaches into the owner to damage or to halt it. Those about branches are with the slow
tests: the others use the same commands on the same way.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

import duckstore
from duckstore.ownership import find_post
from tests import (
    test_branching,
    test_oracle,
    test_session,
    test_session_life,
    test_threads,
    test_tree,
)
from tests.owner import Keeper

DAMAGE = "damages rows of the file, which only its owner can"
HALT = "halts the owner's journal from inside its process"
MODULES = (test_session, test_session_life, test_branching, test_threads, test_tree, test_oracle)
LEFT_OUT = {
    "test_corrupt_rows_are_left_out_and_not_counted": DAMAGE,
    "test_corrupt_rows_are_removed_by_a_pop": DAMAGE,
    "test_a_session_of_corrupt_rows_pops_none": DAMAGE,
    "test_a_damaged_message_is_told_and_does_no_harm": DAMAGE,
    "test_a_cancelled_change_is_finished_first": HALT,
    "test_a_cancelled_change_that_fails_raises_the_cancellation": HALT,
    "test_what_follows_a_compaction_of_nothing_is_the_same_after_reading_it_again": (
        "has the owner forget a session"
    ),
    "test_random_use_gives_what_the_sdk_gives": "has a path of its own, and is below",
}


def contract() -> dict[str, Callable[..., Any]]:
    """The tests to run again, by name."""
    return {
        name: slow(test) if module is test_branching else test
        for module in MODULES
        for name, test in inspect.getmembers(module, inspect.isfunction)
        if name.startswith("test_")
        and not {"path", "store"}.isdisjoint(inspect.signature(test).parameters)
        and name not in LEFT_OUT
    }


def slow(test: Callable[..., Any]) -> Callable[..., Any]:
    """The test once more, for the slow run; a mark on itself would be one where it is from."""
    code = test.__code__
    again = FunctionType(code, test.__globals__, test.__name__, test.__defaults__)
    again.__kwdefaults__ = test.__kwdefaults__
    again.__dict__.update(test.__dict__)
    return pytest.mark.slow(again)


globals().update(contract())


@pytest.fixture
def path(keeper: Keeper, tmp_path: Path) -> Iterator[Path]:
    """A path whose store another process has open, to the end of the test."""
    path = tmp_path / "agents.duckdb"
    keeper.open(path)
    yield path
    post = find_post(str(path))
    assert post is not None
    assert post.process_id == keeper.process_id
    keeper.close(path)


@pytest.fixture
def store(path: Path) -> Iterator[duckstore.Store]:
    """A store of which this process is a client."""
    with duckstore.open(path) as opened:
        yield opened
        if opened._access.is_usable:
            assert not opened._access.is_owner


def test_the_contract_is_run_whole() -> None:
    """What is left out is there to be left out, and the rest is many tests."""
    assert all(any(hasattr(module, name) for module in MODULES) for name in LEFT_OUT)
    tests = [
        name for module in MODULES for name, _ in inspect.getmembers(module) if name in contract()
    ]
    assert len(tests) == len(contract()) > 100, "two tests have one name"


def test_random_use_as_a_client_gives_what_the_sdk_gives(keeper: Keeper) -> None:
    class ClientOracle(test_oracle.Oracle):
        """The same machine with our file open in another process."""

        def _open(self) -> None:
            if find_post(str(self.path)) is None:
                keeper.open(self.path)
            super()._open()
            assert not self.store._access.is_owner

        def teardown(self) -> None:
            self._close()
            keeper.close(self.path)
            self.loop.close()
            self.folder.cleanup()

    run_state_machine_as_test(
        ClientOracle,
        settings=settings(
            max_examples=10,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize(
    ("change", "expected"), [("add", ["one", "two", "more"]), ("pop", ["one"]), ("clear", [])]
)
def test_a_cancelled_change_of_a_client_is_finished_first(
    keeper: Keeper, path: Path, store: duckstore.Store, change: str, expected: list[str]
) -> None:
    """Cancelled while its owner is at it: the change is done, then CancelledError is raised."""
    lock = f"stores[{str(path)!r}]._access.engine._journal_lock"
    operations: dict[str, Callable[[Any], Any]] = {
        "add": lambda session: session.add_items(["more"]),
        "pop": lambda session: session.pop_item(),
        "clear": lambda session: session.clear_session(),
    }

    async def cancel_in_the_middle() -> None:
        session = store.session("s")
        await session.add_items(["one", "two"])  # type: ignore[list-item]
        keeper.run(f"{lock}.acquire()")
        changing = asyncio.ensure_future(operations[change](session))
        for _ in range(5):
            await asyncio.sleep(0.02)
            changing.cancel()
        await asyncio.sleep(0.02)
        assert not changing.done()
        keeper.run(f"{lock}.release()")
        with pytest.raises(asyncio.CancelledError):
            await changing
        assert await session.get_items() == expected

    asyncio.run(cancel_in_the_middle())
    assert store.check() == []
