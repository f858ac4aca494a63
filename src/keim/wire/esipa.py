"""ESipa as both function bindings see it: tags, function names, headers. Pure; floor 0 only.

The roles speak DER (the ASN.1 function binding); `esipa_http` puts it into one HTTP request as it is,
`esipa_json` turns it into members and back. Both ends of both are here, for IPA and eIM.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

PATH_ASN1: Final = "/gsma/rsp2/asn1"
PATH_JSON: Final = "/gsma/rsp2/esipa/"
OTHER_PATH: Final = "/esipa"
"""Of openiotrsp, in the ASN.1 binding."""
OTHER_MEDIA_TYPE: Final = "application/vnd.gsma.esipa.ber-tlv"
PROTOCOL: Final = "gsma/rsp/v2.1.0"
USER_AGENT_IPAD: Final = "gsma-rsp-ipad"
USER_AGENT_IPAE: Final = "gsma-rsp-ipae"
USER_AGENT_EIM: Final = "gsma-rsp-eim"

IPAD_HEADERS: Final[Mapping[str, str]] = {"user-agent": USER_AGENT_IPAD, "x-admin-protocol": PROTOCOL}


class EsipaFunction(StrEnum):
    """As the paths of the JSON binding spell them."""

    INITIATE_AUTHENTICATION = "initiateAuthentication"
    AUTHENTICATE_CLIENT = "authenticateClient"
    GET_BOUND_PROFILE_PACKAGE = "getBoundProfilePackage"
    CANCEL_SESSION = "cancelSession"
    HANDLE_NOTIFICATION = "handleNotification"
    GET_EIM_PACKAGE = "getEimPackage"
    PROVIDE_EIM_PACKAGE_RESULT = "provideEimPackageResult"
    TRANSFER_EIM_PACKAGE = "transferEimPackage"


TAG_OF: Final[dict[EsipaFunction, int]] = {
    EsipaFunction.INITIATE_AUTHENTICATION: 0xBF39,
    EsipaFunction.AUTHENTICATE_CLIENT: 0xBF3B,
    EsipaFunction.GET_BOUND_PROFILE_PACKAGE: 0xBF3A,
    EsipaFunction.CANCEL_SESSION: 0xBF41,
    EsipaFunction.HANDLE_NOTIFICATION: 0xBF3D,
    EsipaFunction.GET_EIM_PACKAGE: 0xBF4F,
    EsipaFunction.PROVIDE_EIM_PACKAGE_RESULT: 0xBF50,
    EsipaFunction.TRANSFER_EIM_PACKAGE: 0xBF4E,
}
FUNCTION_OF: Final[dict[int, EsipaFunction]] = {tag: function for function, tag in TAG_OF.items()}


def eid_of(message: bytes) -> bytes | None:
    """The EID that a message begins with, where it has one; cheap, since it is asked before all else."""
    start = (
        3 if len(message) > 3 and message[2] < 0x80 else 3 + (message[2] & 0x7F if len(message) > 3 else 0)
    )
    return message[start + 2 : start + 18] if message[start : start + 2] == b"\x5a\x10" else None
