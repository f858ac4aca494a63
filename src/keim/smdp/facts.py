"""The two ends of a decision: what a request needs of the store, and what comes of it.

A role decides purely: the store loads `Facts` as `Wanted` says, the function makes a `Decision`, the store
takes it in one transaction or says that a row has changed meanwhile, and then all is done again.
Pure; imports floor 0 only.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from keim.smdp.events import Event
from keim.smdp.rows import Call, Contents, Errand, Notification, Profile, Row, Session, StoredBody


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    transaction_id: bytes | None = None
    """The session, and with it the profile that it is about."""
    iccid: str | None = None
    matching_id: str | None = None
    default_eid: str | None = None
    """The default SM-DP+ orders for this EID."""
    profile_type: str | None = None
    """A few profiles of this type that are available, and whether there are any at all."""
    notification: tuple[str | None, int] | None = None
    """(EID, sequence number); without EID, that of the session."""
    call: tuple[str, str] | None = None
    with_contents: bool = False
    with_body: bool = False


NOTHING: Final = Wanted()


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    session: Session | None = None
    profile: Profile | None = None
    """By ICCID, or of the session."""
    matching: Profile | None = None
    """By matching id."""
    default_orders: tuple[Profile, ...] = ()
    available: tuple[Profile, ...] = ()
    is_type_known: bool = False
    notification: Notification | None = None
    call: Call | None = None
    contents: Contents | None = None
    """Of the profile that the request is about."""
    body: bytes | None = None


class Registration(msgspec.Struct, frozen=True):
    """RegisterEvent must succeed before the decision holds; `prepared` is stored before it is sent.

    Otherwise an accident between the two would leave an event under a matching id that nobody remembers.
    """

    smds_address: str
    eid: str
    event_id: str
    prepared: Profile


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    reply: Any
    rows: tuple[Row | StoredBody, ...] = ()
    events: tuple[Event, ...] = ()
    errands: tuple[Errand, ...] = ()
    registration: Registration | None = None

    @property
    def changes_nothing(self) -> bool:
        return not (self.rows or self.events or self.errands)
