"""The end of a download: a trigger result (BF54), or the installation result that came before it.

Either concludes the operation; the other is a repetition then (procedures §11.5 step 16, §11.7 step 22).
Pure; imports floor 0 and keim.eim only.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec

from keim.crypto.signed import profile_installation_result_tbs
from keim.deciding import alone
from keim.eim.asks import iccid_of
from keim.eim.change import Change
from keim.eim.conclusion import conclude
from keim.eim.events import ResultReceived
from keim.eim.evidence import chain_of
from keim.eim.operations import operation_of
from keim.eim.picture import ProfileInstalled
from keim.eim.results import in_order
from keim.eim.results.verification import BY_SIGNATURE, SWITCHED_OFF, UNSIGNED, why_not
from keim.eim.rows import Chore, Kind, Operation, State
from keim.eim.words import name_of
from keim.messages.download_trigger import ProfileDownloadTriggerResult
from keim.messages.notification import PendingNotification, ProfileInstallationResult


def take_trigger_result(change: Change, result: ProfileDownloadTriggerResult) -> None:
    data = result.profile_download_trigger_result_data
    installed = data.profile_installation_result
    if installed is not None:
        verification = UNSIGNED
        if not change.eim.switches_of(change.device).verifies:
            verification = SWITCHED_OFF
        else:
            tbs = profile_installation_result_tbs(installed.profile_installation_result_data.encode())
            if alone(why_not(change, installed.euicc_sign_pir, tbs)) is None:
                verification = BY_SIGNATURE
        take_installation(change, installed, result.eim_transaction_id, verification)
        return
    error = data.profile_download_error
    if error is not None:
        why = f"download failed: {name_of(error.profile_download_error_reason)}"
        _end(
            change,
            result.eim_transaction_id,
            State.FAILED,
            (why,),
            verification=UNSIGNED,
            octets=result.encode(),
        )


def take_installation(
    change: Change,
    result: ProfileInstallationResult,
    transaction_id: bytes | None,
    verification: str,
    *,
    order: int | None = None,
    is_told: bool = False,
) -> None:
    """By what the eUICC says of the installation; `order` where a relay knows it.

    `is_told`: the eUICC's word itself is in the log already.
    """
    evidence = None if is_told or verification == UNSIGNED else result
    data = result.profile_installation_result_data
    octets = result.encode()
    if verification == UNSIGNED:
        # Nobody has proved it: the list of profiles will tell.
        outcome = ("the installation result could not be verified",)
        change.doubt()
        _end(
            change, transaction_id, State.UNKNOWN, outcome, verification=UNSIGNED, octets=octets, order=order
        )
        change.want(Chore.LIST_PROFILES)
        return
    error = data.final_result.error_result
    iccid = data.notification_metadata.iccid
    if error is not None:
        outcome = (f"install: {name_of(error.error_reason)} at {name_of(error.bpp_command_id)}",)
        _end(
            change,
            transaction_id,
            State.FAILED,
            outcome,
            verification=verification,
            octets=octets,
            order=order,
            evidence=evidence,
        )
        return
    shown = "" if iccid is None else f" {iccid_of(iccid)}"
    outcome = (f"install: ok{shown}",)
    if iccid is not None:
        is_proved = verification == BY_SIGNATURE
        installed = ProfileInstalled(iccid=iccid_of(iccid))
        in_order.take(change, data.notification_metadata.seq_number, installed, is_proved=is_proved)
    _end(
        change,
        transaction_id,
        State.SUCCEEDED,
        outcome,
        verification=verification,
        octets=octets,
        order=order,
        evidence=evidence,
    )


def _end(
    change: Change,
    transaction_id: bytes | None,
    state: State,
    outcome: tuple[str, ...],
    *,
    verification: str,
    octets: bytes,
    order: int | None = None,
    evidence: ProfileInstallationResult | None = None,
) -> None:
    row = _operation(change, transaction_id, order)
    if row is None or row.state not in (State.DELIVERED, State.UNKNOWN, State.EXPIRED):
        return
    ending = end(change, row, state, outcome, verification)
    pause = change.device.pause if ending.state is State.QUEUED else None
    received = ResultReceived(
        at=change.now,
        eid=change.eid,
        order=row.order,
        state=ending.state.value,
        outcome=outcome,
        transaction_id=row.transaction_id,
        digest=sha256(octets).digest(),
        verification=verification,
        attempt=ending.attempt,
        again_at=None if pause is None else pause.until,
        how=ending.how,
    )
    if evidence is None:
        change.events.append(received)
    else:
        change.tell(
            received,
            notification=PendingNotification(profile_installation_result=evidence),
            chain=chain_of(change.eim, change.knowledge, change.now),
            verification=verification,
        )


def end(
    change: Change, row: Operation, state: State, outcome: tuple[str, ...], verification: str
) -> Operation:
    """Of an outstanding download, or of one that nobody knew about any more."""
    is_verified = verification == BY_SIGNATURE
    if is_verified:
        change.set(proved_at=change.now)
    offer = change.device.offer
    if offer is not None and offer.order == row.order:
        return conclude(change, offer, state, outcome, row=row, is_verified=is_verified)
    ending = msgspec.structs.replace(
        row,
        state=state,
        outcome=outcome,
        ended_at=change.now,
        is_verified=is_verified,
        how="" if row.state is State.DELIVERED else "stored result",
    )
    change.operation(ending)
    return ending


def _operation(change: Change, transaction_id: bytes | None, order: int | None) -> Operation | None:
    known = change.facts.of_order(order) if order is not None else change.facts.named(transaction_id)
    if known is not None:
        return known.operation if known.operation.kind is Kind.DOWNLOAD else None
    offer = change.device.offer
    if offer is None or offer.kind is not Kind.DOWNLOAD:
        return None
    if transaction_id not in (None, offer.transaction_id) or order not in (None, offer.order):
        return None
    return operation_of(offer, change.eid, attempt=change.device.attempt)
