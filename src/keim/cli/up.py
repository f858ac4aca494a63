"""`keim up`: will run the whole world on this machine."""

from __future__ import annotations

import argparse

from keim.cli.exit_codes import ExitCode
from keim.cli.output import note
from keim.cli.parser import Nouns


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser("up", help="run the whole world on this machine (not there yet)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    note(
        "keim up: this is not there yet. It will start an eIM, an SM-DP+ and a device with a software eUICC."
    )
    return ExitCode.USAGE
