"""IPA and eUICC data (BF52): what is learned, and the results and notifications that come with it.

Unsigned but for certificates, results and notifications: those are verified, the rest is what the device says
(procedures §14). Pure; imports floor 0 and keim.eim only.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from keim.deciding import Deciding
from keim.eim.change import Change
from keim.eim.conclusion import conclude
from keim.eim.events import KnowledgeLearned, ResultReceived
from keim.eim.picture import Learned, TokenTold
from keim.eim.results import euicc_package, notifications
from keim.eim.results.verification import UNSIGNED, proved_certificate, remember_certificate
from keim.eim.rows import Kind, State
from keim.eim.words import name_of
from keim.messages.ipa_data import IpaEuiccData, IpaEuiccDataResponse


def take(change: Change, response: IpaEuiccDataResponse) -> Deciding[list[int]]:
    """The numbers of what is held safely now."""
    error = response.ipa_euicc_data_response_error
    data = response.ipa_euicc_data
    if error is not None:
        outcome = f"data request: {name_of(error.ipa_euicc_data_error_code)}"
        _end(change, error.eim_transaction_id, State.FAILED, outcome, response.encode())
    if data is None:
        return []
    is_asked_for = _is_asked_for(change, data.eim_transaction_id)
    if is_asked_for:
        _learn(change, data)
    numbers: list[int] = []
    for result in data.euicc_package_result_list or ():
        numbers += (yield from euicc_package.take(change, result)).numbers
    numbers += notifications.take_all(change, data.notifications_list or ())
    _end(change, data.eim_transaction_id, State.SUCCEEDED, "data request: ok", response.encode())
    return numbers


def _is_asked_for(change: Change, transaction_id: bytes | None) -> bool:
    """What nobody has asked for is not learned: anybody can send it."""
    offer = change.device.offer
    return offer is not None and offer.kind is Kind.DATA and transaction_id in (None, offer.transaction_id)


def _learn(change: Change, data: IpaEuiccData) -> None:
    told: dict[str, Any] = {}
    if data.euicc_info1 is not None:
        told["info1"] = data.euicc_info1.encode()
    if data.euicc_info2 is not None:
        told["info2"] = data.euicc_info2.encode()
    if data.device_info is not None:
        told["device_info"] = data.device_info.encode()
    if data.ipa_capabilities is not None:
        told["features"] = int(data.ipa_capabilities.ipa_features)
        protocols = data.ipa_capabilities.ipa_supported_protocols
        told["protocols"] = None if protocols is None else int(protocols)
    if data.default_smdp_address is not None:
        told["default_smdp_address"] = data.default_smdp_address
    if data.root_smds_address is not None:
        told["root_smds_address"] = data.root_smds_address
    learned = list(told)
    if told:
        change.effect(Learned(**told))
    if data.euicc_certificate is not None and data.eum_certificate is not None:
        leaf = proved_certificate(change, data.euicc_certificate, data.eum_certificate)
        if isinstance(leaf, str):
            change.alarm(f"the certificates are not believed: {leaf}")
        else:
            remember_certificate(change, leaf, data.eum_certificate)
            learned.append("euicc_certificate")
    token = data.association_token
    if token is not None and not change.device.is_token_proved and token != change.device.token:
        # Unsigned: tried until a signature proves it; a proved one is not given up for it.
        change.effect(TokenTold(token=token))
        learned.append("association_token")
    if learned:
        change.events.append(KnowledgeLearned(at=change.now, eid=change.eid, members=tuple(learned)))


def _end(change: Change, transaction_id: bytes | None, state: State, outcome: str, octets: bytes) -> None:
    offer = change.device.offer
    if offer is None or offer.kind is not Kind.DATA or transaction_id not in (None, offer.transaction_id):
        return
    row = conclude(change, offer, state, (outcome,))
    pause = change.device.pause if row.state is State.QUEUED else None
    change.events.append(
        ResultReceived(
            at=change.now,
            eid=change.eid,
            order=offer.order,
            state=row.state.value,
            outcome=(outcome,),
            transaction_id=offer.transaction_id,
            digest=sha256(octets).digest(),
            verification=UNSIGNED,
            attempt=row.attempt,
            again_at=None if pause is None else pause.until,
        )
    )
