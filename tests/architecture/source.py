"""What the architecture tests read: the repository's files and the syntax trees of `src/keim`."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

from tests.shared import ROOT

SOURCE = ROOT / "src" / "keim"


@cache
def repository_files() -> tuple[Path, ...]:
    """Every file that git knows or would add, so that a fault is found before it is committed."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
    )
    names = listed.stdout.decode().split("\0")
    return tuple(path for name in sorted(set(names)) if name and (path := ROOT / name).is_file())


@cache
def source_trees() -> dict[Path, ast.Module]:
    """Path below `src/keim` -> its syntax tree."""
    return {
        path.relative_to(SOURCE): ast.parse(path.read_text("utf-8"), str(path))
        for path in sorted(SOURCE.rglob("*.py"))
    }


def string_constants(tree: ast.AST) -> list[tuple[int, str]]:
    """(line, text) of every string, docstrings left out."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]
