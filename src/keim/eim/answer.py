"""The table of messages: which module says what a message needs, and which answers it.

Pure; imports floor 0 and keim.eim only.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from keim.deciding import Deciding
from keim.der import TOLERANT
from keim.eim import get_eim_package, handle_notification, provide_eim_package_result
from keim.eim.facts import Context, Decision, Facts, Wanted
from keim.eim.relay import (
    authenticate_client,
    cancel_session,
    get_bound_profile_package,
    initiate_authentication,
)
from keim.eim.relay.call import Call, NoRelay
from keim.eim.settings import Eim
from keim.errors import Malformed
from keim.messages import esipa as m

LOCAL: Final[dict[type, Any]] = {
    m.GetEimPackageRequest: get_eim_package,
    m.ProvideEimPackageResult: provide_eim_package_result,
    m.HandleNotificationEsipa: handle_notification,
}
"""Answered from the rows alone."""
RELAYED: Final[dict[type, Any]] = {
    m.InitiateAuthenticationRequestEsipa: initiate_authentication,
    m.AuthenticateClientRequestEsipa: authenticate_client,
    m.GetBoundProfilePackageRequestEsipa: get_bound_profile_package,
    m.CancelSessionRequestEsipa: cancel_session,
}
"""Answered with the help of an SM-DP+ or SM-DS."""
TAGS: Final[dict[bytes, type[Any]]] = {
    bytes.fromhex("bf4f"): m.GetEimPackageRequest,
    bytes.fromhex("bf50"): m.ProvideEimPackageResult,
    bytes.fromhex("bf3d"): m.HandleNotificationEsipa,
    bytes.fromhex("bf39"): m.InitiateAuthenticationRequestEsipa,
    bytes.fromhex("bf3b"): m.AuthenticateClientRequestEsipa,
    bytes.fromhex("bf3a"): m.GetBoundProfilePackageRequestEsipa,
    bytes.fromhex("bf41"): m.CancelSessionRequestEsipa,
}


def read(octets: bytes) -> msgspec.Struct:
    """The request of an IPA; `Malformed` for anything else."""
    kind = TAGS.get(octets[:2])
    if kind is None:
        raise Malformed(f"{octets[:2].hex().upper()} is no message of an IPA", offset=0)
    request: msgspec.Struct = kind.decode(octets, TOLERANT)
    return request


def is_relayed(octets: bytes) -> bool:
    return TAGS.get(octets[:2]) in RELAYED


def wanted(request: msgspec.Struct) -> Wanted:
    kind = type(request)
    found: Wanted = (LOCAL.get(kind) or RELAYED[kind]).wanted(request)
    return found


def decide(eim: Eim, facts: Facts, request: msgspec.Struct, context: Context) -> Deciding[Decision]:
    deciding: Deciding[Decision] = LOCAL[type(request)].decide(eim, facts, request, context)
    return deciding


def prepare(eim: Eim, facts: Facts, request: msgspec.Struct, context: Context) -> Call | NoRelay:
    found: Call | NoRelay = RELAYED[type(request)].prepare(eim, facts, request, context)
    return found


def conclude(
    eim: Eim, facts: Facts, request: msgspec.Struct, *, call: Call, reply: object, context: Context
) -> Decision:
    decision: Decision = RELAYED[type(request)].conclude(
        eim, facts, request, call=call, reply=reply, context=context
    )
    return decision
