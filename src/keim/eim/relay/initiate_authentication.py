"""ESipa.InitiateAuthentication: the job is found by eimTransactionId, its SM-DP+ or SM-DS is asked.

Procedures §11.3, §11.7 steps 7 to 12. Pure; imports floor 0 and keim.eim only.
"""

from __future__ import annotations

from typing import Final

import msgspec

from keim.der import TOLERANT
from keim.eim.activation_code import ActivationCode
from keim.eim.change import Change
from keim.eim.facts import Context, Decision, Facts, Known, Named, Wanted
from keim.eim.relay.call import Call, NoRelay, Unanswered, error, failure_text, note
from keim.eim.rows import DeviceState, Kind, Relay, State
from keim.eim.settings import Eim
from keim.eim.work import DownloadWork
from keim.errors import KeimError, Refused
from keim.ids import Oid
from keim.messages import es9p
from keim.messages import esipa as m
from keim.messages.authentication import CtxParams1, CtxParamsForCommonAuthentication
from keim.messages.execution_status import Failure, Function, integer_of
from keim.messages.info import DeviceInfo, EUICCInfo1, EUICCInfo2
from keim.messages.ipa_data import IpaFeatures
from keim.pki import Certificate

_Error = m.InitiateAuthenticationErrorEsipa
NAME: Final = Function.INITIATE_AUTHENTICATION


class Target(msgspec.Struct, frozen=True):
    address: str
    matching_id: str | None = None
    oid: str | None = None
    is_smds: bool = False
    is_ours: bool = True
    """This eIM supplied the address, so it checks what answers there."""


def _refuse(number: int) -> NoRelay:
    return NoRelay(error(0xBF39, 0x81, number))


def wanted(request: m.InitiateAuthenticationRequestEsipa) -> Wanted:
    return Wanted(named=(Named(request.eim_transaction_id),), with_knowledge=True)


def _job(facts: Facts, request: m.InitiateAuthenticationRequestEsipa) -> Known | None:
    """A download that this device has been given and that has not ended."""
    known = facts.named(request.eim_transaction_id)
    device = facts.device
    if known is None or device is None or device.state is not DeviceState.ACTIVE:
        return None
    is_open = known.operation.kind is Kind.DOWNLOAD and known.operation.state is State.DELIVERED
    return known if is_open else None


def prepare(
    eim: Eim, facts: Facts, request: m.InitiateAuthenticationRequestEsipa, context: Context
) -> Call | NoRelay:
    del context
    known = _job(facts, request)
    if known is None:
        return _refuse(_Error.INVALID_EIM_TRANSACTION_ID)
    target = _target(facts, known, request.smdp_address)
    if target is None:
        return _refuse(_Error.INVALID_DP_ADDRESS)
    info1 = request.euicc_info1 or _info1(facts)
    if info1 is None:
        return _refuse(_Error.UNDEFINED_ERROR)
    try:
        address = eim.addresses.check(target.address)
    except Refused:
        return _refuse(_Error.INVALID_DP_ADDRESS)
    asked = es9p.InitiateAuthenticationRequest(
        euicc_challenge=request.euicc_challenge, smdp_address=target.address, euicc_info1=info1
    )
    return Call(address, asked, is_smds=target.is_smds)


def _target(facts: Facts, known: Known, told: str | None) -> Target | None:
    """Where the download goes: what was ordered decides, the device says what only it knows."""
    operation, order = known.operation, known.order
    if operation.target is not None:  # an event of an SM-DS led here
        target = Target(operation.target, operation.matching_id, operation.smdp_oid, operation.is_smds)
        return target if _agrees(told, target.address) else None
    if order is None or not isinstance(order.work, DownloadWork):
        return None
    knowledge = facts.knowledge
    if order.work.activation_code is not None:
        code = ActivationCode.parse(order.work.activation_code)
        target = Target(code.address, code.matching_id, code.smdp_oid)
        return target if _agrees(told, code.address) else None
    if order.work.smds_address is not None:
        known_root = None if knowledge is None else knowledge.root_smds_address
        address = order.work.smds_address or told or known_root
        return None if not address else Target(address, is_smds=True, is_ours=not told)
    address = told or (None if knowledge is None else knowledge.default_smdp_address)
    return None if not address else Target(address, is_ours=not told)


def _agrees(told: str | None, ordered: str) -> bool:
    return told is None or told.lower().removesuffix(".") == ordered.lower().removesuffix(".")


def _info1(facts: Facts) -> EUICCInfo1 | None:
    """From the last data request, for an IPA that leaves it out."""
    knowledge = facts.knowledge
    if knowledge is None:
        return None
    if knowledge.info1 is not None:
        return EUICCInfo1.decode(knowledge.info1, TOLERANT)
    if knowledge.info2 is None:
        return None
    info2 = EUICCInfo2.decode(knowledge.info2, TOLERANT)
    return EUICCInfo1(
        svn=info2.svn,
        euicc_ci_pk_id_list_for_verification=info2.euicc_ci_pk_id_list_for_verification,
        euicc_ci_pk_id_list_for_signing=info2.euicc_ci_pk_id_list_for_signing,
    )


def conclude(
    eim: Eim,
    facts: Facts,
    request: m.InitiateAuthenticationRequestEsipa,
    *,
    call: Call,
    reply: object,
    context: Context,
) -> Decision:
    known, device = _job(facts, request), facts.device
    if known is None or device is None:
        return Decision(reply=_refuse(_Error.INVALID_EIM_TRANSACTION_ID).reply)
    change = Change(eim, facts, context, device)
    if isinstance(reply, Failure | Unanswered):
        note(change, NAME, call, failure_text(reply))
        number = integer_of(NAME, reply.code) if isinstance(reply, Failure) else 127
        return change.decision(_refuse(number).reply)
    if not isinstance(reply, es9p.InitiateAuthenticationOkEs9):
        note(change, NAME, call, "an answer of another function")
        return change.decision(_refuse(_Error.UNDEFINED_ERROR).reply)
    target = _target(facts, known, request.smdp_address)
    assert target is not None  # `prepare` found it in the same rows
    oid = _oid_of(reply.server_certificate)
    refused = _mismatch(target, reply, oid, request.euicc_challenge)
    if refused is not None:
        note(change, NAME, call, refused.name.lower(), reply.transaction_id)
        return change.decision(_refuse(refused).reply)
    context_params = _ctx_params1(facts, target)
    change.relay = Relay(
        transaction_id=reply.transaction_id,
        eid=change.eid,
        order=known.operation.order,
        address=call.address,
        keep_until=context.now + eim.rules.relay_lifetime,
        is_smds=target.is_smds,
        server_address=reply.server_signed1.server_address,
        server_challenge=reply.server_signed1.server_challenge,
        smdp_oid=oid,
        ctx_params1=None if context_params is None else context_params.encode(),
    )
    note(change, NAME, call, "ok", reply.transaction_id)
    ok = m.InitiateAuthenticationOkEsipa(
        transaction_id=reply.transaction_id,
        server_signed1=reply.server_signed1,
        server_signature1=reply.server_signature1,
        euicc_ci_pk_identifier_to_be_used=reply.euicc_ci_pk_id_to_be_used,
        server_certificate=reply.server_certificate,
        matching_id=target.matching_id if _has(facts, IpaFeatures.EIM_DOWNLOAD_DATA_HANDLING) else None,
        ctx_params1=context_params,
    )
    return change.decision(
        m.InitiateAuthenticationResponseEsipa(initiate_authentication_ok_esipa=ok).encode()
    )


def _has(facts: Facts, feature: IpaFeatures) -> bool:
    return facts.knowledge is not None and bool((facts.knowledge.features or 0) & feature)


def _oid_of(certificate: bytes) -> bytes:
    try:
        oids = Certificate(certificate).alternative_names.registered_ids
    except KeimError:
        return b""
    return oids[0].content if len(oids) == 1 else b""


def _mismatch(
    target: Target, reply: es9p.InitiateAuthenticationOkEs9, oid: bytes, challenge: bytes
) -> m.InitiateAuthenticationErrorEsipa | None:
    """What answers must be what this eIM meant (procedures §11.3 step 7)."""
    signed = reply.server_signed1
    if signed.euicc_challenge != challenge or signed.transaction_id != reply.transaction_id:
        return _Error.UNDEFINED_ERROR
    if target.is_ours and _host(signed.server_address) != _host(target.address):
        return _Error.SMDP_ADDRESS_MISMATCH
    if target.oid is not None and _content(target.oid) != oid:
        return _Error.SMDP_OID_MISMATCH
    return None


def _host(address: str) -> str:
    name, colon, port = address.rpartition(":")
    return (name if colon and port.isdecimal() else address).lower().removesuffix(".")


def _content(oid: str) -> bytes:
    return Oid(oid).content


def _ctx_params1(facts: Facts, target: Target) -> CtxParams1 | None:
    """Made here for an IPA with eimCtxParams1Generation, out of the DeviceInfo that it told."""
    knowledge = facts.knowledge
    if knowledge is None or knowledge.device_info is None:
        return None
    if not _has(facts, IpaFeatures.EIM_CTX_PARAMS1_GENERATION):
        return None
    return CtxParams1(
        ctx_params_for_common_authentication=CtxParamsForCommonAuthentication(
            matching_id=target.matching_id or None,
            device_info=DeviceInfo.decode(knowledge.device_info, TOLERANT),
        )
    )
