"""Signatures as in Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`, in three headers.

Both ends: keim signs with `headers_of`, receivers check with `verify` (offered to them as
`keim.api.webhook_signature`). Pure; imports keim.errors only.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from keim.errors import BadSignature, Refused

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
PREFIX: Final = "whsec_"
SECRET_OCTETS: Final = 32
TOLERANCE: Final = timedelta(minutes=5)
"""How far a receiver's clock may differ from ours; what is older may be a replay."""
_VERSION: Final = "v1"
_SIGNATURES: Final = 16
"""More in one header are not looked at."""


def secret_text(octets: bytes) -> str:
    """As a receiver is given it, once."""
    return PREFIX + base64.b64encode(octets).decode()


def secret_octets(text: str) -> bytes:
    try:
        octets = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        octets = b""
    if not 24 <= len(octets) <= 64:
        raise Refused(
            "a webhook secret is whsec_ and 24 to 64 octets in base64", code="webhook.secret_invalid"
        )
    return octets


def headers_of(message_id: str, now: datetime, body: bytes, secrets: Sequence[bytes]) -> dict[str, str]:
    """One signature for each secret: during a change of secrets there are two."""
    timestamp = str(int(now.timestamp()))
    signatures = [f"{_VERSION},{_sign(message_id, timestamp, body, secret)}" for secret in secrets]
    return {ID: message_id, TIMESTAMP: timestamp, SIGNATURE: " ".join(signatures)}


def _sign(message_id: str, timestamp: str, body: bytes, secret: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.new(secret, signed, sha256).digest()).decode()


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secret: str,
    *,
    now: datetime,
    tolerance: timedelta = TOLERANCE,
) -> str:
    """The message's id, by which a receiver tells repetitions; BadSignature for everything that is not ours.

    `body` are the octets as they came; `secret` is `whsec_...`.
    """
    given = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp, signatures = (given.get(name, "") for name in (ID, TIMESTAMP, SIGNATURE))
    if not message_id or not timestamp or not signatures:
        raise _bad(f"the headers {ID}, {TIMESTAMP} and {SIGNATURE} are needed", "webhook.signature_absent")
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        raise _bad("the timestamp is no number of seconds", "webhook.signature_absent")
    apart = now - datetime.fromtimestamp(int(timestamp), UTC)
    if abs(apart) > tolerance:
        which = "old" if apart > timedelta(0) else "far in the future"
        raise _bad(f"the message is too {which}: {int(apart.total_seconds())} s apart", "webhook.clock_skew")
    own = _sign(message_id, timestamp, body, secret_octets(secret)).encode()
    offered = [one.partition(",") for one in signatures.split(" ")[:_SIGNATURES]]
    if not any(
        version == _VERSION and hmac.compare_digest(value.encode(), own) for version, _, value in offered
    ):
        raise _bad("no signature fits body and secret", "webhook.signature_wrong")
    return message_id


def _bad(message: str, code: str) -> BadSignature:
    return BadSignature(message, code=code, party="sender")
