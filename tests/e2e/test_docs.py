"""Runs the commands of the pages at the root and in docs/, each page in a folder of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from tests.shared import ROOT

from keim.cli.exit_codes import MEANINGS
from keim.cli.registry import NOUNS

PAGES = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY", "CHANGELOG")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
BLOCK = re.compile(r"^```(?P<info>(sh|console)\b[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)(?P<target>[^)#]+)")


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    reason: str | None
    """Why it is not run; None when it is."""
    body: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    found = []
    for match in BLOCK.finditer(text):
        language, _, rest = match["info"].partition(" ")
        reason = rest.removeprefix("no-run:").strip() if rest.startswith("no-run") else None
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(page, line, language, reason, match["body"]))
    return found


def steps_of(block: Block) -> list[tuple[str, list[str], int]]:
    """(command, lines of output that must come, exit code) of a console block; a script is one step."""
    if block.language == "sh":
        return [(block.body, ["..."], 0)]
    steps: list[tuple[str, list[str], int]] = []
    for line in block.body.splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], [], 0))
            continue
        command, output, code = steps.pop()
        if exit_line := re.fullmatch(r"\[exit (\d+)\]", line):
            code = int(exit_line[1])
        else:
            output.append(line)
        steps.append((command, output, code))
    return steps


def matches(pattern: list[str], lines: list[str]) -> bool:
    """`...` alone stands for any lines, inside of a line for any characters."""
    if not pattern:
        return not lines
    if pattern[0] == "...":
        return any(matches(pattern[1:], lines[start:]) for start in range(len(lines) + 1))
    return bool(lines) and _line_matches(pattern[0], lines[0]) and matches(pattern[1:], lines[1:])


def _line_matches(pattern: str, line: str) -> bool:
    escaped = re.sub(r"[\[\]*?]", lambda found: f"[{found[0]}]", pattern.rstrip())
    return fnmatchcase(line.rstrip(), escaped.replace("...", "*").replace("…", "*"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder in which both `keim` and `./keim` are the command of this checkout."""
    shim = tmp_path / "keim"
    shim.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}/src" exec "{sys.executable}" -m keim.cli "$@"\n')
    shim.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_do_what_it_says(page: Path, folder: Path) -> None:
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder)}
    for block in blocks_of(page):
        if block.reason is not None:
            print(f"not run: {block.place}: {block.reason}")
            continue
        for command, output, code in steps_of(block):
            done = subprocess.run(
                ["sh", "-eu", "-c", command],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            said = f"{block.place}: $ {command}\n{done.stdout}{done.stderr}"
            assert done.returncode == code, said
            assert matches(output, done.stdout.splitlines()), said


def test_a_block_that_is_not_run_says_why() -> None:
    silent = [block.place for page in PAGES for block in blocks_of(page) if block.reason == ""]
    assert silent == []


REASONS = re.compile(
    r"((it |servers? )?(needs|serves|runs?|takes|opens|asks|writes)|the first command serves|a line for)\b.*"
)
"""A block may need hardware, a service, a person, a network or much time; or it may never end."""
MOST_NOT_RUN = 0.4


def test_the_blocks_that_are_not_run_are_few_and_say_what_they_need() -> None:
    """`pytest -k not_run -rP` lists them."""
    blocks = [block for page in PAGES for block in blocks_of(page)]
    left = [block for block in blocks if block.reason is not None]
    for block in left:
        print(f"{block.place}: {block.reason}")
    print(f"{len(left)} of {len(blocks)} blocks are not run")
    assert [block.place for block in left if not REASONS.fullmatch(block.reason or "")] == []
    assert len(left) < MOST_NOT_RUN * len(blocks)


def test_no_block_hides_from_being_run() -> None:
    unknown = [
        f"{page.relative_to(ROOT)}: ```{language}"
        for page in PAGES
        for language in re.findall(r"^```(bash|shell|zsh|terminal)\b", page.read_text("utf-8"), re.MULTILINE)
    ]
    assert unknown == [], "write ```sh or ```console, which are run"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    broken = [
        match["target"]
        for match in LINK.finditer(page.read_text("utf-8"))
        if not (page.parent / match["target"]).exists()
    ]
    assert broken == []


def test_the_readme_shows_the_two_commands_first() -> None:
    first = blocks_of(ROOT / "README.md")[0].body
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["./keim up", "./keim test"]


def test_the_reference_lists_every_exit_code_and_every_noun() -> None:
    text = (ROOT / "docs" / "reference" / "command-line.md").read_text("utf-8")
    assert [f"| {code.value} | {meaning} |" for code, meaning in MEANINGS.items()] == re.findall(
        r"^\| \d+ \| .* \|$", text, re.MULTILINE
    )
    unnamed = [noun.name for noun in NOUNS if f"`keim {noun.name}" not in text]
    assert unnamed == [], "a new noun needs a line in docs/reference/command-line.md"


@pytest.mark.parametrize(
    ("pattern", "lines", "is_match"),
    [
        (["a", "b"], ["a", "b"], True),
        (["a"], ["a", "b"], False),
        (["a", "..."], ["a", "b", "c"], True),
        (["...", "c"], ["a", "b", "c"], True),
        (["a ... [x]"], ["a long way [x]"], True),
        (["a"], [], False),
        ([], ["a"], False),
    ],
)
def test_output_is_compared_line_by_line(pattern: list[str], lines: list[str], is_match: bool) -> None:
    assert matches(pattern, lines) is is_match
