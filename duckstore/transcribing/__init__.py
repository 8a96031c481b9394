"""Conversations in the forms of others, so that nobody is locked in.

`reading` gives each session whole; `json_lines`, `chat` and `sqlite_session` write it.
"""

from __future__ import annotations

from duckstore.transcribing.chat import export_chat
from duckstore.transcribing.files import TranscribeReport
from duckstore.transcribing.json_lines import export_jsonl
from duckstore.transcribing.sqlite_session import export_sqlite_session

__all__ = ["TranscribeReport", "export_chat", "export_jsonl", "export_sqlite_session"]
