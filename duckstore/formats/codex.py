"""Rollouts of the Codex command line: the files of `~/.codex/sessions`, one of them or a folder.

- Items stay as they are, encrypted reasoning too. Token usage, the model and the times of each
  response come from the events between them. Turns that were taken back are a branch.
- A session that was forked begins with a copy of the other's items. It gets the id of the session
  that the copying began with, so that both are one conversation, in which the shared part is there
  once. The other is named by the rollout (`forked_from_id`); where an older rollout names none, two
  files of a folder that are the same up to an id that a model call drew are taken to be copies. The
  id that Codex gave is in the metadata (`rollout_id`).
- Left out are states of the working folder (`ghost_snapshot`), instructions of the program, and
  events that say again what the items say.

The `.json` files of the first versions are read too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from duckstore import errors
from duckstore.formats.codex_lines import Rollout, is_unmistakable
from duckstore.formats.documents import Breakage, elements, first_value, open_document
from duckstore.formats.folders import LONG_AGO, Silent, files_of, holds_any
from duckstore.formats.sample import Sample, Skipper, json_lines
from duckstore.formats.values import json_text, mapping, moment, sequence, text
from duckstore.transcript import Transcript

__all__ = ["ARE_JSON", "COMES_IN_PIECES", "NAME", "TITLE", "read", "recognizes"]

NAME = "codex"
TITLE = "Codex rollouts (~/.codex/sessions)"
ARE_JSON = True
"""Its items are as a JSON decoder gives them: they can be described before they are encoded."""
COMES_IN_PIECES = True
"""A fork may begin with what was left of the other session after a compaction."""

_LINES = frozenset(("session_meta", "response_item", "event_msg", "turn_context", "compacted"))
_NAME = re.compile(r"rollout-.*\.jsonl?(\.gz)?$")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def recognizes(sample: Sample) -> bool:
    """Whether the file has lines of a rollout, or the folder such a file."""
    if sample.is_folder:
        return holds_any(sample.path, _NAME.match, recognizes)
    if any(map(_is_line, sample.values)):
        return True
    if not _NAME.match(sample.path.name):
        return False
    first = sample.values[0] if sample.values else first_value(sample.head)
    return _is_old_meta(first) or _is_old_session(first)


def _is_line(value: Any) -> bool:
    kind = value.get("type") if isinstance(value, dict) and "payload" in value else None
    return isinstance(kind, str) and kind in _LINES


def _is_old_meta(value: Any) -> bool:
    """Whether it is the first line of a rollout before each line had an envelope."""
    return isinstance(value, dict) and {"id", "timestamp"} <= value.keys() and "type" not in value


def _is_old_session(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("session"), dict)


def read(path: Path, report: Skipper) -> Iterator[Transcript]:
    """Read a rollout, or those of a folder: of copies the one that was copied first.

    Args:
        path: The file or the folder.
        report: Told what was left out.

    Raises:
        ImportFileError: It cannot be read or holds no rollout.
    """
    paths = [path]
    origins: dict[str, str] = {}
    if path.is_dir():
        files = files_of(path, _NAME.match, recognizes)
        beginnings = sorted(map(_beginning, files), key=lambda one: (one.began_at, one.path))
        origins = _origins(beginnings)
        paths = [beginning.path for beginning in beginnings]
    is_found = False
    done = 0
    for file in paths:
        transcript = _read_file(file, origins, done, report)
        done += file.stat().st_size
        if transcript is not None:
            is_found = True
            yield transcript
    if not is_found:
        raise errors.ImportFileError(
            f"{path} holds no rollout of Codex with items. Give a file of ~/.codex/sessions, or "
            "the folder"
        )


# Copies -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Beginning:
    """What tells whether a rollout begins with a copy of another."""

    path: Path
    rollout_id: str
    forked_from: str | None
    began_at: datetime
    fingerprint: bytes | None
    """Of all items up to the first that no other conversation has."""


def _beginning(path: Path) -> _Beginning:
    rollout = Rollout(Silent())
    digest = hashlib.sha256()
    fingerprint = None
    for _, line, _ in _lines(path, Silent()):
        before = len(rollout.weaver.items)
        rollout.take(line, "")
        for item in rollout.weaver.items[before:]:
            digest.update(json_text(item).encode(errors="surrogatepass"))
            if is_unmistakable(item):
                fingerprint = digest.digest()
        if fingerprint is not None:
            break
    meta = rollout.metas[0] if rollout.metas else {}
    return _Beginning(
        path,
        _id_of(meta, path),
        text(meta.get("forked_from_id")),
        moment(meta.get("timestamp")) or LONG_AGO,
        fingerprint,
    )


def _origins(beginnings: list[_Beginning]) -> dict[str, str]:
    """Of each rollout that is a copy, the one that it copies; they are given in their order."""
    origins: dict[str, str] = {}
    first: dict[bytes, str] = {}
    for found in beginnings:
        if found.forked_from is not None:
            origins[found.rollout_id] = found.forked_from
        if found.fingerprint is not None:
            same = first.setdefault(found.fingerprint, found.rollout_id)
            if same != found.rollout_id:
                origins.setdefault(found.rollout_id, same)
    return origins


# One rollout --------------------------------------------------------------------------------------


def _lines(path: Path, report: Skipper) -> Iterator[tuple[int, Any, int]]:
    """The lines of a rollout; of a `.json` file of the first versions, what would be its lines."""
    if not path.name.removesuffix(".gz").endswith(".json"):
        yield from json_lines(path, report)
        return
    with open_document(path) as (stream, raw):
        try:
            for value in elements(stream):
                items = sequence(mapping(value).get("items"))
                rest = [mapping(mapping(value).get("session")), *items]
                yield from ((number, line, raw.tell()) for number, line in enumerate(rest))
        except Breakage as error:
            report.skip("the whole file", str(error))


def _read_file(
    path: Path, origins: dict[str, str], done_before: int, report: Skipper
) -> Transcript | None:
    rollout = Rollout(report)
    for number, line, done in _lines(path, report):
        rollout.take(line, f"{path.name}, line {number}")
        report.advance(done_before + done)
    rollout.close()
    weaver = rollout.weaver
    if not weaver.items:
        return None
    meta = rollout.metas[0] if rollout.metas else {}
    own_id = _id_of(meta, path)
    copied = {
        found["id"]: found["forked_from_id"]
        for found in rollout.metas
        if text(found.get("id")) and text(found.get("forked_from_id"))
    }
    return weaver.transcript(
        _root(own_id, {**origins, **copied}),
        last_index=weaver.tip if weaver.tip >= 0 else None,
        title=rollout.title,
        metadata=_metadata(meta, own_id, path),
        source=NAME,
        session_created_at=moment(meta.get("timestamp")),
        place=path.name,
    )


def _id_of(meta: dict[str, Any], path: Path) -> str:
    named = _ID.findall(path.name) and _ID.search(path.name)
    return text(meta.get("id")) or (named[0] if named else path.name.partition(".")[0])


def _root(rollout_id: str, origins: dict[str, str]) -> str:
    """The session that the copying began with."""
    seen = set()
    while rollout_id in origins and rollout_id not in seen:
        seen.add(rollout_id)
        rollout_id = origins[rollout_id]
    return rollout_id


def _metadata(meta: dict[str, Any], own_id: str, path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = {"rollout_id": own_id, "file": path.name}
    for name in ("cwd", "originator", "cli_version", "model_provider", "forked_from_id"):
        facts[name] = text(meta.get(name))
    git = mapping(meta.get("git"))
    facts["git"] = {name: fact for name, fact in git.items() if isinstance(fact, str)}
    facts["source"] = meta.get("source")
    return {name: fact for name, fact in facts.items() if fact}
