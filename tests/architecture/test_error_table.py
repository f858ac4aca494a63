"""The walk of the error table: every code has its row, every row is used, every row helps."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest
from tests.architecture.error_page import PAGE, page
from tests.architecture.source import source_trees, string_constants

from keim import errors
from keim.error_table import error_rows

CODE = re.compile(r"[a-z][a-z0-9]*(\.[a-z0-9_]+)+")
FILE_ENDINGS = (
    ".keim",
    ".toml",
    ".py",
    ".json",
    ".der",
    ".md",
    ".pem",
    ".txt",
    ".csv",
    ".db",
    ".sock",
    ".comm",
    ".example.com",
)


@cache
def error_classes() -> set[str]:
    """Names of the exceptions of keim, those of single packages too, found by their bases."""
    names = {name for name, value in vars(errors).items() if isinstance(value, type)}
    while True:
        more = {
            node.name
            for tree in source_trees().values()
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef)
            and any(ast.unparse(base).rpartition(".")[2] in names for base in node.bases)
        }
        if more <= names:
            return names
        names |= more


@cache
def raised_codes() -> tuple[tuple[str, str], ...]:
    return tuple(_raised_codes())


def _raised_codes() -> Iterator[tuple[str, str]]:
    """(place, code) of each `code="x.y"` argument and each `code = "x.y"` of an exception class."""
    classes = error_classes()
    for path, tree in source_trees().items():
        for node in ast.walk(tree):
            values: list[ast.expr | None] = []
            if isinstance(node, ast.keyword) and node.arg == "code":
                values = [node.value]
            elif isinstance(node, ast.ClassDef) and node.name in classes:
                values = [
                    statement.value
                    for statement in node.body
                    if isinstance(statement, ast.Assign | ast.AnnAssign) and "code" in _targets(statement)
                ]
            for value in values:
                for constant in ast.walk(value) if value else ():
                    if isinstance(constant, ast.Constant) and isinstance(constant.value, str):
                        yield f"{path}:{constant.lineno}", constant.value


def _targets(statement: ast.Assign | ast.AnnAssign) -> set[str]:
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def test_the_walk_finds_the_codes_of_the_exception_tree() -> None:
    codes = {code for _, code in raised_codes()}
    assert {"codec.malformed", "internal", "request.invalid_eid", "world.timed_out"} <= codes


def test_every_code_that_is_raised_has_a_row() -> None:
    absent = [f"{place}: {code}" for place, code in raised_codes() if code not in error_rows()]
    assert absent == []


def test_every_text_that_looks_like_a_code_of_a_known_area_has_a_row() -> None:
    """Codes also stand in tables (`{Verdict.EXPIRED: "pki.expired"}`), where no `code=` is beside them."""
    areas = {code.partition(".")[0] for code in error_rows()}
    absent = [
        f"{path}:{line}: {text}"
        for path, tree in source_trees().items()
        for line, text in string_constants(tree)
        if CODE.fullmatch(text)
        and text.partition(".")[0] in areas
        and not text.endswith(FILE_ENDINGS)
        and text not in error_rows()
    ]
    assert absent == []


def test_no_code_is_put_together_at_run_time() -> None:
    made = [
        f"{path}:{node.value.lineno}"
        for path, tree in source_trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.JoinedStr)
    ]
    assert made == []


def test_every_exception_class_has_a_code_with_a_row() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    assert len(classes) > 10
    assert {value.code for value in classes if issubclass(value, errors.KeimError)} <= set(error_rows())


def test_every_row_is_used_or_says_why_it_is_reserved() -> None:
    texts = {text for tree in source_trees().values() for _, text in string_constants(tree)}
    unused = [code for code, row in error_rows().items() if code not in texts and not row.reserved]
    assert unused == []


@pytest.mark.parametrize("code", error_rows())
def test_a_row_is_made_of_whole_sentences(code: str) -> None:
    row = error_rows()[code]
    for text in (row.sentence, row.cause, row.next):
        assert len(text.split()) > 1, f"{code}: {text!r} is no sentence"
        assert text.rstrip("`").endswith((".", "?", "!")), f"{code}: {text!r} has no end"
        assert text == " ".join(text.split())
    assert code == "internal" or CODE.fullmatch(code)


def test_the_page_of_error_codes_is_that_of_the_table() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python -m tests.architecture.error_page"
