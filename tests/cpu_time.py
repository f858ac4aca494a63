"""The CPU that other processes use, for benchmarks."""

from __future__ import annotations

from pathlib import Path
from time import clock_gettime, monotonic


def cpu_seconds(pid: int) -> float:
    """Of another process and all its threads, to the microsecond: `stat` counts in clock ticks, and
    `schedstat` counts one thread. One that runs is waited for: the kernel counts a turn when it ends."""
    until = monotonic() + 1
    while Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(") ")[2].startswith("R"):
        if monotonic() > until:
            break
    return clock_gettime((~pid << 3) | 2)  # what clock_getcpuclockid(3) answers on Linux
