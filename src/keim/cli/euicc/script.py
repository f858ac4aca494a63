"""`keim euicc script CARD FILE`: APDUs from a file, with the responses that are expected."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import NamedTuple

from keim.cli.euicc.common import exchange, octets_of, open_card
from keim.cli.exit_codes import ExitCode
from keim.cli.output import coloured, note, print_json
from keim.errors import Refused

RESET = "reset"


class Step(NamedTuple):
    line: int
    apdu: bytes | None
    """None resets the card."""
    expected: str | None


def run(args: argparse.Namespace) -> int:
    steps = parse(_read(args.script))
    medium, card = open_card(args)
    rows: list[dict[str, object]] = []
    with medium:
        card.reset()
        for step in steps:
            response = card.reset() if step.apdu is None else exchange(card, step.apdu, is_raw=args.raw)
            rows.append(_row(step, response.hex().upper()))
            if not args.json:
                _print(rows[-1])
    failed = sum(not row["as_expected"] for row in rows)
    if args.json:
        print_json(rows)
    note(f"{len(rows)} steps, {failed} not as expected")
    return ExitCode.REFUSED_BY_PEER if failed else ExitCode.OK


def parse(text: str) -> list[Step]:
    """The steps of a script; a line that is none is refused with its number."""
    steps = []
    for number, line in enumerate(text.splitlines(), 1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        command, arrow, expected = (part.strip() for part in content.partition("=>"))
        wanted = re.sub(r"\s", "", expected).upper() if arrow else None
        if wanted is not None and not re.fullmatch(r"[0-9A-F?*]+", wanted):
            raise Refused(f"line {number}: {expected!r} is no expectation", code="euicc.bad_script")
        try:
            steps.append(Step(number, None if command == RESET else octets_of(command), wanted))
        except Refused as fault:
            raise Refused(f"line {number}: {fault}", code="euicc.bad_script") from None
    return steps


def matches(expected: str, response: str) -> bool:
    pattern = expected.replace("?", "[0-9A-F]").replace("*", "[0-9A-F]*")
    return re.fullmatch(pattern, response) is not None


def _row(step: Step, response: str) -> dict[str, object]:
    return {
        "line": step.line,
        "apdu": RESET if step.apdu is None else step.apdu.hex().upper(),
        "response": response,
        "expected": step.expected,
        "as_expected": step.expected is None or matches(step.expected, response),
    }


def _print(row: dict[str, object]) -> None:
    print(f"> {row['apdu']}\n< {row['response']}")
    if not row["as_expected"]:
        print(coloured(f"! line {row['line']}: expected {row['expected']}", "red"))


def _read(name: str) -> str:
    if name == "-":
        return sys.stdin.read()
    try:
        return Path(name).read_text()
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "it is no text"
        raise Refused(f"{name}: {reason}", code="euicc.script_not_found") from None
