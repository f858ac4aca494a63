"""Who lives in a world of `keim up`: devices, their two profiles, their ways to a download.

Decided by a seed. Pure. Imports keim.ids, keim.pki and keim.saip only.
"""

from __future__ import annotations

from enum import StrEnum
from random import Random
from typing import Any, Final

import msgspec

from keim.ids import Eid
from keim.pki.world import example_eids
from keim.saip import Package, new, recipe_of
from keim.saip.codings import full_iccid

BOOTSTRAP_NETWORK: Final = "00101"
"""The network of the bootstrap profiles, which are there from the factory."""
HOME_NETWORK: Final = "00102"
"""The network of the profiles that are downloaded."""
BOOTSTRAP_IIN, HOME_IIN = "89880010", "89440010"
MOST_DEVICES: Final = 500


class Kind(StrEnum):
    """Where the assistant runs, and how it speaks to the eIM."""

    IPAD = "IPAd HTTPS"
    IPAD_COAP = "IPAd CoAP"
    IPAE = "IPAe HTTPS"

    @property
    def is_inside(self) -> bool:
        return self is Kind.IPAE


class Way(StrEnum):
    """How a profile comes to the card."""

    DIRECT = "direct"
    """The device itself asks the SM-DP+."""
    INDIRECT = "indirect"
    """The eIM relays."""
    DISCOVERY = "SM-DS"
    """The device learns from the SM-DS that a profile waits."""


KINDS: Final = (Kind.IPAD, Kind.IPAD_COAP, Kind.IPAE)
WAYS: Final = (Way.INDIRECT, Way.DIRECT, Way.INDIRECT, Way.DISCOVERY)


class Subscriber(msgspec.Struct, frozen=True, kw_only=True):
    """One subscription: what its profile and the AuC of its network know."""

    iccid: str
    """Without its check digit."""
    imsi: str
    ki: bytes
    opc: bytes
    name: str

    @property
    def full_iccid(self) -> str:
        return str(full_iccid(self.iccid))

    def package(self) -> Package:
        return new(recipe_of(self._values()), "iot-minimal")

    def _values(self) -> dict[str, Any]:
        return {
            "iccid": self.iccid,
            "imsi": self.imsi,
            "algorithm": "milenage",
            "ki": self.ki.hex(),
            "opc": self.opc.hex(),
            "name": self.name,
        }

    def __repr__(self) -> str:
        return f"Subscriber({self.iccid}, {self.imsi})"


class PlannedDevice(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    eid: Eid
    kind: Kind
    way: Way
    bootstrap: Subscriber
    home: Subscriber

    @property
    def name(self) -> str:
        return f"device-{self.number:02}"


def plan(count: int, seed: int) -> tuple[PlannedDevice, ...]:
    """The same count and seed give the same world, and a larger count only adds to it."""
    return tuple(_device(number, eid, seed) for number, eid in enumerate(example_eids(count), 1))


def _device(number: int, eid: Eid, seed: int) -> PlannedDevice:
    chance = Random(f"{seed}/{number}")
    return PlannedDevice(
        number=number,
        eid=eid,
        kind=KINDS[(number - 1) % len(KINDS)],
        way=WAYS[(number - 1) % len(WAYS)],
        bootstrap=_subscriber(chance, BOOTSTRAP_IIN, BOOTSTRAP_NETWORK, number, "Bootstrap"),
        home=_subscriber(chance, HOME_IIN, HOME_NETWORK, number, "Meters"),
    )


def _subscriber(chance: Random, iin: str, network: str, number: int, name: str) -> Subscriber:
    return Subscriber(
        iccid=f"{iin}{number:010}",
        imsi=f"{network}{number:010}",
        ki=chance.randbytes(16),
        opc=chance.randbytes(16),
        name=name,
    )
