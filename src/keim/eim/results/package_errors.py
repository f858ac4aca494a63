"""Packages that an eUICC refused as a whole, and what the eIM does about each code (procedures §5.1 step 4).

Pure; imports floor 0 and keim.eim only.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Final

import msgspec

from keim.crypto.signed import euicc_package_error_tbs
from keim.deciding import Deciding
from keim.eim.change import Change
from keim.eim.conclusion import ask_the_list, conclude
from keim.eim.events import ResultReceived
from keim.eim.evidence import chain_of
from keim.eim.operations import operation_of
from keim.eim.picture import AssociationUpdated, CounterRaised
from keim.eim.results.verification import BY_SIGNATURE, SWITCHED_OFF, UNSIGNED, judged
from keim.eim.rows import Chore, Kind, Offer, Operation, State
from keim.eim.words import name_of
from keim.messages.package import EuiccPackageErrorCode, EuiccPackageErrorSigned, EuiccPackageErrorUnsigned

RAISES: Final = (0, 10, 100, 1000)
"""How far the counter is raised at each replayError in a row; the card's own value cannot be read."""


def take_signed(change: Change, error: EuiccPackageErrorSigned, octets: bytes) -> Deciding[str | None]:
    """Why it is not believed, or None."""
    data = error.euicc_package_error_data_signed
    offer = change.device.offer
    switches = change.eim.switches_of(change.device)
    is_ours = (
        offer is not None
        and offer.kind is Kind.PACKAGE
        and offer.counter == data.counter_value
        and data.eim_transaction_id in (None, offer.transaction_id)
    )
    if data.eim_id != change.eim.eim_id:
        return "the error names another eIM"
    without_token = False
    if switches.verifies:
        token = offer.token if is_ours and offer is not None else change.device.token
        signed = data.encode()
        tbs = euicc_package_error_tbs(signed, token)
        why, without_token = yield from judged(change, error.euicc_sign_epe, signed, tbs)
        if why is not None:
            return why
    if not is_ours or offer is None:
        return None  # of a package that is concluded: a repetition
    verification = BY_SIGNATURE if switches.verifies else SWITCHED_OFF
    code, token = data.euicc_package_error_code, offer.token
    state = REACTIONS.get(code, _undefined)(change, offer)
    outcome = (f"refused: {name_of(code)}",)
    if verification == BY_SIGNATURE:
        change.set(proved_at=change.now)
    change.tell(
        _received(change, offer, state, outcome, verification=verification, octets=octets),
        result=octets,
        token=token,
        chain=chain_of(change.eim, change.knowledge, change.now),
        verification=verification,
        without_token=without_token,
    )
    return None


def take_unsigned(change: Change, error: EuiccPackageErrorUnsigned) -> None:
    """Anybody could say so: the package has failed, and nothing else is believed."""
    offer = change.device.offer
    if offer is None or offer.kind is not Kind.PACKAGE:
        return
    if error.eim_id != change.eim.eim_id or error.eim_transaction_id not in (None, offer.transaction_id):
        return
    tried = _try_another_key(change, offer)
    if tried is not None:
        told = ("refused: unsigned", "another key of this eIM is tried")
        change.events.append(
            _received(change, offer, tried, told, verification=UNSIGNED, octets=error.encode())
        )
        return
    state = _fail(change, offer, "refused without a signature")
    text = "the eUICC does not know this eIM, its key or its token"
    if error.association_token is not None:
        text += f" (it says that the token is {error.association_token})"
    change.alarm(text)
    outcome = ("refused: unsigned",)
    change.events.append(
        _received(change, offer, state, outcome, verification=UNSIGNED, octets=error.encode())
    )


def _try_another_key(change: Change, offer: Offer) -> State | None:
    """While keys are rotated, or after a restore, the eUICC may know another one than its row says.

    Each is tried once; after all of them the first is in the row again. None: all have been.
    """
    names = list(change.eim.signers)
    if len(names) == 1:
        return None
    known = change.device.signer if change.device.signer in names else names[0]
    following = names[(names.index(known) + 1) % len(names)]
    change.effect(AssociationUpdated(signer=following))
    if offer.chore is not None:
        if following == names[0]:
            return None
        state = _fail(change, offer, "refused without a signature")
        change.want_first(offer.chore)
        return state
    if change.device.attempt >= len(names):
        return None
    return _again(change, offer)


# reactions: what becomes of the operation


def _fail(change: Change, offer: Offer, why: str) -> State:
    return conclude(change, offer, State.FAILED, (why,)).state


def _invalid_eid(change: Change, offer: Offer) -> State:
    change.alarm("the eUICC says that this is not its EID")
    return _fail(change, offer, "refused: invalid_eid")


def _replay(change: Change, offer: Offer) -> State:
    """Perhaps executed: fetch stored results, look at the profiles, then try what is still wanted again."""
    replays = change.device.replays
    raised = change.device.counter + RAISES[min(replays, len(RAISES) - 1)]
    change.effect(CounterRaised(counter=raised))
    change.doubt()
    change.set(replays=replays + 1)
    if replays >= change.eim.rules.attempts:
        change.alarm("the eUICC refuses every counter: its association may be of another time")
        return _fail(change, offer, "refused: replay_error")
    if offer.chore is not None:
        state = _fail(change, offer, "refused: replay_error")
        change.want_first(offer.chore)
        return state
    state = _again(change, offer)
    ask_the_list(change, offer, _queued(change, offer))
    change.want_first(Chore.RECOVER, Chore.LIST_PROFILES)
    return state


def _again(change: Change, offer: Offer) -> State:
    """The order is signed anew with the next counter, after the chores."""
    change.set(offer=None)
    change.order_again(offer.order, is_mass=offer.is_mass)
    change.operation(_queued(change, offer))
    return State.QUEUED


def _queued(change: Change, offer: Offer) -> Operation:
    return operation_of(offer, change.eid, state=State.QUEUED, attempt=change.device.attempt)


def _counter_out_of_range(change: Change, offer: Offer) -> State:
    change.alarm("the counter is used up: update the association")
    return _fail(change, offer, "refused: counter_value_out_of_range")


def _too_large(change: Change, offer: Offer) -> State:
    return _fail(change, offer, "refused: size_overflow; order the commands in several packages")


def _emergency(change: Change, offer: Offer) -> State:
    """Nothing was consumed: the same octets later."""
    not_before = change.now + change.eim.rules.emergency_pause
    change.set(offer=msgspec.structs.replace(offer, not_before=not_before))
    return State.DELIVERED


def _undefined(change: Change, offer: Offer) -> State:
    if offer.chore is None and change.device.attempt < 2:
        return _again(change, offer)
    return _fail(change, offer, "refused: undefined_error")


REACTIONS: Final[dict[EuiccPackageErrorCode, Callable[[Change, Offer], State]]] = {
    EuiccPackageErrorCode.INVALID_EID: _invalid_eid,
    EuiccPackageErrorCode.REPLAY_ERROR: _replay,
    EuiccPackageErrorCode.COUNTER_VALUE_OUT_OF_RANGE: _counter_out_of_range,
    EuiccPackageErrorCode.SIZE_OVERFLOW: _too_large,
    EuiccPackageErrorCode.ECALL_ACTIVE: _emergency,
    EuiccPackageErrorCode.UNDEFINED_ERROR: _undefined,
}


def _received(
    change: Change,
    offer: Offer,
    state: State,
    outcome: tuple[str, ...],
    *,
    verification: str,
    octets: bytes,
) -> ResultReceived:
    pause = change.device.pause if state is State.QUEUED else None
    return ResultReceived(
        at=change.now,
        eid=change.eid,
        order=offer.order,
        state=state.value,
        outcome=outcome,
        transaction_id=offer.transaction_id,
        digest=sha256(octets).digest(),
        counter=offer.counter,
        verification=verification,
        again_at=None if pause is None else pause.until,
    )
