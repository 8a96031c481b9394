"""Two branches beside each other, as a person reads them.

1 item in common, the last is 64 user: Tell a joke.

main             second try           distance
────────────────────────────────────────────────
65 assistant     73 assistant             0.83
No.              Knock knock.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from duckstore.cli.output import console
from duckstore.cli.text import fit, visible

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from duckstore.comparison import BranchDiff, DiffItem, DiffRow

__all__ = ["common_words", "write_sides"]

SHOWN_LENGTH = 500
"""How much of a text is shown."""
COMMON_LENGTH = 60
"""How much of the last item in common is."""
ROWS_AT_ONCE = 200
"""So many rows are laid out together: a table is kept whole until it is written."""


def common_words(found: BranchDiff) -> str:
    """How much the two have in common, in a sentence."""
    if found.last_common is None:
        return "no items in common"
    count = "1 item" if found.common_count == 1 else f"{found.common_count} items"
    words = f"{_head(found.last_common)}: {found.last_common.text or ''}"
    return f"{count} in common, the last is {fit(words, COMMON_LENGTH)}"


def write_sides(found: BranchDiff) -> None:
    """Write what two branches have in common, and then what each has after that."""
    from rich.text import Text

    screen = console()
    screen.print(Text(common_words(found) + "\n"))
    for number, rows in enumerate(_blocks(found.rows)):
        table = _table(found, has_head=number == 0)
        for row in rows:
            distance = "" if row.distance is None else f"{row.distance:.2f}"
            table.add_row(_cell(row.left), _cell(row.right), distance)
        screen.print(table)


def _blocks(rows: list[DiffRow]) -> Iterator[list[DiffRow]]:
    for start in range(0, max(len(rows), 1), ROWS_AT_ONCE):
        yield rows[start : start + ROWS_AT_ONCE]


def _table(found: BranchDiff, *, has_head: bool) -> Table:
    """All blocks have the same widths, so that they are one table for the eye."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        header_style="bold",
        expand=True,
        show_header=has_head,
    )
    for name in (found.left, found.right):
        table.add_column(Text(visible(name)), ratio=1, overflow="fold")
    table.add_column("distance", justify="right", width=8)
    return table


def _head(item: DiffItem) -> str:
    """What an item is, on a line."""
    name = item.role or item.item_type or "item"
    if item.agent_name:
        name += f" ({item.agent_name})"
    return f"{item.item_id} {name}"


def _cell(item: DiffItem | None) -> Text:
    from rich.text import Text

    if item is None:
        return Text("")
    style = "green" if item.role == "user" else "cyan" if item.tool_name else "magenta"
    text = visible(item.text or "", lines=True).strip("\n")
    if len(text) > SHOWN_LENGTH:
        text = text[: SHOWN_LENGTH - 1] + "…"
    return Text.assemble((visible(_head(item)), style), "\n", text)
