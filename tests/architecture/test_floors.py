"""The floors' purity: no I/O, no clock, no chance and no logging below `io`; import-linter draws the arrows.

The contracts themselves stand in pyproject.toml and run as the gate's stage `imports`.
"""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest
from tests.architecture.source import SOURCE, source_trees
from tests.shared import ROOT

FLOOR_0 = {"ids.py", "errors.py", "seams.py", "der", "messages", "crypto", "pki", "saip"}
ROLES = {"euicc", "ipa", "eim", "smdp", "smds", "fleet", "audit"}
PURE = FLOOR_0 | ROLES | {"wire"}

WORLD = {
    "asyncio", "concurrent", "ftplib", "glob", "http", "io", "logging", "mmap", "multiprocessing", "os",
    "pathlib", "queue", "random", "sched", "secrets", "select", "selectors", "shutil", "signal", "smtplib",
    "socket", "socketserver", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "time",
    "urllib", "uuid", "httpx", "uvicorn", "uvloop", "asyncpg", "smartcard", "pkcs11", "OpenSSL",
}  # fmt: skip
CLOCKS = {"now", "utcnow", "today", "time", "monotonic", "perf_counter", "token_bytes", "urandom"}

HARMLESS = {"sys.intern", "sys.getrecursionlimit"}
"""Names of those modules that touch nothing of the world."""


def is_pure(path: Path) -> bool:
    return path.parts[0] in PURE


def imported_names(tree: ast.AST) -> set[tuple[int, str]]:
    """(line, dotted name) of each import: `from os import path` is `os.path`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {(node.lineno, alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {(node.lineno, f"{node.module}.{alias.name}") for alias in node.names}
    return found


def test_pure_floors_import_nothing_of_the_world() -> None:
    faults = [
        f"{path}:{line}: {name}"
        for path, tree in source_trees().items()
        if is_pure(path)
        for line, name in sorted(imported_names(tree))
        if name.partition(".")[0] in WORLD and name not in HARMLESS
    ]
    assert faults == []


def test_pure_floors_read_no_clock_and_no_chance() -> None:
    faults = [
        f"{path}:{node.lineno}: {ast.unparse(node.func)}()"
        for path, tree in source_trees().items()
        if is_pure(path)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CLOCKS
        and ast.unparse(node.func.value).rpartition(".")[2] in {"datetime", "date", "time", "os", "secrets"}
    ]
    assert faults == []


def test_pure_floors_do_not_print_or_open() -> None:
    faults = [
        f"{path}:{node.lineno}: {node.func.id}()"
        for path, tree in source_trees().items()
        if is_pure(path)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"print", "open", "input", "breakpoint"}
    ]
    assert faults == []


def test_every_module_of_the_package_stands_on_a_floor() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ][0]
    named = {name.strip(" ()") for layer in contract["layers"] for name in layer.replace("|", ":").split(":")}
    there = {
        path.stem
        for path in SOURCE.iterdir()
        if (path.is_dir() and any(path.glob("*.py"))) or (path.suffix == ".py" and path.stem != "__init__")
    }
    assert there <= named
    assert {name.removesuffix(".py") for name in PURE} <= named


@pytest.mark.parametrize("source", ["import time", "from os import path", "import asyncio.queues"])
def test_the_walk_sees_an_import(source: str) -> None:
    assert {name.partition(".")[0] for _, name in imported_names(ast.parse(source))} & WORLD


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path)
        for path, tree in source_trees().items()
        if not ast.get_docstring(tree) and (tree.body or path.name != "__init__.py")
    ]
    assert silent == []
