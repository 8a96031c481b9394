"""One store with a session for each thing that makes conversations awkward."""

from __future__ import annotations

from typing import Any

from duckstore import Store
from duckstore.telemetry import Seen, SeenResponse
from duckstore.usage import Usage
from tests.samples import assistant, call, output, user

FAILED = "An error occurred while running the tool. Please try again. Error: no such order"
REJECTED = "Tool execution was not approved."


def reasoning(text: str) -> dict[str, Any]:
    return {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": text}]}


def facts(agent: str, input_tokens: int, output_tokens: int) -> Seen:
    """What the SDK would tell of a response."""
    usage = Usage(
        request_count=1,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_input_tokens=2,
        reasoning_output_tokens=1,
        total_tokens=input_tokens + output_tokens,
    )
    response = SeenResponse(usage=usage)
    return Seen(agent_name=agent, response=response, trace_id="trace_1", is_live=True)


def fill(store: Store) -> None:
    """Add the sessions to a store."""
    _orders(store)
    _edited(store)
    _forked(store)
    _compacted(store)
    _others(store)


def _orders(store: Store) -> None:
    """Parallel calls, a failed and a rejected one, a handoff, a call id that comes twice."""
    talk = store.conversation("orders")
    talk.add([user("Where are my orders?")])
    talk.add(
        [
            reasoning("Look up both."),
            call("find", "c1", '{"order": 7}'),
            call("find", "c2", "{'order': 8}"),
            output("c1", "shipped"),
            output("c2", FAILED),
        ],
        facts("triage", 10, 5),
    )
    talk.add([assistant("One is shipped.")], facts("triage", 20, 6))
    talk.add([user("Cancel it.")])
    talk.add(
        [
            call("transfer_to_refunds", "c3"),
            output("c3", '{"assistant": "refunds"}'),
        ],
        facts("triage", 30, 7),
    )
    talk.add([call("cancel", "c1"), output("c1", REJECTED)], facts("refunds", 40, 8))
    talk.add([user("Hello?")])
    store.update_session(
        "orders", title="Two orders", user_id="ada", tags=["vip", "late"], metadata={"plan": "pro"}
    )


def _edited(store: Store) -> None:
    """The question is edited, and the second answer is regenerated."""
    talk = store.conversation("edited")
    talk.add([user("2 + 3?"), assistant("6")])
    talk.pop()
    talk.pop()
    talk.add([user("2 + 2?"), assistant("5")])
    talk.pop()
    talk.add([assistant("4")])


def _forked(store: Store) -> None:
    """A branch by name that goes on beside the first; the path is back on the first."""
    talk = store.conversation("forked")
    talk.add([user("Tell a joke."), assistant("No.")])
    talk.branch("second try", at={"position": 1})
    talk.add([assistant("Knock knock.")])
    talk.switch("main")


def _compacted(store: Store) -> None:
    """Two runs, then a compaction of all, then one run more."""
    talk = store.conversation("compacted")
    talk.add([user("one"), assistant("1")])
    talk.add([user("two"), call("count", "k"), output("k", "2"), assistant("2")])
    talk.replace_all([user("The user counts.")])
    talk.add([user("three"), assistant("3")])


def _others(store: Store) -> None:
    """An assistant that speaks first, halves of calls, hosted tools, and items of no known type."""
    talk = store.conversation("opened")
    talk.add([assistant("How can I help?"), user("Not at all."), assistant("Fine.")])
    talk = store.conversation("halves")
    talk.add([user("go"), output("never called", "lost"), call("wait", "w")])
    talk = store.conversation("hosted")
    search = {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"q": "x"}}
    tool = {
        "type": "mcp_call",
        "id": "mcp",
        "name": "read",
        "server_label": "docs",
        "arguments": "{}",
        "error": "gone",
    }
    talk.add([user("search"), search, tool, assistant("Nothing found.")])
    talk = store.conversation("odd")
    talk.add([user("hi"), 42, "text", None, {"type": "from_the_future", "text": "beep"}])
