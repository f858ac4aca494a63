"""`keim smdp`: run an SM-DP+, fill its stock, order from it or from anybody's."""

from __future__ import annotations

from keim.cli.parser import Nouns
from keim.cli.smdp import order, serve, stock


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser(
        "smdp",
        help="run an SM-DP+, fill its stock, order profiles",
        description="An SM-DP+ with ES9+ (JSON and ASN.1), ES2+ over mutual TLS, orders and notifications.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    serve.register(verbs)
    stock.register(verbs)
    order.register(verbs)
