"""Sessions of `AdvancedSQLiteSession` as trees.

Its file says of each branch which message rows it shows, in their order; that a branch came from
another is not written down. But branches that share a beginning share its message rows: the tree
is what remains when equal beginnings are laid on each other. So no message is there twice.

Token usage is stored for each turn of a branch, and not for each response: it is given to the last
response of the turn. The branch on which one worked last is not stored either: it is taken to be
the one that was written to last.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from duckstore.formats.sample import Skipper
from duckstore.formats.sdk_rows import MessageRow, decoded
from duckstore.formats.sqlite_files import columns_of
from duckstore.formats.trees import Node, Weaver, arrange, weave
from duckstore.formats.values import count, mapping, moment
from duckstore.items import describe
from duckstore.usage import Usage

__all__ = ["Branches", "branches_of", "has_branches"]

_STRUCTURE = {"id", "session_id", "message_id", "branch_id", "sequence_number", "user_turn_number"}
_USAGE = {"session_id", "branch_id", "user_turn_number", "input_tokens", "output_tokens"}


@dataclass(slots=True)
class Branches:
    """A session with every branch."""

    weaver: Weaver
    last_items: dict[str, int] = field(default_factory=dict)
    """Of each branch the index of its last item."""
    current: str | None = None
    """The branch that was written to last."""


@dataclass(slots=True)
class _Path:
    """One branch: its nodes in order, and the turn that each is in."""

    name: str
    last_written: int = 0
    nodes: list[Node] = field(default_factory=list)
    turns: list[Any] = field(default_factory=list)


def has_branches(connection: sqlite3.Connection) -> bool:
    """Whether a file has the tables of `AdvancedSQLiteSession`."""
    return columns_of(connection, "message_structure").keys() >= _STRUCTURE


def branches_of(
    connection: sqlite3.Connection,
    session_id: Any,
    rows: Iterable[MessageRow],
    place: str,
    report: Skipper,
) -> Branches | None:
    """A session's branches, or None where it has none: then a plain session wrote it."""
    structure = connection.execute(
        "select id, branch_id, message_id, user_turn_number from message_structure"
        " where session_id = ? order by sequence_number, id",
        (session_id,),
    ).fetchall()
    if not structure:
        return None
    messages = {row.message_id: row for row in rows}
    nodes, paths = _shared_paths(structure, messages, place, report)
    for message_id in messages.keys() - {row[2] for row in structure}:
        report.skip(f"{place}, message {message_id}", "it is on no branch")
    weaver, last = weave(arrange(nodes, lambda _node, _why: None))
    found = Branches(weaver)
    for path in paths:
        if path.nodes and last[path.nodes[-1].key] >= 0:
            found.last_items[path.name] = last[path.nodes[-1].key]
    written = [path for path in paths if path.name in found.last_items]
    if written:
        found.current = max(written, key=lambda path: path.last_written).name
    _place_usage(connection, session_id, paths, weaver, last, place, report)
    return found


def _shared_paths(
    structure: list[tuple[Any, ...]],
    messages: dict[int, MessageRow],
    place: str,
    report: Skipper,
) -> tuple[dict[str, Node], list[_Path]]:
    """Lay the branches on each other: a node is a message row after a certain node."""
    nodes: dict[str, Node] = {}
    paths: dict[str, _Path] = {}
    steps: dict[tuple[str | None, int], Node] = {}
    for structure_id, branch, message_id, turn in structure:
        path = paths.setdefault(str(branch), _Path(str(branch)))
        path.last_written = max(path.last_written, structure_id)
        row = messages.get(message_id)
        if row is None:
            report.skip(f"{place}, branch {branch}", f"message {message_id} is not in the file")
            continue
        before = path.nodes[-1].key if path.nodes else None
        node = steps.get((before, message_id))
        if node is None:
            items = decoded(row, place, report)
            node = Node(str(len(nodes)), before, items, moment(row.created_at))
            steps[before, message_id] = nodes[node.key] = node
        path.nodes.append(node)
        path.turns.append(turn)
    return nodes, list(paths.values())


def _place_usage(
    connection: sqlite3.Connection,
    session_id: Any,
    paths: list[_Path],
    weaver: Weaver,
    last: dict[str, int],
    place: str,
    report: Skipper,
) -> None:
    """Give the usage of each turn to its last response."""
    if not columns_of(connection, "turn_usage").keys() >= _USAGE:
        return
    by_name = {path.name: path for path in paths}
    for branch, turn, *counts in connection.execute(
        "select branch_id, user_turn_number, requests, input_tokens, output_tokens, total_tokens,"
        " input_tokens_details, output_tokens_details from turn_usage where session_id = ?"
        " order by id",
        (session_id,),
    ).fetchall():
        path = by_name.get(str(branch), _Path(str(branch)))
        answered = [
            node
            for node, of_turn in zip(path.nodes, path.turns, strict=True)
            if of_turn == turn and any(describe(item).part == "model" for item in node.items)
        ]
        where = f"{place}, branch {branch}, turn {turn}"
        if not answered:
            report.skip(where, "its token usage belongs to no response that is in the file")
            continue
        response = weaver.response(last[answered[-1].key])
        if response.usage is not None:
            report.skip(where, "its last response has the token usage of another branch already")
            continue
        response.learn(usage=_usage(*counts))


def _usage(
    requests: Any, tokens_in: Any, tokens_out: Any, total: Any, details_in: Any, details_out: Any
) -> Usage:
    read, written = _details(details_in), _details(details_out)
    return Usage(
        request_count=count(requests),
        input_tokens=count(tokens_in),
        output_tokens=count(tokens_out),
        cache_read_input_tokens=count(read.get("cached_tokens")),
        cache_write_input_tokens=count(read.get("cache_write_tokens")),
        reasoning_output_tokens=count(written.get("reasoning_tokens")),
        total_tokens=count(total) or count(tokens_in) + count(tokens_out),
    )


def _details(value: Any) -> dict[str, Any]:
    """The object that a column holds as JSON text; an empty one where it holds none."""
    try:
        return mapping(json.loads(value))
    except (TypeError, ValueError, RecursionError):
        return {}
