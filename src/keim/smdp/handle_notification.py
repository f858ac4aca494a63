"""ES9+.HandleNotification (SGP.22 §5.6.4): always acknowledged; what it proves decides the state.

An installation result carries no certificate, so the session's is used, however late and how often it comes.
Other notifications bring their chain (procedures §16, crypto §2.3). Pure; imports floor 0 only.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from functools import partial
from typing import Final

import msgspec

from keim.authentication import check_euicc_chain
from keim.authentication.euicc import verifying_key
from keim.crypto.signed import other_notification_tbs, profile_installation_result_tbs
from keim.deciding import Deciding, ask
from keim.errors import Malformed
from keim.ids import Iccid
from keim.messages.common import NotificationEvent
from keim.messages.es9p import HandleNotification
from keim.messages.execution_status import FUNCTION_FAILED, Failure
from keim.messages.notification import (
    ErrorReason,
    OtherSignedNotification,
    PendingNotification,
    ProfileInstallationResult,
)
from keim.pki import Certificate
from keim.seams import Entropy
from keim.smdp import progress
from keim.smdp.events import NotificationIgnored, NotificationReceived
from keim.smdp.facts import Decision, Facts, Wanted
from keim.smdp.rows import Notification, Profile, Session, SessionStage
from keim.smdp.sessions import euicc_key, next_stage
from keim.smdp.settings import Smdp
from keim.smdp.transitions import ENDS_ORDER, Cause, may, move

TEMPORARY: Final = frozenset(
    {
        ErrorReason.INSTALL_FAILED_DUE_TO_INSUFFICIENT_MEMORY_FOR_PROFILE,
        ErrorReason.INSTALL_FAILED_DUE_TO_INTERRUPTION,
    }
)
"""After these the order is open again; every other reason ends it (procedures §11.10, our reading)."""

HIGHEST_NUMBER: Final = (1 << 63) - 1
"""A sequence number beyond it, or below zero, is nonsense that no database keeps."""

_NO_NUMBER: Final = "seqNumber is below zero or beyond 63 bits"

EVENT_NAMES: Final = {
    NotificationEvent.NOTIFICATION_INSTALL: "install",
    NotificationEvent.NOTIFICATION_ENABLE: "enable",
    NotificationEvent.NOTIFICATION_DISABLE: "disable",
    NotificationEvent.NOTIFICATION_DELETE: "delete",
}


def wanted(request: HandleNotification) -> Wanted:
    match request.pending_notification:
        case PendingNotification(profile_installation_result=ProfileInstallationResult() as result):
            data = result.profile_installation_result_data
            return Wanted(
                transaction_id=data.transaction_id,
                notification=(None, data.notification_metadata.seq_number),
            )
        case PendingNotification(other_signed_notification=OtherSignedNotification() as other):
            metadata = other.tbs_other_notification
            return Wanted(
                iccid=_iccid(metadata.iccid),
                notification=(_claimed_eid(other.euicc_certificate), metadata.seq_number),
            )
        case _:
            return Wanted()


def _iccid(octets: bytes | None) -> str | None:
    try:
        return None if octets is None else str(Iccid.from_octets(octets))
    except Malformed:
        return None


def _claimed_eid(certificate: bytes) -> str | None:
    try:
        return Certificate(certificate).names.serial_number
    except Malformed:
        return None


def decide(
    smdp: Smdp, facts: Facts, request: HandleNotification, *, now: datetime, entropy: Entropy
) -> Deciding[Decision]:
    del entropy
    pending = request.pending_notification
    match pending:
        case PendingNotification(profile_installation_result=ProfileInstallationResult() as result):
            return (yield from _installation_result(smdp, facts, result, now))
        case PendingNotification(other_signed_notification=OtherSignedNotification() as other):
            return (yield from _other(smdp, facts, other, now))
        case _:
            return _ignored("a compact form, which only an eIM can rebuild", now)


def _ignored(why: str, now: datetime, eid: str | None = None) -> Decision:
    return Decision(reply=None, events=(NotificationIgnored(at=now, eid=eid, why=why),))


def _installation_result(
    smdp: Smdp, facts: Facts, result: ProfileInstallationResult, now: datetime
) -> Deciding[Decision]:
    session, profile = facts.session, facts.profile
    if session is None or session.euicc_point is None or session.eid is None:
        return _ignored("the session of this result is not known", now)
    data = result.profile_installation_result_data
    covered = profile_installation_result_tbs(data.encode())
    if not (yield from ask(partial(euicc_key(session).accepts, result.euicc_sign_pir, covered))):
        return _ignored("euiccSignPIR does not verify", now, session.eid)
    if not 0 <= data.notification_metadata.seq_number <= HIGHEST_NUMBER:
        return _ignored(_NO_NUMBER, now, session.eid)
    if facts.notification is not None:
        return Decision(reply=None)
    error = data.final_result.error_result
    reason = None if error is None else error.error_reason
    octets = result.encode()
    row = Notification(
        eid=session.eid,
        seq_number=data.notification_metadata.seq_number,
        event="install",
        iccid=session.iccid,
        received_at=now,
        octets=octets,
        transaction_id=session.transaction_id,
    )
    received = NotificationReceived(
        at=now,
        iccid=session.iccid,
        eid=session.eid,
        transaction_id=session.transaction_id,
        kind="result",
        seq_number=row.seq_number,
        error_reason=None if reason is None else int(reason),
    )
    closed = next_stage(session, SessionStage.ENDED, has_result=True)
    decided = Decision(reply=None, rows=(row, closed), events=(received,))
    return _apply_result(smdp, decided, profile, session, reason=reason, octets=octets, now=now)


def _apply_result(
    smdp: Smdp,
    decided: Decision,
    profile: Profile | None,
    session: Session,
    *,
    reason: ErrorReason | None,
    octets: bytes,
    now: datetime,
) -> Decision:
    """What the result means for the order. A failure of an older session says nothing about a newer one."""
    if profile is None or profile.bound_eid != session.eid:
        return decided
    if reason is not None and profile.session != session.transaction_id:
        return decided
    cause = _cause(reason)
    if not may(profile, cause):
        return decided
    is_over = cause is not Cause.TEMPORARY_FAILURE
    moved = move(
        profile,
        cause,
        at=now,
        session=session.transaction_id,
        # A finished try gives its keys up; after a temporary one the eUICC may offer the same key again.
        wrapped_otsk=None if is_over else profile.wrapped_otsk,
        has_event=False if is_over else profile.has_event,
    )
    errands = progress.progress(
        smdp,
        profile,
        progress.INSTALLATION,
        now=now,
        failure=None if reason is None else FUNCTION_FAILED,
        eid=session.eid,
        result=b64encode(octets).decode("ascii"),
    )
    if moved.profile.state in ENDS_ORDER:
        errands += progress.event_deletion(profile, now=now)
    return msgspec.structs.replace(
        decided, rows=(*decided.rows, moved.profile), events=(*decided.events, moved.event), errands=errands
    )


def _cause(reason: ErrorReason | None) -> Cause:
    if reason is None:
        return Cause.INSTALLED
    return Cause.TEMPORARY_FAILURE if reason in TEMPORARY else Cause.PERMANENT_FAILURE


def _other(smdp: Smdp, facts: Facts, other: OtherSignedNotification, now: datetime) -> Deciding[Decision]:
    leaf = yield from check_euicc_chain(smdp.server, other.euicc_certificate, other.eum_certificate, now=now)
    if isinstance(leaf, Failure):
        return _ignored(f"the eUICC's chain was refused: {leaf.message}", now)
    metadata = other.tbs_other_notification
    eid = leaf.names.serial_number or ""
    covered = other_notification_tbs(metadata.encode())
    check = partial(verifying_key(leaf).accepts, other.euicc_notification_signature, covered)
    if not (yield from ask(check)):
        return _ignored("euiccNotificationSignature does not verify", now, eid)
    if not 0 <= metadata.seq_number <= HIGHEST_NUMBER:
        return _ignored(_NO_NUMBER, now, eid)
    if facts.notification is not None:
        return Decision(reply=None)
    event = EVENT_NAMES.get(metadata.profile_management_operation, "unknown")
    row = Notification(
        eid=eid,
        seq_number=metadata.seq_number,
        event=event,
        iccid=_iccid(metadata.iccid),
        received_at=now,
        octets=other.encode(),
    )
    received = NotificationReceived(
        at=now, iccid=row.iccid, eid=eid, kind=event, seq_number=metadata.seq_number
    )
    decided = Decision(reply=None, rows=(row,), events=(received,))
    profile = facts.profile
    # Whoever holds another profile of this number is not the eUICC that we gave it to.
    if profile is None or profile.bound_eid != eid or event not in progress.LATER_EVENTS:
        return decided
    errands = progress.progress(smdp, profile, progress.LATER_EVENTS[event], now=now, eid=eid)
    decided = msgspec.structs.replace(decided, errands=errands)
    return _apply_deletion(smdp, decided, profile, now) if event == "delete" else decided


def _apply_deletion(smdp: Smdp, decided: Decision, profile: Profile, now: datetime) -> Decision:
    cause = Cause.DELETED_TO_STOCK if smdp.rules.reuses_deleted else Cause.DELETED_FOR_GOOD
    if not may(profile, cause):
        return decided
    moved = move(profile, cause, at=now)
    return msgspec.structs.replace(
        decided, rows=(*decided.rows, moved.profile), events=(*decided.events, moved.event)
    )
