"""time_to_edit: how long after an answer users edited their question or asked for another one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from duckstore import Store
from tests.clock import Clock
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]

SAMPLES: dict[str, list[Any]] = {
    "short_seconds": [0.5, "30", None],
    "long_seconds": [60.5, "3600", None],
}


def counts(store: Store, **parameters: Any) -> list[Row]:
    """Kind, and numbers of edits, of those before an answer, and of those timed."""
    frame = store.query("time_to_edit", **parameters)
    return frame.select("kind", "edit_count", "unanswered_count", "timed_count").rows()


def seconds(store: Store, **parameters: Any) -> list[Row]:
    """Kind, the longest time, and the shares within both limits."""
    frame = store.query("time_to_edit", **parameters)
    columns = ("kind", "max_seconds", "within_short_share", "within_long_share")
    # Batches at one moment are a microsecond apart.
    return frame.select(columns).with_columns(pl.col("max_seconds").round(3)).rows()


def edit_after(store: Store, clock: Clock, name: str, wait: float) -> None:
    """A question that is edited so long after its answer."""
    talk = store.conversation(name)
    talk.add([user("one")])
    clock.wait(5)
    talk.add([assistant("1")])
    clock.wait(wait)
    talk.edit(1, "two")
    clock.wait(5)
    talk.add([assistant("2")])


def test_edits(store: Store, clock: Clock) -> None:
    """From the end of the answer: neither the time that it took counts, nor that of the next."""
    for number, wait in enumerate((2, 10, 30, 60, 600)):
        edit_after(store, clock, f"s{number}", wait)
    assert counts(store) == [("edit", 5, 0, 5)]
    assert seconds(store) == [("edit", 600.0, 0.4, 0.8)]
    frame = store.query("time_to_edit")
    assert frame["p50_seconds"].to_list() == [30.0]
    assert frame["p90_seconds"].to_list() == [pytest.approx(384.0)]
    assert seconds(store, short_seconds=9.5, long_seconds=3600) == [("edit", 600.0, 0.2, 1.0)]


def test_a_regeneration_counts_until_the_answer_was_taken_back(store: Store, clock: Clock) -> None:
    """Not until the model has made the next one, nor from what was taken back before."""
    talk = store.conversation("s")
    talk.add([user("one"), call("look", "c"), output("c")])
    clock.wait(7)
    talk.add([assistant("1")])
    clock.wait(20)
    talk.regenerate()
    clock.wait(100)
    talk.add([assistant("2")])
    clock.wait(3)
    talk.pop()
    clock.wait(1)
    talk.pop()
    clock.wait(100)
    talk.add([call("look", "d"), output("d")])
    assert counts(store) == [("regenerate", 2, 0, 2)]
    assert seconds(store) == [("regenerate", 20.0, 0.5, 1.0)]
    assert store.query("time_to_edit")["p50_seconds"].to_list() == [11.5]


def test_an_earlier_message(store: Store, clock: Clock) -> None:
    """The time runs from the last thing said on the branch that was left, also where that had
    begun as an edit itself."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1"), user("two"), assistant("2")])
    clock.wait(100)
    talk.edit(2, "three")
    talk.add([assistant("3"), user("four"), assistant("4")])
    clock.wait(8)
    talk.edit(1, "zero")
    assert seconds(store) == [("edit", 100.0, 0.5, 0.5)]


def test_a_branch_that_was_gone_back_to(store: Store, clock: Clock) -> None:
    """Each edit has the time of its own: what was said on the branch after it does not count, nor
    what was taken back there before."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1")])
    clock.wait(4)
    talk.pop()
    talk.pop()
    talk.add([user("two")])
    clock.wait(1000)
    talk.switch("main~1")
    talk.add([user("more"), assistant("more")])
    clock.wait(90)
    talk.edit(1, "three")
    assert seconds(store) == [("edit", 90.0, 0.5, 0.5)]
    assert store.query("time_to_edit")["p50_seconds"].to_list() == [pytest.approx(47, abs=0.001)]


def test_a_question_without_an_answer_is_not_timed(store: Store, clock: Clock) -> None:
    """A call is an answer: something was done. Forks and compactions are no edits."""
    talk = store.conversation("s")
    talk.add([user("one")])
    clock.wait(5)
    talk.edit(1, "two")
    assert counts(store) == [("edit", 1, 1, 0)]
    assert seconds(store) == [("edit", None, None, None)]
    talk.add([call("look", "c")])
    clock.wait(9)
    talk.edit(1, "three")
    talk.replace_all([user("Summary.")])
    talk.branch("other", at={"position": 0})
    talk.add([user("four")])
    assert counts(store) == [("edit", 2, 1, 1)]
    assert seconds(store) == [("edit", 9.0, 1.0, 1.0)]


def test_a_branch_on_which_nothing_was_said_has_no_time(store: Store, clock: Clock) -> None:
    talk = store.conversation("s")
    talk.add([user("one"), assistant("1"), user("two"), assistant("2")])
    talk.branch("again", at={"position": 3})
    clock.wait(5)
    talk.pop()
    talk.add([user("three")])
    assert counts(store) == [("edit", 1, 0, 0)]


def test_what_was_imported_is_not_timed(store: Store, clock: Clock, tmp_path: Path) -> None:
    """It has the time of the import, which is not when it was said."""
    items = [user("one"), assistant("1"), user("two"), assistant("2")]
    path = tmp_path / "lines.jsonl"
    line = {"session_id": "s", "items": items, "parents": [-1, 0, -1, 2]}
    path.write_text(json.dumps(line), encoding="utf-8")
    assert store.import_jsonl(path).skipped == []
    assert counts(store) == [("edit", 1, 0, 0)]
    clock.wait(5)
    store.conversation("s").edit(1, "three")
    assert counts(store) == [("edit", 2, 0, 0)]
    copy = store.conversation("s").fork("copy")
    assert copy is not None
    store.conversation("copy").edit(1, "four")
    assert counts(store, session_id="copy")[0][3] == 0


def test_only_some(store: Store, clock: Clock) -> None:
    edit_after(store, clock, "a", 1)
    edit_after(store, clock, "a2", 2)
    clock.wait(60)
    later = clock.now
    talk = store.conversation("b")
    talk.add([user("one"), assistant("1")])
    clock.wait(3)
    talk.regenerate()
    talk.add([assistant("2")])
    both = [("edit", 2, 0, 2), ("regenerate", 1, 0, 1)]
    assert counts(store) == both
    assert counts(store, kind="regenerate") == both[1:]
    assert counts(store, session_id="b") == both[1:]
    assert counts(store, since=later) == both[1:]
    assert counts(store, until=later) == both[:1]
    assert counts(store, row_limit=1) == both[:1]
