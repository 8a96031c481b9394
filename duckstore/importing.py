"""Conversations from JSON lines into a store.

One JSON object a line, plain or gzip, each a conversation:

    {"session_id": "...", "items": [...], "parents": [...] or null, "usage": [...],
     "source": "...", "meta": {...}}

Only `items` must be there. `parents` makes the conversation a tree: for every item the index of
the one before it, or -1 for an opening; two items with one parent become alternatives, on branches
of their own. A file whose lines are items themselves is one conversation, named after the file.

A conversation is stored whole or not at all, in one transaction. One whose session id the store
has already is left out, so that importing a file twice changes nothing. What is left out is
reported with its line and the reason.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from duckstore import errors
from duckstore.access import Access
from duckstore.command import Command
from duckstore.conversation import Conversation
from duckstore.encoding import encode_items, readable
from duckstore.operations import ALREADY, chains

__all__ = ["ImportReport", "SkippedLine", "import_jsonl", "import_tree"]

GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class SkippedLine:
    """A line that was not imported. `line_number` counts from 1."""

    line_number: int
    reason: str


@dataclass(slots=True)
class ImportReport:
    """What an import did."""

    session_count: int = 0
    item_count: int = 0
    skipped: list[SkippedLine] = field(default_factory=list)


def import_jsonl(
    access: Access, path: Path, progress: Callable[[int], None] | None = None
) -> ImportReport:
    """Import a file of JSON lines, plain or gzip.

    Args:
        access: The store to write to.
        path: The file.
        progress: Called after each line with the number of bytes of the file read so far.

    Raises:
        ImportFileError: The file cannot be read, or no line of it is a conversation or an item.
    """
    report = ImportReport()
    loose: list[Any] = []
    for number, value, done in _lines(path, report):
        try:
            if isinstance(value, dict) and "items" in value:
                name = value.get("session_id") or f"{_stem(path)}:{number}"
                report.item_count += _import_conversation(access, name, value)
                report.session_count += 1
            elif isinstance(value, dict) and ("type" in value or "role" in value):
                loose.append(value)
            else:
                raise errors.ImportFileError("neither a conversation with items nor an item")
        except (errors.ImportFileError, errors.ItemError, errors.ArgumentError) as error:
            report.skipped.append(SkippedLine(number, str(error)))
        if progress is not None:
            progress(done)
    if loose:
        _import_loose(access, _stem(path), loose, report)
    if not report.session_count and all(_is_unreadable(line) for line in report.skipped):
        first = report.skipped[0].reason if report.skipped else "it is empty"
        raise errors.ImportFileError(
            f"{path} holds no conversation: {first}. Give a file of JSON lines, each with a list "
            "of items, or each an item; the README shows one"
        )
    return report


def _is_unreadable(line: SkippedLine) -> bool:
    return ALREADY not in line.reason


def _lines(path: Path, report: ImportReport) -> Iterator[tuple[int, Any, int]]:
    """Each line's number and value, with the bytes of the file read so far."""
    try:
        with path.open("rb") as raw:
            is_gzip = raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            lines = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if is_gzip else raw
            number = 0
            while True:
                number += 1
                try:
                    line = lines.readline()
                except (EOFError, gzip.BadGzipFile) as error:
                    report.skipped.append(SkippedLine(number, f"the file breaks off: {error}"))
                    return
                if not line:
                    return
                if not line.strip():
                    continue
                try:
                    yield number, json.loads(line), raw.tell()
                except (ValueError, RecursionError) as error:
                    report.skipped.append(SkippedLine(number, f"not JSON: {error}"))
    except OSError as error:
        raise errors.ImportFileError(
            f"{path} cannot be read: {error.strerror or error}. Check the path and its rights"
        ) from error


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".jsonl")


def _import_loose(access: Access, name: str, items: list[Any], report: ImportReport) -> None:
    try:
        report.item_count += _import_conversation(access, name, {"items": items})
        report.session_count += 1
    except (errors.ImportFileError, errors.ItemError) as error:
        report.skipped.append(SkippedLine(1, str(error)))


def _import_conversation(access: Access, session_id: Any, line: Mapping[str, Any]) -> int:
    items, parents = line["items"], line.get("parents")
    if not isinstance(items, list):
        raise errors.ImportFileError(f"items is a {type(items).__name__} and not a list")
    if not items:
        raise errors.ImportFileError("it has no items")
    meta = line.get("meta") if isinstance(line.get("meta"), dict) else {}
    import_tree(
        access,
        Conversation(access, session_id).session_id,
        items,
        _checked_parents(parents, len(items)),
        source=line.get("source") if isinstance(line.get("source"), str) else None,
        metadata=meta or {},
        usage=line.get("usage") if isinstance(line.get("usage"), list) else None,
    )
    return len(items)


def _checked_parents(parents: Any, count: int) -> list[int]:
    if parents is None:
        return list(range(-1, count - 1))
    if not isinstance(parents, list) or len(parents) != count:
        raise errors.ImportFileError(f"parents is not a list of {count} indexes, one for each item")
    checked = [-1 if parent is None else parent for parent in parents]
    for index, parent in enumerate(checked):
        if type(parent) is not int or not -1 <= parent < index:
            raise errors.ImportFileError(
                f"the parent of item {index} is {parent!r}: it must be the index of an earlier "
                "item, or -1"
            )
    return checked


def import_tree(
    access: Access,
    session_id: str,
    items: Sequence[Any],
    parents: Sequence[int],
    *,
    source: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    usage: Sequence[Any] | None = None,
) -> None:
    """Store a conversation that went more than one way, as a new session.

    The path that ends with the last item becomes the session's path, named "main".

    Args:
        access: The store to write to.
        session_id: The new session.
        items: The items, in the order in which they were said.
        parents: For each item the index of the one before it, or -1.
        source: Where the conversation comes from.
        metadata: The session's metadata.
        usage: Token usage of each response in order, with the field names of the Responses or
            the Chat Completions API; left out where there are not as many as responses.

    Raises:
        ImportFileError: The store has a session of that id.
        ItemError: An item is not JSON.
    """
    raws = encode_items(items)
    # DuckDB reads neither NaN nor lone surrogates: one such row would close the whole relation.
    plain = json.loads(json.dumps(dict(metadata or {})), parse_constant=lambda _: None)
    values = {
        "parents": list(parents),
        "source": source,
        "metadata": readable(json.dumps(plain, ensure_ascii=False)),
        "usage": list(usage) if usage is not None else None,
    }
    # A key, a branch and a move for each stretch, and the items.
    id_count = len(raws) + 1 + 2 * sum(1 for _ in chains(parents))
    access.run(Command("import", session_id, values, raws, id_count, access.is_durable))
