"""`DuckDBSession`: the SDK's Session protocol over a store.

It implements the protocol of openai-agents 0.24 without inheriting from it, because importing the
SDK costs seconds and a notebook or the command line that reads a store does not need it. What is
in memory is read at once, an append waits for the store's own thread, and everything else runs the
synchronous core in a worker thread. What a session does beyond the protocol stands in
`duckstore.session_branches`.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from functools import partial
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any

from duckstore import errors
from duckstore.access import Access
from duckstore.conversation import Conversation
from duckstore.database import MEMORY
from duckstore.display import conversation_html, html_or_note
from duckstore.registry import acquire, release
from duckstore.session_branches import SessionBranches
from duckstore.settings import Settings
from duckstore.waiting import finish, in_thread, to_the_end

if TYPE_CHECKING:
    import asyncio

    from agents.items import TResponseInputItem
    from agents.memory import SessionSettings
    from agents.run_context import RunContextWrapper

    from duckstore.command import Command
    from duckstore.display.markup import Markup
    from duckstore.handle import Target
    from duckstore.observer import Claim

__all__ = ["DuckDBSession"]


class DuckDBSession(SessionBranches):
    """A conversation that is kept in a DuckDB file.

    Drop-in for the SDK's `SQLiteSession` and `AdvancedSQLiteSession`.

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
        access = acquire(db_path, Settings(keep_popped=keep_popped))
        try:
            self._start(session_id, access, session_settings, db_path)
        except BaseException:
            release(access)
            raise
        self._owned_access: Access | None = access

    def _start(
        self,
        session_id: str,
        access: Access,
        session_settings: SessionSettings | dict[str, Any] | None,
        db_path: str | PathLike[str],
    ) -> None:
        self.session_id = session_id
        self._session_settings: SessionSettings | None = None
        self.session_settings = session_settings
        self.db_path = db_path
        self._access = access
        self._conversation = Conversation(access, session_id)
        self._is_closed = False
        self._owned_access = None

    @classmethod
    def _of(
        cls,
        access: Access,
        session_id: str,
        session_settings: SessionSettings | dict[str, Any] | None,
    ) -> DuckDBSession:
        """A session on an access that somebody else holds open."""
        session = cls.__new__(cls)
        session._start(session_id, access, session_settings, access.path)
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
        self,
        limit: int | None = None,
        branch_id: str | int | None = None,
        *,
        wrapper: RunContextWrapper[Any] | None = None,
    ) -> list[TResponseInputItem]:
        """The latest `limit` items of the conversation, in order.

        Args:
            limit: How many. None means the session's default, a negative number all.
            branch_id: Another branch than the current one, by name or id.
            wrapper: The run that reads, handed over by the Runner.

        Raises:
            UnknownBranchError: The session has no such branch.
            ClosedError: The session was closed.
        """
        self._check_open()
        observer = self._access.observer
        carried = observer.notice(wrapper, self.session_id) if wrapper is not None else None
        if carried is not None:
            observer.resumes(carried, *await in_thread(self._conversation.last_run))
        if limit is None and self._session_settings is not None:
            limit = self._session_settings.limit
        # What is in memory is read at once: a thread for it would take longer than the reading.
        reading = self._conversation.read_now(limit) if branch_id is None else None
        if reading is None:
            reading = await in_thread(partial(self._conversation.read, limit, branch_id))
        if wrapper is not None:
            # What this run adds later belongs where it read, wherever the session is by then.
            observer.has_read(wrapper, self.session_id, reading.course)
        return reading.items

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
        claims = partial(self._access.observer.claim, wrapper, self.session_id)
        addition = self._conversation.addition(items, claims)
        if addition is None:
            return
        command, claim = addition
        import asyncio

        try:
            acknowledged = self._access.begin(command, asyncio.get_running_loop())
        except BaseException:
            claim.give_back()
            raise
        if acknowledged is None:
            await finish(partial(self._run, command, claim))
        else:
            if claim.is_to_settle:
                acknowledged.add_done_callback(partial(_settle, command, claim))
            await to_the_end(acknowledged)

    def _run(self, command: Command, claim: Claim) -> None:
        """Have a batch stored by the process that owns the store, and settle its claim."""
        try:
            first_id = self._access.run(command)
        except BaseException:
            claim.give_back()
            raise
        claim.keep(first_id, command.id_count)

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
        item: TResponseInputItem | None = await finish(self._conversation.pop)
        return item

    async def clear_session(self, *, wrapper: RunContextWrapper[Any] | None = None) -> None:
        """Delete all items of the conversation for good, with their branches and history.

        The session's own row (id, user, title, tags, metadata) stays.

        Raises:
            StoreWriteError: The write failed; everything is still there.
            ClosedError: The session was closed.
        """
        self._check_open()
        await finish(self._conversation.clear)

    async def fork(self, new_session_id: str, *, at: Target | None = None) -> DuckDBSession:
        """Begin a session of its own with what was said here; see `Branching.fork`."""
        await self._change(partial(self._conversation.fork, new_session_id, at=at))
        owns = self._owned_access is not None and self._access.path != MEMORY
        access = acquire(self._access.path, self._access.settings) if owns else self._access
        fork = DuckDBSession._of(access, new_session_id, self._session_settings)
        fork._owned_access = access if owns else None
        return fork

    def close(self) -> Awaitable[None]:
        """Close the session. Works plainly and awaited; a second call does nothing."""
        self._is_closed = True
        access, self._owned_access = self._owned_access, None
        if access is not None:
            release(access)
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
        return f"{type(self).__name__}({self.session_id!r}, {self._access.path!r})"

    def _repr_html_(self) -> str:
        """The conversation as notebooks show it; see `duckstore.display`."""
        return html_or_note(self._html)

    def _html(self) -> Markup:
        self._check_open()
        return conversation_html(self.session_id, self._access.rows)

    # Compaction: private hooks that the SDK's OpenAIResponsesCompactionSession looks for -------

    async def _get_compaction_snapshot(
        self, limit: int, *, prune_prefix: Callable[[Any], bool] | None = None
    ) -> _CompactionSnapshot | None:
        """The end of the conversation with a way to replace it; what it replaces is archived."""
        self._check_open()
        if self._is_transformed():
            return None
        snapshot = await in_thread(partial(self._conversation.snapshot, limit))
        if snapshot is None:
            return None

        async def replace_suffix(start: int, output: list[Any]) -> bool:
            return await finish(
                partial(self._conversation.replace_suffix, snapshot, start, output, prune_prefix)
            )

        return _CompactionSnapshot(snapshot.items, snapshot.is_complete, replace_suffix)

    async def _atomic_replace_items(self, items: list[Any]) -> bool:
        """Replace the whole conversation, which is archived. False where a subclass must do it."""
        self._check_open()
        if self._is_transformed():
            return False
        await finish(partial(self._conversation.replace_all, items))
        return True

    def _is_transformed(self) -> bool:
        """Whether a subclass puts something of its own between the caller and the store."""
        own = type(self)
        return (
            own.get_items is not DuckDBSession.get_items
            or own.add_items is not DuckDBSession.add_items
        )


def _settle(command: Command, claim: Claim, acknowledged: asyncio.Future[None]) -> None:
    if acknowledged.cancelled() or acknowledged.exception() is not None:
        claim.give_back()
    else:
        claim.keep(command.first_id, command.id_count)


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
