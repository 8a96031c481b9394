"""The command `import`: conversations from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import click

from duckstore import errors
from duckstore.cli.options import (
    VARIABLE,
    Chosen,
    database_option,
    format_option,
    opened,
    pass_chosen,
)
from duckstore.cli.output import progress, write
from duckstore.cli.program import ExitCode, note
from duckstore.formats import FORMATS
from duckstore.importing import FileReport, ImportReport

__all__ = ["import_"]

MOST_NOTES = 20
"""How much of what was left out is named for each file."""

_COUNTS = ("session_count", "grown_count", "unchanged_count", "item_count", "skipped_count")


@click.command("import")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option(
    "--from",
    "source_format",
    type=click.Choice([*FORMATS, "duckstore", "parquet"]),
    help="The format. By default it is told from each file.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be imported.")
@click.option(
    "--strict",
    is_flag=True,
    help="Import nothing of a PATH where anything of it would be left out.",
)
@click.option(
    "--on-conflict",
    type=click.Choice(["skip", "rename"]),
    default="skip",
    show_default=True,
    help="What becomes of a conversation whose id stands for another one.",
)
@database_option
@format_option
@pass_chosen
def import_(
    chosen: Chosen,
    paths: tuple[str, ...],
    source_format: str | None,
    dry_run: bool,
    strict: bool,
    on_conflict: str,
) -> ExitCode:
    """Import conversations from files, folders or databases.

    Read are JSON lines of items, Chat Completions transcripts, ChatGPT data exports, Codex
    rollouts, Claude Code transcripts, files of the Agents SDK's SQLite and SQLAlchemy sessions,
    other stores, and folders that one was exported to.
    What the store has already is not stored again, so that the same file can be imported when it
    has grown. The store is made if need be. Exit code 1 where a file could not be read.
    """
    from duckstore.store import Store

    done = _Done()
    is_there = [_is_there(path) for path in paths]
    if any(is_there):  # else no store is made
        wish = partial(
            Store.import_file,
            format=source_format,
            dry_run=dry_run,
            strict=strict,
            on_conflict=on_conflict,
        )
        with opened(_kept_from_writing(chosen, dry_run), make=True) as it:
            for path in paths:
                with progress("Reading" if dry_run else "Importing") as advance:
                    done.take(partial(wish, it.store, path, progress=advance))
    else:
        done.fail(f"{', '.join(paths)} is not there: correct the path")
    for text in done.notes:
        note(text)
    if done.rows or chosen.format not in ("table", "markdown"):
        types = {"path": "VARCHAR", "source_format": "VARCHAR"}
        write(types | dict.fromkeys(_COUNTS, "BIGINT"), done.rows, chosen.format)
    return ExitCode.FAILURE if done.has_failed else ExitCode.OK


def _is_there(path: str) -> bool:
    return "://" in path or os.path.lexists(os.path.expanduser(path))


def _kept_from_writing(chosen: Chosen, dry_run: bool) -> Chosen:
    """Where a store would have to be made for a dry run, one that is nowhere."""
    path = chosen.database or os.environ.get(VARIABLE)
    if dry_run and path and not os.path.exists(os.path.expanduser(path)):
        return replace(chosen, database=":memory:")
    return chosen


class _Done:
    """What all imports of one call did."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.notes: list[str] = []
        self.has_failed = False

    def fail(self, reason: str) -> None:
        """Something could not be read."""
        self.notes.append(f"Error: {reason}")
        self.has_failed = True

    def take(self, work: Callable[[], ImportReport]) -> None:
        """Import one path."""
        try:
            report = work()
        except errors.ImportFileError as error:
            self.fail(str(error))
            return
        for file in report.files:
            self.rows.append(
                (
                    *(file.path, file.format or None, file.session_count, file.grown_count),
                    *(file.unchanged_count, file.item_count, len(file.skipped)),
                )
            )
            self._note(file)
        if report.ignored:
            self.notes.append(f"{len(report.ignored)} files of no known format were left alone")

    def _note(self, file: FileReport) -> None:
        self.notes += [f"{file.path}, {o.place}: {o.reason}" for o in file.skipped[:MOST_NOTES]]
        if len(file.skipped) > MOST_NOTES:
            self.notes.append(f"{file.path}: {len(file.skipped) - MOST_NOTES} more were left out")
        if file.error is not None:
            self.fail(f"{file.path}: {file.error}" if file.path not in file.error else file.error)
