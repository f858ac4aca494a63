"""The profile installation result (BF37): made, signed, and stored with the state that it tells of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.crypto.signed import profile_installation_result_tbs
from keim.euicc.isdr.one_time_keys import forgotten
from keim.euicc.isdr.pending import store
from keim.euicc.isdr.signing import sign
from keim.euicc.isdr_state import InstallJournal
from keim.ids import Oid
from keim.messages.common import NotificationEvent
from keim.messages.notification import (
    BppCommandId,
    ErrorReason,
    ErrorResult,
    FinalResult,
    NotificationMetadata,
    ProfileInstallationResult,
    ProfileInstallationResultData,
)

if TYPE_CHECKING:
    from keim.euicc.context import CardContext
    from keim.euicc.state import CardState


def with_result(
    context: CardContext, state: CardState, journal: InstallJournal, result: FinalResult
) -> tuple[CardState, bytes]:
    """The state with the signed result pending, staging and one-time key gone; and the result."""
    data = ProfileInstallationResultData(
        transaction_id=journal.transaction_id,
        notification_metadata=NotificationMetadata(
            seq_number=state.isdr.next_sequence_number,
            profile_management_operation=NotificationEvent.NOTIFICATION_INSTALL,
            notification_address=journal.server_address,
            iccid=journal.iccid or None,
        ),
        smdp_oid=Oid(journal.smdp_oid),
        final_result=result,
    )
    signature = sign(context, journal.ci_pk_id, profile_installation_result_tbs(data.encode()))
    octets = ProfileInstallationResult(
        profile_installation_result_data=data, euicc_sign_pir=signature
    ).encode()
    state = store(forgotten(state), NotificationEvent.NOTIFICATION_INSTALL, octets)
    return replace(state, isdr=replace(state.isdr, staging=None)), octets


def failure(command: int, reason: ErrorReason, sima_response: bytes | None = None) -> FinalResult:
    return FinalResult(
        error_result=ErrorResult(
            bpp_command_id=BppCommandId(command), error_reason=reason, sima_response=sima_response
        )
    )


def recover(context: CardContext) -> None:
    """At boot: what had come in is gone; when BF23 had been accepted, the SM-DP+ is told (reason 11)."""
    journal = context.state.isdr.staging
    if journal is None:
        return
    result = failure(journal.command, ErrorReason.INSTALL_FAILED_DUE_TO_INTERRUPTION)
    state, _ = with_result(context, context.state, journal, result)
    context.commit("installation interrupted", state)
