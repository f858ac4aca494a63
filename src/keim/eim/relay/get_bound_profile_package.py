"""ESipa.GetBoundProfilePackage: expanded, verified, passed on; the package comes back octet for octet.

Procedures §11.7 step 17, §11.8. Pure; imports floor 0 and keim.eim only.
"""

from __future__ import annotations

from typing import Final

import msgspec

from keim.crypto.compact import expand_prepare_download_response
from keim.crypto.signed import euicc_signed2_tbs
from keim.der import TOLERANT
from keim.eim.change import Change
from keim.eim.facts import Context, Decision, Facts, Wanted
from keim.eim.relay.authenticate_client import open_relay
from keim.eim.relay.call import Call, NoRelay, Unanswered, error, failure_text, note
from keim.eim.relayed import session_of
from keim.eim.results.verification import is_signed_by
from keim.eim.rows import Relay
from keim.eim.settings import Eim
from keim.errors import KeimError
from keim.messages import es9p
from keim.messages import esipa as m
from keim.messages.authentication import CancelSessionReason, PrepareDownloadResponse
from keim.messages.execution_status import Failure, Function, integer_of
from keim.messages.profile import StoreMetadataRequest
from keim.messages.profile_rules import is_other_metadata

_Error = m.GetBoundProfilePackageErrorEsipa
NAME: Final = Function.GET_BOUND_PROFILE_PACKAGE


def _refuse(number: int) -> NoRelay:
    return NoRelay(error(0xBF3A, 0x81, number))


def wanted(request: m.GetBoundProfilePackageRequestEsipa) -> Wanted:
    return Wanted(relay=request.transaction_id, with_knowledge=True)


def prepare(
    eim: Eim, facts: Facts, request: m.GetBoundProfilePackageRequestEsipa, context: Context
) -> Call | NoRelay:
    relay, device = open_relay(facts, context), facts.device
    if relay is None or device is None:
        return _refuse(_Error.INVALID_TRANSACTION_ID)
    change = Change(eim, facts, context, device)
    response = request.prepare_download_response
    if response.compact_download_response_ok is not None:
        session = session_of(relay, change.knowledge)
        try:
            response = PrepareDownloadResponse.decode(
                expand_prepare_download_response(response.encode(), session), TOLERANT
            )
        except KeimError:
            return _refuse(_Error.EUICC_SIGNATURE_INVALID)
    if eim.switches_of(device).verifies and not _is_genuine(relay, response):
        return _refuse(_Error.EUICC_SIGNATURE_INVALID)
    asked = es9p.GetBoundProfilePackageRequest(
        transaction_id=relay.transaction_id, prepare_download_response=response
    )
    return Call(relay.address, asked)


def _is_genuine(relay: Relay, response: PrepareDownloadResponse) -> bool:
    """An error of the eUICC is unsigned and passes; a success must be signed by the eUICC of this session."""
    ok = response.download_response_ok
    if ok is None:
        return True
    if relay.euicc_certificate is None or relay.smdp_signature2 is None:
        return False
    tbs = euicc_signed2_tbs(ok.euicc_signed2.encode(), relay.smdp_signature2)
    return is_signed_by(relay.euicc_certificate, ok.euicc_signature2, tbs)


def conclude(
    eim: Eim,
    facts: Facts,
    request: m.GetBoundProfilePackageRequestEsipa,
    *,
    call: Call,
    reply: object,
    context: Context,
) -> Decision:
    del request
    relay, device = open_relay(facts, context), facts.device
    if relay is None or device is None:
        return Decision(reply=_refuse(_Error.INVALID_TRANSACTION_ID).reply)
    change = Change(eim, facts, context, device)
    if isinstance(reply, Failure | Unanswered):
        note(change, NAME, call, failure_text(reply), relay.transaction_id)
        number = integer_of(NAME, reply.code) if isinstance(reply, Failure) else 127
        return _end(change, relay, number)
    if not isinstance(reply, es9p.GetBoundProfilePackageOk):
        note(change, NAME, call, "an answer of another function", relay.transaction_id)
        return _end(change, relay, _Error.UNDEFINED_ERROR)
    accepted = None if relay.metadata is None else StoreMetadataRequest.decode(relay.metadata, TOLERANT)
    if accepted is not None and is_other_metadata(reply.bound_profile_package.encode(), accepted):
        note(change, NAME, call, "other metadata than were offered", relay.transaction_id)
        return _end(change, relay, _Error.METADATA_MISMATCH)
    # Its installation result may come much later, in compact form.
    change.relay = msgspec.structs.replace(relay, keep_until=context.now + eim.rules.relay_result_lifetime)
    note(change, NAME, call, "ok", relay.transaction_id)
    ok = m.GetBoundProfilePackageOkEsipa(
        transaction_id=relay.transaction_id, bound_profile_package=reply.bound_profile_package
    )
    return change.decision(
        m.GetBoundProfilePackageResponseEsipa(get_bound_profile_package_ok_esipa=ok).encode()
    )


def _end(change: Change, relay: Relay, number: int) -> Decision:
    """The IPA cancels the session; the error implies the reason, which a compact form leaves out (§11.9)."""
    is_mismatch = number == _Error.METADATA_MISMATCH
    reason = CancelSessionReason.METADATA_MISMATCH if is_mismatch else CancelSessionReason.UNDEFINED_REASON
    change.relay = msgspec.structs.replace(relay, cancel_reason=int(reason))
    return change.decision(_refuse(number).reply)
