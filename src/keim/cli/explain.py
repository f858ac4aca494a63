"""`keim explain CODE`: what an error code means, from the one table of codes."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from keim.cli.exit_codes import ExitCode
from keim.cli.output import coloured, print_json
from keim.cli.parser import Nouns
from keim.error_table import ErrorRow, error_row, error_rows


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser(
        "explain",
        help="say what an error code means, who must act and what to do next",
        description="Say what an error code means. Without a code, list all codes.",
    )
    parser.add_argument("code", nargs="?", metavar="CODE", help="such as pki.untrusted")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.code is None:
        _print_all(as_json=args.json)
        return ExitCode.OK
    row = error_row(args.code)
    if args.json:
        print_json(_document(row))
    else:
        _print(row)
    return ExitCode.OK


def _document(row: ErrorRow) -> dict[str, object]:
    return {name: value for name, value in asdict(row).items() if name != "reserved" or value}


def _print_all(*, as_json: bool) -> None:
    rows = error_rows()
    if as_json:
        print_json([_document(row) for row in rows.values()])
        return
    width = max(map(len, rows))
    for row in rows.values():
        print(f"{coloured(row.code.ljust(width), 'bold')}  {row.sentence}")


def _print(row: ErrorRow) -> None:
    print(f"{coloured(row.code, 'bold')}: {row.sentence}")
    print(f"  cause      {row.cause}")
    print(f"  must act   {row.who}")
    print(f"  next       {row.next}")
    print(f"  retryable  {'yes' if row.retryable else 'no'}")
    if row.reserved:
        print(f"  reserved   {row.reserved}")
