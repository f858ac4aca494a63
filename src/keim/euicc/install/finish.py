"""The end of a good installation: profile, result and install notifications in one transaction (T5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.euicc.channels import isd_p
from keim.euicc.install.elements import installed
from keim.euicc.install.response import euicc_response
from keim.euicc.install.result import with_result
from keim.euicc.isdr.pending import announce
from keim.euicc.isdr.profiles import read_metadata
from keim.euicc.isdr_state import InstallJournal, ProfileRecord, Staged
from keim.euicc.state import CardState, Profile
from keim.messages.common import NotificationEvent
from keim.messages.notification import FinalResult, SuccessResult
from keim.saip import Package

if TYPE_CHECKING:
    from keim.euicc.context import CardContext

FIRST_INSTANCE = 0x0010
LAST_INSTANCE = 0xFFFF


def finish(context: CardContext, staged: Staged, journal: InstallJournal) -> bytes:
    octets = b"".join(staged.elements)
    metadata = read_metadata(staged.metadata)
    package, made, charge = installed(context, octets, metadata, len(staged.metadata))
    session = context.volatile.rsp
    assert session is not None  # staged is part of it
    record = ProfileRecord(
        metadata=staged.metadata,
        smdp_oid=session.server_oid,
        dp_proprietary_data=staged.dp_proprietary_data,
    )
    state, profile = with_profile(context.state, octets, package, record, charge)
    result = FinalResult(
        success_result=SuccessResult(
            aid=profile.aid, sima_response=euicc_response(made.statuses, is_aborted=False)
        )
    )
    state, answer = with_result(context, state, journal, result)
    state = announce(context, state, profile, NotificationEvent.NOTIFICATION_INSTALL)
    context.commit("install", state)
    end_session(context, profile.aid)
    return answer


def with_profile(
    state: CardState, octets: bytes, package: Package, record: ProfileRecord, charge: int
) -> tuple[CardState, Profile]:
    """The state with one more profile, disabled, under the next free AID."""
    metadata = read_metadata(record.metadata)
    header = package.header
    aid, following = _free_aid(state)
    if header is not None:
        record = replace(record, connectivity_parameters=header.connectivity_parameters)
    profile = Profile(
        aid=aid, iccid=metadata.iccid, is_enabled=False, record=record, package=octets, charge=charge
    )
    isdr = replace(state.isdr, next_instance=following)
    return replace(state, profiles=(*state.profiles, profile), isdr=isdr), profile


def _free_aid(state: CardState) -> tuple[bytes, int]:
    """Numbers go up and come round; one that a profile holds or a pending result names is passed over."""
    taken = {profile.aid for profile in state.profiles}
    pending = b"".join(notification.data for notification in state.isdr.notifications)
    instance = state.isdr.next_instance
    while True:
        aid = isd_p(instance)
        instance = instance + 1 if instance < LAST_INSTANCE else FIRST_INSTANCE
        if aid not in taken and aid not in pending:
            return aid, instance


def end_session(context: CardContext, installed_aid: bytes = b"") -> None:
    """The result is out: the rest is swallowed, and only ImmediateEnable may refer to the session."""
    session = context.volatile.rsp
    assert session is not None  # there was a result
    session = replace(
        session,
        staged=None,
        transaction_id=b"",
        dppb_point=b"",
        is_swallowing=True,
        installed=installed_aid,
    )
    context.volatile = replace(context.volatile, rsp=session)
