"""Small types that every interface shares.

Imports keim.der and its own kind only.
"""

from __future__ import annotations

from typing import Annotated

from keim.der import Also, Code, NamedBits, Sequence, Size, Tag

SequenceNumber = Annotated[int, Tag(0x80)]


class SetDefaultDpAddressRequest(Sequence, tag=0xBF65):
    # FQDN; tag 80; empty string clears it (as in SGP.22)
    default_dp_address: Annotated[str, Tag(0x80), Also(0x0C)]


class SetDefaultDpAddressResult(Code):
    OK = 0
    UNDEFINED_ERROR = 127


class SetDefaultDpAddressResponse(Sequence, tag=0xBF65):
    set_default_dp_address_result: Annotated[SetDefaultDpAddressResult, Tag(0x80), Also(0x02)]


VersionType = Annotated[bytes, Size(3)]
"""Major, minor, revision, one binary octet each: 02 05 00."""


class OperatorId(Sequence):
    mcc_mnc: Annotated[bytes, Tag(0x80), Size(3)]  # TS 24.008 coding; EE EE EE in a RAT = any operator
    gid1: Annotated[bytes | None, Tag(0x81)] = None
    gid2: Annotated[bytes | None, Tag(0x82)] = None


class NotificationEvent(NamedBits):
    NOTIFICATION_INSTALL = 1 << 0
    NOTIFICATION_ENABLE = 1 << 1
    NOTIFICATION_DISABLE = 1 << 2
    NOTIFICATION_DELETE = 1 << 3


Iccid = Annotated[bytes, Tag(0x5A), Size(10)]
"""10 octets, nibble-swapped; 18/19/20 digits, F padding."""


TransactionId = Annotated[bytes, Size(1, 16)]


Octet1 = Annotated[bytes, Size(1)]


Octet2 = Annotated[bytes, Size(2)]


Octet4 = Annotated[bytes, Size(4)]


Octet8 = Annotated[bytes, Size(8)]


Octet16 = Annotated[bytes, Size(16)]


Octet32 = Annotated[bytes, Size(32)]


OctetTo16 = Annotated[bytes, Size(1, 16)]
