"""What one SM-DP+ is: its names, keys, trust and rules. Made by keim.app; pure, imports floor 0 only."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec

from keim.authentication import RefusalCodes, Server, ServerIdentity
from keim.messages.execution_status import (
    SMDP_ADDRESS_REFUSED,
    SMDP_CERTIFICATE_UNAVAILABLE,
    SMDP_NO_COMMON_CI,
    SMDP_VERSION_UNSUPPORTED,
)
from keim.seams import KeyWrap
from keim.smdp.opening import SessionNumbers

SMDP_CODES: Final = RefusalCodes(
    address=SMDP_ADDRESS_REFUSED,
    no_common_ci=SMDP_NO_COMMON_CI,
    version=SMDP_VERSION_UNSUPPORTED,
    no_certificate=SMDP_CERTIFICATE_UNAVAILABLE,
)


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator of the server may choose."""

    session_lifetime: timedelta = timedelta(minutes=10)
    result_lifetime: timedelta = timedelta(days=60)
    """How long the result of a delivered package may take: devices sleep, and results come late and twice."""
    order_lifetime: timedelta | None = None
    code_attempts: int = 3
    download_attempts: int = 10
    may_rebind: bool = True
    """Whether a retry with another one-time key of the eUICC is bound anew."""
    reuses_deleted: bool = False
    """Whether a deleted profile goes back to stock."""


class Smdp(msgspec.Struct, frozen=True, kw_only=True):
    server: Server
    """With the identities of DPauth."""
    binders: dict[bytes, ServerIdentity]
    """Those of DPpb, by CI."""
    key_wrap: KeyWrap
    session_numbers: SessionNumbers
    """Made of a key that is the same in all processes, and after a restart."""
    host_id: bytes = b"keim"
    rules: Rules = Rules()
    progress_targets: frozenset[str] = frozenset()
    """The operators that want HandleDownloadProgressInfo."""

    @property
    def address(self) -> str:
        return self.server.address
