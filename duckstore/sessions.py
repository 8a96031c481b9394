"""Sessions as the owner of a store has them in memory, brought up to date when they are used.

A command that was acknowledged lies with its session until somebody reads that session, or until
it is its turn to be folded: then it is applied. A session that is not in memory is read back from
the file, which has everything that was folded; what was not is still lying with it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import duckdb

from duckstore import errors
from duckstore.command import Command
from duckstore.encoding import is_exact
from duckstore.memory import Memory, Slot
from duckstore.operations import apply, needs_file
from duckstore.restore import load_state, load_texts
from duckstore.session_index import Place, SessionIndex
from duckstore.stored import StoredSessions
from duckstore.storefile import StoreFile
from duckstore.tree import SessionState

__all__ = ["Sessions", "Texts"]

INDEX_AFTER = 3
"""How many sessions are read back before the index of all is made."""
MOST_AT_ONCE = 100
"""Items that are read without a thread of their own."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Raw items of a path, in order."""

    raws: list[str]
    is_exact: bool
    """Whether every number in them survives orjson."""
    course: int = 0
    """The latest move by which the conversation took another course; see `duckstore.tree`."""


class Sessions:
    """All sessions of a store. Thread-safe; each session is locked for itself."""

    def __init__(self, file: StoreFile, cache_bytes: int) -> None:
        self._file = file
        self.memory = Memory(cache_bytes)
        self.index = SessionIndex()
        self._loads = 0
        self.on_index_wanted: Callable[[], None] = lambda: None
        """Called when so many sessions were read back that an index is worth its while."""
        self._index_lock = threading.Lock()

    # Reading ---------------------------------------------------------------------------------

    def texts_now(self, session_id: str, limit: int | None) -> Texts | None:
        """The latest raw items of a path, if they can be had without waiting for anything."""
        slot = self.memory.get(session_id)
        if slot is None or slot.is_gone or not slot.lock.acquire(blocking=False):
            return None
        try:
            if slot.is_gone or (slot.state is None and slot.texts is None):
                return None
            new = sum(len(command.raws) for command in slot.pending)
            if new > MOST_AT_ONCE or (slot.pending and slot.state is None):
                return None
            if slot.state is not None and self.settle(slot) is not None:
                return None
            found = _latest(slot, limit)
            return found if len(found.raws) <= MOST_AT_ONCE else None
        finally:
            slot.lock.release()

    def texts(self, session_id: str, limit: int | None) -> Texts | Command:
        """The latest raw items of a path; or the command that must be folded before."""
        with self.memory.held(session_id) as slot:
            if slot.state is None and slot.texts is None:
                self._load_texts(slot)
            if slot.pending and slot.state is None and _only_adds(slot):
                # An append needs no more than its place at the end to be read.
                held = slot.texts or []
                new = [raw for command in slot.pending for raw in command.raws]
                raws = held[max(len(held) + len(new) - _most(limit), 0) :] + new
                raws = raws[max(len(raws) - _most(limit), 0) :]
                return Texts(raws, slot.is_exact and all(map(is_exact, new)))
            blocking = self.settle(slot) if slot.pending else None
            return blocking or _latest(slot, limit)

    @contextmanager
    def state(self, session_id: str) -> Iterator[SessionState | Command]:
        """The session's state while nothing else changes it; or what must be folded before."""
        with self.memory.held(session_id) as slot:
            blocking = self.settle(slot)
            if blocking is not None:
                yield blocking
            else:
                assert slot.state is not None  # noqa: S101
                yield slot.state

    def is_in_memory(self, session_id: str) -> bool:
        """Whether the session's state need not be read from the file."""
        slot = self.memory.get(session_id)
        return slot is not None and slot.state is not None

    # Applying --------------------------------------------------------------------------------

    def settle(self, slot: Slot) -> Command | None:
        """Apply what lies with a session, whose lock is held.

        Returns:
            The command at which it stopped, because the file must be folded up to it first.
        """
        if slot.state is None:
            self._load_state(slot)
        while slot.pending:
            assert slot.state is not None  # noqa: S101
            if needs_file(slot.pending[0], slot.state):
                return slot.pending[0]
            self._apply(slot, _NO_FILE)
        self.memory.count(slot)
        return None

    def settle_until(self, slot: Slot, command: Command, stored: StoredSessions) -> None:
        """Apply one command, and what lies before it. The file has all earlier ones by `stored`."""
        if slot.state is None:
            self._load_state(slot)
        while not command.is_applied:
            self._apply(slot, stored)
        self.memory.count(slot)

    def _apply(self, slot: Slot, stored: StoredSessions) -> None:
        state, command = slot.state, slot.pending[0]
        assert state is not None  # noqa: S101
        if slot.failure is not None:
            raise slot.failure
        try:
            apply(command, state, stored)
        except BaseException as error:
            # The state may be half changed. The journal has the command, and keeps it.
            slot.failure = errors.StoreError(
                f"session {slot.session_id!r} cannot be brought up to date: {error!r}. Close the "
                "store and open it again; what was acknowledged is in its journal"
            )
            slot.failure.__cause__ = error
            raise slot.failure from error
        slot.pending.popleft()

    # Loading ---------------------------------------------------------------------------------

    def _load_texts(self, slot: Slot) -> None:
        """Read the path alone, where that is enough."""
        place = self._place(slot.session_id)
        if place is None or not place.is_plain:
            self._load_state(slot)
            return
        with self._damage(slot.session_id):
            slot.texts = self._file.ask(partial(load_texts, place=place))
        slot.is_exact = is_exact("".join(slot.texts))
        self.memory.count(slot)

    def _load_state(self, slot: Slot) -> None:
        place = self._place(slot.session_id)
        state = None
        if place is not None or not self.index.is_built:
            with self._damage(slot.session_id):
                state = self._file.ask(partial(load_state, session_id=slot.session_id, place=place))
        slot.state, slot.texts = state or SessionState.new(slot.session_id), None
        self.memory.count(slot)

    def _place(self, session_id: str) -> Place | None:
        with self._index_lock:
            if self.index.is_built:
                return self.index.find(session_id)
            self._loads += 1
            is_wanted = self._loads == INDEX_AFTER
        if is_wanted:
            self.on_index_wanted()
        return None

    @property
    def wants_index(self) -> bool:
        """Whether so many sessions were read back that an index is worth its while."""
        return not self.index.is_built and self._loads >= INDEX_AFTER

    def build_index(self) -> None:
        """Make the index of all sessions. Nothing may be folded meanwhile."""
        fresh = SessionIndex()
        self._file.ask(fresh.build)
        with self._index_lock:
            self.index = fresh

    def folded(self, commands: list[tuple[Command, Slot]]) -> None:
        """Say that the file has these commands now."""
        with self._index_lock:
            for command, slot in commands:
                state = slot.state
                if state is None or not state.is_stored:
                    self.index.note(slot.session_id, None)
                else:
                    last = command.first_id + command.id_count
                    place = Place(state.session_key, last, state.is_plain)
                    self.index.note(slot.session_id, place)
        self.memory.folded(slot for _, slot in commands)

    def placed(self, places: Mapping[str, Place | None]) -> None:
        """Say of sessions that were written by other means where they lie; None where they went."""
        with self._index_lock:
            for session_id, place in places.items():
                self.index.note(session_id, place)
        for session_id in places:
            self.memory.forget(session_id)

    def reopened(self) -> None:
        """Say that the file was opened anew: what it has may not be what memory holds."""
        with self._index_lock:
            self.index = SessionIndex()
        self.memory.forget_all()

    @contextmanager
    def _damage(self, session_id: str) -> Iterator[None]:
        """Say of a session that cannot be read what that means."""
        try:
            yield
        except (duckdb.Error, KeyError) as error:
            raise errors.DamagedStoreError(
                f"session {session_id!r} cannot be read from {self._file.path}: "
                f"{type(error).__name__}: {error}. Run `duckstore check` on a copy of the file"
            ) from error


_NO_FILE = StoredSessions(None)
"""For commands that ask the file nothing."""


def _only_adds(slot: Slot) -> bool:
    return all(command.operation == "add" for command in slot.pending)


def _most(limit: int | None) -> int:
    return 1 << 62 if limit is None or limit < 0 else limit


def _latest(slot: Slot, limit: int | None) -> Texts:
    if slot.state is None:
        texts = slot.texts or []
        return Texts(texts[max(len(texts) - _most(limit), 0) :], slot.is_exact)
    path = slot.state.path
    raws = [entry.raw for entry in path[max(len(path) - _most(limit), 0) :]]
    return Texts(raws, path.is_exact, slot.state.course)
