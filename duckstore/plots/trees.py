"""The plot of one conversation with every way that it went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from duckstore.plots.layout import Node, lay_out, tree_of
from duckstore.plots.look import (
    BLUE,
    GREY,
    INK,
    TAN,
    VERMILLION,
    VIOLET,
    Plot,
    Row,
    altair_of,
    data_of,
    plain,
    tip,
)

if TYPE_CHECKING:
    import altair

__all__ = ["CONVERSATION_TREE"]

MOST_ITEMS = 150
"""Of more items, those of a run that follow each other are one node."""
LANE_STEP = 30
LEAST_STEP, MOST_STEP = 9, 34
"""How far nodes are apart, in pixels."""
WIDTH = 760
LABEL_LENGTH = 20
LABEL_PIXELS = 6.5 * LABEL_LENGTH

SPEAKERS = {"user": BLUE, "assistant": VERMILLION, "tool": TAN, "other": GREY}
SHAPES = {"user": "circle", "assistant": "square", "tool": "triangle-up", "other": "diamond"}


def _conversation_tree(rows: list[Row]) -> altair.LayerChart:
    alt = altair_of()
    is_merged = len(rows) > MOST_ITEMS
    nodes = tree_of(rows, is_merged=is_merged)
    depth = max(node.depth for node in nodes)
    step = min(max(WIDTH / (depth + 1), LEAST_STEP), MOST_STEP)
    room = LABEL_PIXELS / step
    ends = lay_out(nodes, int(room) + 1)
    lanes = max(node.lane for node in nodes)
    ticks = list(range(0, depth + 1, max(1, (depth + 1) // 15)))
    axis = alt.Axis(grid=False, values=ticks, format="d")
    title = "runs from the start" if is_merged else "items from the start"
    x = alt.X("x:Q", title=title, axis=axis, scale=alt.Scale(domain=[-0.5, depth + room]))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[lanes + 0.5, -0.5]))
    layers = [
        _edges(nodes, x, y),
        _points(nodes, x, y),
        _nodes(nodes, x, y),
        _names(ends, x, y),
    ]
    chart: altair.LayerChart = alt.layer(*layers).properties(
        width=int(step * (depth + 0.5 + room)), height=LANE_STEP * (lanes + 1)
    )
    return chart


def _edges(nodes: list[Node], x: Any, y: Any) -> Any:
    alt = altair_of()
    # Down to the lane of the one that follows, and then to it.
    lines = [
        {"x": x1, "y": y1, "x2": x2, "y2": y2, "path": "current" if node.leads_on else "other"}
        for node in nodes
        if (before := node.parent) is not None
        for x1, y1, x2, y2 in (
            (before.depth, before.lane, before.depth, node.lane),
            (before.depth, node.lane, node.depth, node.lane),
        )
        if (x1, y1) != (x2, y2)
    ]
    is_on = alt.datum.path == "current"
    return (
        alt.Chart(data_of(lines))
        .mark_rule()
        .encode(
            x=x,
            y=y,
            x2="x2:Q",
            y2="y2:Q",
            strokeWidth=alt.condition(is_on, alt.value(4), alt.value(1)),
            color=alt.condition(is_on, alt.value(INK), alt.value(GREY)),
        )
    )


def _points(nodes: list[Node], x: Any, y: Any) -> Any:
    """A ring around each edit point."""
    alt = altair_of()
    rings = [
        {"x": node.depth, "y": node.lane, "ways": len(ways), "began": " and ".join(kinds)}
        for node in nodes
        if len(ways := [child for child in node.children if _kind(child) != "compact"]) > 1
        for kinds in [sorted({str(_kind(child)) for child in ways})]
    ]
    return (
        alt.Chart(data_of(rings))
        .mark_point(size=260, color=VIOLET, strokeWidth=2, filled=False, opacity=1)
        .encode(x=x, y=y, tooltip=tip("ways:Q", "began:N"))
    )


def _kind(node: Node) -> Any:
    return node.row["kind"] if node.row else None


def _nodes(nodes: list[Node], x: Any, y: Any) -> Any:
    alt = altair_of()
    points = [
        {
            "x": node.depth,
            "y": node.lane,
            "said_by": _speaker(node.row),
            "agent": plain(node.row["agent_name"] or ""),
            "tool": plain(node.row["tool_name"] or ""),
            "text": plain(node.row["text_start"] or "", 120),
            "turn": node.row["turn_number"],
            "items": node.item_count,
            "branch": plain(node.row["branch_name"] or ""),
            "alternative": _alternative(node.row),
            "state": _state(node.row),
            "item_id": node.row["item_id"],
        }
        for node in nodes
        if node.row is not None
    ]
    scale = alt.Scale(domain=list(SPEAKERS), range=list(SPEAKERS.values()))
    shapes = alt.Scale(domain=list(SHAPES), range=list(SHAPES.values()))
    return (
        alt.Chart(data_of(points))
        .mark_point(filled=True, opacity=1)
        .encode(
            x=x,
            y=y,
            color=alt.Color("said_by:N", title="said by", scale=scale),
            shape=alt.Shape("said_by:N", title="said by", scale=shapes),
            # Small and not pale: a pale mark is hard to see on a dark ground.
            size=alt.condition(alt.datum.state == "current", alt.value(110), alt.value(50)),
            tooltip=tip(
                *("said_by:N", "text:N", "agent:N", "tool:N", "turn:Q", "items:Q", "branch:N"),
                *("alternative:N", "state:N", "item_id:Q"),
            ),
        )
    )


def _names(ends: list[Node], x: Any, y: Any) -> Any:
    """The name of the branch that each way is on, after its last node."""
    alt = altair_of()
    names = [
        {
            "x": node.depth,
            "y": node.lane,
            "branch": plain(node.row["branch_name"] or "", LABEL_LENGTH),
        }
        for node in ends
        if node.row is not None
    ]
    return (
        alt.Chart(data_of(names)).mark_text(align="left", dx=11).encode(x=x, y=y, text="branch:N")
    )


def _speaker(row: Row) -> str:
    if row["role"] in ("user", "assistant"):
        return str(row["role"])
    return "tool" if row["tool_name"] is not None else "other"


def _alternative(row: Row) -> str:
    if row["rank"] is None:
        return ""
    return f"{row['rank']} of {row['alternative_count']}, {row['kind']}"


def _state(row: Row) -> str:
    if row["is_current"]:
        return "current"
    return "archived" if row["is_archived"] else "superseded"


CONVERSATION_TREE = Plot(
    title="Every way that the conversation went",
    subtitle="The current path is thick, what was superseded is small; a ring is an edit point",
    nothing="Nothing to plot: no such session has items.",
    columns=(
        *("item_id", "parent_item_id", "turn_number", "run_id", "branch_name", "kind", "rank"),
        *("alternative_count", "is_current", "is_archived", "role", "agent_name", "tool_name"),
        "text_start",
    ),
    make=_conversation_tree,
    most_rows=3000,
    needs=("session_id",),
)
