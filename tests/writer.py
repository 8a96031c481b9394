"""A process that writes to a store until it is told to end, and tells what it did.

What it does follows from its name alone, so that its log of how far it came tells what must be
there. It checks by itself that each change answered what it had to, however often its request was
made again because an owner died.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Iterator
from typing import Any

Path = list[str]

TASKS = "tasks"
"""A session whose items all writers pop."""


def changes(name: str) -> Iterator[tuple[str, Any, Path]]:
    """The changes of the writer of that name: what, with what, and the path afterwards."""
    dice = random.Random(name)
    path: Path = []
    number = 0
    while True:
        number += 1
        choice = dice.random()
        if choice < 0.7 or not path:
            batch = [f"{name} {number} {index}" for index in range(1 + number % 3)]
            path = path + batch
            yield "add", batch, path
        elif choice < 0.85:
            popped, path = path[-1], path[:-1]
            yield "pop", popped, path
        elif choice < 0.92:
            at = dice.randrange(len(path) + 1)
            path = path[:at]
            yield "fork", (f"branch {number}", at), path
        else:
            yield "task", None, path


def path_after(name: str, count: int) -> Path:
    """The writer's conversation after so many changes."""
    path: Path = []
    for index, (_, _, path_then) in enumerate(changes(name)):
        if index == count:
            break
        path = path_then
    return path


def do(store: Any, conversation: Any, what: str, value: Any, seen: set[int]) -> str:
    """One change, with its answer checked; returns what it took from the tasks."""
    if what == "add":
        conversation.add(value)
    elif what == "pop":
        popped = conversation.pop()
        assert popped == value, (popped, value)
    elif what == "fork":
        branch_id = conversation.branch(value[0], at={"position": value[1]})
        assert branch_id not in seen, f"branch {branch_id} was made before"
        seen.add(branch_id)
    else:
        return json.dumps(store.conversation(TASKS).pop())
    return ""


def main(path: str, name: str, end: str) -> None:
    import duckstore

    with duckstore.open(path) as store:
        conversation = store.conversation(name)
        worst, count, seen = 0.0, 0, set[int]()
        for what, value, _ in changes(name):
            count += 1
            print("begin", what, flush=True)
            began = time.perf_counter()
            taken = do(store, conversation, what, value, seen)
            worst = max(worst, time.perf_counter() - began)
            print("done", what, taken, flush=True)
            time.sleep(0.01)  # a model thinks
            if os.path.exists(end):
                break
        assert conversation.items() == path_after(name, count)
        print("ended", count, worst, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
