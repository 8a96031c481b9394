"""What the project steers by: duckstore beside the SDK's own session stores, in one run.

    python -m tests.benchmarks                      everything but the soak, up to 5 million items
    python -m tests.benchmarks --quick              a quick look at all of it
    python -m tests.benchmarks --only add --quick   one part of it
    python -m tests.benchmarks --only soak          five minutes of random work in three processes

Operations of all stores alternate, so that the machine's noise hits all alike. Only the ratios mean
something; milliseconds are those of one machine at one moment. No file here is named test_*.py:
pytest runs the suite's smallest form from `tests/test_benchmarks.py`.
"""
