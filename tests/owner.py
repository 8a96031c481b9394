"""A process of its own that has stores open, so that the test's process is their client."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from tests.processes import ROOT

# Does what it is told, a line of JSON at a time, and closes everything at the end.
CODE = """
import json, sys
import duckstore

stores = {}
print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    try:
        if order["do"] == "open":
            stores[order["path"]] = duckstore.open(order["path"], **order["settings"])
            assert stores[order["path"]]._access.is_owner, "another process owns it"
        elif order["do"] == "close":
            stores.pop(order["path"]).close()
        else:
            exec(order["code"], {"stores": stores})
    except Exception as error:
        print(repr(error), flush=True)
    else:
        print("done", flush=True)
for store in stores.values():
    store.close()
"""


def environment() -> dict[str, str]:
    """The environment of a process that imports this checkout."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


# Put before the code: everything is imported while that is allowed, and the rights are given up.
AS_NOBODY = """
import os
import duckstore
from duckstore import errors
from duckstore.ownership import find_post
opening = duckstore.open
os.setgid(65534)
os.setuid(65534)
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


class Keeper:
    """The process. Ends with its block, cleanly if it was not killed."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment(),
        )
        assert self._read() == "ready"

    @property
    def process_id(self) -> int:
        return self.process.pid

    def open(self, path: Path, **settings: Any) -> None:
        """Open a store there, as its owner."""
        self._tell({"do": "open", "path": str(path), "settings": settings})

    def close(self, path: Path) -> None:
        """Close a store there."""
        self._tell({"do": "close", "path": str(path)})

    def run(self, code: str) -> None:
        """Run Python code there; `stores` holds the open stores by path."""
        self._tell({"do": "run", "code": code})

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The process stopped with all its threads, which go on afterwards."""
        self.process.send_signal(signal.SIGSTOP)
        _, status = os.waitpid(self.process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it and wait for its end."""
        self.process.kill()
        self.process.communicate()

    def end(self) -> None:
        """Have it close everything and exit."""
        if self.process.returncode is None:
            self.process.communicate(timeout=60)
            assert self.process.returncode == 0

    def _tell(self, order: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer = self._read()
        assert answer == "done", answer

    def _read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def __enter__(self) -> Keeper:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.end()
        elif self.process.returncode is None:
            self.kill()


@contextmanager
def owned(path: Path, **settings: Any) -> Iterator[Keeper]:
    """The store at `path` held open by a process of its own."""
    with Keeper() as keeper:
        keeper.open(path, **settings)
        yield keeper
