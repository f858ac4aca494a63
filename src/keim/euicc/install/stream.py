"""LoadBoundProfilePackage as a stream of octets, however the IPA cuts it (euicc.md section 6).

The command chain is opened by `keim.crypto`; here its events become effects. Nothing of the profile is
visible, or outlasts a reset, before the one commit at its end (T5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.crypto.bpp_events import (
    BppEvent,
    BppRefused,
    BppSession,
    IsdpConfigured,
    MetadataStored,
    PackageFinished,
    ProfileElements,
    SecureChannelInitialised,
)
from keim.crypto.bpp_open import BppReceiver
from keim.crypto.secrets import Secret
from keim.euicc.install.commands import configure_isdp, judge_metadata, read_metadata
from keim.euicc.install.finish import end_session, finish
from keim.euicc.install.refusal import InstallationRefused
from keim.euicc.install.result import failure, with_result
from keim.euicc.isdr_state import InstallJournal, RspSession, Staged
from keim.messages.notification import BppCommandId, ErrorReason

if TYPE_CHECKING:
    from keim.euicc.context import CardContext

PACKAGE = b"\xbf\x36"
SEGMENTS = frozenset((0x86, 0x87, 0x88, 0xA0, 0xA1, 0xA2, 0xA3))


def session_of(context: CardContext) -> RspSession | None:
    return context.volatile.rsp


def is_loading(context: CardContext) -> bool:
    session = session_of(context)
    return session is not None and session.staged is not None


def opens_stream(context: CardContext, block: bytes) -> bool:
    """At PREPARED a chain that begins with BF36; after the result, what is still to come of that package."""
    session = session_of(context)
    if session is None:
        return False
    if session.is_swallowing:
        return block[:1] != b"" and block[0] in SEGMENTS
    return bool(session.dppb_point) and block.startswith(PACKAGE)


def feed(context: CardContext, block: bytes) -> bytes:
    """The installation result as soon as there is one, otherwise nothing."""
    session = session_of(context)
    if session is None or session.is_swallowing:
        return b""
    staged = session.staged or Staged(receiver=_receiver(context, session))
    _stage(context, staged)
    try:
        for event in staged.receiver.feed(block):
            result = _obey(context, event)
            if result:
                return result
    except InstallationRefused as refusal:
        return _fail(context, refusal)
    return b""


def _receiver(context: CardContext, session: RspSession) -> BppReceiver:
    key = context.state.isdr.one_time_key
    assert key is not None  # PrepareDownload, which set dppb_point, has stored it
    return BppReceiver(
        BppSession(
            suite=key.suite,
            transaction_id=session.transaction_id,
            eid=context.identity.eid.octets,
            one_time_scalar=Secret(key.scalar),
            dppb_point=session.dppb_point,
        )
    )


def _stage(context: CardContext, staged: Staged) -> None:
    session = session_of(context)
    assert session is not None  # feed looked
    context.volatile = replace(context.volatile, rsp=replace(session, staged=staged))


def _staged(context: CardContext) -> Staged:
    session = session_of(context)
    assert session is not None  # feed looked
    assert session.staged is not None  # and staged
    return session.staged


def _obey(context: CardContext, event: BppEvent) -> bytes:
    staged = _staged(context)
    match event:
        case BppRefused(command=command, reason=reason):
            raise InstallationRefused(command, reason)
        case SecureChannelInitialised():
            _note(context, BppCommandId.CONFIGURE_ISDP)
        case IsdpConfigured(request=request):
            _stage(context, replace(staged, dp_proprietary_data=configure_isdp(context, request)))
            _note(context, BppCommandId.STORE_METADATA)
        case MetadataStored(request=request):
            metadata = read_metadata(request)
            _stage(context, replace(staged, metadata=request, iccid=metadata.iccid))
            judge_metadata(context, metadata, len(request))
            _note(context, BppCommandId.LOAD_PROFILE_ELEMENTS)
        case ProfileElements(octets=octets):
            _stage(context, _with_elements(context, staged, octets))
        case PackageFinished():
            return finish(context, _staged(context), _journal(context, BppCommandId.LOAD_PROFILE_ELEMENTS))
        case _:  # new session keys: the receiver has obeyed
            pass
    return b""


def _with_elements(context: CardContext, staged: Staged, octets: bytes) -> Staged:
    """Elements are charged when they are installed; no package in sight of the quota is this long."""
    total = staged.octets + len(octets)
    if total > 2 * context.options.memory_octets:
        raise InstallationRefused(
            BppCommandId.LOAD_PROFILE_ELEMENTS,
            ErrorReason.INSTALL_FAILED_DUE_TO_INSUFFICIENT_MEMORY_FOR_PROFILE,
        )
    return replace(staged, elements=(*staged.elements, octets), octets=total)


def _journal(context: CardContext, command: BppCommandId) -> InstallJournal:
    session, staged = session_of(context), _staged(context)
    assert session is not None  # what is staged is part of it
    return InstallJournal(
        transaction_id=session.transaction_id,
        server_address=session.server_address,
        smdp_oid=session.server_oid,
        ci_pk_id=session.ci_pk_id,
        command=int(command),
        iccid=staged.iccid,
    )


def _note(context: CardContext, command: BppCommandId) -> None:
    """From BF23 on a power loss is reported to the SM-DP+ (section 14)."""
    isdr = replace(context.state.isdr, staging=_journal(context, command))
    context.commit("installation step", replace(context.state, isdr=isdr))


def _fail(context: CardContext, refusal: InstallationRefused) -> bytes:
    result = failure(refusal.command, refusal.reason, refusal.sima_response)
    journal = _journal(context, refusal.command)
    state, octets = with_result(context, context.state, journal, result)
    context.commit("installation failed", state)
    end_session(context)
    return octets


def abort(context: CardContext) -> None:
    """Another command came: what was staged is dropped without a result, and so is the session."""
    session = session_of(context)
    if session is None or session.staged is None:
        return
    context.volatile = replace(context.volatile, rsp=None)
    drop_staging(context)


def drop_staging(context: CardContext) -> None:
    if context.state.isdr.staging is not None:
        isdr = replace(context.state.isdr, staging=None)
        context.commit("installation aborted", replace(context.state, isdr=isdr))
