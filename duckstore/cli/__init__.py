"""The command line: `duckstore`, or `python -m duckstore`.

Starting must stay under 0.4 s, so nothing here imports the SDK, polars or pyarrow (only `demo`
does, when it runs), and rich comes in where something is drawn.
"""

from __future__ import annotations

import click

import duckstore
from duckstore.cli.branches import branches, diff, edit, purge, switch
from duckstore.cli.copies import backup, compact, recover
from duckstore.cli.exports import export
from duckstore.cli.files import check, info
from duckstore.cli.imports import import_
from duckstore.cli.notebooks import notebooks
from duckstore.cli.options import (
    database_option,
    format_option,
    queries_option,
    read_only_option,
)
from duckstore.cli.prices import prices
from duckstore.cli.program import ExitCode, Program
from duckstore.cli.questions import queries, query, sql
from duckstore.cli.sessions import sessions, show
from duckstore.cli.start import completion, demo

__all__ = ["ExitCode", "cli", "main"]


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Tab completion: `duckstore completion --help` tells how to install it.",
)
@click.version_option(duckstore.__version__, prog_name="duckstore", message="%(prog)s %(version)s")
@database_option
@read_only_option
@queries_option
@format_option
def cli() -> None:
    """Ask a store of agent conversations: sessions, runs, tool calls, edits.

    Begin with `duckstore demo`, or with the file that your agents' DuckDBSession writes.
    """


for command in (
    *(demo, info, sessions, show, branches, diff, edit, switch, purge),
    *(queries, query, sql, prices, export, import_, check),
    *(backup, compact, recover, notebooks, completion),
):
    cli.add_command(command)


def main() -> None:
    """Run the program and exit with its code."""
    cli()
