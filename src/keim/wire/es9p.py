"""ES9+ and ES11 as both bindings see them: the functions, their requests and their replies.

Requests and replies are the message classes themselves, so that roles never see JSON. Pure; floor 0 only.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Final

from keim.der import TOLERANT, Tolerance
from keim.messages import es9p
from keim.messages.authentication import CancelSessionOk
from keim.messages.es11 import AuthenticateClientOkEs11
from keim.messages.execution_status import Failure, Function

PATH_JSON: Final = "/gsma/rsp2/es9plus/"
PATH_ASN1: Final = "/gsma/rsp2/asn1"

CLIENT_HEADERS: Final[Mapping[str, str]] = {
    "user-agent": "gsma-rsp-lpad",
    "x-admin-protocol": "gsma/rsp/v2.2.2",
}
"""What SM-DP+ in the field know; an IPAd says gsma-rsp-ipad."""

READER: Final[Set[Tolerance]] = TOLERANT

Es9Request = (
    es9p.InitiateAuthenticationRequest
    | es9p.AuthenticateClientRequest
    | es9p.GetBoundProfilePackageRequest
    | es9p.HandleNotification
    | es9p.CancelSessionRequestEs9
)

Es9Reply = (
    es9p.InitiateAuthenticationOkEs9
    | es9p.AuthenticateClientOk
    | AuthenticateClientOkEs11
    | es9p.GetBoundProfilePackageOk
    | CancelSessionOk
    | Failure
    | None
)
"""As a client reads it. None is the empty answer to a notification."""

Es9Answer = (
    es9p.InitiateAuthenticationOkEs9
    | es9p.ProfileOffer
    | AuthenticateClientOkEs11
    | es9p.PackageDelivery
    | CancelSessionOk
    | Failure
    | None
)
"""As a server makes it."""

FUNCTION_OF: Final[dict[type, Function]] = {
    es9p.InitiateAuthenticationRequest: Function.INITIATE_AUTHENTICATION,
    es9p.AuthenticateClientRequest: Function.AUTHENTICATE_CLIENT,
    es9p.GetBoundProfilePackageRequest: Function.GET_BOUND_PROFILE_PACKAGE,
    es9p.HandleNotification: Function.HANDLE_NOTIFICATION,
    es9p.CancelSessionRequestEs9: Function.CANCEL_SESSION,
}


def function_of(request: Es9Request) -> Function:
    return FUNCTION_OF[type(request)]
