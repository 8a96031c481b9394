"""The public methods of the SDK's `AdvancedSQLiteSession`, over the tree.

Names, arguments, the shape of results and the texts of errors are those of openai-agents 0.24; a
`branch_id` is a branch's name (our own id does as well). They differ on purpose where that class is
wrong or loses something. In all of them:

- A turn is a run: several user messages of one input are one, system messages that lead up to a
  question belong to it, and what an assistant opens a conversation with is turn 1.
- Every branch can be listed and switched to, one without items as well, and one that is not there
  is an error everywhere. A clear sets their names free.
- The current branch belongs to the stored session: every object is on it.
- What was replaced, by a compaction as well, was said and paid for: its calls count on the branch
  that a compaction shortened, its tokens there too and in the session's figures always.
- Times are UTC and have microseconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from duckstore import errors
from duckstore.branching import Branching
from duckstore.command import EPOCH
from duckstore.encoding import decode, readable
from duckstore.glance import Call
from duckstore.results import context_of, said_in_result, seen_of_result
from duckstore.schema import OPEN_END
from duckstore.turn_queries import (
    FOUND_MESSAGES,
    ITEMS,
    OPEN_CALLS,
    SHOWN,
    STORED_USAGE,
    TOOLS,
    TURN_USAGE,
    USAGE,
    USER_MESSAGES,
    USER_TURNS,
)
from duckstore.usage import Usage

__all__ = ["Turns"]

PREVIEW_LENGTH = 100


class Turns(Branching):
    """A session's turns, tools and usage, by branch."""

    def create_branch_from_turn(self, turn_number: int, branch_name: str | None = None) -> str:
        """Begin a branch before a turn of the current branch and go there; returns its name.

        Raises:
            ArgumentError: The turn has no user message, or the name is blank or was used before.
        """
        if branch_name is not None and not str(branch_name).strip():
            raise errors.BranchNameError("Branch name cannot be empty")
        if not isinstance(turn_number, int):
            raise errors.ArgumentError(f"turn_number is {turn_number!r}: give a whole number")
        return self._fork(branch_name, {"turn": int(turn_number)}, needs_user=True)[1]

    def create_branch_from_content(self, search_term: str, branch_name: str | None = None) -> str:
        """Begin a branch before the first turn in which a text was said, by user or assistant.

        Raises:
            ArgumentError: It was said in none, or the name is blank or was used before.
        """
        found = self.find_turns_by_content(search_term)
        if not found:
            raise errors.ArgumentError(f"No user turns found containing '{search_term}'")
        return self.create_branch_from_turn(found[0]["turn"], branch_name)

    def switch_to_branch(self, branch_id: str) -> None:
        """Go to a branch, for every object of this session.

        Raises:
            UnknownBranchError: The session has no such branch.
        """
        self.switch(branch_id)

    def list_branches(self) -> list[dict[str, Any]]:
        """All branches with `branch_id`, `message_count`, `user_turns`, `is_current`, `created_at`.

        Those too that have no items, and that an edit, a pop and an append, or a compaction
        replaced.
        """
        turns = dict(self._access.rows(USER_TURNS, {"session_id": self.session_id}).rows)
        return [
            {
                "branch_id": branch.name,
                "message_count": branch.item_count,
                "user_turns": turns.get(branch.branch_id, 0),
                "is_current": branch.is_current,
                "created_at": _time(branch.created_at),
            }
            for branch in self.branches()
        ]

    def get_conversation_turns(self, branch_id: str | None = None) -> list[dict[str, Any]]:
        """The turns that a user began: `turn`, `content` (its first 100 characters),
        `full_content`, `timestamp` and `can_branch`.

        Several messages of one input are one text. What a compaction put there is no turn.
        """
        return _turns(self._ask(USER_MESSAGES, branch_id), PREVIEW_LENGTH)

    def find_turns_by_content(
        self, search_term: str, branch_id: str | None = None
    ) -> list[dict[str, Any]]:
        """The turns in which a text was said, by user or assistant, whatever its case or script.

        In the shape of `get_conversation_turns`, with whole contents. Looks at what a person would
        read, `[image]` for a picture: the SDK's class looks at the texts of users, and ignores
        the case of ASCII letters alone.
        """
        if not isinstance(search_term, str):
            raise errors.ArgumentError(f"search_term is {search_term!r}: give a text")
        return _turns(self._ask(FOUND_MESSAGES, branch_id, text=readable(search_term)), None)

    def get_conversation_by_turns(
        self, branch_id: str | None = None
    ) -> dict[int, list[dict[str, str | None]]]:
        """The items of each turn of a branch: their `type` and `tool_name`.

        A message or a reference that leaves its type out has it here; the SDK's class says "other".
        """
        rows = self._ask(ITEMS, branch_id)
        return {
            number: [{"type": kind, "tool_name": tool} for _, kind, tool in items]
            for number, items in _by_turn(rows)
        }

    def get_tool_usage(self, branch_id: str | None = None) -> list[tuple[str, int, int]]:
        """How often each tool was called in each turn of a branch: (name, calls, turn).

        A request for approval is no call, nor is an output without one; calls of every kind of
        tool count, those of local shells and image generation too.
        """
        return [(name, count, turn) for name, count, turn in self._ask(TOOLS, branch_id)]

    def get_session_usage(self, branch_id: str | None = None) -> dict[str, int] | None:
        """Token usage of the session, shared turns counted once; or of a branch, with what it
        shares. None where none is known.

        The session's is all that was paid for, on branches that were deleted and by answers that
        were replaced as well.
        """
        ((requests, *tokens, turns),) = self._ask(USAGE, branch_id, everywhere=branch_id is None)
        if requests is None:
            return None
        names = ("requests", "input_tokens", "output_tokens", "total_tokens", "total_turns")
        return dict(zip(names, (requests, *tokens, turns), strict=True))

    def get_turn_usage(
        self, user_turn_number: int | None = None, branch_id: str | None = None
    ) -> list[dict[str, Any]] | dict[str, Any]:
        """Token usage of each turn of a branch, with what it shares; or of one, {} if not known.

        All runs of a turn add up; the SDK's class keeps the last one. Of the token details there
        are those that every version of the SDK knows.
        """
        if user_turn_number is not None and not isinstance(user_turn_number, int):
            raise errors.ArgumentError(
                f"user_turn_number is {user_turn_number!r}: give a whole number, or None for all"
            )
        turn = None if user_turn_number is None else max(min(user_turn_number, OPEN_END), 0)
        rows = self._ask(TURN_USAGE, branch_id, turn=turn)
        found = [
            {
                "user_turn_number": turn,
                "requests": requests,
                "input_tokens": tokens_in,
                "output_tokens": tokens_out,
                "total_tokens": total,
                "input_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
                "output_tokens_details": {"reasoning_tokens": reasoning},
            }
            for turn, requests, tokens_in, tokens_out, total, read, written, reasoning in rows
        ]
        if user_turn_number is None:
            return found
        for usage in found:
            del usage["user_turn_number"]
        return found[0] if found else {}

    def store_run_usage(self, result: Any) -> None:
        """The same as `record`, by the name that the SDK's class has for it.

        A session that the Runner was given stores usage by itself, with each response. This is for
        one that stands behind another session, which does not hand on the run. Several runs of a
        turn add up; a result counts once, and so does a run that was resumed. The SDK's class logs
        errors.

        Args:
            result: What `Runner.run` returned.

        Raises:
            StoreError: It cannot be stored; it can be tried again.
        """
        if getattr(result, "context_wrapper", None) is not None:
            self.record(result)

    def record(self, result: Any) -> bool:
        """Store what a run's result tells and nobody saw; returns whether the run is stored.

        Args:
            result: What `Runner.run` or `Runner.run_streamed` returned, at its end, or the
                `AgentsException` that it raised.

        Raises:
            ArgumentError: It is something else, or the run has not ended.
            StoreError: It cannot be stored; it can be tried again.

        A run that another session has seen is not stored here.
        """
        wrapper = context_of(result)
        observer = self._access.observer
        observer.settle(wrapper)
        self._access.reporter.flush()
        watch = observer.watch_of(wrapper)
        if watch is not None and watch.session_id not in (None, self.session_id):
            return False
        seen = seen_of_result(result)
        values = {
            "seen": seen.values(),
            "said": said_in_result(result),
            "batch": list(watch.batch) if watch is not None and watch.batch is not None else None,
            "total": Usage.of(wrapper.usage).counts,
        }
        command = self._command("record", values, (), seen.row_count + 2)
        is_stored = bool(self._access.run(command))
        if is_stored and watch is None:  # from now on it is known whose it is
            observer.notice(wrapper, self.session_id)
        return is_stored

    def last_run(self) -> tuple[Usage, list[Call]]:
        """What is stored of the last run's token usage, and which calls wait for their output."""
        ((*counts,),) = self._ask(STORED_USAGE, None)
        return Usage(*counts), [Call(*row) for row in self._ask(OPEN_CALLS, None)]

    # Asking ----------------------------------------------------------------------------------

    def _ask(self, sql: str, branch_id: str | None, **values: Any) -> Sequence[tuple[Any, ...]]:
        """Rows of a question about a branch; the current one where none is named.

        Raises:
            UnknownBranchError: The session has no such branch.
        """
        if branch_id is not None:
            self._read(0, {"branch": branch_id})  # tells which there are where it is unknown
        values |= {
            "session_id": self.session_id,
            "branch": branch_id if isinstance(branch_id, str) else None,
            "branch_id": branch_id if isinstance(branch_id, int) else None,
        }
        return self._access.rows(SHOWN + sql, values).rows


def _by_turn(
    rows: Sequence[tuple[Any, ...]],
) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
    for number, group in groupby(rows, key=lambda row: row[0]):
        yield number, list(group)


def _turns(rows: Sequence[tuple[Any, ...]], length: int | None) -> list[dict[str, Any]]:
    """The turns of some user messages, without those that cannot be read."""
    turns = []
    for number, messages in _by_turn(rows):
        contents = [content for _, raw, _ in messages if (content := _content(raw)) is not _DAMAGED]
        if contents:
            turns.append(_turn(number, contents, messages[0][2], length))
    return turns


def _turn(number: int, contents: list[Any], created_us: int, length: int | None) -> dict[str, Any]:
    whole = contents[0] if len(contents) == 1 else "\n\n".join(map(_text, contents))
    text = _text(whole)
    is_long = length is not None and len(text) > length
    return {
        "turn": number,
        "content": text[:length] + "..." if is_long else text,
        "full_content": whole,
        "timestamp": _time(EPOCH + timedelta(microseconds=created_us)),
        "can_branch": True,
    }


_DAMAGED = object()


def _content(raw: str) -> Any:
    """What a stored message says; `_DAMAGED` where its text is no JSON object any more."""
    try:
        return decode(raw).get("content", "")
    except (ValueError, AttributeError):
        return _DAMAGED


def _text(content: Any) -> str:
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def _time(moment: datetime) -> str:
    """As SQLite writes times, with microseconds."""
    return moment.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
