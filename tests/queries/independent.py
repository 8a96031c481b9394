"""A second computation of some answers, in plain Python, from nothing but recorded items.

It knows the items and the index of the item before each, and takes its definitions from the headers
of the queries. It shares no code with duckstore, and takes other ways where there are any: a path
is walked item by item, where the store reckons with branches.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Conversation"]

Item = dict[str, Any]

CALLS = {
    "function_call": "function",
    "web_search_call": "web_search",
    "file_search_call": "file_search",
    "code_interpreter_call": "code_interpreter",
    "image_generation_call": "image_generation",
    "mcp_call": "mcp",
    "tool_search_call": "tool_search",
}
PAIRED = {"function_call": "function_call_output", "tool_search_call": "tool_search_output"}
"""Calls whose output is an item of its own."""
ARGUMENTS = {
    "function_call": ["arguments"],
    "tool_search_call": ["arguments"],
    "mcp_call": ["arguments"],
    "web_search_call": ["action"],
    "file_search_call": ["queries"],
    "code_interpreter_call": ["code"],
    "image_generation_call": ["revised_prompt", "action"],
}
UNFINISHED = {"in_progress", "searching", "generating", "interpreting", "calling", "incomplete"}
MODEL = {*CALLS, "reasoning", "compaction", "mcp_list_tools"}
FAILED = "An error occurred while running the tool"
REFUSED = "Tool execution was not approved."


def kind_of(item: Item) -> str:
    """The type of an item; a message may leave it out."""
    return str(item.get("type") or "message")


def maker_of(item: Item) -> str:
    """Who made it: the caller, the model, or a tool."""
    kind = kind_of(item)
    if kind == "message":
        return "model" if item["role"] == "assistant" else "caller"
    if kind in MODEL or (kind == "tool_search_output" and item.get("execution") != "client"):
        return "model"
    return "tool" if kind.endswith("_output") else "caller"


def words_of(item: Item) -> str | None:
    """What a person would read in a message."""
    content = item["content"]
    if isinstance(content, str):
        return content or None
    words: list[str] = []
    for part in content:
        kind = part.get("type", "")
        for key in ("text", "refusal", "transcript"):
            if isinstance(part.get(key), str):
                words.append(part[key])
                break
        else:
            if kind.endswith("file"):
                words.append(f"[file: {part['filename']}]" if part.get("filename") else "[file]")
            elif "image" in kind or "audio" in kind:
                words.append("[image]" if "image" in kind else "[audio]")
    return "\n".join(words) if words else None


@dataclass
class Run:
    """Items that follow each other: from the caller's input, or from where another way began."""

    number: int
    """The index of its first item."""
    turn_number: int
    members: list[int] = field(default_factory=list)
    begun_over: int | None = None
    """The run in whose middle it began."""


@dataclass
class Call:
    """A tool call, and the outputs that belong to it, on any path."""

    index: int
    run: Run
    outputs: list[int] = field(default_factory=list)


class Conversation:
    """One recorded conversation."""

    def __init__(self, session_id: str, items: list[Item], parents: list[int] | None) -> None:
        self.session_id = session_id
        self.items = items
        self.parents = parents or list(range(-1, len(items) - 1))
        self.children: dict[int, list[int]] = defaultdict(list)
        for index, parent in enumerate(self.parents):
            self.children[parent].append(index)
        self.live = set(self._path(len(items) - 1))
        self.runs: dict[int, Run] = {}
        self.run_of: list[Run] = []
        for index in range(len(items)):
            run = self._run(index)
            run.members.append(index)
            self.run_of.append(run)
        self.calls: dict[int, Call] = {}
        self.orphans: list[tuple[str, int]] = []
        self._pair()

    def _path(self, index: int) -> list[int]:
        path = []
        while index >= 0:
            path.append(index)
            index = self.parents[index]
        return path[::-1]

    # Runs ----------------------------------------------------------------------------------------

    def _run(self, index: int) -> Run:
        before = self.parents[index]
        if before < 0:
            return self._begin(index, 1)
        last = self.run_of[before]
        if self._asks(index) and not self._goes_on_asking(index):
            return self._begin(index, last.turn_number + 1)
        if self.children[before][0] != index:
            return self._begin(index, last.turn_number, last.number)
        return last

    def _begin(self, index: int, turn_number: int, begun_over: int | None = None) -> Run:
        run = self.runs[index] = Run(index, turn_number, begun_over=begun_over)
        return run

    def _asks(self, index: int) -> bool:
        """Whether a user says it, or the caller puts it before what a user says next."""
        while index < len(self.items) and maker_of(self.items[index]) == "caller":
            if self.items[index].get("role") == "user":
                return True
            following = index + 1
            if following == len(self.items) or self.parents[following] != index:
                return False
            index = following
        return False

    def _goes_on_asking(self, index: int) -> bool:
        """Whether all that the run has before it is input too, of the same stretch of items."""
        path = self._path(self.parents[index])
        run = self.run_of[path[-1]]
        opening = [i for i in path if self.run_of[i].turn_number == run.turn_number]
        if any(maker_of(self.items[i]) != "caller" for i in opening):
            return False
        nobody_asked = all(self.items[i].get("role") != "user" for i in opening)
        return nobody_asked or self.parents[index] == index - 1

    # Calls ---------------------------------------------------------------------------------------

    def _pair(self) -> None:
        """An output belongs to the latest open call with its id before it on its own path."""
        for index, item in enumerate(self.items):
            kind = kind_of(item)
            if kind in CALLS:
                self.calls[index] = Call(index, self.run_of[index])
            elif kind in PAIRED.values():
                call = self._asked(index)
                if call is None:
                    self.orphans.append(("output_without_call", index))
                else:
                    call.outputs.append(index)
        for index, call in self.calls.items():
            if kind_of(self.items[index]) in PAIRED and (
                not call.outputs
                or (index in self.live and not any(o in self.live for o in call.outputs))
            ):
                self.orphans.append(("call_without_output", index))
        self.orphans.sort(key=lambda orphan: orphan[1])

    def _asked(self, output: int) -> Call | None:
        wanted = self.items[output].get("call_id")
        kind = kind_of(self.items[output])
        path = self._path(output)[:-1]
        answered = {
            call.index
            for call in self.calls.values()
            if any(other in path for other in call.outputs)
        }
        found = [
            index
            for index in path
            if kind_of(self.items[index]) in PAIRED
            and self.items[index].get("call_id") == wanted
            and index not in answered
            and (wanted is not None or PAIRED[kind_of(self.items[index])] == kind)
        ]
        if not found or (wanted is None and kind != "tool_search_output"):
            return None
        return self.calls[found[0] if wanted is None else found[-1]]

    def name_of(self, index: int) -> str:
        """The tool's name, or its kind."""
        item = self.items[index]
        return str(item.get("name") or CALLS[kind_of(item)])

    def status_of(self, index: int) -> str:
        """How a call ended: by what its output says, or by the item itself where it has both."""
        item, call = self.items[index], self.calls[index]
        if kind_of(item) not in PAIRED:
            if item.get("error") is not None or item.get("status") == "failed":
                return "error"
            return "pending" if item.get("status") in UNFINISHED else "ok"
        if not call.outputs:
            return "pending"
        told = [o for o in call.outputs if o in self.live] or call.outputs
        text = self.items[told[-1]].get("output")
        if isinstance(text, list):
            text = "\n".join(str(part.get("text", "")) for part in text)
        if isinstance(text, str) and text.startswith(FAILED):
            return "error"
        return "rejected" if isinstance(text, str) and text.startswith(REFUSED) else "ok"

    def arguments_of(self, index: int) -> str | None:
        """Arguments in a form in which equal JSON values are equal texts."""
        item = self.items[index]
        values = (item.get(key) for key in ARGUMENTS[kind_of(item)])
        value = next((value for value in values if value is not None), None)
        if value is None:
            return None
        text = value if isinstance(value, str) else json.dumps(value)
        try:
            decoded = json.loads(text, parse_float=_as_written, parse_int=_as_written)
        except ValueError:
            return f"text: {text}"
        return "value: " + json.dumps(decoded, sort_keys=True)

    # Answers -------------------------------------------------------------------------------------

    def turn_pairs(self, *, with_superseded: bool) -> list[tuple[Any, ...]]:
        """Turn, status, question, answer, and the tools in order."""
        rows = []
        for run in self.runs.values():
            status = self._status(run)
            if status == "superseded" and not with_superseded:
                continue
            counted = run.members if status == "superseded" else self._live(run)
            said = [words_of(self.items[i]) for i in counted if self._is_said(i, "assistant")]
            answers = [words for words in said if words is not None]
            tools = [self.name_of(c.index) for c in self.calls.values() if c.run is run]
            rows.append(
                (
                    run.turn_number,
                    status,
                    self._question(run),
                    answers[-1] if answers else None,
                    len(tools),
                    tools,
                )
            )
        return rows

    def _live(self, run: Run) -> list[int]:
        return [i for i in run.members if i in self.live]

    def _is_said(self, index: int, role: str) -> bool:
        item = self.items[index]
        return kind_of(item) == "message" and item.get("role") == role

    def _status(self, run: Run) -> str:
        live = self._live(run)
        gone_on = [other for other in self.runs.values() if other.begun_over == run.number]
        if not live or any(self._live(other) for other in gone_on):
            return "superseded"
        worked = [i for i in live if maker_of(self.items[i]) != "caller"]
        if not worked:
            return "unanswered"
        return "completed" if self._is_said(worked[-1], "assistant") else "interrupted"

    def _question(self, run: Run) -> str | None:
        """What the user said in the run; what it shares with another run first."""
        path = self._path(run.members[-1])
        said = [
            i
            for i in path
            if self.run_of[i].turn_number == run.turn_number and self._is_said(i, "user")
        ]
        words = [words for i in said if (words := words_of(self.items[i])) is not None]
        return "\n\n".join(words) if words else None

    def tool_usage(self) -> Counter[tuple[str, str, str]]:
        """How many calls of each tool and kind had each status."""
        return Counter(
            (self.name_of(i), CALLS[kind_of(self.items[i])], self.status_of(i)) for i in self.calls
        )

    def _sequences(self) -> Iterable[tuple[Run | None, list[tuple[int, bool]]]]:
        """The calls of each turn of the current path; and of each run that left it, with those
        before it in its turn. True stands with those that count."""
        turns: dict[int, list[tuple[int, bool]]] = defaultdict(list)
        for index in self.calls:
            if index in self.live:
                turns[self.run_of[index].turn_number].append((index, True))
        yield from ((None, calls) for calls in turns.values())
        for run in self.runs.values():
            path = self._path(run.members[-1])
            calls = [
                (i, self.run_of[i] is run and i not in self.live)
                for i in path
                if i in self.calls and self.run_of[i].turn_number == run.turn_number
            ]
            if any(counts for _, counts in calls):
                yield run, calls

    def tool_transitions(self) -> Counter[tuple[str, str]]:
        """How often each tool came right after each other in a turn."""
        found: Counter[tuple[str, str]] = Counter()
        for _, calls in self._sequences():
            before = "(start)"
            for index, counts in calls:
                if counts:
                    found[before, self.name_of(index)] += 1
                before = self.name_of(index)
            if calls and calls[-1][1]:
                found[before, "(end)"] += 1
        return found

    def repeated_calls(self) -> list[tuple[Any, ...]]:
        """Turn, tool, calls, distinct outputs, and whether any two stood side by side."""
        rows = []
        for run, calls in self._sequences():
            groups: dict[tuple[str, str], list[int]] = defaultdict(list)
            for place, (index, _) in enumerate(calls):
                arguments = self.arguments_of(index)
                if arguments is not None:
                    groups[self.name_of(index), arguments].append(place)
            for (name, _), places in groups.items():
                if len(places) < 2 or not any(calls[place][1] for place in places):
                    continue
                outputs = {self._output(calls[place][0]) for place in places} - {None}
                is_adjacent = any(b - a == 1 for a, b in itertools.pairwise(places))
                turn = self.run_of[calls[places[-1]][0]].turn_number
                rows.append((turn, name, len(places), len(outputs), is_adjacent, run is not None))
        return rows

    def _output(self, index: int) -> str | None:
        item, call = self.items[index], self.calls[index]
        if kind_of(item) in PAIRED:
            told = [o for o in call.outputs if o in self.live] or call.outputs
            return json.dumps(_written(self.items[told[-1]])) if told else None
        value = next(
            (item[k] for k in ("results", "outputs", "result", "output") if item.get(k)), 0
        )
        return json.dumps(value) if value else None

    def edit_points(self) -> list[tuple[Any, ...]]:
        """Item before, alternative, rank, how many, kind, whether it is on the path."""
        rows = []
        for before, children in self.children.items():
            if len(children) < 2:
                continue
            for rank, child in enumerate(children, start=1):
                # What was there first has the kind of what was put beside it first.
                told = children[1] if rank == 1 else child
                kind = "regenerate" if maker_of(self.items[told]) != "caller" else "edit"
                rows.append((before, child, rank, len(children), kind, child in self.live))
        return sorted(rows)

    def edit_kinds(self) -> dict[str, tuple[int, int, int]]:
        """Of each kind: edit points, alternatives, and points whose newest one is on the path."""
        places: dict[tuple[str, int], list[tuple[int, bool]]] = defaultdict(list)
        for before, _, rank, _, kind, is_current in self.edit_points():
            places[kind, before].append((rank, is_current))
        found: dict[str, tuple[int, int, int]] = {}
        for (kind, _), alternatives in places.items():
            points, count, newest = found.get(kind, (0, 0, 0))
            found[kind] = (points + 1, count + len(alternatives), newest + max(alternatives)[1])
        return found


def _as_written(number: str) -> dict[str, str]:
    """A number, which is equal to one that is written alike and to no text."""
    return {"number": number}


def _written(output: Item) -> Any:
    return output.get("output", output.get("tools"))
