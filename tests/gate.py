"""The gate: everything that must hold before a change is taken. Run it with `./keim test`.

    ./keim test [--plan] [--long] [--only STAGE] [arguments of pytest]

All stages run even after one failed; the exit code is 0 only when all passed. Budgets are promises about 2
cores, printed beside the measured time; a slow machine breaks none of them. `--plan` says what would be
run, and runs nothing. Standard library only.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests import system_packages

ROOT = Path(__file__).resolve().parent.parent

SUITE_BUDGETS_S: dict[str, int] = {
    # suite -> seconds of one core for all its tests together; tests/conftest.py prints them beside the truth
    "architecture": 75,
    "unit": 150,
    "vectors": 90,
    "property": 180,
    "contract": 150,
    "roles": 240,
    "bindings": 120,
    "e2e": 500,
    "api": 240,
}

CLOSING_LINE = re.compile(r"(=+ )?(\d+ (passed|failed|errors?|skipped)\b|no tests ran\b).* in [\d.]+s.*")


@dataclass(frozen=True)
class Options:
    is_long: bool
    only: str | None
    pytest: list[str]
    is_plan: bool = False


@dataclass(frozen=True)
class Stage:
    name: str
    budget_s: int
    command: Callable[[Options], list[str]]


def tool(*arguments: str) -> Callable[[Options], list[str]]:
    return lambda _options: [sys.executable, "-m", *arguments]


def lint_imports(_options: Options) -> list[str]:
    # import-linter has no `python -m`; its console script would break when the checkout is moved
    return [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]


def pytest(options: Options) -> list[str]:
    command = [sys.executable, "-m", "pytest", "--cov=keim", "--cov-branch", "--cov-report=term:skip-covered"]
    if not {"-n", "--pdb", "--trace", "-s"} & set(options.pytest):
        command += ["-n", str(min(os.cpu_count() or 2, 8)), "--dist=worksteal"]
    if options.is_long:
        command.append("--long")
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        command.append("--color=yes")
    return [*command, *options.pytest]


STAGES = (
    Stage("lint", 10, tool("ruff", "check", "--quiet", ".")),
    Stage("format", 10, tool("ruff", "format", "--check", "--quiet", ".")),
    Stage("types", 90, tool("mypy", "--no-error-summary")),
    Stage("imports", 20, lint_imports),
    Stage("pytest", 900, pytest),
)


def parse(arguments: list[str]) -> Options:
    rest: list[str] = []
    is_long, is_plan, only = False, False, None
    words = iter(arguments)
    for word in words:
        if word == "--long":
            is_long = True
        elif word == "--plan":
            is_plan = True
        elif word == "--only":
            only = next(words, "")
        else:
            rest.append(word)
    names = [stage.name for stage in STAGES]
    if only is not None and only not in names:
        sys.exit(f"keim test: --only takes one of {', '.join(names)}")
    return Options(is_long, only, rest, is_plan)


def run(command: list[str], environment: dict[str, str]) -> tuple[int, str]:
    """Runs one stage with its output passed through; returns its exit code and pytest's closing line."""
    closing = ""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL if "--pdb" not in command else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            plain = re.sub(r"\x1b\[[0-9;]*m", "", line).strip()
            if CLOSING_LINE.fullmatch(plain):
                closing = plain.strip("= ")
    return process.returncode, closing


def verdict(results: Iterable[tuple[Stage, int, float]], closing: str) -> str:
    lines = ["", "stage      result    time  budget"]
    for stage, code, seconds in results:
        lines.append(
            f"{stage.name:<9}  {'FAILED' if code else 'ok':<6}  {seconds:>5.0f}s  {stage.budget_s:>5}s"
        )
    failed = [stage.name for stage, code, _ in results if code]
    total = sum(seconds for _, _, seconds in results)
    lines.append(f"keim test: {'FAILED: ' + ', '.join(failed) if failed else 'all passed'} in {total:.0f} s")
    if closing:
        lines.append(f"pytest: {closing}")
    return "\n".join(lines)


def plan(options: Options) -> int:
    for stage in STAGES:
        if options.only in {None, stage.name}:
            print(f"{stage.name:<9}  {stage.budget_s:>5}s  {shlex.join(stage.command(options)[1:])}")
    absent = [word for word in options.pytest if word.startswith("tests/") and not _is_there(word)]
    for word in absent:
        print(f"keim test: there is no {word}", file=sys.stderr)
    return 1 if absent else 0


def _is_there(test: str) -> bool:
    return (ROOT / test.partition("::")[0]).exists()


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    if options.is_plan:
        return plan(options)
    system_packages.install()
    results: list[tuple[Stage, int, float]] = []
    closing = ""
    with tempfile.TemporaryDirectory() as scratch:
        environment = {**os.environ, "COVERAGE_FILE": str(Path(scratch) / "coverage")}
        environment["KEIM_HYPOTHESIS_PROFILE"] = "long" if options.is_long else "default"
        for stage in STAGES:
            if options.only not in {None, stage.name}:
                continue
            print(f"--- {stage.name}", flush=True)
            start = time.monotonic()
            try:
                code, line = run(stage.command(options), environment)
            except KeyboardInterrupt:
                return 130
            closing = line or closing
            results.append((stage, code, time.monotonic() - start))
    print(verdict(results, closing), flush=True)
    return 1 if any(code for _, code, _ in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
