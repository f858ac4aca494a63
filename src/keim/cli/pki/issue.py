"""`keim pki issue ROLE`: one more certificate, for a key of ours or for somebody else's."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from keim.cli.exit_codes import ExitCode
from keim.cli.output import note, print_json
from keim.cli.pki.common import curve_of, document_of, note_check_digits, print_table
from keim.errors import Refused
from keim.ids import Eid
from keim.io.pem import read_public_key, read_request_key, write_file, write_private_key
from keim.io.pki_files import changing, check_name, save_files
from keim.pki import Role
from keim.pki import extensions as ext
from keim.pki.issue import Particulars
from keim.pki.profiles import PROFILES
from keim.pki.world import Credential, World, add


def run(args: argparse.Namespace) -> int:
    role = Role(args.role)
    if role is Role.EUICC and args.eid is not None:
        args.eid = str(Eid(args.eid))
        note_check_digits(args.eid)
    public_key = _public_key(args)
    with changing(args.dir) as world:
        above = _issuer(world, role, args)
        name = _name(world, role, above, args)
        credential = add(
            name,
            role,
            above,
            _particulars(world, role, above, args),
            now=datetime.now(UTC),
            public_key=public_key,
        )
        if not args.dry_run:
            save_files(args.dir, world.with_credential(credential))
    if args.out and not args.dry_run:
        _write(Path(args.out), credential)
    if args.json:
        print_json(document_of(credential) | {"written": not args.dry_run})
    else:
        print_table((credential,))
        note(f"{'would be' if args.dry_run else 'is'} {args.dir}/{credential.curve.value}/{name}.pem")
        if args.out and not args.dry_run:
            note(f"and {args.out}.pem" + (f", {args.out}.key" if credential.key is not None else ""))
    return ExitCode.OK


def _public_key(args: argparse.Namespace) -> ec.EllipticCurvePublicKey | None:
    if args.csr:
        return read_request_key(Path(args.csr))
    return read_public_key(Path(args.public_key)) if args.public_key else None


def _issuer(world: World, role: Role, args: argparse.Namespace) -> Credential:
    """The nearest authority that the role belongs under: its sub-CA before the CI's, that before the CI."""
    curve = curve_of(args.curve) or world.curves[0]
    if args.issuer:
        return world.get(args.issuer, curve)
    for candidate in reversed(PROFILES[role].issued_by):
        for found in world.of_role(candidate, curve):
            if args.eid is None or role is not Role.EUICC or _covers(found, args.eid):
                return found
    if role is Role.EUICC and (eums := world.of_role(Role.EUM, curve)):
        eins = ", ".join(ein for eum in eums for ein in eum.certificate.constraints.listed_eins)
        raise Refused(
            f"no EUM here covers EID {args.eid}: their EINs are {eins}; `keim pki issue eum` adds one",
            code="pki.eid_out_of_range",
        )
    raise Refused(
        f"no authority here may issue certificates for the role {role}", code="pki.credential_not_found"
    )


def _covers(authority: Credential, eid: str) -> bool:
    eins = authority.certificate.constraints.listed_eins
    return not eins or eid.startswith(eins)


def _name(world: World, role: Role, above: Credential, args: argparse.Namespace) -> str:
    given: str | None = args.name
    if given:
        check_name(given)
        names = [given]
    elif role is Role.EUICC:
        names = [f"euicc/{args.eid}"]
    else:
        names = [role.value, *(f"{role.value}-{number}" for number in range(2, 10_000))]
    for name in names:
        if world.find(name, above.curve) is None:
            return name
    raise Refused(f"{names[0]} is there already: rotate it, or give --name", code="pki.name_taken")


def _particulars(world: World, role: Role, above: Credential, args: argparse.Namespace) -> Particulars:
    profile = PROFILES[role]
    like = next(iter(world.of_role(role, above.curve)), None)
    attributes = dict(like.certificate.names.known) if like is not None else {}
    attributes.pop("serialNumber", None)
    if role in (Role.EUICC, Role.EUM_SUB_CA):
        attributes["O"] = _constrained_organization(above) or attributes.get("O", "")
    common_name = args.cn or (args.dns[0] if args.dns else attributes.get("CN", f"keim Test {role}"))
    attributes |= {"CN": common_name}
    if args.organization:
        attributes["O"] = args.organization
    subject = {label: attributes[label] for label in profile.subject if attributes.get(label)}
    return Particulars(
        subject=subject,
        eid=args.eid if role is Role.EUICC else None,
        eins=tuple(args.ein),
        oid=args.oid or (_oid(like) if profile.has_registered_id else None),
        dns_names=tuple(args.dns),
        ip_addresses=tuple(args.ip),
        crl_addresses=ext.crl_addresses(above.certificate.extensions),
        days=args.days,
        is_v3=args.v3,
    )


def _constrained_organization(above: Credential) -> str | None:
    return above.certificate.names.organization


def _oid(like: Credential | None) -> str | None:
    if like is None:
        return None
    oids = like.certificate.alternative_names.registered_ids
    return oids[0] if oids else None


def _write(base: Path, credential: Credential) -> None:
    chain = b"".join(c.pem for c in (credential.certificate, *credential.chain))
    write_file(base.with_name(base.name + ".pem"), chain)
    if credential.key is not None:
        write_private_key(base.with_name(base.name + ".key"), credential.key)
