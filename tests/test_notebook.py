"""A notebook asks questions of a store while an agent writes to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import duckstore
from duckstore.ownership import find_post
from tests.owner import environment
from tests.processes import ROOT

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

# Jupyter's packages speak of their own future.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

# An agent of the SDK that works through the store's session for as long as its input is open: each
# run is a question, two calls of tools at once, one that fails, and an answer.
AGENT = """
import asyncio, sys, threading
import duckstore
from tests.runs import calling, go

ending = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ending.set()), daemon=True).start()

async def main(path):
    async with duckstore.open(path) as store:
        number = 0
        while not ending.is_set():
            number += 1
            session = store.session(f"talk {number % 3}")
            await go(calling(), f"question {number}", session, streamed=number % 2 == 0)
            print(number, flush=True)

asyncio.run(main(sys.argv[1]))
"""


class Agent:
    """The process in which the agent works."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", AGENT, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment(),
        )
        self.runs = 0

    def work(self) -> None:
        """Wait for a few runs more."""
        assert self.process.stdout is not None
        for _ in range(3):
            line = self.process.stdout.readline()
            assert line, "the agent failed"
            self.runs = int(line)

    def end(self) -> int:
        """Let it finish; returns the number of its runs."""
        rest, _ = self.process.communicate("", timeout=60)
        assert self.process.returncode == 0
        return int(rest.split()[-1]) if rest.split() else self.runs

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


class Notebook:
    """A notebook with a real kernel, of which each cell is run when it is written."""

    def __init__(self, folder: Path) -> None:
        self._book = nbformat.v4.new_notebook()
        self.client = nbclient.NotebookClient(
            self._book, timeout=60, kernel_name="python3", resources={"metadata": {"path": folder}}
        )

    def cell(self, code: str) -> str:
        """What a cell prints, and the value of its last line."""
        self._book.cells.append(nbformat.v4.new_code_cell(code))
        done = self.client.execute_cell(self._book.cells[-1], len(self._book.cells) - 1)
        return "".join(text_of(output) for output in done.outputs).strip()


def text_of(output: Any) -> str:
    return str(output.text if output.output_type == "stream" else output.data["text/plain"])


@contextmanager
def notebook(folder: Path) -> Iterator[Notebook]:
    """A notebook whose kernel runs in a folder, and knows this checkout."""
    book = Notebook(folder)
    with book.client.setup_kernel(env=environment()):
        yield book


COUNTS = """
counts = store.sql("select count(*) as runs, count(distinct id) as d from runs")
calls = store.sql("select count(*) filter (status <> 'pending') as n from tool_calls")
print(counts["runs"][0], counts["d"][0], calls["n"][0])
"""


def test_a_notebook_sees_an_agent_at_work(path: Path) -> None:
    """Its cells are answered while the agent writes, each time with more; nothing is in the way."""
    with Agent(path) as agent, notebook(path.parent) as book:
        agent.work()
        book.cell(f"import duckstore\nstore = duckstore.open({str(path)!r})")
        seen = []
        for _ in range(4):
            before = agent.runs
            runs, distinct, calls = map(int, book.cell(COUNTS).split())
            assert runs == distinct >= before
            assert calls >= 3 * before
            seen.append(runs)
            agent.work()
        assert seen == sorted(set(seen)), "the counts do not grow"
        assert book.cell("store.check()") == "[]"
        assert "tool_name" in book.cell("store.query('tool_usage')")
        assert find_post(str(path)).process_id == agent.process.pid  # type: ignore[union-attr]
        total = agent.end()
        # The agent is gone: the notebook has the store now, and all that is in it.
        assert book.cell(COUNTS) == f"{total} {total} {3 * total}"
        assert book.cell("store.check(), store._access.is_owner") == "([], True)"
        book.cell("store.close()")
    assert [file.name for file in path.parent.iterdir() if file.name.startswith(path.name)] == [
        path.name
    ]


def test_a_kernel_that_dies_takes_nothing_with_it(path: Path) -> None:
    """A notebook that had the store first is killed: the agent goes on without a gap."""
    with notebook(path.parent) as book:
        book.cell(f"import duckstore\nstore = duckstore.open({str(path)!r})")
        assert book.cell("store._access.is_owner") == "True"
        with Agent(path) as agent:
            agent.work()
            assert int(book.cell(COUNTS).split()[0]) >= agent.runs
            os.kill(int(book.cell("import os\nos.getpid()")), signal.SIGKILL)
            for _ in range(100):  # runs that were done before it died are read here too
                agent.work()
                post = find_post(str(path))
                if post is not None and post.process_id == agent.process.pid:
                    break
            else:
                pytest.fail("the agent did not take over")
            total = agent.end()
    with duckstore.open(path) as store:
        runs = store.sql(
            "select count(*) as n, count(*) filter (status = 'completed') as c from runs"
        )
        assert runs.rows() == [(total, total)]
        assert store.check() == []
