"""`keim bench wire` where nobody may make a network to capture on: counters of sockets, named as such."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from benchmarks.wire import INSIDE, LIVE, METHODS, WAYS
from tests.shared import ROOT


def test_without_a_network_of_its_own_the_benchmark_counts_sockets_and_says_so() -> None:
    environment = {
        **os.environ,
        INSIDE: "loopback",
        "KEIM_BENCH_QUICK": "1",
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
    }
    words = [sys.executable, "-m", "benchmarks.wire", "--json"]
    done = subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["method"] == METHODS["loopback"]
    rows = {row["way"]: row for row in told["rows"]}
    live, new = rows[LIVE.title], rows[WAYS[0].title]
    assert (live["packets_up"], live["packets_down"], live["round_trips"]) == (1, 1, 1)
    assert (live["bytes_up"], live["bytes_down"]) == (398, 474)
    assert new["round_trips"] == 3
    assert new["bytes_up"] > 300 + 4 * 40
    assert new["bytes_down"] > 400 + 1000  # the certificate
    assert told["ratios"]["octets"] < told["targets"]["octets"]
