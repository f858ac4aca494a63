"""What a tenant owns, as the lines of a bundle: the shapes that writing and reading share.

Devices stand there as `keim import devices` reads them, so a bundle can be used by hand as well.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from keim.eim.rows import DeviceState
from keim.eim.work import Work

FORMAT: Final = "keim-tenant-bundle/1"
HEADER: Final = "keim-tenant-bundle"


class Header(msgspec.Struct, frozen=True, kw_only=True):
    format: str
    tenant: str
    eim_id: str
    made_at: datetime
    signers: tuple[str, ...]
    """Identifiers of the keys with which packages for its devices are signed."""


class DeviceLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    eid: str
    token: int | None = None
    counter: int = 0
    tags: tuple[str, ...] = ()
    euicc_certificate: str | None = None
    eum_certificate: str | None = None
    signer: str = ""


class StateLine(msgspec.Struct, frozen=True):
    """Of a device that is not active."""

    eid: str
    state: DeviceState


class OrderLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What some devices have not been given yet."""

    reference: str
    work: Work
    eids: tuple[str, ...]
    is_of_many: bool = False
    reason: str = ""
    expires_at: datetime | None = None


class WebhookLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Without its secret: the new eIM makes another."""

    url: str
    types: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    description: str = ""
