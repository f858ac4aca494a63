"""What the end of a download means for its activation code (our reading: docs/explanation/readings.md).

A code that was refused or used up is burnt; one that nobody has asked a server about goes back. After a
temporary installation failure the SM-DP+ keeps the order open, bound to the eUICC that began it: the code
stays for that device. Pure; imports keim.eim only.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum, auto
from typing import Final

from msgspec.structs import replace

from keim.eim.codes.rows import Code, CodeState
from keim.eim.rows import Operation, OrderState, State

MOST_FAILURES: Final = 3
"""Failures before any installation that are believed to be the network's; more are the code's."""
_TEMPORARY: Final = ("insufficient memory", "interruption")
_INSTALL: Final = "install: "


class Fate(Enum):
    OPEN = auto()
    """Its end is not known."""
    USED = auto()
    BACK = auto()
    """For anybody."""
    KEPT = auto()
    """For the same device."""
    BURNT = auto()


def fate_of(order: OrderState | None, operation: Operation | None) -> Fate:
    """`order` None: it was never placed. `operation` None: no device has had it yet."""
    if operation is None:
        return Fate.OPEN if order in (OrderState.ACTIVE, OrderState.TAKEN) else Fate.BACK
    match operation.state:
        case State.SUCCEEDED:
            return Fate.USED
        case State.FAILED:
            return _of_failure(operation.outcome)
        case State.CANCELLED | State.SUPERSEDED if order is OrderState.CANCELLED:
            return Fate.BACK
        case _:
            return Fate.OPEN


def _of_failure(outcome: Sequence[str]) -> Fate:
    said = " ".join(outcome).replace("_", " ").lower()
    if _INSTALL not in said:
        return Fate.BACK
    return Fate.KEPT if any(reason in said for reason in _TEMPORARY) else Fate.BURNT


def ended(code: Code, fate: Fate, now: datetime, outcome: str = "") -> Code:
    made = replace(code, changed_at=now, version=code.version + 1, outcome=outcome, reference="", note="")
    match fate:
        case Fate.USED:
            return replace(made, state=CodeState.USED, reference=code.reference)
        case Fate.BURNT:
            return replace(made, state=CodeState.BURNT, reference=code.reference)
        case Fate.KEPT:
            return replace(made, state=CodeState.RESERVED, note="its SM-DP+ waits for this device")
        case Fate.BACK:
            failures = code.failures + bool(outcome)
            if code.was_refused or failures >= MOST_FAILURES:
                return replace(made, state=CodeState.BURNT, failures=failures, reference=code.reference)
            return replace(made, state=CodeState.FREE, failures=failures, eid=None)
        case Fate.OPEN:
            return code
