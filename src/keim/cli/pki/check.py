"""`keim pki check CHAIN... --role ROLE`: the verdict per certificate, and exit code 4 for a refusal."""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path

from keim.cli.exit_codes import ExitCode
from keim.cli.output import Colour, coloured, note, print_json
from keim.cli.pki.common import time_of
from keim.errors import Refused
from keim.ids import Eid, Oid
from keim.io.pem import read_certificates, read_crls
from keim.io.pki_files import MANIFEST, load_world
from keim.pki import Certificate, Crl, Role, Validation, validate
from keim.pki.codes import authenticate_error, download_error, es9_code
from keim.pki.dates import time_text


def run(args: argparse.Namespace) -> int:
    eid = None if args.eid is None else str(Eid(args.eid))
    oid = None if args.oid is None else Oid(args.oid)
    chain = [certificate for path in args.chain for certificate in read_certificates(Path(path))]
    roots, crls = _trust(args)
    now = None if args.no_clock else time_of(args.at)
    validation = validate(
        chain[0],
        chain[1:],
        roots,
        role=args.role,
        now=now,
        crls=crls,
        server_name=args.name,
        server_oid=oid,
        as_client=args.as_client,
        eid=eid,
    )
    if args.json:
        print_json(_document(validation, now))
    else:
        _print(validation)
    return ExitCode.OK if validation.ok else ExitCode.REFUSED_BY_PEER


def _trust(args: argparse.Namespace) -> tuple[list[Certificate], list[Crl]]:
    """Roots and CRLs that are named; without --root those of the PKI in --dir."""
    crls = [crl for path in args.crl for crl in read_crls(Path(path))]
    if args.root:
        return [root for path in args.root for root in read_certificates(Path(path))], crls
    if not (Path(args.dir) / MANIFEST).is_file():
        raise Refused(
            f"no --root was given, and {args.dir} holds no PKI whose roots could be used",
            code="pki.world_not_found",
        )
    world = load_world(args.dir)
    return list(world.roots), crls or list(world.crls)


def _document(validation: Validation, now: datetime | None) -> dict[str, object]:
    document: dict[str, object] = {
        "verdict": validation.verdict.value,
        "role": validation.role.value,
        "at": now.isoformat() if now else None,
        "reason": validation.reason or None,
        "chain": [
            {
                "subject": certificate.title,
                "serial": f"{certificate.serial:X}",
                "valid_until": time_text(certificate.not_after),
                "verdict": word,
            }
            for certificate, word in validation.findings()
        ],
    }
    return document | _codes(validation)


def _codes(validation: Validation) -> dict[str, object]:
    """What the protocols answer to such a chain."""
    if validation.ok:
        return {}
    if validation.role is Role.EUICC and (code := es9_code(validation)):
        return {"es9": f"{code[0]}/{code[1]}"}
    if validation.role in (Role.DP_AUTH, Role.DS_AUTH):
        return {"authenticate_error_code": authenticate_error(validation.verdict)}
    if validation.role is Role.DP_PB:
        return {"download_error_code": download_error(validation.verdict)}
    return {}


def _print(validation: Validation) -> None:
    width = max(len(word) for _, word in validation.findings())
    for depth, (certificate, word) in enumerate(validation.findings()):
        colour: Colour = "green" if word == "ok" else "dim" if word == "not judged" else "red"
        until = time_text(certificate.not_after)[:10]
        print(f"{coloured(word.ljust(width), colour)}  {'  ' * depth}{certificate.title}  (until {until})")
    if validation.ok:
        print(f"{coloured('ok', 'green')}: accepted as {validation.role}")
        return
    print(f"{coloured(validation.verdict.value, 'red')}: {validation.reason}")
    for name, value in _codes(validation).items():
        print(f"  {name}: {value}")
    note(f"  more: keim explain {validation.verdict.code}")
