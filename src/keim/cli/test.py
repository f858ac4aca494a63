"""`keim test`: runs the tests of a checkout, where the launcher `./keim test` prepares them."""

from __future__ import annotations

import argparse

from keim.cli.exit_codes import ExitCode
from keim.cli.output import note
from keim.cli.parser import Nouns


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser("test", help="run all tests (in a checkout: ./keim test)")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of the tests")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    note("keim test: tests are part of a checkout, and its launcher prepares them.")
    note("  next: clone the repository and run ./keim test there")
    return ExitCode.USAGE
