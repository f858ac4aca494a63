"""A log of true evidence: a software card and an eIM that logs what it signs and what the card answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.card_lab import EID, NOW, Lab, eim_spki, world

from keim.audit.archive import Member, member, members
from keim.audit.export import export
from keim.audit.leaf import Leaf, SignedStatement, leaf, statement_of
from keim.audit.memory_log import MemoryLog
from keim.audit.note import NoteSigner
from keim.audit.report import Period, Report
from keim.audit.verification import Options, chunked, verify_export
from keim.der import walk
from keim.ids import Iccid
from keim.messages.package import DisablePsmo, EnablePsmo, Psmo
from keim.messages.profile import ProfileInfoListRequest
from keim.pki import TrustStore

ORIGIN = "eim.example.com/audit"
MINUTE = timedelta(minutes=1)


def log_signer(name: str = ORIGIN, seed: int = 1) -> NoteSigner:
    return NoteSigner.of(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


def enable(iccid: bytes, *, rollback: bool = False) -> Psmo:
    return Psmo(enable=EnablePsmo(iccid=iccid, rollback_flag=rollback))


def disable(iccid: bytes) -> Psmo:
    return Psmo(disable=DisablePsmo(iccid=iccid))


LIST = Psmo(list_profile_info=ProfileInfoListRequest())


def human(iccid: bytes) -> str:
    return str(Iccid.from_octets(iccid))


def trust() -> TrustStore:
    return TrustStore(world().roots)


class AuditedLab(Lab):
    """A card and an eIM; each package, result and notification becomes a leaf, a minute apart."""

    def __init__(self, log: MemoryLog | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.log = log or MemoryLog(log_signer())
        self.now: datetime = NOW

    def note(self, kind: str, **fields: Any) -> int:
        """One leaf, a minute later than the one before."""
        self.now += MINUTE
        objects = [*fields.get("euicc_chain", ()), fields.get("package_signer") or eim_spki()]
        fields.setdefault("eid", EID)
        return self.log.append(
            leaf(kind, fields.pop("at", self.now), fields.pop("actor", "eim"), **fields), objects=objects
        )

    def order(self, *commands: Psmo, **bent: Any) -> bytes:
        """Signs and logs a package."""
        octets = self.package(*commands, **bent)
        self.note(
            "package_signed",
            actor="alice",
            operation=f"op-{self.counter}",
            package=octets,
            package_signer=eim_spki(),
            association_token=self.token,
        )
        return octets

    def report(self, answer: bytes, **fields: Any) -> int:
        """Logs an answer of the card."""
        given = {"result": answer, "euicc_chain": euicc_chain(), "association_token": self.token} | fields
        return self.note("result_received", actor="device", **given)

    def perform(self, *commands: Psmo, **bent: Any) -> bytes:
        """Package, result, and the switch that follows."""
        answer = self.es10(self.order(*commands, **bent))
        self.report(answer)
        self.power_on()
        return answer

    def report_notifications(self) -> int:
        """Logs what the card has to tell, and removes it from the card."""
        statements: list[SignedStatement] = []
        for octets in self.pending():
            found = statement_of(octets)
            if found is not None:
                statements.append(found[0])
        return self.note(
            "notification_taken", actor="device", statements=tuple(statements), euicc_chain=euicc_chain()
        )

    def pending(self) -> list[bytes]:
        """The notifications that the card keeps, as BF2B tells them."""
        answer = self.es10("BF2B00")
        outer = next(walk(answer))
        inner = next(walk(answer, outer.content, outer.end))
        return [answer[found.start : found.end] for found in walk(answer, inner.content, inner.end)]

    def exported(self, **options: Any) -> bytes:
        self.log.publish()
        options.setdefault("roots", [root.der for root in world().roots])
        return b"".join(export(self.log, **options))


def euicc_chain() -> tuple[bytes, bytes]:
    return world().euicc(EID).certificate.der, world().get("eum").certificate.der


def verified(octets: bytes, **options: Any) -> tuple[Report, list[Period]]:
    """By roots of our own, unless the test says otherwise."""
    periods: list[Period] = []
    options.setdefault("roots", trust())
    report = verify_export(chunked(iter([octets])), Options(tell_period=periods.append, **options))
    return report, periods


def repacked(octets: bytes, change: Any) -> bytes:
    """The export with members replaced: `change(member)` gives the new octets, or None for none."""
    out = b""
    for found in members(chunked(iter([octets]))):
        changed = change(found)
        if changed is not None:
            out += member(found.name, changed)
    return out + bytes(1024)


def member_named(octets: bytes, name: str) -> Member:
    return next(found for found in members(chunked(iter([octets]))) if found.name == name)


def all_members(octets: bytes) -> Iterator[Member]:
    return members(chunked(iter([octets])))


def plain_leaf(number: int, **fields: Any) -> Leaf:
    return leaf("order_placed", NOW + number * MINUTE, "alice", detail=b'{"n":%d}' % number, **fields)
