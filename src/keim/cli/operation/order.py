"""`keim operation enable|disable|delete|download|...`: order, and wait if that is wished."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from keim.api.client.device_models import Target, Terms
from keim.api.client.operations import request_of
from keim.cli.device import add_filter
from keim.cli.device.show import filter_of
from keim.cli.exit_codes import ExitCode
from keim.cli.operating import confirm, moment, show, verb
from keim.cli.operation import follow
from keim.cli.output import note, print_json
from keim.cli.parser import Nouns
from keim.errors import Refused

if TYPE_CHECKING:
    from keim.api.client import Client

Body = Callable[[argparse.Namespace], dict[str, Any]]


def register(verbs: Nouns) -> None:
    enable = _profile(verbs, "enable", _enable, "enable a profile")
    enable.add_argument("--no-rollback", action="store_true", help="the IPA may not go back by itself")
    _profile(verbs, "disable", _plain("disable"), "disable a profile")
    _profile(verbs, "delete", _plain("delete"), "delete a profile", is_destructive=True)
    _order(verbs, "list-profiles", _plain("list_profiles"), "have the eUICC list its profiles, signed")
    _profile(verbs, "set-fallback", _plain("set_fallback_attribute"), "the profile to fall back to")
    _order(verbs, "unset-fallback", _plain("unset_fallback_attribute"), "no profile to fall back to")
    address = _order(verbs, "set-smdp", _set_smdp, "the eUICC's default SM-DP+")
    address.add_argument("address", metavar="ADDRESS", help="empty: none")
    download = _order(verbs, "download", _download, "download a profile", path="/downloads")
    source = download.add_mutually_exclusive_group(required=True)
    source.add_argument("--code", metavar="LPA:1$...", help="by activation code")
    source.add_argument("--default", action="store_true", help="from the eUICC's default SM-DP+")
    source.add_argument("--smds", nargs="?", const="", metavar="ADDRESS", help="by an SM-DS (default: root)")
    download.add_argument("--confirmation-code", metavar="CODE")
    data = _order(verbs, "data", _data, "ask for what IPA and eUICC know", path="/data-requests")
    data.add_argument("names", nargs="*", metavar="NAME", help="such as euicc_info2; none: everything")
    _order(verbs, "list-eims", _plain("list_eims"), "have the eUICC list its eIMs, signed", path="/ecos")
    for name, summary in (("add-eim", "add an eIM"), ("update-eim", "change an eIM's entry")):
        parser = _order(verbs, name, _configuration(name.replace("-", "_")), summary, path="/ecos")
        parser.add_argument("configuration", metavar="HEX|FILE", help="EimConfigurationData")
    leave = _order(verbs, "delete-eim", _delete_eim, "delete an eIM", path="/ecos", is_destructive=True)
    leave.add_argument("eim_id", metavar="EIM")
    leave.add_argument("--own", action="store_true", help="it is this eIM itself: the device is lost to it")


def _order(
    verbs: Nouns,
    name: str,
    body: Body,
    summary: str,
    *,
    path: str = "/operations",
    is_destructive: bool = False,
) -> argparse.ArgumentParser:
    parser = verb(verbs, name, _run, summary)
    parser.set_defaults(body=body, path=path, is_destructive=is_destructive)
    parser.add_argument("--eid", metavar="EID", help="for this device")
    parser.add_argument("--eids", metavar="FILE", help="for those in the file, one EID a line; - for stdin")
    add_filter(parser)
    parser.add_argument("--all", action="store_true", help="for every active device")
    terms = parser.add_argument_group("on which terms")
    terms.add_argument("--reason", default="", metavar="TEXT")
    terms.add_argument("--not-before", type=moment, metavar="TIME", help="it is planned until then")
    terms.add_argument("--expires", type=moment, metavar="TIME", help="who calls later does not get it")
    terms.add_argument("--supersedes", metavar="OPERATION", help="whose place it takes")
    terms.add_argument("--attempts", type=int, metavar="N", help="try again after a failure, so often in all")
    terms.add_argument("--pause", type=float, default=0, metavar="SECONDS", help="between attempts")
    parser.add_argument("--dry-run", action="store_true", help="show the request, send nothing")
    parser.add_argument("--yes", action="store_true", help="do it without asking")
    parser.add_argument("--wait", action="store_true", help="wait for its end; the exit code tells how")
    follow.add_waiting(parser)
    return parser


def _profile(
    verbs: Nouns, name: str, body: Body, summary: str, *, is_destructive: bool = False
) -> argparse.ArgumentParser:
    parser = _order(verbs, name, body, summary, is_destructive=is_destructive)
    parser.add_argument("iccid", metavar="ICCID")
    return parser


def _run(args: argparse.Namespace, client: Client) -> int:
    target, terms = _target(args), _terms(args)
    body = args.body(args)
    if args.dry_run:
        print_json({"would_send": {"path": f"/v1{args.path}", **request_of(body, target, terms)}})
        note("nothing was sent")
        return ExitCode.OK
    if args.is_destructive or target.eid is None:
        whom = target.eid or (f"{len(target.eids)} devices" if target.eids else "every device of the filter")
        confirm(f"{args.verb} for {whom}?", args)
    operation = client.operations.place(args.path, body, target, terms)
    if not args.wait:
        show(operation, as_json=args.json)
        note(f"keim operation wait {operation.id}")
        return ExitCode.OK
    return follow.wait(operation.id, args, client)


def _target(args: argparse.Namespace) -> Target:
    wanted = filter_of(args)
    is_filtered = bool(msgspec.to_builtins(wanted))
    named = [args.eid is not None, args.eids is not None, is_filtered, args.filter is not None, args.all]
    if sum(named) != 1:
        raise Refused(
            "name one of --eid, --eids, filters such as --tag, --filter, --all", code="client.bad_input"
        )
    if args.eid is not None:
        return Target(eid=args.eid)
    if args.eids is not None:
        return Target(eids=_eids(args.eids))
    return Target(saved_filter=args.filter) if args.filter is not None else Target(filter=wanted)


def _eids(name: str) -> tuple[str, ...]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        raise Refused(f"{name}: {fault}", code="client.file_not_found") from None
    eids = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not eids:
        raise Refused(f"{name} names no device", code="client.bad_input")
    return eids


def _terms(args: argparse.Namespace) -> Terms:
    retry = None if args.attempts is None else {"times": args.attempts, "pause_s": args.pause}
    return Terms(
        reason=args.reason,
        not_before=args.not_before,
        expires_at=args.expires,
        supersedes=args.supersedes,
        retry=retry,
    )


# what is asked


def _commands(command: dict[str, Any]) -> dict[str, Any]:
    return {"commands": [command]}


def _plain(name: str) -> Body:
    def body(args: argparse.Namespace) -> dict[str, Any]:
        iccid = {"iccid": args.iccid} if hasattr(args, "iccid") else {}
        return _commands({"command": name, **iccid})

    return body


def _enable(args: argparse.Namespace) -> dict[str, Any]:
    return _commands({"command": "enable", "iccid": args.iccid, "rollback": not args.no_rollback})


def _set_smdp(args: argparse.Namespace) -> dict[str, Any]:
    return _commands({"command": "set_default_smdp_address", "address": args.address})


def _download(args: argparse.Namespace) -> dict[str, Any]:
    body: dict[str, Any] = {"confirmation_code": args.confirmation_code}
    if args.code is not None:
        return body | {"activation_code": args.code}
    return body | ({"default_smdp": True} if args.default else {"smds": args.smds})


def _data(args: argparse.Namespace) -> dict[str, Any]:
    return {"data": args.names}


def _configuration(command: str) -> Body:
    def body(args: argparse.Namespace) -> dict[str, Any]:
        given: str = args.configuration
        if Path(given).is_file():
            octets = Path(given).read_bytes()
            given = octets.hex() if octets[:1] == b"\x30" else octets.decode("ascii", "replace").strip()
        return _commands({"command": command, "configuration": given})

    return body


def _delete_eim(args: argparse.Namespace) -> dict[str, Any]:
    return _commands({"command": "delete_eim", "eim_id": args.eim_id, "is_own": args.own})
