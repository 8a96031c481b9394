"""Rows in the five formats, and the console that people see.

rich is imported only where a terminal shows what it draws: it takes a tenth of the time that the
program has to start.
"""

from __future__ import annotations

import csv
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from duckstore.cli.text import cell, json_text, visible, width

if TYPE_CHECKING:
    from rich.console import Console

    from duckstore.rows import Rows

__all__ = ["FORMATS", "console", "progress", "write", "write_record", "write_rows"]

FORMATS = ("table", "json", "jsonl", "csv", "markdown")

_NUMBER = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DOUBLE|FLOAT|DECIMAL\(.*\)")
_Row = Sequence[Any]


def console(*, stderr: bool = False) -> Console:
    """A console that has colour and a width only on a terminal, and no colour with NO_COLOR."""
    from rich.console import Console

    class Screen(Console):
        def on_broken_pipe(self) -> None:
            """Leave it to `Program`: rich would end the process with exit code 1."""
            raise BrokenPipeError

    stream = sys.stderr if stderr else sys.stdout
    is_terminal = stream.isatty()
    has_colour = is_terminal and not os.environ.get("NO_COLOR")
    return Screen(
        file=stream,
        force_terminal=is_terminal,
        color_system="auto" if has_colour else None,
        width=None if is_terminal else 100,
        markup=False,
        emoji=False,
        highlight=False,
    )


def write_rows(found: Rows, style: str) -> None:
    """Write the rows of a query in a format."""
    write(dict(zip(found.columns, found.types, strict=True)), found.rows, style)


def write(columns: Mapping[str, str], rows: Iterable[_Row], style: str) -> None:
    """Write rows in a format.

    Args:
        columns: The names with their DuckDB types, in order.
        rows: The values.
        style: One of `FORMATS`.
    """
    names = list(columns)
    if style == "json":
        _write_json(names, rows)
    elif style == "jsonl":
        for row in rows:
            _line(_json_object(names, row))
    elif style == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([cell(value) for value in row] for row in rows)
    else:
        texts = [[visible(cell(value), lines=style == "markdown") for value in row] for row in rows]
        is_number = [_NUMBER.fullmatch(kind) is not None for kind in columns.values()]
        _TABLES[style]([visible(name) for name in names], texts, is_number)


def write_record(record: Mapping[str, Any], style: str) -> None:
    """Write one row: as name and value in the formats for people, as one object in JSON."""
    if style == "json":
        _line(_json_object(list(record), list(record.values())))
    elif style in ("jsonl", "csv"):
        write(dict.fromkeys(record, "VARCHAR"), [list(record.values())], style)
    else:
        write({"name": "VARCHAR", "value": "VARCHAR"}, list(record.items()), style)


def _line(text: str) -> None:
    sys.stdout.write(text + "\n")


def _json_object(names: Sequence[str], row: _Row) -> str:
    return json_text(dict(zip(names, row, strict=True)))


def _write_json(names: Sequence[str], rows: Iterable[_Row]) -> None:
    """One array with one row a line, written as it goes."""
    before = "[\n"
    for row in rows:
        sys.stdout.write(before + _json_object(names, row))
        before = ",\n"
    _line("[]" if before == "[\n" else "\n]")


def _write_table(names: list[str], rows: list[list[str]], is_number: list[bool]) -> None:
    if sys.stdout.isatty():
        _write_terminal_table(names, rows, is_number)
        return
    widths = [max(map(width, texts)) for texts in zip(names, *rows, strict=True)]

    def line(texts: Sequence[str]) -> str:
        padded = (
            " " * (size - width(text)) + text if right else text + " " * (size - width(text))
            for text, size, right in zip(texts, widths, is_number, strict=True)
        )
        return "  ".join(padded).rstrip()

    _line(line(names))
    _line("  ".join("-" * size for size in widths))
    for row in rows:
        _line(line(row))


def _write_terminal_table(names: list[str], rows: list[list[str]], is_number: list[bool]) -> None:
    """A table that is as wide as the terminal at most: texts that do not fit are cut."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    screen = console()
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for name, right in zip(names, is_number, strict=True):
        header = Text(name, no_wrap=True, overflow="ellipsis")
        table.add_column(header, justify="right" if right else "left")
    for row in rows:
        table.add_row(
            *(Text(text[: screen.width + 1], no_wrap=True, overflow="ellipsis") for text in row)
        )
    screen.print(table)


def _write_markdown(names: list[str], rows: list[list[str]], is_number: list[bool]) -> None:
    for texts in (names, ["---:" if right else "---" for right in is_number], *rows):
        _line("| " + " | ".join(map(_markdown_cell, texts)) + " |")


def _markdown_cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", "<br>")


_TABLES: dict[str, Callable[[list[str], list[list[str]], list[bool]], None]] = {
    "table": _write_table,
    "markdown": _write_markdown,
}


@contextmanager
def progress(title: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """A progress bar on standard error, where that is a terminal; it vanishes at the end.

    Args:
        title: What is going on.
        total: What will have been done at the end; None where nobody can tell.

    Yields:
        To be called with what is done so far, and the total where it is known only then.
    """
    if not sys.stderr.isatty():
        yield lambda done, total=None: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    parts = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*parts, TimeElapsedColumn(), console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done, total=None: bar.update(task, completed=done, total=total)
