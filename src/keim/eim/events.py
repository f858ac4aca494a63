"""What happened at the eIM: immutable, appended by the store in the transaction that makes it true.

The audit trail, callbacks, console, metrics and the twin of any past instant read these: what cannot be told
from the events of a device did not happen. Pure; imports keim.eim only.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from keim.eim.picture import Effect
from keim.eim.rows import DeviceState

EVENT_VERSION = 1


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", omit_defaults=True):
    at: datetime
    eid: str | None = None
    order: int | None = None
    actor: str = ""
    """Who made it happen; empty: the device or the eIM itself."""
    reason: str = ""
    """Why, in the words of whoever asked for it."""
    effects: tuple[Effect, ...] = ()
    """What it changes in the picture of the device."""


class DeviceEnrolled(_Event, frozen=True, kw_only=True, tag="device_enrolled"):
    how: str
    """`registered`, `range` or `quarantined`."""
    state: DeviceState = DeviceState.ACTIVE
    token: int | None = None
    counter: int = 0
    signer: str = ""
    tags: tuple[str, ...] = ()
    address: str = ""


class DeviceChanged(_Event, frozen=True, kw_only=True, tag="device_changed"):
    """By an operator: let in, archived, other switches or tags. Members that are absent did not change."""

    what: str
    state: DeviceState | None = None
    tags: tuple[str, ...] | None = None
    """All that it has from now on."""
    address: str | None = None
    clears_alarm: bool = False


class DeviceRestored(_Event, frozen=True, kw_only=True, tag="device_restored"):
    """It goes on after the database was restored: what it had been given (`order`) is unknown now."""


class PictureChanged(_Event, frozen=True, kw_only=True, tag="picture_changed"):
    """Nothing but its effects."""


class OrderPlaced(_Event, frozen=True, kw_only=True, tag="order_placed"):
    reference: str
    kind: str
    devices: int
    what: tuple[str, ...] = ()
    """One line for each command."""
    not_before: datetime | None = None
    expires_at: datetime | None = None
    supersedes: str = ""
    """The reference of the order whose place it takes."""
    needs_approval: bool = False


class OrderApproved(_Event, frozen=True, kw_only=True, tag="order_approved"):
    """By another person than the one who placed it."""

    reference: str


class OrderReleased(_Event, frozen=True, kw_only=True, tag="order_released"):
    """A planned order is queued: its time has come."""

    reference: str


class OrderCancelled(_Event, frozen=True, kw_only=True, tag="order_cancelled"):
    reference: str
    is_sure: bool
    """True: no device had it yet. False: asked; a device that has it may still carry it out."""


class OrderSuperseded(_Event, frozen=True, kw_only=True, tag="order_superseded"):
    reference: str
    by: str
    """The reference of the order that takes its place."""
    is_sure: bool
    """As of a cancel."""


class OrderExpired(_Event, frozen=True, kw_only=True, tag="order_expired"):
    """An order for many, or a planned one, whose time is over."""

    reference: str


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
    attempt: int = 1
    again_at: datetime | None = None
    """Tried once more by the order's own rule, not before then."""
    how: str = ""
    """Where an unknown or expired operation found its end: `stored result`, `profile list`."""


class ResultUnmatched(_Event, frozen=True, kw_only=True, tag="result_unmatched"):
    """Kept and acknowledged; it belongs to no package that this eIM knows."""

    why: str
    sequence_number: int
    digest: bytes
    verification: str = ""


class ResultRefused(_Event, frozen=True, kw_only=True, tag="result_refused"):
    """Not verifiable: kept as it came, nothing changed."""

    why: str
    digest: bytes
    is_given_up: bool = False
    ends_order: bool = False
    """The outstanding operation is `unknown` from now on."""


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
    verification: str = "signature"


class NotificationRefused(_Event, frozen=True, kw_only=True, tag="notification_refused"):
    why: str


class RelayStep(_Event, frozen=True, kw_only=True, tag="relay_step"):
    """A function of ES9+ or ES11 that was relayed, and what came of it."""

    function: str
    address: str
    result: str
    transaction_id: bytes | None = None


class HandoverMoved(_Event, frozen=True, kw_only=True, tag="handover_moved"):
    """A device on its way to or from another eIM."""

    reference: str
    """Of the hand-over here, or of our invitation."""
    step: str
    peer: str
    """The other eIM."""
    why: tuple[str, ...] = ()
    digest: bytes = b""
    """SHA-256 of the receipt that said so."""


class AlarmRaised(_Event, frozen=True, kw_only=True, tag="alarm_raised"):
    why: str


class TokenCreated(_Event, frozen=True, kw_only=True, tag="token_created"):
    """Of the operators' API."""

    token: str
    """Its id."""
    name: str
    scopes: tuple[str, ...]


class TokenRevoked(_Event, frozen=True, kw_only=True, tag="token_revoked"):
    token: str
    name: str


class TenantChanged(_Event, frozen=True, kw_only=True, tag="tenant_changed"):
    """Made, given another title, closed or opened again."""

    tenant: str
    title: str
    is_closed: bool


class ApprovalChanged(_Event, frozen=True, kw_only=True, tag="approval_changed"):
    """Something that needs a second person was asked for, approved, refused, withdrawn, or is too late."""

    approval: str
    of: str
    """What kind of thing waits: `operation`, `handover`."""
    subject: str
    state: str


class StockLow(_Event, frozen=True, kw_only=True, tag="stock_low"):
    """Fewer activation codes of a product are free than its threshold; told once, until it is filled."""

    product: str
    free: int
    threshold: int


class KeyRotated(_Event, frozen=True, kw_only=True, tag="key_rotated"):
    """The eIM's signing key: `ordered` (again), `finished`. Devices follow one by one, by their results."""

    state: str
    old: str
    """Names of keys."""
    new: str
    devices: int = 0
    """Who were ordered to take it, or were left behind at the end."""


Event = (
    DeviceEnrolled
    | DeviceChanged
    | DeviceRestored
    | PictureChanged
    | OrderPlaced
    | OrderApproved
    | OrderReleased
    | OrderCancelled
    | OrderSuperseded
    | OrderExpired
    | PackageDelivered
    | ResultReceived
    | ResultUnmatched
    | ResultRefused
    | PackageStuck
    | PackageExpired
    | StateChangeReported
    | NetworkSeen
    | KnowledgeLearned
    | NotificationTaken
    | NotificationRefused
    | RelayStep
    | HandoverMoved
    | AlarmRaised
    | TokenCreated
    | TokenRevoked
    | TenantChanged
    | ApprovalChanged
    | StockLow
    | KeyRotated
)
