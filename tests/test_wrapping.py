"""The SDK's sessions that wrap another session, around ours: compaction and encryption."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from agents.memory import OpenAIResponsesCompactionSession

import duckstore
from tests.runs import calling, go, plain, rows, streamed_or_not
from tests.samples import assistant, call, output, run, user

SUMMARY = {"type": "compaction", "id": "cmp_1", "encrypted_content": "what was said"}


class Compactor:
    """Stands for OpenAI's compaction service, which cannot be had without a network."""

    def __init__(self) -> None:
        self.responses = self
        self.inputs: list[list[Any]] = []
        self.error: Exception | None = None

    async def compact(self, **request: Any) -> SimpleNamespace:
        self.inputs.append(request["input"])
        if self.error is not None:
            raise self.error
        return SimpleNamespace(output=[dict(SUMMARY)], usage=None)


def compacting(
    session: duckstore.DuckDBSession, service: Compactor, **settings: Any
) -> OpenAIResponsesCompactionSession:
    """A session that is compacted after every run."""
    return OpenAIResponsesCompactionSession(
        session.session_id,
        session,
        client=cast(Any, service),
        compaction_mode="input",
        should_trigger_compaction=lambda context: bool(context["compaction_candidate_items"]),
        **settings,
    )


@streamed_or_not
def test_compaction_supersedes_what_it_replaces(store: duckstore.Store, streamed: bool) -> None:
    """After a run the conversation is the summary; every item of the run is still in the store."""
    session, service = store.session("s"), Compactor()
    run(go(calling(), "hello", compacting(session, service), streamed=streamed))
    said = service.inputs[0]
    assert len(said) == 8
    assert run(session.get_items()) == [SUMMARY]
    kept = rows(store, "select item_type, is_current, is_archived from items order by item_id")
    assert [row[1:] for row in kept] == [(False, True)] * 8 + [(True, False)]
    assert rows(store, "select status, tool_call_count, assistant_message from runs") == [
        ("completed", 3, "Sunny in both.")
    ]
    assert rows(store, "select agent_name from responses") == [("Caller",)] * 3
    assert ("compact",) in rows(store, "select operation from history")
    assert store.check() == []


def test_a_conversation_goes_on_after_compaction(store: duckstore.Store) -> None:
    """Runs, pops and further compactions work on the summary, and no run is counted twice."""
    session, service = store.session("s"), Compactor()
    wrapped = compacting(session, service)
    for text in ("one", "two", "three"):
        run(go(plain(), text, wrapped, streamed=False))
    assert [len(given) for given in service.inputs] == [2, 3, 3]
    assert run(session.get_items()) == [SUMMARY]
    assert rows(store, "select user_message, turn_number, status from runs order by id") == [
        ("one", 1, "completed"),
        ("two", 2, "completed"),
        ("three", 3, "completed"),
    ]
    assert store.check() == []
    run(wrapped.add_items([user("four")]))
    assert run(wrapped.pop_item()) == user("four")
    assert run(wrapped.pop_item()) == SUMMARY
    assert run(session.get_items()) == []
    assert store.check() == []


def test_only_what_the_model_saw_is_compacted(store: duckstore.Store) -> None:
    """With a limit the older part of the conversation stays as it is, before the summary."""
    session = store.session("s", session_settings={"limit": 2})
    old = [user("old"), assistant("older"), user("last"), assistant("lately")]
    run(session.add_items(old))
    service = Compactor()
    run(go(plain(), "new", compacting(session, service), streamed=False))
    assert run(session.get_items(-1)) == [*old[:2], SUMMARY]
    assert len(service.inputs[0]) == 4
    assert rows(store, "select count(*) from items where is_archived") == [(4,)]
    assert store.check() == []


def test_a_manual_compaction_supersedes_too(store: duckstore.Store) -> None:
    """`run_compaction` by hand replaces the whole conversation and deletes nothing."""
    session, service = store.session("s"), Compactor()
    run(session.add_items([user("one"), call("f", "c"), output("c"), assistant("two")]))
    run(compacting(session, service).run_compaction({"force": True}))
    assert run(session.get_items()) == [SUMMARY]
    assert rows(store, "select count(*) from items where is_archived") == [(4,)]
    assert rows(store, "select call_id, status from tool_calls") == [("c", "ok")]
    assert store.check() == []


def test_a_failed_compaction_leaves_the_conversation(store: duckstore.Store) -> None:
    """When the service fails, nothing is replaced."""
    session, service = store.session("s"), Compactor()
    items = [user("one"), assistant("two")]
    run(session.add_items(items))
    service.error = RuntimeError("service unavailable")
    with pytest.raises(RuntimeError, match="unavailable"):
        run(compacting(session, service).run_compaction({"force": True}))
    assert run(session.get_items()) == items
    assert rows(store, "select count(*) from branches") == [(1,)]


def test_a_conversation_that_went_on_is_not_replaced(store: duckstore.Store) -> None:
    """An item that came while the summary was made is not lost: the replacement is given up."""

    async def overtake() -> None:
        session = store.session("s")
        await session.add_items(cast(Any, [user("one"), assistant("two")]))
        snapshot = await session._get_compaction_snapshot(10)
        assert snapshot is not None
        assert snapshot.complete
        await store.session("s").add_items(cast(Any, [user("three")]))
        assert not await snapshot.replace_suffix(0, [SUMMARY])
        assert await session.get_items() == [user("one"), assistant("two"), user("three")]

    run(overtake())
    assert rows(store, "select count(*) from branches") == [(1,)]


def test_a_compacted_store_reads_the_same_when_opened_again(store: duckstore.Store) -> None:
    """Summary, archived items and runs are what they were before the file was closed."""
    session, service = store.session("s"), Compactor()
    wrapped = compacting(session, service)
    for text in ("one", "two"):
        run(go(plain(), text, wrapped, streamed=False))
    before = rows(store, "select * from items order by item_id")
    path = store.path
    store.close()
    with duckstore.open(path) as again:
        assert run(again.session("s").get_items()) == [SUMMARY]
        assert rows(again, "select * from items order by item_id") == before
        assert again.check() == []


def test_a_subclass_that_changes_items_is_not_bypassed(store: duckstore.Store) -> None:
    """A class that overrides reading or writing is compacted through its own methods."""

    class Upper(duckstore.DuckDBSession):
        async def add_items(self, items: list[Any], *, wrapper: Any = None) -> None:
            await super().add_items(
                [{**item, "content": item["content"].upper()} for item in items]
            )

    session = Upper("s")
    assert run(session._get_compaction_snapshot(10)) is None
    assert run(session._atomic_replace_items([user("one")])) is False
    assert run(session.get_items()) == []
    session.close()


# Encryption ------------------------------------------------------------------------------------


def encrypted(session: duckstore.DuckDBSession, key: str = "key") -> Any:
    pytest.importorskip("cryptography", reason="EncryptedSession needs it")
    from agents.extensions.memory import EncryptedSession

    return EncryptedSession(session.session_id, cast(Any, session), key)


@streamed_or_not
def test_an_encrypted_session_keeps_its_secrets(store: duckstore.Store, streamed: bool) -> None:
    """Runs through EncryptedSession read back, and no relation holds a word of them."""
    session = encrypted(store.session("s"))
    for text in ("my secret", "my other secret"):
        run(go(calling(), text, session, streamed=streamed))
    items = run(session.get_items())
    assert [item["content"] for item in items if item.get("role") == "user"] == [
        "my secret",
        "my other secret",
    ]
    assert len(items) == 16
    assert len(run(session.get_items(3))) == 3
    for relation in ("items", "runs", "tool_calls", "messages", "sessions", "edit_points"):
        text = str(rows(store, f"select * from {relation}"))
        assert "secret" not in text
        assert "Oslo" not in text
    assert store.check() == []


def test_an_encrypted_session_pops_and_clears(store: duckstore.Store) -> None:
    session = encrypted(store.session("s"))
    run(session.add_items([user("one"), user("two")]))
    assert run(session.pop_item()) == user("two")
    assert run(session.get_items()) == [user("one")]
    run(session.clear_session())
    assert run(session.get_items()) == []
    assert rows(store, "select count(*) from items") == [(0,)]


def test_an_encrypted_conversation_is_compacted(store: duckstore.Store) -> None:
    """Encryption around compaction around ours: the summary is encrypted, the rest archived."""
    inner, service = store.session("s"), Compactor()
    session = encrypted(cast(Any, compacting(inner, service)))
    run(go(plain(), "my secret", session, streamed=False))
    assert run(session.get_items()) == [SUMMARY]
    assert len(service.inputs[0]) == 2
    assert "what was said" not in str(run(inner.get_items()))
    assert rows(store, "select count(*) from items where is_archived") == [(2,)]
    assert store.check() == []
