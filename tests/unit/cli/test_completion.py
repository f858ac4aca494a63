"""Shell completion: the words, and the scripts in the shells that are here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.shared import ROOT

from keim.cli.completion import SCRIPTS, words
from keim.cli.program import run_command
from keim.cli.registry import NOUNS


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ([""], sorted(noun.name for noun in NOUNS)),
        ([], sorted(noun.name for noun in NOUNS)),
        (["expl"], ["explain"]),
        (["completion", ""], ["bash", "fish", "zsh"]),
        (["completion", "z"], ["zsh"]),
        (["explain", "--"], ["--help", "--json"]),
        (["nonsense", ""], []),
        (["--v"], ["--version"]),
    ],
)
def test_words_are_those_that_may_stand_there(typed: list[str], expected: list[str]) -> None:
    assert words(typed) == expected


def test_verbs_of_a_noun_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    from keim.cli import explain
    from keim.cli.parser import Nouns, Parser

    def register(nouns: Nouns) -> None:
        verbs = nouns.add_parser("explain").add_subparsers(parser_class=Parser)
        verbs.add_parser("list").add_argument("--all", action="store_true")
        verbs.add_parser("show")

    monkeypatch.setattr(explain, "register", register)
    assert words(["explain", ""]) == ["list", "show"]
    assert words(["explain", "list", "--a"]) == ["--all"]


@pytest.mark.parametrize("shell", SCRIPTS)
def test_each_script_is_printed_and_asks_keim_for_its_words(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["completion", shell]) == 0
    assert "keim completion words -- " in capsys.readouterr().out


def test_bash_completes_with_the_script(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash on this machine")
    shim = tmp_path / "keim"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m keim.cli "$@"\n')
    shim.chmod(0o755)
    script = 'eval "$(keim completion bash)"; COMP_WORDS=(keim completion f); COMP_CWORD=2; _keim; '
    script += 'echo "${COMPREPLY[@]}"'
    done = subprocess.run(
        [bash, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "src")},
    )
    assert done.stdout == "fish\n"
