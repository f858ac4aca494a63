"""What an SM-DP+ remembers, as rows: profiles with their orders, sessions, notifications, errands.

Every row that several requests may change has a `version`: a store takes version n only over version n - 1,
so two deciders never overwrite each other. Pure; imports floor 0 only.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec


class ProfileState(StrEnum):
    """SGP.22 §3.1.6; which change leads where stands in `transitions`."""

    AVAILABLE = "available"
    ALLOCATED = "allocated"
    LINKED = "linked"
    CONFIRMED = "confirmed"
    RELEASED = "released"
    DOWNLOADED = "downloaded"
    INSTALLED = "installed"
    ERROR = "error"
    UNAVAILABLE = "unavailable"


class Profile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A profile in stock and the order that it is in, if any."""

    iccid: str
    profile_type: str
    state: ProfileState
    version: int = 1
    owner: str = ""
    """The operator whose profile it is; empty: anybody may order it."""

    ordered_by: str | None = None
    eid: str | None = None
    """The eUICC that the order is linked to, by the operator or by the first download."""
    matching_id: str | None = None
    """Empty for a default SM-DP+ order: found by EID."""
    code_hash: bytes | None = None
    """SHA-256 of the confirmation code."""
    smds_address: str | None = None
    has_event: bool = False
    ordered_at: datetime | None = None
    expires_at: datetime | None = None

    session: bytes | None = None
    """The download session that holds the claim on this profile."""
    code_attempts: int = 0
    download_attempts: int = 0
    bound_eid: str | None = None
    """The eUICC that a package was bound for."""
    euicc_otpk: bytes | None = None
    wrapped_otsk: bytes | None = None
    """Our one-time key of that binding, wrapped: a retry with the same euicc_otpk needs it again."""


class Protection(StrEnum):
    PPK = "ppk"
    """Profile elements protected in advance under a random key; `wrapped` holds that key."""
    SESSION = "session"
    """Profile elements wrapped at rest; protected with the session keys when they are bound."""


class Contents(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a profile package without opening it."""

    iccid: str
    metadata: bytes
    """StoreMetadataRequest, BF25."""
    protection: Protection
    wrapped_keys: bytes = b""
    octets: int = 0
    """Size of the unprotected package: what the eUICC needs at least."""
    package_version: tuple[int, int] = (0, 0)
    policy_rules: int = 0


class SessionStage(StrEnum):
    INITIATED = "initiated"
    """Never stored: see `opening`."""
    AUTHENTICATED = "authenticated"
    DELIVERED = "delivered"
    """The bound package is out; the session waits for its installation result."""
    REFUSED = "refused"
    """The eUICC is known, but it gets nothing: only CancelSession is still answered."""
    ENDED = "ended"


OPEN_STAGES: Final = frozenset({SessionStage.AUTHENTICATED, SessionStage.DELIVERED, SessionStage.REFUSED})


class Session(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    transaction_id: bytes
    stage: SessionStage
    expires_at: datetime
    """The end of the dialogue."""
    keep_until: datetime
    """When the row may go: a delivered session is kept until its late result cannot come any more."""
    version: int = 1
    server_address: str = ""
    server_challenge: bytes = b""
    ci_pk_id: bytes = b""
    """Under which the eUICC signs."""
    server_ci_pk_id: bytes = b""
    """Under which we do."""
    eid: str | None = None
    euicc_suite: str | None = None
    euicc_point: bytes | None = None
    """The key of the certificate that was accepted: results come without one."""
    euicc_signature1: bytes | None = None
    iccid: str | None = None
    matching_id: str | None = None
    smdp_signed2: bytes | None = None
    smdp_signature2: bytes | None = None
    euicc_otpk: bytes | None = None
    """Of PrepareDownload: a repeat must name the same."""
    has_result: bool = False


class Notification(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A verified notification, kept as it came. (eid, seq_number) is unique: eUICCs repeat."""

    eid: str
    seq_number: int
    event: str
    iccid: str | None
    received_at: datetime
    octets: bytes
    transaction_id: bytes | None = None


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """An executed ES2+ call, so that its repetition gets the same answer."""

    caller: str
    identifier: str
    digest: bytes
    answer: bytes
    at: datetime


class ErrandKind(StrEnum):
    PROGRESS = "progress"
    """HandleDownloadProgressInfo to the operator named `target`."""
    DELETE_EVENT = "delete_event"
    """DeleteEvent to the SM-DS at the address `target`."""


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """Something to tell another party; stored with the change that caused it, done afterwards, retried."""

    kind: ErrandKind
    target: str
    body: bytes
    at: datetime


Row = Profile | Contents | Session | Notification | Call


class StoredBody(msgspec.Struct, frozen=True):
    """The big part of a profile package, kept apart from its head: loaded at binding only."""

    iccid: str
    octets: bytes
