"""The core of the command line: dispatch, exit codes, errors in words, hints, machine-readable output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.shared import ROOT

from keim import __version__
from keim.cli import explain, main
from keim.cli.exit_codes import MEANINGS, ExitCode, exit_code_of
from keim.cli.parser import Parser, near_names
from keim.cli.program import run_command
from keim.cli.registry import NOUNS
from keim.errors import (
    KeimError,
    Malformed,
    PeerError,
    Refused,
    StoreFailed,
    TimedOut,
    Unencodable,
    Unreachable,
    WorldError,
)

KEIM = [sys.executable, "-m", "keim.cli"]
HEAVY = {
    "keim.messages",
    "keim.der",
    "keim.web",
    "keim.api",
    "keim.io",
    "cryptography",
    "msgspec",
    "sqlite3",
    "asyncio",
}


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "src")}


def imported_by(*arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "keim.cli", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    return {
        line.rpartition("|")[2].strip()
        for line in done.stderr.splitlines()
        if line.startswith("import time:")
    }


def test_the_version_imports_nothing_heavy(capsys: pytest.CaptureFixture[str]) -> None:
    modules = imported_by("--version")
    assert "keim" in modules
    assert modules & HEAVY == set()
    assert "argparse" not in modules


def test_help_imports_no_noun_and_nothing_heavy() -> None:
    modules = imported_by("--help")
    assert "keim.cli.parser" in modules
    assert modules & (HEAVY | {noun.module for noun in NOUNS}) == set()


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["keim", "--version"])
    assert main() == 0
    assert capsys.readouterr().out == f"keim {__version__}\n"


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: noun.name)
def test_every_registered_noun_explains_itself(noun: object, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_command([noun.name, "--help"])  # type: ignore[attr-defined]  # tests are not typed strictly
    assert caught.value.code == 0
    assert f"usage: keim {noun.name}" in capsys.readouterr().out  # type: ignore[attr-defined]  # as above


def test_help_lists_every_noun_and_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_command(["--help"])
    out = " ".join(capsys.readouterr().out.split())
    assert all(f" {noun.name} " in out for noun in NOUNS)
    assert all(f"{code.value} {meaning}" in out for code, meaning in MEANINGS.items())
    assert set(MEANINGS) == set(ExitCode)


def test_without_a_noun_the_help_goes_to_stderr_and_it_is_wrong_usage(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_command([]) == ExitCode.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "usage: keim" in captured.err


def test_an_unknown_noun_names_the_near_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["explian", "--json"]) == ExitCode.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "did you mean: explain?" in captured.err


def test_a_wrong_choice_names_the_near_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_command(["completion", "bsh"])
    assert caught.value.code == ExitCode.USAGE
    assert "did you mean: bash" in capsys.readouterr().err


def test_a_wrong_option_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_command(["explain", "--jason"])
    assert caught.value.code == ExitCode.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "--jason" in captured.err
    assert "--help" in captured.err


def test_near_names_prefer_what_begins_the_same() -> None:
    assert near_names("ex", ["up", "explain"]) == ["explain"]
    assert near_names("zzz", ["up", "explain"]) == []


def test_the_parser_keeps_argparse_words_without_a_near_name() -> None:
    parser = Parser(prog="p")
    parser.add_argument("x", choices=["one", "two"])
    with pytest.raises(SystemExit):
        parser.parse_args(["qqqqq"])


# ---- errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refused("x"), 2),
        (Unencodable("x"), 2),
        (Refused("x", code="device.not_found"), 3),
        (Refused("x", code="policy.forbidden"), 5),
        (PeerError("x", party="eim"), 4),
        (Malformed("x", offset=0, party="eim"), 4),
        (Malformed("x", offset=0), 2),
        (TimedOut("x"), 6),
        (Unreachable("x"), 8),
        (StoreFailed("x"), 1),
        (WorldError("x"), 1),
        (KeimError("x"), 1),
    ],
    ids=lambda value: f"{type(value).__name__}-{getattr(value, 'code', value)}",
)
def test_each_kind_of_error_has_its_exit_code(error: KeimError, code: int) -> None:
    assert exit_code_of(error) == code


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(_args: object) -> int:
        raise error

    monkeypatch.setattr(explain, "run", run)


def test_an_error_is_told_once_with_its_next_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, Unreachable("192.0.2.1:443 refused", party="smdp", step="2", evidence="RST"))
    assert run_command(["explain"]) == ExitCode.CANNOT_CONNECT
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("192.0.2.1:443 refused") == 1
    for fact in ("world.unreachable", "party: smdp", "step: 2", "evidence: RST", "next: ", "keim explain"):
        assert fact in captured.err


def test_an_error_is_one_json_document_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, Malformed("too short", offset=3, path="eidValue", code="world.failed"))
    assert run_command(["explain", "--json"]) == ExitCode.USAGE
    problem = json.loads(capsys.readouterr().err)["error"]
    assert problem["code"] == "world.failed"
    assert (problem["offset"], problem["path"], problem["retryable"]) == (3, "eidValue", True)
    assert "party" not in problem


def test_a_code_without_a_row_does_not_hide_the_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, Refused("the message", code="nowhere.to_be_seen"))
    assert run_command(["explain"]) == ExitCode.USAGE
    assert "the message (nowhere.to_be_seen)" in capsys.readouterr().err


def test_an_unforeseen_exception_shows_its_traceback_and_is_our_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, ZeroDivisionError("oops"))
    assert run_command(["explain"]) == ExitCode.FAULT
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "error internal: ZeroDivisionError: oops" in err


def test_what_the_system_does_not_let_us_open_is_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, PermissionError(13, "Permission denied", "/somewhere/world.json"))
    assert run_command(["explain"]) == ExitCode.FAULT
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert "error world.failed: /somewhere/world.json: Permission denied" in err


def test_a_fault_of_the_system_that_names_no_file_is_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, OSError(9, "Bad file descriptor"))
    assert run_command(["explain"]) == ExitCode.FAULT
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_ends_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, KeyboardInterrupt())
    assert run_command(["explain"]) == ExitCode.INTERRUPTED
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["explain"], ["explain", "--json"], ["--version"], ["--help"]])
def test_a_reader_that_went_away_is_no_fault(arguments: list[str], unbuffered: str) -> None:
    reading_end, writing_end = os.pipe()
    os.close(reading_end)
    command = [*KEIM, *arguments]
    variables = {**environment(), "PYTHONUNBUFFERED": unbuffered}
    try:
        done = subprocess.run(command, stdout=writing_end, stderr=subprocess.PIPE, env=variables, check=False)
    finally:
        os.close(writing_end)
    assert (done.returncode, done.stderr) == (0, b"")


def test_colour_is_for_terminals_and_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    from keim.cli.output import coloured

    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    assert coloured("x", "red", Terminal()) == "\x1b[31mx\x1b[0m"  # type: ignore[arg-type]  # it asks isatty only
    assert coloured("x", "red") == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert coloured("x", "red", Terminal()) == "x"  # type: ignore[arg-type]  # as above
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert coloured("x", "red", Terminal()) == "x"  # type: ignore[arg-type]  # as above


# ---- nouns of the core


def test_explain_says_who_must_act(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["explain", "world.timed_out"]) == 0
    out = capsys.readouterr().out
    assert "must act   operator" in out
    assert "retryable  yes" in out


def test_explain_prints_one_row_or_all_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["explain", "world.timed_out", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["code"], row["who"], row["retryable"]) == ("world.timed_out", "operator", True)
    assert run_command(["explain", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert row in rows
    assert len(rows) > 10


def test_explain_of_an_unknown_code_is_not_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["explain", "world.timed_uot"]) == ExitCode.NOT_FOUND
    assert "world.timed_out" in capsys.readouterr().err


@pytest.mark.parametrize("noun", ["test"])
def test_what_is_not_there_says_so_and_is_wrong_usage(noun: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command([noun]) == ExitCode.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"keim {noun}: ")


def test_bench_outside_of_a_checkout_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import keim

    package = tmp_path / "lib" / "python" / "keim" / "__init__.py"
    monkeypatch.setattr(keim, "__file__", str(package))
    assert run_command(["bench", "codec"]) == ExitCode.USAGE
    assert "./keim bench" in capsys.readouterr().err


def test_bench_runs_a_module_of_the_checkout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from types import ModuleType

    from keim.cli import bench

    asked: list[bool] = []
    module = ModuleType("benchmarks.fake")
    module.run = lambda json: asked.append(json) or 7  # type: ignore[attr-defined]  # a module made by hand
    monkeypatch.setitem(sys.modules, "benchmarks.fake", module)
    monkeypatch.setattr(bench, "benchmark_names", lambda root: ["fake"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert run_command(["bench", "fake", "--json"]) == 7
    assert asked == [True]
    assert run_command(["bench"]) == 0
    assert capsys.readouterr().out == "fake\n"
    assert run_command(["bench", "fkae"]) == ExitCode.NOT_FOUND
    assert "did you mean: fake?" in capsys.readouterr().err
