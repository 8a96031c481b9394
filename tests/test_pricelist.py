"""The price list as rows: the models that are found in it, and its own answers as the oracle."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from random import Random

import genai_prices
import pytest
from genai_prices import types
from genai_prices.data_snapshot import DataSnapshot, get_snapshot, set_custom_snapshot

import duckstore
from duckstore.pricelist import list_name, look_up
from tests.priced import Answer, date_back, respond
from tests.processes import python


def id_of(name: str) -> tuple[int, int] | None:
    """Prices of input and output of a model that has one price; they tell it from others."""
    found = look_up(name)
    return (found[0].input_price, found[0].output_price) if found else None


def listed(provider: str, model: str) -> tuple[int, int]:
    """The same, from the list itself."""
    _, found = get_snapshot().find_provider_model(model, None, provider, None)
    price = found.get_prices(datetime(1970, 1, 1, tzinfo=UTC))
    base = (getattr(p, "base", p) for p in (price.input_mtok, price.output_mtok))
    first, second = (int(amount * 1_000_000) for amount in base if amount is not None)
    return first, second


@pytest.mark.parametrize(
    ("name", "provider", "model"),
    [
        ("gpt-4.1", "openai", "gpt-4.1"),
        ("gpt-4.1-2025-04-14", "openai", "gpt-4.1"),
        ("GPT-4.1", "openai", "gpt-4.1"),
        ("openai/gpt-4.1", "openai", "gpt-4.1"),
        ("litellm/openai/gpt-4.1", "openai", "gpt-4.1"),
        ("litellm/anthropic/claude-sonnet-4", "anthropic", "claude-sonnet-4"),
        ("claude-sonnet-4-20250514", "anthropic", "claude-sonnet-4"),
        ("any-llm/openrouter/openai/gpt-4.1", "openrouter", "openai/gpt-4.1"),
        ("azure/gpt-4o", "azure", "gpt-4o"),
        ("litellm/azure_ai/gpt-4o", "azure", "gpt-4o"),
        ("bedrock/us.anthropic.claude-3-5-sonnet-20241022-v2:0", "anthropic", "claude-3-5-sonnet"),
        ("groq/llama-3.3-70b-versatile", "groq", "llama-3.3-70b-versatile"),
        ("xai/grok-3", "x-ai", "grok-3"),
    ],
)
def test_a_model_is_found_by_the_name_that_a_response_has(
    name: str, provider: str, model: str
) -> None:
    """With the provider before it, the way to it, or the day of its version."""
    assert id_of(name) == listed(provider, model)
    assert {price.model for price in look_up(name)} == {name}


@pytest.mark.parametrize(
    "name",
    [
        *("", "/", "openai/", "litellm/", "no-such-model", "x" * 10_000),
        *("ollama/llama3", "ollama_chat/gpt-oss:20b", "hosted_vllm/meta/llama", "llama3.2:3b"),
        *("openai/no-such-model", "azure/my-deployment", "anthropic/gpt-4.1"),
    ],
)
def test_an_unknown_model_has_no_price(name: str) -> None:
    """A model that runs here is not taken for that of a provider, nor one for another's."""
    assert look_up(name) == []


@pytest.mark.parametrize("name", ["whisper-1", "tts-1", "gpt-live-1", "mistral/mistral-ocr-2512"])
def test_a_model_whose_tokens_have_no_price_is_unknown(name: str) -> None:
    """Minutes, letters and pages cost something, and its tokens must not seem to be free."""
    assert look_up(name) == []


def test_what_is_free_costs_nothing() -> None:
    assert id_of("google/gemma-3") == (0, 0)


def test_the_list_is_named_and_the_bundled_one_has_no_day() -> None:
    """It says nowhere of which day it is, and a guess would be taken for a fact."""
    assert list_name() == f"genai-prices {genai_prices.__version__}"
    assert {price.price_date for price in look_up("gpt-4.1")} == {None}


def test_a_list_that_was_fetched_has_the_day_of_that() -> None:
    """A program may have the package fetch its list; ours never does."""
    fetched = DataSnapshot(
        providers=get_snapshot().providers,
        from_auto_update=True,
        timestamp=datetime(2026, 10, 20, 12),  # naive, as the package's are
    )
    set_custom_snapshot(fetched)
    try:
        assert {price.price_date for price in look_up("gpt-4.1")} == {date(2026, 10, 20)}
    finally:
        set_custom_snapshot(None)


def test_a_list_that_is_not_installed_is_asked_for() -> None:
    code = """
from duckstore import errors
from duckstore.pricelist import look_up
try:
    look_up("gpt-4.1")
except errors.MissingPackageError as error:
    print(error)
"""
    assert python(code, blocked=("genai_prices",)) == (
        "genai_prices is needed for the prices of models and is not installed: "
        "pip install 'duckstore[prices]'"
    )


def test_nothing_is_fetched() -> None:
    """Looking up works where nothing can be connected to."""
    code = """
import socket
def refuse(*arguments, **names):
    raise AssertionError("a socket was connected")
socket.socket.connect = socket.getaddrinfo = refuse
from duckstore.pricelist import look_up
print(len(look_up("gpt-4.1")))
"""
    assert python(code) == "1"


# Shapes that a list may have --------------------------------------------------------------------


@pytest.fixture
def shaped() -> Iterator[types.ModelInfo]:
    """A list with one model, `lab/m`, whose prices a test gives."""
    model = types.ModelInfo(id="m", match=types.ClauseEquals(equals="m"))
    provider = types.Provider(id="lab", name="Lab", api_pattern="https://lab", models=[model])
    set_custom_snapshot(DataSnapshot(providers=[provider], from_auto_update=False))
    yield model
    set_custom_snapshot(None)


def tiered(base: str, **tiers: str) -> types.TieredPrices:
    steps = [types.Tier(start=int(s[1:]), price=Decimal(p)) for s, p in tiers.items()]
    return types.TieredPrices(base=Decimal(base), tiers=steps)


def test_every_size_at_which_any_price_changes_is_a_row(shaped: types.ModelInfo) -> None:
    """Input, output and cached tokens may have tiers of their own."""
    shaped.prices = types.ModelPrice(
        input_mtok=tiered("1", _100="2", _300="3"),
        output_mtok=tiered("4", _200="5"),
        cache_read_mtok=Decimal("0.5"),
        requests_kcount=Decimal("5"),
    )
    assert [
        (p.above_input_tokens, p.input_price, p.output_price, p.cache_read_price, p.request_price)
        for p in look_up("lab/m")
    ] == [
        (0, 1_000_000, 4_000_000, 500_000, 5000),
        (100, 2_000_000, 4_000_000, 500_000, 5000),
        (200, 2_000_000, 5_000_000, 500_000, 5000),
        (300, 3_000_000, 5_000_000, 500_000, 5000),
    ]


def test_days_and_times_of_day_are_a_grid(shaped: types.ModelInfo) -> None:
    """Which of two constraints goes before the other is what the list itself answers."""

    def price(amount: int) -> types.ModelPrice:
        return types.ModelPrice(input_mtok=Decimal(amount), output_mtok=Decimal(amount))

    morning = types.TimeOfDateConstraint(
        start_time=time(8, tzinfo=UTC), end_time=time(13, tzinfo=timezone(timedelta(hours=3)))
    )
    start = types.StartDateConstraint(date(2026, 3, 1))
    shaped.prices = [
        types.ConditionalPrice(prices=price(1)),
        types.ConditionalPrice(constraint=morning, prices=price(2)),
        types.ConditionalPrice(constraint=start, prices=price(3)),
    ]
    assert [(p.valid_from, p.daily_from, p.input_price // 1_000_000) for p in look_up("lab/m")] == [
        (None, time(0), 1),
        (None, time(8), 2),
        (None, time(10), 1),
        (date(2026, 3, 1), time(0), 3),
        (date(2026, 3, 1), time(8), 3),
        (date(2026, 3, 1), time(10), 3),
    ]


def test_a_condition_that_nobody_knows_makes_the_model_unknown(shaped: types.ModelInfo) -> None:
    """A later list may have prices by the day of the week; a wrong one is worse than none."""
    shaped.prices = [types.ConditionalPrice(prices=types.ModelPrice(input_mtok=Decimal(1)))]
    assert len(look_up("lab/m")) == 1
    shaped.prices[0].constraint = object()  # type: ignore[assignment]
    assert look_up("lab/m") == []


def test_pictures_with_a_price_of_their_own_are_not_free_words(shaped: types.ModelInfo) -> None:
    """What such an answer costs cannot be told from the number of its tokens."""
    shaped.prices = types.ModelPrice(input_mtok=Decimal(1), output_image_mtok=Decimal(40))
    assert look_up("lab/m") == []
    shaped.prices = types.ModelPrice(input_mtok=Decimal(1), web_searches_kcount=Decimal(10))
    assert id_of("lab/m") == (1_000_000, 0)


# The oracle -------------------------------------------------------------------------------------

SIZES = (0, 1, 999, 32_001, 100_000, 100_001, 128_001, 199_999, 200_000, 200_001, 256_001)
LARGE = (272_000, 272_001, 512_001, 524_289, 1_000_003)


def moments(model: types.ModelInfo) -> list[datetime]:
    """Just at and just before each moment at which a price changes, and one besides."""
    found = [datetime(2026, 1, 15, 12, 34, 56, 789, tzinfo=UTC)]
    for price in model.prices if isinstance(model.prices, list) else ():
        if isinstance(price.constraint, types.StartDateConstraint):
            found.append(datetime.combine(price.constraint.start_date, time(), UTC))
        elif price.constraint is not None:
            clocks = (price.constraint.start_time, price.constraint.end_time)
            found += [datetime.combine(date(2026, 9, 20), clock) for clock in clocks]
    return [*found, *(at - timedelta(microseconds=1) for at in found[1:])]


def cases(dice: Random) -> Iterator[tuple[str, str, list[Answer]]]:
    """Provider, model and responses: every model whose price depends on something, and others."""
    for provider in get_snapshot().providers:
        for model in provider.models:
            name = f"{provider.id}/{model.id}"
            prices = look_up(name)
            if not prices or (len(prices) == 1 and dice.random() > 0.15):
                continue
            answers = []
            for at in moments(model):
                for size in dice.sample(SIZES, 2) + dice.sample(LARGE, 2):
                    read = dice.choice([0, size // 2, size])
                    created = dice.choice([0, (size - read) // 3])
                    output = dice.choice([0, 1, 7, 50_001])
                    answers.append(Answer(name, size, output, read, created, at))
            yield provider.id, model.id, answers


def is_whole(price: types.ModelPrice) -> bool:
    """Whether its amounts are whole millionths, as all are but a few that another program made."""
    tiers = [getattr(amount, "tiers", ()) for amount in vars(price).values()]
    amounts = [getattr(a, "base", a) for a in vars(price).values() if a is not None]
    amounts += [tier.price for found in tiers for tier in found]
    return all(not amount * 1_000_000 % 1 for amount in amounts)


def test_costs_are_what_the_list_calculates(path: Path) -> None:
    """Tiers, cached tokens, days and times of day, to the nearest millionth of a dollar."""
    expected: list[tuple[Answer, Decimal, bool]] = []
    with duckstore.open(path) as store:
        for provider, model, answers in cases(Random(7)):
            respond(store, f"{provider}/{model}", answers)
            for answer in answers:
                usage = genai_prices.Usage(
                    input_tokens=answer.input_tokens,
                    output_tokens=answer.output_tokens,
                    cache_read_tokens=answer.read,
                    cache_write_tokens=answer.created,
                )
                found = genai_prices.calc_price(
                    usage, model, provider_id=provider, genai_request_timestamp=answer.at
                )
                whole = is_whole(found.model_price)
                expected.append((answer, found.total_price * 1_000_000, whole))
    assert len(expected) > 1000
    date_back(path, [answer for answer, _, _ in expected])
    with duckstore.open(path) as store:
        costs = store.sql("select model, total_cost from costs order by response_id").rows()
    for (answer, exact, whole), (model, cost) in zip(expected, costs, strict=True):
        assert model == answer.model
        # A price of 0.08333333333333334 is rounded before it is multiplied.
        tokens = 0 if whole else answer.input_tokens + answer.output_tokens
        assert abs(cost - exact) <= Decimal("0.5") + Decimal(tokens) / 2_000_000, answer


def test_the_oracle_sees_every_kind_of_price() -> None:
    """Or it would prove less than it says."""
    every = [prices for p, m, a in cases(Random(7)) for prices in look_up(f"{p}/{m}")]
    assert any(price.valid_from for price in every)
    assert any(price.daily_from != time() for price in every)
    assert any(price.above_input_tokens for price in every)
    assert any(price.request_price for price in every)
    assert any(price.cache_write_price is None and price.cache_read_price for price in every)
