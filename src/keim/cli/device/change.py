"""`keim device register|tag|archive|admit|alarm-seen`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from keim.cli.exit_codes import ExitCode
from keim.cli.operating import confirm, show
from keim.errors import Refused

if TYPE_CHECKING:
    from keim.api.client import Client


def run_register(args: argparse.Namespace, client: Client) -> int:
    certificates = None
    if args.certificates is not None:
        euicc, eum = (_certificate(Path(name)) for name in args.certificates)
        certificates = (euicc, eum)
    made = client.devices.register(
        args.eid,
        token=args.association_token,
        counter=args.counter,
        tags=args.tag,
        certificates=certificates,
        signing_key=args.signer,
    )
    show(made, as_json=args.json)
    return ExitCode.OK


def _certificate(path: Path) -> bytes:
    from keim.io.pem import read_certificates

    return read_certificates(path)[0].der


def run_tag(args: argparse.Namespace, client: Client) -> int:
    if not args.add and not args.remove:
        raise Refused("name tags with --add or --remove", code="client.bad_input")
    show(client.devices.change(args.eid, add_tags=args.add, remove_tags=args.remove), as_json=args.json)
    return ExitCode.OK


def run_archive(args: argparse.Namespace, client: Client) -> int:
    confirm(f"archive {args.eid}? It will be answered like a stranger", args)
    show(client.devices.change(args.eid, state="archived", reason=args.reason), as_json=args.json)
    return ExitCode.OK


def run_admit(args: argparse.Namespace, client: Client) -> int:
    show(client.devices.change(args.eid, state="active", reason=args.reason), as_json=args.json)
    return ExitCode.OK


def run_alarm_seen(args: argparse.Namespace, client: Client) -> int:
    show(client.devices.change(args.eid, clears_alarm=True, reason=args.reason), as_json=args.json)
    return ExitCode.OK
