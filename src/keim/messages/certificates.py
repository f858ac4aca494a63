"""ASN.1 types of certificate and CRL extensions.

Imports keim.der and its own kind only.
"""

from __future__ import annotations

from typing import Annotated

from keim.der import CertificateList, Choice, NamedBits, Tag


class CertificateInfo(NamedBits):
    """Not referenced by any object here."""

    RESERVED = 1 << 0
    CERT_SIGNING_X509 = 1 << 1
    RFU2 = 1 << 2
    RFU3 = 1 << 3
    RESERVED2 = 1 << 4
    CERT_VERIFICATION_X509 = 1 << 5


SegmentedCrlList = Annotated[tuple[CertificateList, ...], Tag(0x30)]
"""Not sent in any object here."""


TotalPartialCrlNumber = int
"""CRL extension."""


PartialCrlNumber = int
"""CRL extension."""


class ExpirationDate(Choice):
    """Certificate extension, X.509 Time."""

    utc_time: Annotated[str | None, Tag(0x17)] = None
    general_time: Annotated[str | None, Tag(0x18)] = None
