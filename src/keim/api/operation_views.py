"""How an operation is shown: an order, and what became of it at its device or at each of many."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from fastapi import Response
from pydantic import Field

from keim.api.context import Services
from keim.api.etags import etag_of
from keim.api.models import Moment, Shown
from keim.api.shapes import reading
from keim.eim.asks import words_of
from keim.eim.orders import KINDS
from keim.eim.rows import Operation, OrderState, State
from keim.io.eim_store.reading import Carried, Placed

OPEN: Final = (State.PLANNED, State.QUEUED, State.DELIVERED, State.UNKNOWN)
"""In the order in which they say more about an operation for many."""
_ENDS: Final = (
    State.FAILED,
    State.ROLLED_BACK,
    State.EXPIRED,
    State.CANCELLED,
    State.SUPERSEDED,
    State.SUCCEEDED,
)


class ShownRetry(Shown):
    times: int
    after: list[str]
    pause_s: float


class Outcome(Shown):
    """What became of it at one device."""

    eid: str
    state: State
    attempt: int | None = None
    delivered_at: Moment | None = None
    ended_at: Moment | None = None
    outcome: list[str] = Field(
        default=[], description="One entry for each command; or why it ended.", examples=[["enable: ok"]]
    )
    is_proved: bool = Field(default=False, description="By the eUICC's signature.")
    how: str | None = Field(
        default=None,
        description="Where an unknown or expired one found its end: `stored result`, `profile list`.",
    )
    counter: int | None = None
    sequence_number: int | None = Field(default=None, description="The eUICC's own number of the result.")


class ShownOperation(Shown):
    id: str
    kind: str = Field(examples=["package"], description="`package`, `data`, `download`.")
    what: list[str] = Field(examples=[["enable 8944501112345678907"]], description="One line for a command.")
    state: State | None = Field(
        description="For many: the least advanced; when all have ended, the worst. Null: not counted."
    )
    devices: int
    counts: dict[str, int] | None = Field(
        examples=[{"succeeded": 90, "queued": 10}],
        description="Devices by state. Lists leave very large operations uncounted: look at them one by one.",
    )
    eid: str | None = Field(default=None, description="Of an operation for one device.")
    outcome: Outcome | None = Field(default=None, description="Of an operation for one device.")
    ordered_at: Moment
    actor: str
    reason: str
    not_before: Moment | None
    needs_approval: bool = Field(description="It waits until another person has approved it.")
    expires_at: Moment | None
    supersedes: str | None
    retry: ShownRetry | None


async def shown_operation(
    placed: Placed, services: Services, response: Response | None = None, *, most: int | None = None
) -> ShownOperation:
    """`most`: an operation for more devices is not counted."""
    order, now = placed.order, services.clock.now()
    one = await reading(services).carried(placed, now)
    counts = None
    if one is not None:
        counts = {one.state.value: 1}
    elif most is None or order.devices <= most:
        counts = await reading(services).counts(placed, now)
    shown = ShownOperation(
        id=order.reference,
        kind=KINDS[type(order.work)],
        what=list(words_of(order.work)),
        state=None if counts is None else _state(counts),
        devices=order.devices,
        counts=counts,
        eid=order.eid,
        outcome=None if one is None else outcome_of(one),
        ordered_at=order.ordered_at,
        actor=order.actor,
        reason=order.reason,
        not_before=order.not_before,
        needs_approval=order.needs_approval and placed.state is OrderState.PLANNED,
        expires_at=order.expires_at,
        supersedes=order.supersedes or None,
        retry=None if order.retry is None else ShownRetry.model_validate(order.retry),
    )
    if response is not None:
        response.headers["ETag"] = etag_of(version_of(shown))
    return shown


def _state(counts: dict[str, int]) -> State:
    for state in (*OPEN, *_ENDS):
        if counts.get(state.value):
            return state
    return State.UNKNOWN


def is_open(shown: ShownOperation) -> bool:
    return shown.state in OPEN


def version_of(shown: ShownOperation) -> int:
    """Another one whenever anything that is shown has changed."""
    return int.from_bytes(sha256(shown.model_dump_json().encode()).digest()[:7], "big")


def outcome_of(carried: Carried) -> Outcome:
    row: Operation | None = carried.operation
    if row is None:
        return Outcome(eid=carried.eid, state=carried.state)
    return Outcome(
        eid=carried.eid,
        state=carried.state,
        attempt=row.attempt,
        delivered_at=row.delivered_at,
        ended_at=row.ended_at,
        outcome=list(row.outcome),
        is_proved=row.is_verified,
        how=row.how or None,
        counter=row.counter,
        sequence_number=row.sequence_number,
    )
