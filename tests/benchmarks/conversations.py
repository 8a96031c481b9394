"""Synthetic conversations: the same for every store and every run, by seed.

A turn is a user message, mostly one or two model responses with tool calls and their outputs, and
an answer; an item is about 300 bytes of JSON. Some turns are edited: everything from the last
user message on is taken back and the question is asked in other words.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Add", "Edit", "Fork", "Item", "Step", "conversation", "items", "timeline"]

Item = dict[str, Any]

TOOLS = (
    "search_orders",
    "get_customer",
    "update_address",
    "list_products",
    "refund_payment",
    "book_flight",
    "read_file",
    "run_query",
    "send_message",
    "weather_report",
)
TOOL_FAILED = "An error occurred while running the tool. Please try again. Error: "
"""What the SDK puts in place of a failed tool's output."""

_VOCABULARY = """
order invoice address delivery customer account refund payment flight ticket change date
number please could would need find show list update cancel confirm return window monday
morning evening north south station window price discount offer product blue green large
small battery charger cable screen keyboard table column report figure average total month
week year result error message password reset link sent received waiting missing broken
replaced warranty support ticket agent question answer detail option choose between first
second third last next previous available today tomorrow weather rain sunny cold warm city
road travel hotel room night guest breakfast meeting calendar invite note file folder line
"""
_WORDS = _VOCABULARY.split()


@dataclass(frozen=True, slots=True)
class Add:
    """A batch of items, as the Runner hands it over."""

    items: list[Item]


@dataclass(frozen=True, slots=True)
class Edit:
    """The last turn is taken back: `count` items, of turn `turn_number`."""

    count: int
    turn_number: int


@dataclass(frozen=True, slots=True)
class Fork:
    """A branch begins by name, after so many items of the session's first branch."""

    name: str
    position: int


Step = Add | Edit | Fork
"""What may happen. Branches by name are in no conversation here: who wants some adds them."""


def conversation(seed: int, item_count: int, *, with_edits: bool = True) -> list[Step]:
    """The steps of one conversation that adds exactly `item_count` items."""
    source = random.Random(seed)
    steps: list[Step] = []
    left, turn_number = item_count, 0
    while left > 0:
        turn_number += 1
        turn = [Add(batch) for batch in _cut(_turn(source), left)]
        size = sum(len(step.items) for step in turn)
        steps += turn
        left -= size
        if with_edits and turn_number > 1 and left > 0 and source.random() < 0.08:
            steps.append(Edit(size, turn_number))
            turn_number -= 1
    return steps


def items(seed: int, item_count: int) -> list[Item]:
    """The first `item_count` items of a conversation without edits."""
    steps = conversation(seed, item_count, with_edits=False)
    return [item for step in steps if isinstance(step, Add) for item in step.items]


def timeline(
    seed: int, session_count: int, items_per_session: int, *, active: int = 50
) -> Iterator[tuple[str, Step]]:
    """The steps of many sessions, `active` of them at a time taking turns."""
    for start in range(0, session_count, active):
        going = {
            f"s{number:06}": iter(conversation(seed * 1_000_003 + number, items_per_session))
            for number in range(start, min(start + active, session_count))
        }
        while going:
            for session_id, steps in list(going.items()):
                step = next(steps, None)
                if step is None:
                    del going[session_id]
                else:
                    yield session_id, step


def _cut(batches: list[list[Item]], left: int) -> Iterator[list[Item]]:
    for batch in batches:
        if left <= 0:
            return
        yield batch[:left]
        left -= len(batch)


def _turn(source: random.Random) -> list[list[Item]]:
    """One turn in batches: the user's input, then one batch for each model response."""
    batches = [[{"role": "user", "content": _words(source, 40)}]]
    for _ in range(source.choice((0, 1, 1, 1, 2))):
        calls = [_call(source) for _ in range(source.choice((1, 1, 2, 3)))]
        batches.append(calls + [_output(source, call) for call in calls])
    batches.append([_answer(source)])
    return batches


def _call(source: random.Random) -> Item:
    arguments = {
        "query": _words(source, 8),
        "customer_id": source.randrange(10**6),
        "options": {"limit": source.randrange(1, 50), "sort": source.choice(("asc", "desc"))},
    }
    return {
        "arguments": json.dumps(arguments),
        "call_id": f"call_{source.getrandbits(96):024x}",
        "name": source.choices(TOOLS, weights=range(len(TOOLS), 0, -1))[0],
        "type": "function_call",
        "id": f"fc_{source.getrandbits(96):024x}",
        "status": "completed",
    }


def _output(source: random.Random, call: Item) -> Item:
    if source.random() < 0.03:
        text = TOOL_FAILED + _words(source, 6)
    else:
        record = {"id": source.randrange(10**6), "name": _words(source, 3)}
        text = json.dumps({"found": [record], "note": _words(source, 15)})
    return {"call_id": call["call_id"], "output": text, "type": "function_call_output"}


def _answer(source: random.Random) -> Item:
    text = {"annotations": [], "text": _words(source, 30), "type": "output_text", "logprobs": []}
    return {
        "id": f"msg_{source.getrandbits(96):024x}",
        "content": [text],
        "role": "assistant",
        "status": "completed",
        "type": "message",
    }


def _words(source: random.Random, count: int) -> str:
    return " ".join(source.choices(_WORDS, k=source.randint(count // 2, count * 3 // 2)))
