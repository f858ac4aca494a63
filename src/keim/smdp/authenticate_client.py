"""ES9+.AuthenticateClient (SGP.22 §5.6.3): proves the eUICC, finds its order, offers the profile.

The order of the checks is that of procedures §11.3 step 13 and §11.4. Pure; imports floor 0 only.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial

import msgspec

from keim.authentication import AuthenticatedEuicc, authenticate_euicc
from keim.crypto.signed import smdp_signed2_tbs
from keim.deciding import Deciding, ask
from keim.der import AnyTlv
from keim.der import Certificate as CertificateOctets
from keim.errors import Malformed
from keim.messages.authentication import AuthenticateResponseOk, SmdpSigned2
from keim.messages.es9p import AuthenticateClientRequest, ProfileOffer
from keim.messages.execution_status import (
    DOWNLOAD_RETRIES,
    EID_MISMATCH,
    EUICC_SIGNATURE_INVALID,
    MATCHING_ID_REFUSED,
    ORDER_EXPIRED,
    PROFILE_NOT_RELEASED,
    SMDP_CERTIFICATE_UNAVAILABLE,
    Failure,
)
from keim.pki import Certificate
from keim.seams import Entropy
from keim.smdp import progress
from keim.smdp.eligibility import ineligibility
from keim.smdp.events import DownloadRefused
from keim.smdp.facts import Decision, Facts, Wanted
from keim.smdp.rows import Contents, Profile, ProfileState, Session, SessionStage
from keim.smdp.sessions import UNKNOWN, ended, is_alive, next_stage, opened_session
from keim.smdp.settings import Smdp
from keim.smdp.transitions import Cause, changed, may, move


def wanted(request: AuthenticateClientRequest) -> Wanted:
    response = request.authenticate_server_response.authenticate_response_ok
    if response is None:
        return Wanted(transaction_id=request.transaction_id)
    context = response.euicc_signed1.ctx_params1.ctx_params_for_common_authentication
    matching_id = context.matching_id if context is not None else None
    if matching_id:
        # No order has a zero octet in its matching id, and not every database may be asked about one.
        asked = None if "\0" in matching_id else matching_id
        return Wanted(transaction_id=request.transaction_id, matching_id=asked, with_contents=True)
    return Wanted(
        transaction_id=request.transaction_id,
        default_eid=_claimed_eid(response.euicc_certificate),
        with_contents=True,
    )


def _claimed_eid(certificate: bytes) -> str | None:
    """Not yet verified: good for looking something up, for nothing else."""
    try:
        return Certificate(certificate).names.serial_number
    except Malformed:
        return None


def decide(
    smdp: Smdp, facts: Facts, request: AuthenticateClientRequest, *, now: datetime, entropy: Entropy
) -> Deciding[Decision]:
    del entropy
    session = facts.session or opened_session(smdp, request.transaction_id)
    if session is None or not is_alive(session, now):
        return Decision(reply=UNKNOWN)
    response = request.authenticate_server_response.authenticate_response_ok
    if response is None:
        return _euicc_refused(session)
    if session.stage is not SessionStage.INITIATED:
        return Decision(reply=_repeated(smdp, session, facts, response))
    euicc = yield from authenticate_euicc(
        smdp.server,
        response,
        transaction_id=session.transaction_id,
        server_address=session.server_address,
        server_challenge=session.server_challenge,
        ci_pk_id=session.ci_pk_id,
        now=now,
    )
    if isinstance(euicc, Failure):
        # The session stays: a stranger who learnt its number cannot end it for the eUICC that opened it.
        return Decision(reply=euicc)
    profile = facts.matching if euicc.matching_id else next(iter(facts.default_orders), None)
    known = _of_euicc(session, euicc)
    failure = _order_failure(profile, euicc, now)
    if failure is not None or profile is None or facts.contents is None:
        failure = failure or Failure(MATCHING_ID_REFUSED, "no profile is kept for this order")
        return _refused(known, failure, now, profile)
    if profile.download_attempts >= smdp.rules.download_attempts:
        failure = Failure(DOWNLOAD_RETRIES, f"{profile.download_attempts} downloads were tried")
        return _fail_order(smdp, known, profile, failure=failure, cause=Cause.DOWNLOAD_RETRIES, now=now)
    if (failure := ineligibility(facts.contents, euicc.info2)) is not None:
        return _fail_order(smdp, known, profile, failure=failure, cause=Cause.NOT_ELIGIBLE, now=now)
    return (yield from _offer(smdp, known, profile, facts.contents, now))


def _euicc_refused(session: Session) -> Decision:
    """The eUICC's own error instead of its answer: it has refused us (procedures §11.3 step 12)."""
    reply = Failure(EUICC_SIGNATURE_INVALID, "the eUICC answered with an error")
    rows = (ended(session),) if session.stage is SessionStage.INITIATED else ()
    return Decision(reply=reply, rows=rows)


def _repeated(
    smdp: Smdp, session: Session, facts: Facts, response: AuthenticateResponseOk
) -> ProfileOffer | Failure:
    """The same answer for the same request: its first answer may have been lost. Anything else is refused."""
    is_same = (
        session.stage is SessionStage.AUTHENTICATED and response.euicc_signature1 == session.euicc_signature1
    )
    if not is_same or facts.contents is None or session.smdp_signed2 is None:
        return UNKNOWN
    return ProfileOffer(
        transaction_id=session.transaction_id,
        profile_meta_data=AnyTlv(facts.contents.metadata),
        smdp_signed2=AnyTlv(session.smdp_signed2),
        smdp_signature2=session.smdp_signature2 or b"",
        smdp_certificate=CertificateOctets(smdp.binders[session.server_ci_pk_id].certificate),
    )


def _of_euicc(session: Session, euicc: AuthenticatedEuicc) -> Session:
    return next_stage(
        session,
        SessionStage.REFUSED,
        eid=str(euicc.eid),
        euicc_suite=euicc.suite,
        euicc_point=euicc.point,
        euicc_signature1=euicc.signature1,
        matching_id=euicc.matching_id,
        server_address="",  # no later step asks for these
        server_challenge=b"",
        ci_pk_id=b"",
    )


def _order_failure(profile: Profile | None, euicc: AuthenticatedEuicc, now: datetime) -> Failure | None:
    if profile is None:
        if euicc.matching_id:
            return Failure(MATCHING_ID_REFUSED, "no order has this matching id")
        if euicc.matching_id is None:
            return Failure(MATCHING_ID_REFUSED, "no matching id was sent, and no order waits for this EID")
        return Failure(EID_MISMATCH, "no order waits for this EID")
    if profile.eid is not None and profile.eid != euicc.eid:
        return Failure(EID_MISMATCH, "the order is for another eUICC")
    if profile.state is ProfileState.DOWNLOADED and profile.bound_eid not in (None, str(euicc.eid)):
        return Failure(EID_MISMATCH, "another eUICC is downloading this profile")
    if profile.state not in (ProfileState.RELEASED, ProfileState.DOWNLOADED):
        return Failure(PROFILE_NOT_RELEASED, f"the order is {profile.state}, not released")
    if profile.expires_at is not None and now >= profile.expires_at:
        return Failure(ORDER_EXPIRED, f"the order ended at {profile.expires_at.isoformat()}")
    return None


def _refused(session: Session, failure: Failure, now: datetime, profile: Profile | None) -> Decision:
    event = DownloadRefused(
        at=now,
        iccid=None if profile is None else profile.iccid,
        eid=session.eid,
        transaction_id=session.transaction_id,
        subject=failure.code.subject,
        reason=failure.code.reason,
    )
    return Decision(reply=failure, rows=(session,), events=(event,))


def _fail_order(
    smdp: Smdp, session: Session, profile: Profile, *, failure: Failure, cause: Cause, now: datetime
) -> Decision:
    """Point 1 of the progress reports with its failure; the order is over (procedures §11.4 steps 4 to 6)."""
    assert may(profile, cause)  # Released and Downloaded were checked
    errands = progress.progress(
        smdp, profile, progress.ELIGIBILITY, now=now, failure=failure.code, eid=session.eid
    ) + progress.event_deletion(profile, now=now)
    moved = move(profile, cause, at=now, session=session.transaction_id, has_event=False)
    refused = _refused(session, failure, now, profile)
    return Decision(
        reply=failure,
        rows=(session, moved.profile),
        events=(*refused.events, moved.event),
        errands=errands,
    )


def _offer(
    smdp: Smdp, session: Session, profile: Profile, contents: Contents, now: datetime
) -> Deciding[Decision]:
    binder = smdp.binders.get(session.server_ci_pk_id)
    if binder is None:
        return Decision(
            reply=Failure(SMDP_CERTIFICATE_UNAVAILABLE, "no DPpb certificate under the CI of this session"),
            rows=(session,),
        )
    may_reuse = profile.bound_eid == session.eid and profile.wrapped_otsk is not None
    signed = SmdpSigned2(
        transaction_id=session.transaction_id,
        cc_required_flag=profile.code_hash is not None,
        bpp_euicc_otpk=profile.euicc_otpk if may_reuse else None,
    )
    signed_octets = signed.encode()
    assert session.euicc_signature1 is not None  # just stored by _of_euicc
    covered = smdp_signed2_tbs(signed_octets, session.euicc_signature1)
    signature = yield from ask(partial(binder.signer.sign, covered))
    reply = ProfileOffer(
        transaction_id=session.transaction_id,
        profile_meta_data=AnyTlv(contents.metadata),
        smdp_signed2=AnyTlv(signed_octets),
        smdp_signature2=signature,
        smdp_certificate=CertificateOctets(binder.certificate),
    )
    offered = _with(session, profile.iccid, signed_octets, signature)
    claimed = changed(profile, session=session.transaction_id)
    errands = progress.progress(smdp, profile, progress.ELIGIBILITY, now=now, eid=session.eid)
    return Decision(reply=reply, rows=(offered, claimed), errands=errands)


def _with(session: Session, iccid: str, signed: bytes, signature: bytes) -> Session:
    return msgspec.structs.replace(
        session,
        stage=SessionStage.AUTHENTICATED,
        iccid=iccid,
        smdp_signed2=signed,
        smdp_signature2=signature,
    )
