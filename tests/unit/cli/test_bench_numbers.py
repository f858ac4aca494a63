"""What the environment may say to a benchmark: nonsense is refused in words, before anything is measured."""

from __future__ import annotations

import pytest
from benchmarks.timing import asked, asked_stores

from keim.errors import Refused


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "1e3", "٣", "10000001", " 5", "0x10"])
def test_a_number_that_is_none_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("KEIM_BENCH_DEVICES", text)
    with pytest.raises(Refused, match="KEIM_BENCH_DEVICES") as refusal:
        asked("KEIM_BENCH_DEVICES", 7)
    assert refusal.value.code == "config.invalid"


@pytest.mark.parametrize(("text", "found"), [("", 7), ("1", 1), ("0012", 12), ("10000000", 10_000_000)])
def test_a_number_is_taken(monkeypatch: pytest.MonkeyPatch, text: str, found: int) -> None:
    monkeypatch.setenv("KEIM_BENCH_DEVICES", text)
    assert asked("KEIM_BENCH_DEVICES", 7) == found


def test_none_may_be_asked_for_where_that_makes_sense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEIM_BENCH_MANY", "0")
    assert asked("KEIM_BENCH_MANY", 7, least=0) == 0


def test_stores_are_known_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEIM_BENCH_STORES", raising=False)
    assert asked_stores("sqlite") == ["sqlite"]
    monkeypatch.setenv("KEIM_BENCH_STORES", "postgres")
    assert asked_stores("sqlite postgres") == ["postgres"]
    monkeypatch.setenv("KEIM_BENCH_STORES", "sqlite oracle")
    with pytest.raises(Refused, match="oracle"):
        asked_stores("sqlite")
