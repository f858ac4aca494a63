"""Devices and their twins, operations and events, as the API answers them.

Imports msgspec and its neighbours only.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from keim.api.client.models import Shown


class Freshness(Shown, frozen=True, kw_only=True):
    last_poll: datetime | None = None
    next_contact_expected: datetime | None = None
    is_overdue: bool = False
    last_proof: datetime | None = None
    profiles_listed_at: datetime | None = None
    learned_at: datetime | None = None
    is_stale: bool = False


class Device(Shown, frozen=True, kw_only=True):
    """A line of a list."""

    eid: str
    state: str
    tags: tuple[str, ...] = ()
    alarm: str | None = None
    enabled: str | None = None
    profiles: int = 0
    network: str | None = None
    address: str | None = None
    enrolled_at: datetime
    freshness: Freshness


class Profile(Shown, frozen=True, kw_only=True):
    iccid: str
    state: str
    has_fallback_attribute: bool = False
    name: str | None = None
    provider: str | None = None
    nickname: str | None = None
    profile_class: str | None = None
    policy_rules: tuple[str, ...] = ()


class Layer(Shown, frozen=True, kw_only=True):
    enabled: str | None = None
    fallback: str | None = None
    profiles: tuple[Profile, ...] = ()
    default_smdp_address: str | None = None
    eims: tuple[str, ...] = ()


class Difference(Shown, frozen=True, kw_only=True):
    what: str
    asked: str | None = None
    believed: str | None = None
    proved: str | None = None


class Standing(Shown, frozen=True, kw_only=True):
    """An operation of a device that is not done yet."""

    id: str
    what: tuple[str, ...] = ()
    state: str
    since: datetime
    is_of_many: bool = False
    actor: str = ""
    not_before: datetime | None = None
    expires_at: datetime | None = None
    rollback_armed: str = ""


class Association(Shown, frozen=True, kw_only=True):
    eim_id: str
    counter: int
    token: int | None = None
    is_token_proved: bool = False
    signing_key: str = ""
    is_key_proved: bool = False


class Twin(Shown, frozen=True, kw_only=True):
    """A device in three layers: what is asked, what is believed, what its eUICC has proved."""

    eid: str
    as_of: datetime
    state: str
    enrolled_at: datetime
    tags: tuple[str, ...] = ()
    alarm: str | None = None
    network: str | None = None
    asked: Layer
    believed: Layer
    proved: Layer
    differences: tuple[Difference, ...] = ()
    operations: tuple[Standing, ...] = ()
    freshness: Freshness
    association: Association
    eims: tuple[dict[str, Any], ...] = ()
    root_smds_address: str | None = None
    memory: dict[str, int | None] | None = None
    capabilities: dict[str, Any] | None = None


class Next(Shown, frozen=True, kw_only=True):
    """What a device will get when it calls next."""

    why: str
    operation: str | None = None
    chore: str | None = None
    kind: str | None = None
    counter: int | None = None
    attempt: int | None = None
    not_before: datetime | None = None


class Outcome(Shown, frozen=True, kw_only=True):
    """What became of an operation at one device."""

    eid: str
    state: str
    attempt: int | None = None
    delivered_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: tuple[str, ...] = ()
    is_proved: bool = False
    how: str | None = None
    counter: int | None = None
    sequence_number: int | None = None


OPEN = frozenset({"planned", "queued", "delivered", "unknown"})


class Operation(Shown, frozen=True, kw_only=True):
    id: str
    kind: str
    what: tuple[str, ...] = ()
    state: str
    devices: int
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    eid: str | None = None
    outcome: Outcome | None = None
    ordered_at: datetime
    actor: str = ""
    reason: str = ""
    not_before: datetime | None = None
    needs_approval: bool = False
    expires_at: datetime | None = None
    supersedes: str | None = None

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def ended(self) -> int:
        """Devices that have come to an end with it."""
        return sum(count for state, count in self.counts.items() if state not in OPEN)


class Cancelled(Shown, frozen=True, kw_only=True):
    cancelled: str
    """`sure`, `asked` or `too_late`."""
    operation: Operation


class Event(Shown, frozen=True, kw_only=True):
    id: int
    type: str
    at: datetime
    device: str | None = None
    actor: str = ""
    operation: str | None = None
    data: dict[str, Any] = msgspec.field(default_factory=dict)


class Filter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Devices of which all of this holds; empty: all."""

    tags: tuple[str, ...] = ()
    state: str | None = None
    eid_prefix: str = ""
    iccid: str = ""
    has_alarm: bool | None = None
    not_seen_since: datetime | None = None


class Target(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whom an operation is for: one of these."""

    eid: str | None = None
    eids: tuple[str, ...] | None = None
    filter: Filter | None = None
    saved_filter: str | None = None


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    reason: str = ""
    not_before: datetime | None = None
    expires_at: datetime | None = None
    supersedes: str | None = None
    retry: dict[str, Any] | None = None
