"""Which keys make which signatures of JWTs. Imports nothing: configuration is read without PyJWT."""

from __future__ import annotations

from typing import Final

KEY_TYPES: Final = {
    "RS256": ("RSA", None), "RS384": ("RSA", None), "RS512": ("RSA", None),
    "PS256": ("RSA", None), "PS384": ("RSA", None), "PS512": ("RSA", None),
    "ES256": ("EC", "P-256"), "ES384": ("EC", "P-384"), "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}  # fmt: skip
"""Signatures of public keys only: a shared secret or none at all proves nothing here."""
