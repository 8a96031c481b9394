"""Which tools a model was offered: watched in every way, of every kind of tool."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from agents import (
    Agent,
    CodeInterpreterTool,
    HostedMCPTool,
    ShellTool,
    WebSearchTool,
    function_tool,
    handoff,
    tool_namespace,
)
from agents.mcp import MCPServer
from agents.testing import assistant_message, function_call
from agents.tracing import custom_span, generation_span
from mcp.types import Tool

import duckstore
from duckstore import tracing_context
from duckstore.telemetry import Seen, SeenResponse
from duckstore.tracing_context import offered_tools
from tests.owner import owned
from tests.runs import delete, rows, step, weather
from tests.samples import assistant, run, user
from tests.watching import NamedModel, Watched, named, watch, watched_ways

OFFERED = "select agent_name, offered_tools from responses order by response_id"


@pytest.fixture
def watched(store: duckstore.Store, request: pytest.FixtureRequest) -> Iterator[Watched]:
    yield from watch(store, *request.param)


@function_tool(is_enabled=False)
def never() -> str:
    """A tool that is never offered."""
    return ""


@function_tool(is_enabled=lambda context, _: context.usage.requests == 0)
async def at_first() -> str:
    """A tool that is offered to the first model call alone."""
    return ""


def offers(watched: Watched) -> list[tuple[Any, ...]]:
    """What each agent was offered, response by response, when all of it is stored."""
    gc.collect()
    watched.store._access.reporter.flush()
    assert watched.store.check() == []
    return rows(watched.store, OFFERED)


# Agents ----------------------------------------------------------------------------------------


@watched_ways()
def test_what_is_enabled_and_handoffs_by_the_names_of_their_tools(watched: Watched) -> None:
    """Each model call with what it was offered; of an agent that is a tool, where it is seen."""
    inner = named(
        "Inner",
        step(5, function_call("weather", {"city": "Rome"}, call_id="in")),
        step(6, assistant_message("Sunny.")),
        tools=[weather],
    )
    asking = inner.as_tool("ask_inner", "Asks", hooks=watched.hooks, run_config=watched.config)
    expert = named("Expert", step(3, assistant_message("Done.")))
    desk = named(
        "Desk",
        step(1, function_call("ask_inner", {"input": "Rome?"}, call_id="a")),
        step(2, function_call("hand_over", "{}", call_id="b")),
        tools=[asking, never, at_first],
        handoffs=[
            handoff(expert, tool_name_override="hand_over"),
            named("Old Bill"),
            handoff(named("Nobody"), is_enabled=False),
            handoff(named("Somebody"), is_enabled=lambda context, _: context.usage.requests > 0),
        ],
    )
    run(watched.go(desk, "hello"))
    nested = ("Inner", ["weather"]) if watched.sees_agents else (None, None)
    assert offers(watched) == [
        ("Desk", ["ask_inner", "at_first", "hand_over", "transfer_to_old_bill"]),
        nested,
        nested,
        ("Desk", ["ask_inner", "hand_over", "transfer_to_old_bill", "transfer_to_somebody"]),
        ("Expert", []),
    ]


class Docs(MCPServer):
    """A server with two tools."""

    name = "docs"

    async def connect(self) -> None: ...

    async def cleanup(self) -> None: ...

    async def list_tools(self, *_: Any) -> list[Tool]:
        return [Tool(name=name, inputSchema={"type": "object"}) for name in ("read", "grep.files")]

    async def call_tool(self, *_: Any) -> Any: ...

    async def list_prompts(self) -> Any: ...

    async def get_prompt(self, *_: Any) -> Any: ...


@watched_ways("nothing-run", "hooks-streamed", "processor-run")
def test_every_kind_of_tool(watched: Watched) -> None:
    """By the names that their calls have in the store; nobody knows what a hosted server has."""
    desk = named(
        "Desk",
        step(1, assistant_message("Done.")),
        mcp_servers=[Docs()],
        tools=[
            WebSearchTool(),
            CodeInterpreterTool(
                tool_config={"type": "code_interpreter", "container": {"type": "auto"}}
            ),
            HostedMCPTool(tool_config={"type": "mcp", "server_label": "x", "server_url": "x"}),
            ShellTool(executor=lambda _: "", name="bash"),
            *tool_namespace(name="crm", description="Customers", tools=[weather]),
        ],
    )
    run(watched.go(desk, "hello"))
    names = ["read", "grep.files", "web_search", "code_interpreter", "shell", "weather"]
    assert offers(watched) == [("Desk", names)]


@watched_ways("nothing-run", "both-streamed")
def test_a_run_that_waits_for_an_approval(watched: Watched) -> None:
    """Before it waits, and when it goes on."""
    keeper = named(
        "Keeper",
        step(1, function_call("delete", {"name": "x"}, call_id="a")),
        step(2, assistant_message("Done.")),
        tools=[delete, weather],
    )
    state = run(watched.result(keeper, "Delete it")).to_state()
    state.approve(state.get_interruptions()[0])
    run(watched.go(keeper, state))
    del state
    assert offers(watched) == [("Keeper", ["delete", "weather"])] * 2


@watched_ways("hooks-run", "processor-run", "both-streamed")
def test_a_model_call_that_fails_was_offered_tools_too(watched: Watched) -> None:
    failing = named("Failing", ConnectionError("gone"), tools=[weather])
    with pytest.raises(ConnectionError):
        run(watched.result(failing, "hello"))
    assert offers(watched) == [("Failing", ["weather"])]


@watched_ways("nothing-run", "hooks, traced-streamed", "processor-run")
def test_traces_without_turns(watched: Watched) -> None:
    watched.config.tracing = {"include_task_and_turn_spans": False}
    run(watched.go(named("Desk", step(1, assistant_message("Hi.")), tools=[weather]), "hello"))
    assert offers(watched) == [("Desk", ["weather"])]


@function_tool
async def summarise(text: str) -> str:
    """A tool that calls a model by itself."""
    with custom_span("summary"), generation_span(model="small"):
        return text


@watched_ways("processor-run")
def test_a_model_that_a_tool_calls_is_offered_nothing_that_is_known(watched: Watched) -> None:
    desk = named(
        "Desk",
        step(1, function_call("summarise", {"text": "x"}, call_id="a")),
        step(2, assistant_message("Done.")),
        tools=[summarise],
    )
    run(watched.go(desk, "hello"))
    asked = "select model, offered_tools from responses order by started_at"
    assert rows(watched.store, asked) == [
        (None, ["summarise"]),
        ("small", None),
        (None, ["summarise"]),
    ]


class Wrapped(NamedModel):
    """A model whose calls are in spans of its user's own."""

    async def get_response(self, *arguments: Any, **settings: Any) -> Any:
        with custom_span("asking"):
            return await super().get_response(*arguments, **settings)


@watched_ways("processor-run")
def test_a_model_that_is_wrapped(watched: Watched) -> None:
    model = Wrapped([step(1, assistant_message("Hi."))], emit_traces=True)
    run(watched.go(Agent(name="Desk", model=model, tools=[weather]), "hello"))
    assert offers(watched) == [("Desk", ["weather"])]


# What is not certain ---------------------------------------------------------------------------


@watched_ways("nothing-run", "both-run")
def test_which_of_two_ways_to_an_agent_is_enabled(watched: Watched) -> None:
    """Where tracing does not say, it is not known; both of them are, where both are enabled."""

    def one(**settings: Any) -> Agent[Any]:
        return named(
            "Desk",
            step(1, assistant_message("Done.")),
            tools=[weather],
            handoffs=[
                handoff(named("Expert"), tool_name_override="ask", **settings),
                handoff(named("Expert"), tool_name_override="hand_over"),
            ],
        )

    run(watched.go(one(is_enabled=lambda *_: False), "hello"))
    run(watched.go(one(is_enabled=False), "hello"))
    run(watched.go(one(), "hello"))
    assert offers(watched) == [
        ("Desk", None),
        ("Desk", ["weather", "hand_over"]),
        ("Desk", ["weather", "ask", "hand_over"]),
    ]


@watched_ways("nothing-run", "hooks-run", "processor-run")
def test_two_agents_of_one_name(watched: Watched) -> None:
    """Only a hook tells which of them it is, and so how its handoffs are called."""
    last = named("Last", step(3, assistant_message("Done.")))
    second = named(
        "Desk", step(2, function_call("transfer_to_last", "{}", call_id="b")), handoffs=[last]
    )
    first = named(
        "Desk", step(1, function_call("transfer_to_desk", "{}", call_id="a")), handoffs=[second]
    )
    run(watched.go(first, "hello"))
    found = offers(watched)
    if watched.hooks is not None:
        assert found[:2] == [("Desk", ["transfer_to_desk"]), ("Desk", ["transfer_to_last"])]
    assert found[1][1] in (None, ["transfer_to_last"])
    assert found[2:] == [("Last", [])]


def span(tools: Any, handoffs: Any = (), kind: str = "agent") -> Any:
    """A span of an agent, as the SDK makes them."""
    data = SimpleNamespace(type=kind, name="Desk", tools=tools, handoffs=handoffs)
    return SimpleNamespace(span_data=data)


def test_a_span_of_another_make_tells_nothing() -> None:
    """And it fails nothing."""
    for other in (None, object(), span(None), span([7]), span(["a"], kind="turn"), span(["a"], 7)):
        assert offered_tools(other, Agent(name="Desk")) is None
    assert offered_tools(span(["a"])) == ("a",)
    assert offered_tools(span(["a"], ["Expert"])) is None
    assert offered_tools(span(["a"], ["Expert"]), Agent(name="Desk")) is None
    assert offered_tools(span(["a"], ["Expert"]), object()) is None


def test_an_agent_is_looked_at_again_when_it_has_something_else() -> None:
    """Else it gives what it gave before, without a look at each tool; and it is not kept."""
    expert = Agent(name="Expert")
    desk = Agent(name="Desk", handoffs=[expert])
    first = offered_tools(span(["a"], ["Expert"]), desk)
    assert first == ("a", "transfer_to_expert")
    assert offered_tools(span(["a"], ["Expert"]), desk) is first
    assert offered_tools(span(["a", "b"], ["Expert"]), desk) == ("a", "b", "transfer_to_expert")
    desk.handoffs = [handoff(expert, tool_name_override="ask")]
    assert offered_tools(span(["a"], ["Expert"]), desk) == ("a", "ask")
    key = id(desk)
    assert key in tracing_context._known
    del desk
    gc.collect()
    assert key not in tracing_context._known


# Ways of the data -------------------------------------------------------------------------------


def test_names_that_are_no_plain_text(store: duckstore.Store) -> None:
    """They come back as they are, but for what UTF-8 cannot hold."""
    names = ('q"\\', "a\0b", "\n", "é\U0001f986", "\ud800x", "")
    told = Seen(response=SeenResponse(offered_tools=names))
    store.conversation("s").add([user("hello"), assistant("hi")], told)
    assert rows(store, OFFERED) == [(None, [*names[:4], "\ufffdx", ""])]
    assert store.check() == []


def test_a_client_tells_its_owner(path: Path) -> None:
    """None, and nothing offered, are two things on that way too."""
    with owned(path), duckstore.open(path) as store:
        assert not store._access.is_owner
        for tools in (("find", "cancel"), (), None):
            told = Seen(response=SeenResponse(model="m", offered_tools=tools))
            store.conversation("s").add([user("hello"), assistant("hi")], told)
        assert rows(store, OFFERED) == [(None, ["find", "cancel"]), (None, []), (None, None)]
