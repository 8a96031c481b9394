"""The demo's agents: a small shop's support desk, run by the SDK's own Runner.

Only the models are not real: `agents.testing.ScriptedModel` plays their part from a script, so that
the demo needs no key and no network, and takes its time as models do. Tools, handoffs, sessions and
their order are what the Runner makes of them. Traces go to the store and nowhere else.
"""

from __future__ import annotations

import asyncio
from typing import Any

from agents import Agent, RunHooks, Runner, Tool, function_tool
from agents.testing import ModelCall, ModelStep, ScriptedModel, assistant_message, function_call
from agents.tracing import set_trace_processors
from agents.usage import Usage

from duckstore.session import DuckDBSession
from duckstore.store import Store
from duckstore.tracing import trace_to

__all__ = ["run_desk"]

_ORDERS = {4711: ("shipped", 49), 4712: ("being packed", 120)}
_DAYS = {"Berlin": 2, "Lisbon": 4}
_TOOL_SECONDS = 0.02
_TOKEN_SECONDS = 0.001

PRICES = [
    {"model": "large-model", "input_price": 1.25, "output_price": 10},
    {"model": "small-model", "input_price": 0.25, "output_price": 2},
]
"""What the demo's models would cost, in USD for a million tokens."""


class _Model(ScriptedModel):
    """A scripted model that has a name, as the SDK's own models do."""

    def __init__(self, model: str, script: list[ModelStep]) -> None:
        super().__init__(script, emit_traces=True)
        self.model = model


@function_tool
async def find_order(order_number: int) -> str:
    """Look up an order's state and price."""
    await asyncio.sleep(_TOOL_SECONDS)
    state, price = _ORDERS[order_number]
    return f"order {order_number} is {state}, {price} EUR"


@function_tool
async def delivery_days(city: str) -> str:
    """How many days a delivery takes."""
    await asyncio.sleep(_TOOL_SECONDS)
    return f"{_DAYS[city]} days to {city}"


def _explain(context: Any, error: Exception) -> str:
    return f"No refund: {error}"


@function_tool(failure_error_function=_explain)
async def refund(order_number: int, amount: int) -> str:
    """Pay money back, at most the price of the order."""
    await asyncio.sleep(_TOOL_SECONDS)
    price = _ORDERS[order_number][1]
    if amount > price:
        raise ValueError(f"{amount} EUR is more than the {price} EUR that were paid")
    return f"{amount} EUR go back for order {order_number}"


def _step(*output: Any, tokens_in: int, tokens_out: int) -> ModelStep:
    """One scripted model call with its token usage, and the time that it takes."""
    usage = Usage(
        requests=1,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        total_tokens=tokens_in + tokens_out,
    )

    async def answer(call: ModelCall) -> ModelStep:
        await asyncio.sleep(_TOKEN_SECONDS * tokens_out)
        return ModelStep(output=output, usage=usage)

    return ModelStep.respond(answer)


def _desk(script: list[ModelStep], refund_script: list[ModelStep], *tools: Tool) -> Agent[Any]:
    refunds = Agent(
        name="Refunds",
        instructions="You pay money back where the shop's rules allow it.",
        model=_Model("large-model", refund_script),
        tools=[find_order, refund],
    )
    return Agent(
        name="Support desk",
        instructions="You answer questions about orders and deliveries.",
        model=_Model("small-model", script),
        tools=[find_order, delivery_days, *tools],
        handoffs=[refunds],
    )


async def run_desk(store: Store, edited_session: str) -> None:
    """Run all conversations of the demo, each in a session of its own."""
    set_trace_processors([trace_to(store)])
    hooks = store.hooks()
    store.set_prices(PRICES)
    try:
        await _refund_after_a_failure(store.session("order-4711"), hooks)
        await _parallel_calls(store.session("delivery-times"), hooks)
        await _edited_question(store.session(edited_session), hooks)
    finally:
        set_trace_processors([])


async def _refund_after_a_failure(session: DuckDBSession, hooks: RunHooks[Any]) -> None:
    """A tool call, then a handoff, a call that fails and one that mends it."""
    desk = _desk(
        [
            _step(
                function_call("find_order", {"order_number": 4711}, call_id="call_1"),
                tokens_in=210,
                tokens_out=18,
            ),
            _step(
                assistant_message("Order 4711 is on its way; it cost 49 EUR."),
                tokens_in=251,
                tokens_out=16,
            ),
            _step(
                function_call("transfer_to_refunds", {}, call_id="call_2"),
                tokens_in=290,
                tokens_out=12,
            ),
        ],
        [
            _step(
                function_call("refund", {"order_number": 4711, "amount": 60}, call_id="call_3"),
                tokens_in=330,
                tokens_out=22,
            ),
            _step(
                function_call("refund", {"order_number": 4711, "amount": 49}, call_id="call_4"),
                tokens_in=377,
                tokens_out=22,
            ),
            _step(
                assistant_message("Done: 49 EUR, the whole price, go back to you."),
                tokens_in=421,
                tokens_out=15,
            ),
        ],
    )
    for question in ("Where is my order 4711?", "It came broken. I want 60 EUR back."):
        await Runner.run(desk, question, session=session, hooks=hooks)


async def _parallel_calls(session: DuckDBSession, hooks: RunHooks[Any]) -> None:
    """Two calls in one response, and an agent that is a tool."""
    translator = Agent(
        name="Translator",
        model=_Model(
            "large-model",
            [_step(assistant_message("Berlin: 2 dias. Lisboa: 4."), tokens_in=95, tokens_out=12)],
        ),
    )
    desk = _desk(
        [
            _step(
                function_call("delivery_days", {"city": "Berlin"}, call_id="call_1"),
                function_call("delivery_days", {"city": "Lisbon"}, call_id="call_2"),
                tokens_in=205,
                tokens_out=34,
            ),
            _step(
                assistant_message("Berlin: 2 days. Lisbon: 4 days."), tokens_in=262, tokens_out=13
            ),
            _step(
                function_call("translate", {"input": "Berlin: 2 days. Lisbon: 4."}, call_id="c_3"),
                tokens_in=291,
                tokens_out=24,
            ),
            _step(assistant_message("Berlin: 2 dias. Lisboa: 4."), tokens_in=330, tokens_out=12),
        ],
        [],
        translator.as_tool("translate", "Translate to Portuguese", hooks=hooks),
    )
    for question in ("How long do you deliver to Berlin and to Lisbon?", "In Portuguese, please."):
        await Runner.run(desk, question, session=session, hooks=hooks)


async def _edited_question(session: DuckDBSession, hooks: RunHooks[Any]) -> None:
    """A question, its answer, and the same question put better."""
    desk = _desk(
        [
            _step(assistant_message("That depends on the city."), tokens_in=198, tokens_out=8),
            _step(
                function_call("delivery_days", {"city": "Lisbon"}, call_id="call_1"),
                tokens_in=201,
                tokens_out=17,
            ),
            _step(assistant_message("4 days to Lisbon."), tokens_in=233, tokens_out=8),
        ],
        [],
    )
    await Runner.run(desk, "How long does delivery take?", session=session, hooks=hooks)
    await session.edit(1, "How long does delivery to Lisbon take?")
    await Runner.run(desk, [], session=session, hooks=hooks)  # answers what stands there now
