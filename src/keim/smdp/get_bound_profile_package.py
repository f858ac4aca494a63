"""ES9+.GetBoundProfilePackage (SGP.22 §5.6.2): confirmation code, binding, delivery.

The checks are those of procedures §11.5 step 9. Pure; imports floor 0 only.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial

from keim.crypto.confirmation import is_confirmed
from keim.crypto.faults import BadPublicKey
from keim.crypto.secrets import Secret
from keim.crypto.signed import euicc_signed2_tbs
from keim.deciding import Deciding, ask
from keim.der import AnyTlv
from keim.messages.authentication import EUICCSigned2, PrepareDownloadResponseOk
from keim.messages.es9p import GetBoundProfilePackageRequest, PackageDelivery
from keim.messages.execution_status import (
    CONFIRMATION_CODE_MISSING,
    CONFIRMATION_CODE_REFUSED,
    CONFIRMATION_CODE_RETRIES,
    EUICC_SIGNATURE_INVALID,
    ORDER_EXPIRED,
    PROFILE_NOT_RELEASED,
    REBINDING_REFUSED,
    TRANSACTION_UNKNOWN,
    Failure,
)
from keim.seams import Entropy
from keim.smdp import progress
from keim.smdp.binding import bind_profile
from keim.smdp.events import CodeRefused
from keim.smdp.facts import Decision, Facts, Wanted
from keim.smdp.rows import Contents, Profile, ProfileState, Session, SessionStage
from keim.smdp.sessions import UNKNOWN, ended, euicc_key, is_alive, next_stage
from keim.smdp.settings import Smdp
from keim.smdp.transitions import Cause, changed, move


def wanted(request: GetBoundProfilePackageRequest) -> Wanted:
    return Wanted(transaction_id=request.transaction_id, with_contents=True, with_body=True)


def decide(
    smdp: Smdp, facts: Facts, request: GetBoundProfilePackageRequest, *, now: datetime, entropy: Entropy
) -> Deciding[Decision]:
    del entropy
    session, profile = facts.session, facts.profile
    if session is None or not is_alive(session, now):
        return Decision(reply=UNKNOWN)
    if session.stage not in (SessionStage.AUTHENTICATED, SessionStage.DELIVERED) or profile is None:
        return Decision(reply=UNKNOWN)
    response = request.prepare_download_response.download_response_ok
    if response is None:
        # The eUICC refused what we offered: its error closes the session, the order stays (bindings §8.4).
        reply = Failure(EUICC_SIGNATURE_INVALID, "the eUICC answered with an error")
        rows = (ended(session),) if session.stage is SessionStage.AUTHENTICATED else ()
        return Decision(reply=reply, rows=rows)
    failure = yield from _signature_failure(session, response)
    failure = failure or _order_failure(smdp, session, profile, response, now)
    if failure is not None:
        return Decision(reply=failure)
    if (refused := _check_code(smdp, session, profile, response.euicc_signed2, now)) is not None:
        return refused
    if facts.contents is None or facts.body is None:
        return Decision(reply=Failure(PROFILE_NOT_RELEASED, "the profile's package is not kept here"))
    delivery = _deliver(
        smdp,
        session,
        profile,
        facts.contents,
        body=facts.body,
        euicc_otpk=response.euicc_signed2.euicc_otpk,
        now=now,
    )
    return (yield from delivery)


def _signature_failure(session: Session, response: PrepareDownloadResponseOk) -> Deciding[Failure | None]:
    signed = response.euicc_signed2
    if signed.transaction_id != session.transaction_id:
        return Failure(TRANSACTION_UNKNOWN, "euiccSigned2 is of another transaction")
    covered = euicc_signed2_tbs(signed.encode(), session.smdp_signature2 or b"")
    check = partial(euicc_key(session).accepts, response.euicc_signature2, covered)
    if not (yield from ask(check)):
        return Failure(EUICC_SIGNATURE_INVALID, "euiccSignature2 does not verify")
    return None


def _order_failure(
    smdp: Smdp, session: Session, profile: Profile, response: PrepareDownloadResponseOk, now: datetime
) -> Failure | None:
    is_repeat = session.stage is SessionStage.DELIVERED
    otpk = response.euicc_signed2.euicc_otpk
    if is_repeat and otpk != session.euicc_otpk:
        return Failure(REBINDING_REFUSED, "this session has a package for another one-time key")
    if (
        profile.state not in (ProfileState.RELEASED, ProfileState.DOWNLOADED)
        or profile.session != session.transaction_id
    ):
        return Failure(PROFILE_NOT_RELEASED, "the order is no longer open to this session")
    if profile.expires_at is not None and now >= profile.expires_at:
        return Failure(ORDER_EXPIRED, f"the order ended at {profile.expires_at.isoformat()}")
    is_retry = profile.euicc_otpk is not None and profile.bound_eid == session.eid
    if is_retry and otpk != profile.euicc_otpk and not smdp.rules.may_rebind:
        return Failure(REBINDING_REFUSED, "the eUICC has made a new one-time key")
    return None


def _check_code(
    smdp: Smdp, session: Session, profile: Profile, signed: EUICCSigned2, now: datetime
) -> Decision | None:
    """None: no code is needed, or it is right. A wrong one counts, and the last one ends the order."""
    if profile.code_hash is None:
        return None
    if signed.hash_cc is None:
        return Decision(reply=Failure(CONFIRMATION_CODE_MISSING, "a confirmation code is needed"))
    if is_confirmed(signed.hash_cc, Secret(profile.code_hash), session.transaction_id):
        return None
    attempts = profile.code_attempts + 1
    is_last = attempts >= smdp.rules.code_attempts
    failure = (
        Failure(CONFIRMATION_CODE_RETRIES, f"{attempts} wrong confirmation codes")
        if is_last
        else Failure(CONFIRMATION_CODE_REFUSED, "the confirmation code is wrong")
    )
    refused = CodeRefused(
        at=now,
        iccid=profile.iccid,
        eid=session.eid,
        transaction_id=session.transaction_id,
        attempts=attempts,
    )
    errands = progress.progress(
        smdp, profile, progress.CONFIRMATION_CODE, now=now, failure=failure.code, eid=session.eid
    )
    if not is_last:
        counted = changed(profile, code_attempts=attempts)
        return Decision(reply=failure, rows=(ended(session), counted), events=(refused,), errands=errands)
    moved = move(
        profile,
        Cause.CODE_RETRIES,
        at=now,
        session=session.transaction_id,
        code_attempts=attempts,
        has_event=False,
    )
    return Decision(
        reply=failure,
        rows=(ended(session), moved.profile),
        events=(refused, moved.event),
        errands=errands + progress.event_deletion(profile, now=now),
    )


def _deliver(
    smdp: Smdp,
    session: Session,
    profile: Profile,
    contents: Contents,
    *,
    body: bytes,
    euicc_otpk: bytes,
    now: datetime,
) -> Deciding[Decision]:
    assert session.eid is not None  # set with the stage AUTHENTICATED
    try:
        bound = yield from bind_profile(
            smdp,
            smdp.binders[session.server_ci_pk_id],
            profile,
            contents,
            body,
            transaction_id=session.transaction_id,
            eid=session.eid,
            euicc_otpk=euicc_otpk,
        )
    except BadPublicKey as error:
        return Decision(reply=Failure(EUICC_SIGNATURE_INVALID, f"euiccOtpk: {error}"))
    reply = PackageDelivery(
        transaction_id=session.transaction_id, bound_profile_package=AnyTlv(bound.bound_profile_package)
    )
    if session.stage is SessionStage.DELIVERED:
        return Decision(reply=reply)  # a repetition of the same request changes nothing
    moved = move(
        profile,
        Cause.DELIVERED,
        at=now,
        session=session.transaction_id,
        bound_eid=session.eid,
        euicc_otpk=euicc_otpk,
        wrapped_otsk=bound.wrapped_otsk,
        download_attempts=profile.download_attempts + 1,
    )
    delivered = next_stage(
        session,
        SessionStage.DELIVERED,
        euicc_otpk=euicc_otpk,
        euicc_signature1=None,  # AuthenticateClient is not repeated any more
        smdp_signed2=None,
        keep_until=now + smdp.rules.result_lifetime,
    )
    errands = progress.progress(smdp, profile, progress.PACKAGE_DELIVERED, now=now, eid=session.eid)
    return Decision(reply=reply, rows=(delivered, moved.profile), events=(moved.event,), errands=errands)
