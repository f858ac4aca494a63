"""Trouble that comes with every request fills no disk: a line a minute, with its reason."""

from __future__ import annotations

import json
import logging

import pytest

from keim.errors import StoreFailed
from keim.io.trouble_log import QUIET_S, TroubleLog

FULL = StoreFailed("database or disk is full", code="store.commit_failed")


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [json.loads(record.message) for record in caplog.records]


def test_the_same_trouble_is_one_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    trouble = TroubleLog(logging.getLogger("keim.test"), "cannot_answer")
    for number in range(1000):
        trouble.tell(FULL, number / 100)
    trouble.tell(FULL, QUIET_S)
    trouble.tell(FULL, 3 * QUIET_S)
    first = {"event": "cannot_answer", "code": "store.commit_failed", "reason": "database or disk is full"}
    assert lines(caplog) == [first, {**first, "untold": 999}, first]


def test_another_kind_is_another_line(caplog: pytest.LogCaptureFixture) -> None:
    trouble = TroubleLog(logging.getLogger("keim.test"), "background_failed")
    for work in ("one", "two", "one"):
        trouble.tell(FULL, 0.0, work=work)
    trouble.tell(StoreFailed("gone", code="store.statement_failed"), 0.0, work="one")
    assert [(line["work"], line["code"]) for line in lines(caplog)] == [
        ("one", "store.commit_failed"),
        ("two", "store.commit_failed"),
        ("one", "store.statement_failed"),
    ]
