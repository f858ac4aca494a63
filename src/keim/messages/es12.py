"""ES12 and ES15: event registration at an SM-DS (SGP.22 §5.8, §5.10). JSON only; names as on the wire.

Imports msgspec only.
"""

from __future__ import annotations

import msgspec


class RegisterEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    eid: str
    rsp_server_address: str
    event_id: str
    forwarding_indicator: bool


class DeleteEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    eid: str
    event_id: str


Es12Request = RegisterEvent | DeleteEvent


class EventOk(msgspec.Struct, frozen=True):
    """Executed; the functions say no more."""
