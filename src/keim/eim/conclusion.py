"""The end of what a device had been given: its operation ends, is tried once more, or stays in doubt.

A rule of the order says what is tried again; a profile list decides what nobody could tell. Pure; imports
floor 0 and keim.eim only.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from keim.der import TOLERANT
from keim.eim.asks import asked_by
from keim.eim.change import Change
from keim.eim.compose import commands_of
from keim.eim.events import ResultReceived
from keim.eim.operations import operation_of
from keim.eim.picture import ProfileDeleted, ProfileDisabled, ProfileEnabled
from keim.eim.rows import (
    Chore,
    Device,
    Kind,
    Offer,
    Operation,
    Pause,
    ProfileImage,
    Retry,
    State,
    Unresolved,
)
from keim.messages.package import EuiccPackageRequest

MOST_UNRESOLVED: Final = 4
"""Of one device; older ones stay as they are until their own result turns up."""


def conclude(
    change: Change,
    offer: Offer,
    state: State,
    outcome: tuple[str, ...],
    *,
    row: Operation | None = None,
    sequence_number: int | None = None,
    is_verified: bool = False,
) -> Operation:
    """Nothing is outstanding any more. The operation (`row`, where it is known) as it is now."""
    attempt = change.device.attempt
    if row is None:
        row = operation_of(offer, change.eid, attempt=max(attempt, 1))
    again_at = None if offer.retry is None else next_try(offer.retry, attempt, state, outcome, change.now)
    if again_at is not None:
        pause = Pause(order=offer.order, until=again_at) if again_at > change.now else None
        change.set(offer=None, pause=pause)
        change.order_again(offer.order, is_mass=offer.is_mass)
        row = replace(row, state=State.QUEUED, outcome=outcome)
    else:
        change.set(offer=None, attempt=0 if offer.chore is None else attempt)
        row = replace(
            row,
            state=state,
            ended_at=change.now,
            outcome=outcome,
            sequence_number=sequence_number,
            is_verified=is_verified,
        )
    change.operation(row)
    return row


def next_try(
    retry: Retry, attempt: int, state: State, outcome: tuple[str, ...], now: datetime
) -> datetime | None:
    """When the same order is given once more; None: it stays as it ended."""
    if attempt >= retry.times or state not in (State.FAILED, State.ROLLED_BACK):
        return None
    if state.value not in retry.after and not set(outcome) & set(retry.after):
        return None
    return now + timedelta(seconds=retry.pause_s)


# what nobody could tell


def leave_in_doubt(change: Change, offer: Offer, row: Operation) -> None:
    """The stored results are asked for and the profiles looked at; after an expiry these first (§4.5).

    What the eIM asked of its own is asked again after an expiry; a device that never answers it is given up.
    """
    if offer.chore is not None:
        if row.state is State.EXPIRED:
            change.want_first(offer.chore)
        return
    if offer.kind is Kind.DATA:
        return  # it changes nothing
    change.doubt()
    if offer.kind is Kind.DOWNLOAD:
        change.want(Chore.LIST_PROFILES)
        return
    ask_the_list(change, offer, row)
    looks = (Chore.RECOVER, Chore.LIST_PROFILES)
    change.want_first(*(reversed(looks) if row.state is State.EXPIRED else looks))


def ask_the_list(change: Change, offer: Offer, row: Operation) -> None:
    """The next list of profiles decides about it."""
    change.device = with_unresolved(change.device, offer, row)


def with_unresolved(device: Device, offer: Offer, row: Operation) -> Device:
    package = EuiccPackageRequest.decode(offer.octets, TOLERANT).euicc_package_signed.euicc_package
    unresolved = Unresolved(operation=row, commands=package.encode())
    return replace(device, unresolved=(*device.unresolved, unresolved)[-MOST_UNRESOLVED:])


def settled(change: Change, order: int) -> None:
    """Its own result has turned up, or it goes out once more."""
    if any(one.operation.order == order for one in change.device.unresolved):
        left = tuple(one for one in change.device.unresolved if one.operation.order != order)
        change.set(unresolved=left)


def decide_by_list(change: Change, profiles: tuple[ProfileImage, ...]) -> None:
    """A list that the eUICC signed after all of these: an older counter can be executed no more."""
    unresolved = change.device.unresolved
    if not unresolved:
        return
    change.set(unresolved=())
    for one in unresolved:
        verdict = _shows(profiles, one.commands, change.eim.eim_id)
        if verdict is None or (not verdict and one.operation.state in (State.EXPIRED, State.QUEUED)):
            continue
        if one.operation.state is State.QUEUED:  # after replayError: it is not wanted any more
            change.order_settled(one.operation.order, is_mass=one.operation.is_of_many)
            change.set(attempt=0)
        state = State.SUCCEEDED if verdict else State.FAILED
        text = "the list of profiles shows it" if verdict else "the list of profiles does not show it"
        row = replace(one.operation, state=state, outcome=(text,), ended_at=change.now, how="profile list")
        change.operation(row)
        change.events.append(
            ResultReceived(
                at=change.now,
                eid=change.eid,
                order=row.order,
                state=state.value,
                outcome=row.outcome,
                transaction_id=row.transaction_id,
                counter=row.counter,
                verification="signature",
                attempt=row.attempt,
                how="profile list",
            )
        )


def _shows(profiles: tuple[ProfileImage, ...], commands: bytes, own_eim_id: str) -> bool | None:
    """Whether the profiles are as the package wanted them; None: they cannot tell."""
    enabled = {profile.iccid: profile.is_enabled for profile in profiles}
    verdicts = []
    for command in commands_of(commands):
        match asked_by(command, own_eim_id):
            case ProfileEnabled(iccid=iccid):
                verdicts.append(enabled.get(iccid, False))
            case ProfileDisabled(iccid=iccid):
                verdicts.append(enabled.get(iccid) is False)
            case ProfileDeleted(iccid=iccid):
                verdicts.append(iccid not in enabled)
            case _:
                return None
    return all(verdicts)
