"""Commands to begin with: `demo` and `completion`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from duckstore import errors
from duckstore.cli.options import Chosen, database_option, opened, pass_chosen
from duckstore.cli.output import console

__all__ = ["completion", "demo"]

DEMO_STORE = "duckstore-demo.duckdb"
DEMO_FOLDER = "duckstore-demo-parquet"
COMPLETE_VARIABLE = "_DUCKSTORE_COMPLETE"


@click.command()
@database_option
@click.option(
    *("--export", "folder"),
    type=click.Path(path_type=Path),
    default=DEMO_FOLDER,
    show_default=True,
    help="Where the Parquet files go.",
)
@click.option("--overwrite", is_flag=True, help="Replace the store if it is there already.")
@pass_chosen
def demo(chosen: Chosen, folder: Path, overwrite: bool) -> None:
    """Run scripted agents into a new store, and show what it tells.

    The store is that of --db, or duckstore-demo.duckdb in the current folder; DUCKSTORE_DB is not
    used here, so that no store of yours is touched. Needs no network and no key.
    """
    path = Path(chosen.database or DEMO_STORE)
    if path.exists() and not overwrite:
        raise errors.StorePathError(
            f"{path} is there already, and the demo makes a new store: name another with --db, "
            "or replace it with --overwrite"
        )
    if path.exists():
        with opened(Chosen(database=str(path))):
            pass  # raises where the file is not a store that may be replaced
        path.unlink()
        Path(f"{path}.wal").unlink(missing_ok=True)
    from duckstore.demo import run_demo

    run_demo(path, folder, console=console())


@click.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print the script for completion in a shell.

    It completes commands, options, queries, session ids and branch names.

    \b
    bash: echo 'eval "$(duckstore completion bash)"' >> ~/.bashrc
    zsh:  echo 'eval "$(duckstore completion zsh)"' >> ~/.zshrc
    fish: duckstore completion fish > ~/.config/fish/completions/duckstore.fish
    """
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    root = click.get_current_context().find_root().command
    if script is None:
        raise click.UsageError(f"There is no completion for {shell}.")
    click.echo(script(root, {}, "duckstore", COMPLETE_VARIABLE).source().strip(os.linesep))
