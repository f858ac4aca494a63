"""LoadEuiccPackage (BF51): the ladder of SGP.32 clause 5.9.1; its first failing line decides.

An error consumes no counter and is not stored (euicc.md section 7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keim.crypto.signed import euicc_package_tbs
from keim.errors import Malformed
from keim.euicc.isdr.eims import HIGHEST_COUNTER, eim_of
from keim.euicc.isdr.pending import has_room
from keim.euicc.isdr.signing import held_key
from keim.euicc.isdr_state import Author, Eim
from keim.euicc.packages.answers import signed_error, unsigned_error
from keim.euicc.packages.execution import execute
from keim.euicc.packages.request import PackageRequest, SignedPackage, legible_head, read_package
from keim.euicc.status import NOT_ENOUGH_MEMORY, WRONG_DATA, StatusError
from keim.messages.package import EuiccPackageErrorCode

if TYPE_CHECKING:
    from keim.euicc.context import CardContext


def load_euicc_package(context: CardContext, request: bytes) -> bytes:
    try:
        package = read_package(request)
    except Malformed:
        return _unreadable(request)
    signed = package.euicc_package_signed
    eim = eim_of(context.state, signed.eim_id)
    if eim is None:
        return unsigned_error(signed.eim_id, signed.eim_transaction_id)
    if not _is_signed(context, package, eim):
        return unsigned_error(signed.eim_id, signed.eim_transaction_id, eim.association_token)
    author = author_of(eim, signed.counter_value, signed.eim_transaction_id)
    error = _refusal(context, signed, eim)
    if error is not None:
        return signed_error(context, author, error)
    return execute(context, author, signed.euicc_package)


def author_of(eim: Eim, counter_value: int, transaction_id: bytes | None) -> Author:
    return Author(
        eim_id=eim.eim_id,
        counter_value=counter_value,
        transaction_id=transaction_id,
        association_token=eim.association_token,
        ci_pk_id=eim.ci_pk_id,
    )


def _is_signed(context: CardContext, package: PackageRequest, eim: Eim) -> bool:
    raw = package.euicc_package_signed.raw or b""
    return held_key(eim.public_key).accepts(
        package.eim_signature,
        euicc_package_tbs(raw, eim.association_token),
        accept_der=context.options.accepts_der_signatures,
    )


def _refusal(context: CardContext, signed: SignedPackage, eim: Eim) -> EuiccPackageErrorCode | None:
    if signed.eid_value != context.identity.eid.octets:
        return EuiccPackageErrorCode.INVALID_EID
    if signed.counter_value <= eim.counter_value:
        return EuiccPackageErrorCode.REPLAY_ERROR
    if signed.counter_value > HIGHEST_COUNTER:
        return EuiccPackageErrorCode.COUNTER_VALUE_OUT_OF_RANGE
    if context.state.isdr.links.is_emergency:
        return EuiccPackageErrorCode.ECALL_ACTIVE
    if not has_room(context.state):
        return EuiccPackageErrorCode.UNDEFINED_ERROR
    return None


def _unreadable(request: bytes) -> bytes:
    head = legible_head(request)
    if head.eim_id is None:
        raise StatusError(WRONG_DATA)
    return unsigned_error(head.eim_id, head.transaction_id)


def refuse_oversized(context: CardContext, received: bytes) -> bytes:
    """sizeOverflow(15) when an associated eIM and a counter are legible in what fitted into the buffer."""
    head = legible_head(received)
    eim = eim_of(context.state, head.eim_id) if head.eim_id is not None else None
    if eim is None or head.counter_value is None:
        raise StatusError(NOT_ENOUGH_MEMORY)
    author = author_of(eim, head.counter_value, head.transaction_id)
    return signed_error(context, author, EuiccPackageErrorCode.SIZE_OVERFLOW)
