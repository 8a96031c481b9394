"""context_carry: what each tool's outputs weigh in the contexts of later model calls."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from datetime import timedelta
from statistics import median
from typing import Any

from duckstore import Store
from duckstore.conversation import Conversation
from duckstore.telemetry import Seen, SeenCall, SeenResponse
from tests.clock import Clock
from tests.samples import assistant, call, output, user

Row = tuple[Any, ...]


def rows(store: Store, **parameters: Any) -> list[Row]:
    """Tool, outputs, their characters, median and maximum of the responses after, and carried."""
    frame = store.query("context_carry", **parameters)
    return frame.select(
        "tool_name",
        "output_count",
        "total_chars",
        "p50_response_count",
        "max_response_count",
        "carried_chars",
    ).rows()


def find(text: str, name: str = "find") -> list[Any]:
    """A response that calls a tool, with its output."""
    return [call(name, "c"), output("c", text)]


def test_an_output_is_carried_by_every_later_response(store: Store) -> None:
    """Of its own run and of those after it; the response that called it did not have it."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add(find("x" * 10))
    talk.add(find("yy"))
    talk.add(find("zzzzz", "read"))
    talk.add([user("and?")])
    talk.add([assistant("done")])
    assert rows(store) == [("find", 2, 12, 2.5, 3, 34), ("read", 1, 5, 1.0, 1, 5)]
    frame = store.query("context_carry")
    assert frame["p50_chars"].to_list() == [6.0, 5.0]
    assert frame["carried_share"].to_list() == [34 / 39, 5 / 39]


def test_calls_at_once_are_carried_from_the_next_response_on(store: Store) -> None:
    """Neither output was in the context of the response that made both calls."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add([call("find", "a"), call("read", "b"), output("a", "1"), output("b", "22")])
    assert rows(store) == [("read", 1, 2, 0.0, 0, 0), ("find", 1, 1, 0.0, 0, 0)]
    assert store.query("context_carry")["carried_share"].to_list() == [None, None]
    talk.add([assistant("done")])
    assert rows(store) == [("read", 1, 2, 1.0, 1, 2), ("find", 1, 1, 1.0, 1, 1)]


def test_every_path_through_an_output_counts(store: Store) -> None:
    """What goes on from before it does not have it; what an edit replaced was made all the same."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add(find("1234"))
    talk.add([assistant("a")])  # has it
    talk.branch("beside", at={"position": 3})
    talk.add([assistant("b")])  # has it
    talk.add([user("more")])
    talk.add([assistant("c")])  # has it
    talk.branch("before", at={"position": 1})
    talk.add(find("12", "read"))
    talk.add([assistant("d")])
    assert rows(store) == [("find", 1, 4, 3.0, 3, 12), ("read", 1, 2, 1.0, 1, 2)]
    assert rows(store, include_superseded=False) == [("read", 1, 2, 1.0, 1, 2)]
    talk.switch("main")
    assert rows(store, include_superseded=False) == [("find", 1, 4, 1.0, 1, 4)]


def test_edits_of_edits(store: Store) -> None:
    """Each answer is given anew, on a branch of a branch: forty deep."""
    talk = store.conversation("s")
    count = 40
    for number in range(count):
        talk.add([user(str(number))])
        talk.add(find("1"))
        talk.add([assistant("a")])
        talk.pop()
        talk.add([assistant("b")])
    # After each output: both answers, and the three responses of each later run.
    later = [3 * (count - number - 1) + 2 for number in range(count)]
    assert rows(store) == [("find", count, count, median(later), max(later), sum(later))]


def test_a_compaction_takes_outputs_off_the_path(store: Store) -> None:
    """At the end of a conversation, as a whole, and at its start."""
    three = ("three", 1, 100, 0.0, 0, 0)
    talk = store.conversation("s")
    talk.add([user("go")])
    for number, name in enumerate(("one", "two", "three")):
        talk.add(find("x" * 10**number, name))
    assert rows(store) == [("two", 1, 10, 1.0, 1, 10), ("one", 1, 1, 2.0, 2, 2), three]
    snapshot = talk.snapshot(100)
    # The user's message and the first tool go, and the third one is put in other words.
    talk.replace_suffix(snapshot, 5, [user("summary")], lambda item: item != snapshot.items[3])
    assert len(talk.items()) == 3
    for _ in range(4):
        talk.add([assistant("a")])
    assert rows(store) == [("two", 1, 10, 5.0, 5, 50), ("one", 1, 1, 2.0, 2, 2), three]
    # A branch of what was kept has lost the start as well.
    talk.branch("other", at={"position": 2})
    talk.add([assistant("b")])
    talk.replace_all([user("summary of all")])
    talk.add([assistant("c")])
    assert rows(store) == [("two", 1, 10, 6.0, 6, 60), ("one", 1, 1, 2.0, 2, 2), three]
    # What was compacted was not replaced by an edit.
    assert rows(store, include_superseded=False) == [
        ("two", 1, 10, 2.0, 2, 20),
        ("one", 1, 1, 2.0, 2, 2),
        three,
    ]


def test_outputs_of_every_kind(store: Store) -> None:
    """A provider's tool has its output in the call; an output without call has no tool."""
    talk = store.conversation("s")
    talk.add([user("go"), output("nobody", "lost")])
    search = {
        "type": "web_search_call",
        "id": "w",
        "status": "completed",
        "results": [{"text": "abc"}],
    }
    silent = {"type": "web_search_call", "id": "v", "status": "completed", "action": {"q": "x"}}
    talk.add([search, silent])
    talk.add([call("wait", "w")])
    talk.add([assistant("done")])
    assert rows(store) == [(None, 1, 4, 3.0, 3, 12), ("web_search", 1, 3, 2.0, 2, 6)]


def test_a_repeated_call_id_is_two_outputs(store: Store) -> None:
    talk = store.conversation("s")
    talk.add([user("go"), call("a", "x"), output("x", "1"), call("b", "x"), output("x", "22")])
    talk.add([assistant("done")])
    assert rows(store) == [("a", 1, 1, 2.0, 2, 2), ("b", 1, 2, 1.0, 1, 2)][::-1]


def test_agents_that_are_tools_carry_their_own(store: Store) -> None:
    """A model call in a tool has a context of its own, and one without items tells none."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add(find("12345"))
    talk.add(
        [call("ask", "a"), output("a", "1")],
        Seen(
            calls=[
                SeenCall("a", started_us=0, ended_us=1, is_item=True),
                SeenCall("b", tool_name="find", output="x" * 99, started_us=0, parent=0),
            ],
            responses=[SeenResponse(agent_name="Inner", parent=0), SeenResponse(error="gone")],
        ),
    )
    assert rows(store) == [("find", 1, 5, 1.0, 1, 5), ("ask", 1, 1, 0.0, 0, 0)]


def test_a_session_begun_from_another_carries_its_start_again(store: Store) -> None:
    """The copy is an output there; the responses that were copied with it were made before."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add(find("123"))
    talk.add([assistant("a")])
    copy = talk.fork("copy")
    copy.add([assistant("b")])
    copy.add([assistant("c")])
    assert rows(store, session_id="s") == [("find", 1, 3, 1.0, 1, 3)]
    assert rows(store, session_id="copy") == [("find", 1, 3, 2.0, 2, 6)]
    assert rows(store) == [("find", 2, 6, 1.5, 2, 9)]


def test_only_some(store: Store, clock: Clock) -> None:
    """What is left out is not listed, and changes nothing of what is; shares are of all tools."""
    talk = store.conversation("s")
    talk.add([user("go")])
    talk.add(find("1"))
    clock.wait(60)
    moment = clock.now
    talk.add(find("333", "read"))
    clock.wait(60)
    talk.add([assistant("done")])
    one, three = ("find", 1, 1, 2.0, 2, 2), ("read", 1, 3, 1.0, 1, 3)
    assert rows(store) == [three, one]
    assert rows(store, tool_name="find") == [one]
    assert store.query("context_carry", tool_name="find")["carried_share"].to_list() == [0.4]
    assert rows(store, since=moment) == [three]
    assert rows(store, until=moment) == [one]
    assert rows(store, since=moment, until=moment + timedelta(seconds=1)) == [three]
    assert rows(store, row_limit=1) == [three]
    assert rows(store, session_id="other") == []


class Player:
    """Plays a session at random, and notes what was in the context of each response."""

    def __init__(self, talk: Conversation, random: random.Random) -> None:
        self.talk, self.random = talk, random
        self.carried: Counter[int] = Counter()
        self.names = ["main"]

    def respond(self, items: list[Any]) -> None:
        self.carried.update(self.talk.snapshot(1000).item_ids)
        self.talk.add(items)

    def play(self, number: int) -> None:
        talk, choose = self.talk, self.random
        length = len(talk.items())
        place = {"position": choose.randint(0, length)}
        move = choose.choice(("ask", "say", *["call"] * 4, "rewind", "fork", "switch", "compact"))
        if move == "ask":
            talk.add([user(str(number))])
        elif move == "say":
            self.respond([assistant(str(number))])
        elif move == "call":
            self.respond(find("x" * choose.randint(1, 9), choose.choice("fgh")))
        elif move == "rewind" and length:
            talk.rewind({"item_id": choose.choice(talk.snapshot(1000).item_ids)})
        elif move == "fork":
            self.names.append(str(number))
            talk.branch(self.names[-1], at=place)
        elif move == "switch":
            talk.switch(choose.choice(self.names))
        elif move == "compact" and length:
            first = choose.randint(0, length - 1)
            dropped = iter([True] * choose.randint(0, first) + [False])
            talk.replace_suffix(talk.snapshot(1000), first, [user("sum")], lambda _: next(dropped))


def test_as_counted_by_hand(store: Store) -> None:
    """Sessions that were played at random, with every response's context noted as it was made."""
    carried: Counter[int] = Counter()
    for seed in range(4):
        talk = store.conversation(f"random {seed}")
        talk.add([user("go")])
        player = Player(talk, random.Random(seed))
        for number in range(60):
            player.play(number)
        carried += player.carried
    outputs = store.sql(
        "select tool_name, item_id, length(text) from items where answers_item_id is not null"
    ).rows()
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for tool_name, item_id, chars in outputs:
        found[tool_name].append((chars, carried[item_id]))
    assert sorted(rows(store)) == [
        (
            name,
            len(each),
            sum(chars for chars, _ in each),
            median(count for _, count in each),
            max(count for _, count in each),
            sum(chars * count for chars, count in each),
        )
        for name, each in sorted(found.items())
    ]
