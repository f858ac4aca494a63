"""Who has followed a rotation of the eIM's signing key, and who must be asked once more. Only reads."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from keim.eim.key_rotation import Rotation, Round, has_followed, must_be_asked_again, reference_of
from keim.eim.rows import Device, OrderState
from keim.io.eim_store import EimStore
from keim.io.rotation_store import RotationStore

PAGE = 1000


class Followers:
    def __init__(self, store: RotationStore, orders: EimStore) -> None:
        self._store = store
        self._orders = orders

    async def to_ask_again(self, rotation: Rotation) -> list[Device]:
        rounds = {tenant: await self._rounds(rotation, tenant) for tenant in await self._store.tenants()}
        return [
            device
            async for ordinal, device in self.behind(rotation)
            if must_be_asked_again(device, ordinal, rounds.get(device.tenant, ()))
        ]

    async def _rounds(self, rotation: Rotation, tenant: str) -> list[Round]:
        """The newest first."""
        found = []
        for number in range(rotation.round, 0, -1):
            reference = reference_of(msgspec.structs.replace(rotation, round=number), tenant)
            known = await self._orders.order(reference)
            if known is not None:
                order, state = known
                selection = await self._store.selection(reference)
                states = await self._store.states(order.id)
                found.append(Round(selection, states, state is OrderState.ACTIVE))
        return found

    async def behind(self, rotation: Rotation) -> AsyncIterator[tuple[int, Device]]:
        async for ordinal, device in self.active():
            if not has_followed(device, rotation):
                yield ordinal, device

    async def active(self) -> AsyncIterator[tuple[int, Device]]:
        after = -1
        while page := await self._store.active_devices(after, PAGE):
            for ordinal, device in page:
                yield ordinal, device
            after = page[-1][0]
