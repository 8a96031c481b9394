"""Going another way in a conversation, and every way that it went: the synchronous core.

Nothing is lost by any of these calls: what is left stays stored, superseded, and can be gone back
to. Each is one change, done whole and in the order of the session's history, whichever object or
process asks for it. The current branch belongs to the stored session: all objects of a session are
on it. An agent that is still answering what was said before an edit goes on where it was: its
items are added to the branch that they answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from duckstore import errors, outline
from duckstore.comparison import BranchDiff, compare
from duckstore.encoding import decode_all, encode_items, readable
from duckstore.handle import SessionHandle, Target, where_of
from duckstore.outline import Alternative, BranchInfo, Message
from duckstore.schema import OPEN_END
from duckstore.sessions import Texts

__all__ = ["Branching", "Reading"]


@dataclass(frozen=True, slots=True)
class Reading:
    """Items that were read, and the course that the conversation had taken then."""

    items: list[Any]
    course: int


class Branching(SessionHandle):
    """The tree of a session: change its course, and look at every course that it took."""

    # Changing the course ---------------------------------------------------------------------

    def edit(self, target: Target, new_content: Any) -> int:
        """Put an edited message in the place of one, as an alternative, and end the path there.

        The next run answers it: `Runner.run(agent, [], session=session)`. What was there stays
        stored, with what followed it.

        Args:
            target: A run's turn_number, for the first message of its user; or a message, of a user
                or an assistant, as anything that has an `item_id`.
            new_content: The new text, or a list of content parts; a dict is the whole new item.

        Returns:
            The new message's item_id.

        Raises:
            ArgumentError: There is no such message.
            ItemError: The content is not JSON.
        """
        where = where_of(target)
        if not {"turn", "item"} & where.keys():
            raise errors.ArgumentError(
                f"target is {target!r}: give a run's turn_number or something with an item_id"
            )
        if not isinstance(new_content, (str, list, dict)):
            raise errors.ArgumentError(
                f"new_content is {new_content!r}: give a text, a list of content parts or an item"
            )
        raws = encode_items([new_content])
        return int(self._run("edit", {"target": where}, raws))

    def rewind(self, to: Target) -> None:
        """End the path somewhere else. What is said next is an alternative to what was there.

        Args:
            to: Before a run, by its turn_number; after an item, as anything that has an `item_id`;
                or as it was at a moment: a datetime with a time zone, or anything that has a
                `history_id`, as `{"history_id": 57}`.

        Raises:
            ArgumentError: There is no such place.
        """
        self._run("rewind", {"to": where_of(to, name="to")})

    def regenerate(self) -> None:
        """End the path after the last user message, so that the next run answers it again.

        Raises:
            ArgumentError: The path has no user message.
        """
        self._run("rewind", {"to": {"input": "last"}})

    def branch(self, name: str, *, at: Target | None = None) -> int:
        """Begin a branch by name and go there. The branch that was left stays as it is.

        Args:
            name: Not used in this session before.
            at: Where it begins, as in `rewind`; the end of the path by default.

        Returns:
            The new branch's id.

        Raises:
            BranchNameError: The name is empty or was used before.
            ArgumentError: There is no such place.
        """
        _check_name(name)
        return int(self._fork(name, where_of(at, name="at") if at is not None else None)[0])

    def _fork(self, name: str | None, at: dict[str, Any] | None, **more: Any) -> tuple[int, str]:
        if name is not None:
            _check_name(name)
        branch_id, found = self._run("fork", {"name": name, "at": at, **more})
        return branch_id, found

    def switch(self, branch: str | int) -> None:
        """Go to a branch, by name or id: the path is where that branch was left.

        Raises:
            UnknownBranchError: The session has no such branch.
        """
        self._run("switch", {"branch": _checked(branch)})

    def rename(self, branch: str | int, new_name: str) -> None:
        """Give a branch another name.

        Raises:
            UnknownBranchError: The session has no such branch.
            BranchNameError: The name is empty or was used before.
        """
        _check_name(new_name)
        self._run("rename", {"branch": _checked(branch), "name": new_name})

    def delete_branch(self, branch_id: str | int, force: bool = False) -> None:
        """Take a branch off the list. Its own items stay stored, superseded, until they are purged.

        What it shares with others stays theirs. Its name is not free again.

        Args:
            branch_id: The branch, by name or id.
            force: Delete the current branch too, and go to `main`.

        Raises:
            UnknownBranchError: The session has no such branch.
            ArgumentError: It is `main`, or the current branch without `force`.
        """
        if isinstance(branch_id, str) and not branch_id.strip():
            raise errors.BranchNameError("Branch ID cannot be empty")
        self._run("delete_branch", {"branch": _checked(branch_id), "force": bool(force)})

    def fork(self, new_session_id: str, *, at: Target | None = None) -> Self:
        """Begin a session of its own with what was said here, up to a place.

        It has its own copy, so that either can be purged, and remembers in `parent_session_id` and
        `parent_item_id` where it came from. The copied items are no runs, tool calls or responses
        of the new session: those were counted here. Title, user, tags and metadata go with it.

        Args:
            new_session_id: A session that is not stored yet.
            at: Where it ends, as in `rewind`; the end of the path by default.

        Returns:
            The new session.

        Raises:
            ArgumentError: That session is stored already, or there is no such place.
        """
        fork = type(self)(self._access, new_session_id)
        where = where_of(at, name="at") if at is not None else None
        path = self._access.path_to(self.session_id, where)
        found = self._access.rows(
            "select title, user_id, tags, metadata from session_rows where session_id = $id",
            {"id": self.session_id},
        ).rows
        if not found:
            raise errors.ArgumentError(f"session {self.session_id!r} has just been purged")
        pairs = zip(path["raws"], path["agent_names"], strict=True)
        kept = [pair for pair in pairs if decode_all([pair[0]])]  # as they are read
        raws = [raw for raw, _ in kept]
        values = {
            **dict(zip(("title", "user_id", "tags", "metadata"), found[0], strict=True)),
            "parent_session_id": self.session_id,
            "parent_item_id": path["item_ids"][-1] if path["item_ids"] else None,
            "agent_names": [name for _, name in kept],
        }
        fork._run("copy", values, raws, len(raws) + 1)
        return fork

    # Looking at every course -----------------------------------------------------------------

    def branches(self) -> list[BranchInfo]:
        """All branches, in the order in which they began, without those that were deleted."""
        return outline.list_branches(self._access, self.session_id)

    def find(
        self,
        text: str,
        *,
        role: str | None = None,
        superseded: bool = False,
        limit: int | None = None,
    ) -> list[Message]:
        """The messages that hold a text, whatever its case, the earliest first.

        Args:
            text: What to look for.
            role: Only messages of this role: user, assistant, system or developer.
            superseded: Also messages that are not on the path any more.
            limit: How many at most; None for all.

        Raises:
            ArgumentError: A value is of another kind.
        """
        if not isinstance(text, str):
            raise errors.ArgumentError(f"text is {text!r}: give a text")
        if role is not None and not isinstance(role, str):
            raise errors.ArgumentError(f"role is {role!r}: give a text")
        if limit is not None and (not _is_whole(limit) or limit < 0):
            raise errors.ArgumentError(f"limit is {limit!r}: give a whole number from 0 up")
        return outline.find_messages(
            *(self._access, self.session_id, readable(text)),
            role=role and readable(role),
            superseded=bool(superseded),
            limit=limit and min(limit, OPEN_END),
        )

    def alternatives(self, *, at: Target | None = None) -> list[Alternative]:
        """What was said at an edit point, in order, with the branches that go on from each.

        Args:
            at: A run's turn_number, for its opening; or one of the alternatives, as anything that
                has an `item_id`. None for all edit points of the session, one after the other.

        Returns:
            The item itself alone where there is no other. Nothing where there is no such item.
        """
        where = where_of(at, name="at") if at is not None else None
        if where is not None and not {"turn", "item"} & where.keys():
            raise errors.ArgumentError(
                f"at is {at!r}: give a run's turn_number or something with an item_id"
            )
        return outline.find_alternatives(self._access, self.session_id, where)

    def diff(self, branch_a: str | int, branch_b: str | int) -> BranchDiff:
        """What two branches have in common, and then the items of either side with their distance.

        Raises:
            UnknownBranchError: The session has no such branch.
        """
        return compare(self._access, self.session_id, _checked(branch_a), _checked(branch_b))

    def at(self, moment: Target) -> list[Any]:
        """The items as they were at a moment, in the shape of `items`. Nothing is changed.

        What was deleted for good since is not among them.

        Args:
            moment: A datetime with a time zone, or anything that has a `history_id`.

        Raises:
            ArgumentError: It is no moment, or the history has no such entry.
        """
        where = where_of(moment, name="moment")
        if not {"time", "history"} & where.keys():
            raise errors.ArgumentError(
                f"moment is {moment!r}: give a datetime with a time zone or a history_id"
            )
        return self._read(None, where).items

    # Reading ---------------------------------------------------------------------------------

    def _read(self, limit: int | None, where: dict[str, Any] | None) -> Reading:
        """The latest items of a path; more are read where some of them are not JSON."""
        if where is not None and "branch" in where:
            _checked(where["branch"])
        reading = self._decoded(self._access.texts(self.session_id, limit, where), limit)
        if reading is None:
            whole = self._access.texts(self.session_id, None, where)
            items = decode_all(whole.raws, exact=whole.is_exact)
            reading = Reading(items[max(len(items) - (limit or 0), 0) :], whole.course)
        return reading

    @staticmethod
    def _decoded(found: Texts, limit: int | None) -> Reading | None:
        """Decode what was found; None where some of it is not JSON and more must be read."""
        items = decode_all(found.raws, exact=found.is_exact)
        is_part = limit is not None and limit >= 0
        if is_part and len(items) < len(found.raws):
            return None
        return Reading(items, found.course)


def _checked(branch: Any) -> Any:
    """The branch's name or id, if it is something that can be one."""
    if not isinstance(branch, str) and not _is_whole(branch):
        raise errors.UnknownBranchError(
            f"Branch {branch!r} does not exist: give the name of a branch or its branch_id"
        )
    return branch


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_name(name: Any) -> None:
    if not isinstance(name, str):
        raise errors.BranchNameError(f"the name of a branch is {name!r}: give a text")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise errors.BranchNameError(
            f"the name {name!r} holds a lone surrogate: no file can store that"
        ) from error
