"""`Store`: a file of sessions, and everything that can be asked of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from duckstore import catalogue, errors
from duckstore.check import Finding, check_store
from duckstore.conversation import Conversation
from duckstore.database import reading
from duckstore.engine import Engine, Statement
from duckstore.export import export_parquet
from duckstore.frames import frame, lazy_frame
from duckstore.path import SessionState
from duckstore.registry import Settings, acquire, release
from duckstore.schema import RELATIONS
from duckstore.session import DuckDBSession

if TYPE_CHECKING:
    import polars
    from agents.memory import SessionSettings

__all__ = ["QueryInfo", "SessionInfo", "Store", "open_store"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ORDERS = ("updated_at", "created_at", "session_id", "title", "item_count", "run_count")


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """One session, as `Store.sessions` lists it."""

    session_id: str
    title: str | None
    user_id: str | None
    tags: list[str]
    metadata: dict[str, Any]
    source: str | None
    created_at: datetime
    updated_at: datetime
    item_count: int
    run_count: int
    first_user_message: str | None


@dataclass(frozen=True, slots=True)
class QueryInfo:
    """One query of the catalogue, as `Store.queries` lists it."""

    name: str
    topic: str
    title: str
    description: str
    parameters: tuple[catalogue.Parameter, ...]
    columns: dict[str, str]
    """The result's columns with their DuckDB types, in order."""


def open_store(
    path: str | PathLike[str] = ":memory:",
    *,
    keep_popped: bool = True,
    memory_limit: str = "1GB",
    threads: int = 2,
    cache_bytes: int = 64 * 1024 * 1024,
) -> Store:
    """Open the store at `path`, or make it. Available as `duckstore.open`.

    Args:
        path: The DuckDB file. `:memory:` makes a store that ends with this object.
        keep_popped: Whether a popped item stays stored, superseded, or is deleted.
        memory_limit: What DuckDB may use at most, such as "512MB".
        threads: How many threads a query may use.
        cache_bytes: About how many bytes of recently used conversations are kept in memory.

    Raises:
        StorePathError, NotADatabaseError, NotAStoreError, NewerSchemaError, StoreLockedError,
        DamagedStoreError: The file cannot be used; it was not changed.
        ArgumentError: A setting is refused, or differs from that of who has it open already.
    """
    settings = Settings(memory_limit, threads, cache_bytes, keep_popped)
    return Store(acquire(path, settings))


class Store:
    """A file of sessions. Made by `duckstore.open`; closes with `close()` or a `with` block."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._is_closed = False

    @property
    def path(self) -> str:
        """The file's full path, or `:memory:`."""
        return self._engine.path

    # Sessions --------------------------------------------------------------------------------

    def session(
        self,
        session_id: str,
        *,
        session_settings: SessionSettings | dict[str, Any] | None = None,
    ) -> DuckDBSession:
        """The session of that id, for the SDK's Runner. Nothing is stored before its first item."""
        return DuckDBSession._of(self._open_engine(), session_id, session_settings)

    def conversation(self, session_id: str) -> Conversation:
        """The same session for synchronous code."""
        return Conversation(self._open_engine(), session_id)

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
            ArgumentError: `order_by` is not one of those, or `limit` or `offset` is negative.
        """
        if order_by not in _ORDERS:
            raise errors.ArgumentError(
                f"order_by is {order_by!r}: choose one of {', '.join(_ORDERS)}"
            )
        if offset < 0 or (limit is not None and limit < 0):
            raise errors.ArgumentError(f"limit={limit}, offset={offset}: neither can be negative")
        wanted = json.dumps(dict(metadata)) if metadata else None
        direction = "desc" if descending else "asc"
        with reading(self._open_engine().connection()) as cursor:
            rows = cursor.execute(
                f"""
                select
                    session_id, title, user_id, tags, metadata::varchar, source,
                    epoch_us(created_at), epoch_us(updated_at), item_count, run_count,
                    first_user_message,
                from sessions
                where
                    ($search::varchar is null or contains(
                        lower(concat_ws(
                            chr(10), session_id, title, user_id, array_to_string(tags, chr(10)),
                            metadata::varchar, first_user_message
                        )),
                        lower($search)
                    ))
                    and ($user_id::varchar is null or user_id = $user_id)
                    and ($tag::varchar is null or list_contains(tags, $tag))
                    and ($metadata::json is null or json_contains(metadata, $metadata::json))
                    and ($source::varchar is null or source = $source)
                order by {order_by} {direction} nulls last, session_id asc
                limit $limit offset $offset
                """,
                {
                    "search": search,
                    "user_id": user_id,
                    "tag": tag,
                    "metadata": wanted,
                    "source": source,
                    "limit": limit,
                    "offset": offset,
                },
            ).fetchall()
        return [_session_info(row) for row in rows]

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
            ArgumentError: `metadata` is not JSON, or a tag is not a text.
        """
        values: dict[str, Any] = {"title": title, "user_id": user_id, "source": source}
        values = {name: value or None for name, value in values.items() if value is not None}
        if tags is not None:
            values["tags"] = _tags_json(tags)
        if metadata is not None:
            values["metadata"] = _metadata_json(metadata)
        conversation = self.conversation(session_id)
        statements: list[Statement] = []

        def create(state: SessionState) -> None:
            state.create(self._engine.now())

        def apply(state: SessionState) -> None:
            statements.extend(
                (
                    f"update session_rows set {name} = ? where session_key = ?",
                    [value, state.session_key],
                )
                for name, value in values.items()
            )

        self._engine.change(conversation.session_id, create)
        self._engine.change(conversation.session_id, apply, statements=lambda: statements)

    def purge(self, session_id: str) -> bool:
        """Delete a session and everything of it for good. Returns whether it was there."""
        return self.conversation(session_id).purge()

    # Questions -------------------------------------------------------------------------------

    def query(self, name: str, **parameters: Any) -> polars.DataFrame:
        """Run a query of the catalogue.

        Raises:
            UnknownQueryError: There is no such query.
            ParameterError: A parameter is missing, unknown or of the wrong type.
            MissingPackageError: polars is not installed.
        """
        query = catalogue.find(name)
        return frame(self._open_engine(), query.sql, catalogue.bind(query, parameters))

    def sql(self, text: str, **parameters: Any) -> polars.DataFrame:
        """Run one reading SQL statement; `$name` in it takes the parameter of that name.

        Raises:
            SQLError: DuckDB refuses it, or it would change the store.
            MissingPackageError: polars is not installed.
        """
        return frame(self._open_engine(), text, parameters)

    def scan(self, relation: str) -> polars.LazyFrame:
        """A polars LazyFrame over one of the relations, read when it is collected.

        Raises:
            ArgumentError: There is no such relation.
            MissingPackageError: polars is not installed.
        """
        if relation not in RELATIONS:
            raise errors.ArgumentError(
                f"there is no relation {relation!r}; there are {', '.join(RELATIONS)}"
            )
        return lazy_frame(self._open_engine(), relation)

    def queries(self) -> list[QueryInfo]:
        """The catalogue: each query with its title, parameters and the columns it returns.

        Raises:
            QueryFileError: A query file disagrees with its header.
        """
        with reading(self._open_engine().connection()) as cursor:
            return [
                QueryInfo(
                    query.name,
                    query.topic,
                    query.title,
                    query.description,
                    query.parameters,
                    catalogue.check(query, cursor),
                )
                for query in catalogue.load_all().values()
            ]

    def export_parquet(self, folder: str | PathLike[str]) -> dict[str, int]:
        """Write every relation as one Parquet file into `folder`, from one consistent state.

        Returns:
            The number of rows of each relation.

        Raises:
            StorePathError: The folder cannot be written.
        """
        return export_parquet(self._open_engine(), Path(folder))

    def check(self) -> list[Finding]:
        """Verify every rule that a store must keep. An empty list means that all hold."""
        return check_store(self._open_engine())

    # Life ------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of the file. A second call does nothing."""
        if not self._is_closed:
            self._is_closed = True
            release(self._engine)

    def _open_engine(self) -> Engine:
        if self._is_closed:
            raise errors.ClosedError(f"the store {self.path} is closed: open it again")
        return self._engine

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


def _session_info(row: tuple[Any, ...]) -> SessionInfo:
    session_id, title, user_id, tags, metadata, source, created, updated, *rest = row
    return SessionInfo(
        session_id,
        title,
        user_id,
        tags,
        json.loads(metadata),
        source,
        _EPOCH + timedelta(microseconds=created),
        _EPOCH + timedelta(microseconds=updated),
        *rest,
    )


def _tags_json(tags: Iterable[str]) -> str:
    if isinstance(tags, str):
        raise errors.ArgumentError(f"tags is the text {tags!r}: give a list of texts")
    found = list(tags)
    for tag in found:
        if not isinstance(tag, str):
            raise errors.ArgumentError(f"the tag {tag!r} is no text")
    return json.dumps(found)


def _metadata_json(metadata: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(metadata), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise errors.ArgumentError(f"metadata is not a JSON object: {error}") from error
