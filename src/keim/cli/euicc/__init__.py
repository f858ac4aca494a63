"""`keim euicc`: software cards in files: make one, look at it, serve it, talk to it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any, TypeAlias

from keim.cli.parser import Nouns, Parser


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser(
        "euicc",
        help="software eUICCs: make a card, serve it to readers and clients, send it APDUs",
        description="A card is one file. It holds private test keys: keep it to yourself.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=_CommandParser)
    _create(verbs)
    _show(verbs)
    _serve(verbs)
    _apdu(verbs)
    _script(verbs)


class _CommandParser(Parser):
    """argparse loses what stands behind `--` after options: it is put aside as `command` where a verb has
    one.
    """

    def parse_known_args(  # type: ignore[override]  # one signature for all the overloads of argparse
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        words = list(args or ())
        if self.get_default("command") is None or "--" not in words:
            return super().parse_known_args(words, namespace)
        position = words.index("--")
        found, rest = super().parse_known_args(words[:position], namespace)
        found.command = words[position + 1 :]
        return found, rest


Verbs: TypeAlias = "argparse._SubParsersAction[_CommandParser]"


def _run(args: argparse.Namespace) -> int:
    code: int = import_module(f"keim.cli.euicc.{args.verb}").run(args)
    return code


def _card(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("card", metavar="CARD", help="the card file")


def _create(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "create",
        help="make a card; without a PKI a test PKI is made",
        description="Make a card. Its certificates come from a PKI directory as `keim pki init` writes it; "
        "when there is none yet, a test PKI is made.",
    )
    _card(parser)
    parser.add_argument(
        "--pki",
        metavar="DIR",
        default=os.environ.get("KEIM_PKI", "pki"),
        help="the PKI (default: $KEIM_PKI, else ./pki)",
    )
    parser.add_argument("--eid", help="32 digits (default: the next free one of the PKI's EUM)")
    parser.add_argument(
        "--curve",
        choices=("nist", "brainpool", "both"),
        default="nist",
        help="curves of a PKI that is made now (default: nist)",
    )
    parser.add_argument(
        "--profile",
        metavar="FILE",
        action="append",
        default=[],
        help="a profile package loaded at the factory",
    )
    parser.add_argument("--enable", action="store_true", help="enable the first of the profiles")
    parser.add_argument(
        "--consumer", action="store_true", help="an SGP.22 card for LPAs instead of an IoT one"
    )
    parser.add_argument("--ipae", action="store_true", help="the card offers an IPAe")
    parser.add_argument("--es10c", choices=("allow", "deny_when_associated", "deny"), default="allow")
    parser.add_argument("--smdp", default="", metavar="ADDRESS", help="default SM-DP+ address")
    parser.add_argument("--smds", default="", metavar="ADDRESS", help="root SM-DS address")
    parser.add_argument("--memory", type=int, metavar="OCTETS", help="non-volatile memory for profiles")
    parser.add_argument("--channels", type=int, default=4, metavar="N", help="logical channels, 1 to 20")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=_run)


def _show(verbs: Verbs) -> None:
    parser = verbs.add_parser("show", help="what is on the card")
    _card(parser)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=_run)


def _serve(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "serve",
        help="serve the card over TCP, to vpcd, or to lpac's stdio driver",
        description="Serve the card until interrupted (--tcp), until the reader goes (--vpcd), or until the "
        "client ends (--stdio). With --stdio and a COMMAND after --, the command is started with crossed "
        "pipes; the exit code is its own.",
    )
    _card(parser)
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--tcp", metavar="[HOST:]PORT", help="listen; 0 takes a free port")
    way.add_argument(
        "--vpcd", nargs="?", const="35963", metavar="[HOST:]PORT", help="connect to vsmartcard's vpcd"
    )
    way.add_argument(
        "--stdio", action="store_true", help="lpac's JSON protocol on stdin and stdout, or with -- COMMAND"
    )
    _fault_controls(parser)
    parser.set_defaults(run=_run, command=[])


def _apdu(verbs: Verbs) -> None:
    parser = verbs.add_parser("apdu", help="reset the card, send it APDUs, print the responses")
    _card(parser)
    parser.add_argument("apdus", nargs="+", metavar="APDU", help="hexadecimal")
    parser.add_argument("--raw", action="store_true", help="do not fetch what 61xx announces")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    _fault_controls(parser)
    parser.set_defaults(run=_run)


def _script(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "script",
        help="run a file of APDUs and check the responses",
        description="Each line is `APDU`, `APDU => EXPECTED`, `reset` or a # comment. EXPECTED is the whole "
        "response, in hexadecimal, where ? stands for any digit and * for any number of them.",
    )
    _card(parser)
    parser.add_argument("script", metavar="FILE", help="the script, or - for stdin")
    parser.add_argument("--raw", action="store_true", help="do not fetch what 61xx announces")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    _fault_controls(parser)
    parser.set_defaults(run=_run)


def _fault_controls(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("fault controls (APDUs count from 0)")
    group.add_argument("--cut-at-apdu", type=int, metavar="N", help="cut the power at this APDU")
    group.add_argument("--cut-at-write", type=int, metavar="N", help="... before this write in it")
    group.add_argument("--fail-at-apdu", type=int, metavar="N", help="answer this APDU with 6F00")
    group.add_argument("--busy", action="store_true", help="be busy (catBusy)")
    group.add_argument("--out-of-memory", action="store_true", help="have no free memory")
