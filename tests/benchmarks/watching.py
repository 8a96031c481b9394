"""What it costs an agent that hooks and tracing watch it: the real Runner, and a model of scripts.

Runs that are watched and runs that are not take turns. An event is what the SDK tells: a model call
or tool call that begins or ends, to hooks; a span that begins or ends, to tracing. What an event
costs is measured in two ways. One is how much more time a whole run takes, on the clock and on the
processor, which holds what is done with it when the items are stored, and is noisy: the runs are
short and many, and the disk is not waited for. The other is the time inside the callback.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter, thread_time
from typing import Any

from agents import Agent, RunConfig, RunHooks, Runner, Usage, function_tool
from agents.testing import ModelStep, ScriptedModel, assistant_message, function_call
from agents.tracing import TracingProcessor, get_trace_provider

import duckstore
from tests.benchmarks.alternation import Action, Prepare, alternate
from tests.benchmarks.report import Row
from tests.benchmarks.scale import Scale
from tests.benchmarks.stores import DUCKSTORE, UNWATCHED, DuckstoreContender

__all__ = ["measure_watching"]

CALLS = 2
"""Tool calls of each turn, which run at once."""
TOLD = ("on_llm_start", "on_llm_end", "on_tool_start", "on_tool_end")
SPANS = ("on_span_start", "on_span_end")
PLAIN, HOOKS = "plain", "hooks"
TRACED, SPAN_LOG, BOTH = "traced", "tracing", "both"
"""The five that take turns: the first two with tracing off, and the third with nobody told."""
PATIENCE = 8
"""Differences need many rounds: they have so many times the seconds of a case."""
MICROSECONDS = "µs"


@function_tool
async def look(number: int) -> str:
    """A tool that does nothing, in the loop."""
    return f"looked at {number}"


@dataclass(slots=True)
class _Runs:
    """Runs of one kind, each in a session of its own, in a file of their own."""

    contender: DuckstoreContender
    turns: int
    hooks: RunHooks[Any] | None = None
    processors: Sequence[TracingProcessor] | None = None
    """Whom tracing tells; None where it is off."""
    processor_times: list[float] = field(default_factory=list)
    """Milliseconds that the agent's thread worked, of each run that counts."""

    async def prepare(self, number: int) -> Action:
        """The next run. What the last one left to do in other threads is done first."""
        observer = self.contender.store._access.observer
        observer.on_flush()
        self.contender.fold()
        get_trace_provider().set_processors(list(self.processors or ()))
        agent = Agent(
            name="Looker",
            model=ScriptedModel(_steps(self.turns), emit_traces=True),
            tools=[look],
        )
        session = self.contender.store.session(f"run-{number}")
        config = RunConfig(tracing_disabled=self.processors is None)

        async def act() -> None:
            start = thread_time()
            await Runner.run(
                agent,
                "Look.",
                session=session,
                hooks=self.hooks,
                run_config=config,
                max_turns=self.turns + 1,
            )
            if number >= 0:
                self.processor_times.append((thread_time() - start) * 1000)

        return act


def _steps(turns: int) -> Iterator[ModelStep]:
    for turn in range(turns):
        calls = [
            function_call("look", {"number": number}, call_id=f"call-{turn}-{number}")
            for number in range(CALLS)
        ]
        yield _step(turn, *calls)
    yield _step(turns, assistant_message("Looked."))


def _step(turn: int, *output: Any) -> ModelStep:
    count = 100 + turn
    usage = Usage(requests=1, input_tokens=count, output_tokens=10, total_tokens=count + 10)
    return ModelStep(output=list(output), usage=usage, response_id=f"response-{turn}")


async def measure_watching(folder: Path, scale: Scale) -> list[Row]:
    """Runs watched and not in turns, then the callbacks themselves.

    Raises RuntimeError where what was seen is not stored.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _tracing():
        inside, run_count = await _inside(folder, scale)
        on_the_clock, on_the_processor = await _in_turns(folder, scale)
    told, spans = (sum(len(inside[n]) for n in names) / run_count for names in (TOLD, SPANS))
    rows, differences = [], []
    for case, watched, without, events in (
        ("hooks", HOOKS, PLAIN, told),
        ("tracing", SPAN_LOG, TRACED, spans),
        ("hooks and tracing", BOTH, TRACED, told + spans),
    ):
        pair = {DUCKSTORE: on_the_clock[watched], UNWATCHED: on_the_clock[without]}
        rows.append(Row("watching", f"a run with {case}, {events:.0f} events", pair))
        for kind, times in (("", on_the_clock), (", on the processor", on_the_processor)):
            more = {DUCKSTORE: [_more(times[watched], times[without]) / events]}
            differences.append(Row("watching", f"an event of {case}{kind}", more, MICROSECONDS))
    callbacks = [
        Row("watching", f"inside {name}", {DUCKSTORE: inside[name]}, MICROSECONDS)
        for name in (*TOLD, *SPANS)
    ]
    return [*rows, *differences, *callbacks]


Samples = Mapping[str, list[float]]


async def _in_turns(folder: Path, scale: Scale) -> tuple[Samples, Samples]:
    """Milliseconds of each run of the five, on the clock and on the processor."""
    runs = {
        name: _Runs(_opened(folder, name), scale.watched_turns)
        for name in (PLAIN, HOOKS, TRACED, SPAN_LOG, BOTH)
    }
    for name in (HOOKS, BOTH):
        runs[name].hooks = runs[name].contender.store.hooks()
    runs[TRACED].processors = []
    for name in (SPAN_LOG, BOTH):
        runs[name].processors = [duckstore.trace_to(runs[name].contender.store)]
    prepares: dict[str, Prepare] = {name: each.prepare for name, each in runs.items()}
    samples = await alternate(scale.watched_rounds, scale.seconds * PATIENCE, prepares)
    for name, each in runs.items():
        _check(each, watched=name not in (PLAIN, TRACED))
        each.contender.close()
    return samples, {name: each.processor_times for name, each in runs.items()}


def _opened(folder: Path, name: str) -> DuckstoreContender:
    return DuckstoreContender(folder / f"{name}.duckdb", "relaxed")


def _more(watched: Sequence[float], without: Sequence[float]) -> float:
    """How much longer the runs of one round took than the others, in microseconds."""
    return 1000 * median(more - less for more, less in zip(watched, without, strict=True))


async def _inside(folder: Path, scale: Scale) -> tuple[Mapping[str, list[float]], int]:
    """Microseconds in each callback while both hooks and tracing tell, and in how many runs."""
    inside: dict[str, list[float]] = defaultdict(list)
    contender = _opened(folder, "inside")
    hooks: Any = contender.store.hooks()
    processor: Any = duckstore.trace_to(contender.store)
    for name in TOLD:
        setattr(hooks, name, _awaited(getattr(hooks, name), inside[name]))
    for name in SPANS:
        setattr(processor, name, _called(getattr(processor, name), inside[name]))
    runs = _Runs(contender, scale.watched_turns, hooks, [processor])
    run_count = max(scale.watched_rounds // 4, 1)
    for number in range(-1, run_count):
        if number == 0:  # the first one is to warm up
            for times in inside.values():
                times.clear()
        await (await runs.prepare(number))()
    _check(runs, watched=True)
    contender.close()
    return inside, run_count


def _awaited(callback: Callable[..., Any], times: list[float]) -> Callable[..., Any]:
    async def timed(*told: Any) -> None:
        start = perf_counter()
        await callback(*told)
        times.append((perf_counter() - start) * 1_000_000)

    return timed


def _called(callback: Callable[..., Any], times: list[float]) -> Callable[..., Any]:
    def timed(*told: Any) -> None:
        start = perf_counter()
        callback(*told)
        times.append((perf_counter() - start) * 1_000_000)

    return timed


def _check(runs: _Runs, *, watched: bool) -> None:
    """Raise where what was seen is not stored, or anything else is: the times mean nothing then."""
    store = runs.contender.store
    store._access.observer.on_flush()
    run_count = store.sql("select count(*) from sessions").item()
    timed = store.sql("select count(*) from call_rows where ended_at is not null").item()
    if timed != (run_count * runs.turns * CALLS if watched else 0):
        raise RuntimeError(f"{timed} calls have times, of {run_count} runs of {runs.turns} turns")


@contextmanager
def _tracing() -> Iterator[None]:
    """Have tracing on, and told to nobody; afterwards it is as it was."""
    provider: Any = get_trace_provider()
    processors, disabled = provider._multi_processor._processors, provider._manual_disabled
    provider.set_processors([])
    provider.set_disabled(False)
    try:
        yield
    finally:
        provider.set_processors(list(processors))
        provider.set_disabled(disabled)
