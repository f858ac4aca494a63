"""Cancelling an RSP session (procedures §11.9, SGP.32 §3.2.3.3).

After a successful AuthenticateServer and before an installation result, never later. Imports its neighbours
and keim.messages only.
"""

from __future__ import annotations

from contextlib import suppress

from keim.ipa import es10
from keim.ipa.card import CARD_ERRORS
from keim.ipa.context import Ipa
from keim.ipa.effects import Procedure
from keim.ipa.esipa import CALL_ERRORS
from keim.ipa.rsp_server import RspServer, ServerAuthentication, Stop


def cancel_session(
    ipa: Ipa,
    server: RspServer,
    session: ServerAuthentication,
    stop: Stop,
    *,
    is_reason_known: bool = False,
) -> Procedure[Stop]:
    """The card signs the reason, the server gets it; `stop` comes back with the evidence.

    Whatever goes wrong here changes nothing: the download has ended.
    """
    if stop.cancel is None:
        return stop
    try:
        response = yield from es10.cancel_session(ipa, session.transaction_id, stop.cancel)
    except CARD_ERRORS:
        return stop
    with suppress(*CALL_ERRORS):
        yield from server.cancel_session(session, response, is_reason_known=is_reason_known)
    if stop.error_response is not None:
        return stop
    return Stop(stop.step, stop.detail, response.encode(), stop.cancel, stop.reason)
