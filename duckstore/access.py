"""How a process gets at a store: as its owner, or through the process that owns it.

Whoever comes first becomes the owner; the others are its clients, and when it goes, one of them
takes its place. Everything above this module asks an `Access` and does not know which it is. A
request that found its owner gone is made again, to the next one or to ourselves, with the number
that it had: it is done once.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from duckstore import errors
from duckstore.check import Finding
from duckstore.client import Disconnected, Lane
from duckstore.command import Command
from duckstore.committer import Ticket
from duckstore.database import MEMORY
from duckstore.engine import Engine
from duckstore.frames import frame, statement_of
from duckstore.lookback import texts_elsewhere
from duckstore.observer import RunObserver
from duckstore.owner import Owner, make_engine
from duckstore.ownership import file_inode, find_post
from duckstore.pricing import ListPrices, asks_for_prices, set_prices
from duckstore.reader import Reader
from duckstore.reporting import Reporter
from duckstore.rows import Rows, fetch
from duckstore.service import TASKS, Tail, tail
from duckstore.sessions import Texts
from duckstore.settings import Settings
from duckstore.spool import Spool
from duckstore.streams import fill_spool

if TYPE_CHECKING:
    import asyncio

    import polars

__all__ = ["Access"]

_T = TypeVar("_T")

TRY_SECONDS = 0.005
"""How long to wait before looking again for a new owner."""
SPOOL_SECONDS = 2.0
"""How long the end of work for an answer that is read in batches is waited for at closing."""
FORKED_SECONDS = 3.0
"""How long a forked child, which cannot be the owner, waits for another process to become it."""


class Access:
    """One process's way to a store. Thread-safe."""

    def __init__(self, path: str, settings: Settings) -> None:
        """Find the store's owner, or become it.

        Raises:
            StoreError: The store cannot be opened; see `duckstore.errors`.
        """
        self.path = path
        self.settings = settings
        self.observer = RunObserver()
        self.reporter = Reporter(self.observer, self.run)
        self.change_count = 0
        """How many changes were made through it."""
        self.changed_at = 0.0
        """When the last of them was, by the monotonic clock."""
        self._is_closed = False
        self._own_engine: Engine | None = None
        self._list_prices = ListPrices()
        self._reset()
        if path == MEMORY:
            self._own_engine = make_engine(path, settings)
        elif settings.read_only:
            self._do(lambda engine: None, lambda lane: None)
        else:
            with self._lane() as lane:
                self._reach(lane)

    def _reset(self) -> None:
        """What a forked child begins anew with."""
        self._lock = threading.Lock()
        self._idle: list[Lane] = []
        self._spools: weakref.WeakSet[Spool] = weakref.WeakSet()
        self._owner: Owner | None = None
        self._reader = Reader(self.path, self.settings) if self.settings.read_only else None

    @property
    def keep_popped(self) -> bool:
        """Whether popped items stay stored."""
        return self.settings.keep_popped

    @property
    def is_durable(self) -> bool:
        """Whether a change is acknowledged only when it is on disk."""
        return self.settings.durability == "full"

    @property
    def is_owner(self) -> bool:
        """Whether this process has the file open, to write."""
        return self._local() is not None

    @property
    def is_usable(self) -> bool:
        """Whether it was not closed."""
        return not self._is_closed

    @property
    def is_current(self) -> bool:
        """Whether its file is still the one at its path."""
        engine = self._local()
        return engine is None or engine.inode == file_inode(self.path)

    @property
    def engine(self) -> Engine:
        """The engine, in the process that owns the store.

        Raises:
            StoreError: This process does not own it.
        """
        self.check_usable()
        engine = self._local()
        if engine is None:
            raise errors.StoreError(f"{self.path} is open in another process")
        return engine

    def _local(self) -> Engine | None:
        engine = self._own_engine
        return engine if engine is not None and engine.is_usable else None

    def check_usable(self) -> None:
        """Raise ClosedError after `close`."""
        if self._is_closed:
            raise errors.ClosedError(f"the store {self.path} is closed: open it again")

    # Finding the owner -----------------------------------------------------------------------

    def _reach(self, lane: Lane) -> None:
        """Connect the lane to the owner, or become the owner.

        Raises:
            StoreBusyError: Neither was possible in time.
            StoreError: The file cannot be opened.
        """
        start = time.monotonic()
        deadline = start + self.settings.timeout
        pause = TRY_SECONDS
        while True:
            self.check_usable()
            try:
                with self._lock:
                    if self.is_owner or self._become_owner():
                        return
            except errors.ForkedError:
                if time.monotonic() > start + FORKED_SECONDS:
                    raise
            post = find_post(self.path)
            if post is not None and post.address is None:
                raise errors.StoreLockedError(
                    f"{self.path} is held open by process {post.process_id}, which opened it with "
                    "exclusive=True: close it there, or use another file"
                )
            if post is not None and self.settings.exclusive:
                raise errors.StoreLockedError(
                    f"{self.path} is held open by process {post.process_id}, which shares it: "
                    "close it there, or open it without exclusive=True"
                )
            if post is not None:
                with suppress(Disconnected):
                    lane.connect(post)
                    return
            if time.monotonic() > deadline:
                raise errors.StoreBusyError(
                    f"{self.path} is held by "
                    f"{f'process {post.process_id}' if post else 'a process'} that could not be "
                    f"reached for {self.settings.timeout:g} s: end it, or wait and try again"
                )
            time.sleep(pause)
            pause = min(pause * 1.5, 0.1)

    def _become_owner(self) -> bool:
        """Take the file and serve it, unless it is only to be read or another process has it."""
        if self.settings.read_only:
            return False
        self._owner = Owner.take(self.path, self.settings)
        self._own_engine = self._owner.engine if self._owner is not None else None
        return self._owner is not None

    @contextmanager
    def _lane(self) -> Iterator[Lane]:
        """A lane that nobody else uses meanwhile."""
        try:
            lane = self._idle.pop()
        except IndexError:
            lane = Lane(self.path, self.settings.timeout)
        try:
            yield lane
        finally:
            if self._is_closed or self.is_owner:
                lane.drop()
            else:
                self._idle.append(lane)

    def _do(self, here: Callable[[Engine], _T], there: Callable[[Lane], _T]) -> _T:
        """Do something as the owner, or have the owner do it."""
        self.check_usable()
        engine = self._local()
        if engine is not None:
            return here(engine)
        if self._own_engine is not None and self.path == MEMORY:
            self._own_engine.check_usable()
        while True:
            if self._reader is not None:
                with self._reader.engine() as engine:
                    if engine is not None:
                        return here(engine)
            with self._lane() as lane, suppress(Disconnected):
                return self._ask(lane, here, there)

    def _ask(self, lane: Lane, here: Callable[[Engine], _T], there: Callable[[Lane], _T]) -> _T:
        """Ask the owner, and the next one if it is gone; a reader asks the file itself then."""
        while True:
            if not lane.is_connected:
                self._reach(lane)
            engine = self._local()
            if engine is not None:
                return here(engine)
            try:
                return there(lane)
            except Disconnected:
                if self._reader is not None:
                    raise

    # What can be done ------------------------------------------------------------------------

    def run(self, command: Command) -> Any:
        """Do a change and wait until it is acknowledged; returns the operation's answer."""
        self.check_writable()
        self._note_change()
        engine = self._local()
        if engine is not None:
            return engine.run(command)
        if self._own_engine is not None and self.path == MEMORY:
            self._own_engine.check_usable()
        with self._lane() as lane:
            lane.number(command)
            return self._ask(lane, lambda own: own.run(command), lambda line: line.run(command))

    def begin(
        self, command: Command, loop: asyncio.AbstractEventLoop
    ) -> asyncio.Future[None] | None:
        """Begin a change and return what tells when it is acknowledged; None as a client."""
        self.check_writable()
        self._note_change()
        engine = self._local()
        return engine.submit(command, loop).future if engine is not None else None

    def submit(self, command: Command) -> Ticket | None:
        """Begin a change that is waited for later, with `answer`; None as a client."""
        self.check_writable()
        self._note_change()
        engine = self._local()
        return engine.submit(command) if engine is not None else None

    def answer(self, ticket: Ticket) -> Any:
        """Wait for a change that was begun with `submit`; returns the operation's answer."""
        ticket.wait()
        return self.engine.answer(ticket.command)

    def _note_change(self) -> None:
        self.change_count += 1
        self.changed_at = time.monotonic()

    def check_writable(self) -> None:
        """Raise ClosedError after `close`, StoreReadOnlyError where nothing may be written."""
        self.check_usable()
        if self.settings.read_only:
            raise errors.StoreReadOnlyError(
                f"{self.path} was opened with read_only=True and cannot be changed: open it without"
            )

    def texts_now(self, session_id: str, limit: int | None) -> Texts | None:
        """The latest raw items of a session's path, if nothing has to be waited for."""
        self.check_usable()
        engine = self._local()
        return engine.texts_now(session_id, limit) if engine is not None else None

    def texts(
        self, session_id: str, limit: int | None, where: Mapping[str, Any] | None = None
    ) -> Texts:
        """The latest raw items of a session's path, in order, or of another path of it.

        Raises:
            ArgumentError: There is no such path; see `duckstore.lookback`.
        """
        if where is None:
            return self._do(
                lambda engine: engine.texts(session_id, limit),
                lambda lane: lane.texts(session_id, limit, None),
            )
        return self._do(
            lambda engine: texts_elsewhere(engine, session_id, limit, where),
            lambda lane: lane.texts(session_id, limit, where),
        )

    def tail(self, session_id: str, limit: int | None) -> Tail:
        """The latest items of a session's path, with their ids."""
        return self._do(
            lambda engine: tail(engine, session_id, limit),
            lambda lane: lane.tail(session_id, limit),
        )

    def rows(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, is_foreign: bool = False
    ) -> Rows:
        """Run one reading statement for plain rows.

        Args:
            sql: The statement.
            parameters: Values to bind.
            is_foreign: Whether a user wrote it, so that it may do more than read.

        Raises:
            SQLError: DuckDB refuses it, or it does more than read.
        """
        if is_foreign:
            statement_of(sql)
        self.reporter.flush()
        self._price(sql)
        return self._do(
            lambda engine: fetch(engine, sql, parameters),
            lambda lane: lane.rows(sql, parameters, is_foreign=is_foreign),
        )

    def frame(self, sql: str, parameters: Mapping[str, Any] | None = None) -> polars.DataFrame:
        """Run one reading statement for a data frame.

        Raises:
            SQLError, MissingPackageError: As `Store.sql`.
        """
        self.reporter.flush()
        self._price(sql)
        return self._do(
            lambda engine: frame(engine, sql, parameters),
            lambda lane: lane.frame(sql, parameters),
        )

    def put_aside(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Spool:
        """Run one reading statement whose answer is put aside, to be read in batches.

        The file lies beside the store's, as DuckDB's own temporary files do, where one can be made.
        """
        self.check_usable()
        self.reporter.flush()
        self._price(sql)

        def fill(spool: Spool) -> None:
            self._do(
                lambda engine: fill_spool(engine, sql, parameters, spool),
                lambda lane: lane.put_aside(sql, parameters, spool),
            )

        folder = None if self.path == MEMORY else os.path.dirname(self.path)
        spool = Spool(fill, folder if folder and os.access(folder, os.W_OK) else None)
        self._spools.add(spool)
        return spool

    def path_to(self, session_id: str, where: Mapping[str, Any] | None) -> dict[str, Any]:
        """The items of the path that leads to a place; see `duckstore.lookback`."""
        path: dict[str, Any] = self._task("path_to", session_id, where)
        return path

    def sides_of(self, session_id: str, one: str | int, other: str | int) -> dict[str, Any]:
        """What two branches have in common, and not; see `duckstore.lookback`."""
        sides: dict[str, Any] = self._task("sides_of", session_id, one, other)
        return sides

    def check(self) -> list[Finding]:
        """Verify every rule of the store."""
        return [Finding(*found) for found in self._task("check")]

    def write_parquet(self, jobs: Sequence[tuple[str, str]]) -> list[int]:
        """Write the rows of statements into Parquet files; see `duckstore.export`."""
        counts: list[int] = self._task("write_parquet", jobs)
        return counts

    def adopt(self, job: Mapping[str, Any]) -> int:
        """Write whole sessions with their rows; see `duckstore.adoption`."""
        self.check_writable()
        self._note_change()
        moved: int = self._task("adopt", job)
        return moved

    def store_id(self) -> str:
        """Tells the store from every other."""
        return str(self.rows("select value from store_meta where key = 'store_id'").rows[0][0])

    def refresh_prices(self) -> None:
        """Have the prices in the store that can be had."""
        self._price("prices")

    def backup(self, path: str) -> None:
        """Write a copy of the store."""
        self._task("backup", path)

    def compact(self) -> tuple[int, int]:
        """Write the file anew; returns its size before and after."""
        before, after = self._task("compact")
        return before, after

    def set_prices(self, source: Any) -> int:
        """Put the user's own prices in the place of those there are; see `duckstore.pricing`."""
        self.check_writable()
        return set_prices(self, source)

    def update_prices(self) -> list[str]:
        """Look up every model in the price list; returns those without any price."""
        self.check_writable()
        return self._list_prices.update(self)

    def write_prices(
        self, source: str, models: Sequence[str] | None, rows: Sequence[Sequence[Any]]
    ) -> None:
        """Put prices in the place of others."""
        self._task("write_prices", source, models, rows)

    def install_queries(self, packed: Sequence[Mapping[str, Any]]) -> None:
        """Make a macro of each query; see `duckstore.macros`."""
        self._task("install_queries", packed)

    def _price(self, sql: str) -> None:
        """Have the prices in the store that a statement needs, where they can be had."""
        if asks_for_prices(sql) and not self.settings.read_only:
            self._list_prices.refresh(self)

    def _task(self, name: str, *arguments: Any) -> Any:
        self.reporter.flush()
        return self._do(
            lambda engine: TASKS[name](engine, *arguments),
            lambda lane: lane.task(name, *arguments),
        )

    # Life ------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of the store: another process takes over what is left to do."""
        if not self._is_closed:
            self.reporter.close()
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        for spool in list(self._spools):
            spool.stop(errors.ClosedError(f"the store {self.path} is closed: open it again"))
            spool.join(SPOOL_SECONDS)
        while self._idle:
            self._idle.pop().drop()
        if self._reader is not None:
            self._reader.close()
        if self._owner is not None:
            self._owner.close()
        elif self._own_engine is not None:
            self._own_engine.close()

    def after_fork(self) -> None:
        """Begin anew in a forked child, as a client of the parent."""
        self.reporter.after_fork()
        for lane in self._idle:
            lane.drop()
        if self._reader is not None:
            self._reader.abandon()
        if self._owner is not None:
            self._owner.abandon()
            self._own_engine = None
        self._reset()
