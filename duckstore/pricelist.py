"""The price list of the package genai-prices, as rows of the table `price_rows`.

Only its data is used, as it lies on the disk: nothing is fetched here. A model's prices there may
depend on the day, the time of day and the size of the request; here they are laid out as a grid, by
asking the list itself at each corner, so that it alone says which price goes before which. What a
model costs beyond tokens and requests (searches, minutes of sound) is not in it.

The package is imported only when a model is looked up: it takes 0.2 s.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

from duckstore import errors
from duckstore.prices import Price, millionths

if TYPE_CHECKING:
    from decimal import Decimal

    from genai_prices.types import ModelInfo, ModelPrice

__all__ = ["PACKAGE", "list_name", "look_up", "need_list"]

PACKAGE = "genai-prices"

ROUTES = ("litellm/", "any-llm/")
"""What the SDK puts before a name to say by which package the provider is reached."""

PROVIDERS = {"azure_ai": "azure", "fireworks_ai": "fireworks"}
"""Names that LiteLLM has for providers and the list does not know."""

_TOKENS = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")
_FIRST_DAY = date(1970, 1, 1)
_MIDNIGHT = time()


@cache
def list_name() -> str | None:
    """The name and version of the list; None where it is not installed."""
    try:
        return f"{PACKAGE} {metadata.version(PACKAGE)}"
    except metadata.PackageNotFoundError:
        return None


def look_up(name: str) -> list[Price]:
    """The prices of a model; none where the list does not know it, or not what its tokens cost.

    Args:
        name: The model as a response names it: `gpt-4.1-2025-04-14`, `openai/gpt-4.1`,
            `litellm/anthropic/claude-sonnet-4`. What stands before a slash is the provider. Where
            none does, the list decides whose model it is.

    Returns:
        Rows with `name` as their model. Their `price_date` is the day on which the program that
        runs had the list fetched (`genai_prices.UpdatePrices`). The list that comes with the
        package does not tell its day, nor does anything about the installed package: None.

    Raises:
        MissingPackageError: The package is not installed.
    """
    model, day = _find(name)
    if model is None:
        return []
    days, times = _corners(model)
    if days is None:
        return []
    grid = [
        (start, clock, model.get_prices(datetime.combine(start or _FIRST_DAY, clock, UTC)))
        for start in days
        for clock in times
    ]
    if not all(_is_told(price) for _, _, price in grid):
        return []
    return [row for cell in grid for row in _rows(name, *cell, day)]


def need_list() -> str:
    """The name and version of the list. Raises MissingPackageError where it is not installed."""
    name = list_name()
    if name is None:
        raise _missing(PACKAGE)
    return name


def _missing(package: str) -> errors.MissingPackageError:
    return errors.MissingPackageError(
        f"{package} is needed for the prices of models and is not installed: "
        "pip install 'duckstore[prices]'"
    )


def _find(name: str) -> tuple[ModelInfo | None, date | None]:
    """The model in the list, and the list's day."""
    try:
        from genai_prices.data_snapshot import find_provider_by_id, get_snapshot
    except ImportError as error:
        raise _missing(error.name or PACKAGE) from error
    snapshot = get_snapshot()
    day = snapshot.timestamp.date() if snapshot.from_auto_update else None
    for route in ROUTES:
        name = name.removeprefix(route)
    head, _, rest = name.partition("/")
    provider = find_provider_by_id(snapshot.providers, PROVIDERS.get(head, head)) if rest else None
    meant = [(rest, provider.id)] if provider is not None else []
    for model_name, provider_id in (*meant, (name, None)):
        with suppress(LookupError):
            _, model = snapshot.find_provider_model(model_name, None, provider_id, None)
            return model, day
    return None, day


def _corners(model: ModelInfo) -> tuple[list[date | None] | None, list[time]]:
    """The days and the times of day from which another price may hold. No days: nobody knows."""
    days: set[date] = set()
    times = {_MIDNIGHT}
    for price in model.prices if isinstance(model.prices, list) else ():
        constraint: Any = price.constraint
        if constraint is None:
            continue
        if hasattr(constraint, "start_date"):
            days.add(constraint.start_date)
        elif hasattr(constraint, "start_time"):
            times |= {_utc(constraint.start_time), _utc(constraint.end_time)}
        else:
            return None, []
    return [None, *sorted(days)], sorted(times)


def _utc(clock: time) -> time:
    moment = datetime.combine(_FIRST_DAY + timedelta(days=1), clock)
    return (moment if clock.tzinfo is None else moment.astimezone(UTC)).time()


def _is_told(price: ModelPrice) -> bool:
    """Whether the list says what tokens cost; it does too where nothing costs anything.

    A model whose words are paid by the minute, or whose answers are pictures with a price of their
    own, would seem to cost nothing.
    """
    named = {name for name, amount in vars(price).items() if amount is not None}
    if "input_mtok" not in named and any(n.startswith(("input_", "audio_")) for n in named):
        return False
    return "output_mtok" in named or not any(n.startswith(("output_", "audio_")) for n in named)


def _rows(
    name: str, start: date | None, clock: time, price: ModelPrice, day: date | None
) -> Iterator[Price]:
    """A row for each size of a request from which another price holds."""
    amounts = [getattr(price, key) for key in (*_TOKENS, "requests_kcount")]
    sizes = {tier.start for amount in amounts for tier in getattr(amount, "tiers", ())}
    for size in sorted({0, *sizes}):
        input_price, output_price, read, written, requests = (
            _amount(amount, size) for amount in amounts
        )
        yield Price(
            model=name,
            currency="USD",
            valid_from=start,
            daily_from=clock,
            above_input_tokens=size,
            input_price=millionths(input_price) if input_price is not None else 0,
            cache_read_price=millionths(read) if read is not None else None,
            cache_write_price=millionths(written) if written is not None else None,
            output_price=millionths(output_price) if output_price is not None else 0,
            request_price=millionths(requests / 1000) if requests is not None else None,
            price_date=day,
        )


def _amount(amount: Any, size: int) -> Decimal | None:
    """What holds for a request that is just larger: one size decides for all of its tokens."""
    found: Decimal | None = getattr(amount, "base", amount)
    for tier in getattr(amount, "tiers", ()):
        if size >= tier.start:
            found = tier.price
    return found
