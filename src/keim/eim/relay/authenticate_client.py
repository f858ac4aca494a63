"""ESipa.AuthenticateClient: expanded, verified, passed on; the offer of the SM-DP+ or the events of an SM-DS.

Procedures §11.7 steps 13 to 15, §11.8, §13.3. Pure; imports floor 0 and keim.eim only.
"""

from __future__ import annotations

from typing import Final

import msgspec

from keim.crypto.compact import expand_authenticate_response
from keim.crypto.confirmation import hash_cc
from keim.crypto.secrets import Secret
from keim.crypto.signed import euicc_signed1_tbs
from keim.der import TOLERANT, tlv
from keim.eim.activation_code import ActivationCode
from keim.eim.change import Change
from keim.eim.facts import Context, Decision, Facts, Wanted
from keim.eim.offers import trigger
from keim.eim.picture import Learned
from keim.eim.relay import metadata
from keim.eim.relay.call import Call, NoRelay, Unanswered, error, failure_text, note
from keim.eim.relayed import session_of
from keim.eim.results.verification import is_signed_by, proved_certificate, remember_certificate
from keim.eim.rows import Relay
from keim.eim.settings import Eim
from keim.eim.work import DownloadWork
from keim.errors import KeimError
from keim.messages import es9p
from keim.messages import esipa as m
from keim.messages.authentication import (
    AuthenticateResponseOk,
    AuthenticateServerResponse,
    CancelSessionReason,
)
from keim.messages.download_trigger import ProfileDownloadTriggerRequest
from keim.messages.es11 import AuthenticateClientOkEs11
from keim.messages.execution_status import EVENT_UNKNOWN, Failure, Function, integer_of
from keim.messages.ipa_data import IpaFeatures

_Error = m.AuthenticateClientErrorEsipa
NAME: Final = Function.AUTHENTICATE_CLIENT


def _refuse(number: int) -> NoRelay:
    return NoRelay(error(0xBF3B, 0x82, number))


def wanted(request: m.AuthenticateClientRequestEsipa) -> Wanted:
    return Wanted(relay=request.transaction_id, with_knowledge=True)


def open_relay(facts: Facts, context: Context) -> Relay | None:
    relay = facts.relay
    if relay is None or relay.is_ended or context.now >= relay.keep_until or facts.device is None:
        return None
    return relay


def prepare(
    eim: Eim, facts: Facts, request: m.AuthenticateClientRequestEsipa, context: Context
) -> Call | NoRelay:
    relay, device = open_relay(facts, context), facts.device
    if relay is None or device is None:
        return _refuse(_Error.INVALID_TRANSACTION_ID)
    change = Change(eim, facts, context, device)
    full = _expanded(change, request.authenticate_server_response)
    if full is None:
        return _refuse(_Error.EUICC_SIGNATURE_INVALID)
    ok = full.authenticate_response_ok
    if ok is not None and eim.switches_of(device).verifies:
        refused = _check(change, relay, ok)
        if refused is not None:
            return _refuse(refused)
    asked = es9p.AuthenticateClientRequest(
        transaction_id=relay.transaction_id, authenticate_server_response=full
    )
    return Call(relay.address, asked, is_smds=relay.is_smds)


def _expanded(change: Change, response: AuthenticateServerResponse) -> AuthenticateServerResponse | None:
    if response.compact_authenticate_response_ok is None:
        return response
    session = session_of(change.relay, change.knowledge)
    try:
        return AuthenticateServerResponse.decode(
            expand_authenticate_response(response.encode(), session), TOLERANT
        )
    except KeimError:
        return None


def _check(change: Change, relay: Relay, ok: AuthenticateResponseOk) -> m.AuthenticateClientErrorEsipa | None:
    """The download is for this eUICC; another one must not get its profile."""
    leaf = proved_certificate(change, ok.euicc_certificate, ok.eum_certificate)
    if isinstance(leaf, str):
        is_other = "another eUICC" in leaf
        return _Error.EID_MISMATCH if is_other else _Error.EUICC_CERTIFICATE_INVALID
    signed = ok.euicc_signed1
    if signed.server_challenge != relay.server_challenge or signed.transaction_id != relay.transaction_id:
        return _Error.EUICC_SIGNATURE_INVALID
    if not is_signed_by(leaf.der, ok.euicc_signature1, euicc_signed1_tbs(signed.encode())):
        return _Error.EUICC_SIGNATURE_INVALID
    return None


def conclude(
    eim: Eim,
    facts: Facts,
    request: m.AuthenticateClientRequestEsipa,
    *,
    call: Call,
    reply: object,
    context: Context,
) -> Decision:
    relay, device = open_relay(facts, context), facts.device
    if relay is None or device is None:
        return Decision(reply=_refuse(_Error.INVALID_TRANSACTION_ID).reply)
    change = Change(eim, facts, context, device)
    tid = relay.transaction_id
    _learn(change, relay, request)  # whatever the server says: a cancel is verified with it
    if isinstance(reply, Failure | Unanswered):
        note(change, NAME, call, failure_text(reply), tid)
        return _end(change, _number(reply, relay))
    match reply:
        case AuthenticateClientOkEs11():
            return _events(change, call, reply)
        case es9p.AuthenticateClientOk():
            return _offer(change, call, reply)
    note(change, NAME, call, "an answer of another function", tid)
    return _end(change, _Error.UNDEFINED_ERROR)


def _end(change: Change, number: int) -> Decision:
    """The IPA cancels the session; the error implies the reason, which a compact form leaves out (§11.9)."""
    is_policy = number == _Error.PPR_NOT_ALLOWED
    reason = CancelSessionReason.PPR_NOT_ALLOWED if is_policy else CancelSessionReason.UNDEFINED_REASON
    assert change.relay is not None
    change.relay = msgspec.structs.replace(change.relay, cancel_reason=int(reason))
    return change.decision(_refuse(number).reply)


def _number(reply: Failure | Unanswered, relay: Relay) -> int:
    if isinstance(reply, Unanswered):
        return _Error.UNDEFINED_ERROR
    if relay.is_smds and reply.code == EVENT_UNKNOWN:
        return _Error.EVENT_ID_UNKNOWN
    return integer_of(NAME, reply.code)


def _learn(change: Change, relay: Relay, request: m.AuthenticateClientRequestEsipa) -> None:
    """What `prepare` verified is known from now on."""
    full = _expanded(change, request.authenticate_server_response)
    ok = None if full is None else full.authenticate_response_ok
    if ok is None:
        return
    if change.eim.switches_of(change.device).verifies:
        leaf = proved_certificate(change, ok.euicc_certificate, ok.eum_certificate)
        if not isinstance(leaf, str):
            remember_certificate(change, leaf, ok.eum_certificate)
            change.effect(Learned(info2=ok.euicc_signed1.euicc_info2.encode()), is_proved=True)
    change.relay = msgspec.structs.replace(
        relay,
        euicc_certificate=bytes(ok.euicc_certificate),
        eum_certificate=bytes(ok.eum_certificate),
        euicc_signature1=ok.euicc_signature1,
    )


def _offer(change: Change, call: Call, reply: es9p.AuthenticateClientOk) -> Decision:
    assert change.relay is not None
    code = _hash_cc(change) if reply.smdp_signed2.cc_required_flag else None
    change.relay = msgspec.structs.replace(
        change.relay,
        iccid=reply.profile_meta_data.iccid,
        bpp_euicc_otpk=reply.smdp_signed2.bpp_euicc_otpk,
        hash_cc=code,
        smdp_signature2=reply.smdp_signature2,
        keep_until=change.now + change.eim.rules.relay_lifetime,
    )
    note(change, NAME, call, "ok", change.relay.transaction_id)
    if metadata.is_ours_to_verify(change.knowledge):
        refused = metadata.refusal(change.knowledge, reply.profile_meta_data)
        if refused is not None:
            return _end(change, refused)
        change.relay = msgspec.structs.replace(change.relay, metadata=reply.profile_meta_data.encode())
    ok = m.AuthenticateClientOkDPEsipa(
        transaction_id=change.relay.transaction_id,
        profile_meta_data=reply.profile_meta_data,
        smdp_signed2=reply.smdp_signed2,
        smdp_signature2=reply.smdp_signature2,
        smdp_certificate=reply.smdp_certificate,
        hash_cc=code,
    )
    return change.decision(m.AuthenticateClientResponseEsipa(authenticate_client_ok_dp_esipa=ok).encode())


def _hash_cc(change: Change) -> bytes | None:
    """Of the order's confirmation code; without one the IPA will postpone."""
    assert change.relay is not None
    known = change.facts.of_order(change.relay.order)
    work = None if known is None or known.order is None else known.order.work
    if not isinstance(work, DownloadWork) or work.code_hash is None:
        return None
    return hash_cc(Secret(work.code_hash), change.relay.transaction_id)


def _events(change: Change, call: Call, reply: AuthenticateClientOkEs11) -> Decision:
    """The first event that may be followed becomes an inner trigger of the same job."""
    relay = change.relay
    assert relay is not None
    change.relay = msgspec.structs.replace(relay, is_ended=True)
    known = change.facts.of_order(relay.order)
    entry = next((e for e in reply.event_entries if change.eim.addresses.accepts(e.rsp_server_address)), None)
    note(change, NAME, call, f"{len(reply.event_entries)} events", relay.transaction_id)
    following = None
    if entry is not None and known is not None:
        code = ActivationCode(entry.rsp_server_address, entry.event_id)
        change.operation(
            msgspec.structs.replace(
                known.operation, target=entry.rsp_server_address, matching_id=entry.event_id, is_smds=False
            )
        )
        data = None
        if not (change.knowledge.features or 0) & IpaFeatures.EIM_DOWNLOAD_DATA_HANDLING:
            data = tlv(0x80, code.text.encode())
        following = ProfileDownloadTriggerRequest.decode(trigger(data, known.operation.transaction_id))
    ok = m.AuthenticateClientOkDSEsipa(
        transaction_id=relay.transaction_id, profile_download_trigger=following
    )
    return change.decision(m.AuthenticateClientResponseEsipa(authenticate_client_ok_ds_esipa=ok).encode())
