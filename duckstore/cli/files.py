"""Commands about the store as a file: `info`, `check`."""

from __future__ import annotations

import os

import click

from duckstore.cli.options import Chosen, database_option, format_option, opened, pass_chosen
from duckstore.cli.output import progress, write, write_record
from duckstore.cli.program import ExitCode, note
from duckstore.schema import RELATIONS

__all__ = ["check", "info"]


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
