"""`keim smdp order`: ES2+ towards our SM-DP+ or anybody's."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from keim.cli.exit_codes import ExitCode
from keim.cli.output import note, print_json
from keim.cli.parser import Nouns
from keim.cli.smdp.stock import add_listing, run_list
from keim.errors import Refused

Run = Callable[[Any, argparse.Namespace], Awaitable[dict[str, Any]]]


def register(verbs: Nouns) -> None:
    parser = verbs.add_parser("order", help="order profiles over ES2+, show activation codes")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = _action(actions, "create", "DownloadOrder and ConfirmOrder; prints the activation code", _create)
    create.add_argument("--type", metavar="NAME", help="profile type")
    create.add_argument("--iccid", metavar="DIGITS", help="one certain profile")
    _terms(create)
    create.add_argument("--hold", action="store_true", help="confirm without releasing")
    confirm = _action(actions, "confirm", "ConfirmOrder of an order that exists", _confirm)
    confirm.add_argument("iccid", metavar="ICCID")
    _terms(confirm)
    confirm.add_argument("--hold", action="store_true", help="confirm without releasing")
    release = _action(actions, "release", "ReleaseProfile", _release)
    release.add_argument("iccid", metavar="ICCID")
    cancel = _action(actions, "cancel", "CancelOrder", _cancel)
    cancel.add_argument("iccid", metavar="ICCID")
    cancel.add_argument("--eid", metavar="EID", help="needed where the order is for one EID")
    cancel.add_argument("--matching-id", metavar="ID")
    cancel.add_argument("--final", action="store_true", help="not back to stock: never to be used again")
    cancel.add_argument("--yes", action="store_true", help="do it without asking")
    listing = actions.add_parser("list", help="profiles and orders in the server's own database")
    add_listing(listing)
    listing.set_defaults(run=run_list)


def _action(actions: Nouns, name: str, help_: str, run: Run) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=help_)
    parser.add_argument("--server", required=True, metavar="URL", help="ES2+ of the SM-DP+")
    parser.add_argument("--server-name", metavar="NAME", help="its name in its certificate, if not the URL's")
    parser.add_argument("--pki", type=Path, default=Path("pki"), metavar="DIR", help="roots, own certificate")
    parser.add_argument("--as", dest="credential", default="eim-tls", metavar="NAME", help="own certificate")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--dry-run", action="store_true", help="show the ES2+ requests, send nothing")
    parser.set_defaults(run=lambda args: asyncio.run((_rehearse if args.dry_run else _call)(run, args)))
    return parser


def _terms(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--eid", metavar="EID", help="only this eUICC may download")
    parser.add_argument("--matching-id", metavar="ID", help="empty: a default SM-DP+ order, found by EID")
    parser.add_argument("--code", metavar="TEXT", help="confirmation code that the device must give")
    parser.add_argument("--smds", metavar="HOST", help="announce it at this SM-DS")


async def _rehearse(run: Run, args: argparse.Namespace) -> int:
    from keim.cli.smdp.rehearsal import Rehearsal

    rehearsal = Rehearsal(args.eid if "eid" in args else None)
    await run(rehearsal, args)
    if args.json:
        print_json({"would_send": rehearsal.requests, "server": args.server})
    else:
        for request in rehearsal.requests:
            members = [f"{name}={value!r}" for name, value in request.items() if name != "function"]
            print(f"{request['function']}: {' '.join(members)}")
        note(f"nothing was sent to {args.server}")
    return ExitCode.OK


async def _call(run: Run, args: argparse.Namespace) -> int:
    from keim.app.identity import name_of
    from keim.io.pki_files import load_world
    from keim.io.rsp_clients import Es2Client, rsp_client
    from keim.io.world_clock import SystemClock
    from keim.pki import Role

    world = load_world(args.pki)
    credential = world.get(args.credential)
    http = rsp_client(
        args.server,
        world,
        credential,
        role=Role.DP_TLS,
        now=SystemClock().now,
        server_name=args.server_name,
    )
    client = Es2Client(http, requester=name_of(credential.certificate))
    try:
        document = await run(client, args)
    except RefusedByServer as refused:
        failure = refused.failure
        if args.json:
            print_json({"refused": {"code": str(failure.code), "message": failure.message}})
        note(f"keim smdp: refused: {failure.code} {failure.message}")
        return ExitCode.REFUSED_BY_PEER
    finally:
        client.close()
    if args.json:
        print_json(document)
    else:
        _show(document)
    return ExitCode.OK


class RefusedByServer(Exception):
    def __init__(self, failure: Any) -> None:
        super().__init__(str(failure.code))
        self.failure = failure


def _ok(answer: Any) -> Any:
    from keim.messages.execution_status import Failure

    if isinstance(answer, Failure):
        raise RefusedByServer(answer)
    return answer


async def _create(client: Any, args: argparse.Namespace) -> dict[str, Any]:
    if args.type is None and args.iccid is None:
        raise Refused("--type or --iccid is needed", code="smdp.incomplete_request")
    ordered = _ok(await client.download_order(iccid=args.iccid, profile_type=args.type, eid=args.eid))
    args.iccid = ordered.iccid
    return await _confirm(client, args)


async def _confirm(client: Any, args: argparse.Namespace) -> dict[str, Any]:
    from keim.smdp.activation_code import activation_code

    confirmed = _ok(
        await client.confirm_order(
            args.iccid,
            eid=args.eid,
            matching_id=args.matching_id,
            confirmation_code=args.code,
            smds_address=args.smds,
            release=not args.hold,
        )
    )
    document: dict[str, Any] = {"iccid": args.iccid, "matching_id": confirmed.matching_id}
    if confirmed.eid is not None:
        document["eid"] = confirmed.eid
    if confirmed.matching_id and confirmed.smdp_address:
        document["activation_code"] = activation_code(
            confirmed.smdp_address, confirmed.matching_id, needs_confirmation=args.code is not None
        )
    return document | {"released": not args.hold}


async def _release(client: Any, args: argparse.Namespace) -> dict[str, Any]:
    _ok(await client.release_profile(args.iccid))
    return {"iccid": args.iccid, "released": True}


async def _cancel(client: Any, args: argparse.Namespace) -> dict[str, Any]:
    if not args.yes and not args.dry_run:
        if not sys.stdin.isatty():
            raise Refused("cancelling wants --yes where nobody can be asked", code="smdp.incomplete_request")
        if input(f"cancel the order of {args.iccid}? [y/N] ").strip().lower() != "y":
            raise Refused("not confirmed", code="smdp.incomplete_request")
    answer = await client.cancel_order(
        args.iccid, eid=args.eid, matching_id=args.matching_id, is_final=args.final
    )
    _ok(answer)
    return {"iccid": args.iccid, "state": "unavailable" if args.final else "available"}


def _show(document: dict[str, Any]) -> None:
    for name, value in document.items():
        print(f"{name.replace('_', ' ')}: {value}")
    if "activation_code" in document and sys.stdout.isatty():
        _draw(f"LPA:{document['activation_code']}")


def _draw(text: str) -> None:
    """As a QR code, which phones scan."""
    try:
        import segno
    except ModuleNotFoundError:
        note("no QR code: that needs the package segno (pip install 'keim[server]')")
        return
    segno.make_qr(text, error="m").terminal(compact=True)
