"""Times and bounds of a CoAP endpoint (RFC 7252 §4.8), each for its deployer to choose. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

BLOCKS: Final = tuple(2**exponent for exponent in range(4, 11))
"""The sizes of blocks over datagrams, at the place of their exponent (RFC 7959)."""


class CoapSettings(msgspec.Struct, frozen=True, kw_only=True):
    ack_timeout_s: float = 2.0
    """Low-power wide-area networks want 10 or more."""
    ack_random_factor: float = 1.5
    max_retransmit: int = 4
    exchange_lifetime_s: float = 247.0
    ack_delay_s: float = 0.1
    """How long an answer may take before the request is acknowledged by itself."""
    request_timeout_s: float = 30.0
    """How long a client waits for the answer after the request was acknowledged."""
    token_octets: int = 2
    """4 or more where nothing protects the datagrams (RFC 7252 §11.4)."""

    max_exponent: int = 6
    """Blocks are at most 2^(4 + this) octets."""
    max_request_octets: int = 256 * 1024
    max_answer_octets: int = 8 * 1024 * 1024
    transfers_per_association: int = 2
    """Bodies that one peer may have half sent, and answers that wait for it to fetch their blocks."""
    transfer_octets: int = 64 * 1024 * 1024
    """Of all half-sent bodies and waiting answers together; the oldest go."""
    transfer_s: float = 120.0
    """How long a half-sent body or a waiting answer is kept after its last block."""
    kept_exchanges: int = 8
    """Answers kept per association for peers that repeat a request."""
    kept_octets: int = 64 * 1024 * 1024
    """Of all these answers together; the oldest go."""
    queued_requests: int = 64
    """Requests of ours that wait for their turn at one association."""
