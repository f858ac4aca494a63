"""`keim device`: the devices of an eIM: register, search, look at their twins, watch what happens."""

from __future__ import annotations

import argparse

from keim.cli.device import change, show, watch
from keim.cli.operating import moment, verb
from keim.cli.parser import Nouns


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser(
        "device",
        help="devices of an eIM: register, search, look at their twins, watch what happens",
        description="Devices, by their EID. Many at once come in with `keim import devices`.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verb(verbs, "list", show.run_list, "devices, a line each")
    add_filter(listing)
    listing.add_argument("--limit", type=int, metavar="N", help="at most")
    twin = _of_one(verb(verbs, "show", show.run_show, "one device: asked, believed and proved"))
    twin.add_argument("--at", type=moment, metavar="TIME", help="as it was, such as 2026-11-29T12:00:00Z")
    _of_one(verb(verbs, "next", show.run_next, "what a device will get when it calls next"))
    watching = verb(verbs, "watch", watch.run, "events as they happen, a line each, until interrupted")
    watching.add_argument("eid", nargs="?", metavar="EID", help="only of this device")
    watching.add_argument("--type", action="append", default=[], metavar="KIND", help="repeatable")
    watching.add_argument(
        "--tag", action="append", default=[], metavar="TAG", help="devices with all of these"
    )
    watching.add_argument("--after", type=int, metavar="EVENT", help="begin behind it; -1: with the first")
    watching.add_argument("--count", type=int, metavar="N", help="end after so many")
    watching.add_argument("--jsonl", action="store_true", help="one JSON document a line")
    adding = _of_one(verb(verbs, "register", change.run_register, "register a device"))
    adding.add_argument("--association-token", type=int, metavar="N", help="as its eUICC told it")
    adding.add_argument("--counter", type=int, default=0, metavar="N", help="the last one that was used")
    adding.add_argument("--tag", action="append", default=[], metavar="TAG", help="repeatable")
    adding.add_argument(
        "--certificates",
        nargs=2,
        metavar=("EUICC", "EUM"),
        help="files: results are proved at once",
    )
    adding.add_argument("--signer", default="", metavar="KEY", help="key of the eIM that it knows")
    tagging = _of_one(verb(verbs, "tag", change.run_tag, "add and remove tags"))
    tagging.add_argument("--add", action="append", default=[], metavar="TAG", help="repeatable")
    tagging.add_argument("--remove", action="append", default=[], metavar="TAG", help="repeatable")
    archive = _of_one(verb(verbs, "archive", change.run_archive, "answer it like a stranger from now on"))
    archive.add_argument("--yes", action="store_true", help="do it without asking")
    admit = _of_one(verb(verbs, "admit", change.run_admit, "let it in, out of quarantine or the archive"))
    seen = _of_one(verb(verbs, "alarm-seen", change.run_alarm_seen, "take its alarm away"))
    for changing in (archive, admit, seen):
        changing.add_argument("--reason", default="", metavar="TEXT")


def _of_one(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("eid", metavar="EID")
    return parser


def add_filter(parser: argparse.ArgumentParser) -> None:
    """Which devices; all of it must hold."""
    group = parser.add_argument_group("which devices")
    group.add_argument(
        "--tag", action="append", default=[], metavar="TAG", help="repeatable: has all of them"
    )
    group.add_argument("--state", choices=("active", "quarantined", "archived"))
    group.add_argument("--prefix", default="", metavar="DIGITS", help="how its EID begins")
    group.add_argument("--profile", default="", metavar="ICCID", help="this profile is installed")
    group.add_argument("--alarm", action="store_true", help="a person should look at it")
    group.add_argument("--not-seen-since", type=moment, metavar="TIME", help="it has not called since")
    group.add_argument("--filter", metavar="NAME", help="a saved filter instead")
