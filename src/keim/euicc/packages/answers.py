"""The three answers to a package: the signed result, the signed error, the unsigned error.

Both signatures cover the inner 30 and the association token (crypto.md section 2.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keim.crypto.signed import euicc_package_error_tbs, euicc_package_result_tbs
from keim.der import tlv
from keim.euicc.isdr.signing import sign
from keim.euicc.isdr_state import Author
from keim.messages.package import (
    EuiccPackageErrorCode,
    EuiccPackageErrorDataSigned,
    EuiccPackageErrorUnsigned,
    EuiccPackageResult,
)

if TYPE_CHECKING:
    from keim.euicc.context import CardContext

PACKAGE = 0xBF51


def signed_result(context: CardContext, author: Author, number: int, results: bytes) -> bytes:
    """`results` are the entries of euiccResult as they were made."""
    header = tlv(0x80, author.eim_id.encode()) + tlv(0x81, integer(author.counter_value))
    if author.transaction_id is not None:
        header += tlv(0x82, author.transaction_id)
    data = tlv(0x30, header, tlv(0x83, integer(number)), tlv(0x30, results))
    covered = euicc_package_result_tbs(data, author.association_token)
    signature = sign(context, author.ci_pk_id, covered)
    return tlv(PACKAGE, tlv(0xA0, data, tlv(0x5F37, signature)))


def signed_error(context: CardContext, author: Author, code: EuiccPackageErrorCode) -> bytes:
    data = EuiccPackageErrorDataSigned(
        eim_id=author.eim_id,
        counter_value=author.counter_value,
        eim_transaction_id=author.transaction_id,
        euicc_package_error_code=code,
    ).encode()
    signature = sign(context, author.ci_pk_id, euicc_package_error_tbs(data, author.association_token))
    return tlv(PACKAGE, tlv(0xA1, data, tlv(0x5F37, signature)))


def unsigned_error(eim_id: str, transaction_id: bytes | None, token: int | None = None) -> bytes:
    return EuiccPackageResult(
        euicc_package_error_unsigned=EuiccPackageErrorUnsigned(
            eim_id=eim_id, eim_transaction_id=transaction_id, association_token=token
        )
    ).encode()


def integer(value: int) -> bytes:
    return value.to_bytes((value if value >= 0 else value + 1).bit_length() // 8 + 1, "big", signed=True)
