"""Results and notifications are numbered by the eUICC: an older word does not change a newer picture.

Networks deliver twice and late, so what comes last need not be the latest. A list is taken whenever it comes,
since a card may begin to count anew. Pure; imports floor 0 and keim.eim only.
"""

from __future__ import annotations

from typing import Final

from keim.eim.change import Change
from keim.eim.picture import (
    DefaultAddressSet,
    Effect,
    EimAdded,
    EimDeleted,
    EimsListed,
    FallbackSet,
    Picture,
    ProfileDeleted,
    ProfileDisabled,
    ProfileEnabled,
    ProfileInstalled,
    ProfilesListed,
    applied,
)
from keim.eim.rows import Chore

_LOOKS: Final[dict[type, Chore]] = {
    ProfileEnabled: Chore.LIST_PROFILES,
    ProfileDisabled: Chore.LIST_PROFILES,
    ProfileDeleted: Chore.LIST_PROFILES,
    ProfileInstalled: Chore.LIST_PROFILES,
    FallbackSet: Chore.LIST_PROFILES,
    ProfilesListed: Chore.LIST_PROFILES,
    EimAdded: Chore.LIST_EIMS,
    EimDeleted: Chore.LIST_EIMS,
    EimsListed: Chore.LIST_EIMS,
    DefaultAddressSet: Chore.LEARN,
}
"""What shows how it really is, where an older word says otherwise."""


def take(change: Change, number: int, effect: Effect, *, is_proved: bool) -> None:
    """`number`: the eUICC's own, of the result or notification that says so."""
    look = _LOOKS.get(type(effect))
    if look is None or (isinstance(effect, EimDeleted) and effect.is_ours):
        change.effect(effect, is_proved=is_proved)
        return
    is_older = number < change.knowledge.picture_number
    is_list = isinstance(effect, ProfilesListed | EimsListed)
    if is_list or not is_older:
        change.effect(effect, is_proved=is_proved)
        change.know(picture_number=number)
    if is_older and (is_list or _says_otherwise(change, effect)):
        if look is Chore.LIST_PROFILES:
            change.doubt()
        change.want(look)


def _says_otherwise(change: Change, effect: Effect) -> bool:
    picture = Picture(change.device, change.knowledge)
    return applied(picture, effect, change.now) != picture
