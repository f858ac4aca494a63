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


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", omit_defaults=True, gc=False):
    at: datetime
    """When it became true."""
    eid: str | None = None
    """Of the device that it is about."""
    order: int | None = None
    """The order's number in this database; negative: something that the eIM wants to know itself."""
    actor: str = ""
    """Who made it happen; empty: the device or the eIM itself."""
    reason: str = ""
    """Why, in the words of whoever asked for it."""
    effects: tuple[Effect, ...] = ()
    """What it changes in the picture of the device."""


class DeviceEnrolled(_Event, frozen=True, kw_only=True, tag="device_enrolled"):
    """A device is known from now on."""

    how: str
    """`registered` by an operator; at its first call let in by its `range`, or `quarantined`."""
    state: DeviceState = DeviceState.ACTIVE
    """`active` or `quarantined`."""
    token: int | None = None
    """The association token, where it is known."""
    counter: int = 0
    """The last counter that was used."""
    signer: str = ""
    """The name of the key that this eUICC knows; empty: the oldest."""
    tags: tuple[str, ...] = ()
    """All that it has."""


class DeviceChanged(_Event, frozen=True, kw_only=True, tag="device_changed"):
    """By an operator: let in, archived, other switches or tags. Members that are absent did not change."""

    what: str
    """In words."""
    state: DeviceState | None = None
    """`active`, or `archived`."""
    tags: tuple[str, ...] | None = None
    """All that it has from now on."""
    address: str | None = None
    """Where it takes packages that are pushed; empty: it polls."""
    clears_alarm: bool = False
    """A person has seen the alarm, or its reason is gone."""


class DeviceRestored(_Event, frozen=True, kw_only=True, tag="device_restored"):
    """It goes on after the database was restored: what it had been given (`order`) is unknown now."""


class PictureChanged(_Event, frozen=True, kw_only=True, tag="picture_changed"):
    """Nothing but its effects."""


class OrderPlaced(_Event, frozen=True, kw_only=True, tag="order_placed"):
    """An operation begins: for the device of `eid`, or for many."""

    reference: str
    """The operation's id."""
    kind: str
    """`package`, `data` or `download`."""
    devices: int
    """How many it is for."""
    what: tuple[str, ...] = ()
    """One line for each command."""
    not_before: datetime | None = None
    """It is planned until then."""
    expires_at: datetime | None = None
    """A device that calls later does not get it."""
    supersedes: str = ""
    """The reference of the order whose place it takes."""
    needs_approval: bool = False
    """It is planned until another person has approved it."""


class OrderApproved(_Event, frozen=True, kw_only=True, tag="order_approved"):
    """By another person than the one who placed it."""

    reference: str
    """The operation's id."""


class OrderReleased(_Event, frozen=True, kw_only=True, tag="order_released"):
    """A planned order is queued: its time has come."""

    reference: str
    """The operation's id."""


class OrderCancelled(_Event, frozen=True, kw_only=True, tag="order_cancelled"):
    """No device gets it any more."""

    reference: str
    """The operation's id."""
    is_sure: bool
    """True: no device had it yet. False: asked; a device that has it may still carry it out."""


class OrderSuperseded(_Event, frozen=True, kw_only=True, tag="order_superseded"):
    """Another order takes its place."""

    reference: str
    """The operation's id."""
    by: str
    """The reference of the order that takes its place."""
    is_sure: bool
    """As of a cancel."""


class OrderExpired(_Event, frozen=True, kw_only=True, tag="order_expired"):
    """An order for many, or a planned one, whose time is over."""

    reference: str
    """The operation's id."""


class PackageDelivered(_Event, frozen=True, kw_only=True, tag="package_delivered"):
    """A device was given a package. The leaf has its octets."""

    kind: str
    """`package`, `data` or `download`."""
    transaction_id: bytes
    """eimTransactionId."""
    digest: bytes
    """SHA-256 of the octets."""
    counter: int | None = None
    """counterValue of an eUICC package."""
    chore: str | None = None
    """What the eIM itself wants to know: `learn`, `recover`, `list_profiles`, `list_eims`."""


class ResultReceived(_Event, frozen=True, kw_only=True, tag="result_received"):
    """An operation has come to another state at a device. The leaf has the octets that say so."""

    state: str
    """`succeeded`, `failed`, `rolled_back`, `unknown`; `queued`: it comes once more; `delivered`: later."""
    outcome: tuple[str, ...]
    """One entry for each command, `enable: ok`; or why it ended."""
    transaction_id: bytes
    """eimTransactionId."""
    digest: bytes = b""
    """SHA-256 of the result's octets."""
    counter: int | None = None
    """counterValue of the package."""
    sequence_number: int | None = None
    """The eUICC's own number of the result."""
    verification: str = ""
    """`signature`, `switched off`, `unsigned`."""
    attempt: int = 1
    """Which attempt it was."""
    again_at: datetime | None = None
    """Tried once more by the order's own rule, not before then."""
    how: str = ""
    """Where an unknown or expired operation found its end: `stored result`, `profile list`."""


class ResultUnmatched(_Event, frozen=True, kw_only=True, tag="result_unmatched"):
    """Kept and acknowledged; it belongs to no package that this eIM knows."""

    why: str
    """In words."""
    sequence_number: int
    """The eUICC's own number of it."""
    digest: bytes
    """SHA-256 of its octets."""
    verification: str = ""
    """`signature`, `switched off`, `not checked`."""


class ResultRefused(_Event, frozen=True, kw_only=True, tag="result_refused"):
    """Not verifiable: kept as it came, nothing changed."""

    why: str
    """In words."""
    digest: bytes
    """SHA-256 of its octets."""
    is_given_up: bool = False
    """It came for the third time, and is answered so that the device gets rid of it."""
    ends_order: bool = False
    """The outstanding operation is `unknown` from now on."""


class PackageStuck(_Event, frozen=True, kw_only=True, tag="package_stuck"):
    """Handed out again and again without a result: the operation is `unknown` from now on."""

    offers: int
    """How often it was handed out."""


class PackageExpired(_Event, frozen=True, kw_only=True, tag="package_expired"):
    """An operation's time is over at this device."""

    was_delivered: bool
    """The device had it, and may have carried it out."""


class StateChangeReported(_Event, frozen=True, kw_only=True, tag="state_change_reported"):
    """The device says that its profiles have changed without us; they are listed again."""

    cause: str
    """As it says: `other_eim`, `fallback`, `emergency_profile`, `local`, `reset`, ..."""


class NetworkSeen(_Event, frozen=True, kw_only=True, tag="network_seen"):
    """The device is registered elsewhere, as it says."""

    plmn: str
    """Country and network code."""


class KnowledgeLearned(_Event, frozen=True, kw_only=True, tag="knowledge_learned"):
    """The device has answered a data request."""

    members: tuple[str, ...]
    """The names of what it told; the values stand in the effects."""


class NotificationTaken(_Event, frozen=True, kw_only=True, tag="notification_taken"):
    """Verified and kept; `address` is whom it will be passed on to."""

    operation: str
    """`install`, `enable`, `disable`, `delete`."""
    sequence_number: int
    """The eUICC's own number of it."""
    address: str
    """Of the SM-DP+."""
    is_forwarded: bool
    """False: the policy does not allow the address."""
    iccid: str | None = None
    """The profile."""
    verification: str = "signature"
    """`signature` or `switched off`."""


class NotificationRefused(_Event, frozen=True, kw_only=True, tag="notification_refused"):
    """Not believed, not kept, not acknowledged: it stays in the card."""

    why: str
    """In words."""


class RelayStep(_Event, frozen=True, kw_only=True, tag="relay_step"):
    """A function of ES9+ or ES11 that was relayed, and what came of it."""

    function: str
    """`initiateAuthentication`, `authenticateClient`, ..."""
    address: str
    """Of the SM-DP+ or SM-DS."""
    result: str
    """`ok`, or its refusal."""
    transaction_id: bytes | None = None
    """Of the RSP session."""


class HandoverMoved(_Event, frozen=True, kw_only=True, tag="handover_moved"):
    """A device on its way to or from another eIM."""

    reference: str
    """Of the hand-over here, or of our invitation."""
    step: str
    """Where it has come to."""
    peer: str
    """The other eIM."""
    why: tuple[str, ...] = ()
    """In words."""
    digest: bytes = b""
    """SHA-256 of the receipt that said so."""


class AlarmRaised(_Event, frozen=True, kw_only=True, tag="alarm_raised"):
    """A person should look at the device."""

    why: str
    """In words."""


class TokenCreated(_Event, frozen=True, kw_only=True, tag="token_created"):
    """Of the operators' API."""

    token: str
    """Its id."""
    name: str
    """As people call it."""
    scopes: tuple[str, ...]
    """What it may do."""


class TokenRevoked(_Event, frozen=True, kw_only=True, tag="token_revoked"):
    """Of the operators' API."""

    token: str
    """Its id."""
    name: str
    """As people call it."""


class TenantChanged(_Event, frozen=True, kw_only=True, tag="tenant_changed"):
    """Made, given another title, closed or opened again."""

    tenant: str
    """Its name."""
    title: str
    """As people call it."""
    is_closed: bool
    """Nobody of it gets in."""


class ApprovalChanged(_Event, frozen=True, kw_only=True, tag="approval_changed"):
    """Something that needs a second person was asked for, approved, refused, withdrawn, or is too late."""

    approval: str
    """Its id."""
    of: str
    """What kind of thing waits: `operation`, `handover`."""
    subject: str
    """The id of that thing."""
    state: str
    """`waiting`, `approved`, `refused`, `withdrawn`, `expired`."""


class StockLow(_Event, frozen=True, kw_only=True, tag="stock_low"):
    """Fewer activation codes of a product are free than its threshold; told once, until it is filled."""

    product: str
    """Its name in the catalogue."""
    free: int
    """How many are left."""
    threshold: int
    """As it was set."""


class WebhookChanged(_Event, frozen=True, kw_only=True, tag="webhook_changed"):
    """By a person, or paused by us because its receiver has failed for too long (`reason`)."""

    webhook: str
    """Its id."""
    what: str
    """`created`, `changed`, `secret rotated`, `paused`, `resumed` or `removed`."""
    url: str = ""
    """Where it sends events."""


class KeyRotated(_Event, frozen=True, kw_only=True, tag="key_rotated"):
    """The eIM's signing key: `ordered` (again), `finished`. Devices follow one by one, by their results."""

    state: str
    """`ordered` or `finished`."""
    old: str
    """Name of the key that was."""
    new: str
    """Name of the key that is to be."""
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
    | WebhookChanged
    | KeyRotated
)
