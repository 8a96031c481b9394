"""One batch of items, divided into runs, responses and tool calls.

- A run begins with user messages and lasts until the next. Messages of one batch, and system
  messages before the first user message, belong to one run. A branch that begins in the middle
  of a run begins a run of its own, which remembers the run that it shares its opening with.
- An output belongs to the latest earlier unanswered call with its id, on its own path.
- A response is the model's items of one batch. Where a batch comes without a run context (an
  import), a model item after an output or an input begins the next response. An import is cut
  nowhere: what a later one adds at the end belongs to the run and the response that it goes on
  with, as if it had been there from the beginning.
- What a compaction puts in the place of items belongs to the run in which it happened: a summary
  is no new question.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from duckstore.encoding import decode
from duckstore.items import Description, describe

if TYPE_CHECKING:
    from duckstore.tree import SessionState

__all__ = ["Batch", "Entry", "NewItem", "OpenResponse", "new_items", "response_heads"]


@dataclass(slots=True)
class Entry:
    """One item of the current path: the raw text, and what later items need to know of it."""

    item_id: int
    branch_id: int
    position: int
    batch_id: int
    run_id: int
    turn_number: int
    user_item_id: int | None
    answers_item_id: int | None
    pairing_key: str | None
    tool_name: str | None
    part: str
    is_call: bool
    works: bool
    """Whether it is anything but input."""
    is_copy: bool
    """Whether the session was forked with it."""
    raw: str

    # Set by the path that it stands on:
    run_has_work: bool = False
    """Whether its run holds anything but input up to here."""
    bytes_to_here: int = 0
    """What the path takes in memory up to this entry."""


class NewItem(NamedTuple):
    """An item on its way into the store: its raw text and its description."""

    raw: str
    description: Description


def new_items(raws: Sequence[str]) -> list[NewItem]:
    """Items with what follows from each of them alone."""
    return [NewItem(raw, describe(decode(raw))) for raw in raws]


class OpenResponse(NamedTuple):
    """A response that a batch goes on with."""

    response_id: int
    run_id: int
    call_count: int


class _Run(NamedTuple):
    """The run that an item belongs to."""

    run_id: int
    turn_number: int
    user_item_id: int | None
    forked_run_id: int | None


@dataclass(slots=True)
class Batch:
    """Adds items to the end of a session's path and makes their rows."""

    state: SessionState
    operation: str
    created_at: datetime | Sequence[datetime]
    """When it was said, or when each item was."""
    agent_names: Sequence[str | None] | str | None = None
    """The agent that the batch came from, or one for each item. Input has none."""
    is_live: bool = False
    """Whether the batch came from a run: then it holds one response at most."""
    continues: Entry | None = None
    """For a compaction: the last item before it, whose run goes on."""
    goes_on: OpenResponse | None = None
    """For an import: the response of the last item before it, which goes on."""
    begins: Container[int] = ()
    """For an import: the items, by their indexes, with which a response begins in any case."""
    responses: list[tuple[int, int]] = field(default_factory=list)
    """The responses that it holds, each with its run."""
    _batch_id: int = 0
    _last_part: str = ""

    def __post_init__(self) -> None:
        if self.goes_on is not None:
            self.responses.append(self.goes_on[:2])
            self._last_part = "model"

    def add_all(self, items: Sequence[NewItem], next_id: Callable[[], int]) -> None:
        """Add the items to the state's path and their rows to the state's rows."""
        opens_run = _run_openings(items)
        responses: dict[int, list[list[Any]]] = {}
        rows: list[list[Any]] = []
        names, times = self.agent_names, self.created_at
        if names is None or isinstance(names, str):
            names = [names] * len(items)
        if isinstance(times, datetime):
            times = [times] * len(items)
        for index, (item, name, time) in enumerate(zip(items, names, times, strict=True)):
            item_id = next_id()
            self._batch_id = self._batch_id or item_id
            entry, row = self._add(item, item_id, opens_run[index], index in self.begins)
            row[_AGENT_NAME] = name if entry.part != "input" else None
            row[_CREATED_AT] = time
            self.state.path.push(entry)
            rows.append(row)
            if entry.is_call:
                responses.setdefault(row[_RESPONSE_ID], []).append(row)
        for response_id, calls in responses.items():
            before = self._calls_before(response_id)
            for number, row in enumerate(calls, start=before + 1):
                row[_CALL_INDEX], row[_PARALLEL_COUNT] = number, before + len(calls)
        self.state.current.tip = len(self.state.path)
        self.state.rows["item_rows"].extend(tuple(row) for row in rows)

    def _calls_before(self, response_id: int | None) -> int:
        """How many calls a response has that stand before the batch."""
        open_response = self.goes_on
        if open_response is None or open_response.response_id != response_id:
            return 0
        return open_response.call_count

    def _add(
        self, item: NewItem, item_id: int, opens: bool, begins: bool
    ) -> tuple[Entry, list[Any]]:
        state, d = self.state, item.description
        last = state.path.last
        run = self._run(d, item_id, opens, last)
        key = d.pairing_key if self.operation != "compact" else None
        call = self._answered_call(d, key) if key is not None and d.is_output else None
        entry = Entry(
            item_id=item_id,
            branch_id=state.current.branch_id,
            position=len(state.path) + 1,
            batch_id=self._batch_id,
            run_id=run.run_id,
            turn_number=run.turn_number,
            user_item_id=run.user_item_id,
            answers_item_id=call.item_id if call else None,
            pairing_key=key,
            tool_name=d.tool_name or (call.tool_name if call else None),
            part=d.part,
            is_call=d.is_call and self.operation != "compact",
            works=d.part != "input" or self.operation == "compact",
            is_copy=self.operation == "fork",
            raw=item.raw,
        )
        row = [
            item_id,
            state.session_key,
            entry.branch_id,
            entry.position,
            last.item_id if last else None,
            self._batch_id,
            self.operation,
            run.run_id,
            run.forked_run_id,
            run.turn_number,
            run.user_item_id,
            self._response(d, item_id, run.run_id, begins),
            entry.answers_item_id,
            self._answer_number(call),
            None,
            None,
            d.part,
            d.item_type,
            d.role,
            d.call_id,
            entry.tool_name,
            d.tool_type,
            d.server_label,
            None,
            d.status,
            d.status_source,
            d.error,
            d.handoff_to,
            d.arguments,
            d.text,
            item.raw,
            None,
        ]
        return entry, row

    def _run(self, d: Description, item_id: int, opens: bool, last: Entry | None) -> _Run:
        own_user = item_id if d.is_user_message else None
        if self.operation == "compact":
            kept = self.continues or last
            if kept is not None:
                return _Run(kept.run_id, kept.turn_number, kept.user_item_id, None)
            return _Run(item_id, 1, own_user, None)
        if last is None:
            return _Run(item_id, 1, own_user, None)
        joins = not last.run_has_work and (
            last.batch_id == self._batch_id
            or last.user_item_id is None
            or self.operation == "import"
        )
        if opens and not joins:
            return _Run(item_id, last.turn_number + 1, own_user, None)
        user_item_id = last.user_item_id if last.user_item_id is not None else own_user
        # It began before this branch did, or in the session that this one was forked from.
        is_other = last.is_copy and self.operation != "fork"
        if is_other or last.run_id < self.state.current.branch_id:
            return _Run(item_id, last.turn_number, user_item_id, last.run_id)
        return _Run(last.run_id, last.turn_number, user_item_id, None)

    def _answered_call(self, d: Description, key: str) -> Entry | None:
        """The call that an output belongs to. Calls without an id are answered first come first."""
        calls = self.state.path.open_calls.get(key)
        if not calls:
            return None
        return self.state.path[calls[0] if d.call_id is None else calls[-1]]

    def _answer_number(self, call: Entry | None) -> int | None:
        """Which of its call's outputs, on any path, an output is: the first of them is 1."""
        if call is None:
            return None
        number = self.state.answered.get(call.item_id, 0) + 1
        self.state.answered[call.item_id] = number
        return number

    def _response(self, d: Description, item_id: int, run_id: int, begins: bool) -> int | None:
        """The response that an item belongs to: the model's items only."""
        last_part, self._last_part = self._last_part, d.part
        if d.part != "model" or self.operation == "compact":
            return None
        follows = self.is_live or last_part == "model"
        if begins or not self.responses or not follows:
            self.responses.append((item_id, run_id))
        return self.responses[-1][0]


_RESPONSE_ID = 11
_CALL_INDEX = 14
_PARALLEL_COUNT = 15
_AGENT_NAME = 23
_CREATED_AT = 31


def response_heads(parts: Sequence[str], parents: Sequence[int]) -> list[int]:
    """With which item the response of each item begins, in an import; -1 where it is in none.

    Args:
        parts: The items' parts: see `duckstore.items`.
        parents: For each the index of the item before it, or -1.
    """
    heads: list[int] = []
    for index, (part, parent) in enumerate(zip(parts, parents, strict=True)):
        goes_on = 0 <= parent == index - 1 and parts[parent] == "model"
        heads.append(-1 if part != "model" else heads[parent] if goes_on else index)
    return heads


def _run_openings(items: Sequence[NewItem]) -> list[bool]:
    """Which items may begin a run: user messages, and the input that leads up to one."""
    opens = [False] * len(items)
    for index in range(len(items) - 1, -1, -1):
        d = items[index].description
        leads_up = index + 1 < len(items) and opens[index + 1]
        opens[index] = d.is_user_message or (d.part == "input" and leads_up)
    return opens
