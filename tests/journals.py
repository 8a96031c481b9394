"""Journals that the tests write and read back."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from duckstore.journal import Journal
from duckstore.recovery import read_journal

STORE = "01234567-89ab-cdef-0123-456789abcdef"

Frames = list[list[bytes]]

ascii_records = st.binary(max_size=700).map(lambda data: bytes(1 + byte % 127 for byte in data))
frames_of_records = st.lists(st.lists(ascii_records, min_size=1, max_size=4), max_size=5)
few = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def written(name: str, frames: Frames, first: int = 1) -> list[int]:
    """Make a journal of these frames. Returns where each begins, and where the last one ends."""
    journal = Journal.create(name, STORE, first, [])
    ends = [journal.end]
    for records in frames:
        journal.append(first, records, sync=True)
        first += len(records)
        ends.append(journal.end)
    journal.close()
    return ends


def read(name: str) -> list[tuple[int, bytes]]:
    contents = read_journal(name)
    assert contents.store_id in (None, STORE)
    return [(record.number, record.data) for record in contents.records]


def numbered(frames: Frames, first: int = 1) -> list[tuple[int, bytes]]:
    return list(enumerate((record for records in frames for record in records), start=first))
