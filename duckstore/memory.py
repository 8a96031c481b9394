"""The sessions that are kept in memory: their current path as raw JSON text, and their state.

Each has a lock of its own. A session whose changes are not folded yet stays, since the file does
not know them; of the others, those not used for longest go when there are more bytes than the
bound. A session that was only read is held as texts alone; its state is read when it changes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from duckstore.command import Command
from duckstore.tree import SessionState

__all__ = ["Memory", "Slot"]

PER_SESSION = 1000
"""Bytes that an empty session takes."""
PER_ITEM = 60
"""Bytes that an item's text takes beside its characters."""


@dataclass(slots=True, eq=False)
class Slot:
    """One session in memory. Whoever reads or changes it holds its lock."""

    session_id: str
    lock: threading.RLock = field(default_factory=threading.RLock)
    state: SessionState | None = None
    texts: list[str] | None = None
    """The raw items of the path, where the state is not in memory."""
    is_exact: bool = True
    """Whether orjson gives equal values for these texts."""
    pending: deque[Command] = field(default_factory=deque)
    """Acknowledged commands that were not applied yet, in order."""
    unfolded: int = 0
    """How many acknowledged commands the file does not have yet."""
    is_gone: bool = False
    """Whether another slot may stand for the session by now."""
    counted: int = 0
    failure: Exception | None = None
    """What keeps it from being used until the store is opened again."""

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        if self.state is not None:
            return PER_SESSION + self.state.path.byte_count
        texts = self.texts or ()
        return PER_SESSION + sum(map(len, texts)) + PER_ITEM * len(texts)


class Memory:
    """All slots, bounded in bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._slots: OrderedDict[str, Slot] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, session_id: str) -> Slot | None:
        """The session's slot, where it has one."""
        with self._lock:
            return self._slot(session_id) if session_id in self._slots else None

    @contextmanager
    def held(self, session_id: str) -> Iterator[Slot]:
        """The session's slot, made if need be, with its lock held."""
        while True:
            with self._lock:
                slot = self._slot(session_id)
            with slot.lock:
                if not slot.is_gone:
                    yield slot
                    return

    def enqueue(self, commands: Iterable[Command]) -> list[Slot]:
        """Put acknowledged commands where their sessions will find them."""
        slots = []
        with self._lock:
            for command in commands:
                slot = self._slot(command.session_id)
                slot.unfolded += 1
                slot.pending.append(command)
                slots.append(slot)
        return slots

    def _slot(self, session_id: str) -> Slot:
        slot = self._slots.get(session_id)
        if slot is None:
            slot = self._slots[session_id] = Slot(session_id)
        else:
            self._slots.move_to_end(session_id)
        return slot

    def folded(self, slots: Iterable[Slot]) -> None:
        """Say of each slot, once for every command, that the file has it."""
        with self._lock:
            for slot in slots:
                slot.unfolded -= 1

    def count(self, slot: Slot) -> None:
        """Count a slot anew and let others go, down to the bound. Its lock is held."""
        size = slot.size
        with self._lock:
            if not slot.is_gone:
                self._bytes += size - slot.counted
                slot.counted = size
            if self._bytes > self._most_bytes:
                self._trim(slot)

    def _trim(self, kept: Slot) -> None:
        for slot in list(self._slots.values()):
            if self._bytes <= self._most_bytes:
                return
            if slot is not kept and self._is_free(slot) and slot.lock.acquire(blocking=False):
                try:
                    self._drop(slot)
                finally:
                    slot.lock.release()

    @staticmethod
    def _is_free(slot: Slot) -> bool:
        return not slot.unfolded and not slot.pending

    def _drop(self, slot: Slot) -> None:
        slot.is_gone = True
        self._bytes -= slot.counted
        self._slots.pop(slot.session_id, None)

    def forget(self, session_id: str) -> None:
        """Let a session go, if the file has all of it."""
        slot = self.get(session_id)
        if slot is None:
            return
        with slot.lock, self._lock:
            if not slot.is_gone and self._is_free(slot):
                self._drop(slot)

    def forget_all(self) -> None:
        """Let every session go that the file has all of."""
        for session_id in list(self._slots):
            self.forget(session_id)
