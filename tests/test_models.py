"""The SDK's own models against a server in this process: what a provider says is what is stored."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from agents import (
    Agent,
    ModelBehaviorError,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    Usage,
)
from agents.tracing import set_trace_processors
from openai import APIConnectionError, AsyncOpenAI, InternalServerError

import duckstore
from duckstore import tracing
from tests.runs import QUIET, go, rows, streamed_or_not, weather
from tests.samples import run
from tests.test_runner import counts_of, stored_usage

ASKED, SAID = "gpt-4.1", "gpt-4.1-2025-04-14"
"""The model as it is asked for, and as the provider says it."""

MODELS = {"responses": OpenAIResponsesModel, "chat": OpenAIChatCompletionsModel}
each_model = pytest.mark.parametrize("kind", MODELS)
HANG_UP = 0
"""An answer that is none: the connection is closed."""
TRACED = RunConfig(workflow_name="Support", group_id="ticket-7")


# The provider ----------------------------------------------------------------------------------


def calls(tool: str, **arguments: str) -> dict[str, Any]:
    """An answer that calls a function."""
    return {"tool": tool, "arguments": json.dumps(arguments)}


def says(text: str, *, cut_off: bool = False) -> dict[str, Any]:
    """An answer in words, which the provider may have cut off."""
    return {"text": text, "cut_off": cut_off}


def usage(number: int, kind: str) -> dict[str, Any]:
    """Token counts of the answer of that number, each to be told from every other."""
    ins, outs = ("input", "output") if kind == "responses" else ("prompt", "completion")
    return {
        f"{ins}_tokens": 1000 * number,
        f"{ins}_tokens_details": {"cached_tokens": 10 * number, "cache_write_tokens": number},
        f"{outs}_tokens": 100 * number,
        f"{outs}_tokens_details": {"reasoning_tokens": 7 * number},
        "total_tokens": 1100 * number,
    }


def response(number: int, answer: dict[str, Any]) -> dict[str, Any]:
    """An answer as the Responses API gives it."""
    is_cut_off = answer.get("cut_off", False)
    status = "incomplete" if is_cut_off else "completed"
    if "tool" in answer:
        item = {
            "type": "function_call",
            "id": f"fc_{number}",
            "call_id": f"call_{number}",
            "name": answer["tool"],
            "arguments": answer["arguments"],
            "status": status,
        }
    else:
        item = {
            "type": "message",
            "id": f"msg_{number}",
            "role": "assistant",
            "content": [{"type": "output_text", "text": answer["text"], "annotations": []}],
            "status": status,
        }
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 1_700_000_000,
        "model": SAID,
        "status": status,
        "incomplete_details": {"reason": "max_output_tokens"} if is_cut_off else None,
        "error": None,
        "instructions": None,
        "metadata": {},
        "output": [item],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage(number, "responses"),
    }


def response_events(number: int, answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The same as events of a stream."""
    whole = response(number, answer)
    begun = whole | {"status": "in_progress", "output": [], "usage": None}
    (item,) = whole["output"]
    events = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": f"response.{whole['status']}", "response": whole},
    ]
    return [event | {"sequence_number": index} for index, event in enumerate(events)]


def completion(number: int, answer: dict[str, Any], *, part: str = "message") -> dict[str, Any]:
    """An answer as the Chat Completions API gives it."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.get("text")}
    if "tool" in answer:
        function = {"name": answer["tool"], "arguments": answer["arguments"]}
        call = {"id": f"call_{number}", "type": "function", "function": function}
        message["tool_calls"] = [call | ({"index": 0} if part == "delta" else {})]
    reason = "tool_calls" if "tool" in answer else "length" if answer["cut_off"] else "stop"
    return {
        "id": f"chatcmpl_{number}",
        "object": "chat.completion" if part == "message" else "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": SAID,
        "choices": [{"index": 0, part: message, "finish_reason": reason}],
        "usage": usage(number, "chat"),
    }


def completion_events(number: int, answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The same as events of a stream: the words, the reason why they end, and the usage."""
    chunk = completion(number, answer, part="delta")
    ((choice,), counted) = chunk["choices"], chunk["usage"]
    return [
        chunk | {"choices": [choice | {"finish_reason": None}], "usage": None},
        chunk | {"choices": [choice | {"delta": {}}], "usage": None},
        chunk | {"choices": [], "usage": counted},
    ]


class Provider:
    """An HTTP server that gives the answers that it is told to give, in order.

    An answer that is a number is an HTTP error with that status, or `HANG_UP`.
    """

    def __init__(self) -> None:
        self.answers: list[dict[str, Any] | int] = []
        self.requests: list[dict[str, Any]] = []
        """What it was asked."""
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                asked = json.loads(self.rfile.read(length))
                provider.requests.append(asked)
                if provider.answers[0] == HANG_UP:
                    del provider.answers[0]
                    return
                status, kind, body = provider.answer(self.path, asked)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def answer(self, path: str, asked: dict[str, Any]) -> tuple[int, str, bytes]:
        """Status, content type and body of the next answer."""
        answer, number = self.answers.pop(0), len(self.requests)
        if isinstance(answer, int):
            error = {"error": {"message": "the model is overloaded", "type": "server_error"}}
            return answer, "application/json", json.dumps(error).encode()
        is_chat = path == "/v1/chat/completions"
        assert is_chat or path == "/v1/responses"
        if not asked.get("stream"):
            whole = completion(number, answer) if is_chat else response(number, answer)
            return 200, "application/json", json.dumps(whole).encode()
        events = (completion_events if is_chat else response_events)(number, answer)
        lines = [f"data: {json.dumps(event)}\n\n" for event in events]
        return 200, "text/event-stream", ("".join(lines) + "data: [DONE]\n\n").encode()

    @asynccontextmanager
    async def model(self, kind: str) -> AsyncIterator[Any]:
        """The SDK's model of that kind, which asks this server."""
        url = f"http://127.0.0.1:{self._server.server_port}/v1"
        async with AsyncOpenAI(base_url=url, api_key="test", max_retries=0) as client:
            yield MODELS[kind](ASKED, client)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider; all that it was told to answer must have been asked for."""
    made = Provider()
    yield made
    made.close()
    assert made.answers == []


@pytest.fixture
def processors() -> Iterator[Callable[..., None]]:
    """Sets who is told of traces; nobody is afterwards, and hooks begin to listen anew."""
    tracing._relay = None
    yield lambda *told: set_trace_processors(list(told))
    set_trace_processors([])
    tracing._relay = None


def asked(model: Any, **settings: Any) -> Agent[Any]:
    """An agent that can call a tool."""
    return Agent(name="Desk", model=model, tools=[weather], **settings)


def asked_through(model: Any, hooks: Any, config: RunConfig) -> Agent[Any]:
    """An agent that asks another one, by the same model, which can call a tool."""
    inner = Agent(name="Expert", model=model, tools=[weather])
    tool = inner.as_tool("ask_expert", "Asks an expert", hooks=hooks, run_config=config)
    return Agent(name="Desk", model=model, tools=[tool])


async def answered(
    provider: Provider,
    store: duckstore.Store,
    kind: str,
    *,
    make: Callable[[Any], Agent[Any]] = asked,
    **settings: Any,
) -> Usage:
    """One run of an agent with a model of that kind: what its context counted."""
    async with provider.model(kind) as model:
        result = await go(make(model), "Weather?", store.session("s"), **settings)
        return result.context_wrapper.usage


def in_order(store: duckstore.Store) -> bool:
    """Whether every response has a beginning and an end, one after the other."""
    times = [
        time
        for row in rows(store, "select started_at, ended_at from responses order by response_id")
        for time in row
    ]
    return None not in times and times == sorted(times)


# What is told of an answer ---------------------------------------------------------------------


@streamed_or_not
@each_model
def test_a_traced_response_is_as_the_provider_said(
    kind: str,
    streamed: bool,
    provider: Provider,
    processors: Callable[..., None],
    store: duckstore.Store,
) -> None:
    """Its model, the provider's id and how it ended, its times, and its usage once.

    Of the Chat Completions API tracing tells the model as it is asked for, and no more.
    """
    processors(duckstore.trace_to(store))
    provider.answers = [calls("weather", city="Oslo"), says("Sunny.")]
    used = run(answered(provider, store, kind, streamed=streamed, run_config=TRACED))
    said = {
        "responses": [(SAID, "resp_1", "completed"), (SAID, "resp_2", "completed")],
        "chat": [(ASKED, None, None)] * 2,
    }
    assert (
        rows(
            store,
            "select model, provider_response_id, finish_reason from responses order by response_id",
        )
        == said[kind]
    )
    assert in_order(store)
    assert used.total_tokens == 3300
    assert stored_usage(store) == counts_of([used])
    assert (
        rows(store, "select agent_name, workflow_name, group_id, has_items from responses")
        == [("Desk", "Support", "ticket-7", True)] * 2
    )
    assert rows(store, "select status, outcome, total_tokens from runs") == [
        ("completed", "completed", 3300)
    ]
    assert store.check() == []


@streamed_or_not
@each_model
def test_hooks_alone_tell_the_model_that_is_asked_for(
    kind: str,
    streamed: bool,
    provider: Provider,
    processors: Callable[..., None],
    store: duckstore.Store,
) -> None:
    """With tracing off too, with the id by which the provider knows the response."""
    processors()
    provider.answers = [calls("weather", city="Oslo"), says("Sunny.")]
    used = run(
        answered(provider, store, kind, streamed=streamed, run_config=QUIET, hooks=store.hooks())
    )
    assert rows(store, "select distinct model from responses") == [(ASKED,)]
    ids = rows(store, "select provider_response_id from responses order by response_id")
    if kind == "responses":
        assert ids == [("resp_1",), ("resp_2",)]
        assert rows(store, "select distinct finish_reason from responses") == [("completed",)]
    else:  # the SDK has an id of its own in place of the provider's
        assert ids in ([(None,), (None,)], [("chatcmpl_1",), ("chatcmpl_2",)])
    assert in_order(store)
    assert stored_usage(store) == counts_of([used])
    assert rows(store, "select status, outcome, total_tokens from runs") == [
        ("completed", "completed", 3300)
    ]
    assert rows(store, "select distinct trace_id from responses") == [(None,)]
    assert store.check() == []


@streamed_or_not
@pytest.mark.parametrize("way", ["processor", "hooks"])
def test_an_answer_that_was_cut_off_is_not_called_complete(
    way: str,
    streamed: bool,
    provider: Provider,
    processors: Callable[..., None],
    store: duckstore.Store,
) -> None:
    """The SDK gives every message of the Chat Completions API the same status: it is no reason."""
    processors(*([duckstore.trace_to(store)] if way == "processor" else []))
    hooks, config = (store.hooks(), QUIET) if way == "hooks" else (None, TRACED)
    provider.answers = [says("Sun", cut_off=True)]
    used = run(answered(provider, store, "chat", streamed=streamed, run_config=config, hooks=hooks))
    assert stored_usage(store) == counts_of([used])
    assert rows(store, "select finish_reason from responses") in ([(None,)], [("length",)])


# Errors ----------------------------------------------------------------------------------------

ERRORS: dict[str, tuple[Any, type[Exception], str]] = {
    "refused": (500, InternalServerError, "the model is overloaded"),
    "cut off": (says("Sun", cut_off=True), ModelBehaviorError, "max_output_tokens"),
    "hung up": (HANG_UP, APIConnectionError, "Connection error"),
}
"""What the provider does, and what the SDK makes of it. Only the Responses API's are cut off."""

each_error = pytest.mark.parametrize(
    ("kind", "what"),
    [(kind, what) for kind in MODELS for what in ERRORS if (kind, what) != ("chat", "cut off")],
)


@streamed_or_not
@each_error
def test_a_model_call_that_failed_is_a_response_with_an_error(
    kind: str,
    what: str,
    streamed: bool,
    provider: Provider,
    processors: Callable[..., None],
    store: duckstore.Store,
) -> None:
    """It has no usage; the run that it ended has the same error, and keeps what came before."""
    processors(duckstore.trace_to(store))
    answer, error, text = ERRORS[what]
    provider.answers = [calls("weather", city="Oslo"), answer]
    with pytest.raises(error, match=text):
        run(answered(provider, store, kind, streamed=streamed, run_config=TRACED))
    name = error.__name__
    assert rows(
        store,
        f"select agent_name, total_tokens, contains(error, '{text}'), has_items"
        " from responses order by response_id",
    ) == [("Desk", 1100, None, True), ("Desk", None, True, False)]
    types = rows(store, "select error_type from responses where error is not null")
    # The Runner reads a stream no further than to its failure: nothing is raised in it.
    assert types == [(name,)] or (streamed and what == "cut off" and types == [(None,)])
    assert in_order(store)
    assert rows(
        store,
        f"select status, outcome, error_type, contains(error, '{text}'), total_tokens,"
        " tool_call_count, response_count from runs",
    ) == [("error", "error", name, True, 1100, 1, 2)]
    assert store.check() == []


@streamed_or_not
@each_model
def test_hooks_hear_of_errors_where_tracing_is_on(
    kind: str,
    streamed: bool,
    provider: Provider,
    processors: Callable[..., None],
    store: duckstore.Store,
) -> None:
    """The response has the model that was asked for, and the run its error."""
    processors()
    provider.answers = [500]
    with pytest.raises(InternalServerError):
        run(
            answered(
                provider, store, kind, streamed=streamed, run_config=TRACED, hooks=store.hooks()
            )
        )
    assert rows(store, "select model, error_type, total_tokens from responses") == [
        (ASKED, "InternalServerError", None)
    ]
    assert rows(store, "select status, error_type from runs") == [("error", "InternalServerError")]


@streamed_or_not
@each_model
def test_hooks_alone_tell_that_a_model_was_called(
    kind: str,
    streamed: bool,
    provider: Provider,
    processors: Callable[..., None],
    path: Path,
) -> None:
    """Nobody tells them that it failed: its response has a beginning and no end."""
    processors()
    provider.answers = [calls("weather", city="Oslo"), 500]
    with duckstore.open(path) as store, pytest.raises(InternalServerError):
        run(
            answered(
                provider, store, kind, streamed=streamed, run_config=QUIET, hooks=store.hooks()
            )
        )
    with duckstore.open(path) as store:
        assert rows(
            store,
            "select model, started_at is not null, ended_at is not null, total_tokens, error"
            " from responses order by response_id",
        ) == [(ASKED, True, True, 1100, None), (ASKED, True, False, None, None)]
        assert rows(store, "select status, outcome from runs") == [("interrupted", None)]
        assert store.check() == []


# Agents that are tools -------------------------------------------------------------------------


@streamed_or_not
@each_model
@pytest.mark.parametrize("way", ["processor", "hooks", "both"])
def test_an_agent_that_is_a_tool_has_responses_of_its_own(
    way: str,
    kind: str,
    streamed: bool,
    provider: Provider,
    processors: Callable[..., None],
    store: duckstore.Store,
) -> None:
    """With its name, its model, its usage and the call that it was; the sums are the context's."""
    processors(*([] if way == "hooks" else [duckstore.trace_to(store)]))
    hooks = None if way == "processor" else store.hooks()
    config = QUIET if way == "hooks" else TRACED
    provider.answers = [
        calls("ask_expert", input="Rome?"),
        calls("weather", city="Rome"),
        says("Sunny in Rome."),
        says("Sunny."),
    ]
    used = run(
        answered(
            provider,
            store,
            kind,
            make=lambda model: asked_through(model, hooks, config),
            streamed=streamed,
            run_config=config,
            hooks=hooks,
        )
    )
    model = SAID if kind == "responses" and way != "hooks" else ASKED
    assert rows(
        store,
        "select agent_name, model, total_tokens, has_items, parent_tool_call_id ="
        " (select id from tool_calls where tool_name = 'ask_expert')"
        " from responses order by total_tokens",
    ) == [
        ("Desk", model, 1100, True, None),
        ("Expert", model, 2200, False, True),
        ("Expert", model, 3300, False, True),
        ("Desk", model, 4400, True, None),
    ]
    if kind == "responses":
        ids = rows(store, "select provider_response_id from responses order by total_tokens")
        assert ids == [("resp_1",), ("resp_2",), ("resp_3",), ("resp_4",)]
    assert in_order(store)
    assert stored_usage(store) == counts_of([used])
    assert rows(
        store,
        "select tool_name, agent_name, status, output, response_count, total_tokens"
        " from tool_calls order by id",
    ) == [
        ("ask_expert", "Desk", "ok", "Sunny in Rome.", 2, 5500),
        ("weather", "Expert", "ok", "sunny in Rome", None, None),
    ]
    assert rows(store, "select status, total_tokens, response_count from runs") == [
        ("completed", 11000, 4)
    ]
    assert store.check() == []
