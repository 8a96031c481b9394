"""Plots: what they show, as what, and of whatever is in the data."""

from __future__ import annotations

import itertools
import json
import random
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import duckstore
from duckstore import catalogue, errors
from duckstore.cli import ExitCode, cli
from duckstore.plots import PLOTS
from duckstore.plots.layout import lay_out, tree_of
from duckstore.plots.look import INK, PALETTE, plain
from duckstore.plots.trees import MOST_ITEMS
from duckstore.telemetry import Seen, SeenOutcome, SeenResponse
from duckstore.usage import Usage
from tests.processes import python
from tests.rich import fill
from tests.samples import assistant, call, output, user

altair = pytest.importorskip("altair")
pytest.importorskip("vl_convert")

NEEDS = {"conversation_tree": {"session_id": "edited"}}


@pytest.fixture(scope="module")
def rich() -> Iterator[duckstore.Store]:
    """A store with something for every plot."""
    with duckstore.open() as store:
        fill(store)
        talk = store.conversation("timed")
        talk.add([user("go")])
        ended = SeenOutcome("completed", started_us=1_000_000, ended_us=3_500_000)
        talk.add([assistant("gone")], Seen(outcome=ended, response=SeenResponse(model="m")))
        yield store


def spec_of(store: Any, name: str, **parameters: Any) -> dict[str, Any]:
    """A plot as Vega-Lite, which altair validates."""
    chart = store.plot(name, **{**NEEDS.get(name, {}), **parameters})
    assert isinstance(chart, altair.LayerChart)
    spec: dict[str, Any] = chart.to_dict()
    return spec


def data_of(spec: dict[str, Any], layer: int = 0) -> list[dict[str, Any]]:
    """The rows in a layer of a plot."""
    found = spec["layer"][layer].get("data", spec.get("data"))
    rows: list[dict[str, Any]] = (
        found["values"] if "values" in found else spec["datasets"][found["name"]]
    )
    return rows


# What they show ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_says_what_it_shows(name: str, rich: duckstore.Store) -> None:
    """A title, titled axes, a tooltip; a see-through ground, and no data from elsewhere."""
    spec = spec_of(rich, name)
    assert spec["title"]["text"] == PLOTS[name].title
    assert spec["title"]["subtitle"] == [PLOTS[name].subtitle]
    assert spec["background"] == "transparent"
    assert spec["config"]["view"]["stroke"] is None
    encodings = [layer["encoding"] for layer in spec["layer"]]
    assert any(encoding.get("tooltip") for encoding in encodings)
    for axis in ("x", "y"):
        drawn = [e[axis] for e in encodings if e.get(axis, {}).get("axis", True) is not None]
        assert any(e.get("title") for e in drawn) or (name, axis) == ("conversation_tree", "y")
    assert '"url"' not in json.dumps(spec)


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_takes_what_its_query_gives(name: str) -> None:
    """The columns are those of the query, which gives no more rows than asked for."""
    query = catalogue.bundled()[name]
    assert set(PLOTS[name].columns) <= set(catalogue.columns_of(query))
    assert {"row_limit", *PLOTS[name].needs} <= {p.name for p in query.parameters}


@pytest.mark.parametrize("name", PLOTS)
def test_an_export_has_the_same_plot(
    name: str, rich: duckstore.Store, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "plotted"
    if not folder.exists():
        rich.export_parquet(folder)
    with duckstore.open_parquet(folder) as archive:
        assert spec_of(archive, name) == spec_of(rich, name)


@pytest.mark.parametrize("name", PLOTS)
def test_an_empty_store_has_nothing_to_plot(name: str, store: duckstore.Store) -> None:
    """The chart says so, and can be drawn."""
    spec = spec_of(store, name)
    assert [row["text"] for row in data_of(spec)] == [PLOTS[name].nothing]
    assert spec["title"]["text"] == PLOTS[name].title


def test_tool_usage_has_the_calls_of_each_tool_by_status(rich: duckstore.Store) -> None:
    parts = data_of(spec_of(rich, "tool_usage"))
    for row in rich.query("tool_usage").to_dicts():
        mine = {part["status"]: part["calls"] for part in parts if part["tool"] == row["tool_name"]}
        wanted = {s: row[f"{s}_count"] for s in ("ok", "error", "rejected", "pending")}
        assert mine == {status: count for status, count in wanted.items() if count}
    assert [part["calls"] for part in parts if part["tool"] == "find"] == [1, 1]


def test_tools_of_one_name_have_a_bar_each(store: duckstore.Store) -> None:
    """A function and a hosted tool can have the same name; neither hides the other."""
    hosted = {"type": "mcp_call", "id": "m", "name": "find", "arguments": "{}", "output": "x"}
    store.conversation("s").add([user("go"), call("find", "c"), output("c"), hosted])
    parts = data_of(spec_of(store, "tool_usage"))
    assert {part["tool"] for part in parts} == {"find (function)", "find (mcp)"}


def test_tool_errors_has_each_kind_of_error(rich: duckstore.Store) -> None:
    """Those of the query, each with its words and an example."""
    parts = data_of(spec_of(rich, "tool_errors"))
    rows = rich.query("tool_errors").to_dicts()
    assert [part["errors"] for part in parts] == [row["error_count"] for row in rows]
    assert [part["place"] for part in parts] == list(range(len(rows)))
    mine = next(part for part in parts if part["tool"] == "find")
    assert "no such order" in mine["example"]
    assert mine["error"].startswith("find: ")


def test_turn_duration_has_the_query_s_seconds(rich: duckstore.Store) -> None:
    points = data_of(spec_of(rich, "turn_duration"), 1)
    found = {
        (p["status"].split(" ")[0], p["measure"], p["statistic"]): p["seconds"] for p in points
    }
    rows = {row["status"]: row for row in rich.query("turn_duration").to_dicts()}
    assert found["completed", "working", "p50"] == rows["completed"]["p50_working_seconds"] == 2.5
    assert found["completed", "duration", "p95"] == rows["completed"]["p95_duration_seconds"]
    assert all(seconds > 0 for seconds in found.values())  # the axis is logarithmic


def test_context_growth_has_the_tokens_of_each_turn(rich: duckstore.Store) -> None:
    points = data_of(spec_of(rich, "context_growth"), 1)
    wanted = {
        (row["turn_number"], statistic): row[f"{statistic}_input_tokens"]
        for row in rich.query("context_growth").to_dicts()
        for statistic in ("p50", "p95")
    }
    assert {(p["turn"], p["statistic"]): p["input_tokens"] for p in points} == wanted


def test_usage_by_day_names_each_day_of_a_short_time(store: duckstore.Store) -> None:
    """The days without responses as well; models beyond the colours are one."""
    talk = store.conversation("s")
    for number in range(7):
        used = Usage(request_count=1, total_tokens=100 - number)
        response = SeenResponse(usage=used, model=f"model {number}")
        talk.add([user("go"), assistant("ok")], Seen(response=response, agent_name="a"))
    spec = spec_of(store, "usage_by_day")
    parts = data_of(spec)
    assert {part["model"] for part in parts} == {f"model {number}" for number in range(7)}
    colours = {part["model"]: part["colour"] for part in parts}
    assert [colours[f"model {n}"] for n in (0, 3, 4, 6)] == [
        *("model 0", "model 3"),
        *("other models", "other models"),
    ]
    assert sum(part["tokens"] for part in parts) == sum(range(94, 101))
    days = spec["layer"][0]["encoding"]["x"]["scale"]["domain"]
    assert len(days) == 7
    assert days[-1] == parts[0]["day"]


def test_usage_by_day_is_a_line_of_time_over_months() -> None:
    """More days than can be named are an axis of time, in UTC."""
    rows = [
        {
            **dict.fromkeys(PLOTS["usage_by_day"].columns, 1),
            "used_on": day,
            "model": None,
            "currency": None,
            "total_cost": None,
        }
        for day in ("2026-01-01", "2026-06-30")
    ]
    chart = PLOTS["usage_by_day"].make(rows)
    assert chart is not None
    x = chart.to_dict()["layer"][0]["encoding"]["x"]
    assert (x["type"], x["scale"]["type"], x["timeUnit"]) == ("temporal", "utc", "utcyearmonthdate")


def test_handoffs_has_each_pair(rich: duckstore.Store) -> None:
    cells = data_of(spec_of(rich, "handoffs"))
    assert [(c["from_agent"], c["to_agent"], c["handoffs"]) for c in cells] == [
        ("triage", "refunds", 1)
    ]


def test_parameters_are_the_query_s(rich: duckstore.Store) -> None:
    """They narrow what is shown, and wrong ones are told."""
    parts = data_of(spec_of(rich, "tool_usage", tool_name="find"))
    assert {part["tool"] for part in parts} == {"find"}
    assert len(data_of(spec_of(rich, "tool_errors", row_limit=1))) == 1
    with pytest.raises(errors.ParameterError, match="no parameter"):
        rich.plot("tool_usage", colour="red")


def test_of_too_many_rows_the_first_are_drawn_and_it_says_so(store: duckstore.Store) -> None:
    names = [f"tool {number:02}" for number in range(PLOTS["tool_usage"].most_rows + 3)]
    store.conversation("s").add([user("go"), *(call(name, name) for name in names)])
    spec = spec_of(store, "tool_usage")
    assert len(data_of(spec)) == PLOTS["tool_usage"].most_rows
    assert "the first 30 rows" in spec["title"]["subtitle"][1]


# The tree ----------------------------------------------------------------------------------------


def test_the_tree_has_every_item_after_the_one_it_follows(rich: duckstore.Store) -> None:
    """Five items in three ways that begin at two edit points, and the path through two of them."""
    spec = spec_of(rich, "conversation_tree", session_id="edited")
    edges, rings, nodes, names = (data_of(spec, number) for number in range(4))
    assert [(n["text"], n["state"], n["alternative"]) for n in nodes] == [
        ("2 + 3?", "superseded", "1 of 2, edit"),
        ("6", "superseded", ""),
        ("2 + 2?", "current", "2 of 2, edit"),
        ("5", "superseded", "1 of 2, regenerate"),
        ("4", "current", "2 of 2, regenerate"),
    ]
    assert sorted((ring["ways"], ring["began"]) for ring in rings) == [
        (2, "edit"),
        (2, "regenerate"),
    ]
    straight = [edge for edge in edges if edge["path"] == "current"]
    assert [(e["x"], e["y"], e["x2"], e["y2"]) for e in straight] == [(0, 0, 1, 0), (1, 0, 2, 0)]
    assert [name["branch"] for name in names] == ["main", "main~2", "main~1"]
    places = [(node["x"], node["y"]) for node in nodes]
    assert len(set(places)) == len(places)


def test_a_compaction_is_no_edit_point_in_the_tree(rich: duckstore.Store) -> None:
    spec = spec_of(rich, "conversation_tree", session_id="compacted")
    assert data_of(spec, 1) == []
    assert {node["state"] for node in data_of(spec, 2)} == {"archived", "current"}


def test_of_a_long_conversation_runs_are_drawn(store: duckstore.Store) -> None:
    """Items of one run that follow each other are one node, which says how many it is."""
    talk = store.conversation("long")
    count = MOST_ITEMS // 3 + 10
    for number in range(count):
        talk.add([user(f"ask {number}"), assistant("..."), assistant(f"told {number}")])
    talk.edit(count, "again")
    talk.add([assistant("told")])
    spec = spec_of(store, "conversation_tree", session_id="long")
    nodes = data_of(spec, 2)
    assert len(nodes) == count + 1
    assert [node["items"] for node in nodes] == [3] * count + [2]
    assert spec["layer"][2]["encoding"]["x"]["title"] == "runs from the start"


@pytest.mark.parametrize("seed", range(20))
def test_no_two_nodes_stand_in_one_place(seed: int) -> None:
    """Whatever the tree, nor does a way run through the nodes of another."""
    chance = random.Random(seed)
    rows = [
        {
            "item_id": number,
            "parent_item_id": chance.choice([None, *range(1, number)][-6:]),
            "run_id": number // 3,
            "is_current": False,
            "is_archived": False,
        }
        for number in range(1, 80)
    ]
    nodes = tree_of(rows, is_merged=seed % 2 == 0)
    ends = lay_out(nodes, 3)
    places = [(node.depth, node.lane) for node in nodes]
    assert len(set(places)) == len(places)
    assert sum(node.item_count for node in nodes if node.row) == len(rows)
    taken = set(places)
    # Nor does the name after a way stand where a node is.
    assert not taken & {(end.depth + room, end.lane) for end in ends for room in (1, 2, 3)}


def test_a_path_of_thousands_of_items_is_laid_out() -> None:
    """Nothing calls itself on the way."""
    facts = {"run_id": 1, "is_current": True, "is_archived": False}
    rows = [{"item_id": n, "parent_item_id": n - 1 or None, **facts} for n in range(1, 5000)]
    nodes = tree_of(rows, is_merged=False)
    assert [end.depth for end in lay_out(nodes, 3)] == [4998]
    assert len(tree_of(rows, is_merged=True)) == 1


# What is refused ---------------------------------------------------------------------------------


def test_a_query_without_a_plot_names_those_that_have_one(rich: duckstore.Store) -> None:
    with pytest.raises(errors.ArgumentError, match="context_growth, conversation_tree, handoffs"):
        rich.plot("turn_pairs")
    with pytest.raises(errors.UnknownQueryError, match="tool_usage"):
        rich.plot("tool_usages")
    with pytest.raises(errors.ParameterError, match="give its session_id"):
        rich.plot("conversation_tree")


def test_the_plot_of_a_query_of_one_s_own(tmp_path: Path, path: Path) -> None:
    """One that took the place of a bundled one is drawn, and told what it lacks."""
    (tmp_path / "own").mkdir()
    file = tmp_path / "own" / "handoffs.sql"
    head = "-- My handoffs.\n--\n-- One row per pair.\n\n"
    columns = "'b' as to_agent_name, 7 as handoff_count, 1 as run_count, 1 as session_count"
    rest = "null::double as completed_share, null::double as p50_answer_seconds"
    file.write_text(f"{head}select 'a' as from_agent_name, {columns}, {rest}")
    with duckstore.open(path, queries=file.parent) as store:
        assert [cell["handoffs"] for cell in data_of(spec_of(store, "handoffs"))] == [7]
        file.write_text(f"{head}select 'a' as from_agent_name, {columns}")
        with pytest.raises(errors.ArgumentError, match="no column 'completed_share'"):
            store.plot("handoffs")


def test_a_closed_store_is_not_plotted(path: Path) -> None:
    store = duckstore.open(path)
    store.close()
    with pytest.raises(errors.ClosedError):
        store.plot("tool_usage")


def test_without_the_packages_it_says_what_to_install(path: Path, tmp_path: Path) -> None:
    """altair for any plot, vl-convert for a picture; neither for all else."""
    code = f"""
import duckstore
from duckstore import errors
from duckstore.plots import write_chart
from pathlib import Path
with duckstore.open({str(path)!r}) as store:
    try:
        chart = store.plot("tool_usage")
        write_chart(chart, Path({str(tmp_path / "a.json")!r}))
        write_chart(chart, Path({str(tmp_path / "a.svg")!r}))
    except errors.MissingPackageError as error:
        print(error)
"""
    assert "pip install 'duckstore[plots]'" in python(code, blocked=("altair",))
    said = python(code, blocked=("vl_convert", "polars", "pyarrow", "pandas"))
    assert "vl-convert" in said
    assert "pip install 'duckstore[plots]'" in said
    assert json.loads((tmp_path / "a.json").read_text())["title"]["text"] == "Calls of each tool"
    assert not (tmp_path / "a.svg").exists()


# Texts of the data -------------------------------------------------------------------------------

EVIL = "</script><script>alert(1)</script><!-- <b>&\x00\x1b\ud800 \"'"


def test_no_text_of_the_data_ends_what_it_stands_in(path: Path, tmp_path: Path) -> None:
    """Neither the page that is written, nor what altair shows in a notebook, nor the picture."""
    with duckstore.open(path) as store:
        talk = store.conversation("s")
        seen = Seen(agent_name=EVIL.replace("\ud800", ""), response=SeenResponse(model="</script>"))
        talk.add([user(EVIL), call(EVIL, "c"), output("c", EVIL), assistant(EVIL)], seen)
        talk.edit(1, EVIL)
        for name in ("tool_usage", "conversation_tree"):
            chart = store.plot(name, **({"session_id": "s"} if "tree" in name else {}))
            assert "</script" not in chart.to_json()
            assert "< /script><script>alert(1)" in chart.to_json()  # only what must be changes
            shown = chart._repr_mimebundle_()["text/html"]
            assert shown.count("</script") == 1
    page = tmp_path / "evil.html"
    assert command("-d", path, "query", "tool_usage", "--plot", page).exit_code == ExitCode.OK
    assert "< /script><script>alert(1)" in page.read_text()
    assert "</script><script>alert(1)" not in page.read_text()
    picture = tmp_path / "evil.svg"
    assert command("-d", path, "query", "tool_usage", "--plot", picture).exit_code == ExitCode.OK
    ElementTree.parse(picture)  # it is ours
    assert "< /script><script>" in "".join(ElementTree.parse(picture).getroot().itertext())


def test_texts_are_short_and_on_one_line() -> None:
    assert plain("a\n b\t c") == "a b c"
    assert plain("x" * 100, 10) == "x" * 9 + "…"
    assert plain("</a><!b>\x00\ud800") == "< /a>< !b>\\x00\\ud800"


# Files -------------------------------------------------------------------------------------------


def command(*arguments: Any) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.mark.parametrize("suffix", ["svg", "png", "html", "json", "SVG"])
def test_a_plot_is_written_as_the_suffix_says(suffix: str, filled: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / f"tools.{suffix}"
    target.parent.mkdir()
    target.write_bytes(b"what was there")
    done = command("-d", filled, "query", "tool_usage", "--plot", target)
    assert (done.exit_code, done.stdout) == (ExitCode.OK, "")
    assert done.stderr == f"wrote {target}\n"
    data = target.read_bytes()
    if suffix == "png":
        assert data.startswith(b"\x89PNG")
    elif suffix == "json":
        assert json.loads(data)["title"]["text"] == "Calls of each tool"
    elif suffix == "html":
        page = data.decode()
        assert len(page) > 500_000  # the JavaScript is inside
        assert not re.search(r"""<(script|link|img)[^>]*(src|href)=["']?(https?:)?//""", page)
        assert not re.search(r"""import[^;]{0,200}from\s*["']https?:""", page)
        assert "color-scheme: light dark" in page
    else:
        words = "".join(ElementTree.fromstring(data).itertext())
        assert "Calls of each tool" in words
        assert "find" in words
        assert b'fill="white"' not in data
    assert [file.name for file in target.parent.iterdir()] == [target.name]


def test_what_was_there_stays_where_writing_fails(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is replaced when the new one is whole, and nothing else is left."""
    target = tmp_path / "out" / "tools.json"
    target.parent.mkdir()
    target.write_text("what was there")

    def fail(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    done = command("-d", filled, "query", "tool_usage", "--plot", target)
    assert done.exit_code == ExitCode.FAILURE
    assert "No space left" in done.stderr
    assert target.read_text() == "what was there"
    assert [file.name for file in target.parent.iterdir()] == ["tools.json"]


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (("tool_usage", "--plot", "a.gif"), "no suffix of a plot", ExitCode.FAILURE),
        (("tool_usage", "--plot", "no/a.svg"), "there is no folder", ExitCode.FAILURE),
        (("tool_usage", "--plot", "folder.svg"), "is a folder", ExitCode.FAILURE),
        (("turn_pairs", "--plot", "a.svg"), "has no plot of its own", ExitCode.FAILURE),
        (("conversation_tree", "--plot", "a.svg"), "give its session_id", ExitCode.USAGE),
        (("tool_usage", "--plot", "a.svg", "--show"), "leave out --show", ExitCode.USAGE),
        (("tool_usage", "--plot", "a.svg", "--format", "csv"), "--format", ExitCode.USAGE),
    ],
)
def test_what_cannot_be_drawn(
    arguments: tuple[str, ...],
    message: str,
    code: ExitCode,
    filled: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line that says why, and no file."""
    (tmp_path / "work" / "folder.svg").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    done = command("-d", filled, "query", *arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    assert message in done.stderr
    assert [file.name for file in Path().iterdir()] == ["folder.svg"]


def test_parameters_and_a_folder_of_an_export(filled: Path, tmp_path: Path) -> None:
    """`--plot` goes with a query's own options, and with `-d FOLDER`."""
    with duckstore.open(filled) as store:
        store.export_parquet(tmp_path / "folder")
    target = tmp_path / "tree.json"
    done = command(
        *("-d", tmp_path / "folder", "query", "conversation-tree"),
        *("--session-id", "forked", "--plot", target),
    )
    assert (done.exit_code, done.stderr) == (ExitCode.OK, f"wrote {target}\n")
    assert "Knock knock." in target.read_text()


# Colours -----------------------------------------------------------------------------------------


def linear(colour: str) -> list[float]:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def luminance(light: list[float]) -> float:
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), light, strict=True))


def contrast(one: str, other: str) -> float:
    """As WCAG defines it."""
    low, high = sorted(luminance(linear(colour)) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("ground", ["#ffffff", "#111111"])
def test_marks_and_texts_are_seen_on_light_and_dark(ground: str) -> None:
    """3 is what WCAG asks for graphics; texts have more."""
    assert [colour for colour in PALETTE if contrast(colour, ground) < 3] == []
    assert contrast(INK, ground) > 4


# Machado, Oliveira and Fernandes (2009): what is seen without one of the three kinds of cones.
SEEN = {
    "all": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "no red": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no blue": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(light: list[float]) -> tuple[float, float, float]:
    """CIE L*a*b* of linear light, in which distances are as far as they look."""
    red, green, blue = (min(max(part, 0.0), 1.0) for part in light)
    tristimulus = (
        (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505,
        0.2126 * red + 0.7152 * green + 0.0722 * blue,
        (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089,
    )
    x, y, z = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in tristimulus)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("eyes", SEEN)
def test_colours_stay_apart_for_all_eyes(eyes: str) -> None:
    """A distance of 10 is seen at a glance."""
    found = {}
    for colour in PALETTE:
        light = linear(colour)
        found[colour] = lab(
            [sum(w * p for w, p in zip(row, light, strict=True)) for row in SEEN[eyes]]
        )
    for one, other in itertools.combinations(PALETTE, 2):
        distance = sum((a - b) ** 2 for a, b in zip(found[one], found[other], strict=True)) ** 0.5
        assert distance > 10, (one, other)
