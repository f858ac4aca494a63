"""Timing two things side by side so that their ratio holds on a busy machine; and how much is measured."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Mapping
from time import process_time
from typing import Final, TypeVar

from keim.errors import Refused

T = TypeVar("T")
MOST: Final = 10_000_000
"""Devices, sessions or orders."""


def sized(usual: T, quick: T) -> T:
    """With KEIM_BENCH_QUICK set, as little as shows that it runs: the figures then mean nothing."""
    return quick if os.environ.get("KEIM_BENCH_QUICK") else usual


STORES: Final = ("sqlite", "postgres")


def asked(name: str, usual: int, *, least: int = 1) -> int:
    """A number that the environment may name."""
    text = os.environ.get(name, "")
    if not text:
        return usual
    if not (text.isascii() and text.isdecimal()) or not least <= int(text) <= MOST:
        raise Refused(f"{name}={text}: a whole number from {least} to {MOST}", code="config.invalid")
    return int(text)


def asked_stores(usual: str) -> list[str]:
    """Which stores are measured."""
    wanted = os.environ.get("KEIM_BENCH_STORES", "").split() or usual.split()
    if not set(wanted) <= set(STORES):
        raise Refused(f"KEIM_BENCH_STORES={' '.join(wanted)}: `sqlite postgres`", code="config.invalid")
    return wanted


def microseconds(function: Callable[[], object], number: int) -> float:
    start = process_time()
    for _ in range(number):
        function()
    return (process_time() - start) / number * 1e6


def calibrated(function: Callable[[], object], seconds: float = 0.02) -> int:
    """How often to call `function` so that a measurement takes about `seconds`."""
    if sized(usual=False, quick=True):
        return 1
    number = 1
    while True:
        start = process_time()
        for _ in range(number):
            function()
        if process_time() - start > seconds / 4:
            return max(1, number * 4)
        number *= 4


def side_by_side(functions: Mapping[str, Callable[[], object]], rounds: int = 7) -> dict[str, float]:
    """Median microseconds of each function; they take turns in every round: A B C, A B C, …"""
    numbers = {name: calibrated(function) for name, function in functions.items()}
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            times[name].append(microseconds(function, numbers[name]))
    return {name: statistics.median(values) for name, values in times.items()}
