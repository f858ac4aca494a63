"""Every status code of the table is answered by our servers and provoked by a test."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from keim.messages import execution_status
from keim.messages.execution_status import StatusCode

TESTS = Path(__file__).resolve().parents[1]
SOURCE = Path(execution_status.__file__).resolve().parents[1]
CODES = {name: value for name, value in vars(execution_status).items() if isinstance(value, StatusCode)}


def names_in(folder: Path, *parts: str) -> set[str]:
    """Every name and attribute in the code (not in comments or texts) of these folders."""
    found: set[str] = set()
    for part in parts:
        for file in (folder / part).rglob("*.py"):
            if file.name in ("execution_status.py", Path(__file__).name):
                continue
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Attribute):
                    found.add(node.attr)
                elif isinstance(node, ast.Name):
                    found.add(node.id)
    return found


RAISED = names_in(SOURCE, "smdp", "smds", "authentication", "wire", "app", "pki")
PROVOKED = names_in(TESTS, "roles", "bindings", "e2e", "contract", "unit")

SPELLED_IN_TABLES = {
    "EUM_CERTIFICATE_INVALID",
    "EUM_CERTIFICATE_EXPIRED",
    "EUICC_CERTIFICATE_INVALID",
    "EUICC_CERTIFICATE_EXPIRED",
    "CI_UNKNOWN",
}
"""keim.pki.codes makes these from a verdict, by their numbers."""


@pytest.mark.parametrize("name", CODES)
def test_a_status_code_is_answered_by_the_servers_and_provoked_by_a_test(name: str) -> None:
    assert name in RAISED | SPELLED_IN_TABLES, f"{name} {CODES[name]} is never answered"
    assert name in PROVOKED, f"no test provokes {name} {CODES[name]}"


def test_no_code_has_two_names() -> None:
    assert len(set(CODES.values())) == len(CODES)
