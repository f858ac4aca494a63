"""What the architecture tests read: the repository's files and the syntax trees of `src/keim`."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from tests.shared import ROOT

SOURCE = ROOT / "src" / "keim"

MADE = re.compile(
    r"\.git|\.venv.*|\.keim|__pycache__|.*\.egg-info|\.[a-z_]+_cache|\.hypothesis|\.coverage.*|build|dist"
)
"""What tools make and .gitignore leaves out."""


@cache
def repository_files() -> tuple[Path, ...]:
    """Every file that git knows or would add, so that a fault is found before it is committed.

    In an unpacked archive, or where git is not there, every file outside of what tools make.
    """
    git = shutil.which("git")
    if git and (ROOT / ".git").exists():
        command = [git, "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
        return tuple(path for name in sorted(set(names)) if name and (path := ROOT / name).is_file())
    return tuple(
        path
        for path in sorted(ROOT.rglob("*"))
        if path.is_file() and not any(MADE.fullmatch(part) for part in path.relative_to(ROOT).parts)
    )


@cache
def source_trees() -> dict[Path, ast.Module]:
    """Path below `src/keim` -> its syntax tree."""
    return {
        path.relative_to(SOURCE): ast.parse(path.read_text("utf-8"), str(path))
        for path in sorted(SOURCE.rglob("*.py"))
    }


@cache
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
