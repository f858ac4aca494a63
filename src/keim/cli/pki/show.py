"""`keim pki show FILE|DIR...`: every field that a person needs."""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path

from keim.cli.exit_codes import ExitCode
from keim.cli.output import print_json
from keim.cli.pki.common import document_of, print_table, time_of
from keim.errors import Malformed
from keim.io.pem import blocks, no_certificate, read_octets
from keim.io.pki_files import load_world
from keim.pki import Certificate, Crl
from keim.pki.describe import describe, describe_crl


def run(args: argparse.Namespace) -> int:
    now = time_of(args.at)
    documents: list[dict[str, object]] = []
    for path in map(Path, args.paths):
        if path.is_dir():
            documents.append(_show_directory(path, as_json=args.json))
            continue
        for document in _read(path, now):
            documents.append({"file": str(path)} | document)
            if not args.json:
                _print(documents[-1])
    if args.json:
        print_json(documents[0] if len(documents) == 1 else documents)
    return ExitCode.OK


def _show_directory(path: Path, *, as_json: bool) -> dict[str, object]:
    world = load_world(path)
    if not as_json:
        print_table(world.credentials)
        for credential in world.previous:
            print(f"previous: {credential.name}  {credential.curve.value}  {credential.certificate.serial:X}")
    return {
        "directory": str(path),
        "credentials": [document_of(c) for c in world.credentials],
        "previous": [document_of(c) for c in world.previous],
        "crls": [describe_crl(crl) for crl in world.crls],
    }


def _read(path: Path, now: datetime) -> list[dict[str, object]]:
    found = []
    octets = read_octets(path)
    for label, der in blocks(octets):
        if label == "CERTIFICATE":
            found.append(describe(Certificate(der), now=now))
        elif label == "X509 CRL":
            found.append(describe_crl(Crl(der)))
        elif label == "":
            found.append(_describe_der(der, now))
    if not found:
        raise no_certificate(path, octets, "certificate or CRL")
    return found


def _describe_der(der: bytes, now: datetime) -> dict[str, object]:
    """DER does not say what it is; the certificate's complaint is told when it is neither."""
    try:
        return describe(Certificate(der), now=now)
    except Malformed as complaint:
        try:
            return describe_crl(Crl(der))
        except Malformed:
            raise complaint from None


def _print(document: dict[str, object]) -> None:
    width = max(map(len, document))
    for name, value in document.items():
        if isinstance(value, list):
            lines = [
                ", ".join(f"{k} {v}" for k, v in item.items()) if isinstance(item, dict) else str(item)
                for item in value
            ]
        else:
            lines = [str(value)]
        for index, line in enumerate(lines):
            print(f"{(name if index == 0 else '').ljust(width)}  {line}")
    print()
