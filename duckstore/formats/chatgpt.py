"""ChatGPT data exports: `conversations.json`, one conversation of it, or the export's zip file.

A conversation is a tree of nodes (`mapping`), each a message with its parent. Edited questions and
regenerated answers become branches; the current path is the one that was shown last
(`current_node`). What is known of a model call is the model and why it ended: an export tells no
token counts. Newer exports are cut into `conversations-000.json` and so on; the zip file is read
with all of them.

A list is read conversation by conversation, so that a large export needs little memory. Where it
breaks off, what stands before is taken.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from duckstore import errors
from duckstore.formats.chatgpt_messages import OpenCall, Said, convert
from duckstore.formats.documents import Breakage, elements, first_value, open_document
from duckstore.formats.sample import Sample, Skipper
from duckstore.formats.trees import Node, arrange, weave
from duckstore.formats.values import mapping, moment, sequence, text
from duckstore.transcript import Transcript

__all__ = ["ARE_JSON", "NAME", "TITLE", "read", "recognizes"]

NAME = "chatgpt"
TITLE = "ChatGPT data export (conversations.json or the zip file)"
ARE_JSON = True
"""Its items are as a JSON decoder gives them: they can be described before they are encoded."""

ZIP_MAGIC = b"PK\x03\x04"
_MEMBER = re.compile(r"(?:^|/)conversations(?:-\d+)?\.json$")


def recognizes(sample: Sample) -> bool:
    """Whether it is an export: a zip file with conversations, or JSON with a tree of messages."""
    if sample.is_folder:
        return False
    if sample.head.startswith(ZIP_MAGIC):
        try:
            with zipfile.ZipFile(sample.path) as archive:
                return any(_MEMBER.search(name) for name in archive.namelist())
        except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError):
            return False
    return _is_conversation(first_value(sample.head))


def _is_conversation(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("mapping"), dict):
        return False
    nodes = [node for node in value["mapping"].values() if isinstance(node, dict)]
    return "current_node" in value or any("message" in node or "parent" in node for node in nodes)


def read(path: Path, report: Skipper) -> Iterator[Transcript]:
    """Read an export's conversations.

    Args:
        path: The file.
        report: Told what was left out.

    Raises:
        ImportFileError: The file cannot be read or holds no conversation of ChatGPT.
    """
    found = False
    with open_document(path) as (stream, raw):
        for before, document in _documents(path, stream, raw):
            for number, value in enumerate(_values(document, before, report), start=1):
                transcript = _transcript(value, path, f"{before}conversation {number}", report)
                report.advance(raw.tell())
                if transcript is not None:
                    found = True
                    yield transcript
    if not found:
        raise errors.ImportFileError(
            f"{path} holds no conversation of a ChatGPT data export. Give conversations.json or "
            "the zip file that the export came as"
        )


def _documents(path: Path, stream: IO[bytes], raw: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    """Each JSON document of the file, with what is said before a place in it."""
    if raw.read(len(ZIP_MAGIC)) != ZIP_MAGIC:
        raw.seek(0)
        yield "", stream
        return
    try:
        with zipfile.ZipFile(raw) as archive:
            for name in sorted(archive.namelist()):
                if _MEMBER.search(name):
                    with archive.open(name) as member:
                        yield f"{name}, ", member
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise errors.ImportFileError(
            f"{path} cannot be unpacked: {error}. Download the export again, or give the "
            "conversations.json that you have unpacked"
        ) from error


def _values(document: IO[bytes], before: str, report: Skipper) -> Iterator[Any]:
    try:
        yield from elements(document)
    except Breakage as error:
        report.skip(f"{before}the rest", str(error))


# One conversation -------------------------------------------------------------------------------


def _transcript(value: Any, path: Path, place: str, report: Skipper) -> Transcript | None:
    if not _is_conversation(value):
        report.skip(place, "it is no conversation: it has no tree of messages (mapping)")
        return None
    nodes = arrange(
        _nodes(value["mapping"], place, report),
        lambda node, why: report.skip(f"{place}, node {node.key}", why),
    )
    _convert(nodes, value["mapping"], place, report)
    weaver, last = weave(nodes)
    if not weaver.items:
        report.skip(place, "it has no messages that say anything")
        return None
    session_id = text(value.get("conversation_id")) or text(value.get("id"))
    facts = {
        "model": text(value.get("default_model_slug")),
        "gizmo_id": text(value.get("gizmo_id")),
        "is_archived": value.get("is_archived") or None,
        "updated_at": str(updated) if (updated := moment(value.get("update_time"))) else None,
        "file": path.name,
    }
    return weaver.transcript(
        session_id or f"{path.name}:{place.rpartition(' ')[2]}",
        last_index=_current(value.get("current_node"), last),
        title=text(value.get("title")),
        metadata={name: fact for name, fact in facts.items() if fact is not None},
        source=NAME,
        session_created_at=moment(value.get("create_time")),
        place=place,
    )


def _current(key: Any, last: dict[str, int]) -> int | None:
    """The item that the path shown last ends with; None where nothing is told of it."""
    index = last.get(key, -1) if isinstance(key, str) else -1
    return index if index >= 0 else None


def _nodes(given: dict[str, Any], place: str, report: Skipper) -> dict[str, Node]:
    """The nodes with their parents, in the order of their times, siblings as they are listed."""
    nodes: dict[str, Node] = {}
    listed: dict[str, tuple[int, str]] = {}
    for key, node in given.items():
        for rank, child in enumerate(sequence(mapping(node).get("children"))):
            if isinstance(child, str):
                listed.setdefault(child, (rank, key))
    for key in sorted(given, key=lambda key: listed.get(key, (0, ""))[0]):
        node = given[key]
        if not isinstance(node, dict):
            report.skip(f"{place}, node {key}", "it is no object")
            continue
        # Where a node does not name its parent, the parent may still name it.
        parent = text(node.get("parent")) or listed.get(key, (0, None))[1]
        created_at = moment(mapping(node.get("message")).get("create_time"))
        order = created_at.timestamp() if created_at else 0.0
        nodes[key] = Node(key, parent, created_at=created_at, order=order)
    return nodes


def _convert(nodes: list[Node], given: dict[str, Any], place: str, report: Skipper) -> None:
    """Give each node its items. An output finds its call among those open on its path."""
    open_calls: dict[str | None, tuple[OpenCall, ...]] = {None: ()}
    for node in nodes:
        message = mapping(given[node.key].get("message"))
        before = open_calls.get(node.parent, ())
        try:
            said = convert(node.key, message, before)
        except RecursionError:
            report.skip(f"{place}, node {node.key}", "it is nested too deeply")
            said = Said(open_calls=before)
        node.items, open_calls[node.key] = said.items, said.open_calls
        metadata = mapping(message.get("metadata"))
        node.facts = {
            "model": text(metadata.get("model_slug")),
            "finish_reason": text(mapping(metadata.get("finish_details")).get("type")),
        }
