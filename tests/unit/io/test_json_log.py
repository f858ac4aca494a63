"""Logs are one JSON object a line, whatever was logged."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from keim.io.json_log import log_as_json


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level, own = root.handlers[:], root.level, logging.getLogger("keim").level
    stream = io.StringIO()
    log_as_json("info", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("keim").setLevel(own)


def test_members_of_an_event_stand_beside_time_and_level(lines: io.StringIO) -> None:
    logging.getLogger("keim.eim").warning(json.dumps({"event": "tried", "code": "a.b"}))
    told = json.loads(lines.getvalue())
    assert told.pop("at").endswith("Z")
    assert told == {"level": "warning", "logger": "keim.eim", "event": "tried", "code": "a.b"}


@pytest.mark.parametrize("text", ["plain words", "{not json", "line\nbreak", "[1]"])
def test_anything_else_is_a_message_on_one_line(lines: io.StringIO, text: str) -> None:
    logging.getLogger("keim.x").info(text)
    (line,) = lines.getvalue().splitlines()
    assert json.loads(line)["message"] == text


def test_others_are_heard_from_warnings_on(lines: io.StringIO) -> None:
    logging.getLogger("asyncio").info("chatter")
    assert lines.getvalue() == ""
    logging.getLogger("asyncio").warning("trouble")
    assert json.loads(lines.getvalue())["message"] == "trouble"


def test_an_exception_keeps_its_trace_inside_of_the_line(lines: io.StringIO) -> None:
    try:
        raise ValueError("no")
    except ValueError:
        logging.getLogger("keim").exception("failed")
    (line,) = lines.getvalue().splitlines()
    assert "ValueError: no" in json.loads(line)["trace"]
