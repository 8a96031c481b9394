"""The command `prices`: what models cost, set and looked up."""

from __future__ import annotations

from pathlib import Path

import click

from duckstore.cli.options import Chosen, database_option, format_option, opened, pass_chosen
from duckstore.cli.output import write_rows
from duckstore.cli.program import note

__all__ = ["prices"]

_PRICES = "from prices order by model, valid_from nulls first, daily_from, above_input_tokens"


@click.command()
@click.option(
    *("--set", "file"),
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    help="Put the prices in FILE (.csv, .json, .jsonl) in the place of your own.",
)
@click.option("--update", is_flag=True, help="Look up all models in the installed genai-prices.")
@database_option
@format_option
@pass_chosen
def prices(chosen: Chosen, file: Path | None, update: bool) -> None:
    """List what models cost; set your own prices, or look all up.

    Prices are of a million tokens, and of one request. Models without one are named on standard
    error. FILE has the columns model, input_price, output_price and, as they are needed,
    cache_read_price, cache_write_price, request_price, currency, valid_from,
    above_input_tokens; an empty one removes your prices.
    """
    from duckstore.pricing import unpriced

    with opened(chosen) as it:
        if file is not None:
            note(f"{it.store.set_prices(file)} prices set")
        if update:
            it.store.update_prices()
        found = it.access.rows(_PRICES)
        unknown = unpriced(it.access)
    for model in unknown:
        note(f"no price is known for {model}")
    write_rows(found, chosen.format)
