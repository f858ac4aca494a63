"""Devices of SGP.32 v1.0 before an eIM of v1.2: each is recognised, heard and answered in its own forms.

A result of v1.0 does not say whose it is, so the connection does: who polled on it last. Off unless the
configuration says otherwise, and then for devices with the switch `is_v1_0`, their own or the server's.
"""

from __future__ import annotations

from typing import Final

from keim.app.eim_service import EimService
from keim.eim.rows import Kind
from keim.messages.v1_0_eim import answer_to_v1_0, request_from_v1_0
from keim.wire.esipa import eid_of

CONNECTIONS: Final = 10_000


class OldForms:
    """`answer` as the eIM's own, for all versions."""

    def __init__(self, service: EimService) -> None:
        self._service = service
        self._callers: dict[str, bytes] = {}
        """Connection -> the EID that polled on it last; the longest silent is forgotten."""

    async def answer(self, octets: bytes, connection: str = "") -> bytes | None:
        named = eid_of(octets)
        eid = named if named is not None else self._callers.get(connection)
        eim = self._service.eim
        device = None if eid is None else await self._service.store.device(eid.hex())
        if not (eim.switches if device is None else eim.switches_of(device)).is_v1_0:
            return await self._service.answer(octets, connection)
        if connection and eid is not None:
            self._callers.pop(connection, None)
            self._callers[connection] = eid
            if len(self._callers) > CONNECTIONS:
                del self._callers[next(iter(self._callers))]
        offer = None if device is None else device.offer
        download = offer.transaction_id if offer is not None and offer.kind is Kind.DOWNLOAD else None
        reply = await self._service.answer(request_from_v1_0(octets, eid, download), connection)
        return answer_to_v1_0(reply) if reply else reply
