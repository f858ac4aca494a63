"""The refusals of keim.crypto that callers tell apart by type. Imports keim.errors only."""

from __future__ import annotations

from keim.errors import PeerError


class BadPublicKey(PeerError):
    """A public key that no suite of ours takes: another curve, no point of it, another form."""

    code = "crypto.bad_public_key"


class BspFault(PeerError):
    """A protected TLV that does not open. The two codes are the two reasons that a card may report."""

    code = "crypto.bsp_structure"
