"""The result of an eUICC package (BF51): verified against chain, token, counter and transaction id first.

SGP.32 §2.11.2, §3.3.1 steps 12 to 14; procedures §4.3, §4.5, §5.1. Pure; imports floor 0 and keim.eim only.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec

from keim.crypto.signed import euicc_package_result_tbs
from keim.deciding import Deciding
from keim.eim.asks import Command
from keim.eim.change import Change
from keim.eim.compose import commands_in, commands_of
from keim.eim.conclusion import conclude, decide_by_list, leave_in_doubt, settled
from keim.eim.events import ResultReceived, ResultRefused, ResultUnmatched
from keim.eim.evidence import chain_of
from keim.eim.facts import Known
from keim.eim.offers import CHORES
from keim.eim.picture import CounterRaised, TokenProved
from keim.eim.results import effects, package_errors
from keim.eim.results.verification import BY_SIGNATURE, NOT_CHECKED, REFUSED, SWITCHED_OFF, judged
from keim.eim.rows import Chore, Kind, Offer, Operation, Receipt, State
from keim.eim.work import PackageWork
from keim.messages.package import (
    EuiccPackageErrorSigned,
    EuiccPackageErrorUnsigned,
    EuiccPackageResult,
    EuiccPackageResultDataSigned,
    EuiccPackageResultSigned,
    EuiccResultData,
    RollbackProfileResult,
)

REFUSALS: Final = 3
"""At the third delivery of the same octets an unverifiable result is given up (procedures §4.3 step 4)."""
_TAKEN_BACK: Final = frozenset({"enable_result", "disable_result"})
"""A rollback leaves the profiles enabled and disabled as they were before the package."""
_WENT_BACK: Final = "the profile that was enabled gave no network: the device went back to the former one"
_CANNOT_GO_BACK: Final = "the profile that was enabled gave no network, and the device could not go back"


class Taken(NamedTuple):
    """`numbers` are safely held and may leave the card; `is_refused`: the IPA keeps it and comes again."""

    numbers: tuple[int, ...] = ()
    is_refused: bool = False


def take(change: Change, result: EuiccPackageResult) -> Deciding[Taken]:
    match result:
        case EuiccPackageResult(euicc_package_result_signed=EuiccPackageResultSigned() as signed):
            return (yield from _signed(change, signed, result.encode()))
        case EuiccPackageResult(euicc_package_error_signed=EuiccPackageErrorSigned() as error):
            refused = yield from package_errors.take_signed(change, error, result.encode())
            return Taken() if refused is None else _refuse(change, refused, result.encode())
        case EuiccPackageResult(euicc_package_error_unsigned=EuiccPackageErrorUnsigned() as unsigned):
            package_errors.take_unsigned(change, unsigned)
    return Taken()


def _signed(change: Change, result: EuiccPackageResultSigned, octets: bytes) -> Deciding[Taken]:
    data = result.euicc_package_result_data_signed
    if data.eim_id != change.eim.eim_id:
        # Of an association that is no more: kept for people, never believed (procedures §4.3 step 8).
        _keep(change, data.seq_number, octets, is_verified=False)
        _unmatched(change, "it names another eIM", data.seq_number, octets, NOT_CHECKED)
        return Taken((data.seq_number,))
    offer = matching_offer(change, data.counter_value, data.eim_transaction_id)
    known = None if offer is not None else change.facts.named(data.eim_transaction_id, data.counter_value)
    switches = change.eim.switches_of(change.device)
    commands = _commands(offer, known)
    why, without_token = None, False
    if switches.verifies:
        token = change.device.token if offer is None else offer.token
        signed = data.encode()
        tbs = euicc_package_result_tbs(signed, token)
        why, without_token = yield from judged(change, result.euicc_sign_epr, signed, tbs)
    if why is None and commands is not None:
        why = _misfit(commands, data.euicc_result)
    if why is not None:
        return _refuse(change, why, octets, offer=offer)
    if switches.verifies and not without_token and not change.device.is_token_proved:
        change.effect(TokenProved(), is_proved=True)
    if change.device.refused_times:
        change.set(refused_times=0, refused_digest=b"")
    _keep(change, data.seq_number, octets, is_verified=switches.verifies)
    verification = BY_SIGNATURE if switches.verifies else SWITCHED_OFF
    if offer is not None:
        if change.device.replays:
            change.set(replays=0)
        ending = _apply(change, commands or (), data, is_proved=switches.verifies)
        row = conclude(
            change,
            offer,
            ending.state,
            ending.outcome,
            sequence_number=data.seq_number,
            is_verified=switches.verifies,
        )
        _tell(change, row, octets, verification, token=offer.token, without_token=without_token)
        if offer.chore is None and change.device.is_stale:
            change.want(
                Chore.LIST_PROFILES
            )  # the look of its own may have been refused, as under a former key
        if switches.verifies and change.knowledge.profiles_at == change.now:
            decide_by_list(change, change.knowledge.profiles)
    elif known is not None:
        _late(
            change,
            known,
            commands,
            data,
            octets=octets,
            verification=verification,
            without_token=without_token,
        )
    else:
        change.doubt()
        change.want(Chore.LIST_PROFILES)
        why = "of no package that is known"
        _unmatched(change, why, data.seq_number, octets, verification, without_token=without_token)
    return Taken((data.seq_number,))


def matching_offer(change: Change, counter: int, transaction_id: bytes | None) -> Offer | None:
    offer = change.device.offer
    if offer is None or offer.kind is not Kind.PACKAGE or offer.counter != counter:
        return None
    return offer if transaction_id in (None, offer.transaction_id) else None


def _commands(offer: Offer | None, known: Known | None) -> Sequence[Command] | None:
    """What the package asked for; None where nobody knows any more."""
    if offer is not None:
        return commands_of(commands_in(offer.octets))
    if known is None:
        return None
    chore = known.operation.chore
    work = CHORES.get(chore) if chore is not None else known.order.work if known.order else None
    return commands_of(work.commands) if isinstance(work, PackageWork) else None


def _misfit(commands: Sequence[Command], results: Sequence[EuiccResultData]) -> str | None:
    """Fewer results than commands: the rest was not executed. One more only for a rollback."""
    entries = list(results)
    if entries and entries[-1].rollback_result is not None:
        entries.pop()
    if len(entries) > len(commands):
        return "there are more results than commands"
    for command, entry in zip(commands, entries, strict=False):
        if not effects.fits(command, entry):
            return f"{entry.kind} is no result of {command.kind}"
    return None


class _Ending(NamedTuple):
    state: State
    outcome: tuple[str, ...]


def _apply(
    change: Change,
    commands: Sequence[Command],
    data: EuiccPackageResultDataSigned,
    *,
    is_proved: bool,
) -> _Ending:
    entries = list(data.euicc_result)
    rollback: RollbackProfileResult | None = None
    if entries and entries[-1].rollback_result is not None:
        rollback = entries.pop().rollback_result
    is_back = rollback == RollbackProfileResult.OK
    outcome: list[str] = []
    successes = 0
    for command, entry in zip(commands, entries, strict=False):
        text, is_success = effects.told(entry)
        outcome.append(text)
        successes += is_success
        if is_success and not (is_back and entry.kind in _TAKEN_BACK):
            effects.apply(change, data.seq_number, command, entry, is_proved=is_proved)
        if entry.processing_terminated is not None:
            effects.doubt(change, command, entry.processing_terminated)
    if rollback is not None:
        outcome.append(effects.told(data.euicc_result[-1])[0])
        change.doubt()
        change.want(Chore.LIST_PROFILES)
        change.alarm(_WENT_BACK if is_back else _CANNOT_GO_BACK)
        return _Ending(State.ROLLED_BACK if is_back else State.FAILED, tuple(outcome))
    is_done = successes == len(commands)
    return _Ending(State.SUCCEEDED if is_done else State.FAILED, tuple(outcome))


def _late(
    change: Change,
    known: Known,
    commands: Sequence[Command] | None,
    data: EuiccPackageResultDataSigned,
    *,
    octets: bytes,
    verification: str,
    without_token: bool,
) -> None:
    """Again, or at last, or instead of an earlier one (a rollback after a lost acknowledgement)."""
    operation = known.operation
    number = operation.sequence_number
    if operation.counter != data.counter_value or (number is not None and data.seq_number <= number):
        return
    if operation.state is State.QUEUED:
        is_mass = known.order is not None and known.order.eid is None
        change.order_settled(operation.order, is_mass=is_mass)
        change.set(attempt=0)
    if commands is None:
        ending = _Ending(State.UNKNOWN, ("the commands are not known any more",))
        change.want(Chore.LIST_PROFILES)
    else:
        counter = change.device.counter
        ending = _apply(change, commands, data, is_proved=verification == BY_SIGNATURE)
        if change.device.counter < counter:
            change.effect(CounterRaised(counter=counter))  # an updateEim of long ago: those above it are used
    row = msgspec.structs.replace(
        operation,
        state=ending.state,
        outcome=ending.outcome,
        sequence_number=data.seq_number,
        ended_at=change.now,
        is_verified=verification == BY_SIGNATURE,
        how="stored result" if operation.state in (State.UNKNOWN, State.EXPIRED) else operation.how,
    )
    change.operation(row)
    settled(change, row.order)
    # Later packages may have changed the device since: the list of profiles decides.
    change.doubt()
    change.want(Chore.LIST_PROFILES)
    _tell(change, row, octets, verification, token=change.device.token, without_token=without_token)


def _unmatched(
    change: Change, why: str, number: int, octets: bytes, verification: str, *, without_token: bool = False
) -> None:
    if verification == BY_SIGNATURE:
        change.set(proved_at=change.now)
    change.tell(
        ResultUnmatched(
            at=change.now,
            eid=change.eid,
            why=why,
            sequence_number=number,
            digest=sha256(octets).digest(),
            verification=verification,
        ),
        result=octets,
        token=change.device.token,
        chain=chain_of(change.eim, change.knowledge, change.now),
        verification=verification,
        without_token=without_token,
    )


def _tell(
    change: Change,
    row: Operation,
    octets: bytes,
    verification: str,
    *,
    token: int | None,
    without_token: bool,
) -> None:
    if verification == BY_SIGNATURE:
        change.set(proved_at=change.now)
    pause = change.device.pause if row.state is State.QUEUED else None
    change.tell(
        ResultReceived(
            at=change.now,
            eid=row.eid,
            order=row.order,
            state=row.state.value,
            outcome=row.outcome,
            transaction_id=row.transaction_id,
            digest=sha256(octets).digest(),
            counter=row.counter,
            sequence_number=row.sequence_number,
            verification=verification,
            attempt=row.attempt,
            again_at=None if pause is None else pause.until,
            how=row.how,
        ),
        result=octets,
        token=token,
        chain=chain_of(change.eim, change.knowledge, change.now),
        verification=verification,
        without_token=without_token,
    )


def _keep(change: Change, number: int, octets: bytes, *, is_verified: bool) -> None:
    change.receipt(
        Receipt(
            eid=change.eid,
            sequence_number=number,
            digest=sha256(octets).digest(),
            kind="result",
            octets=octets,
            received_at=change.now,
            is_verified=is_verified,
        )
    )


def _refuse(change: Change, why: str, octets: bytes, *, offer: Offer | None = None) -> Taken:
    """Kept as it came; nothing is believed. The third time it ends, so that the card gets rid of it."""
    device, digest = change.device, sha256(octets).digest()
    times = device.refused_times + 1 if digest == device.refused_digest else 1
    is_given_up = times >= REFUSALS
    change.set(refused_digest=digest, refused_times=0 if is_given_up else times)
    if times == 1:
        _keep(change, 0, octets, is_verified=False)
        change.alarm(f"a result was not believed: {why}")
    learns = device.point is None and change.eim.switches_of(device).verifies
    ends_order = offer is not None and (learns or is_given_up)
    change.tell(
        ResultRefused(
            at=change.now,
            eid=change.eid,
            order=offer.order if offer is not None and ends_order else None,
            why=why,
            digest=digest,
            is_given_up=is_given_up,
            ends_order=ends_order,
        ),
        result=octets if times == 1 else None,
        verification=REFUSED,
    )
    if not learns and not is_given_up:
        return Taken(is_refused=True)
    if offer is not None:
        row = conclude(change, offer, State.UNKNOWN, (f"unverified: {why}",))
        leave_in_doubt(change, offer, row)
    if learns:
        # Its key first: the device keeps the result and brings it again.
        change.want_first(Chore.LEARN)
    return Taken(is_refused=not is_given_up)
