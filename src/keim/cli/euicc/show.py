"""`keim euicc show CARD`: what is on the card. It is looked at as it stands on the disk, not booted."""

from __future__ import annotations

import argparse
from pathlib import Path

from keim.cli.euicc.common import document_of, print_card
from keim.cli.exit_codes import ExitCode
from keim.cli.output import print_json
from keim.io.card_file import CardFile


def run(args: argparse.Namespace) -> int:
    with CardFile.open(Path(args.card)) as medium:
        identity, state = medium.identity, medium.reload()
    if args.json:
        print_json(document_of(identity, state))
    else:
        print_card(identity, state)
    return ExitCode.OK
