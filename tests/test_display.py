"""Stores, sessions and conversations as notebooks show them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import duckstore
from duckstore.demo.desk import run_desk
from duckstore.display import reading
from duckstore.display.texts import MOST_READ
from duckstore.telemetry import Seen, SeenCall, SeenOutcome, SeenResponse
from duckstore.usage import Usage
from tests.pages import Page
from tests.processes import python
from tests.rich import fill
from tests.samples import assistant, call, output, recording, run, user

ELEMENTS = {
    *("div", "style", "p", "span", "code", "pre", "details", "summary"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}


@pytest.fixture(scope="module")
def rich() -> Iterator[duckstore.Store]:
    """A store with a session of every kind."""
    with duckstore.open() as store:
        fill(store)
        yield store


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckstore.Store]:
    """What the demo's agents leave: a handoff, a failed call, an agent that is a tool, an edit."""
    with duckstore.open(tmp_path_factory.mktemp("desk") / "desk.duckdb") as store:
        run(run_desk(store, "delivery-question"))
        yield store


def shown(thing: Any) -> Page:
    """A thing as a notebook shows it; what every page must keep is checked here."""
    text = thing._repr_html_()
    assert type(text) is str  # marimo refuses a class of its own
    text.encode()
    page = Page(text)
    assert page.elements <= ELEMENTS
    assert {name for name, _ in page.attributes} <= {"class", "dir"}
    values = {value for name, value in page.attributes if name == "class"}
    assert all(word.startswith("duckstore") for value in values for word in str(value).split())
    assert "url(" not in page.style
    assert "@import" not in page.style
    return page


def in_order(text: str, *parts: str) -> bool:
    """Whether the parts stand in a text one after the other."""
    place = 0
    for part in parts:
        place = text.find(part, place)
        if place < 0:
            return False
        place += len(part)
    return True


# Stores ------------------------------------------------------------------------------------------


def test_a_store_shows_what_it_holds(rich: duckstore.Store) -> None:
    """Its path, its counts as SQL counts them, its tools with their errors, its sessions."""
    page = shown(rich)
    counts = {
        name: rich.sql(f"select count(*) as n from {name}")["n"][0]
        for name in ("sessions", "runs", "items", "tool_calls", "responses")
    }
    parts = [f"{counts['sessions']} sessions of 1 user", f"{counts['runs']} runs"]
    parts += [f"{counts['items']} items", f"{counts['tool_calls']} tool calls"]
    assert " · ".join([*parts, f"{counts['responses']} responses"]) in page.open_text
    assert "126 tokens: 100 in, 26 out" in page.open_text
    assert in_order(page.open_text, "find", "2", "1", "50%")
    assert in_order(page.open_text, "orders", "Two orders", "3", "13")
    assert f"Store \n{rich.path}" in page.text
    assert repr(rich) == f"Store({rich.path!r})"


def test_an_export_shows_the_same(desk: duckstore.Store, tmp_path: Path) -> None:
    """A folder of Parquet files has the summary of the store that it came from."""
    desk.export_parquet(tmp_path / "out")
    with duckstore.open_parquet(tmp_path / "out") as archive:
        theirs, ours = shown(archive), shown(desk)
        assert f"Archive \n{archive.path}" in theirs.text
        assert theirs.text.splitlines()[2:] == ours.text.splitlines()[2:]
    assert "is closed" in shown(archive).text


def test_only_the_most_and_the_latest_are_listed(store: duckstore.Store) -> None:
    """Eight tools and eight sessions, with how many more there are."""
    for number in range(11):
        talk = store.conversation(f"session {number}")
        talk.add([user("go"), call(f"tool_{number:02}", "c"), output("c")])
    page = shown(store)
    assert "tool_07" in page.text
    assert "tool_08" not in page.text
    assert "and 3 tools more" in page.text
    assert "session 10" in page.text
    assert "session 2\n" not in page.text
    assert "and 3 sessions more" in page.text


def test_a_store_without_sessions_says_so(store: duckstore.Store) -> None:
    page = shown(store)
    assert "No sessions yet." in page.open_text
    assert "table" not in page.elements


# Conversations -----------------------------------------------------------------------------------


def test_a_conversation_is_read_in_its_order(desk: duckstore.Store) -> None:
    """Turns, messages with their agents, calls with how they went, and who handed over to whom."""
    page = shown(desk.session("order-4711"))
    assert in_order(
        page.open_text,
        *("Session", "order-4711", "2 runs", "12 items", "4 tool calls (1 error)", "1,984 tokens"),
        *("turn 1", "user", "Where is my order 4711?", "find_order", "ok", "Support desk"),
        *("assistant · Support desk", "it cost 49 EUR."),
        *("turn 2", "I want 60 EUR back.", "transfer_to_refunds", "Support desk", "→", "Refunds"),
        *("refund", "error", "refund", "ok", "assistant · Refunds", "Done: 49 EUR"),
    )
    assert "60 EUR is more than the 49 EUR that were paid" not in page.open_text
    assert in_order(
        page.text,
        *("refund", "arguments", '{"order_number":4711,"amount":60}', "output", "No refund: 60"),
        *("error", "60 EUR is more than"),
    )
    assert page.text.count("49 EUR go back for order 4711") == 1  # with its call and nowhere else


def test_the_calls_of_an_agent_in_a_tool_are_inside_of_it(store: duckstore.Store) -> None:
    """They are no items of the conversation, and stand folded in the call that made them."""
    talk = store.conversation("s")
    talk.add([user("go")])
    inner = SeenCall(
        tool_name="look_up", call_id="i", arguments='{"word": "dog"}', output="cao", parent=0
    )
    outer = SeenCall(tool_name="translate", call_id="c", is_item=True)
    talk.add([call("translate", "c"), output("c", "done")], Seen(calls=[outer, inner]))
    found = store.sql("select tool_name from tool_calls where parent_tool_call_id is not null")
    assert found.rows() == [("look_up",)]
    page = shown(talk)
    assert in_order(page.text, "translate", "output", "done", "look_up", "cao")
    assert "look_up" not in page.open_text
    assert page.most_folds == 2


def test_an_edit_point_is_marked_and_the_other_way_folded(desk: duckstore.Store) -> None:
    """How many alternatives there are and which is shown; the others with what they led to."""
    page = shown(desk.conversation("delivery-question"))
    assert in_order(page.open_text, "edit", "2 of 2 is shown", "user", "delivery to Lisbon take?")
    assert "branch main, one of 2" in page.open_text
    assert "That depends on the city." not in page.open_text
    assert in_order(
        page.text,
        *("1 of 2 · main~1 · 2 items", "How long does delivery take?", "That depends on the city."),
        "How long does delivery to Lisbon take?",
    )


def test_other_ways_are_inside_of_other_ways(store: duckstore.Store) -> None:
    """A question is edited; the answer to the first version was given twice before."""
    talk = store.conversation("s")
    talk.add([user("2 + 3?"), assistant("six")])
    talk.regenerate()
    talk.add([assistant("five")])
    talk.edit(1, "2 + 2?")
    talk.add([assistant("four")])
    page = shown(talk)
    assert page.most_folds == 4
    assert in_order(
        page.text, "◆ edit", "2 + 3?", "◆ regenerate", "1 of 2", "five", "six", "2 + 2?", "four"
    )
    assert [word in page.open_text for word in ("four", "five", "six")] == [True, False, False]


def test_what_was_taken_back_stays_in_reach(store: duckstore.Store) -> None:
    """A popped answer is folded where it stood, and a deleted branch is said to be deleted."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("first"), user("two")])
    talk.pop()
    talk.branch("aside", at={"position": 1})
    talk.add([assistant("other")])
    talk.switch("main")
    talk.delete_branch("aside")
    page = shown(talk)
    assert in_order(page.text, "◆ fork", "1 of 2 is shown", "aside · deleted", "other", "first")
    assert in_order(page.text, "first", "◆ taken back", "the path ends here", "two")
    assert "two" not in page.open_text


def test_a_path_that_ends_before_all_alternatives(store: duckstore.Store) -> None:
    """None of them is shown, and each can be unfolded."""
    talk = store.conversation("s")
    talk.add([user("one"), assistant("first")])
    talk.regenerate()
    talk.add([assistant("second")])
    talk.rewind({"position": 1})
    page = shown(talk)
    assert in_order(page.text, "one", "none of 2 is on the path", "1 of 2", "first", "second")
    talk.rewind(1)
    assert "The path has no items now." in shown(talk).text
    assert in_order(shown(talk).text, "what followed was taken back", "one", "second", "first")


def test_what_a_compaction_replaced_is_folded(rich: duckstore.Store) -> None:
    page = shown(rich.conversation("compacted"))
    assert in_order(
        page.text, "A compaction replaced 6 items", "one", "count", "The user counts.", "three"
    )
    assert "count\n" not in page.open_text.replace("The user counts.", "")


def test_an_edit_before_a_compaction_is_inside_of_what_it_replaced(
    store: duckstore.Store,
) -> None:
    talk = store.conversation("s")
    talk.add([user("2 + 3?"), assistant("5")])
    talk.edit(1, "2 + 2?")
    talk.add([assistant("4")])
    talk.replace_all([user("Sums were asked for.")])
    page = shown(talk)
    assert in_order(
        page.text, "A compaction replaced 2", "◆ edit", "2 + 3?", "2 + 2?", "Sums were asked for."
    )
    assert "◆" not in page.open_text
    assert "not shown here" not in page.text


def test_how_a_run_ended_is_told(store: duckstore.Store) -> None:
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add(
        [assistant("I try.")],
        Seen(outcome=SeenOutcome(outcome="max_turns", error_type="MaxTurnsExceeded", error="10")),
    )
    assert "ended: max_turns, MaxTurnsExceeded: 10" in shown(talk).open_text


def test_every_item_of_a_forked_session_is_there(rich: duckstore.Store) -> None:
    """The copy's calls are no calls of the session, and are read as calls all the same."""
    rich.conversation("orders").fork("copy of orders")
    page = shown(rich.conversation("copy of orders"))
    assert "forked from orders" in page.text
    assert in_order(page.text, "find", "ok", '{"order": 7}', "shipped", "find", "no such order")
    assert rich.sql("select * from tool_calls where session_id = 'copy of orders'").height == 0


def test_a_session_of_which_nothing_is_stored(store: duckstore.Store) -> None:
    assert "Nothing was stored in it yet." in shown(store.session("new")).text


# What is long ------------------------------------------------------------------------------------


def test_a_long_conversation_shows_its_ends(store: duckstore.Store) -> None:
    """The first and the last turns, and how many items are left out between them."""
    talk = store.conversation("long")
    talk.add([part for n in range(50) for part in (user(f"ask {n}."), assistant(f"told {n}."))])
    talk.edit(25, "ask 24 otherwise.")
    talk.switch("main~1")
    page = shown(talk)
    first, last = reading.FIRST_TURNS, reading.LAST_TURNS
    seen = [number for number in range(50) if f"ask {number}.\n" in page.text]
    assert seen == [*range(first), *range(50 - last, 50)]
    assert f"{2 * (50 - first - last)} items left out here" in page.open_text
    assert "1 other way not shown here: session.alternatives()" in page.open_text
    assert in_order(page.text, "told 3.", "left out here", "turn 39", "ask 38.", "told 49.")


def test_a_long_turn_shows_its_ends(store: duckstore.Store) -> None:
    talk = store.conversation("long")
    calls = [
        part
        for n in range(40)
        for part in (call(f"tool_{n}", f"c{n}"), output(f"c{n}", f"out {n}."))
    ]
    talk.add([user("go"), *calls, assistant("done")])
    page = shown(talk)
    half = reading.TURN_ITEMS
    assert f"{82 - 2 * half} items left out here" in page.open_text
    assert in_order(page.text, "tool_0\n", "tool_5\n", "left out", "tool_35\n", "tool_39\n", "done")
    assert "tool_20" not in page.text
    assert "out 5." in page.text  # its output is left out as an item, and known from the call


def test_an_edit_point_before_what_is_left_out(store: duckstore.Store) -> None:
    """It is marked, and nothing is said of a path that would end there."""
    talk = store.conversation("long")
    talk.add([user("go"), *(assistant(f"part {number}.") for number in range(1, 60))])
    talk.branch("aside", at={"position": reading.TURN_ITEMS})
    talk.add([assistant("other")])
    talk.switch("main")
    page = shown(talk)
    assert in_order(
        page.text, "part 11.", "◆ fork", "otherwise too", "other", "left out", "part 59"
    )
    assert "ends here" not in page.text


def test_many_and_long_other_ways(store: duckstore.Store) -> None:
    """The latest are shown, of each the beginning; the rest is counted."""
    talk = store.conversation("s")
    talk.add([user("start")])
    for number in range(reading.MOST_WAYS + 5):
        talk.add([assistant(f"try {number}."), *([user("more")] * 20 if number == 60 else ())])
        talk.rewind({"position": 1})
    page = shown(talk)
    assert "try 4.\n" not in page.text
    assert "try 5.\n" in page.text
    assert "5 other ways not shown here" in page.open_text
    assert "9 items left out here" in page.text


def test_long_texts_are_cut_and_their_rest_is_folded(store: duckstore.Store) -> None:
    """So much is seen, more is folded, and how much is missing is said."""
    talk = store.conversation("s")
    talk.add([user("a" * 4000 + "END"), assistant("b" * 50_000), user("line\n" * 100)])
    page = shown(talk)
    assert "2,803 characters more" in page.open_text
    assert "END" in page.text
    assert "END" not in page.open_text
    assert f"{50_000 - MOST_READ:,} characters more are not shown here" in page.text
    assert len(page.text) < 4000 + 100 * 5 + MOST_READ + 3000
    assert page.open_text.count("line\n") < 30


# Whatever is in the data -------------------------------------------------------------------------


def evil(field: str) -> str:
    """Text that ends what it stands in, and says in which field it is."""
    return f"{field}</pre></details></style><script>x</script><img src=x onerror=y>\"'><!-- &lt;"


def poison(store: duckstore.Store) -> str:
    """A session with such a text in every field that takes one; returns its id."""
    name = evil("id")
    talk = store.conversation(name)
    seen = Seen(
        agent_name=evil("agent"),
        response=SeenResponse(usage=Usage(request_count=1, total_tokens=3), model=evil("model")),
        calls=[
            SeenCall(
                tool_name=evil("seen"),
                call_id="z",
                arguments=evil("seenargs"),
                output=evil("seenout"),
                error=evil("seenerror"),
                agent_name=evil("seenagent"),
                status="error",
            )
        ],
        outcome=SeenOutcome(outcome="error", error_type=evil("kind"), error=evil("ended")),
    )
    talk.add([user(evil("user"))])
    talk.add(
        [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": evil("thought")}]},
            call(evil("tool"), evil("callid"), json.dumps({"a": evil("args")})),
            output(evil("callid"), evil("output")),
            output("none", evil("stray")),
            {"type": evil("type"), "text": evil("odd")},
            {"role": evil("role"), "content": evil("content")},
            {"note": evil("raw")},
            call("transfer", "h"),
            output("h", json.dumps({"assistant": evil("handoff")})),
            assistant(evil("assistant")),
        ],
        seen,
    )
    talk.edit(1, evil("edited"))
    talk.branch(evil("branch"))
    talk.add([assistant(evil("other"))])
    talk.switch("main")
    talk.add([assistant(evil("long") + "x" * 3000 + evil("rest"))])
    store.update_session(
        name, title=evil("title"), user_id=evil("person"), tags=[evil("tag")], source=evil("source")
    )
    return name


FIELDS = (
    *("id", "agent", "user", "thought", "tool", "args", "output", "stray", "type", "odd", "role"),
    *("content", "raw", "handoff", "assistant", "edited", "branch", "other", "long", "rest"),
    *("title", "person", "tag", "source", "seen", "seenargs", "seenout", "seenerror", "seenagent"),
    *("kind", "ended"),
)


def test_no_text_of_the_data_becomes_html(store: duckstore.Store) -> None:
    """Every field is there as text, and none of them as an element or an attribute."""
    page = shown(store.conversation(poison(store)))
    missing = [field for field in FIELDS if f"{field}</pre>" not in page.text]
    assert missing == []
    # The same in the summary of the store: what it shows of them.
    page = shown(store)
    assert [f for f in ("id", "tool", "title") if f"{f}</pre>" not in page.text] == []


def test_the_path_of_a_store_is_escaped(tmp_path: Path) -> None:
    with duckstore.open(tmp_path / "<img src=x>&.duckdb") as store:
        assert "<img src=x>&.duckdb" in shown(store).text


def test_what_cannot_be_seen_is_written_out(store: duckstore.Store) -> None:
    """NUL, escapes, lone surrogates: shown, in UTF-8, and never handed on."""
    talk = store.conversation("s")
    talk.add([user("a\x00b\x1b[31m\ud800\x85"), {"role": "user", "content": ["\ud800"]}])
    page = shown(talk)
    assert not set(page.text) & {"\x00", "\x1b", "\x85", "\ud800"}
    assert "b\\x1b[31m" in page.text


def test_items_of_no_known_kind_are_shown(rich: duckstore.Store) -> None:
    """Numbers, texts and null are items too; so are types from the future."""
    page = shown(rich.session("odd"))
    assert in_order(page.text, "hi", "item", "42", "text", "null", "from_the_future", "beep")


@pytest.mark.parametrize("name", ["responses-api", "agents-sdk-runs", "toolbench"])
def test_recorded_conversations_are_shown(name: str, store: duckstore.Store) -> None:
    """Some of every recording, with every unusual type of item."""
    lines = [line for line in recording(name) if line["items"]]
    chosen = sorted(lines, key=lambda line: -len({i.get("type") for i in line["items"]}))[:2]
    for number, line in enumerate(chosen):
        talk = store.conversation(str(number))
        talk.add(line["items"])
        page = shown(talk)
        assert f"{len(line['items']):,} item" in page.text


# Where it is asked for ---------------------------------------------------------------------------


def test_what_is_closed_says_so_and_raises_nothing(path: Path) -> None:
    """A note in one line, for a store, its sessions and conversations, and a session of its own."""
    store = duckstore.open(path)
    session, talk = store.session("s"), store.conversation("s")
    talk.add([user("hi")])
    alone = duckstore.DuckDBSession("s", path)
    session.close()
    assert "is closed" in shown(session).text
    assert "hi" in shown(talk).text
    store.close()
    assert "hi" in shown(alone).text
    alone.close()
    for thing in (store, session, talk, alone):
        page = shown(thing)
        assert "is closed" in page.text
        assert page.text.count("\n") == 1
    assert repr(store) == f"Store({str(path)!r}, closed)"
    assert repr(alone) == f"DuckDBSession('s', {str(path)!r})"


def test_a_session_is_shown_while_an_event_loop_runs() -> None:
    """As in a notebook, where a cell runs inside of one, with what was just added."""

    async def cell() -> None:
        session = duckstore.DuckDBSession("s")
        for number in range(3):
            await session.add_items([user(f"ask {number}")])  # type: ignore[list-item]
            assert f"ask {number}" in shown(session).text
        pending = asyncio.create_task(session.add_items([user("last")]))  # type: ignore[list-item]
        await asyncio.sleep(0)
        assert "ask 2" in shown(session).text
        await pending
        await session.close()

    run(cell())


def test_the_store_of_another_process_is_shown(client: duckstore.Store) -> None:
    client.conversation("s").add([user("hi"), call("find", "c"), output("c")])
    assert in_order(shown(client).text, "1 session", "find")
    assert in_order(shown(client.session("s")).text, "hi", "find", "done")


def test_nothing_but_the_core_is_needed(path: Path) -> None:
    """Neither polars nor the SDK is there."""
    code = f"""
import duckstore
with duckstore.open({str(path)!r}) as store:
    store.conversation("s").add([{{"role": "user", "content": "hello"}}])
    print("1 session" in store._repr_html_(), "hello" in store.session("s")._repr_html_())
"""
    assert python(code, blocked=("agents", "polars", "pyarrow", "altair")) == "True True"
