"""Commands about the store as a file: `info`, `import`, `check`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from duckstore.cli.options import Chosen, database_option, format_option, opened, pass_chosen
from duckstore.cli.output import progress, write, write_record
from duckstore.cli.program import ExitCode, note
from duckstore.schema import RELATIONS

__all__ = ["check", "import_", "info"]

MOST_SKIPPED = 20
"""How many lines that were left out are named for each file."""


# Planning all relations only to count them takes longer than all else that `info` does, so
# most are counted in the tables that they are made of, in the order of `RELATIONS`.
_FACTS = """
select
    (select value::int from store_meta where key = 'schema_version'),
    (select count(*) from session_rows),
    count(distinct run_id) filter (where operation <> 'compact'),
    count(*),
    count(*) filter (where item_type = 'message'),
    count(*) filter (where call_index is not null and operation <> 'fork')
    + (select count(*) from call_rows where tool_call_id <> item_id),
    count(*) filter (where response_id = item_id and operation <> 'fork')
    + (select count(*) from response_rows where response_id <> item_id),
    (select count(*) from outcome_rows),
    (select count(*) from guardrail_rows),
    (select count(*) from price_cells),
    (
        select count(*) from response_rows
        where coalesce(model, input_tokens::varchar, output_tokens::varchar) is not null
    ),
    (select count(*) from branch_rows),
    (select count(*) from branch_items),
    count(distinct batch_id) + (select count(*) from move_rows),
    (select count(*) from edit_points),
    min(created_at),
    max(created_at)
from item_rows
"""


@click.command()
@database_option
@format_option
@pass_chosen
def info(chosen: Chosen) -> None:
    """Tell a store's path, size, version, rows and times."""
    with opened(chosen) as it:
        path = it.store.path
        size = os.path.getsize(path) if os.path.exists(path) else None
        found = it.access.rows(
            _FACTS,
        )
    version, *rows, first, last = found.rows[0]
    record = {"path": path, "file_size_bytes": size, "schema_version": version}
    record |= dict(zip(RELATIONS, rows, strict=True))
    write_record(record | {"first_item_at": first, "last_item_at": last}, chosen.format)


@click.command("import")
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
)
@database_option
@format_option
@pass_chosen
def import_(chosen: Chosen, files: tuple[Path, ...]) -> None:
    """Import conversations from JSON lines, plain or .gz. The store is made if need be.

    Each line is a conversation with its items, or an item. A conversation that the store has
    already is left out, so that the same file can be imported again.
    """
    rows: list[tuple[Any, ...]] = []
    notes: list[str] = []
    sizes = [file.stat().st_size for file in files]
    with opened(chosen, make=True) as it, progress("Importing", sum(sizes)) as advance:
        for number, file in enumerate(files):
            before = sum(sizes[:number])

            def read(done: int, before: int = before) -> None:
                advance(before + done)

            report = it.store.import_jsonl(file, progress=read)
            skipped = report.skipped
            rows.append((str(file), report.session_count, report.item_count, len(skipped)))
            notes += [f"{file}, line {o.line_number}: {o.reason}" for o in skipped[:MOST_SKIPPED]]
            if len(skipped) > MOST_SKIPPED:
                notes.append(f"{file}: {len(skipped) - MOST_SKIPPED} more lines were left out")
    for text in notes:
        note(text)
    counts = dict.fromkeys(("session_count", "item_count", "skipped_count"), "BIGINT")
    write({"file": "VARCHAR", **counts}, rows, chosen.format)


@click.command()
@database_option
@format_option
@pass_chosen
def check(chosen: Chosen) -> ExitCode:
    """Verify every rule that a store keeps. Exit code 1 where one does not hold."""
    with opened(chosen) as it, progress("Checking"):
        findings = it.store.check()
    if findings or chosen.format not in ("table", "markdown"):
        write(
            dict.fromkeys(("rule", "session_id", "message"), "VARCHAR"),
            [(finding.rule, finding.session_id, finding.message) for finding in findings],
            chosen.format,
        )
    if findings:
        return ExitCode.FAILURE
    note("no findings")
    return ExitCode.OK
