"""The baseline: duckstore beside the SDK's own session stores, in one run.

    python -m tests.benchmarks                      everything, with a million items
    python -m tests.benchmarks --only add --quick   one part, few rounds

Operations of all stores alternate one by one, so that the machine's noise hits all alike. Only
the ratios mean something; milliseconds are those of one machine at one moment. No file here is
named test_*.py: pytest runs the suite's smallest form from `tests/test_benchmarks.py`.
"""
