"""What responses cost: where prices come from, which of them hold, and that they last."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars
import pytest

import duckstore
from duckstore import Store, errors, faults
from duckstore.pricelist import list_name
from duckstore.pricing import asks_for_prices
from tests.owner import Keeper
from tests.priced import Answer, date_back, respond
from tests.processes import ROOT, python

# 800 * 2 + 200 * 0.5 + 100 * 8 dollars for a million.
GPT = Answer("gpt-4.1", 1000, 100, read=200)
GPT_COST = 2500
OTHER = Answer("my-model", 1000, 100, read=200)


def mine(**values: Any) -> dict[str, Any]:
    return {"model": "my-model", "input_price": 3, "output_price": 10, **values}


def costs(store: Store) -> dict[str | None, int | None]:
    """The cost of all responses of each model."""
    frame = store.sql("select model, sum(total_cost)::bigint as cost from costs group by model")
    return dict(frame.rows())


@pytest.fixture
def unlisted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where genai-prices is not installed."""
    monkeypatch.setattr("duckstore.pricing.list_name", lambda: None)


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The models that are looked up, in order."""
    names: list[str] = []
    real = duckstore.pricelist.look_up

    def look_up(name: str) -> Any:
        names.append(name)
        return real(name)

    monkeypatch.setattr("duckstore.pricing.look_up", look_up)
    return names


@contextmanager
def failing(step: str) -> Iterator[None]:
    """Make a step of writing fail."""

    def fail(reached: str) -> None:
        if reached == step:
            raise OSError("no room")

    faults.observe(fail)
    try:
        yield
    finally:
        faults.observe(None)


# Where prices come from -------------------------------------------------------------------------


def test_a_question_about_costs_finds_the_prices(store: Store) -> None:
    """Nobody has to do anything, and a model that comes later is found later."""
    respond(store, "a", [GPT])
    assert costs(store) == {"gpt-4.1": GPT_COST}
    respond(store, "b", [Answer("openai/gpt-4.1-mini", 1_000_000, 0)])
    assert costs(store) == {"gpt-4.1": GPT_COST, "openai/gpt-4.1-mini": 400_000}
    assert store.sql("select distinct price_source from costs").item() == list_name()


@pytest.mark.parametrize("way", ["sql", "query", "scan", "export", "rows"])
def test_every_way_to_ask_finds_the_prices(store: Store, tmp_path: Path, way: str) -> None:
    respond(store, "a", [GPT])
    match way:
        case "sql":
            found = store.sql("SELECT total_cost FROM Costs").item()
        case "query":
            found = store.query("usage_by_model")["total_cost"].item()
        case "scan":
            found = store.scan("costs").collect()["total_cost"].item()
        case "export":
            store.export_parquet(tmp_path)
            found = polars.read_parquet(tmp_path / "costs")["total_cost"].item()
        case _:
            found = store._access.rows("select total_cost from costs").rows[0][0]
    assert found == GPT_COST


@pytest.mark.parametrize(
    ("sql", "does_ask"),
    [
        ("from costs", True),
        ('select * from "Costs"', True),
        ("from prices", True),
        ("from price_rows", False),
        ("select costs_of from runs", False),
    ],
)
def test_only_who_asks_about_costs_waits_for_prices(sql: str, does_ask: bool) -> None:
    assert asks_for_prices(sql) == does_ask


def test_a_client_finds_and_sets_prices_too(both: tuple[Store, Store]) -> None:
    """Whether this process has the file or another one."""
    for store in both:
        respond(store, "a", [GPT])
        respond(store, "b", [OTHER])
        assert costs(store) == {"gpt-4.1": GPT_COST, "my-model": None}
        assert store.update_prices() == ["my-model"]
        assert store.set_prices([mine()]) == 1
        assert costs(store) == {"gpt-4.1": GPT_COST, "my-model": 4000}
        assert store.update_prices() == []
        assert store.check() == []


def test_the_list_is_needed_only_where_one_asks(keeper: Keeper, path: Path) -> None:
    """The process that has the file open may do without the package."""
    keeper.open(path)
    keeper.run("import sys; sys.modules['genai_prices'] = None")
    with duckstore.open(path) as store:
        assert not store._access.is_owner
        respond(store, "a", [GPT])
        assert costs(store) == {"gpt-4.1": GPT_COST}
    keeper.close(path)


def test_an_unknown_model_is_looked_up_once(store: Store, looked_up: list[str]) -> None:
    """One process does not look for it again and again; asking to does."""
    respond(store, "a", [OTHER])
    for _ in range(3):
        assert costs(store) == {"my-model": None}
    respond(store, "b", [GPT])
    for _ in range(3):
        assert costs(store) == {"gpt-4.1": GPT_COST, "my-model": None}
    assert looked_up == ["my-model", "gpt-4.1"]
    assert store.update_prices() == ["my-model"]
    assert sorted(looked_up[2:]) == ["gpt-4.1", "my-model"]


def test_another_version_of_the_list_is_taken_over(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prices of the old one go, those of models that the new one does not know too."""
    respond(store, "a", [GPT])
    respond(store, "b", [Answer("o3", 1_000_000, 0)])
    assert costs(store) == {"gpt-4.1": GPT_COST, "o3": 2_000_000}
    real = duckstore.pricelist.look_up
    monkeypatch.setattr("duckstore.pricing.list_name", lambda: "genai-prices 99")
    monkeypatch.setattr("duckstore.pricing.look_up", lambda n: [] if n == "o3" else real(n))
    assert costs(store) == {"gpt-4.1": GPT_COST, "o3": None}
    assert store.sql("select model, price_source from prices").rows() == [
        ("gpt-4.1", "genai-prices 99")
    ]
    assert store.query("unpriced_models")["model"].to_list() == ["o3"]


@pytest.mark.usefixtures("unlisted")
def test_without_the_list_costs_are_null(store: Store) -> None:
    """It is no error to ask, only to look up; the user's own prices do without."""
    respond(store, "a", [GPT])
    assert costs(store) == {"gpt-4.1": None}
    store.set_prices([mine(model="gpt-4.1")])
    assert costs(store) == {"gpt-4.1": 4000}


def test_without_the_package_looking_up_says_what_to_install(path: Path) -> None:
    """Also where the installed package cannot be imported."""
    with duckstore.open(path) as store:
        respond(store, "a", [GPT])
    code = f"""
import duckstore
with duckstore.open({str(path)!r}) as store:
    print(store._access.rows("select model, total_cost from costs").rows)
    try:
        store.update_prices()
    except duckstore.errors.MissingPackageError as error:
        print(error)
"""
    rows, text = python(code, blocked=("genai_prices",)).splitlines()
    assert rows == "[('gpt-4.1', None)]"
    assert text.endswith("is not installed: pip install 'duckstore[prices]'")


def test_need_of_the_list(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store without any model needs it too, when it is to be looked up in."""
    monkeypatch.setattr("duckstore.pricelist.list_name", lambda: None)
    with pytest.raises(errors.MissingPackageError, match=r"genai-prices .*duckstore\[prices\]"):
        store.update_prices()


def test_a_store_that_is_only_read_has_the_prices_it_has(path: Path) -> None:
    """Costs of models that came since are NULL; nothing is written."""
    with duckstore.open(path) as store:
        respond(store, "a", [GPT])
        assert costs(store) == {"gpt-4.1": GPT_COST}
        respond(store, "b", [Answer("o3")])
    before = path.read_bytes()
    with duckstore.open(path, read_only=True) as store:
        assert costs(store) == {"gpt-4.1": GPT_COST, "o3": None}
        for change in (store.update_prices, lambda: store.set_prices([])):
            with pytest.raises(errors.StoreReadOnlyError):
                change()
    assert path.read_bytes() == before


# Which prices hold ------------------------------------------------------------------------------


def test_the_users_prices_win(store: Store) -> None:
    """Where a model has any of the user's, the list's do not count, on no day and at no size."""
    respond(store, "a", [GPT])
    respond(store, "b", [Answer("gemini-2.5-pro", 300_000, 0)])
    assert costs(store) == {"gpt-4.1": GPT_COST, "gemini-2.5-pro": 750_000}
    assert store.sql("select count(*) from prices where model = 'gemini-2.5-pro'").item() == 2
    store.set_prices([mine(model="gemini-2.5-pro", input_price=1)])
    assert costs(store) == {"gpt-4.1": GPT_COST, "gemini-2.5-pro": 300_000}
    assert store.sql("select price_source, price_date from prices order by model").rows() == [
        ("user", datetime.now(UTC).date()),
        (list_name(), None),
    ]
    assert store.update_prices() == []
    assert costs(store) == {"gpt-4.1": GPT_COST, "gemini-2.5-pro": 300_000}
    assert store.set_prices([]) == 0
    assert costs(store) == {"gpt-4.1": GPT_COST, "gemini-2.5-pro": 750_000}


@pytest.mark.usefixtures("unlisted")
def test_new_prices_take_the_place_of_all_earlier_ones(store: Store) -> None:
    """What is wrong in them leaves those that were there."""
    respond(store, "a", [OTHER])
    assert store.set_prices([mine(), mine(model="other")]) == 2
    with pytest.raises(errors.ArgumentError, match="row 2"):
        store.set_prices([mine(input_price=4), mine(model="x", input_price="?")])
    assert store.sql("select model from prices order by model")["model"].to_list() == [
        "my-model",
        "other",
    ]
    assert store.set_prices([mine(input_price=4)]) == 1
    assert store.sql("select model, input_price from prices").rows() == [("my-model", 4.0)]
    assert costs(store) == {"my-model": 5000}


@pytest.mark.usefixtures("unlisted")
def test_each_kind_of_token_has_its_price(store: Store) -> None:
    """Cached tokens are among the input tokens, and are paid for once, at their own price."""
    respond(store, "a", [Answer("my-model", 1000, 100, read=600, created=300)])
    columns = "input_cost, cache_read_cost, cache_write_cost, output_cost, request_cost"

    def parts(**prices: Any) -> list[tuple[Any, ...]]:
        store.set_prices([mine(**prices)])
        return store.sql(f"select {columns}, total_cost from costs").rows()

    assert parts() == [(300, 1800, 900, 1000, 0, 4000)]
    assert parts(cache_read_price="0.3") == [(300, 180, 900, 1000, 0, 2380)]
    assert parts(cache_read_price=0, cache_write_price=4) == [(300, 0, 1200, 1000, 0, 2500)]
    assert parts(request_price="0.005") == [(300, 1800, 900, 1000, 5000, 9000)]


@pytest.mark.usefixtures("unlisted")
@pytest.mark.parametrize(("read", "cost"), [(2000, 4_000_000_000_000), (2**63 - 1, None)])
def test_more_cached_tokens_than_input_are_not_paid_back(
    store: Store, read: int, cost: int | None
) -> None:
    """A provider that tells nonsense neither makes costs negative nor closes the relation."""
    respond(store, "a", [Answer("my-model", 1000, 0, read=read, created=read)])
    store.set_prices([mine(input_price=10**9)])
    row = store.sql("select input_cost, total_cost from costs").row(0)
    assert row == (0, cost)


@pytest.mark.usefixtures("unlisted")
def test_the_total_is_rounded_once(store: Store) -> None:
    """Halves go up; parts that are rounded by themselves may add up to something else."""
    respond(store, "a", [Answer("my-model", 3, 1, read=1, created=1)])
    store.set_prices([mine(input_price="0.5", output_price="0.5")])
    parts = "input_cost, cache_read_cost, cache_write_cost, output_cost"
    assert store.sql(f"select {parts}, total_cost from costs").row(0) == (1, 1, 1, 1, 2)


@pytest.mark.usefixtures("unlisted")
def test_a_price_holds_from_its_day_on(path: Path) -> None:
    """Days are those of UTC, whatever the clock of who asks; before the first day there is none."""
    midnight = datetime(2026, 3, 1, tzinfo=UTC)
    instant = timedelta(microseconds=1)
    times = [
        midnight - timedelta(days=400),
        midnight - instant,
        midnight,
        datetime(2026, 4, 1, tzinfo=UTC) - instant,
        datetime(2026, 4, 1, tzinfo=UTC),
        datetime(2027, 1, 1, tzinfo=UTC),
    ]
    answers = [Answer("my-model", 1_000_000, 0, at=at) for at in times]
    with duckstore.open(path) as store:
        respond(store, "a", answers)
        store.set_prices(
            [
                mine(input_price=1, valid_from="2026-03-01"),
                mine(input_price=2, valid_from=date(2026, 4, 1), currency="EUR"),
            ]
        )
    date_back(path, answers)
    asked = "select total_cost, currency from costs order by created_at"
    expected = [(None, None)] * 2 + [(1_000_000, "USD")] * 2 + [(2_000_000, "EUR")] * 2
    with duckstore.open(path) as store:
        assert store.sql(asked).rows() == expected
        assert store.query("unpriced_models").select("model", "response_count").rows() == [
            ("my-model", 2)
        ]
    with duckdb.connect(str(path), read_only=True) as other:
        other.execute("set TimeZone = 'America/New_York'")
        assert other.execute(asked).fetchall() == expected


@pytest.mark.usefixtures("unlisted")
def test_a_large_request_costs_its_price_for_all_tokens(store: Store) -> None:
    """A threshold is passed by more tokens than it says, and is that of the same day."""
    sizes = (0, 1, 100, 101, 200, 201)
    respond(store, "a", [Answer("my-model", size, 1_000_000) for size in sizes])
    store.set_prices(
        [
            mine(output_price=1),
            mine(output_price=2, above_input_tokens=100),
            mine(output_price=3, above_input_tokens=200),
        ]
    )
    asked = "select output_cost from costs order by response_id"
    assert store.sql(asked)["output_cost"].to_list() == [
        amount * 1_000_000 for amount in (1, 1, 1, 2, 2, 3)
    ]
    frame = store.sql("select above_input_tokens, up_to_input_tokens from prices order by all")
    assert frame.rows() == [(0, 100), (100, 200), (200, None)]


@pytest.mark.usefixtures("unlisted")
def test_tokens_of_several_requests_are_no_large_request(path: Path) -> None:
    """Where one row stands for several, their mean size decides, and each request is paid."""
    with duckstore.open(path) as store:
        respond(store, "a", [Answer("my-model", 300, 0)])
        store.set_prices(
            [mine(input_price=1, request_price=1), mine(input_price=9, above_input_tokens=100)]
        )
    with duckdb.connect(str(path)) as connection:
        connection.execute("update response_rows set request_count = 3")
    with duckstore.open(path) as store:
        assert store.sql("select total_cost from costs").item() == 3_000_300


def test_a_price_by_the_time_of_day(path: Path) -> None:
    """The list has such prices; the relation shows from when to when each of them holds."""
    with duckstore.open(path) as store:
        respond(store, "a", [Answer("deepseek-chat")])
        frame = store.sql("select daily_from, daily_until from prices order by daily_from")
        clocks = [row[0] for row in frame.rows()]
        assert clocks[0] == "00:00"
        assert [row[1] for row in frame.rows()] == [*clocks[1:], "00:00"]
        assert costs(store)["deepseek-chat"]


@pytest.mark.usefixtures("unlisted")
def test_what_is_not_known_has_no_cost(path: Path) -> None:
    """No model, no price or no tokens: NULL, which no sum takes for 0."""
    with duckstore.open(path) as store:
        respond(store, "a", [OTHER])
        respond(store, "b", [Answer(None)])
        respond(store, "c", [OTHER])
        store.set_prices([mine()])
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "update response_rows set input_tokens = null, cache_read_input_tokens = null,"
            " cache_write_input_tokens = null, output_tokens = null"
            " where response_id = (select max(response_id) from response_rows)"
        )
    with duckstore.open(path) as store:
        frame = store.sql(
            "select model, input_tokens, currency, cache_read_cost, total_cost from costs"
            " order by response_id"
        )
        assert frame.rows() == [
            ("my-model", 1000, "USD", 600, 4000),
            (None, 1000, None, None, None),
            ("my-model", None, "USD", None, None),
        ]
        assert store.query("unpriced_models")["model"].to_list() == [None]


def test_a_response_without_model_and_tokens_is_not_there(store: Store) -> None:
    store.conversation("s").add([{"role": "user", "content": "?"}])
    store.conversation("s").add([{"role": "assistant", "content": "!"}])
    assert store.sql("select count(*) from costs").item() == 0


def test_costs_count_what_was_superseded_apart(store: Store) -> None:
    """An answer that an edit replaced was paid for, and is told from those on the path."""
    respond(store, "a", [GPT, GPT])
    store.conversation("a").pop()
    assert store.sql("select is_current, is_archived from costs order by all").rows() == [
        (False, False),
        (True, False),
    ]


# That they last ---------------------------------------------------------------------------------


def test_prices_survive_reopening_compaction_and_backup(path: Path, tmp_path: Path) -> None:
    with duckstore.open(path) as store:
        respond(store, "a", [GPT])
        respond(store, "b", [OTHER])
        store.set_prices([mine()])
        expected = costs(store)
        prices = store.sql("from prices order by model").rows()
        store.backup(tmp_path / "copy.duckdb")
        store.compact()
        assert (costs(store), store.sql("from prices order by model").rows()) == (expected, prices)
    for name in (path, tmp_path / "copy.duckdb"):
        with duckstore.open(name) as store:
            assert store.sql("from prices order by model").rows() == prices
            assert costs(store) == expected
            assert store.check() == []


def test_prices_of_a_purged_store_stay(store: Store) -> None:
    """They belong to no session, and say nothing of one but the name of its model."""
    respond(store, "a", [OTHER])
    store.set_prices([mine()])
    store.purge("a")
    store.compact()
    assert store.sql("select model from prices")["model"].to_list() == ["my-model"]


def test_what_was_set_is_in_the_file_when_it_is_acknowledged(path: Path, tmp_path: Path) -> None:
    """Without the log of DuckDB too, which may be lost in a crash: the journal has no prices."""
    with duckstore.open(path) as store:
        respond(store, "a", [OTHER])
        store.set_prices([mine()])
        respond(store, "b", [OTHER])
        for name in (path, path.with_name(path.name + ".journal")):
            # Opening it here would take DuckDB's lock away.
            subprocess.run(["cp", name, tmp_path / f"copy{name.name[6:]}"], check=True)
    with duckstore.open(tmp_path / "copy.duckdb") as store:
        assert costs(store) == {"my-model": 8000}


# Sets prices once and once more, and is killed at a step of the second time.
KILLED = """
import os, signal, sys
import duckstore
from duckstore import faults

path, step = sys.argv[1:]
store = duckstore.open(path)
price = {"model": "my-model", "input_price": 3, "output_price": 10}
store.set_prices([price])

def observer(reached):
    if reached == step:
        os.kill(os.getpid(), signal.SIGKILL)

faults.observe(observer)
store.set_prices([price | {"input_price": 4}])
"""


@pytest.mark.parametrize(
    ("step", "cost"),
    [("fold.begin", 4000), ("fold.commit", 4000)]
    + [(step, 5000) for step in ("fold.committed", "checkpoint.begin", "checkpoint.done")],
)
def test_a_crash_leaves_old_or_new_prices(path: Path, step: str, cost: int) -> None:
    """Whichever it is, all of them."""
    with duckstore.open(path) as store:
        respond(store, "a", [OTHER])
    done = subprocess.run([sys.executable, "-c", KILLED, path, step], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    with duckstore.open(path) as store:
        assert costs(store) == {"my-model": cost}
        assert store.check() == []


def test_a_write_that_fails_leaves_the_old_prices(path: Path) -> None:
    """The caller is told, and the next call mends it."""
    with duckstore.open(path) as store:
        respond(store, "a", [OTHER])
        store.set_prices([mine()])
        with (
            failing("fold.commit"),
            pytest.raises(errors.StoreWriteError, match=r"not stored: no room\. Make room"),
        ):
            store.set_prices([mine(input_price=4)])
        assert costs(store) == {"my-model": 4000}
        store.set_prices([mine(input_price=5)])
        assert costs(store) == {"my-model": 6000}
    with duckstore.open(path) as store:
        assert costs(store) == {"my-model": 6000}


def test_a_log_that_cannot_be_merged_now_is_merged_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Questions at work may keep DuckDB from it: the prices are stored all the same."""
    monkeypatch.setattr("duckstore.upkeep.DELETION_SECONDS", 0.2)
    with duckstore.open(path) as store:
        respond(store, "a", [OTHER])
        store.sql("from items")
        with failing("checkpoint.begin"):
            store.set_prices([mine()])
            assert store._access.engine._file.log_size > 0
        assert costs(store) == {"my-model": 4000}
        deadline = time.monotonic() + 10
        while store._access.engine._file.log_size and time.monotonic() < deadline:
            time.sleep(0.05)
        assert store._access.engine._file.log_size == 0
        assert costs(store) == {"my-model": 4000}


def test_a_question_is_answered_where_prices_cannot_be_written(path: Path) -> None:
    """Costs are NULL then, and are there when they can be."""
    with duckstore.open(path) as store:
        respond(store, "a", [GPT])
        store.sql("from items")
        with failing("fold.commit"):
            assert costs(store) == {"gpt-4.1": None}
        assert costs(store) == {"gpt-4.1": GPT_COST}


def test_prices_are_set_while_others_ask_and_write(store: Store) -> None:
    """Every answer is by one list or the other, never by both or neither."""
    respond(store, "a", [OTHER])
    store.set_prices([mine()])
    found: list[Any] = []

    def ask() -> None:
        for number in range(20):
            store.conversation("b").add([{"role": "user", "content": str(number)}])
            found.append(costs(store)["my-model"])

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(20):
        store.set_prices([mine(input_price=3 + number % 2)])
    for thread in threads:
        thread.join()
    assert len(found) == 60
    assert set(found) <= {4000, 5000}
    assert store.check() == []


def test_prices_that_are_set_while_the_store_closes_are_stored(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asked before the end is not left waiting for ever."""
    store = duckstore.open(path)
    respond(store, "a", [OTHER])
    store.sql("from items")
    folding = store._access.engine._folding
    reached, go, tidy = threading.Event(), threading.Event(), folding.upkeep.tidy

    def wait() -> None:
        reached.set()
        go.wait(10)
        tidy()

    monkeypatch.setattr(folding.upkeep, "tidy", wait)
    store.set_prices([mine()])
    assert reached.wait(10)
    late = [mine(input_price=4)]
    threads = [threading.Thread(target=store.set_prices, args=(late,), daemon=True)]
    threads += [threading.Thread(target=store._access.close, daemon=True)]
    for thread, has_begun in zip(threads, ("_tasks", "_is_ended"), strict=True):
        thread.start()
        while not getattr(folding, has_begun):
            time.sleep(0.01)
    go.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    with duckstore.open(path) as store:
        assert costs(store) == {"my-model": 5000}


def test_prices_from_a_file_of_ten_thousand(store: Store, tmp_path: Path) -> None:
    """A whole list of one's own is read and stored in a few seconds."""
    rows = [mine(model=f"model-{number}") for number in range(10_000)]
    (tmp_path / "all.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert store.set_prices(tmp_path / "all.jsonl") == 10_000
    assert store.sql("select count(distinct model) from prices").item() == 10_000
