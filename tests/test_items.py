"""What an item is: every type of the SDK by name, and any value at all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from openai.types.responses.response_input_item_param import ResponseInputItemParam

from duckstore.items import _BUILDERS, Description, describe
from tests.samples import json_values


@dataclass(frozen=True)
class Case:
    """One item with the columns that it must give."""

    name: str
    item: dict[str, Any]
    item_type: str
    part: str
    role: str | None = None
    text: str | None = None
    call_id: str | None = None
    tool_name: str | None = None
    tool_type: str | None = None
    server_label: str | None = None
    arguments: str | None = None
    status: str | None = None
    error: str | None = None
    handoff_to: str | None = None
    is_call: bool = False
    is_output: bool = False


CASES = [
    Case(
        "EasyInputMessageParam",
        {"role": "user", "content": "hello"},
        "message",
        "input",
        role="user",
        text="hello",
    ),
    Case(
        "EasyInputMessageParam",
        {"role": "assistant", "content": "hello", "phase": "commentary"},
        "message",
        "model",
        role="assistant",
        text="hello",
    ),
    Case(
        "Message",
        {
            "type": "message",
            "role": "developer",
            "content": [
                {"type": "input_text", "text": "see"},
                {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "AA=="},
                {"type": "input_file", "file_id": "file_1"},
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}},
            ],
        },
        "message",
        "input",
        role="developer",
        text="see\n[image]\n[file: a.pdf]\n[file]\n[audio]",
    ),
    Case(
        "ResponseOutputMessageParam",
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [
                {"type": "output_text", "text": "yes", "annotations": []},
                {"type": "refusal", "refusal": "but no"},
            ],
        },
        "message",
        "model",
        role="assistant",
        text="yes\nbut no",
    ),
    Case(
        "ResponseFileSearchToolCallParam",
        {
            "type": "file_search_call",
            "id": "fs_1",
            "queries": ["rates", "fees"],
            "status": "completed",
            "results": [{"filename": "a.md", "text": "4 %", "score": 0.5}],
        },
        "file_search_call",
        "model",
        call_id="fs_1",
        tool_name="file_search",
        tool_type="file_search",
        arguments='["rates", "fees"]',
        text="4 %",
        status="ok",
        is_call=True,
    ),
    Case(
        "ResponseComputerToolCallParam",
        {
            "type": "computer_call",
            "id": "cu_1",
            "call_id": "c1",
            "action": {"type": "click", "x": 1, "y": 2, "button": "left"},
            "pending_safety_checks": [],
            "status": "completed",
        },
        "computer_call",
        "model",
        call_id="c1",
        tool_name="computer",
        tool_type="computer",
        arguments='{"type": "click", "x": 1, "y": 2, "button": "left"}',
        is_call=True,
    ),
    Case(
        "ResponseComputerToolCallParam",
        {
            "type": "computer_call",
            "id": "cu_1",
            "call_id": "c1",
            "actions": [{"type": "screenshot"}],
            "pending_safety_checks": [],
            "status": "completed",
        },
        "computer_call",
        "model",
        call_id="c1",
        tool_name="computer",
        tool_type="computer",
        arguments='[{"type": "screenshot"}]',
        is_call=True,
    ),
    Case(
        "ComputerCallOutput",
        {
            "type": "computer_call_output",
            "call_id": "c1",
            "output": {"type": "computer_screenshot", "image_url": "data:image/png;base64,AA=="},
        },
        "computer_call_output",
        "output",
        call_id="c1",
        text="[image]",
        status="ok",
        is_output=True,
    ),
    Case(
        "ResponseFunctionWebSearchParam",
        {
            "type": "web_search_call",
            "id": "ws_1",
            "status": "failed",
            "action": {"type": "search", "query": "weather"},
        },
        "web_search_call",
        "model",
        call_id="ws_1",
        tool_name="web_search",
        tool_type="web_search",
        arguments='{"type": "search", "query": "weather"}',
        status="error",
        is_call=True,
    ),
    Case(
        "ResponseFunctionToolCallParam",
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "c1",
            "name": "look",
            "arguments": '{"a": 1, "a": 2}',
            "status": "completed",
        },
        "function_call",
        "model",
        call_id="c1",
        tool_name="look",
        tool_type="function",
        arguments='{"a": 1, "a": 2}',
        is_call=True,
    ),
    Case(
        "FunctionCallOutput",
        {"type": "function_call_output", "call_id": "c1", "output": "fine"},
        "function_call_output",
        "output",
        call_id="c1",
        text="fine",
        status="ok",
        is_output=True,
    ),
    Case(
        "FunctionCallOutput",
        {
            "type": "function_call_output",
            "call_id": "c1",
            "output": [
                {"type": "input_text", "text": "see"},
                {"type": "input_image", "image_url": "https://example.com/a.png"},
            ],
        },
        "function_call_output",
        "output",
        call_id="c1",
        text="see\n[image]",
        status="ok",
        is_output=True,
    ),
    Case(
        "FunctionCallOutput",
        {
            "type": "function_call_output",
            "call_id": "c1",
            "output": "An error occurred while running the tool. Please try again. Error: no",
        },
        "function_call_output",
        "output",
        call_id="c1",
        text="An error occurred while running the tool. Please try again. Error: no",
        status="error",
        error="An error occurred while running the tool. Please try again. Error: no",
        is_output=True,
    ),
    Case(
        "FunctionCallOutput",
        {
            "type": "function_call_output",
            "call_id": "c1",
            "output": "Tool execution was not approved.",
        },
        "function_call_output",
        "output",
        call_id="c1",
        text="Tool execution was not approved.",
        status="rejected",
        is_output=True,
    ),
    Case(
        "FunctionCallOutput",
        {"type": "function_call_output", "call_id": "c1", "output": '{"assistant": "Billing"}'},
        "function_call_output",
        "output",
        call_id="c1",
        text='{"assistant": "Billing"}',
        status="ok",
        handoff_to="Billing",
        is_output=True,
    ),
    Case(
        "ToolSearchCall",
        {"type": "tool_search_call", "arguments": {"q": "mail"}, "execution": "server"},
        "tool_search_call",
        "model",
        tool_name="tool_search",
        tool_type="tool_search",
        arguments='{"q": "mail"}',
        is_call=True,
    ),
    Case(
        "ResponseToolSearchOutputItemParamParam",
        {"type": "tool_search_output", "tools": [{"type": "function", "name": "send"}]},
        "tool_search_output",
        "model",
        text='[{"type": "function", "name": "send"}]',
        status="ok",
        is_output=True,
    ),
    Case(
        "ResponseToolSearchOutputItemParamParam",
        {"type": "tool_search_output", "tools": [], "execution": "client", "call_id": "c1"},
        "tool_search_output",
        "output",
        call_id="c1",
        text="[]",
        status="ok",
        is_output=True,
    ),
    Case(
        "AdditionalTools",
        {"type": "additional_tools", "role": "developer", "tools": []},
        "additional_tools",
        "input",
        role="developer",
    ),
    Case(
        "ResponseConfigurationUpdateItemParamParam",
        {"type": "configuration_update", "reasoning": {"effort": "low"}},
        "configuration_update",
        "input",
    ),
    Case(
        "ResponseReasoningItemParam",
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "first"}],
            "content": [{"type": "reasoning_text", "text": "then"}],
            "encrypted_content": "AA==",
        },
        "reasoning",
        "model",
        text="first\nthen",
    ),
    Case(
        "ResponseCompactionItemParamParam",
        {"type": "compaction", "encrypted_content": "AA=="},
        "compaction",
        "model",
    ),
    Case(
        "ImageGenerationCall",
        {
            "type": "image_generation_call",
            "id": "ig_1",
            "status": "completed",
            "result": "AA==",
            "revised_prompt": "a duck",
        },
        "image_generation_call",
        "model",
        call_id="ig_1",
        tool_name="image_generation",
        tool_type="image_generation",
        arguments="a duck",
        text="[image]",
        status="ok",
        is_call=True,
    ),
    Case(
        "ResponseCodeInterpreterToolCallParam",
        {
            "type": "code_interpreter_call",
            "id": "ci_1",
            "code": "print(1)",
            "container_id": "cn_1",
            "status": "completed",
            "outputs": [{"type": "logs", "logs": "1"}, {"type": "image", "url": "https://a.b/c"}],
        },
        "code_interpreter_call",
        "model",
        call_id="ci_1",
        tool_name="code_interpreter",
        tool_type="code_interpreter",
        arguments="print(1)",
        text="1\n[image]",
        status="ok",
        is_call=True,
    ),
    Case(
        "LocalShellCall",
        {
            "type": "local_shell_call",
            "id": "ls_1",
            "call_id": "c1",
            "action": {"type": "exec", "command": ["ls"], "env": {}},
            "status": "completed",
        },
        "local_shell_call",
        "model",
        call_id="c1",
        tool_name="local_shell",
        tool_type="local_shell",
        arguments='{"type": "exec", "command": ["ls"], "env": {}}',
        is_call=True,
    ),
    Case(
        "LocalShellCallOutput",
        {"type": "local_shell_call_output", "id": "c1", "output": "a.txt"},
        "local_shell_call_output",
        "output",
        call_id="c1",
        text="a.txt",
        status="ok",
        is_output=True,
    ),
    Case(
        "ShellCall",
        {"type": "shell_call", "call_id": "c1", "action": {"commands": ["ls"]}},
        "shell_call",
        "model",
        call_id="c1",
        tool_name="shell",
        tool_type="shell",
        arguments='{"commands": ["ls"]}',
        is_call=True,
    ),
    Case(
        "ShellCallOutput",
        {
            "type": "shell_call_output",
            "call_id": "c1",
            "output": [
                {"stdout": "a", "stderr": "b", "outcome": {"type": "exit", "exit_code": 2}},
            ],
        },
        "shell_call_output",
        "output",
        call_id="c1",
        text="a\nb",
        status="error",
        error="exit code 2",
        is_output=True,
    ),
    Case(
        "ShellCallOutput",
        {
            "type": "shell_call_output",
            "call_id": "c1",
            "output": [{"stdout": "a", "stderr": "", "outcome": {"type": "timeout"}}],
        },
        "shell_call_output",
        "output",
        call_id="c1",
        text="a",
        status="error",
        error="timeout",
        is_output=True,
    ),
    Case(
        "ApplyPatchCall",
        {
            "type": "apply_patch_call",
            "call_id": "c1",
            "operation": {"type": "delete_file", "path": "a"},
            "status": "completed",
        },
        "apply_patch_call",
        "model",
        call_id="c1",
        tool_name="apply_patch",
        tool_type="apply_patch",
        arguments='{"type": "delete_file", "path": "a"}',
        is_call=True,
    ),
    Case(
        "ApplyPatchCallOutput",
        {
            "type": "apply_patch_call_output",
            "call_id": "c1",
            "status": "failed",
            "output": "no such file",
        },
        "apply_patch_call_output",
        "output",
        call_id="c1",
        text="no such file",
        status="error",
        error="no such file",
        is_output=True,
    ),
    Case(
        "McpListTools",
        {
            "type": "mcp_list_tools",
            "id": "ml_1",
            "server_label": "files",
            "tools": [{"name": "read", "input_schema": {}}, {"name": "write", "input_schema": {}}],
        },
        "mcp_list_tools",
        "model",
        server_label="files",
        text="read, write",
    ),
    Case(
        "McpApprovalRequest",
        {
            "type": "mcp_approval_request",
            "id": "ar_1",
            "server_label": "files",
            "name": "write",
            "arguments": "{}",
        },
        "mcp_approval_request",
        "model",
        call_id="ar_1",
        tool_name="write",
        server_label="files",
        arguments="{}",
    ),
    Case(
        "McpApprovalResponse",
        {
            "type": "mcp_approval_response",
            "approval_request_id": "ar_1",
            "approve": False,
            "reason": "too risky",
        },
        "mcp_approval_response",
        "output",
        call_id="ar_1",
        text="too risky",
        status="rejected",
    ),
    Case(
        "McpCall",
        {
            "type": "mcp_call",
            "id": "mc_1",
            "server_label": "files",
            "name": "read",
            "arguments": "{}",
            "output": "text",
            "status": "completed",
        },
        "mcp_call",
        "model",
        call_id="mc_1",
        tool_name="read",
        tool_type="mcp",
        server_label="files",
        arguments="{}",
        text="text",
        status="ok",
        is_call=True,
    ),
    Case(
        "McpCall",
        {
            "type": "mcp_call",
            "id": "mc_1",
            "server_label": "files",
            "name": "read",
            "arguments": "{}",
            "error": {"type": "protocol_error", "code": 1, "message": "gone"},
        },
        "mcp_call",
        "model",
        call_id="mc_1",
        tool_name="read",
        tool_type="mcp",
        server_label="files",
        arguments="{}",
        status="error",
        error='{"type": "protocol_error", "code": 1, "message": "gone"}',
        is_call=True,
    ),
    Case(
        "ResponseCustomToolCallParam",
        {"type": "custom_tool_call", "call_id": "c1", "name": "calc", "input": "1 + 1"},
        "custom_tool_call",
        "model",
        call_id="c1",
        tool_name="calc",
        tool_type="custom",
        arguments="1 + 1",
        is_call=True,
    ),
    Case(
        "ResponseCustomToolCallOutputParam",
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "2"},
        "custom_tool_call_output",
        "output",
        call_id="c1",
        text="2",
        status="ok",
        is_output=True,
    ),
    Case("CompactionTrigger", {"type": "compaction_trigger"}, "compaction_trigger", "input"),
    Case("ItemReference", {"type": "item_reference", "id": "msg_1"}, "item_reference", "input"),
    Case("ItemReference", {"id": "msg_1"}, "item_reference", "input"),
    Case(
        "Program",
        {
            "type": "program",
            "id": "pr_1",
            "call_id": "c1",
            "code": "tools.look()",
            "fingerprint": "f",
        },
        "program",
        "model",
        call_id="c1",
        tool_name="program",
        tool_type="program",
        arguments="tools.look()",
        is_call=True,
    ),
    Case(
        "ProgramOutput",
        {
            "type": "program_output",
            "id": "po_1",
            "call_id": "c1",
            "result": "3",
            "status": "completed",
        },
        "program_output",
        "model",
        call_id="c1",
        text="3",
        status="ok",
        is_output=True,
    ),
]

ALTERNATIVES = {kind.__name__: kind for kind in get_args(ResponseInputItemParam)}


@pytest.mark.parametrize("case", CASES, ids=[f"{case.name}-{i}" for i, case in enumerate(CASES)])
def test_each_type_gives_its_columns(case: Case) -> None:
    description = describe(case.item)
    expected = {
        name: getattr(case, name)
        for name in Case.__dataclass_fields__
        if name not in ("name", "item")
    }
    assert {name: getattr(description, name) for name in expected} == expected


@pytest.mark.parametrize("name", sorted(ALTERNATIVES))
def test_each_type_of_the_sdk_has_a_case(name: str) -> None:
    """A type that a later SDK brings fails here, by name, until it is classified."""
    assert name in {case.name for case in CASES}


def test_each_case_is_of_a_type_of_the_sdk() -> None:
    assert {case.name for case in CASES} <= set(ALTERNATIVES)


def test_each_type_value_of_the_sdk_is_known() -> None:
    """Every value that `type` can have in the SDK's types has a builder of its own."""
    values = set()
    for kind in ALTERNATIVES.values():
        hint = get_type_hints(kind)["type"]
        literals = [hint, *get_args(hint)]
        values |= {v for literal in literals for v in get_args(literal) if isinstance(v, str)}
        values |= {v for v in literals if isinstance(v, str)}
    assert values == set(_BUILDERS)


FIELDS = sorted({name for case in CASES for name in case.item} | {"error", "results", "actions"})
VALUES = st.one_of(
    json_values(),
    st.sampled_from(
        [
            case_value
            for case in CASES
            for case_value in case.item.values()
            if isinstance(case_value, (list, dict))
        ]
    ),
)
NEAR_ITEMS = st.builds(
    lambda kind, fields: {**fields, "type": kind},
    st.sampled_from(sorted(_BUILDERS)),
    st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=8),
)
NEAR_PARTS = st.builds(
    lambda case, field, values: {**case.item, field: values},
    st.sampled_from(CASES),
    st.sampled_from(["content", "output", "outputs", "results", "tools", "summary", "action"]),
    st.lists(
        st.dictionaries(
            st.sampled_from(
                ["type", "text", "stdout", "stderr", "outcome", "refusal", "logs", "filename"]
            ),
            st.one_of(
                json_values(),
                st.sampled_from(["input_file", "input_image", "image", "screenshot"]),
                st.dictionaries(st.sampled_from(["type", "exit_code"]), json_values()),
            ),
        ),
        max_size=3,
    ),
)


@settings(max_examples=400, deadline=None)
@given(st.one_of(json_values(), NEAR_ITEMS, NEAR_PARTS))
def test_any_value_can_be_described(item: Any) -> None:
    """`describe` never raises, and its columns are texts that a file can hold."""
    description = describe(item)
    assert description.part in ("input", "model", "output")
    assert not (description.is_call and description.is_output)
    for name in Description.__slots__:
        value = getattr(description, name)
        if isinstance(value, str):
            value.encode()
        else:
            assert value is None or isinstance(value, bool)
    assert description.pairing_key is None or isinstance(description.pairing_key, str)
    assert (description.error is None) or description.status == "error" or not description.is_call
    assert (description.status is None) == (description.status_source is None)


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, 2**80, 10**400, True, None, "", "\ud800", "\x00", [], {}, [[[]]]],
    ids=ascii,
)
@pytest.mark.parametrize("kind", [*sorted(_BUILDERS), "not known", None])
def test_each_type_takes_every_field_wrongly_typed(kind: str | None, value: Any) -> None:
    for field in FIELDS:
        if field != "type":
            describe({"type": kind, field: value})
    describe({"type": value, "role": value, "content": value})


def test_nesting_that_python_can_decode_can_be_described() -> None:
    """A value nested as deeply as `json` takes it is described like any other."""
    deep: Any = "end"
    for _ in range(900):
        deep = [deep]
    for kind in sorted(_BUILDERS):
        for field in ("content", "output", "arguments", "action", "tools", "result", "error"):
            describe({"type": kind, field: deep})


def test_an_unknown_type_keeps_its_words() -> None:
    description = describe({"type": "telepathy", "role": "user", "call_id": "c1", "text": "hm"})
    assert (description.part, description.item_type) == ("input", "telepathy")
    assert (description.role, description.call_id, description.text) == ("user", "c1", "hm")
    assert description.pairing_key is None


def test_searches_without_an_id_are_paired_with_each_other() -> None:
    asked = describe({"type": "tool_search_call", "arguments": {}})
    found = describe({"type": "tool_search_output", "tools": []})
    assert asked.pairing_key is not None
    assert asked.pairing_key == found.pairing_key
