"""The README's examples: run them, compare or rewrite what they print.

`python -m tests.readme` writes what the examples print now into README.md, the list of queries and
the types of the relations.

A `console` block holds commands after `$ ` with their output, a `python` block is run as a script
with its output in the `text` block that follows, if there is one. All run in one empty folder, in
order. The two set-up commands are `bash` blocks and are not run here: the tests are what the
second one runs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from duckstore import catalogue
from tests.readme_types import with_types

README = Path(__file__).resolve().parents[1] / "README.md"

_BLOCK = re.compile(r"^```(console|python)\n(.*?)^```\n(?:\n?^```text\n(.*?)^```\n)?", re.M | re.S)
_MODEL = """
import agents.models.multi_provider as _provider
from agents.testing import ScriptedModel as _Model, assistant_message as _said
_answers = iter(["Paris.", "Lima."])
_provider.MultiProvider.get_model = lambda self, name: _Model([[_said(next(_answers))]])
import agents as _agents
_agents.set_tracing_disabled(True)
"""
"""Put before a script that runs an agent: its model is scripted, as there is no key here."""


# Moments, and seconds: these are told to the thousandth, and nothing else is.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?|\b\d+\.\d{3,}\b")


def timeless(text: str) -> str:
    """The text with its times made equal, as they differ from run to run."""
    return _TIME.sub("TIME", text).rstrip("\n")


@dataclass(frozen=True)
class Example:
    """One command or script, and what the README says that it prints."""

    command: str
    printed: str


def rewritten(text: str) -> tuple[str, list[tuple[Example, str]]]:
    """The README with fresh output, and each example with what it printed now."""
    results: list[tuple[Example, str]] = []
    with tempfile.TemporaryDirectory() as folder:

        def rewrite(match: re.Match[str]) -> str:
            language, body, printed = match.groups()
            if language == "console":
                return "```console\n" + _console(body, folder, results) + "```\n"
            now = _run([sys.executable, "-c", _script(body)], folder)
            results.append((Example(body, printed or ""), now))
            shown = f"\n```text\n{now}```\n" if printed is not None else ""
            return f"```python\n{body}```\n{shown}"

        fresh = _BLOCK.sub(rewrite, text)
    return fresh, results


def _console(body: str, folder: str, results: list[tuple[Example, str]]) -> str:
    fresh = ""
    for part in re.split(r"^(?=\$ )", body, flags=re.M):
        if not part.strip():
            continue
        command, _, printed = part.partition("\n")
        now = _run(["bash", "-c", command.removeprefix("$ ")], folder)
        results.append((Example(command, printed.rstrip("\n")), now.rstrip("\n")))
        fresh += f"{command}\n{now.rstrip()}\n\n"
    return fresh.rstrip("\n") + "\n"


def _script(body: str) -> str:
    return (_MODEL if "Runner.run" in body else "") + body


def _run(command: list[str], folder: str) -> str:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "POLARS_FMT_TABLE_HIDE_DATAFRAME_SHAPE_INFORMATION": "0",
    }
    environment.pop("DUCKSTORE_DB", None)
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    if done.returncode:
        raise AssertionError(f"{command[-1]} ended with {done.returncode}:\n{done.stderr}")
    return "\n".join(line.rstrip() for line in done.stdout.splitlines()) + "\n"


_CATALOGUE = re.compile(r"(?<=<!-- catalogue -->\n).*(?=<!-- /catalogue -->)", re.S)


def with_catalogue(text: str) -> str:
    """The README with the list of queries as it is now."""
    lines = ["\n"]
    queries = catalogue.bundled().values()
    for topic, members in groupby(queries, key=lambda query: query.topic):
        lines += [f"| {topic} | question |\n", "|---|---|\n"]
        lines += [f"| `{query.name}` | {query.title} |\n" for query in members]
        lines.append("\n")
    return _CATALOGUE.sub(lambda _: "".join(lines), text)


if __name__ == "__main__":
    before = README.read_text(encoding="utf-8")
    README.write_text(with_types(with_catalogue(rewritten(before)[0])), encoding="utf-8")
