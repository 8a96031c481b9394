"""Conversations from elsewhere into a store.

A reader of `duckstore.formats` gives transcripts; each becomes one command and is stored whole or
not at all. What the store has already is not stored again, so that importing can be repeated, also
after it was killed, and while another process does the same.
"""

from __future__ import annotations

from duckstore.importing.driver import import_file
from duckstore.importing.preparing import prepare
from duckstore.importing.report import FileReport, ImportReport, Skipped

__all__ = ["FileReport", "ImportReport", "Skipped", "import_file", "prepare"]
