"""A second export writes what has changed and nothing else, and ends as a first one would."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

import duckstore
from duckstore import Store
from duckstore.exporting import plan
from duckstore.schema import RELATIONS
from duckstore.telemetry import Seen, SeenOutcome
from duckstore.usage import Usage
from tests.clock import Clock
from tests.exported import (
    PRICE,
    assert_is_live,
    assert_is_sound,
    changed,
    contents,
    every_text,
    parts,
    relations_of,
    seals,
    session_ids,
    spread,
    stored,
    watched,
)
from tests.priced import Answer, respond
from tests.samples import assistant, user

SESSIONS = ("a", "b", "c", "d", "e")


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part is full with four items, so that five sessions of two lie in three."""
    monkeypatch.setattr(plan, "PART_ITEMS", 4)


@pytest.fixture
def five(store: Store, small_parts: None, tmp_path: Path) -> Iterator[tuple[Store, Path]]:
    """Five sessions in three parts, exported."""
    for name in SESSIONS:
        store.conversation(name).add([user(f"hello from {name}"), assistant(f"hello {name}")])
    folder = tmp_path / "out"
    store.export_parquet(folder)
    assert numbers(folder) == [0, 1, 2]
    yield store, folder
    assert_is_live(store, folder)


def numbers(folder: Path, relation: str = "items") -> list[int]:
    return [int(name[-13:-8]) for name in parts(folder, relation)]


def exported(store: Store, folder: Path, **options: Any) -> tuple[set[int], set[str]]:
    """Export, and tell which parts and which relations have files that were written or removed."""
    before = seals(folder)
    report = store.export_parquet(folder, **options)
    names = changed(before, seals(folder))
    assert report.is_changed is bool(names - {"manifest.json"})
    assert ("manifest.json" in names) is report.is_changed
    files = names - {"manifest.json"}
    return {int(name[-13:-8]) for name in files}, relations_of(files)


# Nothing -----------------------------------------------------------------------------------------


def test_nothing_is_written_where_nothing_has_changed(five: tuple[Store, Path]) -> None:
    """Neither a file nor a time of one, the manifest's included."""
    store, folder = five
    before = seals(folder)
    for _ in range(2):
        report = store.export_parquet(folder)
        assert (report.is_changed, report.written_count, report.removed_count) == (False, 0, 0)
        assert seals(folder) == before


def test_every_kind_of_export_is_idempotent(store: Store, tmp_path: Path) -> None:
    watched(store, "watched")
    store.conversation("orders").add([user("one")])
    for name, options in {
        "full": {},
        "some": {"sessions": ["orders"], "since": datetime(2026, 1, 1, tzinfo=UTC)},
        "hashed": {"text": False, "partition_by": None},
        "redacted": {"redact": ["email", str.upper]},
    }.items():
        store.export_parquet(tmp_path / name, **options)  # type: ignore[arg-type]
        before = seals(tmp_path / name)
        assert not store.export_parquet(tmp_path / name, **options).is_changed  # type: ignore[arg-type]
        assert seals(tmp_path / name) == before, name


# Something ---------------------------------------------------------------------------------------


def test_a_new_session_makes_the_last_part_new(five: tuple[Store, Path]) -> None:
    """Or one more, where that is full."""
    store, folder = five
    store.conversation("f").add([user("hello"), assistant("hi")])
    assert exported(store, folder)[0] == {2}
    store.conversation("g").add([user("hello")])
    assert exported(store, folder)[0] == {3}


CHANGES: dict[str, Any] = {
    "item": lambda s: s.conversation("c").add([user("more")]),
    "pop": lambda s: s.conversation("c").pop(),
    "edit": lambda s: s.conversation("c").edit(1, "hello again"),
    "regeneration": lambda s: s.conversation("c").regenerate(),
    "branch": lambda s: s.conversation("c").branch("other", at={"position": 1}),
    "title": lambda s: s.update_session("c", title="a title"),
    "metadata": lambda s: s.update_session("c", metadata={"plan": "pro"}),
    "compaction": lambda s: s.conversation("c").replace_all([user("in short")]),
    "clear": lambda s: s.conversation("c").clear(),
    "outcome": lambda s: s.conversation("c").add(
        [user("go")], Seen(outcome=SeenOutcome("completed"))
    ),
}
# What of a session has other rows then; what is not named here may have.
SURELY: dict[str, set[str]] = {
    "item": {"items", "messages", "runs", "sessions", "branch_items", "history"},
    "pop": {"items", "messages", "runs", "branch_items", "history"},
    "edit": {"items", "runs", "branches", "branch_items", "history", "edit_points"},
    "regeneration": {"items", "history"},
    "branch": {"branches", "branch_items", "history"},
    "title": {"sessions"},
    "metadata": {"sessions"},
    "compaction": {"items", "branches", "history"},
    "clear": {"items", "messages", "runs", "branch_items", "sessions"},
    "outcome": {"outcomes", "runs", "items"},
}
ONLY = {"title": {"sessions"}, "metadata": {"sessions"}}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_makes_its_part_new_and_no_other(kind: str, five: tuple[Store, Path]) -> None:
    """And of that the relations that have other rows."""
    store, folder = five
    CHANGES[kind](store)
    part, relations = exported(store, folder)
    assert part == {1}
    assert relations >= SURELY[kind]
    assert relations <= ONLY.get(kind, set(RELATIONS) - {"prices"})
    assert not store.export_parquet(folder).is_changed


def test_the_name_of_a_branch(five: tuple[Store, Path]) -> None:
    store, folder = five
    store.conversation("a").branch("first", at={"position": 1})
    store.export_parquet(folder)
    store.conversation("a").rename("first", "second")
    part, relations = exported(store, folder)
    assert (part, relations & {"branches", "items"}) == ({0}, {"branches"})


def test_what_is_seen_of_a_run_later(five: tuple[Store, Path]) -> None:
    """Usage that is recorded after the fact, when its items had been exported."""
    store, folder = five
    before = stored(folder, "responses")
    usage = Usage(request_count=1, input_tokens=7, output_tokens=1, total_tokens=8)
    key = store.sql("select response_id as r from responses where session_id = 'd'")["r"][0]
    store._access.engine.change(
        lambda cursor: cursor.execute(
            "insert into response_rows (response_id, session_key, item_id, run_id, input_tokens)"
            " select item_id, session_key, item_id, run_id, ? from item_rows where item_id = ?",
            [usage.input_tokens, key],
        )
    )
    part, relations = exported(store, folder)
    assert part == {1}
    assert relations == {"responses", "runs", "costs"}
    assert stored(folder, "responses") != before


def test_new_prices_change_prices_and_costs_alone(store: Store, tmp_path: Path) -> None:
    respond(store, "a", [Answer("desk-1")])
    store.export_parquet(tmp_path / "out")
    store.set_prices([PRICE])
    before = seals(tmp_path / "out")
    assert store.export_parquet(tmp_path / "out").is_changed
    after = seals(tmp_path / "out")
    assert relations_of(changed(before, after)) == {"prices", "costs"}
    assert_is_live(store, tmp_path / "out")
    store.set_prices([])
    store.export_parquet(tmp_path / "out")
    assert_is_live(store, tmp_path / "out")


# What goes ---------------------------------------------------------------------------------------


def _purge(store: Store) -> None:
    assert store.purge("secret")


def _clear(store: Store) -> None:
    store.conversation("secret").clear()


def _purge_item(store: Store) -> None:
    talk = store.conversation("secret")
    talk.purge(talk.find("MARKER", superseded=True)[0])


@pytest.mark.parametrize("erase", [_purge, _clear, _purge_item])
@pytest.mark.parametrize("lies", ["alone", "with others"])
def test_what_was_erased_is_in_no_byte_of_the_folder(
    erase: Any, lies: str, store: Store, small_parts: None, tmp_path: Path
) -> None:
    """Of no file, whatever it is called, and of no page of Parquet."""
    folder = tmp_path / "out"
    if lies == "with others":
        store.conversation("before").add([user("hello")])
    store.conversation("secret").add([user("the MARKER"), assistant("MARKER heard")])
    store.conversation("secret").edit(1, "said otherwise, MARKER")
    store.conversation("after").add([user("hello"), assistant("hi")])
    store.export_parquet(folder)
    assert any("MARKER" in text for _, text in every_text(folder))
    if erase is _purge_item:
        talk = store.conversation("secret")
        talk.purge(talk.find("otherwise")[0])
    erase(store)
    store.export_parquet(folder)
    assert [name for name, text in every_text(folder) if "MARKER" in text] == []
    assert_is_sound(store, folder)


def test_a_part_whose_sessions_are_gone_goes(five: tuple[Store, Path]) -> None:
    """With its files and folders; its number is not given again while a higher one is there."""
    store, folder = five
    store.purge("c")
    store.purge("d")
    before = seals(folder)
    report = store.export_parquet(folder)
    assert report.removed_count > 10
    assert numbers(folder) == [0, 2]
    kept = {name: seal for name, seal in before.items() if "part-00001" not in name}
    after = seals(folder)
    assert {name for name in kept if "part-" in name and after[name] != kept[name]} == set()


def test_everything_is_purged(five: tuple[Store, Path]) -> None:
    """Then the folder is as that of an empty store."""
    store, folder = five
    for name in SESSIONS:
        store.purge(name)
    store.export_parquet(folder)
    assert parts(folder, "items") == ["month=__HIVE_DEFAULT_PARTITION__/part-00000.parquet"]
    assert stored(folder, "items") == []


# Parts -------------------------------------------------------------------------------------------


def test_a_part_that_grew_too_large_is_split(five: tuple[Store, Path]) -> None:
    """What lies behind in it goes to the last part, and to new ones."""
    store, folder = five
    store.conversation("a").add([user(str(number)) for number in range(8)])
    assert exported(store, folder)[0] == {0, 2}
    assert {row for row in stored(folder, "sessions") if "'b'" in row}
    assert numbers(folder) == [0, 1, 2]
    assert not store.export_parquet(folder).is_changed
    for name in SESSIONS:
        store.conversation(name).add([user(str(number)) for number in range(9)])
    store.export_parquet(folder)
    assert len(numbers(folder)) == 5
    assert not store.export_parquet(folder).is_changed


def test_only_the_months_of_changed_sessions_are_written(
    path: Path, clock: Clock, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    with duckstore.open(path) as store:
        spread(store, clock, 3)
        store.export_parquet(folder)
        before = seals(folder)
        store.conversation("month 2").add([user("later")])
        store.export_parquet(folder)
        names = changed(before, seals(folder)) - {"manifest.json"}
        assert names
        assert all("/month=2026-02/" in name for name in names)
        assert_is_live(store, folder)


@pytest.mark.parametrize("by", ["day", "year", None])
def test_partitions_are_changed(by: str | None, path: Path, clock: Clock, tmp_path: Path) -> None:
    """The folder is then as one that was exported like that from the first, and back again."""
    folder, fresh = tmp_path / "out", tmp_path / "fresh"
    with duckstore.open(path) as store:
        spread(store, clock, 2)
        store.export_parquet(folder)
        first = contents(folder)
        store.export_parquet(folder, partition_by=by)
        store.export_parquet(fresh, partition_by=by)
        assert contents(folder) == contents(fresh)
        expected = {
            "day": [f"day=2026-0{n}-15/part-0000{n - 1}.parquet" for n in (1, 2)],
            "year": ["year=2026/part-00000.parquet"],
            None: ["part-00000.parquet"],
        }[by]
        assert parts(folder, "runs") == expected
        assert {path.name for path in (folder / "runs").iterdir()} == {
            name.split("/")[0] for name in expected
        }
        assert_is_live(store, folder)
        store.export_parquet(folder)
        assert contents(folder) == first


# Some --------------------------------------------------------------------------------------------


def test_some_sessions_are_chosen(five: tuple[Store, Path], tmp_path: Path) -> None:
    """Of each relation their rows alone; and all again when none are named."""
    store, folder = five
    report = store.export_parquet(folder, sessions=["b", "d", "b"])
    assert report.session_count == 2
    assert session_ids(folder) == {"b", "d"}
    assert len(stored(folder, "items")) == len(stored(folder, "branch_items")) == 4
    assert store.verify_export(folder) == []
    store.conversation("a").add([user("not chosen")])
    assert not store.export_parquet(folder, sessions=["b", "d"]).is_changed
    store.purge("d")
    assert any("gone here" in finding.message for finding in store.verify_export(folder))
    store.export_parquet(folder, sessions=["b"])
    assert store.verify_export(folder) == []
    store.export_parquet(folder)


def test_sessions_are_chosen_by_their_latest_change(
    path: Path, clock: Clock, tmp_path: Path
) -> None:
    """An item, and a move without one: a session that was gone back in has changed."""
    folder = tmp_path / "out"
    with duckstore.open(path) as store:
        spread(store, clock, 4)
        clock.set(datetime(2026, 5, 1, tzinfo=UTC))
        store.conversation("month 1").pop()
        since = datetime(2026, 3, 1, tzinfo=UTC)
        store.export_parquet(folder, since=since)
        names = session_ids(folder)
        assert names == {"month 1", "month 3", "month 4"}
        assert store.verify_export(folder) == []
        manifest = json.loads((folder / "manifest.json").read_text())
        assert manifest["selection"] == {"since": since.isoformat(), "sessions": None}
        store.export_parquet(folder, since=datetime(2027, 1, 1, tzinfo=UTC))
        assert stored(folder, "items") == []
        assert store.verify_export(folder) == []


# As a fresh one ----------------------------------------------------------------------------------


def test_exports_in_between_end_as_one_at_the_end(
    path: Path, clock: Clock, tmp_path: Path, small_parts: None
) -> None:
    """File by file and row by row, where each session comes after those of earlier parts."""
    with duckstore.open(path) as store:
        for month in (1, 2):
            clock.set(datetime(2026, month, 1, tzinfo=UTC))
            for name in "abc":
                store.conversation(f"{month}{name}").add([user("one"), assistant("two")])
                store.export_parquet(tmp_path / "often")
            store.update_session(f"{month}a", title="a title")
            store.conversation(f"{month}b").pop()
        store.export_parquet(tmp_path / "often")
        store.export_parquet(tmp_path / "once")
        assert contents(tmp_path / "often") == contents(tmp_path / "once")
        assert len(numbers(tmp_path / "once")) == 4


class Exports(RuleBasedStateMachine):
    """A store that is used at random, and exported now and then to the same folder."""

    NAMES = st.sampled_from(["a", "b", "c", "d"])
    WORDS = st.sampled_from(["yes", "no", "é\x00", "x" * 50])

    def __init__(self) -> None:
        super().__init__()
        self.scratch = tempfile.TemporaryDirectory()
        self.store = duckstore.open()
        self.folder = Path(self.scratch.name) / "out"

    def teardown(self) -> None:
        self.export("month")
        assert self.store.verify_export(self.folder) == []
        self.store.close()
        self.scratch.cleanup()

    @rule(name=NAMES, words=st.lists(WORDS, min_size=1, max_size=4))
    def add(self, name: str, words: list[str]) -> None:
        talk = self.store.conversation(name)
        talk.add([item for word in words for item in (user(word), assistant(word))])

    @rule(name=NAMES)
    def pop(self, name: str) -> None:
        self.store.conversation(name).pop()

    @rule(name=NAMES, word=WORDS)
    def edit(self, name: str, word: str) -> None:
        talk = self.store.conversation(name)
        if any(item.get("role") == "user" for item in talk.items()):
            talk.edit(1, word)

    @rule(name=NAMES, number=st.integers(0, 99))
    def branch(self, name: str, number: int) -> None:
        talk = self.store.conversation(name)
        if talk.items() and f"b{number}" not in {found.name for found in talk.branches()}:
            talk.branch(f"b{number}", at={"position": 1})

    @rule(name=NAMES, number=st.integers(0, 9))
    def switch(self, name: str, number: int) -> None:
        talk = self.store.conversation(name)
        branches = talk.branches()
        if branches:
            talk.switch(branches[number % len(branches)].branch_id)

    @rule(name=NAMES)
    def clear(self, name: str) -> None:
        self.store.conversation(name).clear()

    @rule(name=NAMES)
    def purge(self, name: str) -> None:
        self.store.purge(name)

    @rule(name=NAMES, word=WORDS)
    def title(self, name: str, word: str) -> None:
        self.store.update_session(name, title=word)

    @rule(by=st.sampled_from(["month", "month", "month", "day", None]))
    def export(self, by: str | None) -> None:
        self.store.export_parquet(self.folder, partition_by=by)
        for relation in RELATIONS:
            live = self.store.sql(f"from {relation}").rows()
            assert stored(self.folder, relation) == sorted(map(repr, live)), relation


def test_random_use_with_exports_in_between(small_parts: None) -> None:
    """The folder is always what the store is, and verifying it finds nothing."""
    run_state_machine_as_test(
        Exports,
        settings=settings(
            max_examples=3,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.slow  # two minutes of the same
def test_long_random_use_with_exports_in_between(small_parts: None) -> None:
    """As above, for longer."""
    run_state_machine_as_test(
        Exports,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
