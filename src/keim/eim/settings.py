"""What an eIM is: its name, its signing keys, whom it trusts, its rules. A value; `app` makes it.

Pure; imports floor 0 only.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Final

import msgspec

from keim.crypto.suites import suite_named
from keim.eim.addresses import AddressPolicy
from keim.eim.rows import Device, Switches
from keim.pki import Revocations, TrustStore
from keim.pki.cache import ChainCache
from keim.seams import Signer

COUNTER_MAXIMUM: Final = 0x7FFFFF
"""What every eUICC supports (procedures §2.1)."""


def key_name(point: bytes) -> str:
    """Of one key for ever: the first octets of its point's x, which tell it from any other."""
    return point[1:9].hex()


class Strangers(StrEnum):
    """What becomes of an EID that nobody has registered."""

    REFUSE = "refuse"
    QUARANTINE = "quarantine"


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    strangers: Strangers = Strangers.REFUSE
    ranges: frozenset[str] = frozenset()
    """First digits of EIDs (a manufacturer's range) that are let in at their first call."""
    quarantine_limit: int = 10_000
    learns_first: bool = True
    """A device whose certificates are unknown is asked for them before anything else."""
    offer_lifetime: timedelta = timedelta(days=30)
    emergency_pause: timedelta = timedelta(minutes=15)
    relay_lifetime: timedelta = timedelta(minutes=10)
    relay_result_lifetime: timedelta = timedelta(days=60)
    """How long a download's session is kept for compact results that come late."""
    attempts: int = 4
    """How often an order is signed anew after replayError."""


class Eim(msgspec.Struct, frozen=True, kw_only=True):
    eim_id: str
    signers: dict[str, Signer]
    """By key identifier, oldest first: a key that is rotated out stays until every eUICC knows the next."""
    current_signer: str = ""
    """What new associations are made with; empty: the oldest."""
    signing_certificates: dict[str, bytes] = {}
    """By the same identifiers, in DER, where a key has one: what auditors know the key by."""
    trust: TrustStore
    intermediates: tuple[bytes, ...] = ()
    revocations: Revocations = Revocations(())
    chains: ChainCache = msgspec.field(default_factory=ChainCache)
    rules: Rules = Rules()
    switches: Switches = Switches()
    addresses: AddressPolicy = AddressPolicy()

    def signer_of(self, device: Device) -> Signer:
        found = self.signers.get(device.signer)
        return found if found is not None else next(iter(self.signers.values()))

    def has_key_of(self, device: Device) -> bool:
        """Not so for a moment, when a device has proved a key that this process has not read yet."""
        return not device.signer or device.signer in self.signers

    def signer_of_new(self) -> str:
        """For the row of a device whose key nobody has named."""
        return "" if self.current_signer == next(iter(self.signers)) else self.current_signer

    def spki_of(self, device: Device) -> bytes:
        """The SubjectPublicKeyInfo of the key that this device's packages are signed with."""
        signer = self.signer_of(device)
        return suite_named(signer.algorithm).curve.spki(signer.public_point)

    def switches_of(self, device: Device) -> Switches:
        return self.switches if device.switches is None else device.switches
