"""Lines of a Claude Code transcript as nodes of a tree.

Every line of the conversation has a uuid and names the line before it. Lines that are no part of
what was said (progress, hooks, attachments, notes of the program) stand between them in the same
way and carry no items: what follows them follows the line before them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from duckstore.formats.anthropic_blocks import answer_items, input_items, usage_of
from duckstore.formats.trees import Node
from duckstore.formats.values import mapping, moment, text

__all__ = ["ClaudeLine", "Notes", "line_of"]

_SILENT = frozenset(
    (
        *("file-history-snapshot", "queue-operation", "last-prompt", "mode", "permission-mode"),
        *("agent-name", "agent-color", "agent-setting", "worktree-state", "pr-link"),
        *("attribution-snapshot", "speculation-accept", "content-replacement", "continued-in"),
        *("marble-origami-commit", "marble-origami-snapshot", "bridge-session"),
    )
)
"""Kinds of lines without a uuid that tell nothing of the conversation."""
SYNTHETIC = "<synthetic>"
"""The model of messages that the program itself put in the place of an answer."""


@dataclass(slots=True)
class ClaudeLine:
    """A line of the conversation."""

    node: Node
    is_side: bool
    """Whether a sub-agent said it, in a conversation of its own."""
    agent_id: str | None
    session_id: str | None
    answers: tuple[str, ...] = ()
    """The tool uses whose results it brings, where it brings nothing else."""
    is_boundary: bool = False
    """Whether it stands where the conversation was compacted."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What is told of the place where one worked."""


@dataclass(slots=True)
class Notes:
    """What lines beside the conversation tell of it."""

    custom_title: str | None = None
    ai_title: str | None = None
    summaries: list[tuple[str, str]] = field(default_factory=list)
    """Titles with the uuid of the last line of what they are a title of."""
    tags: list[str] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)
    """Kinds of lines that are unknown, each with its first place."""

    def take(self, line: dict[str, Any], place: str) -> None:
        """Take note of a line without a uuid."""
        kind = str(line.get("type"))
        if kind == "custom-title":
            self.custom_title = text(line.get("customTitle")) or self.custom_title
        elif kind == "ai-title":
            self.ai_title = text(line.get("aiTitle")) or self.ai_title
        elif kind == "summary":
            summary, leaf = text(line.get("summary")), text(line.get("leafUuid"))
            if summary and leaf:
                self.summaries.append((leaf, summary))
        elif kind == "tag":
            tag = text(line.get("tag"))
            if tag and tag not in self.tags:
                self.tags.append(tag)
        elif kind not in _SILENT:
            self.unknown.setdefault(kind, place)

    def title(self, uuids: set[str]) -> str | None:
        """The conversation's title: a person's before the program's, then the latest."""
        told = [summary for leaf, summary in self.summaries if leaf in uuids]
        return self.custom_title or self.ai_title or (told[-1] if told else None)


def line_of(line: dict[str, Any], key: str) -> ClaudeLine:
    """A line of the conversation as a node, with its parent as the line names it."""
    node = Node(
        key,
        text(line.get("parentUuid")) or text(line.get("logicalParentUuid")),
        created_at=moment(line.get("timestamp")),
        agent_name=text(line.get("agentName")),
    )
    message, kind = mapping(line.get("message")), line.get("type")
    is_summary = line.get("isCompactSummary") is True
    found = ClaudeLine(
        node,
        is_side=line.get("isSidechain") is True,
        agent_id=text(line.get("agentId")),
        session_id=text(line.get("sessionId")),
        is_boundary=is_summary or line.get("subtype") == "compact_boundary",
        facts={
            name: line[name] for name in ("cwd", "gitBranch", "version") if text(line.get(name))
        },
    )
    if kind == "user":
        # What the program says in the user's name is no question: it begins no run.
        is_users = not is_summary and line.get("isMeta") is not True
        node.items = input_items(message.get("content"), "user" if is_users else "developer")
        if all(item["type"] == "function_call_output" for item in node.items):
            found.answers = tuple(item["call_id"] for item in node.items)
    elif kind == "assistant":
        node.items = answer_items(message.get("content"))
        model = text(message.get("model"))
        if model != SYNTHETIC:
            node.response_key = text(message.get("id")) or text(line.get("requestId"))
            node.facts = {
                "usage": usage_of(message.get("usage")),
                "model": model,
                "provider_response_id": text(message.get("id")),
                "finish_reason": text(message.get("stop_reason")),
            }
    return found
