"""ConfigureISDP and StoreMetadata: what the card judges before a profile element comes in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keim.der import TOLERANT
from keim.errors import Malformed
from keim.euicc.install.policy import are_rules_allowed
from keim.euicc.install.refusal import InstallationRefused
from keim.euicc.isdr import memory
from keim.euicc.isdr.profiles import by_iccid
from keim.messages.es8p import ConfigureISDPRequest
from keim.messages.notification import BppCommandId, ErrorReason
from keim.messages.profile import StoreMetadataRequest

if TYPE_CHECKING:
    from keim.euicc.context import CardContext


def configure_isdp(context: CardContext, request: bytes) -> bytes:
    """The SM-DP+'s own data (B8), or nothing."""
    command = BppCommandId.CONFIGURE_ISDP
    try:
        data = ConfigureISDPRequest.decode(request, TOLERANT).dp_proprietary_data
    except Malformed:
        raise InstallationRefused(command, ErrorReason.INCORRECT_INPUT_VALUES) from None
    if memory.free(context) < memory.ISDP_OCTETS:
        raise InstallationRefused(command, ErrorReason.INSTALL_FAILED_DUE_TO_INSUFFICIENT_MEMORY_FOR_PROFILE)
    return b"" if data is None else _as_b8(data.encode())


def _as_b8(sequence: bytes) -> bytes:
    return b"\xb8" + sequence[1:]


def read_metadata(request: bytes) -> StoreMetadataRequest:
    try:
        return StoreMetadataRequest.decode(request, TOLERANT)
    except Malformed:
        raise InstallationRefused(BppCommandId.STORE_METADATA, ErrorReason.INCORRECT_INPUT_VALUES) from None


def judge_metadata(context: CardContext, metadata: StoreMetadataRequest, octets: int) -> None:
    reason = _refusal(context, metadata, octets)
    if reason is not None:
        raise InstallationRefused(BppCommandId.STORE_METADATA, reason)


def _refusal(context: CardContext, metadata: StoreMetadataRequest, octets: int) -> ErrorReason | None:
    if by_iccid(context.state, metadata.iccid) is not None:
        return ErrorReason.INSTALL_FAILED_DUE_TO_ICCID_ALREADY_EXISTS_ON_EUICC
    if not metadata.profile_class.is_known:
        return ErrorReason.UNSUPPORTED_PROFILE_CLASS
    if (metadata.icon is not None) and metadata.icon_type is None:
        return ErrorReason.INCORRECT_INPUT_VALUES
    if not are_rules_allowed(context, metadata):
        return ErrorReason.PPR_NOT_ALLOWED
    if memory.free(context) < memory.ISDP_OCTETS + octets:
        return ErrorReason.INSTALL_FAILED_DUE_TO_INSUFFICIENT_MEMORY_FOR_PROFILE
    return None
