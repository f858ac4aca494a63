"""What an IPA must still know after a power cut, as one value; the driver makes it durable (`Remember`).

The card keeps package results and notifications itself; here stands only what it cannot know. Imports
keim.messages only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from datetime import datetime

import msgspec

from keim.errors import StoreFailed
from keim.messages.esipa import StateChangeCause


class EimNote(msgspec.Struct, frozen=True):
    """What concerns one eIM."""

    pending_cause: int | None = None
    """stateChangeCause to be told at the next poll."""
    failures: int = 0
    not_before: datetime | None = None
    """Back-off after failures."""
    told_info2: bytes = b""
    """EUICCInfo2 as this eIM was last told: compact forms leave out what it knows."""
    told_certificates: bool = False


class Undelivered(msgspec.Struct, frozen=True):
    """A result that the card does not store: a refusal, an error, a download's outcome."""

    eim_id: str
    result: bytes
    """An EimPackageResult."""
    drops_download: bool = False


class DownloadNote(msgspec.Struct, frozen=True):
    """A download under way: whatever happens, its trigger gets a result."""

    eim_id: str | None
    eim_transaction_id: bytes | None = None
    transaction_id: bytes | None = None
    is_indirect: bool = False


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    version: int = 1
    eims: Mapping[str, EimNote] = {}
    known_eims: tuple[bytes, ...] = ()
    """EimConfigurationData as last read: an eIM that deleted itself still gets its result."""
    undelivered: tuple[Undelivered, ...] = ()
    delivered: tuple[int, ...] = ()
    """Sequence numbers that an eIM answered for, still in the card's list: never a reason for a rollback."""
    causes_noted_up_to: int = 0
    """Sequence number of the newest result whose changes the other eIMs are to be told of."""
    injected: Mapping[str, tuple[int, ...]] = {}
    """eimId -> sequence numbers that answers to this eIM carried by injection: what its BF53 may name."""
    download: DownloadNote | None = None
    relayed: Mapping[str, str] = {}
    """transactionId in hex -> eimId: installation results that must go by the eIM (procedures §16.2)."""
    notification_failures: int = 0
    notifications_not_before: datetime | None = None
    fallback_since: datetime | None = None
    returns_tried: int = 0
    service_lost_at: datetime | None = None
    is_emergency_active: bool = False
    imei: str | None = None
    """Of the device that the card was in last (IPAe: cause deviceChange)."""

    def note(self, eim_id: str) -> EimNote:
        return self.eims.get(eim_id, EimNote())

    def with_note(self, eim_id: str, note: EimNote) -> Memory:
        return msgspec.structs.replace(self, eims={**self.eims, eim_id: note})

    def with_cause(self, cause: StateChangeCause, eim_ids: Iterable[str]) -> Memory:
        """A later cause overwrites an earlier one."""
        changed = {
            eim_id: msgspec.structs.replace(self.note(eim_id), pending_cause=int(cause)) for eim_id in eim_ids
        }
        return msgspec.structs.replace(self, eims={**self.eims, **changed})

    def with_delivered(self, sequence_number: int) -> Memory:
        if sequence_number in self.delivered:
            return self
        return msgspec.structs.replace(self, delivered=(*self.delivered, sequence_number))

    def with_injected(self, eim_id: str, numbers: Iterable[int]) -> Memory:
        together = tuple(dict.fromkeys((*self.injected.get(eim_id, ()), *numbers)))
        return msgspec.structs.replace(self, injected={**self.injected, eim_id: together})

    def only_present(self, numbers: Set[int], results: Set[int]) -> Memory:
        """Without what the card's lists no longer hold."""
        injected = {
            eim_id: kept
            for eim_id, sent in self.injected.items()
            if (kept := tuple(number for number in sent if number in numbers))
        }
        delivered = tuple(number for number in self.delivered if number in results)
        return msgspec.structs.replace(self, injected=injected, delivered=delivered)

    def encode(self) -> bytes:
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, octets: bytes) -> Memory:
        try:
            return msgspec.json.decode(octets, type=Memory)
        except (msgspec.DecodeError, ValueError) as error:
            raise StoreFailed(
                f"the IPA's memory cannot be read: {error}", code="ipa.state_unreadable"
            ) from None


EMPTY = Memory()
