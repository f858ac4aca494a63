"""What an eIM remembers of one eUICC, as rows: association, outstanding offer, knowledge, orders, operations.

A device row has a `version`: a store takes version n only over version n - 1, so two deciders never use one
counter twice. Times are aware UTC. Pure; imports floor 0 only.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from keim.eim.work import Work

MAIN: Final = "main"
"""The tenant of whoever has no tenants."""


class DeviceState(StrEnum):
    ACTIVE = "active"
    QUARANTINED = "quarantined"
    """It called and nobody expected it; it gets nothing until an operator lets it in."""
    ARCHIVED = "archived"
    """Handed over to another eIM, or gone: it is answered like a stranger."""


class Chore(StrEnum):
    """What the eIM itself wants of a device before the next order."""

    LEARN = "learn"
    """A data request for everything, at first contact."""
    RECOVER = "recover"
    """A data request for stored results and notifications (tag A2, A0)."""
    LIST_PROFILES = "list_profiles"
    LIST_EIMS = "list_eims"


class State(StrEnum):
    """Of one operation: an order as it concerns one device."""

    PLANNED = "planned"
    """Its time has not come, or somebody must approve it first."""
    QUEUED = "queued"
    DELIVERED = "delivered"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    UNKNOWN = "unknown"
    """Sent; what became of it cannot be told (yet)."""
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


ENDED: Final = frozenset({State.SUCCEEDED, State.FAILED, State.ROLLED_BACK, State.CANCELLED})


class Switches(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a lab needs; everything is off by default."""

    acknowledges: bool = True
    """False: every result is answered by emptyResponse."""
    verifies: bool = True
    """False: results count without their signature. Loud: each such result is marked in the audit."""
    asks: bool = True
    """False: nothing is sent that was not ordered; what the eIM would ask of itself waits."""
    accepts_der: bool = False
    """ECDSA as a DER SEQUENCE under 5F37, as mocks of cards send it."""
    nests_key_data: bool = False
    """Key data of addEim and updateEim as a complete 30 inside of A0/A1 (objects §2.4)."""
    is_v1_0: bool = False
    """ESipa in the forms of SGP.32 v1.0 (`keim.messages.v1_0_eim`); a program must allow it besides."""
    covers_token: bool = True
    """False: signatures of packages and results cover no association token, as in v1.0."""
    offers: int = 200
    """How often one package is handed out at most, and how often on one connection."""
    offers_on_connection: int = 20


class Kind(StrEnum):
    PACKAGE = "package"
    DATA = "data"
    DOWNLOAD = "download"


class Retry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An order's own rule: what is tried once more without asking anybody."""

    times: int
    """Attempts in all."""
    after: tuple[str, ...] = ("failed",)
    """Each a state, or an outcome as it is told (`enable: cat_busy`)."""
    pause_s: float = 0


class Pause(msgspec.Struct, frozen=True):
    """Before an order is tried once more; what was ordered later waits behind it."""

    order: int
    until: datetime


class Offer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The outstanding eIM package: the same octets until a result comes."""

    kind: Kind
    order: int
    """Of the order; negative: a chore of our own."""
    octets: bytes
    transaction_id: bytes
    offered_at: datetime
    counter: int | None = None
    token: int | None = None
    """What the package was signed with: an update of the association must not spoil its result."""
    chore: Chore | None = None
    times: int = 1
    connection: str = ""
    on_connection: int = 1
    not_before: datetime | None = None
    """After ecallActive (104)."""
    awaited_until: datetime | None = None
    """Injected: the device has it, and brings the result by itself; pushed again only after this."""
    expires_at: datetime | None = None
    is_mass: bool = False
    """Out of an order for many devices."""
    retry: Retry | None = None


class Unresolved(msgspec.Struct, frozen=True):
    """An operation that a device was given, and of which it cannot be told (yet) what became of it."""

    operation: Operation
    commands: bytes
    """EuiccPackage."""


class Reach(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a device takes packages that are pushed to it (injection); an operator says so."""

    address: str
    """`https://HOST[:PORT]`, or the scheme of another carrier."""
    spki: bytes = b""
    """The device's public key, pinned; empty: its certificate must be of a root that is trusted here."""


class Device(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    eid: str
    enrolled_at: datetime
    tenant: str = MAIN
    """Whose it is; its orders and its part of the log are the same one's."""
    state: DeviceState = DeviceState.ACTIVE
    version: int = 1
    token: int | None = None
    is_token_proved: bool = False
    counter: int = 0
    """The last one used; the next package takes the next."""
    offer: Offer | None = None
    attempt: int = 0
    """How often the order that comes next has been tried."""
    pause: Pause | None = None
    unresolved: tuple[Unresolved, ...] = ()
    """The next list of profiles decides about these."""
    replays: int = 0
    """replayError in a row: how far the counter is raised next."""
    mass_cursor: int = 0
    """The last order for many devices that this one has taken."""
    chores: tuple[Chore, ...] = ()
    chores_made: int = 0
    point: bytes | None = None
    """The eUICC's public key out of a chain that was verified, and its curve."""
    curve: str = ""
    signer: str = ""
    """Key identifier of the eIM key that this eUICC knows; empty: the oldest."""
    has_been_asked: bool = False
    """The data request of the first contact is out or done."""
    is_stale: bool = False
    """What we know of its profiles may not be so any more."""
    switches: Switches | None = None
    """None: the server's own."""
    plmn: str = ""
    """Where it was registered last, as it said."""
    refused_digest: bytes = b""
    refused_times: int = 0
    """The last result that could not be verified, and how often it came."""
    alarm: str = ""
    """Why a person should look at it."""
    reach: Reach | None = None
    """None: it polls; nobody calls it."""
    owed: tuple[int, ...] = ()
    """The card's numbers of what came in answers to injected packages, held here and not acknowledged yet."""
    proved_at: datetime | None = None
    """When the eUICC last signed something that we verified."""


class ProfileImage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A profile of an eUICC, as we picture it."""

    iccid: str
    is_enabled: bool = False
    has_fallback_attribute: bool = False
    info: bytes = b""
    """ProfileInfo (E3) of the last list."""


class Association(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of another eIM that was added through us: what its first package must carry."""

    token: int | None = None
    counter: int | None = None


class Knowledge(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What device and eUICC have told; large, so it is loaded only where it is needed."""

    eid: str
    version: int = 1
    profiles: tuple[ProfileImage, ...] = ()
    """As believed."""
    proved: tuple[ProfileImage, ...] | None = None
    """As last proved by a signature; None: just as believed."""
    picture_number: int = 0
    """The eUICC's own number of the newest result or notification that has changed the picture."""
    profiles_at: datetime | None = None
    """When all of them were listed last."""
    eims: tuple[str, ...] = ()
    associations: dict[str, Association] = {}
    rules: bytes | None = None
    """EuiccResultData with the Rules Authorisation Table, as it was told last."""
    info1: bytes | None = None
    info2: bytes | None = None
    device_info: bytes | None = None
    features: int | None = None
    protocols: int | None = None
    default_smdp_address: str | None = None
    root_smds_address: str | None = None
    euicc_certificate: bytes | None = None
    eum_certificate: bytes | None = None
    learned_at: datetime | None = None


class Contact(msgspec.Struct, frozen=True):
    """When a device called last, and the usual time between its visits; zero: not known yet."""

    at: datetime | None = None
    gap: timedelta = timedelta()


class OrderState(StrEnum):
    PLANNED = "planned"
    """Its time has not come, or somebody must approve it first."""
    ACTIVE = "active"
    TAKEN = "taken"
    """By its one device; the operation tells the rest."""
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was ordered: a small row, for one device (`eid`) or for a frozen selection of many."""

    reference: str
    """How the one who ordered names it; the same reference is the same order."""
    work: Work
    ordered_at: datetime
    id: int = 0
    eid: str | None = None
    tenant: str = MAIN
    actor: str = ""
    reason: str = ""
    not_before: datetime | None = None
    needs_approval: bool = False
    """It is released by a person, not by the clock."""
    expires_at: datetime | None = None
    supersedes: str = ""
    """The reference of the order whose place it takes."""
    retry: Retry | None = None
    devices: int = 1


class Operation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One order at one device, from delivery on."""

    eid: str
    order: int
    state: State
    kind: Kind
    transaction_id: bytes
    delivered_at: datetime
    is_of_many: bool = False
    attempt: int = 1
    counter: int | None = None
    chore: Chore | None = None
    digest: bytes = b""
    """SHA-256 of the octets that were handed out."""
    ended_at: datetime | None = None
    sequence_number: int | None = None
    """The eUICC's own number of the result that counts."""
    outcome: tuple[str, ...] = ()
    """One entry per command, `enable: ok`; or why it ended."""
    how: str = ""
    """How the end of an unknown or expired one was found: `stored result`, `profile list`."""
    is_verified: bool = False
    target: str | None = None
    """Of a download: where the next authentication goes; an SM-DS puts the SM-DP+ here."""
    matching_id: str | None = None
    smdp_oid: str | None = None
    is_smds: bool = False


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """A result or notification as it came: (eid, seq_number, digest) is unique, since devices repeat."""

    eid: str
    sequence_number: int
    digest: bytes
    kind: str
    octets: bytes
    received_at: datetime
    is_verified: bool


class Relay(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A download that this eIM relays: what must be kept between its messages."""

    transaction_id: bytes
    eid: str
    order: int
    address: str
    """Whom we ask."""
    keep_until: datetime
    version: int = 1
    is_smds: bool = False
    server_address: str = ""
    server_challenge: bytes = b""
    smdp_oid: bytes = b""
    ctx_params1: bytes | None = None
    iccid: bytes | None = None
    metadata: bytes | None = None
    """As they were accepted, where this eIM verifies them in the IPA's place."""
    bpp_euicc_otpk: bytes | None = None
    hash_cc: bytes | None = None
    cancel_reason: int | None = None
    euicc_certificate: bytes | None = None
    eum_certificate: bytes | None = None
    euicc_signature1: bytes | None = None
    smdp_signature2: bytes | None = None
    is_ended: bool = False


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """A notification for an SM-DP+: stored before it is acknowledged, sent afterwards, tried again."""

    eid: str
    address: str
    body: bytes
    """PendingNotification in its full form."""
    sequence_number: int
    at: datetime


Row = Device | Knowledge | Operation | Receipt | Relay
