"""The activation code of a download: `[LPA:]1$address$matchingId[$oid[$1]]` (SGP.22 §4.1, procedures §11.2).

Pure; imports floor 0 only.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from keim.errors import Refused
from keim.ids import Oid

_MATCHING_ID: Final = re.compile(r"[0-9A-Z-]*", re.ASCII)
_LIMIT: Final = 255


class ActivationCode(msgspec.Struct, frozen=True):
    address: str
    matching_id: str
    smdp_oid: Oid | None = None
    needs_confirmation_code: bool = False

    @classmethod
    def parse(cls, text: str) -> ActivationCode:
        """Unknown fields at the end are ignored."""
        code = text.removeprefix("LPA:")
        fields = code.split("$")
        if len(fields) < 3 or fields[0] != "1" or len(code.encode()) > _LIMIT:
            raise _refused(text, "it begins with 1$, an address, $ and a matchingId")
        if not fields[1]:
            raise _refused(text, "the address is empty")
        if not _MATCHING_ID.fullmatch(fields[2]):
            raise _refused(text, "a matchingId has capital letters, digits and dashes")
        oid = Oid(fields[3]) if len(fields) > 3 and fields[3] else None
        return cls(fields[1], fields[2], oid, len(fields) > 4 and fields[4] == "1")

    @property
    def text(self) -> str:
        """For a trigger that this eIM makes itself (an event of an SM-DS)."""
        return f"1${self.address}${self.matching_id}" + (f"${self.smdp_oid}" if self.smdp_oid else "")


def _refused(text: str, why: str) -> Refused:
    return Refused(f"{text[:60]!r} is no activation code: {why}", code="eim.bad_activation_code")
