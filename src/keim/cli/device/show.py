"""`keim device list|show|next`: devices as lines, and one as its twin."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from keim.api.client.device_models import Filter
from keim.cli.exit_codes import ExitCode
from keim.cli.operating import document_of, show, show_all, words_of
from keim.cli.output import coloured, note, print_json

if TYPE_CHECKING:
    from keim.api.client import Client
    from keim.api.client.device_models import Device, Layer, Twin


def filter_of(args: argparse.Namespace) -> Filter:
    return Filter(
        tags=tuple(args.tag),
        state=args.state,
        eid_prefix=args.prefix,
        iccid=args.profile,
        has_alarm=True if args.alarm else None,
        not_seen_since=args.not_seen_since,
    )


def run_list(args: argparse.Namespace, client: Client) -> int:
    found = client.devices.list(filter_of(args), saved_filter=args.filter, limit=args.limit)
    count = show_all(found, _line, as_json=args.json)
    note(f"{count} devices")
    return ExitCode.OK


def _line(device: Device) -> tuple[object, ...]:
    seen = device.freshness.last_poll
    return (
        device.eid,
        device.state if device.alarm is None else coloured("alarm", "red", sys.stdout),
        device.enabled or "",
        "never seen" if seen is None else f"seen {words_of(seen)}",
        device.tags or "",
    )


def run_next(args: argparse.Namespace, client: Client) -> int:
    show(client.devices.next(args.eid), as_json=args.json)
    return ExitCode.OK


def run_show(args: argparse.Namespace, client: Client) -> int:
    twin = client.devices.get(args.eid, at=args.at)
    if args.json:
        print_json(document_of(twin))
    else:
        _print(twin)
    return ExitCode.OK


def _print(twin: Twin) -> None:
    print(f"EID          {coloured(twin.eid, 'bold')}  ({twin.state})")
    _row("as of", twin.as_of)
    _row("tags", twin.tags)
    if twin.alarm:
        _row("alarm", coloured(twin.alarm, "red"))
    fresh = twin.freshness
    _row("last poll", fresh.last_poll)
    expected = words_of(fresh.next_contact_expected) + (" (overdue)" if fresh.is_overdue else "")
    _row("next", expected)
    _row("last proof", fresh.last_proof)
    _row("network", twin.network)
    own = twin.association
    proved = "proved" if own.is_token_proved else "not proved"
    _row("association", f"counter {own.counter}, token {words_of(own.token)} ({proved})")
    _row("eIMs", [eim["eim_id"] for eim in twin.eims])
    print()
    layers = (("asked", twin.asked), ("believed", twin.believed), ("proved", twin.proved))
    for iccid in dict.fromkeys(profile.iccid for _, layer in layers for profile in layer.profiles):
        cells = "  ".join(f"{name}: {_state_in(layer, iccid):<9}" for name, layer in layers)
        print(f"profile      {iccid:<20} {cells} {_name_of(twin, iccid)}".rstrip())
    if not any(layer.profiles for _, layer in layers):
        _row("profiles", "none known")
    for difference in twin.differences:
        said = f"asked {words_of(difference.asked)}, believed {words_of(difference.believed)}"
        _row(
            "differs", coloured(f"{difference.what}: {said}, proved {words_of(difference.proved)}", "yellow")
        )
    for operation in twin.operations:
        _row("to do", f"{operation.state}  {', '.join(operation.what)}  {operation.id}")
    if fresh.is_stale:
        _row("note", "something has happened that the picture of the profiles may not show yet")


def _row(name: str, content: Any) -> None:
    print(f"{name:<12} {words_of(content)}")


def _state_in(layer: Layer, iccid: str) -> str:
    return next((profile.state for profile in layer.profiles if profile.iccid == iccid), "-")


def _name_of(twin: Twin, iccid: str) -> str:
    for profile in (*twin.proved.profiles, *twin.believed.profiles):
        if profile.iccid == iccid:
            return " / ".join(filter(None, (profile.nickname, profile.provider, profile.name)))
    return ""
