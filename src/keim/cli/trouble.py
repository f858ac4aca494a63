"""How an error reaches the person: once, on stderr, with its code, its sentence and the next step."""

from __future__ import annotations

import sys
import traceback

from keim.cli.output import coloured, note, print_json
from keim.error_table import error_row
from keim.errors import KeimError, Malformed, Refused, Unencodable


def problem_of(error: KeimError) -> dict[str, object]:
    """The error as one JSON document; absent facts are left out."""
    row = error_row(error.code)
    problem: dict[str, object | None] = {
        "code": error.code,
        "sentence": row.sentence,
        "message": str(error),
        "cause": row.cause,
        "who": row.who,
        "next": row.next,
        "retryable": row.retryable,
        "party": error.party,
        "step": error.step,
        "evidence": error.evidence,
    }
    if isinstance(error, Malformed):
        problem |= {"offset": error.offset, "path": error.path or None}
    if isinstance(error, Unencodable):
        problem["path"] = error.path or None
    return {name: value for name, value in problem.items() if value is not None}


def report(error: KeimError, *, as_json: bool) -> None:
    try:
        problem = problem_of(error)
    except Refused:  # a code without a row is our fault; it must not hide the error itself
        note(f"keim: {error} ({error.code})")
        return
    if as_json:
        print_json({"error": problem}, sys.stderr)
        return
    note(f"{coloured('error', 'red', sys.stderr)} {error.code}: {problem['message']}")
    note(f"  {problem['sentence']}")
    for label, member in (("party", "party"), ("step", "step"), ("evidence", "evidence"), ("next", "next")):
        if member in problem:
            note(f"  {label}: {problem[member]}")
    note(f"  more: keim explain {error.code}")


def report_fault(error: Exception, *, as_json: bool) -> None:
    """An exception that nobody foresaw: the traceback for the report to us, then what to do."""
    traceback.print_exception(error)
    report(KeimError(f"{type(error).__name__}: {error}"), as_json=as_json)
