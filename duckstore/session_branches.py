"""The async face of a session's branches and turns: each method runs the core's in a thread.

What a method does, takes and raises is told where it is done: in `duckstore.branching`, and in
`duckstore.turns` for those of the SDK's `AdvancedSQLiteSession`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from duckstore import errors
from duckstore.access import Access
from duckstore.conversation import Conversation
from duckstore.waiting import finish, in_thread

if TYPE_CHECKING:
    from agents.items import TResponseInputItem
    from agents.result import RunResultBase

    from duckstore.comparison import BranchDiff
    from duckstore.handle import Target
    from duckstore.outline import Alternative, BranchInfo, Message

__all__ = ["SessionBranches"]

_T = TypeVar("_T")


class SessionBranches:
    """The branches and turns of a session."""

    _access: Access
    _conversation: Conversation
    _is_closed: bool

    def _check_open(self) -> None:
        if self._is_closed:
            raise errors.ClosedError(f"{type(self).__name__} is closed")
        self._access.check_usable()

    async def _change(self, work: Callable[[], _T]) -> _T:
        self._check_open()
        return await finish(work)

    async def _look(self, work: Callable[[], _T]) -> _T:
        self._check_open()
        return await in_thread(work)

    # Branches --------------------------------------------------------------------------------

    async def edit(self, target: Target, new_content: Any) -> int:
        """Put an edited message in the place of one and end the path there, so that
        `Runner.run(agent, [], session=session)` answers it; see `Branching.edit`.
        """
        return await self._change(partial(self._conversation.edit, target, new_content))

    async def rewind(self, to: Target) -> None:
        """End the path before a run, after an item, or as it was; see `Branching.rewind`."""
        await self._change(partial(self._conversation.rewind, to))

    async def regenerate(self) -> None:
        """End the path after the last user message; see `Branching.regenerate`."""
        await self._change(self._conversation.regenerate)

    async def branch(self, name: str, *, at: Target | None = None) -> int:
        """Begin a branch by name and go there; see `Branching.branch`."""
        return await self._change(partial(self._conversation.branch, name, at=at))

    async def switch(self, branch: str | int) -> None:
        """Go to a branch, where it was left; see `Branching.switch`."""
        await self._change(partial(self._conversation.switch, branch))

    async def rename(self, branch: str | int, new_name: str) -> None:
        """Give a branch another name; see `Branching.rename`."""
        await self._change(partial(self._conversation.rename, branch, new_name))

    async def delete_branch(self, branch_id: str | int, force: bool = False) -> None:
        """Take a branch off the list; see `Branching.delete_branch`."""
        await self._change(partial(self._conversation.delete_branch, branch_id, force))

    async def purge(self, item: Target) -> None:
        """Delete an item and what follows it for good; see `Conversation.purge`."""
        await self._change(partial(self._conversation.purge, item))

    async def branches(self) -> list[BranchInfo]:
        """All branches; see `Branching.branches`."""
        return await self._look(self._conversation.branches)

    async def find(
        self,
        text: str,
        *,
        role: str | None = None,
        superseded: bool = False,
        limit: int | None = None,
    ) -> list[Message]:
        """The messages that hold a text; see `Branching.find`."""
        search = partial(self._conversation.find, text, role=role, superseded=superseded)
        return await self._look(partial(search, limit=limit))

    async def alternatives(self, *, at: Target | None = None) -> list[Alternative]:
        """What was said at an edit point; see `Branching.alternatives`."""
        return await self._look(partial(self._conversation.alternatives, at=at))

    async def diff(self, branch_a: str | int, branch_b: str | int) -> BranchDiff:
        """How two branches differ; see `Branching.diff`."""
        return await self._look(partial(self._conversation.diff, branch_a, branch_b))

    async def at(self, moment: Target) -> list[TResponseInputItem]:
        """The items as they were at a moment; see `Branching.at`."""
        return await self._look(partial(self._conversation.at, moment))

    # Turns: the methods of AdvancedSQLiteSession -----------------------------------------------

    async def create_branch_from_turn(
        self, turn_number: int, branch_name: str | None = None
    ) -> str:
        """Begin a branch before a turn; see `Turns.create_branch_from_turn`."""
        begin = partial(self._conversation.create_branch_from_turn, turn_number, branch_name)
        return await self._change(begin)

    async def create_branch_from_content(
        self, search_term: str, branch_name: str | None = None
    ) -> str:
        """Begin a branch before what was said; see `Turns.create_branch_from_content`."""
        begin = partial(self._conversation.create_branch_from_content, search_term, branch_name)
        return await self._change(begin)

    async def switch_to_branch(self, branch_id: str) -> None:
        """Go to a branch; see `Turns.switch_to_branch`."""
        await self._change(partial(self._conversation.switch_to_branch, branch_id))

    async def list_branches(self) -> list[dict[str, Any]]:
        """All branches as dicts; see `Turns.list_branches`."""
        return await self._look(self._conversation.list_branches)

    async def get_conversation_turns(self, branch_id: str | None = None) -> list[dict[str, Any]]:
        """The turns of a branch; see `Turns.get_conversation_turns`."""
        return await self._look(partial(self._conversation.get_conversation_turns, branch_id))

    async def find_turns_by_content(
        self, search_term: str, branch_id: str | None = None
    ) -> list[dict[str, Any]]:
        """The turns in which a text was said; see `Turns.find_turns_by_content`."""
        search = partial(self._conversation.find_turns_by_content, search_term, branch_id)
        return await self._look(search)

    async def get_conversation_by_turns(
        self, branch_id: str | None = None
    ) -> dict[int, list[dict[str, str | None]]]:
        """The items of each turn; see `Turns.get_conversation_by_turns`."""
        return await self._look(partial(self._conversation.get_conversation_by_turns, branch_id))

    async def get_tool_usage(self, branch_id: str | None = None) -> list[tuple[str, int, int]]:
        """Tool calls by turn; see `Turns.get_tool_usage`."""
        return await self._look(partial(self._conversation.get_tool_usage, branch_id))

    async def get_session_usage(self, branch_id: str | None = None) -> dict[str, int] | None:
        """Token usage of the session or a branch; see `Turns.get_session_usage`."""
        return await self._look(partial(self._conversation.get_session_usage, branch_id))

    async def get_turn_usage(
        self, user_turn_number: int | None = None, branch_id: str | None = None
    ) -> list[dict[str, Any]] | dict[str, Any]:
        """Token usage by turn; see `Turns.get_turn_usage`."""
        ask = partial(self._conversation.get_turn_usage, user_turn_number, branch_id)
        return await self._look(ask)

    async def store_run_usage(self, result: RunResultBase) -> None:
        """Store what a run used, where it is not known yet; see `Turns.store_run_usage`."""
        await self._change(partial(self._conversation.store_run_usage, result))
