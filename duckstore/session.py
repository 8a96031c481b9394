"""`DuckDBSession`: the SDK's Session protocol over a store.

It implements the protocol of openai-agents 0.24 without inheriting from it, because importing the
SDK costs seconds and a notebook or the command line that reads a store does not need it. Every
method runs the synchronous core in a worker thread. A change that was begun is waited for when
its caller is cancelled, and only then is the cancellation raised, as the SDK's own sessions do.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from functools import partial
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from duckstore import errors
from duckstore.conversation import Conversation
from duckstore.engine import Engine
from duckstore.registry import Settings, acquire, release

if TYPE_CHECKING:
    import asyncio

    from agents.items import TResponseInputItem
    from agents.memory import SessionSettings
    from agents.run_context import RunContextWrapper

__all__ = ["DuckDBSession"]

_T = TypeVar("_T")


class DuckDBSession:
    """A conversation that is kept in a DuckDB file. Drop-in for the SDK's `SQLiteSession`.

    Args:
        session_id: Names the conversation. Any number of objects may stand for one.
        db_path: The store's file, made if it is not there. All sessions of one file in a process
            share it. The default keeps the conversation in memory, for this object alone.
        session_settings: The SDK's `SessionSettings` or a dict of its fields: `limit` is how many
            items `get_items()` returns when it is called without one.
        keep_popped: Whether `pop_item` keeps the item in the store, superseded (the default), or
            deletes it.

    Raises:
        StoreError: The file cannot be opened; see `duckstore.errors`.
    """

    def __init__(
        self,
        session_id: str,
        db_path: str | PathLike[str] = ":memory:",
        session_settings: SessionSettings | dict[str, Any] | None = None,
        *,
        keep_popped: bool = True,
    ) -> None:
        engine = acquire(db_path, Settings(keep_popped=keep_popped))
        try:
            self._start(session_id, engine, session_settings, db_path)
        except BaseException:
            release(engine)
            raise
        self._owned_engine: Engine | None = engine

    def _start(
        self,
        session_id: str,
        engine: Engine,
        session_settings: SessionSettings | dict[str, Any] | None,
        db_path: str | PathLike[str],
    ) -> None:
        self.session_id = session_id
        self._session_settings: SessionSettings | None = None
        self.session_settings = session_settings
        self.db_path = db_path
        self._engine = engine
        self._conversation = Conversation(engine, session_id)
        self._is_closed = False
        self._owned_engine = None

    @classmethod
    def _of(
        cls,
        engine: Engine,
        session_id: str,
        session_settings: SessionSettings | dict[str, Any] | None,
    ) -> DuckDBSession:
        """A session on an engine that somebody else holds open."""
        session = cls.__new__(cls)
        session._start(session_id, engine, session_settings, engine.path)
        return session

    @property
    def session_settings(self) -> SessionSettings | None:
        """The SDK's settings of this session; None while the SDK is not imported."""
        if self._session_settings is None and "agents" in sys.modules:
            from agents.memory import SessionSettings

            self._session_settings = SessionSettings()
        return self._session_settings

    @session_settings.setter
    def session_settings(self, value: SessionSettings | dict[str, Any] | None) -> None:
        if isinstance(value, dict) or not (value is None or hasattr(value, "limit")):
            try:
                from agents.memory.session_settings import coerce_session_settings
            except ImportError as error:
                raise errors.MissingPackageError(
                    "session_settings need the OpenAI Agents SDK, which is not installed: "
                    "pip install 'duckstore[agents]'"
                ) from error
            value = coerce_session_settings(value)
        self._session_settings = value

    # The protocol ----------------------------------------------------------------------------

    async def get_items(
        self, limit: int | None = None, *, wrapper: RunContextWrapper[Any] | None = None
    ) -> list[TResponseInputItem]:
        """The latest `limit` items of the conversation, in order.

        Args:
            limit: How many. None means the session's default, a negative number all.
            wrapper: The run that reads, handed over by the Runner.

        Raises:
            ClosedError: The session was closed.
        """
        self._check_open()
        if wrapper is not None:
            self._engine.observer.notice(wrapper)
        if limit is None and self._session_settings is not None:
            limit = self._session_settings.limit
        return await _in_thread(partial(self._conversation.items, limit))

    async def add_items(
        self,
        items: list[TResponseInputItem],
        *,
        wrapper: RunContextWrapper[Any] | None = None,
    ) -> None:
        """Append items to the conversation: all of them or, on an error, none.

        When it returns, the items are on disk. An append after `pop_item` begins an alternative:
        what was popped stays stored, superseded.

        Args:
            items: Any JSON values; pydantic models are dumped.
            wrapper: The run that writes, handed over by the Runner: its token usage is stored
                with the response.

        Raises:
            ItemError: An item is not JSON (a TypeError); nothing was stored.
            StoreWriteError: The write failed; nothing was stored.
            ClosedError: The session was closed.
        """
        self._check_open()
        if not isinstance(items, (str, bytes, dict)):
            items = list(items)
        if not items:
            return
        facts = partial(self._engine.observer.facts, wrapper)
        await _finish(partial(self._conversation.add, items, lambda has: facts(has_response=has)))

    async def pop_item(
        self, *, wrapper: RunContextWrapper[Any] | None = None
    ) -> TResponseInputItem | None:
        """Take the latest item off the conversation and return it; None where there is none.

        The item stays in the store, superseded, unless the session was made with
        `keep_popped=False`.

        Raises:
            StoreWriteError: The write failed; the item is still there.
            ClosedError: The session was closed.
        """
        self._check_open()
        item: TResponseInputItem | None = await _finish(self._conversation.pop)
        return item

    async def clear_session(self, *, wrapper: RunContextWrapper[Any] | None = None) -> None:
        """Delete all items of the conversation for good, with their branches and history.

        The session's own row (id, user, title, tags, metadata) stays.

        Raises:
            StoreWriteError: The write failed; everything is still there.
            ClosedError: The session was closed.
        """
        self._check_open()
        await _finish(self._conversation.clear)

    def close(self) -> Awaitable[None]:
        """Close the session. Works plainly and awaited; a second call does nothing."""
        self._is_closed = True
        engine, self._owned_engine = self._owned_engine, None
        if engine is not None:
            release(engine)
        return _Done()

    async def __aenter__(self) -> DuckDBSession:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.session_id!r}, {self._engine.path!r})"

    def _check_open(self) -> None:
        if self._is_closed:
            raise errors.ClosedError(f"{type(self).__name__} is closed")
        if not self._engine.is_usable:
            self._engine.connection()  # raises what is the matter with the store

    # Compaction: private hooks that the SDK's OpenAIResponsesCompactionSession looks for -------

    async def _get_compaction_snapshot(
        self, limit: int, *, prune_prefix: Callable[[Any], bool] | None = None
    ) -> _CompactionSnapshot | None:
        """The end of the conversation with a way to replace it; what it replaces is archived."""
        self._check_open()
        if self._is_transformed():
            return None
        snapshot = await _in_thread(partial(self._conversation.snapshot, limit))
        if snapshot is None:
            return None

        async def replace_suffix(start: int, output: list[Any]) -> bool:
            return await _finish(
                partial(self._conversation.replace_suffix, snapshot, start, output, prune_prefix)
            )

        return _CompactionSnapshot(snapshot.items, snapshot.is_complete, replace_suffix)

    async def _atomic_replace_items(self, items: list[Any]) -> bool:
        """Replace the whole conversation, which is archived. False where a subclass must do it."""
        self._check_open()
        if self._is_transformed():
            return False
        await _finish(partial(self._conversation.replace_all, items))
        return True

    def _is_transformed(self) -> bool:
        """Whether a subclass puts something of its own between the caller and the store."""
        own = type(self)
        return (
            own.get_items is not DuckDBSession.get_items
            or own.add_items is not DuckDBSession.add_items
        )


@dataclass(frozen=True, slots=True)
class _CompactionSnapshot:
    items: list[Any]
    complete: bool
    replace_suffix: Callable[[int, list[Any]], Awaitable[bool]]


class _Done:
    """An awaitable that is finished already."""

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield


async def _in_thread(work: Callable[[], _T]) -> _T:
    """Run a read in a worker thread."""
    import asyncio  # whoever awaits has it; a program that only asks questions need not wait for it

    return await asyncio.to_thread(work)


async def _finish(work: Callable[[], _T]) -> _T:
    """Run a change in a worker thread to its end, and be cancelled only after it."""
    import asyncio

    task = asyncio.ensure_future(asyncio.to_thread(work))
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = cancelled or error
    if cancelled is not None:
        task.exception()  # seen here: the cancellation is what the caller gets
        raise cancelled
    return task.result()
