"""`keim euicc serve CARD`: over TCP, to vpcd, or with lpac's JSON protocol on the standard streams."""

from __future__ import annotations

import argparse
import io
import sys

from keim.cli.euicc.common import open_card
from keim.cli.exit_codes import ExitCode
from keim.cli.output import note
from keim.errors import Refused
from keim.euicc.card import Card
from keim.io.card_server import serve_tcp, serve_vpcd
from keim.io.lpac_stdio import serve_command, serve_lines


def run(args: argparse.Namespace) -> int:
    if args.command and not args.stdio:
        raise Refused("a COMMAND goes with --stdio only", code="euicc.bad_option")
    host, port = ("", 0) if args.stdio else _address(args.tcp or args.vpcd, "127.0.0.1")
    medium, card = open_card(args)
    with medium:
        if args.stdio:
            return _serve_stdio(card, args.command)
        if args.tcp is not None:
            serve_tcp(card, host, port, on_ready=lambda h, p: note(f"the card listens on {h}:{p}"))
        else:
            serve_vpcd(card, host, port, on_ready=lambda: note(f"the card is in the reader of {host}:{port}"))
    return ExitCode.OK


def _serve_stdio(card: Card, command: list[str]) -> int:
    if command:
        return serve_command(card, command, sys.stdout.write)

    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # a line that is no text is not for us

    def write(line: str) -> None:
        sys.stdout.write(line)
        sys.stdout.flush()

    serve_lines(card, sys.stdin, write, lambda line: note(line.rstrip("\n")))
    return ExitCode.OK


def _address(text: str, host: str) -> tuple[str, int]:
    given, colon, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 0xFFFF:
        raise Refused(f"{text!r} is no [HOST:]PORT", code="euicc.bad_option")
    return (given.strip("[]") if colon else host), int(port)
