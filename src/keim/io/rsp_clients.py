"""Clients of the functions that servers offer one another: ES2+ (any SM-DP+), ES12 and ES15 (any SM-DS).

Any program may use them; they hold no state but their connections.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import datetime
from uuid import uuid4

from keim.io.http_client import HttpClient
from keim.io.tls import check_peer, client_context
from keim.messages.es2p import (
    CancelOrder,
    ConfirmOrder,
    ConfirmOrderOk,
    DownloadOrder,
    DownloadOrderOk,
    Es2Ok,
    Es2Request,
    OrderOk,
    ReleaseProfile,
)
from keim.messages.es12 import Es12Request, EventOk
from keim.messages.execution_status import Failure
from keim.pki import Role
from keim.pki.world import Credential, World
from keim.wire import es2p_json, es12_json
from keim.wire.es12_json import PATH_ES12

Now = Callable[[], datetime]


def rsp_client(
    base: str,
    world: World,
    credential: Credential | None,
    *,
    role: Role,
    now: Now,
    server_name: str | None = None,
    timeout_s: float = 30.0,
    connect_to: tuple[str, int] | None = None,
) -> HttpClient:
    """A connection to a server of `role` (dp-tls, ds-tls, eim-tls): its certificate must be of that role."""
    trust = world.trust
    between = tuple(c.certificate for c in world.credentials if c.certificate.is_ca and c.role is not Role.CI)
    curve = credential.curve if credential is not None else world.curves[0]

    def check(connection: ssl.SSLObject) -> None:
        check_peer(
            connection,
            trust,
            role=role,
            now=now(),
            intermediates=between,
            crls=world.revocations,
            server_name=server_name,
            party=base,
        )

    return HttpClient(
        base,
        tls=client_context(roots=world.roots, credential=credential, curve=curve),
        check=check,
        timeout_s=timeout_s,
        connect_to=connect_to,
        party=base,
    )


def new_call() -> str:
    return uuid4().hex


class Es2Client:
    """ES2+ towards one SM-DP+. A refusal is a `Failure`; a repeated call may be given its identifier."""

    def __init__(self, http: HttpClient, *, requester: str) -> None:
        self._http = http
        self._requester = requester

    async def call(self, request: Es2Request, *, call: str | None = None) -> Es2Ok | Failure:
        sent = es2p_json.write_request(request, requester=self._requester, call=call or new_call())
        return es2p_json.read_reply(request, await self._http.send(sent))

    async def download_order(
        self, *, iccid: str | None = None, profile_type: str | None = None, eid: str | None = None
    ) -> DownloadOrderOk | Failure:
        answer = await self.call(DownloadOrder(eid=eid, iccid=iccid, profile_type=profile_type))
        assert isinstance(answer, DownloadOrderOk | Failure)
        return answer

    async def confirm_order(
        self,
        iccid: str,
        *,
        eid: str | None = None,
        matching_id: str | None = None,
        confirmation_code: str | None = None,
        smds_address: str | None = None,
        release: bool = True,
    ) -> ConfirmOrderOk | Failure:
        request = ConfirmOrder(
            iccid=iccid,
            eid=eid,
            matching_id=matching_id,
            confirmation_code=confirmation_code,
            smds_address=smds_address,
            release_flag=release,
        )
        answer = await self.call(request)
        assert isinstance(answer, ConfirmOrderOk | Failure)
        return answer

    async def cancel_order(
        self, iccid: str, *, eid: str | None = None, matching_id: str | None = None, is_final: bool = False
    ) -> OrderOk | Failure:
        request = CancelOrder(
            iccid=iccid,
            eid=eid,
            matching_id=matching_id,
            final_profile_status_indicator="Unavailable" if is_final else "Available",
        )
        answer = await self.call(request)
        assert isinstance(answer, OrderOk | Failure)
        return answer

    async def release_profile(self, iccid: str) -> OrderOk | Failure:
        answer = await self.call(ReleaseProfile(iccid=iccid))
        assert isinstance(answer, OrderOk | Failure)
        return answer

    async def report_progress(self, body: bytes) -> None:
        """The other direction: HandleDownloadProgressInfo of an SM-DP+ to an operator."""
        request = es2p_json.write_progress(body, requester=self._requester, call=new_call())
        es2p_json.read_progress_answer(await self._http.send(request))

    def close(self) -> None:
        self._http.close()


class Es12Client:
    """ES12 towards an SM-DS, or ES15 towards a root SM-DS (`path`)."""

    def __init__(self, http: HttpClient, *, requester: str, path: str = PATH_ES12) -> None:
        self._http = http
        self._requester = requester
        self._path = path

    async def call(self, request: Es12Request) -> EventOk | Failure:
        sent = es12_json.write_request(request, requester=self._requester, call=new_call(), path=self._path)
        return es12_json.read_reply(await self._http.send(sent))

    def close(self) -> None:
        self._http.close()
