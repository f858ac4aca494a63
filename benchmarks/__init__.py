"""Benchmarks: one module per name of `keim bench NAME`; needs of a checkout only.

Each module has `run(json: bool) -> int`: it measures, prints a table (or, with `json`, one JSON document)
on stdout and returns an exit code. What it compares with is installed by `./keim bench` from
requirements/bench.txt. Speed is never asserted in a test.
"""
