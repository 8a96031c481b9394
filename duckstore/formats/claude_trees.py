"""The tree of Claude Code's lines, as the conversation went.

Three things in the parents that the lines name are no turns of the conversation, and are put
right here:

- A model's response is written as several lines, and each result of tools that ran side by side
  names the line of its call: the results would be forks. They are put one after the other behind
  the response.
- A compaction begins anew, without a parent: it follows what it compacted.
- A line whose parent is in no file follows the line before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from duckstore.formats.claude_lines import ClaudeLine
from duckstore.formats.sample import Skipper

__all__ = ["connect", "main_and_sides"]


def connect(
    files: Sequence[tuple[str, list[ClaudeLine]]], report: Skipper
) -> dict[str, ClaudeLine]:
    """The lines of all files by their keys, each with the parent that it has in the conversation.

    Args:
        files: Each file's name with its lines, the one that began first at the beginning. A line
            that an earlier file has too is not there again.
        report: Told of lines whose parent is missing.
    """
    lines = {line.node.key: line for _, found in files for line in found}
    for name, found in files:
        before: dict[bool, str] = {}
        for line in found:
            node = line.node
            earlier = before.get(line.is_side)
            parent = lines.get(node.parent) if node.parent is not None else None
            if parent is not None and line.is_side and not parent.is_side:
                node.parent = None  # a sub-agent's conversation is its own
            elif parent is None and earlier is not None and (node.parent or line.is_boundary):
                if node.parent is not None and not line.is_boundary:
                    report.skip(
                        f"{name}, line {node.key}",
                        f"taken, but {node.parent}, which it follows, is not there:"
                        " it follows the line before",
                    )
                node.parent = earlier
            elif parent is None:
                node.parent = None
            before[line.is_side] = node.key
    _pass_over_empty(lines)
    _line_up_results(lines)
    return lines


def _pass_over_empty(lines: dict[str, ClaudeLine]) -> None:
    """Let lines follow lines with items only, as far as those are to be found."""
    for line in lines.values():
        passed = set()
        parent = line.node.parent
        while parent is not None and not lines[parent].node.items and parent not in passed:
            passed.add(parent)
            parent = lines[parent].node.parent
        if parent not in passed:
            line.node.parent = parent
            # Whoever passes here too finds the way short.
            for key in passed:
                lines[key].node.parent = parent


def _line_up_results(lines: dict[str, ClaudeLine]) -> None:
    children: dict[str, list[ClaudeLine]] = {}
    responses: dict[str, list[ClaudeLine]] = {}
    for line in lines.values():
        if line.node.parent is not None and line.node.items:
            children.setdefault(line.node.parent, []).append(line)
        if line.node.response_key is not None and line.node.items:
            responses.setdefault(line.node.response_key, []).append(line)
    for response in responses.values():
        _line_up(response, children, lines)


def _line_up(
    response: list[ClaudeLine],
    children: dict[str, list[ClaudeLine]],
    lines: dict[str, ClaudeLine],
) -> None:
    """Put the results of one response one after the other behind it."""
    tail = response[-1].node.key
    on_path = _path_up(tail, response[0].node.key, lines)
    results: list[ClaudeLine] = []
    answered: set[str] = set()
    for member in response:
        for child in children.get(member.node.key, ()):
            is_new = child.answers and answered.isdisjoint(child.answers)
            if is_new and child.node.key not in on_path:
                results.append(child)
                answered.update(child.answers)
    if len(results) < 2 and all(result.node.parent == tail for result in results):
        return
    results.sort(key=lambda line: line.node.order)
    last = results[-1].node
    for before, result in zip([tail, *(one.node.key for one in results)], results, strict=False):
        result.node.parent = before
    for result in results[:-1]:
        for child in children.get(result.node.key, ()):
            if child.node.order > last.order:
                child.node.parent = last.key


def _path_up(key: str, top: str, lines: dict[str, ClaudeLine]) -> set[str]:
    path = set()
    found: str | None = key
    while found is not None and found not in path:
        path.add(found)
        if found == top:
            break
        found = lines[found].node.parent
    return path


def main_and_sides(lines: Iterable[ClaudeLine]) -> list[list[ClaudeLine]]:
    """The lines of the conversation itself, and those of each sub-agent's, in their order."""
    by_key = {line.node.key: line for line in lines}
    roots: dict[str, str] = {}
    groups: dict[str, list[ClaudeLine]] = {}
    for key, line in by_key.items():
        group = _root(key, by_key, roots) if line.is_side else ""
        groups.setdefault(group, []).append(line)
    return list(groups.values())


def _root(key: str, lines: dict[str, ClaudeLine], roots: dict[str, str]) -> str:
    """The first line of a sub-agent's conversation; of a circle, any one of it."""
    path = []
    while key not in roots:
        path.append(key)
        roots[key] = key
        parent = lines[key].node.parent
        if parent is None or not lines[parent].is_side:
            break
        key = parent
    for passed in path:
        roots[passed] = roots[key]
    return roots[key]
