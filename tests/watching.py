"""Runs that are watched in every way, for the tests of what is seen beyond the items."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from agents import Agent, AgentsException, RunConfig, RunContextWrapper, RunHooks
from agents.memory import Session
from agents.testing import ScriptedModel
from agents.tracing import set_trace_processors

import duckstore
from tests.runs import go, rows
from tests.test_runner import counts_of

__all__ = ["WAYS", "Ended", "Watched", "named", "stored_counts", "watched_ways"]


class NamedModel(ScriptedModel):
    """A scripted model that says its name, as the SDK's own do."""

    model = "gpt-5-mini"


def named(name: str, *steps: Any, **settings: Any) -> Agent[Any]:
    """An agent whose model calls have spans, as those of the SDK's own models do."""
    return Agent(name=name, model=NamedModel(steps, emit_traces=True), **settings)


@dataclass
class Ended:
    """What is kept of a run that has ended."""

    kind: str
    """Of its result, or of what it raised."""
    text: str
    counts: tuple[int, ...]
    """What its context counted."""
    reference: weakref.ref[RunContextWrapper[Any]]

    @classmethod
    def of(cls, result: Any) -> Ended:
        """Take that from a result or an error."""
        data = result.run_data if isinstance(result, AgentsException) else result
        context = data.context_wrapper
        return cls(
            type(result).__name__, str(result), counts_of([context.usage]), weakref.ref(context)
        )


@dataclass
class Watched:
    """One way of watching runs, on a store."""

    store: duckstore.Store
    hooks: RunHooks[Any] | None
    config: RunConfig
    is_traced: bool
    """Whether the store is told of spans."""
    streamed: bool

    @property
    def sees_agents(self) -> bool:
        """Whether anything sees the agents that are tools."""
        return self.is_traced or self.hooks is not None

    async def go(self, starting: Agent[Any], text: Any, **settings: Any) -> Ended:
        """One run to its end. Neither its result nor what it raised is kept."""
        return Ended.of(await self.result(starting, text, **settings))

    async def result(
        self, starting: Agent[Any], text: Any, session: Session | None = None, **settings: Any
    ) -> Any:
        """One run to its end: its result, or what it raised."""
        try:
            return await go(
                starting,
                text,
                session or self.store.session("s"),
                streamed=self.streamed,
                hooks=self.hooks,
                run_config=self.config,
                **settings,
            )
        except AgentsException as error:
            return error


# Whether hooks are given, whether tracing is on, and whether it is told to the store.
WAYS = {
    "nothing": (False, False, False),
    "nothing, traced elsewhere": (False, True, False),
    "hooks": (True, False, False),
    "hooks, traced": (True, True, False),
    "processor": (False, True, True),
    "both": (True, True, True),
}


def watched_ways(*ways: str) -> Any:
    """Runs a test with each of these ways, or all: streamed and not, or as `WAY-run` says."""
    cases = []
    for way in ways or WAYS:
        name, _, kind = way.partition("-")
        cases += [
            pytest.param((name, each == "streamed"), id=f"{name}-{each}")
            for each in ("run", "streamed")
            if kind in ("", each)
        ]
    return pytest.mark.parametrize("watched", cases, indirect=True)


def watch(store: duckstore.Store, way: str, streamed: bool) -> Iterator[Watched]:
    """Begin to watch in a way, and end it."""
    has_hooks, is_on, has_processor = WAYS[way]
    set_trace_processors([duckstore.trace_to(store)] if has_processor else [])
    hooks = None
    if has_hooks:
        hooks = store.hooks()  # listens to tracing by itself
    config = RunConfig(tracing_disabled=not is_on, workflow_name="Desk", group_id="thread_1")
    yield Watched(store, hooks, config, is_on and (has_hooks or has_processor), streamed)
    set_trace_processors([])


def stored_counts(store: duckstore.Store, where: str = "true") -> tuple[int, ...]:
    """Requests and tokens of all responses: in, out, cached, written to the cache, reasoning."""
    (counts,) = rows(
        store,
        "select coalesce(sum(request_count), 0)::bigint, coalesce(sum(input_tokens), 0)::bigint,"
        " coalesce(sum(output_tokens), 0)::bigint,"
        " coalesce(sum(cache_read_input_tokens), 0)::bigint,"
        " coalesce(sum(cache_write_input_tokens), 0)::bigint,"
        " coalesce(sum(reasoning_output_tokens), 0)::bigint,"
        f" coalesce(sum(total_tokens), 0)::bigint from responses where {where}",
    )
    return counts
