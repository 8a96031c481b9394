"""Processes of the benchmark's own: each runs `worker.py` and is told what to do by lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "Child", "resident_of"]

ROOT = Path(__file__).resolve().parents[2]


class Child:
    """A process that works on one file. Close it, or use it in a `with` block."""

    def __init__(self, kind: str, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.worker", kind, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def tell(self, do: str, **arguments: Any) -> None:
        """Have it begin something."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, "with": arguments}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """Wait for what the last thing that was told came to.

        Raises:
            RuntimeError: The process has ended with an error, which stands on stderr.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(
                f"a process of the benchmark ended with code {self._process.wait()}: see above"
            )
        return json.loads(line)

    def ask(self, do: str, **arguments: Any) -> Any:
        """Have something done and wait for what it comes to."""
        self.tell(do, **arguments)
        return self.answer()

    def end(self) -> None:
        """Have it close its store and end, and do not wait for that."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def close(self) -> None:
        """End the process and wait for it."""
        assert self._process.stdout is not None
        self.end()
        try:
            self._process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._process.stdout.close()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:
            self._process.kill()
        self.close()


def resident_of(pid: int) -> float:
    """The resident size of a process in MB."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        line = next(s for s in status.read_text().splitlines() if s.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024
    told = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(told.stdout) / 1024


def resident() -> float:
    """The resident size of this process in MB."""
    return resident_of(os.getpid())
