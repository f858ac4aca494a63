"""What packaging/ says is true of this checkout: files that are copied, commands that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.shared import ROOT

from keim.cli.parser import build_parser

CONTAINERFILE = (ROOT / "packaging" / "Containerfile").read_text("utf-8")
UNITS = sorted((ROOT / "packaging").glob("*.service"))


def parse(words: list[str]) -> None:
    """SystemExit for what is no command."""
    parser, _ = build_parser(words[0])
    parser.parse_args(words)


def test_the_image_copies_what_is_there_and_starts_a_command_that_exists() -> None:
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINERFILE, re.MULTILINE):
        assert all((ROOT / source).exists() for source in sources.split()), sources
    command = re.search(r"^CMD \[(.+)\]$", CONTAINERFILE, re.MULTILINE)
    assert command is not None
    words = re.findall(r'"([^"]+)"', command[1])
    parse(words)
    assert "Not built by the project's tests" in CONTAINERFILE


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_a_command_that_exists_and_leaves_the_rest_to_its_configuration(
    unit: Path,
) -> None:
    text = unit.read_text("utf-8")
    start = re.search(r"^ExecStart=/usr/bin/env keim (.+)$", text, re.MULTILINE)
    assert start is not None
    parse(start[1].split())
    assert "--config /etc/keim/" in start[1]
    assert "KEIM_" not in text, "the environment would win over what the configuration says"
