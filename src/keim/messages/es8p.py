"""ES8+: the bound profile package.

Imports keim.der and its own kind only.
"""

from __future__ import annotations

from typing import Annotated

from keim.der import Code, Sequence, Tag
from keim.messages.common import Octet1, OctetTo16, TransactionId
from keim.messages.profile import DpProprietaryData


class BoundProfilePackage(Sequence, tag=0xBF36, keep=True):
    """Order is fixed; LPA/IPA sends the parts as separate STORE DATA chains: BF36+len+BF23, A0 TLV, A1
    header, each 88, (A2 TLV), A3 header, each 86.
    """

    initialise_secure_channel_request: InitialiseSecureChannelRequest
    # ConfigureISDP (BF24), encrypted and MACed
    first_sequence_of87: Annotated[tuple[Annotated[bytes, Tag(0x87)], ...], Tag(0xA0)]
    # StoreMetadata (BF25), MAC only
    sequence_of88: Annotated[tuple[Annotated[bytes, Tag(0x88)], ...], Tag(0xA1)]
    # ReplaceSessionKeys (BF26), encrypted with the session keys
    second_sequence_of87: Annotated[tuple[Annotated[bytes, Tag(0x87)], ...] | None, Tag(0xA2)] = None
    # the profile elements, encrypted
    sequence_of86: Annotated[tuple[Annotated[bytes, Tag(0x86)], ...], Tag(0xA3)]


class InitialiseSecureChannelRequest(Sequence, tag=0xBF23, keep=True):
    remote_op_id: RemoteOpId  # always 1; tag 82 comes *before* 80
    transaction_id: Annotated[TransactionId, Tag(0x80)]  # RSP session id given by the server
    control_ref_template: Annotated[ControlRefTemplate, Tag(0xA6)]  # A6
    smdp_otpk: Annotated[bytes, Tag(0x5F49)]  # 65 octets
    # DPpb key over the TLVs 82 80 A6 5F49(smdpOtpk) 5F49(euiccOtpk), concatenated without BF23 header
    smdp_sign: Annotated[bytes, Tag(0x5F37)]


class RemoteOperation(Code):
    INSTALL_BOUND_PROFILE_PACKAGE = 1


RemoteOpId = Annotated[RemoteOperation, Tag(0x82)]


class ControlRefTemplate(Sequence):
    key_type: Annotated[Octet1, Tag(0x80)]  # 88 (AES)
    key_len: Annotated[Octet1, Tag(0x81)]  # 10 (16 octets)
    host_id: Annotated[OctetTo16, Tag(0x84)]  # chosen by the SM-DP+


class ConfigureISDPRequest(Sequence, tag=0xBF24):
    """May be empty: BF24 00."""

    dp_proprietary_data: Annotated[DpProprietaryData | None, Tag(0xB8)] = None


class ReplaceSessionKeysRequest(Sequence, tag=0xBF26):
    initial_mac_chaining_value: Annotated[bytes, Tag(0x80)]  # 16 octets
    ppk_enc: Annotated[bytes, Tag(0x81)]  # 16 octets
    ppk_cmac: Annotated[bytes, Tag(0x82)]  # 16 octets
