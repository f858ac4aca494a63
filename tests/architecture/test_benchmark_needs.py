"""`./keim bench` installs a lock of its own: nothing that a benchmark imports stands outside of it."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from tests.shared import ROOT

OURS = {"benchmarks", "tests", "keim"}
DISTRIBUTIONS = packages_distributions()
BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.py"))


def imported_by(file: Path) -> set[str]:
    """Dotted names of modules, those inside of functions too; `from a import b` may mean the module a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def needs_of(benchmark: Path) -> set[str]:
    """The packages of others that it and the tests' modules below it import."""
    others: set[str] = set()
    waiting, seen = [benchmark], {benchmark}
    while waiting:
        for name in imported_by(waiting.pop()):
            top = name.partition(".")[0]
            if top not in OURS:
                others.add(top)
            elif top != "keim":
                file = ROOT / f"{name.replace('.', '/')}.py"
                if file.is_file() and file not in seen:
                    seen.add(file)
                    waiting.append(file)
    return others - set(sys.stdlib_module_names)


def names_of(module: str) -> set[str]:
    """Of the package that brings the module; what only benchmarks install is called like its module."""
    return {name.lower().replace("_", "-") for name in DISTRIBUTIONS.get(module, [module])}


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda file: file.stem)
def test_what_a_benchmark_imports_is_locked_for_it(benchmark: Path) -> None:
    locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements/bench.txt").read_text(), re.MULTILINE))
    assert {name for name in needs_of(benchmark) if not names_of(name) & locked} == set()
