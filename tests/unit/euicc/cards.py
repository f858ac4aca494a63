"""Cards for tests: an identity without keys, small profiles of our own, and a reader that speaks hex."""

from __future__ import annotations

import hashlib
from functools import cache

from tests.shared import ROOT, shared_path

from keim.der import tlv
from keim.euicc.card import Card
from keim.euicc.faults import Faults
from keim.euicc.identity import Identity, Options
from keim.euicc.isdr_state import ProfileRecord
from keim.euicc.nvm import Medium
from keim.euicc.state import CardState, Profile
from keim.ids import Eid

EID = Eid("89044045930000000000001234567853")
ISD_R = "A0000005591010FFFFFFFF8900000100"
ECASD = "A0000005591010FFFFFFFF8900000200"
USIM = "A0000000871002"
SELECT_ISD_R = "00A4040410" + ISD_R


class CountingEntropy:
    """Octets that differ from call to call and are the same in every run."""

    def __init__(self) -> None:
        self._calls = 0

    def bytes(self, count: int) -> bytes:
        self._calls += 1
        out = b""
        while len(out) < count:
            out += hashlib.sha256(f"{self._calls}/{len(out)}".encode()).digest()
        return out[:count]


@cache
def package(name: str) -> bytes:
    """A package of our own by name (`iot-2-auth`), or a public test package by file name (`TS48v1_A.der`)."""
    if name.endswith(".der"):
        return shared_path(f"profiles/{name}").read_bytes()
    own = ROOT / "tests/vectors/data/minimal" / f"{name}.der"
    return own.read_bytes() if own.exists() else shared_path(f"profiles/minimal/{name}.der").read_bytes()


def isd_p(index: int) -> bytes:
    return bytes.fromhex("A0000005591010FFFFFFFF890000") + (0x1000 + 0x100 * index).to_bytes(2, "big")


def profile(name: str, index: int = 0, *, is_enabled: bool = True) -> Profile:
    """As installed a moment ago, with the least metadata that there can be."""
    iccid = bytes.fromhex("98") + bytes([index]) * 9
    metadata = tlv(0xBF25, tlv(0x5A, iccid), tlv(0x91, b"Test"), tlv(0x92, name.encode()))
    return Profile(
        aid=isd_p(index),
        iccid=iccid,
        is_enabled=is_enabled,
        record=ProfileRecord(metadata=metadata),
        package=package(name),
    )


def identity(**options: object) -> Identity:
    return Identity(eid=EID, credentials=(), trusted=(), options=Options(**options))  # type: ignore[arg-type]  # passed through


def new_card(
    *names: str,
    faults: Faults | None = None,
    medium: Medium | None = None,
    **options: object,
) -> Card:
    """The first profile is enabled; the card is powered."""
    profiles = tuple(profile(name, i, is_enabled=i == 0) for i, name in enumerate(names))
    card = Card(
        identity(**options),
        CountingEntropy(),
        state=CardState(profiles=profiles),
        medium=medium,
        faults=faults,
    )
    card.reset()
    return card


def send(card: Card, apdu: str) -> str:
    """The response as hex; what 61xx announces is fetched on the same channel, as every reader does."""
    octets = bytes.fromhex(apdu)
    response = card.transmit(octets)
    data, word = response[:-2], response[-2:]
    while word[0] == 0x61:
        response = card.transmit(bytes([octets[0], 0xC0, 0, 0, word[1]]))
        data, word = data + response[:-2], response[-2:]
    assert card.last_error is None, card.last_error
    return (data + word).hex().upper()


def select(card: Card, fid: str, cla: str = "00") -> str:
    return send(card, f"{cla}A40004{len(fid) // 2:02X}{fid}")


def select_usim(card: Card, cla: str = "00") -> str:
    return send(card, f"{cla}A40404{len(USIM) // 2:02X}{USIM}")
