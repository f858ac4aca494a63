"""`keim pki import FOLDER`: take over certificates and keys of elsewhere, such as SGP.26's."""

from __future__ import annotations

import argparse
from pathlib import Path

from keim.cli.exit_codes import ExitCode
from keim.cli.output import note, print_json
from keim.cli.pki.common import document_of, print_table, time_of
from keim.io.pki_files import create_files, refuse_if_occupied
from keim.io.pki_import import import_folder


def run(args: argparse.Namespace) -> int:
    if args.out:
        refuse_if_occupied(args.out, force=args.force)
    found = import_folder(Path(args.folder), now=time_of(args.at))
    credentials = found.world.credentials
    moved = create_files(args.out, found.world, force=args.force) if args.out and credentials else None
    if args.json:
        print_json(
            {
                "directory": args.out,
                "moved_aside": str(moved) if moved else None,
                "credentials": [document_of(c) for c in credentials],
                "skipped": [{"file": str(s.path), "reason": s.reason} for s in found.skipped],
                "missing": list(found.missing),
            }
        )
        return ExitCode.OK if credentials else ExitCode.NOT_FOUND
    print_table(credentials)
    for skipped in found.skipped:
        note(f"not taken: {skipped.path}: {skipped.reason}")
    for missing in found.missing:
        note(f"lacks: {missing}")
    if moved is not None:
        note(f"the PKI that was there is now {moved}")
    where = f"in {args.out}" if args.out else "found; --out DIR writes them"
    note(f"{len(credentials)} certificates {where}")
    return ExitCode.OK if credentials else ExitCode.NOT_FOUND
