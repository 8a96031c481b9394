"""Options that every command shares, and the store that they name.

`--db` and `--format` may stand before the command or after it; what stands last counts. The store
is imported when one is opened: help and completion must not wait for DuckDB.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from duckstore import errors
from duckstore.cli.output import FORMATS

if TYPE_CHECKING:
    from duckstore.access import Access
    from duckstore.asking import Asking
    from duckstore.store import Store

__all__ = [
    "VARIABLE",
    "Chosen",
    "Opened",
    "asked",
    "complete_branch",
    "complete_session",
    "database_option",
    "format_option",
    "given_text",
    "opened",
    "pass_chosen",
    "queries_option",
    "read_only_option",
]

VARIABLE = "DUCKSTORE_DB"
"""The environment variable that names the store where no option does."""


@dataclass(slots=True)
class Chosen:
    """What the shared options say."""

    database: str | None = None
    read_only: bool = False
    format: str = "table"
    queries: str | None = None
    """The folder of the user's own queries."""
    display: str = "rows"
    """What is to be seen of a query: its `rows`, its `text` or its `plan`."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An open store, with the access that rows are read from."""

    store: Store
    access: Access


pass_chosen = click.make_pass_decorator(Chosen, ensure=True)


def _keep(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    chosen = context.ensure_object(Chosen)
    if value is not None and parameter.name is not None:
        setattr(chosen, parameter.name, value)


database_option = click.option(
    *("-d", "--db", "database"),
    type=click.Path(),
    metavar="PATH",
    expose_value=False,
    callback=_keep,
    help=f"The store's file; for questions also a folder that `export` wrote.  [env: {VARIABLE}]",
)
read_only_option = click.option(
    "--read-only",
    is_flag=True,
    default=None,
    expose_value=False,
    callback=_keep,
    help="Change nothing beside the file either: for folders that cannot be written.",
)
queries_option = click.option(
    *("--queries", "queries"),
    type=click.Path(),
    metavar="DIR",
    expose_value=False,
    callback=_keep,
    help="A folder of your own query files.  [env: DUCKSTORE_QUERIES]",
)
format_option = click.option(
    *("--format", "format"),
    type=click.Choice(FORMATS),
    expose_value=False,
    callback=_keep,
    help="How data is printed.  [default: table]",
)


@contextmanager
def opened(chosen: Chosen, *, make: bool = False) -> Iterator[Opened]:
    """The store that was chosen, open.

    Args:
        chosen: The shared options.
        make: Whether to make the file where it is not there.

    Raises:
        click.UsageError: No store was named.
        StoreError: It is not there, or cannot be opened.
    """
    from duckstore.database import MEMORY
    from duckstore.registry import acquire
    from duckstore.settings import Settings
    from duckstore.store import Store

    path = _path(chosen)
    if not make and path != MEMORY:
        _must_be_there(os.path.expanduser(path))
    access = acquire(path, Settings(read_only=chosen.read_only and path != MEMORY))
    with Store(access, chosen.queries) as store:
        yield Opened(store, access)


@contextmanager
def asked(chosen: Chosen) -> Iterator[Asking]:
    """What was chosen to be asked: a store, or a folder with the files of an export.

    Raises:
        click.UsageError: Nothing was named.
        StoreError: It is not there, or cannot be opened.
    """
    from duckstore.archive import is_archive, open_parquet

    path = _path(chosen)
    if is_archive(path):
        with open_parquet(path, queries=chosen.queries) as archive:
            yield archive
    else:
        with opened(chosen) as it:
            yield it.store


def _path(chosen: Chosen) -> str:
    path = chosen.database or os.environ.get(VARIABLE)
    if not path:
        raise click.UsageError(
            f"This command needs a store: name its file with -d/--db or in {VARIABLE}."
        )
    return path


def _must_be_there(path: str) -> None:
    """Reading never makes a file, nor takes an empty one for a new store."""
    if not os.path.exists(path):
        raise errors.StorePathError(
            f"there is no store at {path}: correct the path, or make one with "
            "`duckstore import` or `duckstore demo`"
        )
    if os.path.isfile(path) and os.path.getsize(path) == 0:
        raise errors.NotADatabaseError(
            f"{path} is an empty file and no store: correct the path. It was not changed"
        )


def given_text(text: str) -> str:
    """The text of an argument; `-` stands for what is on standard input.

    Raises:
        click.UsageError: It is not UTF-8.
    """
    if text != "-":
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise click.UsageError("An argument is not UTF-8.")
        return text
    if sys.stdin is None:
        raise click.UsageError("Standard input is closed.")
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"Standard input is not UTF-8: {error}.") from None


def complete_session(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The session ids that begin with what was typed, the latest first."""
    return _completed(
        context,
        "select session_id, coalesce(title, first_user_message) from sessions"
        " where starts_with(session_id, $start) order by updated_at desc limit 50",
        {"start": incomplete},
    )


def complete_branch(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The branches of the session named before that begin with what was typed, the latest first."""
    # Where an option's value is still to come, click has not looked at the arguments yet.
    session_id = context.params.get("session_id") or next(iter(context.args), None)
    return _completed(
        context,
        "select name, if(is_current, concat(kind, ', current'), kind) from branches"
        " where session_id = $session_id and deleted_at is null and starts_with(name, $start)"
        " order by branch_id desc limit 50",
        {"session_id": session_id, "start": incomplete},
    )


def _completed(context: click.Context, sql: str, values: dict[str, Any]) -> list[CompletionItem]:
    """Names with what is told beside them. Never fails."""
    try:
        with opened(context.ensure_object(Chosen)) as it:
            found = it.access.rows(sql, values)
    except (errors.DuckstoreError, click.UsageError, OSError):
        return []  # there is nothing to offer, and no place to say why
    return [CompletionItem(name, help=text) for name, text in found.rows]
