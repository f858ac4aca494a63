"""`keim audit keygen NAME FILE`: the private key into a file, the public one to stdout."""

from __future__ import annotations

import argparse
from pathlib import Path

from keim.cli.exit_codes import ExitCode
from keim.cli.output import note, print_json
from keim.io.audit_files import create_log_key


def run(args: argparse.Namespace) -> int:
    signer = create_log_key(Path(args.file), args.name)
    if args.json:
        print_json({"file": args.file, "name": args.name, "log_key": signer.key.text})
    else:
        print(signer.key.text)
        note(f"the private key is in {args.file}; publish the line above where auditors find it")
    return ExitCode.OK
