"""What one SM-DS is. Made by keim.app; pure, imports floor 0 only."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec

from keim.authentication import RefusalCodes, Server
from keim.messages.execution_status import (
    SMDS_ADDRESS_REFUSED,
    SMDS_CERTIFICATE_UNAVAILABLE,
    SMDS_NO_COMMON_CI,
    SMDS_VERSION_UNSUPPORTED,
)

SMDS_CODES: Final = RefusalCodes(
    address=SMDS_ADDRESS_REFUSED,
    no_common_ci=SMDS_NO_COMMON_CI,
    version=SMDS_VERSION_UNSUPPORTED,
    no_certificate=SMDS_CERTIFICATE_UNAVAILABLE,
)


class Smds(msgspec.Struct, frozen=True, kw_only=True):
    server: Server
    """With the identities of DSauth."""
    root: str | None = None
    """Address of the root SM-DS; None: this is a root, and forwardingIndicator says nothing to it."""
    session_lifetime: timedelta = timedelta(minutes=10)
    event_lifetime: timedelta = timedelta(days=365)

    @property
    def address(self) -> str:
        return self.server.address
