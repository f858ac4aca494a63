"""The profile download trigger and its result (ESipa).

Imports keim.der and its own kind only.
"""

from __future__ import annotations

from typing import Annotated

from keim.der import Also, Choice, Code, Explicit, Null, Sequence, Size, Tag
from keim.messages.common import TransactionId
from keim.messages.notification import ProfileInstallationResult


class ProfileDownloadTriggerRequest(Sequence, tag=0xBF54):
    """EIM -> IPA; also eIM -> IPA inside AuthenticateClientOkDSEsipa."""

    # absent: eIM handles the download data itself (IPA capability bit 2)
    profile_download_data: Annotated[ProfileDownloadData | None, Explicit(0xA0)] = None
    # correlates package and result; chosen by the eIM
    eim_transaction_id: Annotated[TransactionId | None, Tag(0x82)] = None


class ContactSmds(Sequence):
    smds_address: Annotated[str | None, Tag(0x80), Also(0x0C)] = None  # tag 80, not 0C


class ProfileDownloadData(Choice):
    # "1$smdp$matchingId[$oid[$ccFlag]]" as in SGP.22, without "LPA:"
    activation_code: Annotated[str | None, Tag(0x80), Size(0, 255)] = None
    # use the default SM-DP+ address of the eUICC
    contact_default_smdp: Annotated[bool | None, Null(0x81)] = None
    contact_smds: Annotated[ContactSmds | None, Tag(0xA2)] = None  # use this or the root SM-DS


class ProfileDownloadErrorReason(Code):
    ECALL_ACTIVE = 104
    UNDEFINED_ERROR = 127


class ProfileDownloadError(Sequence):
    profile_download_error_reason: Annotated[ProfileDownloadErrorReason, Tag(0x80)]
    error_response: Annotated[bytes | None, Tag(0x04)] = None  # opaque: server's answer or details


class ProfileDownloadTriggerResultData(Choice):
    profile_installation_result: ProfileInstallationResult | None = None  # success and installation failure
    # download ended before installation
    profile_download_error: Annotated[ProfileDownloadError | None, Tag(0x30)] = None


class ProfileDownloadTriggerResult(Sequence, tag=0xBF54):
    """IPA -> eIM."""

    # correlates package and result; chosen by the eIM
    eim_transaction_id: Annotated[TransactionId | None, Tag(0x82)] = None
    profile_download_trigger_result_data: ProfileDownloadTriggerResultData
