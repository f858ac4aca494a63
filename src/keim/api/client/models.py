"""What the API answers, as values. Members that a newer server adds are left out.

Imports msgspec only.
"""

from __future__ import annotations

from datetime import datetime

import msgspec


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A resource as it was when it was asked for."""


class Me(Shown, frozen=True, kw_only=True):
    tenant: str
    actor: str
    scopes: tuple[str, ...]
    eim_id: str = ""


class Webhook(Shown, frozen=True, kw_only=True):
    id: str
    url: str
    description: str = ""
    types: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    state: str
    reason: str = ""
    created_at: datetime
    after: int
    attempts: int = 0
    next_attempt_at: datetime | None = None
    failing_since: datetime | None = None
    signs_with_both_until: datetime | None = None
    secret: str | None = None
    """Only in the answer that made it."""


class Delivery(Shown, frozen=True, kw_only=True):
    id: int
    event_id: str
    type: str
    cause: str
    at: datetime
    attempt: int
    milliseconds: int
    has_succeeded: bool
    status: int | None = None
    error: str = ""


class Product(Shown, frozen=True, kw_only=True):
    name: str
    description: str = ""
    service_provider: str = ""
    source: str
    server: str = ""
    profile_type: str = ""
    low_stock: int = 0
    created_at: datetime
    codes: dict[str, int] = {}


class Code(Shown, frozen=True, kw_only=True):
    id: int
    activation_code: str
    state: str
    eid: str | None = None
    note: str = ""
    until: datetime | None = None
    reference: str = ""
    failures: int = 0
    outcome: str = ""
    iccid: str = ""
    added_at: datetime
    changed_at: datetime | None = None


class RefusedCode(Shown, frozen=True, kw_only=True):
    position: int
    code: str
    message: str


class AddedCodes(Shown, frozen=True, kw_only=True):
    added: int
    refused: tuple[RefusedCode, ...] = ()


class StartedDownload(Shown, frozen=True, kw_only=True):
    eid: str
    operation_id: str | None = None
    code_id: int | None = None
    problem: str | None = None
    message: str | None = None


class StartedDownloads(Shown, frozen=True, kw_only=True):
    items: tuple[StartedDownload, ...]


class BadLine(Shown, frozen=True, kw_only=True):
    line: int
    eid: str
    code: str
    message: str


class ImportReport(Shown, frozen=True, kw_only=True):
    rows: int
    enrolled: int
    known: int
    failed: int
    problems: tuple[BadLine, ...] = ()


class BundleProblem(Shown, frozen=True, kw_only=True):
    what: str
    code: str
    message: str


class BundleReport(Shown, frozen=True, kw_only=True):
    tenant: str
    eim_id: str
    devices: int
    known_devices: int
    orders: int
    products: int
    codes: int
    webhooks: int
    failed: int
    problems: tuple[BundleProblem, ...] = ()


class Bootstrap(Shown, frozen=True, kw_only=True):
    batch: str
    eim_id: str
    signer: str
    counter: int
    eim_configuration_data: str
    add_initial_eim: str
    apdus: tuple[str, ...]
    script: str


class Token(Shown, frozen=True, kw_only=True):
    id: str
    tenant: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    created_by: str = ""
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str = ""
    last_used_at: datetime | None = None
    token: str | None = None
    """Only in the answer that made it."""


class Tenant(Shown, frozen=True, kw_only=True):
    name: str
    title: str = ""
    is_closed: bool = False
    version: int
    created_at: datetime


class Approval(Shown, frozen=True, kw_only=True):
    id: str
    kind: str
    subject: str
    summary: str
    state: str
    asked_by: str
    asked_at: datetime
    expires_at: datetime
    decided_by: str = ""
    decided_at: datetime | None = None
    reason: str = ""


class WayIn(Shown, frozen=True, kw_only=True):
    """How people sign in."""

    issuer: str
    client_id: str
    client_secret: str = ""
    scopes: tuple[str, ...] = ()
    parameters: dict[str, str] = {}
    token: str = "access"


class WaysIn(Shown, frozen=True, kw_only=True):
    items: tuple[WayIn, ...]


class Handover(Shown, frozen=True, kw_only=True):
    id: str
    to: str
    created_at: datetime
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    removed_by: str
    devices: dict[str, int]
    approval: str | None = None


class LeavingDevice(Shown, frozen=True, kw_only=True):
    eid: str
    step: str
    at: datetime
    why: tuple[str, ...] = ()
    bundle: int | None = None


class HandoverRehearsal(Shown, frozen=True, kw_only=True):
    devices: int
    blocked: int
    reasons: dict[str, int]
    package_octets: int
    bundles: int
    bundle_octets: int


class Moved(Shown, frozen=True, kw_only=True):
    moved: int
    unproved: dict[str, str] = {}


class WrittenBundle(Shown, frozen=True, kw_only=True):
    number: int
    devices: int


class HandoverInvitation(Shown, frozen=True, kw_only=True):
    id: str
    created_at: datetime
    expires_at: datetime
    sender_key: str = ""
    old_eim_id: str = ""
    devices: dict[str, int]
    bundles: tuple[str, ...] = ()
    paper: str


class ArrivingDevice(Shown, frozen=True, kw_only=True):
    eid: str
    step: str
    at: datetime
    bundle: str
    why: tuple[str, ...] = ()


class TakenBundle(Shown, frozen=True, kw_only=True):
    bundle: str
    devices: int
    refused: dict[str, str] = {}
    is_rehearsal: bool = False
