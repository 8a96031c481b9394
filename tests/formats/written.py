"""A small file of each format."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents import SQLiteSession
from agents.extensions.memory import AdvancedSQLiteSession

from tests.formats import test_chat, test_chatgpt, test_claude_code, test_codex
from tests.formats.reading import write_lines
from tests.samples import assistant, run, user

CLAUDE_LINES: list[Any] = [
    test_claude_code.says("u", None, "Hi"),
    test_claude_code.answers(
        "a",
        "u",
        {"type": "thinking", "thinking": "Hm", "signature": "s"},
        test_claude_code.use("t1", command="ls"),
        response="m",
        usage={"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": 5},
    ),
    test_claude_code.answers("b", "a", test_claude_code.use("t2"), response="m"),
    test_claude_code.says("r1", "a", [test_claude_code.result("t1", "x")]),
    test_claude_code.says("r2", "b", [test_claude_code.result("t2", [{"type": "text"}])]),
    test_claude_code.line("system", "c", None, subtype="compact_boundary", logicalParentUuid="r2"),
    test_claude_code.says("s", "c", "So far", isCompactSummary=True),
    test_claude_code.says("x", None, "Do it", isSidechain=True, agentId="g"),
    {"type": "summary", "summary": "Files", "leafUuid": "b"},
]
CODEX_LINES: list[Any] = test_codex.stamped(
    [
        test_codex.meta(forked_from_id="0"),
        *test_codex.TURN,
        {"type": "compacted", "payload": {"message": "", "replacement_history": [{"type": "x"}]}},
        test_codex.event("thread_rolled_back", num_turns=1),
        test_codex.says("Other"),
    ]
)
CHAT_LINES: list[Any] = [
    {"id": "a", "messages": test_chat.MESSAGES, "metadata": {"k": 1}},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "t"}], "created": 1.5}]},
]


def jsonl(path: Path) -> None:
    write_lines(path, [{"session_id": "a", "items": [user("1"), assistant("2")], "meta": {}}])


def plain_items(path: Path) -> None:
    write_lines(path, [user("1"), assistant("2"), user("3")])


def chat(path: Path) -> None:
    write_lines(path, CHAT_LINES)


def chat_messages(path: Path) -> None:
    write_lines(path, test_chat.MESSAGES)


def chat_document(path: Path) -> None:
    path.write_text(json.dumps(CHAT_LINES, indent=1))


def chatgpt(path: Path) -> None:
    test_chatgpt.write(path, test_chatgpt.EDITED)


def chatgpt_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("conversations.json", json.dumps([test_chatgpt.EDITED]))


def claude_code(path: Path) -> None:
    write_lines(path, CLAUDE_LINES)


def codex(path: Path) -> None:
    write_lines(path, CODEX_LINES)


def codex_old(path: Path) -> None:
    meta = {"id": "x", "timestamp": "2025-08-01T10:00:00Z", "instructions": None}
    write_lines(path, [meta, *test_codex.ITEMS])


def codex_json(path: Path) -> None:
    session = {"id": "x", "timestamp": "2025-04-01T10:00:00Z"}
    path.write_text(json.dumps({"session": session, "items": test_codex.ITEMS}, indent=2))


def sqlite_session(path: Path) -> None:
    session = SQLiteSession("a", path)
    run(session.add_items([user("1"), assistant("2")]))
    session.close()


def advanced_session(path: Path) -> None:
    session = AdvancedSQLiteSession(session_id="a", db_path=path, create_tables=True)
    run(session.add_items([user("1"), assistant("2")]))
    session.close()


FILES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "a.jsonl": ("jsonl", jsonl),
    "items.jsonl": ("jsonl", plain_items),
    "b.jsonl": ("chat", chat),
    "messages.jsonl": ("chat", chat_messages),
    "messages.json": ("chat", chat_document),
    "conversations.json": ("chatgpt", chatgpt),
    "export.zip": ("chatgpt", chatgpt_zip),
    "4711.jsonl": ("claude-code", claude_code),
    "rollout-2025-10-01T12-00-00-1.jsonl": ("codex", codex),
    "rollout-2025-08-01T12-00-00-2.jsonl": ("codex", codex_old),
    "rollout-2025-04-01-3.json": ("codex", codex_json),
    "chat.db": ("sqlite-session", sqlite_session),
    "advanced.db": ("sqlite-session", advanced_session),
}
"""Names of files, the format that each is of, and what writes it."""
