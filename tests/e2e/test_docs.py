"""Runs the commands of the pages at the root and in docs/, each page in a folder of its own."""

from __future__ import annotations

import argparse
import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.forked_keim import running
from tests.page_needs import NEEDS, needs_of
from tests.page_runs import run_page
from tests.pages import MANNERS, PAGES, blocks_of, matches
from tests.shared import ROOT, needs_system

from keim.app.config import load
from keim.app.eim import EimConfig
from keim.app.ipa import IpaConfig
from keim.app.smdp import SmdpConfig
from keim.app.smds import SmdsConfig
from keim.cli.exit_codes import MEANINGS
from keim.cli.parser import build_parser
from keim.cli.registry import NOUNS
from keim.errors import Refused

LINK = re.compile(r"\]\((?!https?:|mailto:|#)(?P<target>[^)#]+)")
NOT_RUN = {
    "needs hardware": 2,
    "needs systemd and root": 1,
    "needs the package index": 1,
}
"""What no test can give: word -> how many blocks want it. A new one needs a very good reason."""


@pytest.fixture(scope="session")
def warm() -> Iterator[str]:
    with running() as where:
        yield where


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=name_of(page), marks=[needs_system(need) for need in needs_of(page).system])
        for page in PAGES
    ],
)
def test_the_commands_of_a_page_do_what_it_says(page: Path, tmp_path: Path, warm: str) -> None:
    run_page(page, tmp_path, warm=warm)


def test_every_block_is_run_but_those_that_need_what_no_test_can_give() -> None:
    """`pytest -k not_run -rP` lists them."""
    blocks = [block for page in PAGES for block in blocks_of(page)]
    left = [block for block in blocks if block.reason is not None]
    for block in left:
        print(f"{block.place}: {block.reason}")
    print(f"{len(left)} of {len(blocks)} blocks are not run")
    assert Counter(block.reason for block in left) == NOT_RUN
    unknown = [b.place for b in blocks if b.reason is None and b.manner not in MANNERS]
    assert unknown == []


def test_the_table_of_what_pages_need_names_pages() -> None:
    assert set(NEEDS) <= {name_of(page) for page in PAGES}


def test_no_block_hides_from_being_run() -> None:
    hiding = re.compile(
        r"^ *```(?:shell|terminal|ksh|cmd)\b.*|^ +```(?:sh|bash|zsh|fish|console)\b.*", re.MULTILINE
    )
    hidden = [
        f"{name_of(page)}: {fence}" for page in PAGES for fence in hiding.findall(page.read_text("utf-8"))
    ]
    assert hidden == [], "write ```sh or ```console at the margin, which are run"


CONFIGURATIONS = {
    "KEIM_EIM": EimConfig,
    "KEIM_SMDP": SmdpConfig,
    "KEIM_SMDS": SmdsConfig,
    "KEIM_IPA": IpaConfig,
}


def test_the_configurations_of_the_pages_are_read_by_a_program() -> None:
    """Each block of TOML, by the strict reader of one of the programs; or it is a file of shared keys."""
    unread = []
    for page in PAGES:
        for text in re.findall(r"^```toml\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
            given = tomllib.loads(text)
            if set(given) <= {"text", "hex"}:
                continue
            refusals = []
            for noun, kind in CONFIGURATIONS.items():
                try:
                    load(kind, None, prefix="", environment={}, options=given)
                except Refused as refusal:
                    refusals.append(f"{noun}: {refusal}")
            if len(refusals) == len(CONFIGURATIONS):
                unread.append(f"{name_of(page)}: {text}{refusals}")
    assert unread == []


def test_the_python_of_the_pages_is_python() -> None:
    for page in PAGES:
        for text in re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
            ast.parse(text, name_of(page))


def verbs_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = next((one for one in parser._actions if isinstance(one, argparse._SubParsersAction)), None)
    return {} if found is None else dict(found.choices)


def unknown_word(command: str) -> str | None:
    """The first noun, verb or option that does not exist in a command of the prose."""
    words = command.partition(" -- ")[0].split()[1:]
    parser, _ = build_parser(words[0])
    for word in words:
        verbs = verbs_of(parser)
        if word.startswith("--"):
            if word.partition("=")[0] not in parser._option_string_actions:
                return word
        elif word in verbs:
            parser = verbs[word]
        elif verbs and re.fullmatch(r"[a-z-]+", word):
            return word
    return None


def test_the_commands_in_the_prose_of_the_pages_exist() -> None:
    wrong = []
    for page in PAGES:
        prose = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        for command in re.findall(r"`(?:\./)?(keim (?!test )[a-z][^`]*)`", prose):
            if (word := unknown_word(command)) is not None:
                wrong.append(f"{name_of(page)}: {word} in {command}")
    assert wrong == []
    assert unknown_word("keim pkl init") == "pkl"
    assert unknown_word("keim pki trsut FILE") == "trsut"
    assert unknown_word("keim pki init pki --eims x") == "--eims"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
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
