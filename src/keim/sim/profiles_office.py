"""The office that orders profiles from the SM-DP+ over ES2+, with its own client certificate."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from keim.app.identity import name_of
from keim.errors import PeerError
from keim.io.rsp_clients import Es2Client, rsp_client
from keim.io.world_clock import SystemClock
from keim.messages.es2p import ConfirmOrderOk, DownloadOrderOk
from keim.messages.execution_status import Failure
from keim.pki import Role
from keim.pki.world import World
from keim.sim.plan import PlannedDevice, Way
from keim.smdp.activation_code import activation_code

T = TypeVar("T")


class ProfilesOffice:
    def __init__(self, world: World, *, address: str, es2: tuple[str, int], smds: tuple[str, int]) -> None:
        self._world, self._address = world, address
        self.es2 = es2
        self._smds = f"{smds[0]}:{smds[1]}"

    def order(self, planned: PlannedDevice) -> str | None:
        """This device's own profile, for its EID only: the activation code; None when the SM-DS tells it."""
        return self._with_client(lambda client: self._order(client, planned))

    async def _order(self, client: Es2Client, planned: PlannedDevice) -> str | None:
        is_announced = planned.way is Way.DISCOVERY
        iccid = planned.home.full_iccid
        eid = str(planned.eid)
        ordered = await client.download_order(iccid=iccid, eid=eid)
        if isinstance(ordered, Failure):  # it was ordered in an earlier life of this world: order it anew
            await client.cancel_order(iccid, eid=eid)
            ordered = await client.download_order(iccid=iccid, eid=eid)
        _refuse_failure(ordered)
        assert isinstance(ordered, DownloadOrderOk)
        confirmed = await client.confirm_order(
            ordered.iccid, eid=eid, smds_address=self._smds if is_announced else None
        )
        _refuse_failure(confirmed)
        assert isinstance(confirmed, ConfirmOrderOk)
        if is_announced:
            return None
        return activation_code(confirmed.smdp_address or self._address, confirmed.matching_id or "")

    def _with_client(self, work: Callable[[Es2Client], Awaitable[T]]) -> T:
        credential = self._world.get("eim-tls")

        async def run() -> T:
            http = rsp_client(
                f"https://{self._address}",
                self._world,
                credential,
                role=Role.DP_TLS,
                now=SystemClock().now,
                server_name=self._address,
                connect_to=self.es2,
            )
            try:
                return await work(Es2Client(http, requester=name_of(credential.certificate)))
            finally:
                http.close()

        return asyncio.run(run())


def _refuse_failure(answer: object) -> None:
    if isinstance(answer, Failure):
        raise PeerError(
            f"the SM-DP+ refuses the order: {answer.code} {answer.message}",
            code="peer.misbehaved",
            party="SM-DP+",
        )
