"""`keim operation`: what is asked of devices, and what became of it."""

from __future__ import annotations

import argparse

from keim.cli.operating import verb
from keim.cli.operation import follow, order
from keim.cli.parser import Nouns


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser(
        "operation",
        help="what is asked of devices, and what became of it",
        description="Operations for one device or for many: profiles, downloads, data, eIMs.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    order.register(verbs)
    listing = verb(verbs, "list", follow.run_list, "operations, the newest first")
    listing.add_argument("--limit", type=int, default=50, metavar="N", help="at most (default: 50)")
    _of_one(verb(verbs, "show", follow.run_show, "one operation with its counts"))
    devices = _of_one(verb(verbs, "devices", follow.run_devices, "what became of it at each device"))
    devices.add_argument("--state", metavar="STATE", help="only those in this state")
    waiting = _of_one(verb(verbs, "wait", follow.run_wait, "wait for its end; the exit code tells how"))
    follow.add_waiting(waiting)
    watching = _of_one(verb(verbs, "watch", follow.run_watch, "every change of it, a line each"))
    follow.add_waiting(watching)
    cancel = _of_one(verb(verbs, "cancel", follow.run_cancel, "cancel: sure before delivery, asked after"))
    cancel.add_argument("--reason", default="", metavar="TEXT")
    cancel.add_argument("--yes", action="store_true", help="do it without asking")


def _of_one(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("operation", metavar="OPERATION", help="its id")
    return parser
