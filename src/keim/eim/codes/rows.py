"""Products of the catalogue and their activation codes, as rows.

Pure; imports keim.errors and keim.eim only.
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from keim.eim.activation_code import ActivationCode
from keim.errors import Refused

NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)


class CodeState(StrEnum):
    FREE = "free"
    RESERVED = "reserved"
    """For a device or a purpose, until a moment or for ever."""
    IN_USE = "in_use"
    """A download operation has it, and its end is not known yet."""
    USED = "used"
    """The profile was installed."""
    BURNT = "burnt"
    """Nothing was installed, but no server would take it again."""


class Source(StrEnum):
    STOCK = "stock"
    """Codes that were imported."""
    ES2PLUS = "es2plus"
    """Ordered from an SM-DP+ when no code is free."""


class Product(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A kind of profile that devices can be given."""

    tenant: str
    name: str
    created_at: datetime
    description: str = ""
    service_provider: str = ""
    source: Source = Source.STOCK
    server: str = ""
    """Of `es2plus`: a name in the configuration."""
    profile_type: str = ""
    low_stock: int = 0
    """Fewer free codes than this raise an event; 0: never."""
    is_low: bool = False
    """The event was raised and the stock has not been filled since."""
    version: int = 1


class Code(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    tenant: str
    product: str
    text: str
    """The activation code, without `LPA:` in front."""
    added_at: datetime
    id: int = 0
    state: CodeState = CodeState.FREE
    confirmation_code_hash: bytes | None = None
    """SHA-256; the confirmation code itself is not kept."""
    eid: str | None = None
    """Whose it is: reserved for, in use by, or installed on."""
    note: str = ""
    """What it is reserved for, in the words of whoever did it."""
    until: datetime | None = None
    """Of a reservation."""
    reference: str = ""
    """Of the order that has it."""
    failures: int = 0
    was_refused: bool = False
    """The SM-DP+ said that it does not know this matchingId."""
    outcome: str = ""
    iccid: str = ""
    """Where the SM-DP+ told it."""
    changed_at: datetime | None = None
    version: int = 1


def checked_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise Refused(
            f"{name[:80]!r} is no name: small letters, digits, dots and dashes, at most 63",
            code="catalogue.bad_product",
        )
    return name


def checked_code(text: str, *, has_confirmation_code: bool) -> str:
    """The code as it is kept; one that nobody could download with is refused."""
    code = ActivationCode.parse(text.strip())
    if not code.matching_id:
        raise Refused("without a matchingId a code tells no profile", code="catalogue.bad_code")
    if code.needs_confirmation_code and not has_confirmation_code:
        raise Refused("it needs its confirmation code", code="catalogue.bad_code")
    return text.strip().removeprefix("LPA:")
