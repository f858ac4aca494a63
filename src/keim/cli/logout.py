"""`keim logout`: forget the eIM and the token that `keim login` stored."""

from __future__ import annotations

import argparse
import os

from keim.cli.exit_codes import ExitCode
from keim.cli.output import note
from keim.cli.parser import Nouns


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser(
        "logout",
        help="forget what keim login stored",
        description="Forget what `keim login` stored. A token of keim stays valid until it is revoked.",
    )
    parser.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    from keim.api.client.connection import forget, stored_at

    note("forgotten" if forget(stored_at(os.environ)) else "nobody was signed in")
    return ExitCode.OK
