"""The command `notebooks`: the notebooks that come with the package, to read and to change."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from duckstore import errors
from duckstore.cli.options import Chosen, format_option, pass_chosen
from duckstore.cli.output import write
from duckstore.cli.program import note

__all__ = ["notebooks"]

SOURCE = Path(__file__).resolve().parents[1] / "notebooks"


@click.command()
@click.argument(
    "folder", required=False, type=click.Path(file_okay=False, path_type=Path), metavar="[FOLDER]"
)
@click.option("--force", is_flag=True, help="Replace those of the same name that are there.")
@format_option
@pass_chosen
def notebooks(chosen: Chosen, folder: Path | None, force: bool) -> None:
    """Copy the notebooks that come with duckstore, or list them.

    The folder is made if need be. They make the stores that they ask by themselves, with scripted
    agents, and need no network and no key: pip install 'duckstore[all]' and Jupyter.
    """
    found = sorted(SOURCE.glob("*.ipynb"))
    if folder is None:
        if force:
            raise click.UsageError("--force is for copying: name a folder.")
        rows = [(path.stem, _title(path)) for path in found]
        write(dict.fromkeys(("name", "title"), "VARCHAR"), rows, chosen.format)
        return
    if chosen.format != "table":
        raise click.UsageError("Copying prints no rows: leave out --format.")
    taken = [path.name for path in found if (folder / path.name).exists()]
    if taken and not force:
        raise errors.ArgumentError(
            f"{folder / taken[0]} is there already: name another folder, or replace it with --force"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for path in found:
        _copy(path, folder / path.name)
        note(f"wrote {folder / path.name}")


def _title(path: Path) -> str:
    """The heading of a notebook's first cell."""
    first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]
    return "".join(first["source"]).splitlines()[0].removeprefix("# ")


def _copy(source: Path, target: Path) -> None:
    """Copy whole or not at all: a notebook that is replaced may be somebody's work."""
    aside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        aside.write_bytes(source.read_bytes())
        aside.replace(target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
