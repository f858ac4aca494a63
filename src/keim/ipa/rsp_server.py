"""What a download needs of an RSP server, whether it is reached directly or through an eIM.

Both ways answer with the same values; a refusal is the value `Stop`. Imports its neighbours and
keim.messages only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from keim.der import Certificate
from keim.ids import Oid
from keim.ipa.effects import Procedure
from keim.messages.authentication import (
    AuthenticateServerResponse,
    CancelSessionReason,
    CancelSessionResponse,
    CtxParams1,
    PrepareDownloadResponse,
    ServerSigned1,
    SmdpSigned2,
)
from keim.messages.download_trigger import ProfileDownloadErrorReason, ProfileDownloadTriggerRequest
from keim.messages.info import EUICCInfo1
from keim.messages.profile import StoreMetadataRequest


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be fetched, as far as the IPA knows it."""

    address: str | None
    """None: the eIM knows it (capability bit 2)."""
    matching_id: str | None = None
    smdp_oid: Oid | None = None
    eim_transaction_id: bytes | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """The download ended before a profile installation result."""

    step: str
    detail: str
    error_response: bytes | None = None
    """DER of the last error object, for the trigger's result."""
    cancel: CancelSessionReason | None = None
    """The session is to be cancelled with this reason, if one is open."""
    reason: ProfileDownloadErrorReason = ProfileDownloadErrorReason.UNDEFINED_ERROR


@dataclass(frozen=True, slots=True)
class ServerAuthentication:
    transaction_id: bytes
    server_signed1: ServerSigned1
    server_signature1: bytes
    ci_pk_id: bytes
    server_certificate: Certificate
    matching_id: str | None = None
    ctx_params1: CtxParams1 | None = None
    """Made by the eIM (capability bit 3)."""


@dataclass(frozen=True, slots=True)
class DownloadOffer:
    """An SM-DP+ has the profile."""

    smdp_signed2: SmdpSigned2
    smdp_signature2: bytes
    smdp_certificate: Certificate
    metadata: StoreMetadataRequest | None = None
    hash_cc: bytes | None = None


@dataclass(frozen=True, slots=True)
class FoundEvents:
    """An SM-DS has events: (eventId, address of the next server)."""

    events: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class NextTrigger:
    """The eIM asked an SM-DS: what to download now, if anything."""

    trigger: ProfileDownloadTriggerRequest | None


class RspServer(Protocol):
    @property
    def way(self) -> Literal["direct", "indirect"]: ...

    def initiate_authentication(
        self, order: Order, euicc_challenge: bytes, euicc_info1: EUICCInfo1
    ) -> Procedure[ServerAuthentication | Stop]: ...

    def authenticate_client(
        self, session: ServerAuthentication, response: AuthenticateServerResponse
    ) -> Procedure[DownloadOffer | FoundEvents | NextTrigger | Stop]: ...

    def get_bound_profile_package(
        self, session: ServerAuthentication, offer: DownloadOffer | None, response: PrepareDownloadResponse
    ) -> Procedure[bytes | Stop]: ...

    def cancel_session(
        self, session: ServerAuthentication, response: CancelSessionResponse, *, is_reason_known: bool
    ) -> Procedure[None]: ...
