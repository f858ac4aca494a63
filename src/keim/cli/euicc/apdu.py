"""`keim euicc apdu CARD APDU...`: resets the card and sends it the APDUs."""

from __future__ import annotations

import argparse

from keim.cli.euicc.common import exchange, is_fine, octets_of, open_card
from keim.cli.exit_codes import ExitCode
from keim.cli.output import print_json


def run(args: argparse.Namespace) -> int:
    apdus = [octets_of(text) for text in args.apdus]
    medium, card = open_card(args)
    rows: list[dict[str, str]] = []
    with medium:
        card.reset()
        for apdu in apdus:
            response = exchange(card, apdu, is_raw=args.raw)
            rows.append({"apdu": apdu.hex().upper(), "response": response.hex().upper()})
            if not args.json:
                print(f"> {rows[-1]['apdu']}\n< {rows[-1]['response']}", flush=True)
    if args.json:
        print_json(rows)
    ended_well = all(is_fine(bytes.fromhex(row["response"])) for row in rows)
    return ExitCode.OK if ended_well else ExitCode.REFUSED_BY_PEER
