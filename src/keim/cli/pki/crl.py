"""`keim pki crl`: a new revocation list of an authority."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from keim.cli.exit_codes import ExitCode
from keim.cli.output import note, print_json
from keim.cli.pki.common import curve_of
from keim.errors import Refused
from keim.io.pem import write_file
from keim.io.pki_files import changing, save_files
from keim.pki import Curve
from keim.pki.describe import describe_crl
from keim.pki.world import World, revoke


def run(args: argparse.Namespace) -> int:
    now = datetime.now(UTC)
    if args.days < 1:
        raise Refused("--days is at least 1", code="pki.incomplete_request")
    with changing(args.dir) as world:
        curve = curve_of(args.curve) or world.curves[0]
        serials = [serial for item in args.revoke for serial in _serials(world, item, curve)]
        after = revoke(world, serials, curve=curve, now=now, days=args.days, issuer=args.issuer)
        if not args.dry_run:
            save_files(args.dir, after)
    crl = after.crls[-1]
    if args.out and not args.dry_run:
        write_file(Path(args.out), crl.der)
    if args.json:
        print_json(describe_crl(crl, now=now) | {"written": not args.dry_run})
    else:
        print(f"CRL number {crl.number} of {args.issuer} ({curve.value}): {len(crl.revoked)} revoked")
        for serial in sorted(crl.revoked):
            print(f"  {serial:X}")
        if args.dry_run:
            note("dry run: nothing was written")
    return ExitCode.OK


def _serials(world: World, item: str, curve: Curve) -> list[int]:
    """A name means the certificate in use under it; a serial number is hexadecimal."""
    found = world.find(item, curve)
    if found is not None:
        return [found.certificate.serial]
    try:
        serial = int(item, 16)
    except ValueError:
        raise Refused(
            f"{item} is neither a name in this PKI nor a serial number in hex",
            code="pki.credential_not_found",
        ) from None
    if not 0 < serial < 1 << 160:
        raise Refused(f"{item} is no serial number of at most 20 octets", code="pki.incomplete_request")
    return [serial]
