"""Which devices are meant: the words of a list, of an order for many and of a saved filter. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

import msgspec

from keim.eim.orders import checked_tags
from keim.eim.rows import DeviceState
from keim.errors import Refused
from keim.ids import Iccid

MOST_TAGS: Final = 10
_PREFIX: Final = re.compile(r"[0-9]{1,32}", re.ASCII)


class DeviceFilter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that is said must hold."""

    tags: tuple[str, ...] = ()
    state: DeviceState | None = None
    eid_prefix: str = ""
    iccid: str = ""
    """In human order: the profile is installed."""
    has_alarm: bool | None = None
    not_seen_since: datetime | None = None

    def checked(self) -> DeviceFilter:
        if len(set(self.tags)) > MOST_TAGS:
            raise Refused(f"a filter names at most {MOST_TAGS} tags", code="eim.bad_filter")
        if self.eid_prefix and not _PREFIX.fullmatch(self.eid_prefix):
            raise Refused(f"{self.eid_prefix[:40]!r} does not begin an EID", code="eim.bad_filter")
        iccid = str(Iccid(self.iccid)) if self.iccid else ""
        return msgspec.structs.replace(self, tags=checked_tags(self.tags), iccid=iccid)

    @property
    def is_everything(self) -> bool:
        return self == DeviceFilter()
