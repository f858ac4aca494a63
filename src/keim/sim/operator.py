"""The operator of a simulated fleet: orders at the eIM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

SUCCEEDED: Final = "succeeded"
ENDED: Final = frozenset({"failed", "rolled_back", "expired", "cancelled", "superseded"})
"""Without success; an order that ended so is placed anew."""


def reference_of(device: str, chapter: str, attempt: int = 1) -> str:
    """The name of an order, so that a second life of the same world finds it again."""
    return f"up/{device}/{chapter}/{attempt}"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the eIM says of one operation at one device."""

    state: str
    told: tuple[str, ...] = ()
    counter: int | None = None
    sequence_number: int | None = None
    is_verified: bool = False


class Operator(Protocol):
    def is_known(self, eid: str) -> bool:
        """Enrolled, and its certificates were learned."""
        ...

    def order(self, eid: str, commands: Sequence[dict[str, object]], reference: str) -> None:
        """One package of commands as the API names them; the same reference again is the same order."""
        ...

    def download(self, eid: str, activation_code: str | None, reference: str) -> None:
        """By activation code, else by what the SM-DS of the card knows."""
        ...

    def outcome(self, eid: str, reference: str) -> Outcome | None: ...

    def events(self, eid: str) -> list[str]:
        """The kinds of what happened to it, oldest first."""
        ...
