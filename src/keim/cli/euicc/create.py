"""`keim euicc create CARD`: a card file, and a test PKI when there is none."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime
from pathlib import Path

from keim.app.new_card import identity_from, next_eid, preloaded, require_issuable, with_euicc
from keim.cli.euicc.common import document_of, print_card
from keim.cli.exit_codes import ExitCode
from keim.cli.output import note, print_json
from keim.errors import Refused
from keim.euicc.channels import MOST_CHANNELS
from keim.euicc.identity import Options
from keim.ids import Eid
from keim.io.card_file import CardFile
from keim.io.pki_files import MANIFEST, changing, create_files, save_files
from keim.pki import Curve
from keim.pki.world import WorldPlan, create_world

ADDRESS = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,126}[A-Za-z0-9])?(?::[0-9]{1,5})?")


def run(args: argparse.Namespace) -> int:
    path = Path(args.card)
    if path.exists():
        raise Refused(f"{path} exists already.", code="euicc.card_file_exists")
    if not path.parent.is_dir():
        raise Refused(f"There is no folder {path.parent}.", code="euicc.card_file_not_found")
    options = options_of(args)
    state = preloaded(
        (_read(name) for name in args.profile),
        is_first_enabled=args.enable,
        memory_octets=options.memory_octets,
    )
    folder = Path(args.pki)
    now = datetime.now(UTC)
    wanted = None if args.eid is None else Eid(args.eid)
    if not (folder / MANIFEST).is_file():
        create_files(folder, create_world(_plan(args, wanted), now=now))
        note(f"made a test PKI in {folder}: no bought card or public server trusts it")
    with changing(folder) as world:
        eid = wanted if wanted is not None else next_eid(world)
        extended = with_euicc(world, eid, now=now)
        require_issuable(extended, eid, now=now)
        if extended is not world:
            save_files(folder, extended)
    identity = identity_from(
        extended,
        eid,
        options=options,
        default_smdp_address=args.smdp,
        root_smds_address=args.smds,
    )
    with CardFile.create(path, identity, state):
        pass
    if args.json:
        print_json(document_of(identity, state) | {"card": str(path), "pki": str(folder)})
    else:
        print_card(identity, state)
        note(f"the card is {path}. next: keim euicc serve {path} --tcp 0")
    return ExitCode.OK


def options_of(args: argparse.Namespace) -> Options:
    if not 1 <= args.channels <= MOST_CHANNELS:
        raise Refused(f"--channels is a number from 1 to {MOST_CHANNELS}", code="euicc.bad_option")
    if args.memory is not None and not 0 < args.memory < 1 << 32:
        raise Refused("--memory is a number of octets below 4 GiB", code="euicc.bad_option")
    if args.enable and not args.profile:
        raise Refused("--enable needs a --profile", code="euicc.bad_option")
    for name, address in (("smdp", args.smdp), ("smds", args.smds)):
        if address and not ADDRESS.fullmatch(address):
            message = f"--{name}: {address!r} is no host name, with or without :PORT"
            raise Refused(message, code="euicc.bad_option")
    return Options(
        is_consumer=args.consumer,
        es10c=args.es10c,
        channels=args.channels,
        has_ipae=args.ipae,
        memory_octets=args.memory or Options().memory_octets,
    )


def _plan(args: argparse.Namespace, eid: Eid | None) -> WorldPlan:
    curves = tuple(Curve) if args.curve == "both" else (Curve(args.curve),)
    return WorldPlan(curves=curves) if eid is None else WorldPlan(curves=curves, eins=(eid[:8],))


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as fault:
        raise Refused(f"{name}: {fault.strerror}", code="euicc.profile_not_found") from None
