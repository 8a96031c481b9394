"""How much is measured: the whole suite, a quick look at it, and the least that still runs."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["QUICK", "SMALLEST", "Scale"]


@dataclass(frozen=True, slots=True)
class Scale:
    """Rounds, seconds and sizes of all parts."""

    rounds: int = 200
    """Operations of each kind and store."""
    add_rounds: int = 1000
    """Of adds there are so many, for a percentile of 99.9."""
    seconds: float = 15
    """No case goes on for longer, once it has had a few rounds."""
    sessions: int = 50_000
    """Other sessions in the files that conversations are read from."""
    items: int = 1_000_000
    """Items in the files that are queried."""
    query_rounds: int = 3
    many_rounds: int = 8
    many_commits: int = 1000
    """Commits in each round of many sessions at once."""
    growth: tuple[int, ...] = (1_000, 10_000, 50_000, 100_000, 1_000_000, 5_000_000)
    """Items in the store at which everything is measured again."""
    latency_megabytes: int = 1400
    """How large the file grows under the commits whose latency is taken."""
    writers: int = 5
    """Processes that write at once, while one more reads."""
    process_seconds: float = 6
    """How long they do so, each of two times for each store."""
    process_items: int = 100_000
    """Items that are in their file before."""
    memory_megabytes: int = 1000
    """The least size of the file beside which memory is taken."""
    memory_written: int = 1_000_000
    """Items that a process writes before its memory is taken."""
    memory_turns: int = 200
    memory_reads: int = 100
    branch_items: tuple[int, ...] = (100, 5_000, 50_000)
    """Items of the sessions in which branches are opened and read."""
    branch_counts: tuple[int, ...] = (10, 1_000, 10_000)
    """Branches of the sessions in which one is read."""
    watched_rounds: int = 400
    """Runs of the agent of each kind, with hooks or tracing and without."""
    watched_turns: int = 8
    """Turns of each, in which it calls two tools."""
    catalogue_items: tuple[int, ...] = (1_000_000, 5_000_000)
    """Items in the stores that every query of the catalogue is asked of."""
    export_items: int = 5_000_000
    """Items of the store that is exported."""
    import_items: int = 1_000_000
    """Items in the file that is imported."""
    soak_seconds: float = 300
    soak_sessions: int = 50


QUICK = Scale(
    rounds=20,
    add_rounds=50,
    seconds=5,
    sessions=1000,
    items=20_000,
    query_rounds=2,
    many_rounds=3,
    many_commits=300,
    growth=(1_000, 10_000),
    latency_megabytes=80,
    process_seconds=2,
    process_items=5_000,
    memory_megabytes=10,
    memory_written=20_000,
    memory_turns=50,
    memory_reads=20,
    branch_items=(100, 2_000),
    branch_counts=(10, 100),
    watched_rounds=40,
    catalogue_items=(20_000, 100_000),
    export_items=50_000,
    import_items=20_000,
    soak_seconds=20,
)
SMALLEST = Scale(
    rounds=2,
    add_rounds=2,
    seconds=1,
    sessions=20,
    items=800,
    query_rounds=1,
    many_rounds=1,
    many_commits=60,
    growth=(400, 800),
    latency_megabytes=4,
    writers=2,
    process_seconds=0.3,
    process_items=400,
    memory_megabytes=0,
    memory_written=500,
    memory_turns=3,
    memory_reads=3,
    branch_items=(20, 60),
    branch_counts=(2, 6),
    watched_rounds=2,
    watched_turns=2,
    catalogue_items=(200, 400),
    export_items=200,
    import_items=200,
    soak_seconds=2,
    soak_sessions=7,
)
