"""`keim pki init DIR`: a complete test world in one command."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from keim.cli.exit_codes import ExitCode
from keim.cli.output import note, print_json
from keim.cli.pki.common import document_of, note_check_digits, print_table
from keim.errors import Refused
from keim.ids import Eid
from keim.io.pki_files import create_files, refuse_if_occupied
from keim.pki import Curve
from keim.pki.world import Variant, WorldPlan, create_world, example_eids


def run(args: argparse.Namespace) -> int:
    refuse_if_occupied(args.directory, force=args.force)
    world = create_world(plan_of(args), now=datetime.now(UTC))
    moved = None if args.dry_run else create_files(args.directory, world, force=args.force)
    if moved is not None:
        note(f"the PKI that was there is now {moved}")
    if args.json:
        print_json(
            {
                "directory": args.directory,
                "written": not args.dry_run,
                "moved_aside": str(moved) if moved else None,
                "credentials": [document_of(c) for c in world.credentials],
            }
        )
        return ExitCode.OK
    print_table(world.credentials)
    if args.dry_run:
        note("dry run: nothing was written")
    else:
        note(f"{len(world.credentials)} certificates with keys (mode 0600) in {args.directory}")
        note(f"test only: no bought card or public server trusts this. next: keim pki show {args.directory}")
    return ExitCode.OK


def plan_of(args: argparse.Namespace) -> WorldPlan:
    eins = tuple(args.ein) or _eins_for(args.eid)
    count = args.euiccs if args.euiccs is not None else (0 if args.eid else 1)
    if count < 0 or count > 100_000:
        raise Refused("--euiccs is a number from 0 to 100000", code="pki.incomplete_request")
    given = [str(Eid(eid)) for eid in args.eid]
    for eid in given:
        note_check_digits(eid)
        if not eid.startswith(eins):
            raise Refused(
                f"EID {eid} begins with none of the EINs {', '.join(eins)}", code="pki.eid_out_of_range"
            )
    new = [str(eid) for eid in example_eids(count, eins[0])]
    return WorldPlan(
        curves=tuple(Curve) if args.curve == "both" else (Curve(args.curve),),
        variant=Variant(args.variant),
        eids=tuple(dict.fromkeys(given + new)),
        eins=eins,
        organization=args.organization,
        smdp_address=args.smdp,
        smds_address=args.smds,
        eim_address=args.eim,
        crl_address=args.crl_url,
    )


def _eins_for(eids: list[str]) -> tuple[str, ...]:
    """Without --ein: our own test EIN, and the first eight digits of each EID that is asked for."""
    return tuple(dict.fromkeys(["89880000"] if not eids else [eid[:8] for eid in eids]))
