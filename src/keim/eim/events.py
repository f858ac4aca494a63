"""What happened at the eIM: immutable, appended by the store in the transaction that makes it true.

The audit trail, callbacks, console and metrics read these. Pure; imports keim.eim.rows only.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

EVENT_VERSION = 1


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", omit_defaults=True):
    at: datetime
    eid: str | None = None
    order: int | None = None


class DeviceEnrolled(_Event, frozen=True, kw_only=True, tag="device_enrolled"):
    how: str
    """`registered`, `range` or `quarantined`."""


class DeviceChanged(_Event, frozen=True, kw_only=True, tag="device_changed"):
    """By an operator: let in, archived, other switches."""

    what: str
    actor: str = ""


class OrderPlaced(_Event, frozen=True, kw_only=True, tag="order_placed"):
    reference: str
    actor: str
    kind: str
    devices: int


class OrderCancelled(_Event, frozen=True, kw_only=True, tag="order_cancelled"):
    reference: str
    actor: str
    is_sure: bool
    """True: no device had it yet. False: asked; a device that has it may still carry it out."""


class PackageDelivered(_Event, frozen=True, kw_only=True, tag="package_delivered"):
    kind: str
    transaction_id: bytes
    digest: bytes
    """SHA-256 of the octets."""
    counter: int | None = None
    chore: str | None = None


class ResultReceived(_Event, frozen=True, kw_only=True, tag="result_received"):
    state: str
    outcome: tuple[str, ...]
    transaction_id: bytes
    digest: bytes = b""
    """SHA-256 of the result's octets."""
    counter: int | None = None
    sequence_number: int | None = None
    verification: str = ""
    """`signature`, `switched off`, `unsigned`."""


class ResultRefused(_Event, frozen=True, kw_only=True, tag="result_refused"):
    """Not verifiable: kept as it came, nothing changed."""

    why: str
    digest: bytes
    is_given_up: bool = False


class PackageStuck(_Event, frozen=True, kw_only=True, tag="package_stuck"):
    offers: int


class PackageExpired(_Event, frozen=True, kw_only=True, tag="package_expired"):
    was_delivered: bool


class StateChangeReported(_Event, frozen=True, kw_only=True, tag="state_change_reported"):
    cause: str


class NetworkSeen(_Event, frozen=True, kw_only=True, tag="network_seen"):
    plmn: str


class KnowledgeLearned(_Event, frozen=True, kw_only=True, tag="knowledge_learned"):
    members: tuple[str, ...]


class NotificationTaken(_Event, frozen=True, kw_only=True, tag="notification_taken"):
    """Verified and kept; `address` is whom it will be passed on to."""

    operation: str
    sequence_number: int
    address: str
    is_forwarded: bool
    iccid: str | None = None


class NotificationRefused(_Event, frozen=True, kw_only=True, tag="notification_refused"):
    why: str


class RelayStep(_Event, frozen=True, kw_only=True, tag="relay_step"):
    """A function of ES9+ or ES11 that was relayed, and what came of it."""

    function: str
    address: str
    result: str
    transaction_id: bytes | None = None


class AlarmRaised(_Event, frozen=True, kw_only=True, tag="alarm_raised"):
    why: str


Event = (
    DeviceEnrolled
    | DeviceChanged
    | OrderPlaced
    | OrderCancelled
    | PackageDelivered
    | ResultReceived
    | ResultRefused
    | PackageStuck
    | PackageExpired
    | StateChangeReported
    | NetworkSeen
    | KnowledgeLearned
    | NotificationTaken
    | NotificationRefused
    | RelayStep
    | AlarmRaised
)
