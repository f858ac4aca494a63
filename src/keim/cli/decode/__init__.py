"""`keim decode`: octets as people read them: hex, base64, files, APDUs and logs to trees of named fields."""

from __future__ import annotations

import argparse

from keim.cli.parser import Nouns

EXAMPLES = """examples:
  keim decode BF5100                        what is missing in an empty package request
  keim decode message.der --json            a file, as one JSON document
  keim decode 81E2910006BF3E035C015A        a command APDU and the object in it
  keim decode trace.log                     a whole APDU log, exchange by exchange
  keim decode --type PprIds 030204C0        a type that its tag alone does not tell
  keim decode --source EuiccPackageSigned   the functions that decode and encode a type
"""


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser(
        "decode",
        help="show what a message, an APDU or an APDU log says, field by field",
        description="Show what octets say: objects of SGP.32 and SGP.22, APDUs, APDU logs.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "input", nargs="?", metavar="INPUT", help="hex, base64, a file, or - for stdin (the default)"
    )
    parser.add_argument("--type", metavar="NAME", help="the message type, where the tag does not tell it")
    parser.add_argument(
        "--as",
        dest="form",
        choices=("auto", "object", "apdu", "response", "log"),
        default="auto",
        help="what the input is (default: found out)",
    )
    parser.add_argument("--strict", action="store_true", help="do not accept the known deviations of peers")
    parser.add_argument("--types", action="store_true", help="list the names of all message types")
    parser.add_argument("--source", metavar="TYPE", help="print the functions that decode and encode a type")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from keim.cli.decode.program import run as run_program

    return run_program(args)
