"""Recorded conversations replayed through the SDK's real Runner."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, FunctionTool, RunConfig, Runner, Usage
from agents.testing import ModelStep, ScriptedModel, assistant_message, function_call
from agents.testing.model import UnexpectedModelCall
from agents.tool_context import ToolContext
from openai.types.responses import Response
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails

import duckstore
from tests.runs import QUIET, rows
from tests.samples import recording, run


def words(item: dict[str, Any]) -> str:
    content = item["content"]
    return content if isinstance(content, str) else "\n".join(part["text"] for part in content)


def turns(items: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The items of each turn: the user's message (with the system's before it), then the rest."""
    found: list[list[dict[str, Any]]] = []
    for item in items:
        begins = item.get("role") in ("user", "system")
        if begins and not (found and all(i.get("role") == "system" for i in found[-1])):
            found.append([])
        found[-1].append(item)
    return found


def steps(turn: list[dict[str, Any]], number: int) -> list[ModelStep]:
    """What the model said in a turn: one step for the items between two tool outputs.

    Call ids get a number, because the Runner refuses those that were used before.
    """
    found: list[ModelStep] = []
    said: list[Any] = []
    for item in turn:
        if item["type"] == "function_call":
            call_id = f"{item['call_id']}.{number}.{len(found)}"
            said.append(function_call(item["name"], item["arguments"], call_id=call_id))
        elif item.get("role") == "assistant":
            said.append(assistant_message(words(item)))
        elif said:
            found.append(ModelStep(output=said))
            said = []
    return [*found, ModelStep(output=said)] if said else found


def replaying_tool(name: str, outputs: list[str]) -> FunctionTool:
    """A tool that answers with the recorded outputs, in order."""

    async def answer(context: ToolContext[Any], arguments: str) -> str:
        return outputs.pop(0)

    return FunctionTool(
        name=name,
        description=name,
        params_json_schema={"type": "object", "properties": {}, "additionalProperties": True},
        on_invoke_tool=answer,
        strict_json_schema=False,
    )


async def replay(items: list[dict[str, Any]], session: duckstore.DuckDBSession) -> None:
    """Run one conversation, turn by turn, as the recording says that it went."""
    outputs: list[str] = [i["output"] for i in items if i["type"] == "function_call_output"]
    names = {i["name"] for i in items if i["type"] == "function_call"}
    model = ScriptedModel()
    agent = Agent(
        name="airline", model=model, tools=[replaying_tool(n, outputs) for n in sorted(names)]
    )
    for number, turn in enumerate(turns(items)):
        model.extend(steps(turn, number))
        opening = [i for i in turn if i.get("role") in ("user", "system")]
        try:
            await Runner.run(
                agent,
                opening,  # type: ignore[arg-type]
                session=session,
                max_turns=100,
                run_config=RunConfig(tracing_disabled=True),
            )
        except UnexpectedModelCall:
            # The recording ends with a tool's output: nobody answered after it.
            assert turn[-1]["type"] != "message" or turn[-1]["role"] == "user"


def test_two_hundred_conversations_through_the_runner(path: Path) -> None:
    """Turn pairs and tool usage agree with what the recording's JSON says."""
    lines = recording("tau-bench")

    async def replay_all() -> None:
        for line in lines:
            await replay(line["items"], duckstore.DuckDBSession(line["session_id"], path))

    run(replay_all())
    with duckstore.open(path) as store:
        assert store.check() == []
        pairs = store.query("turn_pairs")
        usage = store.query("tool_usage")
        calls = store.sql("select session_id, arguments, output from tool_calls order by id")
        stored = {
            line["session_id"]: store.conversation(line["session_id"]).items() for line in lines
        }

    expected_pairs = []
    expected_usage: Counter[str] = Counter()
    expected_calls = []
    for line in sorted(lines, key=lambda line: line["session_id"]):
        for number, turn in enumerate(turns(line["items"]), start=1):
            answers = [words(i) for i in turn if i.get("role") == "assistant"]
            expected_pairs.append(
                (
                    line["session_id"],
                    number,
                    next((words(i) for i in turn if i.get("role") == "user"), None),
                    answers[-1] if answers else None,
                    [i["name"] for i in turn if i["type"] == "function_call"],
                )
            )
    for line in lines:
        outputs = [i["output"] for i in line["items"] if i["type"] == "function_call_output"]
        named = [i for i in line["items"] if i["type"] == "function_call"]
        expected_usage.update(i["name"] for i in named)
        expected_calls += [
            (line["session_id"], i["arguments"], out) for i, out in zip(named, outputs, strict=True)
        ]

    columns = ["session_id", "turn_number", "user_message", "assistant_message", "tool_names"]
    assert pairs.select(columns).rows() == expected_pairs
    assert dict(usage.select("tool_name", "call_count").iter_rows()) == expected_usage
    assert calls.rows() == expected_calls
    assert [len(items) for items in stored.values()] == [len(line["items"]) for line in lines]
    assert json.dumps(stored)


# Token usage -----------------------------------------------------------------------------------

COUNTS = (
    "request_count",
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "reasoning_output_tokens",
    "total_tokens",
)


def counts(entry: dict[str, Any]) -> tuple[int, ...]:
    """What one entry of a recording's usage says, in the order of `COUNTS`."""
    if "prompt_tokens" in entry:
        read, said = entry["prompt_tokens"], entry["completion_tokens"]
        return 1, read, said, 0, 0, 0, read + said
    details = entry["input_tokens_details"]
    return (
        *(1, entry["input_tokens"], entry["output_tokens"]),
        *(details["cached_tokens"], details.get("cache_write_tokens", 0)),
        *(entry["output_tokens_details"]["reasoning_tokens"], entry["total_tokens"]),
    )


def step(said: list[Any], entry: dict[str, Any]) -> ModelStep:
    """A model call that used what the recording says."""
    requests, read, written, cached, cache_written, reasoning, total = counts(entry)
    usage = Usage(
        requests=requests,
        input_tokens=read,
        input_tokens_details=InputTokensDetails(
            cached_tokens=cached, cache_write_tokens=cache_written
        ),
        output_tokens=written,
        output_tokens_details=OutputTokensDetails(reasoning_tokens=reasoning),
        total_tokens=total,
    )
    return ModelStep(output=said, usage=usage)


def is_message(item: dict[str, Any]) -> bool:
    return bool(item["type"] == "message")


def by_model(item: dict[str, Any]) -> bool:
    if is_message(item):
        return bool(item["role"] == "assistant")
    return item["type"] not in ("function_call_output", "additional_tools")


def responses(items: list[dict[str, Any]], *, messages_end_them: bool) -> list[list[int]]:
    """Which items each response has: those between two inputs, or no more than one message."""
    found: list[list[int]] = []
    before: dict[str, Any] | None = None
    for index, item in enumerate(items):
        if not by_model(item):
            before = None
            continue
        if before is None or (messages_end_them and is_message(before)):
            found.append([])
        found[-1].append(index)
        before = item
    return found


def responses_with_usage(line: dict[str, Any]) -> list[list[int]] | None:
    """The items of each response, where there are as many responses as usage entries."""
    for messages_end_them in (False, True):
        found = responses(line["items"], messages_end_them=messages_end_them)
        if found and len(found) == len(line["usage"] or ()):
            return found
    return None


def runs_of(
    line: dict[str, Any], found: list[list[int]]
) -> list[tuple[list[dict[str, Any]], list[ModelStep]]]:
    """The input and the model calls of each run that the Runner makes of a conversation.

    A run ends where the user says something, or where the model calls no function and yet goes on:
    then the next one has no input.
    """
    made: list[tuple[list[dict[str, Any]], list[ModelStep]]] = []
    end, goes_on = 0, False
    for indexes, entry in zip(found, line["usage"], strict=True):
        opening = [item for item in line["items"][end : indexes[0]] if is_message(item)]
        if opening or not goes_on:
            made.append((opening, []))
        items = [line["items"][index] for index in indexes]
        said: list[Any] = []
        for index, item in zip(indexes, items, strict=True):
            if is_message(item) and isinstance(item["content"], str):
                said.append(assistant_message(item["content"]))
            elif item["type"] == "function_call":
                call_id = f"{item['call_id']}.{index}"  # the Runner refuses one that was used
                said.append(function_call(item["name"], item["arguments"], call_id=call_id))
            else:
                said += Response.construct(output=[item]).output  # as the SDK's client makes it
        made[-1][1].append(step(said, entry))
        end, goes_on = indexes[-1] + 1, any(item["type"] == "function_call" for item in items)
    return made


async def replay_with_usage(
    line: dict[str, Any], found: list[list[int]], session: duckstore.DuckDBSession
) -> None:
    """Run one conversation, each of its model calls with the usage that was recorded for it."""
    waiting: dict[str, str] = {}
    outputs: dict[str, str] = {}
    for index, item in enumerate(line["items"]):
        if item["type"] == "function_call":
            waiting[item["call_id"]] = f"{item['call_id']}.{index}"
        elif item["type"] == "function_call_output" and item["call_id"] in waiting:
            outputs[waiting.pop(item["call_id"])] = str(item["output"])

    async def answer(context: ToolContext[Any], arguments: str) -> str:
        return outputs.get(context.tool_call_id, "")

    names = {item["name"] for item in line["items"] if item["type"] == "function_call"}
    tools = [replaying_tool(name, []) for name in sorted(names)]
    for tool in tools:
        tool.on_invoke_tool = answer
    model = ScriptedModel()
    agent = Agent(name="recorded", model=model, tools=tools)  # type: ignore[arg-type]
    for opening, model_calls in runs_of(line, found):
        model.extend(model_calls)
        # Nobody may have answered a function's output, or have said anything.
        with suppress(UnexpectedModelCall):
            await Runner.run(
                agent,
                opening,  # type: ignore[arg-type]
                session=session,
                max_turns=100,
                run_config=QUIET,
            )
        model.assert_complete()


def holds_usage(store: duckstore.Store, usage: dict[str, list[dict[str, Any]]]) -> None:
    """Each response of these sessions has its own entry, and so the sums are the recordings'."""
    recorded = {session_id: list(map(counts, entries)) for session_id, entries in usage.items()}
    stored: dict[str, list[tuple[int, ...]]] = {session_id: [] for session_id in usage}
    each = f"select session_id, {', '.join(COUNTS)} from responses order by response_id"
    for session_id, *found in rows(store, each):
        if session_id in stored:
            stored[session_id].append(tuple(found))
    assert stored == recorded
    sums = {name: tuple(map(sum, zip(*found, strict=True))) for name, found in recorded.items()}
    columns = ", ".join(f"sum({name})::bigint" for name in COUNTS[1:])
    for relation in ("responses", "runs"):
        found = rows(store, f"select session_id, {columns} from {relation} group by session_id")
        totals = {session_id: counted for session_id, *counted in found if session_id in usage}
        assert totals == {name: list(counted[1:]) for name, counted in sums.items()}


# A recorded web search names a kind of source that the client's types do not have yet.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
@pytest.mark.parametrize(
    ("name", "conversation_count", "response_count"),
    [("responses-api", 118, 194), ("agents-sdk-runs", 10, 29)],
)
def test_each_response_has_the_usage_that_was_recorded(
    name: str, conversation_count: int, response_count: int, store: duckstore.Store
) -> None:
    """A recording that goes through the Runner leaves its token counts, response by response.

    The usage entries of these recordings stand in the order of the responses and do not say which
    items each has. A response is taken to be what stands between two inputs, or what ends with a
    message, whichever gives one for each entry. Conversations where neither does are left out, 15
    of one recording: they hold what another model said before, or a tool search by the client, or
    lack a response's items. So are those without usage.

    Of a conversation that is replayed, tools that were added between two responses are left out,
    and a function's output is given as text. What hosted tools did stands in the responses.
    """
    lines = [(line, responses_with_usage(line)) for line in recording(name)]

    async def replay_all() -> None:
        for line, found in lines:
            if found is not None:
                await replay_with_usage(line, found, store.session(line["session_id"]))

    run(replay_all())
    replayed = [line for line, found in lines if found is not None]
    holds_usage(store, {line["session_id"]: line["usage"] for line in replayed})
    assert store.check() == []
    assert len(replayed) == conversation_count
    assert rows(store, "select count(*) from responses") == [(response_count,)]


def test_a_customer_that_is_a_model_has_the_usage_that_was_recorded(
    store: duckstore.Store,
) -> None:
    """Two agents talk, each with a session of its own: the usage of one is not the other's.

    The usage entries of this recording are the simulated customer's, one for each user message.
    So the customer is run as the model that it was, which the airline's messages are the input of
    and which saw no tool calls; and the airline as in the other replays, its usage not recorded.
    """
    lines = recording("tau2")

    async def replay_all() -> None:
        for line in lines:
            talk = [item for item in line["items"] if is_message(item)]
            heard, said = talk[::2], talk[1::2]
            assert {item["role"] for item in heard} == {"assistant"}
            assert {item["role"] for item in said} == {"user"}
            model = ScriptedModel(
                step([assistant_message(words(item))], entry)
                for item, entry in zip(said, line["usage"], strict=True)
            )
            customer = Agent(name="customer", model=model)
            session = store.session(f"customer {line['session_id']}")
            for item in heard:
                await Runner.run(customer, words(item), session=session, run_config=QUIET)
            airline = store.session(f"airline {line['session_id']}")
            await airline.add_items(line["items"][:1])
            await replay(line["items"][1:], airline)

    run(replay_all())
    holds_usage(store, {f"customer {line['session_id']}": line["usage"] for line in lines})
    assert store.check() == []
    assert rows(
        store,
        "select agent_name, count(distinct session_id), count(*), sum(total_tokens) > 0"
        " from responses where agent_name is not null group by all order by all",
    ) == [("airline", 55, 592, False), ("customer", 55, 364, True)]
    assert rows(store, "select count(*) from tool_calls where output is not null") == [(288,)]
