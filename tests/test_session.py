"""The SDK's Session contract, as `DuckDBSession` keeps it, with `SQLiteSession` as the measure."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from agents import SQLiteSession
from agents.memory import Session, SessionSettings
from openai.types.responses import ResponseOutputMessage, ResponseOutputText

import duckstore
from duckstore.errors import ArgumentError, ItemError
from tests.samples import assistant, run, user

THREE = [user("one"), assistant("two"), user("three")]
LIMITS = [None, 0, 1, 2, 3, 4, 1_000, 2**31 - 1, 2**62, -1, -2, -(2**31)]


def rows(store: duckstore.Store, sql: str) -> list[tuple[Any, ...]]:
    """What a statement gives, as tuples."""
    return store.sql(sql).rows()


def spoil(store: duckstore.Store, session_id: str, *positions: int) -> None:
    """Make the items at these positions unreadable, as damage from outside would."""
    marks = ", ".join("?" for _ in positions)
    engine = store._access.engine

    def spoil_rows() -> None:
        engine._file._writer.execute(
            f"update item_rows set item = '{{broken' where position in ({marks}) and session_key ="
            " (select session_key from session_rows where session_id = ?)",
            [*positions, session_id],
        )

    engine._folding.run(spoil_rows)
    engine.forget(session_id)


# The protocol ----------------------------------------------------------------------------------


def test_it_is_a_session_to_the_sdk(store: duckstore.Store) -> None:
    """The SDK recognises it by protocol, and every method takes the run's wrapper."""
    session = store.session("s")
    assert isinstance(session, Session)
    for name in ("get_items", "add_items", "pop_item", "clear_session"):
        wrapper = inspect.signature(getattr(session, name)).parameters["wrapper"]
        assert wrapper.kind is inspect.Parameter.KEYWORD_ONLY
    for name in ("run_compaction", "_get_items_with_generation", "_add_items_with_generation"):
        assert not hasattr(session, name), "the SDK would take it for a session of another kind"


def test_positional_arguments_are_those_of_sqlite_session(tmp_path: Path) -> None:
    """`SQLiteSession("id", "file")` becomes `DuckDBSession("id", "file")`, path or text."""
    first = duckstore.DuckDBSession("s", str(tmp_path / "chat.duckdb"))
    second = duckstore.DuckDBSession("s", tmp_path / "chat.duckdb")
    run(first.add_items(THREE))
    assert run(second.get_items()) == THREE
    first.close()
    second.close()


def test_sessions_in_memory_are_alone() -> None:
    """Without a path each object has a conversation of its own, even under one id."""
    first, second = duckstore.DuckDBSession("s"), duckstore.DuckDBSession("s")
    run(first.add_items(THREE))
    assert run(second.get_items()) == []
    first.close()
    second.close()


def test_a_limit_means_what_it_means_to_sqlite_session(store: duckstore.Store) -> None:
    """Zero gives nothing, negative numbers and huge ones all, others the latest in order."""
    ours, theirs = store.session("s"), SQLiteSession("s")
    run(ours.add_items(THREE))
    run(theirs.add_items(THREE))
    for limit in LIMITS:
        expected = run(theirs.get_items(limit))
        assert run(ours.get_items(limit)) == expected, limit
        assert run(ours.get_items(limit=limit)) == expected, limit
    theirs.close()


def test_a_limit_beyond_64_bits_means_all(store: duckstore.Store) -> None:
    run(store.session("s").add_items(THREE))
    assert run(store.session("s").get_items(2**80)) == THREE
    assert run(store.session("s").get_items(-(2**80))) == THREE


def test_settings_give_the_default_limit(store: duckstore.Store) -> None:
    """`session_settings` as None, dict or object bounds reads that name no limit, no others."""
    run(store.session("s").add_items(THREE))
    cases: list[tuple[SessionSettings | dict[str, Any] | None, int]] = [
        (None, 3),
        ({}, 3),
        ({"limit": None}, 3),
        ({"limit": 2}, 2),
        (SessionSettings(limit=1), 1),
        (SessionSettings(limit=0), 0),
        (SessionSettings(limit=-1), 3),
    ]
    for settings, expected in cases:
        session = store.session("s", session_settings=settings)
        assert len(run(session.get_items())) == expected, settings
        assert len(run(session.get_items(2))) == 2
        assert len(run(session.get_items(-1))) == 3
        assert isinstance(session.session_settings, SessionSettings)


def test_settings_can_be_changed_on_a_session(store: duckstore.Store) -> None:
    """As on `SQLiteSession`, `session_settings` is an attribute that can be set and altered."""
    session = store.session("s")
    run(session.add_items(THREE))
    assert session.session_settings == SessionSettings()
    assert session.session_settings is not None
    session.session_settings.limit = 1
    assert len(run(session.get_items())) == 1
    session.session_settings = {"limit": 2}
    assert session.session_settings == SessionSettings(limit=2)
    session.session_settings = None
    assert len(run(session.get_items())) == 3


def test_popping_an_edit_away_keeps_the_old_text(store: duckstore.Store) -> None:
    """`pop_item` and `add_items`, the SDK's way to correct, leave the old message superseded."""
    session = store.session("s")
    run(session.add_items([user("2 + 3?"), assistant("5")]))
    assert run(session.pop_item()) == assistant("5")
    assert run(session.pop_item()) == user("2 + 3?")
    run(session.add_items([user("2 + 4?")]))
    assert run(session.get_items()) == [user("2 + 4?")]
    assert rows(store, "select text, is_current from items order by item_id") == [
        ("2 + 3?", False),
        ("5", False),
        ("2 + 4?", True),
    ]
    assert store.check() == []


def test_popping_and_clearing_nothing(store: duckstore.Store) -> None:
    """A session without items pops None and clears without a trace."""
    session = store.session("s")
    assert run(session.pop_item()) is None
    run(session.clear_session())
    assert run(session.get_items()) == []
    assert store.sessions() == []


@pytest.mark.parametrize("settings", [5, "limit", [("limit", 2)]], ids=repr)
def test_settings_of_another_kind_are_refused(store: duckstore.Store, settings: Any) -> None:
    """They are refused where they are set, with the SDK's own error, and not at the next read."""
    with pytest.raises(TypeError, match="SessionSettings"):
        store.session("s", session_settings=settings)


# What can be added -----------------------------------------------------------------------------


@pytest.mark.parametrize("items", [[], (), iter(())], ids=["list", "tuple", "iterator"])
def test_adding_nothing_stores_nothing(store: duckstore.Store, items: Any) -> None:
    """An empty batch makes no session, and changes nothing on one that is there."""
    run(store.session("new").add_items(items))
    assert store.sessions() == []
    run(store.session("old").add_items(THREE))
    before = rows(store, "select * from sessions"), rows(store, "select * from history")
    run(store.session("old").add_items(items))
    assert before == (rows(store, "select * from sessions"), rows(store, "select * from history"))


@pytest.mark.parametrize(
    "bad",
    [object(), {"content": object()}, {1, 2}, b"bytes", {(1, 2): "key"}, {"content": 1j}],
    ids=["object", "object inside", "set", "bytes", "tuple as key", "complex inside"],
)
def test_an_item_that_is_not_json_stores_nothing_of_its_batch(
    store: duckstore.Store, bad: Any
) -> None:
    """It is a TypeError that names the item, and the good items beside it are not stored."""
    session = store.session("s")
    with pytest.raises(TypeError, match="item 1 of the batch is not JSON"):
        run(session.add_items([user("good"), bad, user("good")]))
    assert run(session.get_items()) == []
    assert store.sessions() == []
    run(session.add_items(THREE))
    assert run(session.get_items()) == THREE


def test_an_item_that_holds_itself_is_a_type_error(store: duckstore.Store) -> None:
    circle: dict[str, Any] = {}
    circle["self"] = circle
    with pytest.raises(TypeError, match="not JSON"):
        run(store.session("s").add_items([circle]))
    assert store.sessions() == []


@pytest.mark.parametrize("one", [user("a single item"), "text", b"bytes"], ids=repr)
def test_a_single_item_is_not_taken_for_a_list(store: duckstore.Store, one: Any) -> None:
    """A forgotten pair of brackets is told, instead of storing the keys of a dict as items."""
    with pytest.raises(ItemError, match="a list of items"):
        run(store.session("s").add_items(one))
    assert store.sessions() == []


def test_pydantic_models_are_dumped(store: duckstore.Store) -> None:
    """An SDK output item is stored as the SDK would hand it over, alone or inside a dict."""
    part = ResponseOutputText(text="hello", type="output_text", annotations=[])
    message = ResponseOutputMessage(
        id="m", role="assistant", status="completed", type="message", content=[part]
    )
    session = store.session("s")
    items: list[Any] = [message, {"role": "assistant", "content": [part]}]
    run(session.add_items(items))
    dumped = part.model_dump(exclude_unset=True)
    assert run(session.get_items()) == [
        message.model_dump(exclude_unset=True),
        {"role": "assistant", "content": [dumped]},
    ]
    assert rows(store, "select text from messages order by item_id") == [("hello",), ("hello",)]


def test_what_was_added_and_what_was_read_can_be_changed(store: duckstore.Store) -> None:
    """The store keeps no reference to an item that it took or gave."""
    session, item = store.session("s"), {"role": "user", "content": [{"text": "kept"}]}
    run(session.add_items([item]))  # type: ignore[list-item]
    item["content"][0]["text"] = "changed"  # type: ignore[index]
    read: Any = run(session.get_items())
    read[0]["content"][0]["text"] = "changed"
    read.clear()
    assert run(session.get_items()) == [{"role": "user", "content": [{"text": "kept"}]}]


@pytest.mark.parametrize("session_id", [None, 7, b"s", "\ud800"], ids=repr)
def test_a_session_id_that_is_no_text_is_refused(path: Path, session_id: Any) -> None:
    """It is named in the error, and the file is let go of again."""
    with pytest.raises(ArgumentError, match="session_id"):
        duckstore.DuckDBSession(session_id, path)
    with duckstore.open(path, keep_popped=False) as store:  # other settings: nobody else holds it
        assert store.sessions() == []


# Damage ----------------------------------------------------------------------------------------


def test_corrupt_rows_are_left_out_and_not_counted(store: duckstore.Store) -> None:
    """A read skips them, and a limit is filled with readable items from before them."""
    session = store.session("s")
    run(session.add_items([user(str(number)) for number in range(6)]))
    spoil(store, "s", 3, 5, 6)
    assert run(session.get_items()) == [user("0"), user("1"), user("3")]
    assert run(session.get_items(2)) == [user("1"), user("3")]
    assert run(session.get_items(5)) == [user("0"), user("1"), user("3")]
    assert run(session.get_items(0)) == []
    limited = store.session("s", session_settings={"limit": 1})
    assert run(limited.get_items()) == [user("3")]


def test_corrupt_rows_are_removed_by_a_pop(store: duckstore.Store) -> None:
    """A pop drops what it cannot read on its way to the latest readable item."""
    session = store.session("s")
    run(session.add_items([user(str(number)) for number in range(4)]))
    spoil(store, "s", 3, 4)
    assert run(session.pop_item()) == user("1")
    assert run(session.get_items()) == [user("0")]
    assert rows(store, "select count(*) from items where is_current") == [(1,)]


def test_a_session_of_corrupt_rows_pops_none(store: duckstore.Store) -> None:
    session = store.session("s")
    run(session.add_items([user("0"), user("1")]))
    spoil(store, "s", 1, 2)
    assert run(session.pop_item()) is None
    assert rows(store, "select count(*) from items where is_current") == [(0,)]
    run(session.add_items([user("after")]))
    assert run(session.get_items()) == [user("after")]
