"""JSON lines that tell all of a conversation: what `duckstore.formats.jsonl` reads.

The items go in as the texts that they are stored as, so that every value comes back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from duckstore.access import Access
from duckstore.transcribing.files import TranscribeReport, written_lines
from duckstore.transcribing.reading import Told, told_sessions

__all__ = ["export_jsonl"]


def export_jsonl(
    access: Access,
    path: Path,
    sessions: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TranscribeReport:
    """Write sessions as one line each; see `Store.export_jsonl`."""
    report = TranscribeReport(str(path))
    with written_lines(path) as file:
        for told in told_sessions(access, sessions, progress):
            file.write(_line(told, report))
            report.session_count += 1
            report.item_count += len(told.raws)
    return report


def _line(told: Told, report: TranscribeReport) -> str:
    row, path = told.attributes, told.path
    if not told.is_chain(path):
        report.left_out["that a compaction took the beginning away"] += 1
    values = {
        "title": row["title"],
        "user_id": row["user_id"],
        "tags": row["tags"],
        "meta": json.loads(row["metadata"]),
        "source": row["source"],
        "session_created_at": row["created_at"],
        "parents": told.parents,
        "created_at": told.created_at,
        "agent_names": told.agent_names,
        "responses": told.responses,
        "branches": {name: own[-1] for name, own in told.paths.items() if own},
        "last_index": path[-1] if path else None,
    }
    kept = {name: value for name, value in values.items() if value not in (None, [], {})}
    if all(name is None for name in told.agent_names):
        kept.pop("agent_names", None)
    if list(told.parents) == list(range(-1, len(told.parents) - 1)):
        kept.pop("parents", None)
    if len(told.paths) < 2 and told.current == "main":
        kept.pop("branches", None)
    head = json.dumps({"session_id": row["session_id"]})[:-1]
    rest = json.dumps(kept)[1:]
    return f'{head}, "items": [{", ".join(told.raws)}], {rest}\n'
