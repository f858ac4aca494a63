"""The gate behind `./keim test`: its stages, its arguments, its system packages."""

from __future__ import annotations

import os
import sys

import pytest
from tests import gate
from tests.shared import ROOT
from tests.system_packages import Need, message, needs


def test_ci_calls_the_gate_with_the_data_required() -> None:
    text = (ROOT / ".ci" / "run").read_text()
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert "export KEIM_REQUIRE_SHARED=1" in text
    assert "exec ./keim test" in text


def test_the_gate_fails_when_a_stage_fails_and_runs_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[str] = []

    def stage(name: str, code: int) -> gate.Stage:
        def command(_options: gate.Options) -> list[str]:
            ran.append(name)
            return [
                sys.executable,
                "-c",
                f"print('===== {name} 3 passed in 1.0s ====='); raise SystemExit({code})",
            ]

        return gate.Stage(name, 1, command)

    monkeypatch.setattr(gate, "STAGES", (stage("a", 0), stage("b", 3), stage("c", 0)))
    monkeypatch.setattr(gate.system_packages, "install", lambda: None)
    assert gate.main([]) == 1
    assert ran == ["a", "b", "c"]
    ran.clear()
    assert gate.main(["--only", "c"]) == 0
    assert ran == ["c"]
    with pytest.raises(SystemExit, match="--only takes one of a, b, c"):
        gate.main(["--only", "d"])


def test_the_gate_passes_further_words_to_pytest() -> None:
    command = gate.pytest(gate.parse(["--long", "-k", "x y", "tests/unit"]))
    assert command[-4:] == ["--long", "-k", "x y", "tests/unit"]
    assert "--cov-branch" in command
    assert "-n" not in gate.pytest(gate.parse(["--pdb"]))


def test_a_plan_says_what_would_be_run_and_runs_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gate, "run", lambda *_: pytest.fail("a stage was run"))
    assert gate.main(["--plan"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [s.name for s in gate.STAGES]
    assert gate.main(["--plan", "--only", "pytest", "tests/unit/ids", "-q"]) == 0
    assert capsys.readouterr().out.endswith("tests/unit/ids -q\n")
    assert gate.main(["--plan", "tests/unit/idx::test_x"]) == 1
    assert "there is no tests/unit/idx" in capsys.readouterr().err


def test_a_missing_system_package_is_named_with_what_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = Need("x", ("libx", "x-tools"), "tests of x", programs=("no-such-program-x",))
    assert not absent.is_met()
    assert not Need("y", (), "y", files=("/nonexistent/*|/nowhere",)).is_met()
    assert Need("z", (), "z", programs=("sh",), files=("/nonexistent|/*",)).is_met()
    assert "tests of x (libx, x-tools)" in message([absent])
    assert "apt-get install libx x-tools" in message([absent])
    assert {"softhsm2", "pcscd", "build-pyscard"} <= set(needs())


@pytest.mark.parametrize(
    ("line", "is_closing"),
    [
        ("================= 1 failed, 22 passed, 2 errors in 126.22s (0:02:06) =================", True),
        ("69 passed in 4.20s", True),
        ("============================ no tests ran in 0.99s =============================", True),
        ("=========================== short test summary info ============================", False),
        ("FAILED tests/x.py::test_that_5_passed in 3s", False),
    ],
)
def test_the_closing_line_of_pytest_is_known(line: str, is_closing: bool) -> None:
    assert bool(gate.CLOSING_LINE.fullmatch(line)) is is_closing
