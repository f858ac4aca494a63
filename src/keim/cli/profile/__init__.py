"""`keim profile`: make, look at, check, change and compare profile packages. One file for each verb."""

from __future__ import annotations

import argparse

from keim.cli.parser import Nouns


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser(
        "profile",
        help="make, look at, check, change and compare profile packages",
        description="Profile packages of the TCA interoperable format (versions 2.3 and 3.3).",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs", required=True)
    from keim.cli.profile import compare, diff, edit, lint, metadata, new, show

    for module in (new, show, lint, diff, edit, metadata, compare):
        module.register(verbs)


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document")
