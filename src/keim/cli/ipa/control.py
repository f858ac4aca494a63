"""`keim ipa control`: local switching, through the running IPA or on the card itself."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from keim.app.ipa import assistant
from keim.app.ipa_daemon import run_local, run_once
from keim.cli.exit_codes import ExitCode
from keim.cli.ipa.common import config_of
from keim.cli.output import note, print_json
from keim.errors import Refused
from keim.io.ipa_control import ask_running_ipa


def control(args: argparse.Namespace) -> int:
    if args.word != "poll" and not args.yes:
        if not sys.stdin.isatty():
            raise Refused("switching profiles needs --yes where nobody can be asked", code="ipa.needs_yes")
        note(f"{args.word}: the device may lose its connection. Go on? [y/N]")
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            return ExitCode.REFUSED_BY_POLICY
    config = config_of(args)
    if config.control and (args.control or Path(config.control).exists()):
        document = ask_running_ipa(Path(config.control), args.word)
    else:
        with assistant(config) as ipa:
            if args.word == "poll":
                cycle, _ = run_once(ipa)
                document = {"function": "poll", "result": "ok", "packages": cycle.packages}
            else:
                document = run_local(ipa, args.word)
    if args.json:
        print_json(document)
    else:
        print(f"{document.get('function', args.word)}: {document.get('result', document.get('error'))}")
    return ExitCode.OK if document.get("result") == "ok" else ExitCode.REFUSED_BY_PEER
