"""`Store`: a file of sessions, and everything that can be asked of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from duckstore import errors, merging
from duckstore.access import Access
from duckstore.asking import Asking
from duckstore.catalogue import columns_of
from duckstore.check import Finding
from duckstore.conversation import Conversation
from duckstore.exporting.mirror import Mirror
from duckstore.exporting.verifying import verify_export
from duckstore.exporting.writing import ExportReport, export_parquet, wish_of
from duckstore.hooks import make_hooks
from duckstore.importing import ImportReport, import_file
from duckstore.listing import SessionInfo, list_sessions, update_session
from duckstore.macros import macro_of
from duckstore.registry import acquire, release
from duckstore.results import context_of
from duckstore.session import DuckDBSession
from duckstore.settings import Settings
from duckstore.tracing import listen
from duckstore.transcribing import (
    TranscribeReport,
    export_chat,
    export_jsonl,
    export_sqlite_session,
)

if TYPE_CHECKING:
    import polars
    from agents import RunHooks
    from agents.memory import SessionSettings

    from duckstore.rows import Rows
    from duckstore.spool import Spool

__all__ = ["Store", "open_store"]


def open_store(
    path: str | PathLike[str] = ":memory:",
    *,
    keep_popped: bool = True,
    memory_limit: str = "2GB",
    threads: int = 2,
    cache_bytes: int = 64 * 1024 * 1024,
    durability: Literal["full", "relaxed"] = "full",
    exclusive: bool = False,
    read_only: bool = False,
    timeout: float = 30.0,
    queries: str | PathLike[str] | None = None,
    mirror: str | PathLike[str] | None = None,
) -> Store:
    """Open the store at `path`, or make it. Available as `duckstore.open`.

    Any number of processes of one user may do so at a time. The first has the file and serves the
    others; when it goes, one of them takes over. `memory_limit`, `threads` and `cache_bytes` are
    those of the process that has the file.

    Args:
        path: The DuckDB file. `:memory:` makes a store that ends with this object.
        keep_popped: Whether a popped item stays stored, superseded, or is deleted.
        memory_limit: What DuckDB may use at most while a question is asked, such as "512MB". A few
            seconds after, it gives back all but 32 MB.
        threads: How many threads a query may use.
        cache_bytes: About how many bytes of recently used conversations are kept in memory.
        durability: "full": what is acknowledged is on disk. "relaxed": it survives the end of the
            process, however it ends, but not that of the machine.
        exclusive: Keep other processes out, and make no socket.
        read_only: Change nothing, and never keep a process that writes from opening the store.
        timeout: Seconds after which a process that has the store and does not answer is given up.
        queries: A folder of your own query files: they join the catalogue, and one that has the
            name of a bundled query takes its place. By default the folder that the environment
            variable DUCKSTORE_QUERIES names.
        mirror: A folder to which the store is exported, as by `Store.export_parquet`, when nothing
            was written through this process for two seconds, once a minute where there is no pause,
            and at closing. `Store.mirror` tells how it went.

    Raises:
        StorePathError, NotADatabaseError, NotAStoreError, NewerSchemaError, StoreLockedError,
        DamagedStoreError: The file cannot be used; it was not changed.
        StoreBusyError: The process that has it does not answer.
        ArgumentError: A setting is refused, or differs from that of who has it open already.
        QueryFileError: The folder of queries is not there.
    """
    settings = Settings(
        memory_limit, threads, cache_bytes, keep_popped, durability, exclusive, read_only, timeout
    )
    access = acquire(path, settings)
    try:
        folder = None if mirror is None else Path(mirror).expanduser().absolute()
        return Store(access, queries, folder)
    except BaseException:
        release(access)
        raise


class Store(Asking):
    """A file of sessions. Made by `duckstore.open`; closes with `close()` or a `with` block."""

    def __init__(
        self,
        access: Access,
        queries: str | PathLike[str] | None = None,
        mirror: Path | None = None,
    ) -> None:
        super().__init__(queries)
        self._access = access
        self._is_closed = False
        self.mirror = None if mirror is None else Mirror(access, mirror)
        """What keeps a folder like the store, where that was asked for: with `folder`, `report` of
        the last export, and `error` where that failed."""

    @property
    def path(self) -> str:
        """The file's full path, or `:memory:`."""
        return self._access.path

    # Sessions --------------------------------------------------------------------------------

    def session(
        self,
        session_id: str,
        *,
        session_settings: SessionSettings | dict[str, Any] | None = None,
    ) -> DuckDBSession:
        """The session of that id, for the SDK's Runner. Nothing is stored before its first item."""
        return DuckDBSession._of(self._open_access(), session_id, session_settings)

    def conversation(self, session_id: str) -> Conversation:
        """The same session for synchronous code."""
        return Conversation(self._open_access(), session_id)

    def sessions(
        self,
        *,
        search: str | None = None,
        user_id: str | None = None,
        tag: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        source: str | None = None,
        order_by: str = "updated_at",
        descending: bool = True,
        limit: int | None = 100,
        offset: int = 0,
    ) -> list[SessionInfo]:
        """List sessions.

        Args:
            search: Words to find in id, title, user, tags, metadata or first user message,
                whatever their case.
            user_id: Only sessions of this user.
            tag: Only sessions with this tag.
            metadata: Only sessions whose metadata holds all of these, at the top level.
            source: Only sessions that were imported from this source.
            order_by: updated_at, created_at, session_id, title, item_count or run_count.
            descending: Whether the highest comes first.
            limit: How many to return at most; None for all.
            offset: How many to leave out first.

        Raises:
            ArgumentError: A value makes no sense: the message names it.
        """
        return list_sessions(
            self._open_access(),
            search=search,
            user_id=user_id,
            tag=tag,
            metadata=metadata,
            source=source,
            order_by=order_by,
            descending=descending,
            limit=limit,
            offset=offset,
        )

    def update_session(
        self,
        session_id: str,
        *,
        title: str | None = None,
        user_id: str | None = None,
        tags: Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        source: str | None = None,
    ) -> None:
        """Set what describes a session; what is None stays as it is. Makes the session if new.

        Args:
            session_id: The session.
            title: A name for people. An empty string removes it.
            user_id: Whose session it is. An empty string removes it.
            tags: The tags it has from now on, in place of those it had.
            metadata: The JSON object it has from now on, in place of the one it had.
            source: Where it came from.

        Raises:
            ArgumentError: `metadata` is not a JSON object, or another value is not a text.
        """
        update_session(
            self._open_access(),
            session_id,
            title=title,
            user_id=user_id,
            tags=tags,
            metadata=metadata,
            source=source,
        )

    def purge(self, session_id: str) -> bool:
        """Delete a session and everything of it for good. Returns whether it was there.

        Its rows are gone at once, its bytes when the file was written anew: in the background, at
        closing, or by `compact()` now.
        """
        return self.conversation(session_id).purge_session()

    # Runs ------------------------------------------------------------------------------------

    def hooks(self) -> RunHooks[Any]:
        """`RunHooks` for `Runner.run(..., hooks=...)` that tell what the sessions cannot see.

        With them, responses have their model, the provider's id of them, finish reason and times,
        and tool calls their times. Where tracing is on they listen to it as well, for errors,
        guardrails and how runs end: see `duckstore.trace_to`, beside which nothing counts twice.
        They serve every session of this process on the store's file, for any number of runs.

        Raises:
            MissingPackageError: The SDK is not installed.
            StoreReadOnlyError: The store was opened with `read_only=True`.
        """
        access = self._open_access()
        access.check_writable()
        made = make_hooks(access.observer)
        listen(access.observer)
        return made

    def record(self, result: Any, session_id: str | None = None) -> bool:
        """Store what a run's result tells, after the fact, where nobody has seen it.

        That is the token usage, provider's id and finish reason of each response, which calls wait
        for an approval, guardrails, and how the run ended. What is known already stays.

        Args:
            result: What `Runner.run` or `Runner.run_streamed` returned, at its end, or the
                `AgentsException` that it raised.
            session_id: The session that the run belongs to, where the session that the Runner had
                is not one of this store's: it is known otherwise.

        Returns:
            Whether the session has the run.

        Raises:
            ArgumentError: It is something else, the run has not ended, or its session is not known.
        """
        access = self._open_access()
        watch = access.observer.watch_of(context_of(result))
        name = session_id if session_id is not None else watch.session_id if watch else None
        if name is None:
            raise errors.ArgumentError(
                "no session of this store has seen the run of this result: give its session_id"
            )
        return self.conversation(name).record(result)

    # Questions -------------------------------------------------------------------------------

    def _check_open(self) -> None:
        self._open_access()

    def _frame(self, sql: str, parameters: Mapping[str, Any] | None = None) -> polars.DataFrame:
        return self._open_access().frame(sql, parameters)

    def _rows(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, is_foreign: bool = False
    ) -> Rows:
        return self._open_access().rows(sql, parameters, is_foreign=is_foreign)

    def _put_aside(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Spool:
        return self._open_access().put_aside(sql, parameters)

    def _shape(self, relation: str) -> tuple[dict[str, str], polars.Schema]:
        access = self._open_access()
        if access.settings.read_only:  # another duckstore may have made the relations
            types = {row[0]: row[1] for row in access.rows(f"describe {relation}").rows}
            return types, access.frame(f"select * from {relation} limit 0").schema
        return super()._shape(relation)

    def install_queries(self) -> list[str]:
        """Put each query of the catalogue into the file, as a table macro of its name.

        Any DuckDB tool that opens the file can ask then: `from tool_usage(since := '2026-01-01')`.
        Parameters and defaults are the query's. What was installed before is replaced; do so after
        an upgrade, and after editing your own queries. Backups and `compact` keep the macros.

        Returns:
            The names, in the order of the catalogue.

        Raises:
            QueryFileError: A query is wrong; nothing was installed.
            StoreError: The file has another macro of one of the names.
            StoreReadOnlyError, StoreWriteError: They could not be stored.
        """
        access = self._open_access()
        access.check_writable()
        found = self._catalogue()
        for problem in found.problems.values():
            raise problem
        for query in found.queries.values():
            if query.is_own:
                columns_of(query)
        access.install_queries([macro_of(query).pack() for query in found.queries.values()])
        return list(found.queries)

    def export_parquet(
        self,
        folder: str | PathLike[str],
        *,
        since: datetime | None = None,
        sessions: Iterable[str] | None = None,
        partition_by: str | None = "month",
        text: bool = True,
        redact: Iterable[str | Callable[[str], str]] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> ExportReport:
        """Bring a folder of Parquet files up to the state of the store.

        Each relation is a dataset, `folder/RELATION/month=2026-11/part-00000.parquet`, sorted by
        session and position; `duckstore.open_parquet` asks it like a store. A second export writes
        the files of which something has changed, and no others; what was purged is in none of them
        then. Whoever follows the manifest sees the old state or the new one, also when this is
        killed. Two at once wait for each other. Agents may write meanwhile: each session is
        exported as of one moment.

        Args:
            folder: It is made if need be. Files in it that duckstore did not write stay.
            since: Only sessions of which something is as late as this; with a time zone.
            sessions: Only the sessions with these ids.
            partition_by: "day", "month" or "year", in which a session began (UTC), or None.
            text: False: texts, arguments, outputs, error words, titles, users and metadata are
                replaced by `HASH:LENGTH` each. Equal ones stay equal. The hash has a key, which the
                store keeps.
            redact: What is replaced within texts, by kind, hash and length: any of "email",
                "phone", "card" and "keys", and functions from a text to a text. This needs polars
                and takes longer. An export that was changed or has no text cannot be imported.
            progress: Called with the number of items that are done, and that are to be done.

        Returns:
            What is in the folder now, and what was written.

        Raises:
            StorePathError: The folder cannot be written, or holds the export of another store.
            NewerSchemaError: A later duckstore has exported to it.
            DamagedStoreError: Its manifest cannot be read.
            ArgumentError: A value makes no sense: the message names it.
            MissingPackageError: `redact` needs polars, and it is not installed.
            StoreWriteError: There is no room beside the store for what `redact` is to look at.
        """
        access = self._open_access()
        wish = wish_of(access, since, sessions, partition_by, text, redact)
        return export_parquet(access, Path(folder).expanduser().absolute(), wish, progress)

    def export_jsonl(
        self,
        path: str | PathLike[str],
        *,
        sessions: Iterable[str] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> TranscribeReport:
        """Write conversations as JSON lines, one each, with every way that they went.

        `import_file` reads them back: items, alternatives, branches, agents, times, token usage
        and what describes the session. What was seen of tool calls and runs stays here.

        Args:
            path: The file; it is gzip where the name ends with `.gz`. One that is there is replaced
                when the new one is complete.
            sessions: Only those with these ids.
            progress: Called with the number of items that are written, and that are to be written.

        Raises:
            StorePathError: It cannot be written.
            ArgumentError: There is no session of one of the ids.
        """
        return export_jsonl(self._open_access(), _absolute(path), _listed(sessions), progress)

    def export_chat(
        self,
        path: str | PathLike[str],
        *,
        sessions: Iterable[str] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> TranscribeReport:
        """Write what agents see as Chat Completions messages, one conversation a line.

        The report's `left_out` counts what has no place there, such as reasoning and the calls of
        hosted tools. See `export_jsonl` for the arguments and errors.
        """
        return export_chat(self._open_access(), _absolute(path), _listed(sessions), progress)

    def export_sqlite_session(
        self,
        path: str | PathLike[str],
        *,
        sessions: Iterable[str] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> TranscribeReport:
        """Write what agents see into a new file of the SDK's `SQLiteSession`.

        See `export_jsonl` for the arguments and errors; a file that is there is not replaced.
        """
        return export_sqlite_session(
            self._open_access(), _absolute(path), _listed(sessions), progress
        )

    def verify_export(self, folder: str | PathLike[str]) -> list[Finding]:
        """Compare a folder with the store: every file with the manifest, every row with the store.

        An export that was redacted is compared as far as the manifest goes.

        Returns:
            What does not agree, with the relation as the rule; an empty list means that all does.

        Raises:
            StorePathError: There is no export.
            NewerSchemaError, DamagedStoreError: Its manifest cannot be read.
        """
        return verify_export(self._open_access(), Path(folder).expanduser().absolute())

    def import_file(
        self,
        path: str | PathLike[str],
        *,
        format: str | None = None,  # noqa: A002  # the word that users know
        dry_run: bool = False,
        strict: bool = False,
        on_conflict: str = "skip",
        progress: Callable[[int, int], None] | None = None,
        **options: Any,
    ) -> ImportReport:
        """Import conversations that something else has written.

        What the store has already is not stored again: a conversation is compared by its content
        with the session of its id, and what is new is added where it belongs. So the same file can
        be imported again, when it has grown or when an import was broken off. Each conversation is
        stored whole or not at all.

        Args:
            path: A file, plain or gzip; a folder, of which every file is read that is known, also
                in its folders; with the format "sqlalchemy" the address of a database; or another
                store's file, also while it is in use, or a folder with an export, whose sessions
                come with all that is known of them.
            format: "jsonl", "chat", "chatgpt", "codex", "claude-code", "sqlite-session",
                "sqlalchemy", "duckstore" or "parquet". By default it is told from the file.
            dry_run: Read and compare everything, and write nothing.
            strict: Import nothing where anything would be left out, but for what is there already.
            on_conflict: What becomes of a conversation whose id stands for another one that has
                nothing in common with it: "skip" leaves it out, "rename" imports it as `ID~2`.
            progress: Called with the number of bytes that are read, and that are to be read; of
                stores and exports with the number of items.
            options: Those of the format: `sessions_table` and `messages_table` for
                "sqlite-session" and "sqlalchemy".

        Returns:
            How many sessions are new, grown and unchanged, the number of items that were added,
            and what was left out, with its place and the reason.

        Raises:
            ImportFileError: It cannot be read or is of no known format; with `strict`, something
                would be left out: the message lists it.
            ArgumentError: An argument makes no sense: the message names it.
            MissingPackageError: A database needs SQLAlchemy, and it is not installed.
            StoreReadOnlyError, StoreWriteError: It could not be stored; repeat it to go on.
        """
        place = Path(path).expanduser().absolute()
        if format in merging.FORMATS or (format is None and merging.format_of(place)):
            if options:
                name = next(iter(options))
                raise errors.ArgumentError(f"there is no option {name!r} for {place}: leave it out")
            return merging.import_whole(
                self._open_access(),
                place,
                dry_run=dry_run,
                strict=strict,
                on_conflict=on_conflict,
                progress=progress,
            )
        return import_file(
            self._open_access(),
            path,
            format_name=format,
            dry_run=dry_run,
            strict=strict,
            on_conflict=on_conflict,
            progress=progress,
            options=options,
        )

    def import_jsonl(
        self, path: str | PathLike[str], *, progress: Callable[[int], None] | None = None
    ) -> ImportReport:
        """Import conversations from a file of JSON lines, plain or gzip.

        It is `import_file` with the format "jsonl". Each line is an object with `items` (a list of
        Responses-API input items) and, as it has them, `session_id`, `parents` (the index of the
        item before each, or -1: a tree), `created_at`, `responses`, `source`, `meta` and more, as
        `duckstore.formats.jsonl` tells. A file of bare items is one conversation.

        Args:
            path: The file.
            progress: Called with the number of bytes of the file read so far.

        Raises:
            ImportFileError: The file cannot be read, or holds no conversation.
        """
        tell = None if progress is None else lambda done, total: progress(done)
        return self.import_file(path, format="jsonl", progress=tell)

    def check(self) -> list[Finding]:
        """Verify every rule that a store must keep. An empty list means that all hold."""
        return self._open_access().check()

    def backup(self, path: str | PathLike[str]) -> None:
        """Write a copy of the store as it is now to `path`, while it is in use.

        The copy is a store of its own: open it, or put it in the place of a lost one.

        Raises:
            StorePathError: The path is taken or cannot be written; nothing is there.
        """
        self._open_access().backup(os.path.abspath(Path(path).expanduser()))

    def compact(self) -> tuple[int, int]:
        """Write the file anew, without what was deleted, and give its space back.

        Afterwards nothing of what was purged is in the bytes of the file or of its journal.
        Appends go on meanwhile; questions wait.

        Returns:
            The file's size in bytes before and after.

        Raises:
            StoreBusyError: Questions were still running after half a minute.
            StoreWriteError: There is no room for the new file; the old one stays.
        """
        return self._open_access().compact()

    # Prices ----------------------------------------------------------------------------------

    def set_prices(self, source: Any) -> int:
        """Put your own prices of models in the place of those that were set before.

        They go before those of the price list: where any is given for a model, the list's do not
        count. `costs` follows at once, for all responses.

        Args:
            source: A .csv, .json or .jsonl file, a list of mappings, a polars DataFrame or an Arrow
                table; an empty list removes all. Columns: `model` as it stands in `responses`;
                `input_price` and `output_price` of a million tokens in the currency (2.5, or
                "2.50"); and where they are needed `cache_read_price`, `cache_write_price` (else
                as input), `request_price` of one request, `currency` (else USD), `valid_from`, a
                day (UTC), and `above_input_tokens`, for requests with more input tokens.

        Returns:
            The number of prices.

        Raises:
            ArgumentError: A value cannot be one of a price: the message names its row.
            ImportFileError: The file cannot be read.
            StoreReadOnlyError, StoreWriteError: They could not be stored; the old ones stay.
        """
        return self._open_access().set_prices(source)

    def update_prices(self) -> list[str]:
        """Look up every model that stands in `responses` in the installed price list.

        A question about `costs` looks up what is new by itself. This does it for all, as after
        `genai_prices.UpdatePrices` has fetched a newer list into this process.

        Returns:
            The models without a price, neither yours nor the list's.

        Raises:
            MissingPackageError: genai-prices is not installed.
            StoreReadOnlyError, StoreWriteError: They could not be stored; the old ones stay.
        """
        return self._open_access().update_prices()

    # Life ------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of the file. A second call does nothing."""
        if not self._is_closed:
            self._is_closed = True
            if self.mirror is not None:
                self.mirror.close()
            release(self._access)

    def _open_access(self) -> Access:
        if self._is_closed:
            raise errors.ClosedError(f"the store {self.path} is closed: open it again")
        return self._access

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Store:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({self.path!r}{', closed' if self._is_closed else ''})"


def _absolute(path: str | PathLike[str]) -> Path:
    return Path(path).expanduser().absolute()


def _listed(sessions: Iterable[str] | None) -> list[str] | None:
    if isinstance(sessions, str):
        raise errors.ArgumentError("sessions is a list of ids: give one with a single id")
    return None if sessions is None else list(sessions)
