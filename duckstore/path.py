"""The current path of a session: its items from the start to where the conversation is now.

It grows at its end by one item and can be cut anywhere. A cut costs the same whatever it leaves,
so that a branch of a long conversation is opened as fast as one of a short.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import overload

from duckstore.batch import Entry
from duckstore.encoding import is_exact

__all__ = ["Path"]

PER_ENTRY = 400
"""Bytes that an entry takes beside the characters of its item."""
FEW = 64
"""So many entries are taken off one by one, with the open calls kept in step."""


class Path:
    """The entries of a path, in order."""

    __slots__ = ("_checked", "_entries", "_is_exact", "_open_calls", "dropped")

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._open_calls: defaultdict[str, list[int]] | None = None
        self._is_exact = True
        self._checked = 0
        self.dropped: list[list[Entry]] = []
        """Entries that were cut off. To free 25,000 takes 15 ms: whoever writes the change does it,
        and not who waits for it."""

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        return self._entries[index]

    @property
    def last(self) -> Entry | None:
        """The last entry; None where there is none."""
        return self._entries[-1] if self._entries else None

    @property
    def byte_count(self) -> int:
        """About how many bytes it takes."""
        return self._entries[-1].bytes_to_here if self._entries else 0

    @property
    def is_exact(self) -> bool:
        """Whether orjson gives equal values for the raw items. It may say no where it does.

        It is found out when somebody reads: who imports a million items does not.
        """
        unchecked = self._entries[self._checked :]
        self._is_exact = self._is_exact and all(is_exact(entry.raw) for entry in unchecked)
        self._checked = len(self._entries)
        return self._is_exact

    @property
    def open_calls(self) -> defaultdict[str, list[int]]:
        """Indexes of the unanswered calls, by pairing key."""
        if self._open_calls is None:
            self._open_calls = defaultdict(list)
            for index, entry in enumerate(self._entries):
                self._note(entry, index)
        return self._open_calls

    # Looking up ------------------------------------------------------------------------------

    def index_of(self, item_id: int) -> int | None:
        """Where an item stands; None where it does not. Ids grow along a path."""
        index = bisect_left(self._entries, item_id, key=lambda entry: entry.item_id)
        is_there = index < len(self._entries) and self._entries[index].item_id == item_id
        return index if is_there else None

    def last_before(self, item_id: int) -> Entry | None:
        """The last entry with a lower id; None where there is none."""
        index = bisect_left(self._entries, item_id, key=lambda entry: entry.item_id)
        return self._entries[index - 1] if index else None

    def first_of_turn(self, turn_number: int) -> int | None:
        """Where the first item of a run stands; None where none of it does."""
        entries = self._entries
        index = bisect_left(entries, turn_number, key=lambda entry: entry.turn_number)
        is_there = index < len(entries) and entries[index].turn_number == turn_number
        return index if is_there else None

    # Changing --------------------------------------------------------------------------------

    def push(self, entry: Entry) -> None:
        """Put an entry at the end."""
        entry.run_has_work = entry.works
        entry.bytes_to_here = len(entry.raw) + PER_ENTRY
        if self._entries:
            last = self._entries[-1]
            entry.bytes_to_here += last.bytes_to_here
            if last.run_has_work and last.turn_number == entry.turn_number:
                entry.run_has_work = True
        self._entries.append(entry)
        if self._open_calls is not None and entry.pairing_key is not None:
            self._note(entry, len(self._entries) - 1)

    def replace(self, entries: Iterable[Entry]) -> None:
        """Put other entries in the place of all."""
        self._entries, self._open_calls = [], None
        self._is_exact, self._checked = True, 0
        for entry in entries:
            self.push(entry)

    def cut(self, length: int) -> None:
        """Keep the first `length` entries."""
        self._checked = min(self._checked, length)
        if len(self._entries) - length > FEW:
            self.dropped.append(self._entries[length:])
            del self._entries[length:]
            self._open_calls = None  # made again when the next call or output comes
        while len(self._entries) > length:
            self._drop_last()

    def _drop_last(self) -> None:
        entry = self._entries.pop()
        if self._open_calls is None or entry.pairing_key is None:
            return
        calls = self._open_calls[entry.pairing_key]
        if entry.is_call and calls and calls[-1] == len(self._entries):
            calls.pop()
        elif entry.answers_item_id is not None:
            # A compaction can have taken the call off the path and left its output there.
            index = self.index_of(entry.answers_item_id)
            if index is not None:
                calls.append(index)
                calls.sort()

    def _note(self, entry: Entry, index: int) -> None:
        """Keep the open calls in step with an entry."""
        if entry.pairing_key is None or self._open_calls is None:
            return
        if entry.is_call:
            self._open_calls[entry.pairing_key].append(index)
        elif entry.answers_item_id is not None:
            calls = self._open_calls[entry.pairing_key]
            for place in range(len(calls) - 1, -1, -1):
                if self._entries[calls[place]].item_id == entry.answers_item_id:
                    del calls[place]
                    break
