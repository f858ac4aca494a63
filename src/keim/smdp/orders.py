"""What the four ES2+ functions share: who calls, who owns, and the wording of repeated calls.

Pure; imports floor 0 only.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

import msgspec

from keim.errors import Refused
from keim.ids import Eid, Iccid
from keim.messages.es2p import CancelOrder, ConfirmOrder, DownloadOrder, Es2Request, ReleaseProfile
from keim.messages.execution_status import FORMAT_INVALID, ICCID_NOT_ALLOWED, Failure
from keim.smdp.rows import Profile

MATCHING_ID: Final = re.compile(r"[0-9A-Z-]{0,255}", re.ASCII)
HOST_NAME: Final = re.compile(
    r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
    re.ASCII | re.IGNORECASE,
)
_ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""32 letters and digits that are not mistaken for one another: matching ids are typed and read out."""
_LENGTH: Final = 20


class Es2Call(msgspec.Struct, frozen=True):
    """A function, who calls it (the operator that mutual TLS has proved), and under which identifier."""

    caller: str
    request: Es2Request
    identifier: str = ""

    @property
    def digest(self) -> bytes:
        name = type(self.request).__name__.encode()
        return hashlib.sha256(name + msgspec.json.encode(self.request)).digest()


def is_foreign(profile: Profile, caller: str) -> bool:
    """Whether the profile, or the order that it is in, belongs to another operator."""
    return profile.owner not in ("", caller) or profile.ordered_by not in (None, caller)


def foreign(iccid: str) -> Failure:
    return Failure(ICCID_NOT_ALLOWED, "the profile belongs to another operator", iccid)


def new_matching_id(random: bytes) -> str:
    """100 bits in groups of five; the octets are the caller's entropy (at least 20)."""
    letters = "".join(_ALPHABET[octet & 31] for octet in random[:_LENGTH])
    return "-".join(letters[start : start + 5] for start in range(0, _LENGTH, 5))


def normalised(request: Es2Request) -> Es2Request | Failure:
    """ICCIDs without their F padding, and every value in the form that it must have."""
    changes: dict[str, str] = {}
    try:
        if request.iccid is not None if isinstance(request, DownloadOrder) else True:
            text = str(request.iccid).upper().rstrip("F")
            changes["iccid"] = str(Iccid(text))
        if isinstance(request, DownloadOrder | ConfirmOrder | CancelOrder) and request.eid is not None:
            changes["eid"] = str(Eid(request.eid))
    except Refused as error:
        return Failure(FORMAT_INVALID, str(error))
    if isinstance(request, ConfirmOrder | CancelOrder):
        matching_id = request.matching_id
        if matching_id is not None and not MATCHING_ID.fullmatch(matching_id):
            return Failure(FORMAT_INVALID, "a matching id has upper-case letters, digits and hyphens")
    if isinstance(request, ReleaseProfile) or changes:
        return msgspec.structs.replace(request, **changes)
    return request
