"""Download and installation of a profile, common to both ways (procedures §11.3 to §11.10, SGP.32 §3.2.3).

The numbers are those of procedures §11.3 (authentication) and §11.5 (download). Imports its neighbours and
keim.messages only.
"""

from __future__ import annotations

from dataclasses import dataclass

from keim.crypto.bpp_segments import load_segments
from keim.crypto.confirmation import confirmation_code_hash, hash_cc
from keim.errors import Malformed, Refused
from keim.ids import Oid
from keim.ipa.cancel import cancel_session
from keim.ipa.card import CARD_ERRORS, CardRefused, call_card, recover
from keim.ipa.context import Ipa
from keim.ipa.effects import Procedure
from keim.ipa.es10 import (
    authenticate_server,
    get_euicc_challenge,
    get_euicc_info1,
    prepare_download,
    read,
    retrieve_notifications,
)
from keim.ipa.events import DownloadEnded, DownloadStarted
from keim.ipa.memory import DownloadNote
from keim.ipa.metadata import verify_metadata
from keim.ipa.rsp_server import (
    DownloadOffer,
    FoundEvents,
    NextTrigger,
    Order,
    RspServer,
    ServerAuthentication,
    Stop,
)
from keim.messages.authentication import (
    AuthenticateServerRequest,
    AuthenticateServerResponse,
    CancelSessionReason,
    CtxParams1,
    CtxParamsForCommonAuthentication,
    PrepareDownloadRequest,
    PrepareDownloadResponse,
)
from keim.messages.info import EUICCInfo1
from keim.messages.notification import ErrorReason, PendingNotification, ProfileInstallationResult
from keim.messages.profile_rules import is_other_metadata
from keim.pki.certificate import Certificate

KEY_IDENTIFIER_LENGTH = 20


@dataclass(frozen=True, slots=True)
class Installation:
    """The card's signed answer, of a success or of a failure."""

    result: ProfileInstallationResult

    @property
    def is_success(self) -> bool:
        return self.result.profile_installation_result_data.final_result.success_result is not None

    @property
    def word(self) -> str:
        error = self.result.profile_installation_result_data.final_result.error_result
        return "installed" if error is None else error.error_reason.name.lower()

    @property
    def is_interruption(self) -> bool:
        error = self.result.profile_installation_result_data.final_result.error_result
        return error is not None and error.error_reason == ErrorReason.INSTALL_FAILED_DUE_TO_INTERRUPTION


def download(
    ipa: Ipa, server: RspServer, order: Order
) -> Procedure[Installation | FoundEvents | NextTrigger | Stop]:
    """From the mutual authentication to the profile installation result."""
    transaction = None if order.eim_transaction_id is None else order.eim_transaction_id.hex()
    yield from ipa.tell(DownloadStarted(server.way, order.address, transaction))
    try:
        outcome = yield from _download(ipa, server, order)
    except CARD_ERRORS as failure:
        yield from recover(ipa, str(failure))
        outcome = Stop("card", str(failure))
    if isinstance(outcome, Stop):
        yield from ipa.tell(DownloadEnded(outcome.step, outcome.detail))
    elif isinstance(outcome, Installation):
        yield from ipa.tell(DownloadEnded(outcome.word))
    return outcome


def _download(
    ipa: Ipa, server: RspServer, order: Order
) -> Procedure[Installation | FoundEvents | NextTrigger | Stop]:
    info1 = yield from get_euicc_info1(ipa)  # §11.3 1
    challenge = yield from get_euicc_challenge(ipa)  # 2
    session = yield from server.initiate_authentication(order, challenge, info1)  # 3-6
    if isinstance(session, Stop):
        return session
    yield from _note_session(ipa, session)
    authentication = yield from _authenticate_server(ipa, order, session, info1)  # 7-11
    if isinstance(authentication, Stop):
        return authentication
    answer = yield from server.authenticate_client(session, authentication)  # 12-14
    error = authentication.authenticate_response_error
    if error is not None:  # also sent to the server, to close its session
        word = f"the card refused the server: {error.authenticate_error_code.name.lower()}"
        return Stop("authenticateServer", word, authentication.encode())
    if isinstance(answer, Stop):
        return (yield from cancel_session(ipa, server, session, answer, is_reason_known=True))
    if isinstance(answer, FoundEvents | NextTrigger):
        return answer
    return (yield from _install(ipa, server, order, session, answer))


def _note_session(ipa: Ipa, session: ServerAuthentication) -> Procedure[None]:
    """After a power cut the installation result is found by this id, and by its route."""
    note = ipa.memory.download or DownloadNote(None)
    relayed = dict(ipa.memory.relayed)
    if note.is_indirect and note.eim_id is not None:
        relayed[session.transaction_id.hex()] = note.eim_id
    noted = DownloadNote(note.eim_id, note.eim_transaction_id, session.transaction_id, note.is_indirect)
    yield from ipa.remember(download=noted, relayed=relayed)


# mutual authentication, §11.3 7-11


def _authenticate_server(
    ipa: Ipa, order: Order, session: ServerAuthentication, info1: EUICCInfo1
) -> Procedure[AuthenticateServerResponse | Stop]:
    refusal = _check_server(order, session)  # 7
    if refusal is not None:
        return refusal
    request = AuthenticateServerRequest(
        server_signed1=session.server_signed1,
        server_signature1=session.server_signature1,
        euicc_ci_pk_id_to_be_used=complete_ci_pk_id(session.ci_pk_id, info1),
        server_certificate=session.server_certificate,
        ctx_params1=_ctx_params1(ipa, order, session),  # 8
    )
    return (yield from authenticate_server(ipa, request))  # 9


def _check_server(order: Order, session: ServerAuthentication) -> Stop | None:
    """The address that was wanted and the OID of the activation code, if either is known here."""
    found = session.server_signed1.server_address
    if order.address is not None and _host(found) != _host(order.address):
        return Stop("authenticateServer", f"{order.address} was wanted, {found} answers")
    if order.smdp_oid is not None:
        oids = _oids(session.server_certificate)
        if order.smdp_oid not in oids:
            return Stop("authenticateServer", f"the server's certificate does not name {order.smdp_oid}")
    return None


def _host(address: str) -> str:
    """Case and port are no part of the name (bindings §7.1)."""
    return address.partition(":")[0].lower().rstrip(".")


def _oids(certificate: bytes) -> tuple[Oid, ...]:
    try:
        return Certificate(certificate).alternative_names.registered_ids
    except Malformed:
        return ()


def complete_ci_pk_id(ci_pk_id: bytes, info1: EUICCInfo1) -> bytes:
    """The eIM may send the leading octets only; the card wants the whole identifier."""
    if len(ci_pk_id) >= KEY_IDENTIFIER_LENGTH:
        return ci_pk_id
    matches = [known for known in info1.euicc_ci_pk_id_list_for_signing if known.startswith(ci_pk_id)]
    return matches[0] if matches else ci_pk_id


def _ctx_params1(ipa: Ipa, order: Order, session: ServerAuthentication) -> CtxParams1:
    """Ours, unless the eIM made it (capability bit 3); the matchingId is ours or the eIM's (bit 2)."""
    if session.ctx_params1 is not None:
        return session.ctx_params1
    matching_id = session.matching_id if session.matching_id is not None else order.matching_id
    return CtxParams1(
        ctx_params_for_common_authentication=CtxParamsForCommonAuthentication(
            matching_id=matching_id, device_info=ipa.configuration.device.info()
        )
    )


# download and installation, §11.5 5-11


def _install(
    ipa: Ipa, server: RspServer, order: Order, session: ServerAuthentication, offer: DownloadOffer
) -> Procedure[Installation | Stop]:
    if offer.metadata is not None:  # 5: with bit 4 the eIM has done it
        refusal = yield from verify_metadata(ipa, offer.metadata)
        if refusal is not None:
            return (yield from cancel_session(ipa, server, session, refusal))
    confirmation = _confirmation(ipa, order, session, offer)  # 6
    if isinstance(confirmation, Stop):
        return (yield from cancel_session(ipa, server, session, confirmation))
    request = PrepareDownloadRequest(
        smdp_signed2=offer.smdp_signed2,
        smdp_signature2=offer.smdp_signature2,
        hash_cc=confirmation or None,
        smdp_certificate=offer.smdp_certificate,
    )
    prepared = yield from prepare_download(ipa, request)  # 7
    package = yield from server.get_bound_profile_package(session, offer, prepared)  # 8
    refused = _preparation_refusal(prepared)
    if refused is not None:
        return refused
    if isinstance(package, Stop):
        return (yield from cancel_session(ipa, server, session, package, is_reason_known=True))
    if offer.metadata is not None and is_other_metadata(package, offer.metadata):
        stop = Stop(
            "metadata",
            "the package carries other metadata than was offered",
            cancel=CancelSessionReason.METADATA_MISMATCH,
        )
        return (yield from cancel_session(ipa, server, session, stop))
    loaded = yield from load_bound_profile_package(ipa, package, session.transaction_id)  # 10, 11
    if isinstance(loaded, Stop):
        return (yield from cancel_session(ipa, server, session, loaded))
    return loaded


def _confirmation(
    ipa: Ipa, order: Order, session: ServerAuthentication, offer: DownloadOffer
) -> bytes | Stop:
    """hashCc where it is required: from the eIM, or from a code that this device was given; else empty."""
    if not offer.smdp_signed2.cc_required_flag:
        return b""
    if offer.hash_cc is not None:
        return offer.hash_cc
    code = ipa.configuration.confirmation_codes.get(order.matching_id or session.matching_id or "")
    if code is None:
        return Stop(
            "prepareDownload",
            "the order wants a confirmation code, and none is known",
            cancel=CancelSessionReason.POSTPONED,
        )
    return hash_cc(confirmation_code_hash(code), session.transaction_id)


def _preparation_refusal(prepared: PrepareDownloadResponse) -> Stop | None:
    """The error went to the server, which has closed the session."""
    error = prepared.download_response_error
    if error is None:
        return None
    word = f"the card refused the download: {error.download_error_code.name.lower()}"
    return Stop("prepareDownload", word, prepared.encode())


def load_bound_profile_package(
    ipa: Ipa, package: bytes, transaction_id: bytes
) -> Procedure[Installation | Stop]:
    """Segment by segment, until the card answers with the result (bindings §12.3)."""
    try:
        for segment in load_segments(package):
            answer = yield from call_card(ipa, segment)
            if answer:
                return Installation(read(answer, ProfileInstallationResult))
        detail = "the card gave no profile installation result"
    except CardRefused as refusal:
        detail = str(refusal)
    except Refused as refusal:
        detail = str(refusal)
    except Malformed as failure:
        if failure.party == "eUICC":
            yield from recover(ipa, str(failure))
        detail = str(failure)
    except CARD_ERRORS as failure:
        yield from recover(ipa, str(failure))
        detail = str(failure)
    found = yield from find_installation(ipa, transaction_id)
    if found is not None:
        return found
    return Stop("loadBoundProfilePackage", detail, cancel=CancelSessionReason.LOAD_BPP_EXECUTION_ERROR)


def find_installation(ipa: Ipa, transaction_id: bytes) -> Procedure[Installation | None]:
    """The result that the card stored for this session, also after an interruption."""
    notifications = yield from retrieve_notifications(ipa)
    return installation_in(notifications, transaction_id)


def installation_in(
    notifications: tuple[PendingNotification, ...], transaction_id: bytes
) -> Installation | None:
    for notification in notifications:
        result = notification.profile_installation_result
        if result is not None and result.profile_installation_result_data.transaction_id == transaction_id:
            return Installation(result)
    return None
