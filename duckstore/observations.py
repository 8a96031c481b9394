"""The rows of what was seen of a run: responses, tool calls, guardrails and outcomes.

Each row names the item that it belongs to or came after, so that it goes where that goes, and is
deleted with it. What is seen after a run's last batch is written by a command of its own: it finds
the run by the ids of that batch, and is dropped where the batch has been deleted since.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from duckstore.command import EPOCH, Command
from duckstore.encoding import readable
from duckstore.schema import SEEN_TABLES
from duckstore.telemetry import Seen, SeenCall, SeenResponse
from duckstore.tree import NextId, SessionState, Stored
from duckstore.usage import Usage

__all__ = [
    "Anchor",
    "anchor_of",
    "anchor_of_batch",
    "deletions_of",
    "needs_file",
    "observe",
    "response_row",
    "write",
]

Row = tuple[Any, ...]


@dataclass(slots=True)
class Anchor:
    """Where what was seen belongs: an item, its run, and the items of tool calls by call id."""

    item_id: int
    run_id: int
    last_id: int
    """The last item of its batch: how a run ended is known of what it had done by then."""
    calls: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))


def anchor_of_batch(rows: Sequence[Row], response_id: int | None, run_id: int) -> Anchor:
    """The anchor of a batch whose rows have just been made.

    Args:
        rows: The batch's rows of `item_rows`.
        response_id: Its response, where it has one; else it is what came after its last item.
        run_id: The run that it belongs to.
    """
    last_id = rows[-1][0]
    anchor = Anchor(response_id if response_id is not None else last_id, run_id, last_id)
    for row in rows:
        if row[_CALL_ID] is not None and row[_CALL_INDEX] is not None:
            anchor.calls[row[_CALL_ID]].append(row[0])
    for row in rows:
        call = row[_ANSWERS]
        if call is not None and row[_CALL_ID] is not None and call < rows[0][0]:
            anchor.calls[row[_CALL_ID]].append(call)
    return anchor


_ANSWERS = 12
_CALL_INDEX = 14
_CALL_ID = 19


def observe(command: Command, state: SessionState, next_id: NextId, stored: Stored) -> bool:
    """Write what was seen after a run's last batch; returns whether the run is still there."""
    anchor = anchor_of(command, state, stored)
    if anchor is not None:
        write(Seen.of_values(command.values["seen"]), anchor, None, command, state, next_id)
    return anchor is not None


def needs_file(command: Command, state: SessionState) -> bool:
    """Whether the batch that it came after is not on the path."""
    batch = command.values.get("batch")
    return state.is_stored and batch is not None and _last_on_path(state, batch) is None


def anchor_of(command: Command, state: SessionState, stored: Stored) -> Anchor | None:
    """Where a command's `batch` is; the end of the path where it names none; None if it is gone."""
    if not state.is_stored:
        return None
    batch = command.values.get("batch")
    if batch is None:  # the run has added nothing: it came after what it read
        last = state.path.last
        return _with_calls(state, last.item_id, last.run_id) if last is not None else None
    on_path = _last_on_path(state, batch)
    if on_path is not None:
        return _with_calls(state, *on_path)
    found = stored.last_of_batch(state.session_key, batch[0], batch[0] + batch[1])
    return Anchor(*found, found[0]) if found is not None else None


def _last_on_path(state: SessionState, batch: Sequence[int]) -> tuple[int, int] | None:
    """The last item on the path with an id of the batch's, and its run."""
    entry = state.path.last_before(batch[0] + batch[1])
    is_there = entry is not None and entry.item_id >= batch[0]
    return (entry.item_id, entry.run_id) if is_there and entry is not None else None


def _with_calls(state: SessionState, item_id: int, run_id: int) -> Anchor:
    """An anchor on the path, with the calls of its run that have no output yet."""
    anchor = Anchor(item_id, run_id, item_id)
    for key, indexes in state.path.open_calls.items():
        entries = [state.path[index] for index in indexes]
        anchor.calls[key] += [entry.item_id for entry in entries if entry.run_id == run_id]
    return anchor


# Rows ----------------------------------------------------------------------------------------


def write(
    seen: Seen,
    anchor: Anchor,
    response_id: int | None,
    command: Command,
    state: SessionState,
    next_id: NextId,
) -> None:
    """Add the rows of what was seen to the state's rows.

    Args:
        seen: What was seen.
        anchor: Where it belongs.
        response_id: The response of the batch, where it has one.
        command: The command that brings it.
        state: The session.
        next_id: Gives ids.
    """
    key, rows = state.session_key, state.rows
    ids: list[int] = []
    for call in seen.calls:
        items = anchor.calls.get(call.call_id or "") if call.is_item else None
        item_id = items.pop(0) if items else None
        ids.append(item_id if item_id is not None else next_id())
        if item_id is not None and item_id < command.first_id:  # it may have been seen before
            command.statements.append(("delete from call_rows where tool_call_id = ?", [item_id]))
        rows["call_rows"].append(
            _call_row(call, ids, item_id, anchor, key, response_id, seen.trace_id)
        )
    responses = [(response_id, seen.response)] if response_id is not None else []
    loose = [(None, response) for response in seen.responses]
    for own_id, response in (*responses, *loose):
        known = response or SeenResponse()
        if own_id is not None and not _says_something(known, seen):
            continue
        parent = ids[known.parent] if known.parent is not None else None
        rows["response_rows"].append(
            response_row(
                known, own_id or next_id(), key, anchor.item_id, anchor.run_id, seen, parent
            )
        )
    for guardrail in seen.guardrails:
        rows["guardrail_rows"].append(
            (
                *(next_id(), key, anchor.item_id, anchor.run_id),
                *(_text(guardrail.guardrail_name), guardrail.is_triggered),
                *(_text(guardrail.agent_name), _time(guardrail.started_us)),
                *(_time(guardrail.ended_us), guardrail.span_id, seen.trace_id),
            )
        )
    if seen.outcome is not None:
        end = seen.outcome
        rows["outcome_rows"].append(
            (
                *(next_id(), key, anchor.last_id, anchor.run_id, end.outcome),
                *(_text(end.error_type), _text(end.error)),
                *(_time(end.started_us), _time(end.ended_us)),
                *(seen.trace_id, _text(seen.workflow_name), _text(seen.group_id)),
            )
        )


def _says_something(response: SeenResponse, seen: Seen) -> bool:
    return seen.trace_id is not None or any(
        getattr(response, name) is not None for name in SeenResponse.__slots__
    )


def response_row(
    seen: SeenResponse,
    response_id: int,
    session_key: int,
    item_id: int,
    run_id: int,
    context: Seen,
    parent_tool_call_id: int | None = None,
) -> Row:
    """A row of `response_rows`; what is not known is NULL."""
    counts = [None] * len(Usage.__slots__) if seen.usage is None else seen.usage.counts
    return (
        *(response_id, session_key, item_id, run_id, parent_tool_call_id),
        *(_text(seen.agent_name) if response_id != item_id else None, _text(seen.model)),
        *(_text(seen.provider_response_id), *counts, _text(seen.finish_reason)),
        *(_time(seen.started_us), _time(seen.ended_us), _seconds(seen.elapsed_us)),
        *(_text(seen.error_type), _text(seen.error), seen.span_id),
        *(context.trace_id, _text(context.workflow_name), _text(context.group_id)),
        _json_list(seen.offered_tools),
    )


@lru_cache(maxsize=256)
def _json_list(texts: tuple[str, ...] | None) -> str | None:
    """A JSON array; those of one agent are alike, response after response."""
    return None if texts is None else json.dumps(list(map(readable, texts)), ensure_ascii=False)


def _call_row(
    seen: SeenCall,
    ids: Sequence[int],
    item_id: int | None,
    anchor: Anchor,
    session_key: int,
    response_id: int | None,
    trace_id: str | None,
) -> Row:
    parent = ids[seen.parent] if seen.parent is not None else None
    # What an item says is not said twice.
    own: tuple[str | None, ...] = (None,) * 5
    if item_id is None:
        own = (
            *(_text(seen.agent_name), _text(seen.tool_name), _text(seen.call_id)),
            *(_text(seen.arguments), _text(seen.output)),
        )
    return (
        *(ids[-1], session_key, item_id or anchor.item_id, anchor.run_id, parent, *own),
        *(_time(seen.started_us), _time(seen.ended_us), _seconds(seen.overlap_us)),
        *(seen.status, seen.status_source, _text(seen.error_type), _text(seen.error)),
        *(seen.approval, _time(seen.decided_us), seen.span_id, trace_id),
    )


def deletions_of(item_ids: Sequence[int]) -> list[tuple[str, list[Any]]]:
    """The statements that delete what was seen with these items."""
    return [
        (f"delete from {table} where item_id in (select unnest(?))", [list(item_ids)])
        for table in SEEN_TABLES
    ]


def _text(value: str | None) -> str | None:
    return readable(value) if value is not None else None


def _time(moment_us: int | None) -> datetime | None:
    return EPOCH + timedelta(microseconds=moment_us) if moment_us is not None else None


def _seconds(microseconds: int | None) -> float | None:
    return microseconds / 1_000_000 if microseconds is not None else None
