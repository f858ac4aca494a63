"""What an IPA tells of its work. Versioned by their fields: new ones are added at the end with a default.

Imports nothing of keim but the messages' enumerations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Initialised:
    eid: str
    eim_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Polled:
    """One GetEimPackage: what came, or why nothing came."""

    eim_id: str
    answer: str
    """package, data_request, trigger, unknown, malformed, none, an error word, or unreachable."""


@dataclass(frozen=True, slots=True)
class PackageExecuted:
    eim_id: str
    outcome: str
    """results, error_signed, error_unsigned, refused."""
    sequence_number: int | None = None
    changed_profile: bool = False


@dataclass(frozen=True, slots=True)
class ResultDelivered:
    eim_id: str
    kind: str
    answer: str
    """acknowledged, empty or error."""


@dataclass(frozen=True, slots=True)
class ResultNotDelivered:
    eim_id: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class ItemRemoved:
    """A notification or result left the card's list, because its receiver has it."""

    sequence_number: int


@dataclass(frozen=True, slots=True)
class NotificationDelivered:
    sequence_number: int
    address: str
    route: Literal["direct", "eim"]


@dataclass(frozen=True, slots=True)
class NotificationNotDelivered:
    sequence_number: int
    address: str
    reason: str


@dataclass(frozen=True, slots=True)
class ProfileSwitched:
    """The card changed profiles, or was told to; `connected` tells whether the network came back."""

    cause: str
    connected: bool


@dataclass(frozen=True, slots=True)
class RolledBack:
    eim_id: str
    result: str


@dataclass(frozen=True, slots=True)
class DownloadStarted:
    way: Literal["direct", "indirect"]
    address: str | None
    eim_transaction_id: str | None = None


@dataclass(frozen=True, slots=True)
class DownloadEnded:
    """`outcome` is installed, an ErrorReason, or the step at which it ended."""

    outcome: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LocalFunctionDone:
    """Fallback, return, emergency, memory reset, provisioning: the card's answer in words."""

    function: str
    result: str


@dataclass(frozen=True, slots=True)
class CardRecovered:
    """The card fell silent or answered nonsense and was powered up anew."""

    reason: str


Event: TypeAlias = (
    Initialised
    | Polled
    | PackageExecuted
    | ResultDelivered
    | ResultNotDelivered
    | ItemRemoved
    | NotificationDelivered
    | NotificationNotDelivered
    | ProfileSwitched
    | RolledBack
    | DownloadStarted
    | DownloadEnded
    | LocalFunctionDone
    | CardRecovered
)
