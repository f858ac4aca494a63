"""GetProfilesInfo (BF2D)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keim.euicc.isdr.fields import read
from keim.euicc.isdr.profile_list import ES10_DEFAULT, IOT_FIELDS, profile_list
from keim.messages.profile import ProfileInfoListRequest

if TYPE_CHECKING:
    from keim.euicc.context import CardContext


def get_profiles_info(context: CardContext, request: bytes) -> bytes:
    default = ES10_DEFAULT - IOT_FIELDS if context.options.is_consumer else ES10_DEFAULT
    return profile_list(context.state, read(ProfileInfoListRequest, request), default)
