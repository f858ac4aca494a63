"""What both sides of a hand-over remember: the whole of it, and where each device stands.

A step is never taken back, and each is decided from what is stored alone, so that a process that ends at any
moment goes on where it stood. Pure; imports keim.eim.rows only.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from keim.eim.rows import MAIN


class Remover(StrEnum):
    """Which eIM deletes the old one's entry, once the new one has proved itself."""

    NEW = "new"
    OLD = "old"


class Step(StrEnum):
    """Of a device at the old eIM."""

    BLOCKED = "blocked"
    """A check says no; looked at again at each `continue`."""
    PLANNED = "planned"
    ADDING = "adding"
    """addEim is ordered."""
    ADDED = "added"
    """The eUICC knows the new eIM, and the token is known here."""
    SENT = "sent"
    """In a bundle."""
    RECEIVED = "received"
    """The new eIM says that it has it."""
    PROVED = "proved"
    """A result that the eUICC signed for the new eIM was shown to us and verified."""
    REMOVING = "removing"
    """deleteEim of ourselves is ordered, where the old one removes itself."""
    LEFT = "left"
    """Our entry is gone from the eUICC; the device is archived."""
    FAILED = "failed"
    """The eUICC or the new eIM said no; `retry` tries again."""


class Arrived(StrEnum):
    """Of a device at the new eIM."""

    RECEIVED = "received"
    PROVED = "proved"
    REMOVING = "removing"
    """deleteEim of the old eIM is ordered."""
    DONE = "done"


ENDED: Final = frozenset({Step.LEFT})
PAPER_STEPS: Final = (Arrived.RECEIVED, Arrived.PROVED, Arrived.DONE)
"""What a receipt may say of a device, beside a refusal."""


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """What the new eIM says of itself: everything that an eUICC and the old eIM must know."""

    id: str
    eim_id: str
    entry: bytes
    """EimConfigurationData for addEim."""
    log_key: str
    """The key that its papers are signed with, as a line."""
    expires_at: datetime


class Handover(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """At the old eIM."""

    reference: str
    created_at: datetime
    invitation: Invitation
    tenant: str = MAIN
    actor: str = ""
    remover: Remover = Remover.NEW
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    """Nothing more is ordered; what the eUICCs know already goes on."""
    version: int = 1


class Leaving(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One device at the old eIM."""

    handover: str
    eid: str
    step: Step
    at: datetime
    version: int = 1
    attempt: int = 0
    order: int | None = None
    """Of addEim, later of deleteEim."""
    token: int | None = None
    bundle: int | None = None
    proof: bytes = b""
    """The eUICC's signed result of addEim."""
    failed_at: Step | None = None
    """Where it failed: what a retry begins with."""
    why: tuple[str, ...] = ()
    """What blocks it, what failed, or what is odd."""
    receipt: bytes = b""
    """SHA-256 of the receipt that brought the last step."""


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """Written once by the old eIM; its octets follow from this and the lines of its devices."""

    handover: str
    number: int
    made_at: datetime
    devices: int


class Guest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An invitation as the new eIM keeps it."""

    invitation: Invitation
    created_at: datetime
    tenant: str = MAIN
    actor: str = ""
    counter: int = 0
    sender_key: str = ""
    """Whose bundles are taken; set by the first one that was accepted if it was not named before."""
    old_eim_id: str = ""
    handover: str = ""
    """The old eIM's name of the hand-over; an invitation serves one."""
    version: int = 1


class Taken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A bundle that the new eIM has taken, or is taking."""

    invitation: str
    id: str
    digest: bytes
    at: datetime
    is_whole: bool = False
    refused: dict[str, str] = {}
    """EID -> code, of the devices that were not taken."""


class Arrival(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One device at the new eIM."""

    invitation: str
    bundle: str
    eid: str
    step: Arrived
    at: datetime
    remover: Remover
    old_eim_id: str
    version: int = 1
    attempt: int = 0
    order: int | None = None
    """Of deleteEim."""
    contact: bytes = b""
    """The first result of our own that we verified."""
    package: bytes = b""
    """Our package with deleteEim, as it was signed, and what the eUICC answered."""
    removal: bytes = b""
    why: tuple[str, ...] = ()
