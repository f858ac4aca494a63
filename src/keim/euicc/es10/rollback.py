"""ProfileRollback (BF58, SGP.32 clause 5.9.16): back from an enable whose result could not be delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.der import read_tlv, tlv, walk
from keim.euicc.isdr.fields import coded, read
from keim.euicc.isdr.switch import is_blocked, marked, marks_to, perform
from keim.euicc.isdr_state import RollbackGrant, StoredResult
from keim.euicc.packages.answers import signed_result
from keim.messages.es10b import CmdResult, ProfileRollbackRequest
from keim.messages.package import RollbackProfileResult

if TYPE_CHECKING:
    from keim.euicc.context import CardContext
    from keim.euicc.isdr_state import IsdrState

RESULT = 0x02


def profile_rollback(context: CardContext, request: bytes) -> bytes:
    refresh = read(ProfileRollbackRequest, request).refresh_flag
    state = context.state
    grant, stored = state.isdr.rollback, _granting_result(state.isdr)
    if grant is None or stored is None:
        return coded(0xBF58, CmdResult.ROLLBACK_NOT_ALLOWED, inner=RESULT)
    if is_blocked(context):
        return coded(0xBF58, CmdResult.CAT_BUSY, inner=RESULT)
    target = state.profile(grant.previous)
    if target is None or target.is_enabled:
        return coded(0xBF58, CmdResult.COMMAND_ERROR, inner=RESULT)
    number = state.isdr.next_sequence_number
    entries = _entries(stored.data) + tlv(0x8C, bytes((RollbackProfileResult.OK,)))
    data = signed_result(context, grant.author, number, entries)
    marks = marks_to(state, target, replace(state.isdr.links, test_return=b""))
    state = replace(state, isdr=_replaced(state.isdr, grant, number, data))
    perform(context, "rollback", marked(state, marks), refresh=refresh)
    return tlv(0xBF58, tlv(RESULT, b"\x00"), data)


def _granting_result(isdr: IsdrState) -> StoredResult | None:
    grant = isdr.rollback
    if grant is None:
        return None
    return next((r for r in isdr.results if r.sequence_number == grant.sequence_number), None)


def _replaced(isdr: IsdrState, grant: RollbackGrant, number: int, data: bytes) -> IsdrState:
    """The new result instead of the undelivered one, and without what the failed enable announced."""
    discarded = frozenset(grant.notifications)
    return replace(
        isdr,
        rollback=None,
        next_sequence_number=number + 1,
        results=(
            *(r for r in isdr.results if r.sequence_number != grant.sequence_number),
            StoredResult(number, data),
        ),
        notifications=tuple(n for n in isdr.notifications if n.sequence_number not in discarded),
    )


def _entries(package_result: bytes) -> bytes:
    """The contents of euiccResult, the last element of the signed data: BF51{A0{30{... 30{entries}}}}."""
    position = read_tlv(package_result).content
    position = read_tlv(package_result, position).content
    data = read_tlv(package_result, position)
    *_, last = walk(package_result, data.content, data.end)
    return package_result[last.content : last.end]
