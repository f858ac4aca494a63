"""What the verbs of `keim euicc` share: a card as a document and as lines, fault controls, an exchange."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from keim.cli.output import coloured
from keim.errors import Malformed, Refused
from keim.euicc.card import Card
from keim.euicc.faults import Faults
from keim.euicc.identity import Identity
from keim.euicc.state import CardState, Profile
from keim.ids import Iccid
from keim.io.card_file import CardFile
from keim.io.entropy import OsEntropy
from keim.messages.profile import StoreMetadataRequest


def open_card(args: argparse.Namespace) -> tuple[CardFile, Card]:
    """The card of a command line, with its fault controls; the caller closes the file."""
    faults = faults_of(args)
    medium = CardFile.open(Path(args.card))
    return medium, Card(medium.identity, OsEntropy(), medium=medium, faults=faults)


def faults_of(args: argparse.Namespace) -> Faults | None:
    if args.cut_at_write is not None and args.cut_at_apdu is None:
        raise Refused("--cut-at-write needs --cut-at-apdu", code="euicc.bad_option")
    numbers = {"cut-at-apdu": args.cut_at_apdu, "cut-at-write": args.cut_at_write}
    for name, number in {**numbers, "fail-at-apdu": args.fail_at_apdu}.items():
        if number is not None and number < 0:
            raise Refused(f"--{name} counts from 0", code="euicc.bad_option")
    faults = Faults(
        cut_at_apdu=args.cut_at_apdu,
        cut_at_write=args.cut_at_write,
        fail_at_apdu=args.fail_at_apdu,
        is_busy=args.busy,
        is_out_of_memory=args.out_of_memory,
    )
    return None if faults == Faults() else faults


def octets_of(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise Refused(f"{text!r} is not hexadecimal", code="euicc.bad_option") from None


def exchange(card: Card, apdu: bytes, *, is_raw: bool) -> bytes:
    """The response; unless raw, 61xx is followed by GET RESPONSE on the same channel."""
    response = card.transmit(apdu)
    data = response[:-2]
    while not is_raw and response[-2] == 0x61:
        response = card.transmit(bytes([apdu[0], 0xC0, 0, 0, response[-1]]))
        data += response[:-2]
    return data + response[-2:]


def is_fine(response: bytes) -> bool:
    """A normal end or a warning."""
    return response[-2] in {0x90, 0x91, 0x61, 0x62, 0x63}


def document_of(identity: Identity, state: CardState) -> dict[str, object]:
    isdr = state.isdr
    return {
        "eid": str(identity.eid),
        "kind": "consumer" if identity.options.is_consumer else "iot",
        "signs_under": [credential.ci_pk_id.hex() for credential in identity.credentials],
        "trusts": [ci.ci_pk_id.hex() for ci in identity.trusted],
        "default_smdp_address": (
            identity.default_smdp_address if isdr.default_smdp_address is None else isdr.default_smdp_address
        ),
        "root_smds_address": identity.root_smds_address,
        "memory_octets": identity.options.memory_octets,
        "free_octets": identity.options.memory_octets - sum(profile.charge for profile in state.profiles),
        "profiles": [_profile(profile) for profile in state.profiles],
        "eims": [{"eim_id": eim.eim_id, "counter_value": eim.counter_value} for eim in isdr.eims],
        "pending_notifications": len(isdr.notifications),
        "stored_results": len(isdr.results),
        "is_switch_open": isdr.marks is not None,
    }


def _profile(profile: Profile) -> dict[str, object]:
    try:
        metadata = StoreMetadataRequest.decode(profile.record.metadata)
        provider, name = metadata.service_provider_name, metadata.profile_name
    except Malformed:
        provider = name = ""
    return {
        "iccid": _iccid(profile.iccid),
        "state": "enabled" if profile.is_enabled else "disabled",
        "nickname": profile.record.nickname,
        "service_provider_name": provider,
        "profile_name": name,
        "aid": profile.aid.hex().upper(),
        "octets": profile.charge,
    }


def _iccid(octets: bytes) -> str:
    try:
        return str(Iccid.from_octets(octets))
    except Malformed:
        return octets.hex().upper()


def print_card(identity: Identity, state: CardState) -> None:
    document = document_of(identity, state)
    print(f"EID       {coloured(str(identity.eid), 'bold')}  ({document['kind']})")
    print(f"memory    {document['free_octets']} of {document['memory_octets']} octets free")
    print(f"SM-DP+    {document['default_smdp_address'] or 'none'}")
    print(f"SM-DS     {document['root_smds_address'] or 'none'}")
    _print_rows("profiles", [_profile(profile) for profile in state.profiles])
    for eim in state.isdr.eims:
        print(f"eIM       {eim.eim_id}  counter {eim.counter_value}")
    waiting = f"{len(state.isdr.notifications)} notifications, {len(state.isdr.results)} results"
    print(f"waiting   {waiting}" + (", a switch" if state.isdr.marks is not None else ""))


def _print_rows(title: str, rows: list[dict[str, object]]) -> None:
    if not rows:
        print(f"{title}  none")
    for row in rows:
        print(f"profile   {row['iccid']}  {coloured_state(row)}  {names_of(row)}")


def coloured_state(row: Mapping[str, object]) -> str:
    state = str(row["state"]).ljust(8)
    return coloured(state, "green") if row["state"] == "enabled" else state


def names_of(row: Mapping[str, object]) -> str:
    names = (row["nickname"], row["service_provider_name"], row["profile_name"])
    return " / ".join(str(name) for name in names if name)
