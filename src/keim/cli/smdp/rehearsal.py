"""What `keim smdp order --dry-run` speaks to instead of an SM-DP+: keeps each request and sends none.

It cannot say whether a server would agree, only what would be asked of it.
"""

from __future__ import annotations

from typing import Any, Final

from keim.io.http_client import HttpClient
from keim.io.rsp_clients import Es2Client
from keim.messages.es2p import (
    ConfirmOrder,
    ConfirmOrderOk,
    DownloadOrder,
    DownloadOrderOk,
    Es2Ok,
    Es2Request,
    OrderOk,
)
from keim.wire.function_json import plain_members

CHOSEN_BY_SERVER: Final = "(chosen by the server)"


class Rehearsal(Es2Client):
    def __init__(self, eid: str | None) -> None:
        super().__init__(HttpClient("https://nowhere.invalid"), requester="")
        self._eid = eid
        self.requests: list[dict[str, Any]] = []

    async def call(self, request: Es2Request, *, call: str | None = None) -> Es2Ok:
        del call
        members = plain_members(request)
        if "confirmationCode" in members:
            members["confirmationCode"] = "***"
        self.requests.append({"function": type(request).__name__, **members})
        match request:
            case DownloadOrder():
                return DownloadOrderOk(iccid=request.iccid or CHOSEN_BY_SERVER)
            case ConfirmOrder():
                return ConfirmOrderOk(eid=self._eid, matching_id=request.matching_id or CHOSEN_BY_SERVER)
        return OrderOk()
