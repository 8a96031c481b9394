"""The notebooks that come with the package: they run as they are, and can be had."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import duckstore
from duckstore.cli import ExitCode, cli
from duckstore.cli.notebooks import SOURCE
from tests.owner import environment
from tests.pages import Page

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("altair")

# Jupyter's packages speak of their own future.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

NAMES = ["edit_effects", "tour"]


class Executed:
    """A notebook that was run, cell by cell."""

    def __init__(self, name: str, folder: Path) -> None:
        book = nbformat.read(SOURCE / f"{name}.ipynb", as_version=4)
        client = nbclient.NotebookClient(
            book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        )
        client.execute(env=environment())
        self.cells = [cell for cell in book.cells if cell.cell_type == "code"]

    def shown(self, code: str, kind: str = "text/plain") -> str:
        """What the cell that ends with some code shows, or prints."""
        (cell,) = (cell for cell in self.cells if cell.source.rstrip().endswith(code))
        parts = [self._part(output, kind) for output in cell.outputs]
        return "".join(part for part in parts if part is not None)

    @staticmethod
    def _part(output: Any, kind: str) -> str | None:
        if output.output_type == "stream":
            return str(output.text)
        found = output.data.get(kind)
        return None if found is None else str(found)

    def pictures(self) -> list[str]:
        """The plots."""
        return [
            str(output.data["image/svg+xml"])
            for cell in self.cells
            for output in cell.outputs
            if output.output_type != "stream" and "image/svg+xml" in output.data
        ]


def test_the_tour_runs(tmp_path: Path) -> None:
    """Tables, plots, conversations and an export, beside an agent that writes meanwhile."""
    done = Executed("tour", tmp_path)
    store = Page(done.shown("\nstore", "text/html"))
    assert "3 sessions · 6 runs · 28 items · 8 tool calls" in store.text
    assert "60 EUR is more than the 49 EUR" in done.shown(
        '"assistant_message").to_dicts()', "text/plain"
    )
    assert "refund" in done.shown('"error_share")')
    talk = Page(done.shown('store.session("order-4711")', "text/html"))
    assert "Done: 49 EUR, the whole price, go back to you." in talk.open_text
    edited = Page(done.shown('store.session("delivery-question")', "text/html"))
    assert "2 of 2 is shown" in edited.open_text
    titles = ("Calls of each tool", "Handoffs between agents", "Every way that")
    pictures = done.pictures()
    assert len(pictures) == len(titles)
    assert [title in picture for title, picture in zip(titles, pictures, strict=True)] == [True] * 3
    watched = done.shown("print(*dict.fromkeys(seen))").splitlines()
    assert watched[0].startswith("The agent ended with 0")
    assert watched[1].split()[-1] == "12"
    assert len(watched[1].split()) > 2, "nothing was seen while the agent was at work"
    assert done.shown('as the store does:", same)').strip() == (
        "20 tool calls; the export answers as the store does: True"
    )
    with duckstore.open(tmp_path / "tour.duckdb") as left:
        assert left.check() == []


def test_the_study_of_edits_runs(tmp_path: Path) -> None:
    """Its figures are those of the store that it leaves."""
    done = Executed("edit_effects", tmp_path)
    with duckstore.open(tmp_path / "edit_effects.duckdb") as store:
        assert store.check() == []
        effects = store.query("edit_effects", kind="edit")
        pairs = store.query("preference_pairs").height
    rows = effects.rows(named=True)
    used = [(bool(row["before_tool_names"]), bool(row["after_tool_names"])) for row in rows]
    gained, lost = used.count((False, True)), used.count((True, False))
    assert gained > 3 * lost > 0  # the script's model uses a tool when it is told the city
    said = done.shown('p = {p_value:.2g}")')
    assert said.startswith(f"{gained} edits began to use a tool, {lost} ceased to: p = 0.0")
    more = [row["after_total_tokens"] - row["before_total_tokens"] for row in rows]
    mean = sum(more) / len(more)
    told = re.fullmatch(
        r"(.*) tokens more after an edit; 95 % interval (.*) to (.*)\n",
        done.shown('{low:.1f} to {high:.1f}")'),
    )
    assert told is not None
    assert told[1] == f"{mean:.1f}"
    assert float(told[2]) < mean < float(told[3])
    assert pairs > 3
    assert re.search(rf"│ {pairs} +┆", done.shown('"share_with_tool_calls"),\n)'))
    assert "2 of 2 is shown" in Page(done.shown("store.session(edited[0])", "text/html")).open_text
    assert len(done.pictures()) == 2


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_stored_without_outputs(name: str) -> None:
    """In form, with nothing of the machine that it was written on, and something to try."""
    text = (SOURCE / f"{name}.ipynb").read_text(encoding="utf-8")
    book = json.loads(text)
    nbformat.validate(book)
    cells = book["cells"]
    assert {c["cell_type"] for c in cells} == {"markdown", "code"}
    assert [c for c in cells if c.get("outputs") or c.get("execution_count")] == []
    assert set(book["metadata"]) == {"kernelspec", "language_info"}
    sections = re.split(r"(?m)^## ", "\n".join("".join(c["source"]) for c in cells))[1:]
    assert len(sections) > 4
    for section in sections:
        assert "**Try:**" in section, section.splitlines()[0]


# The command -------------------------------------------------------------------------------------


def command(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["notebooks", *map(str, arguments)])


def test_the_notebooks_are_listed() -> None:
    """Their names with their headings."""
    done = command("--format", "json")
    assert [row["name"] for row in json.loads(done.stdout)] == NAMES
    assert "A tour for polars users" in command().stdout
    assert sorted(path.stem for path in SOURCE.glob("*.ipynb")) == NAMES


def test_the_notebooks_are_copied(tmp_path: Path) -> None:
    """Into a folder that is made; nothing that is there is replaced unless asked for."""
    folder = tmp_path / "new" / "notebooks"
    done = command(folder)
    assert (done.exit_code, done.stdout) == (ExitCode.OK, "")
    assert done.stderr.splitlines() == [f"wrote {folder / name}.ipynb" for name in NAMES]
    for name in NAMES:
        copied = (folder / f"{name}.ipynb").read_bytes()
        assert copied == (SOURCE / f"{name}.ipynb").read_bytes()
    (folder / "tour.ipynb").write_text("mine")
    (folder / "edit_effects.ipynb").unlink()
    done = command(folder)
    assert done.exit_code == ExitCode.FAILURE
    assert "tour.ipynb is there already" in done.stderr
    assert "--force" in done.stderr
    assert [path.read_text() for path in folder.iterdir()] == ["mine"]
    assert command(folder, "--force").exit_code == ExitCode.OK
    assert sorted(path.name for path in folder.iterdir()) == [f"{name}.ipynb" for name in NAMES]
    assert (folder / "tour.ipynb").read_text() != "mine"


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    assert "name a folder" in command("--force").stderr
    assert "leave out --format" in command(tmp_path, "--format", "csv").stderr
    (tmp_path / "file").touch()
    assert command(tmp_path / "file").exit_code == ExitCode.USAGE
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
