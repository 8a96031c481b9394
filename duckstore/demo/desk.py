"""The demo's agents: a small shop's support desk, run by the SDK's own Runner.

Only the model is not real: `agents.testing.ScriptedModel` plays its part from a script, so that
the demo needs no key and no network. Tools, handoffs, sessions and their order are what the
Runner makes of them.
"""

from __future__ import annotations

from typing import Any

from agents import Agent, RunConfig, Runner, function_tool
from agents.testing import ModelStep, ScriptedModel, assistant_message, function_call
from agents.usage import Usage

from duckstore.session import DuckDBSession
from duckstore.store import Store

__all__ = ["run_desk"]

_ORDERS = {4711: ("shipped", 49), 4712: ("being packed", 120)}
_DAYS = {"Berlin": 2, "Lisbon": 4}


@function_tool
def find_order(order_number: int) -> str:
    """Look up an order's state and price."""
    state, price = _ORDERS[order_number]
    return f"order {order_number} is {state}, {price} EUR"


@function_tool
def delivery_days(city: str) -> str:
    """How many days a delivery takes."""
    return f"{_DAYS[city]} days to {city}"


@function_tool
def refund(order_number: int, amount: int) -> str:
    """Pay money back, at most the price of the order."""
    price = _ORDERS[order_number][1]
    if amount > price:
        raise ValueError(f"{amount} EUR is more than the {price} EUR that were paid")
    return f"{amount} EUR go back for order {order_number}"


def _step(*output: Any, tokens_in: int, tokens_out: int) -> ModelStep:
    """One scripted model call with its token usage."""
    usage = Usage(
        requests=1,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        total_tokens=tokens_in + tokens_out,
    )
    return ModelStep(output=output, usage=usage)


def _desk(script: list[ModelStep], refund_script: list[ModelStep]) -> Agent[Any]:
    refunds = Agent(
        name="Refunds",
        instructions="You pay money back where the shop's rules allow it.",
        model=ScriptedModel(refund_script),
        tools=[find_order, refund],
    )
    return Agent(
        name="Support desk",
        instructions="You answer questions about orders and deliveries.",
        model=ScriptedModel(script),
        tools=[find_order, delivery_days],
        handoffs=[refunds],
    )


async def _ask(agent: Agent[Any], question: str | list[Any], session: DuckDBSession) -> None:
    await Runner.run(agent, question, session=session, run_config=RunConfig(tracing_disabled=True))


async def run_desk(store: Store, edited_session: str) -> None:
    """Run all conversations of the demo, each in a session of its own."""
    await _refund_after_a_failure(store.session("order-4711"))
    await _parallel_calls(store.session("delivery-times"))
    await _edited_question(store.session(edited_session))


async def _refund_after_a_failure(session: DuckDBSession) -> None:
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
    await _ask(desk, "Where is my order 4711?", session)
    await _ask(desk, "It came broken. I want 60 EUR back.", session)


async def _parallel_calls(session: DuckDBSession) -> None:
    """Two calls in one response."""
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
        ],
        [],
    )
    await _ask(desk, "How long do you deliver to Berlin and to Lisbon?", session)


async def _edited_question(session: DuckDBSession) -> None:
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
    await _ask(desk, "How long does delivery take?", session)
    await session.edit(1, "How long does delivery to Lisbon take?")
    await _ask(desk, [], session)  # answers what stands there now
