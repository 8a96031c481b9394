"""Commands that keep a store's file safe and small: `backup`, `compact`, `recover`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from duckstore.cli.options import (
    VARIABLE,
    Chosen,
    database_option,
    format_option,
    opened,
    pass_chosen,
)
from duckstore.cli.output import progress, write_record
from duckstore.cli.program import note

__all__ = ["backup", "compact", "recover"]


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@database_option
@format_option
@pass_chosen
def backup(chosen: Chosen, target: Path) -> None:
    """Copy the store as it is now to TARGET, while it is in use.

    TARGET must not exist. It is a store of its own: open it, or put it in the place of a lost one.
    """
    with opened(chosen) as it, progress("Copying"):
        it.store.backup(target)
    write_record({"path": str(target), "file_size_bytes": target.stat().st_size}, chosen.format)


@click.command()
@database_option
@format_option
@pass_chosen
def compact(chosen: Chosen) -> None:
    """Write the file anew, without what was deleted."""
    with opened(chosen) as it, progress("Rewriting"):
        before, after = it.store.compact()
        path = it.store.path
    record = {"path": path, "size_before_bytes": before, "size_after_bytes": after}
    write_record(record, chosen.format)


@click.command()
@database_option
@format_option
@pass_chosen
def recover(chosen: Chosen) -> None:
    """Make a store whose journal is damaged usable again.

    The damaged journal is copied and then cut before the damage. What was acknowledged before it
    is kept; what stands behind it is in the copy only.
    """
    from duckstore.recovering import recover_store

    path = chosen.database or os.environ.get(VARIABLE)
    if not path:
        raise click.UsageError(f"Name the store with -d/--db or in {VARIABLE}.")
    done = recover_store(path)
    if done.journal_copy is None:
        note("the journal is not damaged")
    record = {"journal_copy": done.journal_copy, "record_count": done.record_count}
    write_record(record, chosen.format)
