"""The tree of a session, played at random against a model that is nothing but lists.

The model keeps every branch as a plain list of items with the number of them that are visible.
It knows the promises (nothing is overwritten, an append after a pop begins an alternative that
takes over the name, what a compaction replaces is archived, every past state can be read) and none
of the code that keeps them. Two session objects and the synchronous core take turns.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import duckstore
from duckstore import errors
from duckstore.restore import load_state
from duckstore.telemetry import Seen
from tests.samples import assistant, call, output, user

SESSIONS = ("first", "second")

MAKERS: dict[str, Callable[[], dict[str, Any]]] = {
    "user": lambda: user("question"),
    "system": lambda: {"role": "system", "content": "be brief"},
    "assistant": lambda: assistant("answer"),
    "reasoning": lambda: {"type": "reasoning", "summary": []},
    "call a": lambda: call("look", "a"),
    "call b": lambda: call("look", "b"),
    "call without id": lambda: {"type": "function_call", "name": "look", "arguments": "{}"},
    "output a": lambda: output("a"),
    "output b": lambda: output("b"),
    "output without call": lambda: output("never called"),
    "hosted call": lambda: {"type": "web_search_call", "id": "ws", "status": "completed"},
    "search": lambda: {"type": "tool_search_call", "arguments": {}},
    "search output": lambda: {"type": "tool_search_output", "tools": []},
    "unknown": lambda: {"type": "not known yet", "call_id": "a"},
}
CALLS = {"call a", "call b", "call without id", "hosted call", "search"}
ANSWERS = {"output a": "call a", "output b": "call b", "search output": "search"}
INPUTS = {"user", "system", "unknown"}
MESSAGES = {"user", "system", "assistant"}
BATCHES = st.lists(st.sampled_from(sorted(MAKERS)), min_size=0, max_size=5)


@dataclass(eq=False)
class Item:
    """One stored item of the model; `number` makes its value unique."""

    number: int
    kind: str
    is_compacted: bool = False
    answers: Item | None = None
    parent: Item | None = None
    home: Line | None = None

    @property
    def value(self) -> dict[str, Any]:
        return {**MAKERS[self.kind](), "number": self.number}


@dataclass(eq=False)
class Line:
    """A branch: all of its items, how many are visible, what compactions took off it and where."""

    items: list[Item]
    visible: int
    kind: str
    archived: list[tuple[Item, int]] = field(default_factory=list)
    is_deleted: bool = False

    @property
    def path(self) -> list[Item]:
        return self.items[: self.visible]

    def archived_below(self, length: int) -> list[tuple[Item, int]]:
        return [(item, at) for item, at in self.archived if at <= length]

    def holds(self, items: Iterable[Item]) -> bool:
        """Whether any of these items is on it, or was taken off it by a compaction."""
        return not {*self.items, *(item for item, _ in self.archived)}.isdisjoint(items)


@dataclass(eq=False)
class Diversion:
    """A place that was left: on a branch, and whether that went on behind it."""

    line: Line
    length: int
    is_cut: bool


@dataclass(frozen=True, eq=False)
class State:
    """What a session was once, and how that moment is called."""

    history_id: int
    moment: datetime
    line: Line
    items: list[Item]


class Model:
    """A session as its promises describe it."""

    def __init__(self) -> None:
        self.stored: list[Item] = []
        self.current = Line([], 0, "root")
        self.branches: dict[str, Line] = {"main": self.current}
        self.diversions: list[Diversion] = []
        """Where it was before each call that changed the course, in order."""
        self.states: list[State] = []

    def name_of(self, line: Line) -> str:
        return next(name for name, branch in self.branches.items() if branch is line)

    def begin(
        self,
        kind: str,
        path: list[Item],
        archived: list[tuple[Item, int]],
        named_after: Line | None = None,
    ) -> None:
        """Begin a branch that takes the place of the current one, and its name or another's."""
        replaced = self.current
        name = self.name_of(named_after or replaced)
        number = 1
        while f"{name}~{number}" in self.branches:
            number += 1
        self.branches[f"{name}~{number}"] = named_after or replaced
        replaced.visible = len(replaced.items)
        self.current = self.branches[name] = Line(list(path), len(path), kind, archived)

    def add(self, items: list[Item]) -> None:
        if not items:
            return
        here = self.current
        if here.visible < len(here.items):
            kind = "edit" if items[0].kind in INPUTS else "regenerate"
            length = here.visible
            self.begin(kind, here.path, here.archived_below(length))
            self.begun_at(here, length)
        for item in items:
            item.answers = self._open_call(item, self.current)
            self._put(item, self.current)

    def add_later(self, items: list[Item], course: int) -> None:
        """What an agent adds that read the session when its course had changed so many times."""
        if course >= len(self.diversions) or not items:
            self.add(items)
            return
        left = self.diversions[course]
        line = left.line
        length = min(left.length, len(line.items)) if left.is_cut else len(line.items)
        is_here = line is self.current and length == line.visible
        if is_here or line not in self.branches.values():  # it may have been purged since
            self.add(items)
            return
        back, visible, was_deleted = self.current, self.current.visible, line.is_deleted
        self.leave()
        self.current, line.visible, line.is_deleted = line, length, False
        self.add(items)
        self.leave()
        line.is_deleted = self.current.is_deleted = was_deleted
        self.current, back.visible = back, visible

    def leave(self) -> None:
        """Remember where it is, before it takes another course."""
        here = self.current
        self.diversions.append(Diversion(here, here.visible, here.visible < len(here.items)))

    def begun_at(self, line: Line, length: int) -> None:
        """Who was about to say something there goes on with the alternative that was begun."""
        for left in self.diversions:
            if left.is_cut and left.line is line and left.length == length:
                left.line, left.is_cut = self.current, False

    def _open_call(self, output_item: Item, line: Line) -> Item | None:
        """The latest unanswered call with the output's id; searches are answered in order."""
        path = [item for item in line.path if not item.is_compacted]
        answered = {item.answers for item in path}
        kind = ANSWERS.get(output_item.kind)
        calls = [item for item in path if item.kind == kind and item not in answered]
        if not calls:
            return None
        return calls[0] if kind == "search" else calls[-1]

    def _put(self, item: Item, line: Line) -> None:
        item.parent, item.home = (line.path[-1] if line.path else None), line
        line.items.append(item)
        line.visible += 1
        self.stored.append(item)

    def pop(self, keep: bool) -> Item | None:
        here = self.current
        if not here.visible:
            return None
        last = here.path[-1]
        elsewhere = any(
            branch.holds([last]) for branch in self.branches.values() if branch is not here
        )
        here.visible -= 1
        if not keep and here.visible == len(here.items) - 1 and not elsewhere:
            here.items.pop()
            self.stored.remove(last)
        return last

    def compact(self, first: int, start: int, items: list[Item]) -> None:
        path = self.current.path
        kept = path[first:start]
        archived = [
            (item, min(at, len(kept)))
            for item, at in self.current.archived_below(self.current.visible)
        ]
        archived += [(item, 0) for item in path[:first]]
        archived += [(item, len(kept)) for item in path[start:]]
        self.begin("compact", kept, archived)
        for item in items:
            item.is_compacted = True
            self._put(item, self.current)

    def place_of(self, item: Item) -> tuple[Line, int]:
        """The branch on which an item is meant, and how many items are before and with it."""
        line = self.current if item in self.current.path else item.home
        assert line is not None
        return line, line.items.index(item) + 1

    def edit(self, target: Item, new: Item) -> None:
        line, length = self.place_of(target)
        left = self.current
        replaced = self.name_of(line).startswith(f"{self.name_of(left)}~")
        is_elsewhere = line is not self.current or length > self.current.visible
        if is_elsewhere:
            self.go_to(line, length - 1)
        else:
            self.leave()
        line.visible = length - 1
        kind = "edit" if new.kind in INPUTS else "regenerate"
        archived = line.archived_below(line.visible)
        self.begin(kind, line.path, archived, left if replaced else None)
        if is_elsewhere:
            self.begun_at(line, length - 1)
        self._put(new, self.current)

    def go_to(self, line: Line, length: int) -> None:
        """End the path at a place of a branch."""
        length = min(length, len(line.items))
        if line is self.current and length == line.visible:
            return
        self.leave()
        self.current, line.visible, line.is_deleted = line, length, False

    def fork(self, name: str, line: Line, length: int) -> None:
        self.leave()
        path = line.items[:length]
        self.current = Line(path, len(path), "fork", line.archived_below(length))
        self.branches[name] = self.current

    def rename(self, name: str, new_name: str) -> None:
        self.branches = {
            new_name if label == name else label: line for label, line in self.branches.items()
        }

    def purge(self, item: Item) -> None:
        home = item.home
        assert home is not None
        at = home.items.index(item)
        following = home.items[at:]
        gone = {
            line for line in self.branches.values() if line is not home and line.holds(following)
        }
        deleted = {i for i in self.stored if i.home in gone} | set(following)
        home.items = home.items[:at]
        home.visible = min(home.visible, at)
        if self.current in gone:
            self.current, home.visible, home.is_deleted = home, at, False
        if self.branches.get("main") in gone:
            self.rename(self.name_of(home), "main")
        self.branches = {n: line for n, line in self.branches.items() if line not in gone}
        self.stored = [i for i in self.stored if i not in deleted]
        self.states = [
            state
            for state in self.states
            if state.line not in gone and deleted.isdisjoint(state.items)
        ]

    def outputs_of(self, asked: Item) -> list[Item]:
        """The outputs of a call; what stands on the current path, or was archived there, first."""
        live = {*self.current.path, *(i for i, _ in self.current.archived_below(10**9))}
        live -= {item for item, at in self.current.archived if at > self.current.visible}
        found = [item for item in self.stored if item.answers is asked]
        return sorted(found, key=lambda item: (item in live, item.number), reverse=True)


class Tree(RuleBasedStateMachine):
    """Two sessions of one store, changed in every way there is, by several objects of each."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "tree.duckdb"
        self.loop = asyncio.new_event_loop()
        self.models = {name: Model() for name in SESSIONS}
        self.stored_sessions: set[str] = set()
        self.readers: list[tuple[str, Any, int, Model]] = []
        self.number = self.turn = 0

    @initialize(keep=st.booleans())
    def open(self, keep: bool) -> None:
        self.keep = keep
        self._open()

    def _open(self) -> None:
        self.store = duckstore.open(self.path, keep_popped=self.keep)
        self.objects = {
            name: [
                self.store.conversation(name),
                self.store.session(name),
                duckstore.DuckDBSession(name, self.path, keep_popped=self.keep),
            ]
            for name in SESSIONS
        }

    def _close(self) -> None:
        for _, _, own in self.objects.values():
            own.close()
        self.store.close()

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self._close()
        self.loop.close()
        self.folder.cleanup()

    def act(self, name: str, method: str, *values: Any, **more: Any) -> Any:
        """Call a method of a session, each time of another of its objects."""
        self.turn += 1
        done = getattr(self.objects[name][self.turn % 3], method)(*values, **more)
        return self.loop.run_until_complete(done) if inspect.isawaitable(done) else done

    def _id_of(self, item: Item) -> dict[str, int]:
        """An item as calls name it."""
        ((item_id,),) = self._rows(
            "select item_id from items where json_extract(item, '$.number')::bigint = ?",
            item.number,
        )
        return {"item_id": item_id}

    def _stored(self, name: str, which: int, kinds: set[str] | None = None) -> Item | None:
        """One of the items that a session has, on any path."""
        found = [i for i in self.models[name].stored if kinds is None or i.kind in kinds]
        return found[which % len(found)] if found else None

    def _new(self, kinds: list[str]) -> list[Item]:
        made = []
        for kind in kinds:
            self.number += 1
            made.append(Item(self.number, kind))
        return made

    # What may happen -------------------------------------------------------------------------

    @rule(name=st.sampled_from(SESSIONS), kinds=BATCHES)
    def add(self, name: str, kinds: list[str]) -> None:
        items = self._new(kinds)
        self.act(name, "add" if self.turn % 3 == 2 else "add_items", [item.value for item in items])
        self.models[name].add(items)
        if items:
            self.stored_sessions.add(name)

    @rule(name=st.sampled_from(SESSIONS), count=st.integers(1, 4))
    def pop(self, name: str, count: int) -> None:
        for _ in range(count):
            popped = self.act(name, "pop" if self.turn % 3 == 2 else "pop_item")
            expected = self.models[name].pop(self.keep)
            assert popped == (expected.value if expected else None)

    @rule(
        name=st.sampled_from(SESSIONS),
        seen=st.integers(0, 6),
        start=st.integers(0, 6),
        pruned=st.integers(0, 3),
        kinds=BATCHES,
    )
    def compact(self, name: str, seen: int, start: int, pruned: int, kinds: list[str]) -> None:
        conversation, model = self.store.conversation(name), self.models[name]
        path = model.current.path
        items = self._new(kinds)
        snapshot = conversation.snapshot(seen)
        assert snapshot is not None
        assert snapshot.items == [item.value for item in path[max(len(path) - seen, 0) :]]
        assert snapshot.is_complete == (seen >= len(path))
        first = max(len(path) - seen, 0) + start
        dropped = min(pruned, first)
        numbers = {item.number for item in path[:dropped]}
        done = conversation.replace_suffix(
            snapshot,
            start,
            [item.value for item in items],
            (lambda item: item["number"] in numbers) if pruned else None,
        )
        assert done == (first < len(path))
        if done:
            model.compact(dropped, first, items)

    @rule(name=st.sampled_from(SESSIONS), pruned=st.integers(1, 3), kinds=BATCHES)
    def compact_both_ends(self, name: str, pruned: int, kinds: list[str]) -> None:
        """What the start of the conversation loses moves the rest of it forward."""
        self.add(name, ["call a", "user", "output a", "assistant", "user"])
        self.compact(name, seen=2, start=1, pruned=pruned, kinds=kinds)

    @rule(name=st.sampled_from(SESSIONS), kinds=BATCHES)
    def compact_too_late(self, name: str, kinds: list[str]) -> None:
        """A snapshot that the conversation has outgrown changes nothing."""
        conversation = self.store.conversation(name)
        snapshot = conversation.snapshot(3)
        assert snapshot is not None
        self.add(name, ["user", *kinds])
        assert not conversation.replace_suffix(snapshot, 0, [user("summary")])

    @rule(name=st.sampled_from(SESSIONS), kinds=BATCHES)
    def replace_all(self, name: str, kinds: list[str]) -> None:
        items = self._new(kinds)
        self.store.conversation(name).replace_all([item.value for item in items])
        model = self.models[name]
        model.compact(0, 0, items)
        self.stored_sessions.add(name)

    @rule(name=st.sampled_from(SESSIONS), label=st.sampled_from("xyz"), at=st.integers(-1, 8))
    def branch(self, name: str, label: str, at: int) -> None:
        model = self.models[name]
        position = model.current.visible if at == 8 else at
        place = None if at == 8 else {"position": position}
        if label in model.branches or not 0 <= position <= model.current.visible:
            with pytest.raises(errors.ArgumentError):
                self.act(name, "branch", label, at=place)
            return
        self.act(name, "branch", label, at=place)
        model.fork(label, model.current, position)
        self.stored_sessions.add(name)

    @rule(name=st.sampled_from(SESSIONS), label=st.sampled_from("uvw"), which=st.integers(0, 30))
    def branch_at_item(self, name: str, label: str, which: int) -> None:
        model, item = self.models[name], self._stored(name, which)
        if item is None or label in model.branches:
            return
        self.act(name, "branch", label, at=self._id_of(item))
        model.fork(label, *model.place_of(item))

    @rule(name=st.sampled_from(SESSIONS), which=st.integers(0, 30))
    def edit(self, name: str, which: int) -> None:
        target = self._stored(name, which, MESSAGES)
        if target is None:
            return
        (new,) = self._new([target.kind])
        item_id = self.act(name, "edit", self._id_of(target), new.value)
        self.models[name].edit(target, new)
        assert self._id_of(new) == {"item_id": item_id}

    @rule(name=st.sampled_from(SESSIONS), which=st.integers(0, 30))
    def edit_turn(self, name: str, which: int) -> None:
        """A number means the first thing that the user said in that run."""
        turns = self._rows(
            "select items.turn_number, first(item order by item_id) from items"
            " where session_id = ? and is_current and role = 'user' and item_type = 'message'"
            " and operation <> 'compact' group by all order by all",
            name,
        )
        path = {item.number: item for item in self.models[name].current.path}
        if not turns or any(item.is_compacted for item in path.values()):
            return
        turn_number, raw = turns[which % len(turns)]
        (new,) = self._new(["user"])
        self.act(name, "edit", turn_number, new.value)
        self.models[name].edit(path[json.loads(raw)["number"]], new)

    @rule(name=st.sampled_from(SESSIONS), which=st.integers(0, 30))
    def rewind_to_item(self, name: str, which: int) -> None:
        item = self._stored(name, which)
        if item is not None:
            self.act(name, "rewind", self._id_of(item))
            self.models[name].go_to(*self.models[name].place_of(item))

    @rule(name=st.sampled_from(SESSIONS), which=st.integers(0, 30), by_time=st.booleans())
    def rewind_to_moment(self, name: str, which: int, by_time: bool) -> None:
        model = self.models[name]
        states = [s for s in model.states if set(model.stored) >= set(s.items)]
        if states:
            state = states[which % len(states)]
            moment = state.moment if by_time else {"history_id": state.history_id}
            self.act(name, "rewind", moment)
            model.go_to(state.line, len(state.items))

    @rule(name=st.sampled_from(SESSIONS))
    def regenerate(self, name: str) -> None:
        model = self.models[name]
        path = model.current.path
        asked = [index for index, item in enumerate(path) if item.kind == "user"]
        if not asked:
            with pytest.raises(errors.ArgumentError, match="no user message"):
                self.act(name, "regenerate")
            return
        end = asked[-1] + 1
        while end < len(path) and path[end].kind in INPUTS:
            end += 1
        self.act(name, "regenerate")
        model.go_to(model.current, end)

    @rule(name=st.sampled_from(SESSIONS), which=st.integers(0, 20), by_id=st.booleans())
    def switch(self, name: str, which: int, by_id: bool) -> None:
        if name not in self.stored_sessions:
            return
        model = self.models[name]
        label = sorted(model.branches)[which % len(model.branches)]
        target: str | int = label
        if by_id:
            ((target,),) = self._rows(
                "select branch_id from branches where session_id = ? and name = ?", name, label
            )
        if model.branches[label].is_deleted:
            with pytest.raises(errors.UnknownBranchError):
                self.act(name, "switch", target)
            return
        self.act(name, "switch", target)
        model.go_to(model.branches[label], model.branches[label].visible)

    @rule(name=st.sampled_from(SESSIONS))
    def switch_nowhere(self, name: str) -> None:
        with pytest.raises(errors.ArgumentError, match="Branch 'nowhere' does not exist"):
            self.act(name, "switch", "nowhere")

    @rule(name=st.sampled_from(SESSIONS), which=st.integers(0, 20), label=st.sampled_from("xpq"))
    def rename(self, name: str, which: int, label: str) -> None:
        model = self.models[name]
        living = sorted(n for n, line in model.branches.items() if not line.is_deleted)
        if name not in self.stored_sessions:
            return
        old = living[which % len(living)]
        if label in model.branches and label != old:
            with pytest.raises(errors.BranchNameError):
                self.act(name, "rename", old, label)
            return
        self.act(name, "rename", old, label)
        model.rename(old, label)

    @rule(name=st.sampled_from(SESSIONS), which=st.integers(0, 20), force=st.booleans())
    def delete_branch(self, name: str, which: int, force: bool) -> None:
        model = self.models[name]
        label = sorted(model.branches)[which % len(model.branches)]
        line, main = model.branches[label], model.branches.get("main")
        is_current = line is model.current
        there_is_main = main is not None and not main.is_deleted
        refused = label == "main" or line.is_deleted or (is_current and not force)
        if name not in self.stored_sessions:
            return
        if refused or (is_current and not there_is_main):
            with pytest.raises(errors.ArgumentError):
                self.act(name, "delete_branch", label, force)
            return
        self.act(name, "delete_branch", label, force)
        if is_current:
            assert main is not None
            model.go_to(main, main.visible)
        line.is_deleted = True

    @rule(name=st.sampled_from(SESSIONS))
    def an_agent_reads(self, name: str) -> None:
        """It will add what it has to say later."""
        course = self.objects[name][0].read().course
        model = self.models[name]
        self.readers = [*self.readers[-3:], (name, course, len(model.diversions), model)]

    @precondition(lambda self: self.readers)
    @rule(which=st.integers(0, 3), kinds=BATCHES)
    def an_agent_adds(self, which: int, kinds: list[str]) -> None:
        """What it says goes to the branch that it answers, wherever the session is by then."""
        name, course, diversions, model = self.readers[which % len(self.readers)]
        if model is not self.models[name] or len(model.diversions) < diversions:
            return  # cleared, or purged, since
        items = self._new(kinds)
        facts = Seen(course=course)
        self.objects[name][0].add([item.value for item in items], facts)
        model.add_later(items, diversions)
        if items:
            self.stored_sessions.add(name)

    @rule(name=st.sampled_from(SESSIONS), label=st.sampled_from("rst"), kinds=BATCHES)
    def two_at_once(self, name: str, label: str, kinds: list[str]) -> None:
        """They act in the order that the history has: both orders are right."""
        model, items = self.models[name], self._new(["user", *kinds])
        if label in model.branches:
            return
        one, other = self.objects[name][1:]

        async def both() -> None:
            values: Any = [item.value for item in items]
            await asyncio.gather(one.add_items(values), other.branch(label))

        self.loop.run_until_complete(both())
        ((branch_id,),) = self._rows(
            "select branch_id from branches where session_id = ? and name = ?", name, label
        )
        if branch_id < self._id_of(items[0])["item_id"]:
            model.fork(label, model.current, model.current.visible)
            model.add(items)
        else:
            model.add(items)
            model.fork(label, model.current, model.current.visible)
        self.stored_sessions.add(name)

    @rule(name=st.sampled_from(SESSIONS), which=st.integers(0, 30))
    def purge_item(self, name: str, which: int) -> None:
        item = self._stored(name, which)
        if item is None or which % 3:  # not too often: it leaves little
            return
        self.act(name, "purge", self._id_of(item))
        self.models[name].purge(item)

    @rule()
    def reopen(self) -> None:
        self._close()
        self._open()

    @rule(name=st.sampled_from(SESSIONS))
    def forget(self, name: str) -> None:
        self.store._access.engine.forget(name)

    @precondition(lambda self: self.number > 12)
    @rule(name=st.sampled_from(SESSIONS))
    def clear(self, name: str) -> None:
        self.store.conversation(name).clear()
        self.models[name] = Model()

    # What must hold --------------------------------------------------------------------------

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.store._access.engine.reading() as cursor:
            return cursor.execute(sql, list(values)).fetchall()

    @invariant()
    def every_rule_of_the_store_holds(self) -> None:
        assert self.store.check() == []

    @invariant()
    def memory_is_what_the_file_says(self) -> None:
        """A session that is read again has the path, branches and open calls that it had."""
        engine = self.store._access.engine
        for name in self.stored_sessions:
            with engine.session(name) as held, engine.snapshot() as cursor:
                read = load_state(cursor, name)
                assert read is not None
                for ours, theirs in zip(held.path, read.path, strict=True):
                    differing = {
                        slot
                        for slot in ours.__slots__
                        if getattr(ours, slot) != getattr(theirs, slot)
                    }
                    # An output without a call has no use for its key and is read without it.
                    assert differing <= ({"pairing_key"} if not ours.is_call else set())
                assert {k: v for k, v in held.path.open_calls.items() if v} == {
                    k: v for k, v in read.path.open_calls.items() if v
                }
                assert held.current.branch_id == read.current.branch_id
                assert held.branches == read.branches
                assert [d for d in held.diversions if d.branch_id in held.branches] == [
                    d for d in read.diversions if d.branch_id in read.branches
                ]
                assert held.path.byte_count == read.path.byte_count

    @invariant()
    def every_object_shows_the_current_path(self) -> None:
        for name, model in self.models.items():
            expected = [item.value for item in model.current.path]
            for thing in self.objects[name]:
                read = getattr(thing, "items", None) or thing.get_items
                found = read()
                if inspect.isawaitable(found):
                    found = self.loop.run_until_complete(found)
                assert found == expected

    @invariant()
    def every_branch_can_be_read(self) -> None:
        for name in self.stored_sessions:
            model, conversation = self.models[name], self.store.conversation(name)
            for label, line in model.branches.items():
                if line.is_deleted:
                    with pytest.raises(errors.UnknownBranchError):
                        conversation.items(branch=label)
                    continue
                expected = [item.value for item in line.path]
                assert conversation.items(branch=label) == expected
                assert conversation.items(2, label) == expected[-2:]
            found = {b.name: (b.kind, b.item_count, b.is_current) for b in conversation.branches()}
            assert found == {
                label: (line.kind, line.visible, line is model.current)
                for label, line in model.branches.items()
                if not line.is_deleted
            }

    @invariant()
    def every_state_that_ever_was_can_be_read(self) -> None:
        """Those that were deleted for good excepted."""
        for name in self.stored_sessions:
            model = self.models[name]
            rows = self._rows(
                "select history_id, created_at from history where session_id = ?"
                " order by history_id desc limit 1",
                name,
            )
            if not rows:
                continue
            last = model.states[-1].history_id if model.states else 0
            (history_id, created_at) = rows[0]
            if history_id != last:
                path = model.current.path
                model.states.append(State(history_id, created_at, model.current, path))
            for state in model.states:
                expected = [item.value for item in state.items if item in model.stored]
                assert self.act(name, "at", state.moment) == expected
                try:
                    found = self.act(name, "at", {"history_id": state.history_id})
                except errors.ArgumentError:
                    assert len(expected) < len(state.items), "only what was deleted is not known"
                else:
                    assert found == expected

    @invariant()
    def alternatives_are_the_forks_of_the_tree(self) -> None:
        for name in self.stored_sessions:
            children = defaultdict(list)
            for item in self.models[name].stored:
                children[item.parent].append(item)
            expected = [
                [item.number for item in items] for items in children.values() if len(items) > 1
            ]
            ids = {
                item_id: json.loads(raw)["number"]
                for item_id, raw in self._rows(
                    "select item_id, item from items where session_id = ?", name
                )
            }
            found: list[list[int]] = []
            for alternative in self.store.conversation(name).alternatives():
                if alternative.rank == 1:
                    found.append([])
                found[-1].append(ids[alternative.item_id])
            assert sorted(found) == sorted(expected)
            points = self._rows(
                "select count(distinct coalesce(item_before_id, 0)) from edit_points"
                " where session_id = ?",
                name,
            )
            assert points == [(len(expected),)]

    @invariant()
    def every_branch_shows_its_path(self) -> None:
        rows = self._rows(
            """
            select
                branches.session_id, name, kind, branches.is_current, fork_position,
                list(item order by branch_items.position) filter (where item is not null)
            from branches
            left join branch_items using (branch_id)
            left join items using (item_id)
            group by all
            """
        )
        found = {
            (session, name): (kind, is_current, [json.loads(raw) for raw in raws or []])
            for session, name, kind, is_current, _, raws in rows
        }
        expected = {
            (session, name): (
                branch.kind,
                branch is model.current,
                [] if branch.is_deleted else [item.value for item in branch.path],
            )
            for session, model in self.models.items()
            if session in self.stored_sessions
            for name, branch in model.branches.items()
        }
        assert found == expected

    @invariant()
    def every_item_is_stored_once(self) -> None:
        rows = self._rows(
            """
            select items.session_id, items.item, items.is_current, items.is_archived, calls.item
            from items
            left join items as calls on items.answers_item_id = calls.item_id
            order by items.item_id
            """
        )
        for name, model in self.models.items():
            current = set(model.current.path)
            archived = {i for i, _ in model.current.archived_below(model.current.visible)}
            found = [
                (json.loads(raw)["number"], *flags, json.loads(asked)["number"] if asked else None)
                for session, raw, *flags, asked in rows
                if session == name
            ]
            assert found == [
                (
                    item.number,
                    item in current,
                    item in archived,
                    item.answers.number if item.answers in model.stored else None,
                )
                for item in model.stored
            ]

    @invariant()
    def every_tool_call_is_counted_once(self) -> None:
        rows = self._rows(
            """
            select calls.session_id, asked.item, answer.item
            from tool_calls as calls
            inner join items as asked on calls.id = asked.item_id
            left join items as answer on calls.output_item_id = answer.item_id
            order by calls.id
            """
        )
        for name, model in self.models.items():
            found = [
                (json.loads(asked)["number"], json.loads(answer)["number"] if answer else None)
                for session, asked, answer in rows
                if session == name
            ]
            expected = []
            for item in model.stored:
                if item.kind in CALLS and not item.is_compacted:
                    outputs = model.outputs_of(item)
                    expected.append((item.number, outputs[0].number if outputs else None))
            assert found == expected

    @invariant()
    def history_ends_where_the_session_is(self) -> None:
        for name in self.stored_sessions:
            model = self.models[name]
            ((branch, position),) = self._rows(
                """
                select branches.name, history.to_position
                from history
                inner join branches on history.to_branch_id = branches.branch_id
                where history.session_id = ?
                order by history_id desc limit 1
                """,
                name,
            )
            assert model.branches[branch] is model.current
            assert position == model.current.visible

    @invariant()
    def runs_divide_every_path(self) -> None:
        """Run numbers start with user messages, and sums over runs count nothing twice."""
        rows = self._rows(
            """
            select branch_items.branch_id, turn_number, item_type, role, part
            from branch_items
            inner join placed_items using (item_id)
            where branch_items.branch_id not in (
                select branch_items.branch_id from branch_items
                inner join items using (item_id) where operation = 'compact'
            )
            order by branch_items.branch_id, branch_items.position
            """
        )
        before: tuple[Any, ...] | None = None
        for row in rows:
            branch_id, turn, item_type, role, part = row
            if before is not None and before[0] == branch_id:
                asks = item_type == "message" and role == "user"
                if part != "input":
                    assert turn == before[1]
                elif asks and before[4] != "input":
                    assert turn == before[1] + 1
                assert before[1] <= turn <= before[1] + 1
            before = row
        ((calls, responses),) = self._rows(
            "select (select count(*) from tool_calls), (select count(*) from responses)"
        )
        ((run_calls, run_responses),) = self._rows(
            "select coalesce(sum(tool_call_count), 0), coalesce(sum(response_count), 0) from runs"
        )
        assert (calls, responses) == (run_calls, run_responses)


def play(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Tree,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_random_changes_keep_every_promise_of_the_tree() -> None:
    play(5, 12)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_random_changes_keep_every_promise_of_the_tree() -> None:
    play(200, 30)


# What random play found once, and must not find again -------------------------------------------


def test_a_conversation_that_lost_its_start_is_shown_from_position_one(
    store: duckstore.Store,
) -> None:
    conversation = store.conversation("s")
    conversation.add([user(str(number)) for number in range(4)])
    snapshot = conversation.snapshot(1)
    assert snapshot is not None
    assert conversation.replace_suffix(
        snapshot, 0, [user("summary")], lambda item: item["content"] in "01"
    )
    shown = store.sql(
        "select branch_items.position, text from branch_items inner join items using (item_id)"
        " inner join branches on branch_items.branch_id = branches.branch_id"
        " where branches.is_current order by 1"
    )
    assert shown.rows() == [(1, "2"), (2, "summary")]
    assert store.check() == []


def test_an_output_whose_call_was_compacted_away_can_be_popped(store: duckstore.Store) -> None:
    conversation = store.conversation("s")
    conversation.add([call("look", "a"), output("a"), user("more")])
    snapshot = conversation.snapshot(1)
    assert snapshot is not None
    assert conversation.replace_suffix(
        snapshot, 0, [user("summary")], lambda item: item.get("type") == "function_call"
    )
    assert conversation.pop() == user("summary")
    assert conversation.pop() == output("a")
    assert conversation.pop() is None
    assert store.check() == []


def test_what_follows_a_compaction_in_the_middle_of_a_run_begins_a_run(
    store: duckstore.Store,
) -> None:
    """It shares its opening with the run that was compacted, as a fork in the middle does."""
    conversation = store.conversation("s")
    conversation.add([user("question")])
    conversation.add([call("look", "a"), output("a")])
    conversation.replace_all([user("summary")])
    conversation.add([assistant("answer")])
    runs = store.sql("select user_message, assistant_message, turn_number from runs order by id")
    assert runs.rows() == [("question", None, 1), ("question", "answer", 1)]
    assert store.check() == []


@pytest.mark.parametrize("forget", [False, True])
def test_what_follows_a_compaction_of_nothing_is_the_same_after_reading_it_again(
    forget: bool, store: duckstore.Store
) -> None:
    conversation = store.conversation("s")
    conversation.replace_all([user("summary")])
    if forget:
        store._access.engine.forget("s")
    conversation.add([assistant("answer")])
    conversation.add([user("question")])
    turns = store.sql("select turn_number from items order by item_id")["turn_number"].to_list()
    assert turns == [1, 1, 2]
    assert store.check() == []
