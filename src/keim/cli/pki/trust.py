"""`keim pki trust FILE`: believe chains under one more root, such as the GSMA CI, whose key is elsewhere."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from keim.cli.exit_codes import ExitCode
from keim.cli.output import note, print_json
from keim.cli.pki.common import document_of, print_table
from keim.errors import Refused
from keim.io.pem import read_certificates
from keim.io.pki_files import changing, check_name, save_files
from keim.pki import Certificate, Curve, Role
from keim.pki.describe import role_of
from keim.pki.world import Credential, World


def run(args: argparse.Namespace) -> int:
    with changing(args.dir) as before:
        world = before
        found = [root for file in args.files for root in _roots(Path(file))]
        new = {root: curve for root, curve in found if root not in world.roots}
        added = []
        for root, curve in new.items():
            name = _name(world, args.name, curve)
            credential = Credential(name=name, role=Role.CI, curve=curve, certificate=root)
            world = world.with_credential(credential)
            added.append(credential)
        if added and not args.dry_run:
            save_files(args.dir, world)
    if args.json:
        print_json({"written": not args.dry_run, "credentials": [document_of(c) for c in added]})
        return ExitCode.OK
    print_table(tuple(added))
    if len(added) < len(found):
        note(f"{len(found) - len(added)} trusted already")
    if args.dry_run:
        note("dry run: nothing was written")
    return ExitCode.OK


def _roots(path: Path) -> Iterator[tuple[Certificate, Curve]]:
    for certificate in read_certificates(path):
        if certificate.curve is None:
            raise Refused(
                f"{path}: {certificate.title} is on no curve of this standard", code="pki.unsupported_curve"
            )
        if not (certificate.is_self_issued and role_of(certificate) is Role.CI):
            raise Refused(f"{path}: {certificate.title} is no root of a CI", code="pki.not_a_root")
        yield certificate, certificate.curve


def _name(world: World, given: str | None, curve: Curve) -> str:
    """Never one that is taken: a root that is trusted replaces none."""
    base = given or "trusted"
    check_name(base)
    names = (base if number == 1 else f"{base}-{number}" for number in count(1))
    return next(name for name in names if world.find(name, curve) is None)
