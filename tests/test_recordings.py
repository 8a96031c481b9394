"""Recorded conversations go in and come out equal, and the relations count what is in them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import duckstore
from duckstore.conversation import Conversation
from tests.samples import RECORDINGS, recording, run

LINEAR = ("agents-sdk-runs", "responses-api", "tau-bench", "tau2")
TREES = ("oasst", "toolbench")

# As the recordings' own README counts them: sessions, items, forks.
COUNTS = {
    "agents-sdk-runs": (32, 93, 0),
    "oasst": (99, 1155, 257),
    "responses-api": (142, 719, 0),
    "tau-bench": (200, 5398, 0),
    "tau2": (55, 1304, 0),
    "toolbench": (15, 886, 141),
}
CALL_TYPES = {
    "function_call",
    "web_search_call",
    "code_interpreter_call",
    "image_generation_call",
    "file_search_call",
    "mcp_call",
    "tool_search_call",
}


def paired_calls(items: list[Any]) -> int:
    """Function calls with an output, computed from the items alone."""
    waiting: Counter[str] = Counter()
    paired = 0
    for item in items:
        if item.get("type") == "function_call":
            waiting[item["call_id"]] += 1
        elif item.get("type") == "function_call_output" and waiting[item["call_id"]]:
            waiting[item["call_id"]] -= 1
            paired += 1
    return paired


@pytest.mark.parametrize(
    "name",
    [
        "agents-sdk-runs",
        "responses-api",
        # Twenty seconds for more of the same kinds of items.
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("tau-bench", "tau2")),
        pytest.param("tau-bench-chat-completions", marks=pytest.mark.slow),
    ],
)
def test_the_adapter_gives_back_what_was_added(name: str, path: Path) -> None:
    """Value by value and in order, from memory and from the file."""
    conversations = {
        str(number): line.get("items") or line["messages"]
        for number, line in enumerate(recording(name))
    }

    async def add_all() -> None:
        for session_id, items in conversations.items():
            session = duckstore.DuckDBSession(session_id, path)
            await session.add_items(items)
            assert await session.get_items() == items
            await session.close()

    run(add_all())
    with duckstore.open(path) as store:
        for session_id, items in conversations.items():
            assert store.conversation(session_id).items() == items
        assert store.check() == []


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_an_import_counts_what_the_recording_holds(name: str, store: duckstore.Store) -> None:
    lines = recording(name)
    report = store.import_jsonl(RECORDINGS / f"{name}.jsonl.gz")
    assert (report.session_count, report.item_count) == COUNTS[name][:2]
    assert report.skipped == []
    assert store.check() == []

    every_item = [item for line in lines for item in line["items"]]
    counted = store.sql("select count(*) as items from items")["items"][0]
    assert counted == COUNTS[name][1]
    calls = store.sql("select count(*) as calls from tool_calls")["calls"][0]
    assert calls == sum(item.get("type") in CALL_TYPES for item in every_item)
    points = store.sql(
        "select count(*) as forks from"
        " (select distinct session_id, coalesce(item_before_id, 0) from edit_points)"
    )
    assert points["forks"][0] == COUNTS[name][2]


@pytest.mark.parametrize("name", LINEAR)
def test_calls_are_paired_with_their_outputs(name: str, store: duckstore.Store) -> None:
    """As often as a plain count over the items says, for every session."""
    store.import_jsonl(RECORDINGS / f"{name}.jsonl.gz") if RECORDINGS.exists() else None
    expected = {line["session_id"]: paired_calls(line["items"]) for line in recording(name)}
    rows = store.sql(
        "select session_id, count(output_item_id) filter (where tool_type = 'function') as paired"
        " from tool_calls group by session_id"
    )
    found = dict(rows.iter_rows())
    assert found == {session_id: expected[session_id] for session_id in found}
    assert sum(found.values()) == sum(expected.values())


@pytest.mark.parametrize("name", TREES)
def test_a_tree_keeps_its_forks(name: str, store: duckstore.Store) -> None:
    """Every item has the parent that the recording gives it, and comes back value-equal."""
    lines = recording(name)
    store.import_jsonl(RECORDINGS / f"{name}.jsonl.gz")
    rows = store.sql("select session_id, item_id, parent_item_id, item from items order by item_id")
    stored: dict[str, list[tuple[int, int | None, str]]] = {}
    for session_id, item_id, parent_id, item in rows.iter_rows():
        stored.setdefault(session_id, []).append((item_id, parent_id, item))
    for line in lines:
        found = stored[line["session_id"]]
        index = {item_id: place for place, (item_id, _, _) in enumerate(found)}
        assert [json.loads(item) for _, _, item in found] == line["items"]
        assert [-1 if p is None else index[p] for _, p, _ in found] == line["parents"]


def test_every_path_of_a_tree_can_be_read(store: duckstore.Store) -> None:
    """Each branch shows the items from the opening to its last, without a copy."""
    lines = recording("toolbench")
    store.import_jsonl(RECORDINGS / "toolbench.jsonl.gz")
    for line in lines:
        parents, items = line["parents"], line["items"]
        leaves = set(range(len(items))) - set(parents)
        paths = set()
        for leaf in leaves:
            path = []
            while leaf >= 0:
                path.append(json.dumps(items[leaf], sort_keys=True))
                leaf = parents[leaf]
            paths.add(tuple(reversed(path)))
        conversation = store.conversation(line["session_id"])
        last = conversation.items()
        read = set()
        for (branch_id,) in store.sql(
            "select branch_id from branches where session_id = $session_id",
            session_id=line["session_id"],
        ).iter_rows():
            conversation.switch(branch_id)
            read.add(tuple(json.dumps(item, sort_keys=True) for item in conversation.items()))
        assert read == paths
        conversation.switch("main")
        assert conversation.items() == last
    assert store.check() == []


def test_importing_twice_changes_nothing(store: duckstore.Store) -> None:
    recording("toolbench")
    store.import_jsonl(RECORDINGS / "toolbench.jsonl.gz")
    before = store.sql("select * from items")
    report = store.import_jsonl(RECORDINGS / "toolbench.jsonl.gz")
    assert (report.session_count, report.grown_count, report.item_count) == (0, 0, 0)
    assert (report.unchanged_count, report.skipped) == (15, [])
    assert store.sql("select * from items").equals(before)


def test_usage_that_was_recorded_for_each_response_is_stored(store: duckstore.Store) -> None:
    """Sums over responses are the recorded sums, for the sessions that record every response."""
    lines = {line["session_id"]: line for line in recording("responses-api")}
    store.import_jsonl(RECORDINGS / "responses-api.jsonl.gz")
    rows = store.sql(
        "select session_id, sum(input_tokens)::bigint, sum(output_tokens)::bigint from responses"
        " where input_tokens is not null group by session_id"
    ).rows()
    assert len(rows) > 90
    for session_id, tokens_in, tokens_out in rows:
        usage = lines[session_id]["usage"]
        assert tokens_in == sum(entry["input_tokens"] for entry in usage)
        assert tokens_out == sum(entry["output_tokens"] for entry in usage)


def chatgpt_line(conversation: dict[str, Any]) -> dict[str, Any]:
    """A data export's conversation as a line to import: its messages, parents first."""
    mapping = conversation["mapping"]
    items: list[dict[str, Any]] = []
    parents: list[int] = []
    waiting = [(key, -1) for key, node in mapping.items() if node["parent"] not in mapping]
    while waiting:
        key, parent = waiting.pop(0)
        message = mapping[key]["message"]
        if message is not None:
            parents.append(parent)
            parent = len(items)
            words = [part for part in message["content"].get("parts", []) if isinstance(part, str)]
            role = message["author"]["role"]
            items.append({"role": role, "content": "\n".join(words), "export_id": message["id"]})
        waiting += [(child, parent) for child in mapping[key]["children"] if child in mapping]
    return {"session_id": conversation["id"], "items": items, "parents": parents}


def play(talk: Conversation, items: list[Any], parents: list[int]) -> None:
    """Say the items of a tree in their order, by the calls that a user has for it.

    What a user said differently is edited, everything else is said after going back.
    """
    ids: list[int] = []
    here = -1
    for index, (item, parent) in enumerate(zip(items, parents, strict=True)):
        siblings = [ids[other] for other in range(index) if parents[other] == parent]
        if siblings and item.get("role") == "user":
            ids.append(talk.edit({"item_id": siblings[-1]}, item))
        else:
            if parent != here:
                talk.rewind({"item_id": ids[parent]} if parent >= 0 else {"position": 0})
            talk.add([item])
            ids.append(talk._access.tail(talk.session_id, 1).item_ids[0])
        here = index


Tree = tuple[list[tuple[int, Any]], list[tuple[Any, ...]]]


def trees_of(store: duckstore.Store) -> dict[str, Tree]:
    """Of each session the items with the index of the one before, and the edit points, no ids."""
    trees: dict[str, Tree] = {}
    place: dict[int | None, int] = {None: -1}
    for session_id, item_id, parent, raw in store.sql(
        "select session_id, item_id, parent_item_id, item from items order by item_id"
    ).iter_rows():
        items, _ = trees.setdefault(session_id, ([], []))
        place[item_id] = len(items)
        items.append((place[parent], json.loads(raw)))
    for session_id, before, item_id, *rest in store.sql(
        "select session_id, item_before_id, alternative_item_id, kind, rank, alternative_count,"
        " role, text, position, turn_number from edit_points order by all"
    ).iter_rows():
        trees[session_id][1].append((place[before], place[item_id], *rest))
    return {name: (items, sorted(points)) for name, (items, points) in trees.items()}


@pytest.mark.parametrize("name", [*TREES, "chatgpt-tree"])
def test_a_recorded_tree_is_played_by_edits_and_rewinds(
    name: str, store: duckstore.Store, tmp_path: Path
) -> None:
    """It becomes the same tree as by an import, and forks as often as the recording does."""
    if name in TREES:
        lines = recording(name)
    else:
        export = RECORDINGS / "chatgpt" / f"{name}.json"
        if not export.exists():
            pytest.skip("the recorded conversations are not beside this checkout")
        lines = [chatgpt_line(found) for found in json.loads(export.read_text(encoding="utf-8"))]
    file = tmp_path / "trees.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    with duckstore.open() as imported:
        imported.import_jsonl(file)
        for line in lines:
            play(store.conversation(line["session_id"]), line["items"], line["parents"])
        played = trees_of(store)
        assert played == trees_of(imported)
    forks = 0
    for line in lines:
        items, points = played[line["session_id"]]
        assert items == list(zip(line["parents"], line["items"], strict=True))
        counted = sum(count > 1 for count in Counter(line["parents"]).values())
        assert len({point[0] for point in points}) == counted
        forks += counted
    conversation = max(played, key=lambda name: len(played[name][1]))
    alternatives = store.conversation(conversation).alternatives()
    assert len(alternatives) == len(played[conversation][1])
    points = store.sql(
        "select distinct session_id, coalesce(item_before_id, 0) from edit_points"
    ).height
    assert points == forks
    if name in COUNTS:
        assert forks == COUNTS[name][2]
    assert store.check() == []


@pytest.mark.parametrize("name", ["chatgpt-tree", "chatgpt-citations"])
def test_a_chatgpt_export_keeps_its_tree(name: str, store: duckstore.Store, tmp_path: Path) -> None:
    """Its messages come back value-equal, and it forks where the export does."""
    export = RECORDINGS / "chatgpt" / f"{name}.json"
    if not export.exists():
        pytest.skip("the recorded conversations are not beside this checkout")
    lines = [chatgpt_line(found) for found in json.loads(export.read_text(encoding="utf-8"))]
    file = tmp_path / "export.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    report = store.import_jsonl(file)
    assert (report.session_count, report.skipped) == (len(lines), [])
    stored = store.sql("select item from items order by item_id")["item"].to_list()
    assert [json.loads(item) for item in stored] == [i for line in lines for i in line["items"]]
    points = store.sql(
        "select distinct session_id, coalesce(item_before_id, 0) from edit_points"
    ).height
    forks = sum(n > 1 for line in lines for n in Counter(line["parents"]).values())
    assert points == forks
    assert store.check() == []
