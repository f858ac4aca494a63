"""`keim pki rotate NAME`: a new certificate of the same contents; the old one is kept as `previous`."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from keim.cli.exit_codes import ExitCode
from keim.cli.output import note, print_json
from keim.cli.pki.common import curve_of, document_of, print_table
from keim.io.pki_files import changing, save_files
from keim.pki.world import rotate


def run(args: argparse.Namespace) -> int:
    curve = curve_of(args.curve)
    with changing(args.dir) as world:
        old = world.get(args.name, curve)
        after = rotate(
            world, args.name, now=datetime.now(UTC), curve=curve, keep_key=args.keep_key, days=args.days
        )
        if not args.dry_run:
            save_files(args.dir, after)
    new = after.get(old.name, old.curve)
    if args.json:
        print_json({"written": not args.dry_run, "new": document_of(new), "previous": document_of(old)})
    else:
        print_table((new,))
        note(f"the previous one (serial {old.certificate.serial:X}) stays valid; revoke it with keim pki crl")
    return ExitCode.OK
