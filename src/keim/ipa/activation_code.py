"""The activation code of a trigger: `1$smdp-address$matchingId[$oid[$1]]` (procedures §11.2, SGP.22 §4.1).

Imports keim.ids and keim.errors only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from keim.errors import Refused
from keim.ids import Oid

_ADDRESS: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?", re.ASCII)
_MATCHING_ID: Final = re.compile(r"[0-9A-Z-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class ActivationCode:
    address: str
    matching_id: str
    smdp_oid: Oid | None = None
    is_confirmation_code_required: bool = False

    @classmethod
    def parse(cls, text: str) -> ActivationCode:
        """Unknown trailing fields are ignored; `LPA:` in front is accepted."""
        fields = text.removeprefix("LPA:").split("$")
        if len(fields) < 3 or fields[0] != "1":
            raise _refused(text, "it begins with 1$, an address, $ and a matchingId")
        address, matching_id = fields[1], fields[2]
        if not _ADDRESS.fullmatch(address):
            raise _refused(text, "the second field is no address")
        if not _MATCHING_ID.fullmatch(matching_id):
            raise _refused(text, "a matchingId has capital letters, digits and dashes")
        oid = Oid(fields[3]) if len(fields) > 3 and fields[3] else None
        return cls(address, matching_id, oid, len(fields) > 4 and fields[4] == "1")


def _refused(text: str, rule: str) -> Refused:
    return Refused(f"{text[:60]!r} is no activation code: {rule}", code="ipa.bad_activation_code")
