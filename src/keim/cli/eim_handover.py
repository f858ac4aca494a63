"""`keim eim handover`: devices to another eIM, and from one: what each side's operator does."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from keim.cli.exit_codes import ExitCode
from keim.cli.operating import document_of, show, show_all, verb
from keim.cli.output import note, print_json
from keim.cli.parser import Nouns
from keim.errors import Refused

if TYPE_CHECKING:
    from keim.api.client import Client
    from keim.api.client.models import ArrivingDevice, Handover, HandoverInvitation, LeavingDevice

_LARGEST = 256 * 1024 * 1024


def register(verbs: Nouns) -> None:
    parser = verbs.add_parser(
        "handover",
        help="hand devices over to another eIM, or take them from one",
        description="Hand devices over to another eIM (docs/how-to/move-a-fleet.md). Each command may be"
        " run again after a cut; the old eIM stays on a card until the new one has proved itself.",
    )
    inner = parser.add_subparsers(dest="handover_verb", metavar="VERB", required=True)
    _old_side(inner)
    _new_side(inner)


# the old eIM


def _old_side(verbs: Nouns) -> None:
    plan = verb(verbs, "plan", _plan, "old eIM: check which devices can go; nothing is ordered")
    plan.add_argument("invitation", type=Path, metavar="INVITATION", help="what the new eIM wrote")
    plan.add_argument("--key", required=True, metavar="KEY", help="the new eIM's log key, or a file with it")
    plan.add_argument("--name", metavar="NAME", help="of the hand-over (default: a random one)")
    which = plan.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true", help="every device")
    which.add_argument("--tag", metavar="TAG", help="devices with this tag")
    which.add_argument("--eids", type=Path, metavar="FILE", help="one EID a line")
    plan.add_argument(
        "--removed-by", choices=("new", "old"), default="new", help="who deletes the old entry (default: new)"
    )
    verb(verbs, "list", _list, "old eIM: the hand-overs")
    rehearse = _of_one(verb(verbs, "rehearse", _rehearse, "old eIM: everything but the orders"))
    rehearse.add_argument("--bundle", type=Path, metavar="FILE", help="for the new eIM to try (receive)")
    _of_one(verb(verbs, "start", _start, "old eIM: add the new one to each device from now on"))
    _of_one(verb(verbs, "stop", _stop, "old eIM: order nothing more; what no device has yet is withdrawn"))
    status = _of_one(verb(verbs, "status", _status, "old eIM: how many devices are at each step"))
    status.add_argument("--devices", action="store_true", help="each device instead, and why it waits")
    status.add_argument("--step", metavar="STEP", help="with --devices: only those")
    on = _of_one(verb(verbs, "continue", _continue, "old eIM: go on now; take a receipt; retry failures"))
    on.add_argument("--receipt", type=Path, metavar="FILE", help="what the new eIM wrote")
    on.add_argument("--retry", action="store_true", help="try again what failed")
    bundle = _of_one(verb(verbs, "bundle", _bundle, "old eIM: write what the new one must know"))
    bundle.add_argument("file", type=Path, metavar="FILE", help="must not exist")
    bundle.add_argument("--number", type=int, metavar="N", help="that one once more (default: the next)")


def _of_one(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("handover", metavar="HANDOVER", help="its name")
    return parser


def _plan(args: argparse.Namespace, client: Client) -> int:
    eids = None
    if args.eids is not None:
        eids = _read(args.eids).decode("ascii", "replace").split()
    made = client.handovers.plan(
        _read(args.invitation).decode("utf-8", "replace"),
        _key(args.key),
        name=args.name,
        eids=eids,
        tag=args.tag,
        removed_by=args.removed_by,
    )
    _show(made, args)
    note(f"Look at it: keim eim handover status {made.id} --devices; then rehearse and start it.")
    return ExitCode.OK


def _list(args: argparse.Namespace, client: Client) -> int:
    count = show_all(client.handovers.list(), _line, as_json=args.json)
    note(f"{count} hand-overs")
    return ExitCode.OK


def _line(row: Handover) -> tuple[object, ...]:
    return (row.id, row.to, _state(row), row.devices)


def _state(row: Handover) -> str:
    if row.started_at is None:
        return "planned"
    return "started" if row.stopped_at is None else "stopped"


def _rehearse(args: argparse.Namespace, client: Client) -> int:
    told = client.handovers.rehearse(args.handover)
    show(told, as_json=args.json)
    if args.bundle is not None:
        _write(args.bundle, client.handovers.bundle(args.handover, 0))
        note(f"{args.bundle}: the new eIM tries it with: keim eim handover receive {args.bundle}")
    return ExitCode.PARTLY_FAILED if told.blocked else ExitCode.OK


def _start(args: argparse.Namespace, client: Client) -> int:
    started = client.handovers.start(args.handover)
    _show(started, args)
    if started.approval is not None:
        note(f"It waits for the approval {started.approval}.")
    return ExitCode.OK


def _stop(args: argparse.Namespace, client: Client) -> int:
    _show(client.handovers.stop(args.handover), args)
    note("Devices whose eUICC knows the new eIM go on; `start` and `continue --retry` take up the others.")
    return ExitCode.OK


def _status(args: argparse.Namespace, client: Client) -> int:
    if args.devices:
        rows = client.handovers.devices(args.handover, step=args.step)
        show_all(rows, _device_line, as_json=args.json)
    else:
        _show(client.handovers.get(args.handover), args)
    return ExitCode.OK


def _device_line(row: LeavingDevice) -> tuple[object, ...]:
    return (row.eid, row.step, row.at, "" if row.bundle is None else f"bundle {row.bundle}", row.why)


def _continue(args: argparse.Namespace, client: Client) -> int:
    unproved: dict[str, str] = {}
    moved = 0
    if args.receipt is not None:
        told = client.handovers.take_receipt(args.handover, _read(args.receipt))
        moved, unproved = told.moved, told.unproved
    if client.handovers.get(args.handover).started_at is not None:
        moved += client.handovers.go_on(args.handover, retries=args.retry).moved
    found = client.handovers.get(args.handover)
    if args.json:
        print_json({"moved": moved, "unproved": unproved, "handover": document_of(found)})
    else:
        show(found, as_json=False)
        note(f"{moved} steps")
    for eid, why in unproved.items():
        note(f"not believed: {eid}: {why}")
    return ExitCode.REFUSED_BY_PEER if unproved else ExitCode.OK


def _bundle(args: argparse.Namespace, client: Client) -> int:
    number = args.number
    if number is None:
        number = client.handovers.write_bundle(args.handover).number
    octets = client.handovers.bundle(args.handover, number)
    _write(args.file, octets)
    if args.json:
        print_json({"file": str(args.file), "number": number, "octets": len(octets)})
    else:
        print(args.file)
        note(f"bundle {number}, {len(octets)} octets; at the new eIM: keim eim handover receive {args.file}")
    return ExitCode.OK


def _show(row: Handover, args: argparse.Namespace) -> None:
    show(row, as_json=args.json)


# the new eIM


def _new_side(verbs: Nouns) -> None:
    invite = verb(verbs, "invite", _invite, "new eIM: say what eUICCs and the old eIM must know of it")
    invite.add_argument("file", type=Path, metavar="FILE", help="the invitation; must not exist")
    invite.add_argument("--from", dest="sender", metavar="KEY", default="", help="the old eIM's log key")
    invite.add_argument("--counter", type=int, default=0, metavar="N", help="where eUICCs begin to count")
    invite.add_argument("--days", type=float, default=30, metavar="N", help="good for so long (default: 30)")
    verb(verbs, "invitations", _invitations, "new eIM: invitations, and how many devices came by each")
    arriving = verb(verbs, "arriving", _arriving, "new eIM: where each device of an invitation stands")
    arriving.add_argument("invitation", metavar="INVITATION", help="its id, or its file")
    receive = verb(verbs, "receive", _receive, "new eIM: take a bundle; exit code 7 if devices were left out")
    receive.add_argument("file", type=Path, metavar="FILE", help="the bundle")
    receive.add_argument(
        "--from", dest="sender", metavar="KEY", default="", help="if the invitation has none"
    )
    receipt = verb(verbs, "receipt", _receipt, "new eIM: write how it stands with the devices of a bundle")
    receipt.add_argument("invitation", metavar="INVITATION", help="its id, or its file")
    receipt.add_argument("file", type=Path, metavar="FILE", help="the receipt; an older one is replaced")
    receipt.add_argument("--number", type=int, default=1, metavar="N", help="of the bundle (default: 1)")


def _invite(args: argparse.Namespace, client: Client) -> int:
    made = client.invitations.create(
        sender_key=_key(args.sender) if args.sender else "", counter=args.counter, days=args.days
    )
    _write(args.file, made.paper.encode())
    show(made, as_json=True) if args.json else print(made.id)
    note(f"Give {args.file} and the public key of this eIM's log to the old eIM.")
    return ExitCode.OK


def _invitations(args: argparse.Namespace, client: Client) -> int:
    count = show_all(client.invitations.list(), _invitation_line, as_json=args.json)
    note(f"{count} invitations")
    return ExitCode.OK


def _invitation_line(row: HandoverInvitation) -> tuple[object, ...]:
    return (row.id, row.expires_at, row.old_eim_id, row.devices, row.bundles)


def _arriving(args: argparse.Namespace, client: Client) -> int:
    show_all(client.invitations.devices(_invitation(args.invitation)), _arriving_line, as_json=args.json)
    return ExitCode.OK


def _arriving_line(row: ArrivingDevice) -> tuple[object, ...]:
    return (row.eid, row.step, row.at, row.bundle, row.why)


def _receive(args: argparse.Namespace, client: Client) -> int:
    paper = _read(args.file)
    sender = _key(args.sender) if args.sender else ""
    taken = client.invitations.take_bundle(_invitation_in(paper), paper, sender_key=sender)
    show(taken, as_json=args.json)
    for eid, code in taken.refused.items():
        note(f"left out: {eid}: {code}")
    if taken.is_rehearsal:
        note("It was a rehearsal: nothing was taken.")
    return ExitCode.PARTLY_FAILED if taken.refused else ExitCode.OK


def _invitation_in(paper: bytes) -> str:
    found = _member_of(paper, "invitation")
    if found is None:
        raise Refused("this is no bundle of a hand-over", code="handover.no_bundle")
    return found


def _member_of(paper: bytes, name: str) -> str | None:
    """An id in the first line of a paper."""
    try:
        found = json.loads(paper[: paper.find(b"\n")])[name]
    except (ValueError, LookupError, TypeError):
        return None
    return found if isinstance(found, str) and re.fullmatch("[0-9a-f]{32}", found) else None


def _receipt(args: argparse.Namespace, client: Client) -> int:
    octets = client.invitations.receipt(_invitation(args.invitation), args.number)
    _write(args.file, octets, replaces=True)
    if args.json:
        print_json({"file": str(args.file), "number": args.number, "octets": len(octets)})
    else:
        print(args.file)
        note(f"at the old eIM: keim eim handover continue HANDOVER --receipt {args.file}")
    return ExitCode.OK


# files


def _key(given: str) -> str:
    """A key as a line, or the file that holds it."""
    path = Path(given)
    return path.read_text("utf-8", "replace").strip() if path.is_file() else given


def _invitation(given: str) -> str:
    """An id, or the file that `invite` has written."""
    path = Path(given)
    if not path.is_file():
        return given
    found = _member_of(_read(path), "id")
    if found is None:
        raise Refused(f"{path} is no invitation of a hand-over", code="handover.bad_invitation")
    return found


def _read(path: Path) -> bytes:
    if str(path) == "-":
        return sys.stdin.buffer.read(_LARGEST)
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST)
    except OSError as fault:
        raise Refused(f"{path}: {fault.strerror}", code="client.bad_input") from None


def _write(path: Path, octets: bytes, *, replaces: bool = False) -> None:
    """Readable by its owner alone: a bundle tells much of a fleet."""
    from keim.io.pem import write_file

    if path.exists() and not replaces:
        raise Refused(f"{path} exists already", code="client.bad_input")
    write_file(path, octets, mode=0o600)
