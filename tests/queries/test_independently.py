"""Queries over every recorded conversation, beside a second computation that shares no code."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

import duckstore
from tests.queries.independent import Conversation
from tests.samples import RECORDINGS
from tests.test_recordings import chatgpt_line

Rows = list[tuple[Any, ...]]
NAMES = ("agents-sdk-runs", "chatgpt", "oasst", "responses-api", "tau-bench", "tau2", "toolbench")
TREES = ("chatgpt", "oasst", "toolbench")


@cache
def lines(name: str) -> list[dict[str, Any]]:
    """The conversations of a recording, as lines to import."""
    if not RECORDINGS.exists():
        pytest.skip("the recorded conversations are not beside this checkout")
    if name == "chatgpt":
        found = []
        for path in sorted((RECORDINGS / "chatgpt").glob("*.json")):
            told = json.loads(path.read_text(encoding="utf-8"))
            found += [chatgpt_line(each) for each in (told if isinstance(told, list) else [told])]
        return [line for line in found if line["items"]]
    with gzip.open(RECORDINGS / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.fixture(scope="module", params=NAMES)
def asked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[duckstore.Store, list[Conversation], dict[int, int]]]:
    """A store with a recording, the same as plain items, and the index of each stored item."""
    recorded = lines(request.param)
    path = tmp_path_factory.mktemp("recorded") / "lines.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in recorded), encoding="utf-8")
    with duckstore.open() as store:
        assert store.import_jsonl(path).skipped == []
        ids = store.sql("select session_id, item_id from items order by session_id, item_id").rows()
        index: dict[int, int] = {}
        counts: Counter[str] = Counter()
        for session_id, item_id in ids:
            index[item_id] = counts[session_id]
            counts[session_id] += 1
        talks = [Conversation(r["session_id"], r["items"], r.get("parents")) for r in recorded]
        yield store, talks, index


Asked = tuple[duckstore.Store, list[Conversation], dict[int, int]]


@pytest.mark.parametrize("with_superseded", [False, True])
def test_turn_pairs(asked: Asked, with_superseded: bool) -> None:
    store, talks, _ = asked
    frame = store.query("turn_pairs", include_superseded=with_superseded)
    columns = ("turn_number", "status", "user_message", "assistant_message", "tool_call_count")
    found = frame.select("session_id", *columns, "tool_names").rows()
    expected = [
        (talk.session_id, *row)
        for talk in talks
        for row in talk.turn_pairs(with_superseded=with_superseded)
    ]
    assert sorted(found, key=repr) == sorted(expected, key=repr)
    assert len(found) > 2


def test_tool_usage(asked: Asked) -> None:
    store, talks, _ = asked
    statuses = ("ok", "error", "rejected", "pending")
    frame = store.query("tool_usage")
    found = {
        (row["tool_name"], row["tool_type"], status): row[f"{status}_count"]
        for row in frame.to_dicts()
        for status in statuses
        if row[f"{status}_count"]
    }
    expected: Counter[tuple[str, str, str]] = Counter()
    for talk in talks:
        expected += talk.tool_usage()
    assert found == dict(expected)
    assert frame["call_count"].sum() == expected.total()


def test_tool_transitions(asked: Asked) -> None:
    store, talks, _ = asked
    frame = store.query("tool_transitions").select("from_tool", "to_tool", "transition_count")
    expected: Counter[tuple[str, str]] = Counter()
    for talk in talks:
        expected += talk.tool_transitions()
    assert {(row[0], row[1]): row[2] for row in frame.rows()} == dict(expected)


def test_repeated_calls(asked: Asked) -> None:
    store, talks, _ = asked
    columns = ("turn_number", "tool_name", "call_count", "distinct_output_count", "is_adjacent")
    found = store.query("repeated_calls").select("session_id", *columns).rows()
    expected = [(talk.session_id, *row[:-1]) for talk in talks for row in talk.repeated_calls()]
    assert sorted(found) == sorted(expected)


def test_orphan_calls(asked: Asked) -> None:
    store, talks, index = asked
    frame = store.query("orphan_calls").select("session_id", "kind", "item_id")
    found = [(session_id, kind, index[item]) for session_id, kind, item in frame.rows()]
    expected = [(talk.session_id, *orphan) for talk in talks for orphan in talk.orphans]
    assert sorted(found) == sorted(expected)


def test_edit_points(asked: Asked) -> None:
    store, talks, index = asked
    columns = ("item_before_id", "alternative_item_id", "rank", "alternative_count", "kind")
    frame = store.query("edit_points").select("session_id", *columns, "is_current")
    found = [
        (session_id, -1 if before is None else index[before], index[item], *rest)
        for session_id, before, item, *rest in frame.rows()
    ]
    expected = [(talk.session_id, *row) for talk in talks for row in talk.edit_points()]
    assert sorted(found) == sorted(expected)


def test_edit_kinds(asked: Asked) -> None:
    store, talks, _ = asked
    columns = ("edit_point_count", "alternative_count", "newest_current_count")
    frame = store.query("edit_kinds").select("kind", *columns)
    expected: dict[str, tuple[int, ...]] = {}
    for talk in talks:
        for kind, counts in talk.edit_kinds().items():
            before = expected.get(kind, (0, 0, 0))
            expected[kind] = tuple(a + b for a, b in zip(before, counts, strict=True))
    assert {row[0]: tuple(row[1:]) for row in frame.rows()} == expected


@pytest.mark.parametrize("name", TREES)
def test_the_trees_have_what_they_are_for(name: str) -> None:
    """Edits in all, answers given again in two, tool calls beside each other in one."""
    talks = [Conversation(r["session_id"], r["items"], r.get("parents")) for r in lines(name)]
    kinds = {kind for talk in talks for kind in talk.edit_kinds()}
    assert kinds
    if name == "toolbench":
        assert any(talk.repeated_calls() for talk in talks)
        assert any(run.begun_over is not None for talk in talks for run in talk.runs.values())
