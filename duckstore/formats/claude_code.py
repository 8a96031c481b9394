"""Claude Code transcripts: the `.jsonl` files of `~/.claude/projects`, one of them or a folder.

- The conversation is the tree of the lines' uuids: a question that was edited and an answer that
  was asked for again are branches. What the program said in the user's name (notes, summaries of
  compactions) is a developer's message and begins no run.
- A session that was resumed or forked may copy the lines before it into its own file, with their
  uuids. Files of a folder that share lines, or of which one goes on where another ends, are one
  conversation. Its id is the uuid of its first line, which every copy has: so a file that is
  imported later finds the conversation that it copies. The ids that Claude Code gave are in the
  metadata (`session_ids`).
- A sub-agent's lines (`isSidechain`) are a conversation of their own, with the id of theirs
  (`agent_id`) and of the session that called it in the metadata.
- Token usage counts once for each model call, however many lines it is written as, and includes
  what a cache held or was given, as the SDK counts.
- Lines that are not part of what was said (progress, hooks, attachments, snapshots of files, notes
  of the program) are passed over, and so is the second form of tool results, `toolUseResult`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from duckstore import errors
from duckstore.formats.claude_lines import ClaudeLine, Notes, line_of
from duckstore.formats.claude_trees import connect, main_and_sides
from duckstore.formats.folders import LONG_AGO, Silent, files_of, holds_any
from duckstore.formats.sample import Sample, Skipper, json_lines
from duckstore.formats.trees import arrange, weave
from duckstore.formats.values import mapping, moment, text
from duckstore.transcript import Transcript

__all__ = ["ARE_JSON", "NAME", "TITLE", "read", "recognizes"]

NAME = "claude-code"
TITLE = "Claude Code transcripts (~/.claude/projects)"
COMES_IN_PIECES = True
"""Files of one session need not have its beginning in common."""
ARE_JSON = True
"""Its items are as a JSON decoder gives them: they can be described before they are encoded."""

_NAME = re.compile(r".*\.jsonl(\.gz)?$")


def recognizes(sample: Sample) -> bool:
    """Whether the file has lines of Claude Code, or the folder such a file."""
    if sample.is_folder:
        return holds_any(sample.path, _NAME.match, recognizes)
    return any(map(_is_line, sample.values))


def _is_line(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    if value.get("type") == "summary":
        return "leafUuid" in value and "summary" in value
    if "sessionId" not in value:
        return False
    return "parentUuid" in value or value.get("type") in ("queue-operation", "last-prompt", "mode")


def read(path: Path, report: Skipper) -> Iterator[Transcript]:
    """Read a transcript, or those of a folder.

    Args:
        path: The file or the folder.
        report: Told what was left out.

    Raises:
        ImportFileError: It cannot be read or holds no transcript of Claude Code.
    """
    files = [path]
    if path.is_dir():
        files = list(files_of(path, _NAME.match, recognizes))
    is_found = False
    done = 0
    for family in _families(files) if len(files) > 1 else [files]:
        for transcript in _read_family(family, done, report):
            is_found = True
            yield transcript
        done += sum(member.stat().st_size for member in family)
    if not is_found:
        raise errors.ImportFileError(
            f"{path} holds no transcript of Claude Code. Give a .jsonl file of a folder in "
            "~/.claude/projects, or the folder"
        )


# Files that belong together -----------------------------------------------------------------------


def _families(files: Sequence[Path]) -> list[list[Path]]:
    """The files, those together that share lines or go on from each other's."""
    family = list(range(len(files)))

    def first(number: int) -> int:
        while family[number] != number:
            family[number] = family[family[number]]
            number = family[number]
        return number

    at: dict[str, int] = {}
    wanted: list[tuple[str, int]] = []
    spans: list[tuple[datetime, datetime, Path]] = []
    for number, path in enumerate(files):
        began, ended = None, LONG_AGO
        for _, line, _ in json_lines(path, Silent()):
            key = text(mapping(line).get("uuid"))
            if key is None:
                continue
            if told := moment(line.get("timestamp")):
                began, ended = began or told, told
            family[first(number)] = first(at.setdefault(key, number))
            parent = text(line.get("parentUuid")) or text(line.get("logicalParentUuid"))
            if parent is not None and at.get(parent) != number:
                wanted.append((parent, number))
        spans.append((began or LONG_AGO, ended, path))
    for parent, number in wanted:
        if parent in at:
            family[first(number)] = first(at[parent])
    families: dict[int, list[Path]] = {}
    for number in sorted(range(len(files)), key=spans.__getitem__):
        families.setdefault(first(number), []).append(files[number])
    return list(families.values())


def _read_family(files: Sequence[Path], done_before: int, report: Skipper) -> Iterator[Transcript]:
    """Read files that belong together: the conversation, and those of its sub-agents."""
    notes = Notes()
    read: list[tuple[str, list[ClaudeLine]]] = []
    seen: dict[str, ClaudeLine] = {}
    for path in files:
        before = f"{path.name}, " if len(files) > 1 else ""
        found: list[ClaudeLine] = []
        for number, value, done in json_lines(path, report):
            report.advance(done_before + done)
            line = _line(value, notes, f"{before}line {number}", report)
            if line is None:
                continue
            earlier = seen.setdefault(line.node.key, line)
            if earlier is line:
                found.append(line)
            elif earlier.node.items != line.node.items:
                report.skip(line.node.place, "a line with the same uuid says something else")
        done_before += path.stat().st_size
        read.append((path.name, found))
    for kind, place in notes.unknown.items():
        report.skip(place, f"lines of the unknown kind {kind!r}: this is the first of them")
    _number(read)
    lines = connect(read, report)
    for group in main_and_sides(lines.values()):
        transcript = _transcript(group, notes, [path.name for path in files], report)
        if transcript is not None:
            yield transcript


def _number(read: list[tuple[str, list[ClaudeLine]]]) -> None:
    """Number the lines in the order of their times; as they stand, where they tell none."""
    timed: list[tuple[datetime, ClaudeLine]] = []
    for _, found in read:
        latest = LONG_AGO
        for line in found:
            latest = line.node.created_at or latest
            timed.append((latest, line))
    for number, (_, line) in enumerate(sorted(timed, key=lambda one: one[0])):
        line.node.order = float(number)


def _line(value: Any, notes: Notes, place: str, report: Skipper) -> ClaudeLine | None:
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        report.skip(place, "it is no line of Claude Code: it has no type")
        return None
    is_said = value["type"] in ("user", "assistant")
    key = text(value.get("uuid"))
    if key is None and not is_said:
        notes.take(value, place)
        return None
    try:
        line = line_of(value, key or place)
    except RecursionError:
        report.skip(place, "it is nested too deeply")
        return None
    line.node.place = place
    if is_said and not line.node.items:
        report.skip(place, f"the {value['type']} says nothing that can be read")
    return line


# One conversation -------------------------------------------------------------------------------


def _transcript(
    lines: list[ClaudeLine], notes: Notes, names: list[str], report: Skipper
) -> Transcript | None:
    nodes = arrange(
        {line.node.key: line.node for line in lines},
        lambda node, why: report.skip(node.place, why),
    )
    weaver, last = weave(nodes)
    if not weaver.items:
        return None
    said = [line for line in lines if line.node.items]
    by_key = {line.node.key: line for line in said}
    root = by_key[next(node.key for node in nodes if node.items)]
    latest = max(said, key=lambda line: line.node.order)
    has_uuid = root.node.key != root.node.place
    return weaver.transcript(
        root.node.key if has_uuid else root.session_id or names[0].removesuffix(".jsonl"),
        last_index=last[latest.node.key],
        title=None if root.is_side else notes.title({line.node.key for line in lines}),
        tags=() if root.is_side else notes.tags,
        metadata=_metadata(said, root, names),
        source=NAME,
        session_created_at=root.node.created_at,
        place=root.node.place,
    )


def _metadata(said: list[ClaudeLine], root: ClaudeLine, names: list[str]) -> dict[str, Any]:
    session_ids = list(dict.fromkeys(line.session_id for line in said if line.session_id))
    facts: dict[str, Any] = {
        "cwd": root.facts.get("cwd"),
        "git_branch": root.facts.get("gitBranch"),
        "version": root.facts.get("version"),
        "files": names,
    }
    if root.is_side:
        facts["agent_id"] = root.agent_id
        facts["parent_session_id"] = root.session_id
    else:
        facts["session_ids"] = session_ids
    return {name: fact for name, fact in facts.items() if fact}
