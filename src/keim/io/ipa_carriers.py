"""What carries ESipa from an IPA beside HTTPS, as the device sees it. Imports keim.ipa only."""

from __future__ import annotations

from typing import Protocol

from keim.ipa.trust import EimPeer


class EimCarrier(Protocol):
    def call_eim(self, peer: EimPeer, message: bytes, timeout_s: float) -> bytes:
        """One ESipa function, DER for DER; the errors are those of the effect `CallEim`."""
        ...

    def reach_eim(self, peer: EimPeer, timeout_s: float) -> None:
        """Whether this eIM is there and trusted; it is asked for nothing."""
        ...

    def close(self) -> None:
        """No resolved name and no connection that an address is part of survives; it may be used again."""
        ...

    def end(self) -> None:
        """For good: nothing listens any more."""
        ...
