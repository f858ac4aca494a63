"""What was fixed when the card was made: EID, certificates, keys, addresses, and its configuration.

One `Identity` never changes during the card's life; cards of one batch share the certificates that are equal.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from keim.ids import Eid

DEFAULT_ATR = bytes.fromhex("3B9F96801FC78031A073BE21136743200718000001A5")


class SigningCredential(msgspec.Struct, frozen=True):
    """One CI that the card can sign under: the key, CERT.EUICC and CERT.EUM (complete DER)."""

    ci_pk_id: bytes
    suite: str
    private_key: bytes
    certificate: bytes
    eum_certificate: bytes

    def __repr__(self) -> str:
        return f"SigningCredential(ci_pk_id={self.ci_pk_id.hex()}, suite={self.suite!r}, private_key=***)"


class TrustedCi(msgspec.Struct, frozen=True):
    """A CI whose chains the card accepts: its key identifier and its certificate (complete DER)."""

    ci_pk_id: bytes
    certificate: bytes


class Options(msgspec.Struct, frozen=True):
    """How this card behaves where the standard or its maker leaves a choice (euicc.md, "project:")."""

    is_consumer: bool = False
    """An SGP.22 card for LPAs: no IoT functions, no IoT members in EUICCInfo2 and the ISD-R's FCI."""
    es10c: str = "allow"
    """"allow", "deny_when_associated" or "deny" for BF29 and BF31 to BF34 (euicc.md section 5)."""
    channels: int = 4
    """Logical channels, the basic one included (4 to 20)."""
    memory_octets: int = 512 * 1024
    store_data_limit: int = 64 * 1024
    has_load_crl: bool = False
    has_ipae: bool = False
    has_emergency: bool = True
    has_fallback: bool = True
    eims_at_most: int = 8
    accepts_chosen_tokens: bool = False
    """A positive associationToken in a request is taken instead of refused (procedures.md section 24, 5)."""
    accepts_der_signatures: bool = False
    """For eIMs that put a DER SEQUENCE under 5F37; a real card never does (crypto.md section 2.1)."""
    ppr1_needs_sole_operational: bool = True
    """A profile with PPR1 is installed only where no other operational profile is (section 12)."""
    check_dates: datetime | None = None
    """A real eUICC has no clock; given a time, certificates are judged by it (crypto.md section 1.8)."""
    has_reproducible_signatures: bool = False
    """Nonces by RFC 6979: together with a seeded entropy every answer can be reproduced."""
    answers_directly: bool = False
    """T=1 style: response data up to 256 octets come at once instead of after 61xx."""
    atr: bytes = DEFAULT_ATR


class Identity(msgspec.Struct, frozen=True):
    eid: Eid
    credentials: tuple[SigningCredential, ...]
    trusted: tuple[TrustedCi, ...]
    default_smdp_address: str = ""
    """Factory value; a memory reset with bit 2 comes back to it."""
    root_smds_address: str = ""
    rat: bytes = bytes.fromhex("BF4302A000")
    """The complete answer of GetRat."""
    forbidden_pprs: int = 0
    options: Options = Options()
