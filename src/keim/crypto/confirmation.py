"""Confirmation codes: hashCc = SHA-256(SHA-256(code) || transactionId) (SGP.22 §3.1.3).

A server stores only the inner hash. The code enters as the UTF-8 octets of the text that the person typed.
"""

from __future__ import annotations

import hashlib
import hmac

from keim.crypto.secrets import Secret


def confirmation_code_hash(confirmation_code: str) -> Secret:
    """The inner hash, which a server keeps instead of the code."""
    return Secret(hashlib.sha256(confirmation_code.encode()).digest())


def hash_cc(code_hash: Secret, transaction_id: bytes) -> bytes:
    """The value that travels, bound to one session."""
    return hashlib.sha256(code_hash.reveal() + transaction_id).digest()


def is_confirmed(received_hash_cc: bytes, code_hash: Secret, transaction_id: bytes) -> bool:
    """Constant-time comparison; counting the attempts is the server's part."""
    return hmac.compare_digest(received_hash_cc, hash_cc(code_hash, transaction_id))
