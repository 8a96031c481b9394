"""Recorded conversations replayed through the SDK's real Runner."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from agents import Agent, FunctionTool, RunConfig, Runner
from agents.testing import ModelStep, ScriptedModel, assistant_message, function_call
from agents.testing.model import UnexpectedModelCall
from agents.tool_context import ToolContext

import duckstore
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
