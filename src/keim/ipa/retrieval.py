"""Retrieval of eIM packages: poll, handle, poll again until nothing is there (procedures §4.2).

The answer is read from the outside in, so that a package whose inside we do not know still reaches the card,
and one that we cannot handle gets its error. Imports its neighbours and keim.messages only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import msgspec

from keim.der import TOLERANT, Message, Tlv, read_tlv, walk
from keim.errors import KeimError, Malformed
from keim.ipa.context import Ipa
from keim.ipa.data_request import answer_data_request
from keim.ipa.effects import Procedure, ServingNetwork, ask
from keim.ipa.esipa import CALL_ERRORS, Retry, call_eim, outer_tag
from keim.ipa.events import Polled
from keim.ipa.package_execution import execute_package, refuse_package, transaction_id_of
from keim.ipa.trigger import run_trigger
from keim.ipa.trust import EimPeer
from keim.messages.download_trigger import ProfileDownloadTriggerRequest
from keim.messages.esipa import (
    EimPackageResultErrorCode,
    GetEimPackageError,
    GetEimPackageRequest,
    StateChangeCause,
)
from keim.messages.ipa_data import IpaEuiccDataRequest
from keim.messages.package import EimConfigurationData

M = TypeVar("M", bound=Message)
GET_EIM_PACKAGE = 0xBF4F
EUICC_PACKAGE, DATA_REQUEST, TRIGGER, ERROR, UNIVERSAL_INTEGER = 0xBF51, 0xBF52, 0xBF54, 0x81, 0x02
TRANSACTION_ID_TAGS = {DATA_REQUEST: 0x83, TRIGGER: 0x82}


@dataclass(frozen=True, slots=True)
class Retrieved:
    """How the polling of one eIM ended."""

    packages: int
    error: GetEimPackageError | None = None
    """The eIM's own word; 1 is the normal end."""
    failure: str = ""
    """Why no answer could be had."""

    @property
    def is_finished(self) -> bool:
        return self.error == GetEimPackageError.NO_EIM_PACKAGE_AVAILABLE


def retrieve_packages(ipa: Ipa, entry: EimConfigurationData) -> Procedure[Retrieved]:
    """All that one eIM has for us."""
    count = 0
    while count < ipa.configuration.polls_per_cycle:
        peer = ipa.peer(entry)
        try:
            octets = yield from _get_eim_package(ipa, entry, peer)
            inner = _inner(octets)
        except CALL_ERRORS as failure:
            yield from ipa.tell(Polled(entry.eim_id, f"failed: {failure}"))
            return Retrieved(count, failure=str(failure))
        yield from _clear_cause(ipa, entry.eim_id)  # step 4
        if inner.tag in (UNIVERSAL_INTEGER, ERROR):
            error = GetEimPackageError(int.from_bytes(octets[inner.content : inner.end], "big"))
            yield from ipa.tell(Polled(entry.eim_id, error.name.lower()))
            return Retrieved(count, error)
        ipa.is_undelivered = False
        yield from handle_package(ipa, entry, octets[inner.start : inner.end], inner.tag)  # 5
        count += 1
        if ipa.is_undelivered:
            # The eIM would offer the same package again and again; the result goes with the next cycle.
            return Retrieved(count, failure="a result could not be delivered")
        entry = ipa.entry(entry.eim_id) or entry
        if all(eim.eim_id != entry.eim_id for eim in ipa.eims):
            return Retrieved(count)  # it has removed itself: nothing more to ask it
    return Retrieved(count, failure="the eIM does not end")


def _get_eim_package(ipa: Ipa, entry: EimConfigurationData, peer: EimPeer) -> Procedure[bytes]:
    """Step 1: with the pending cause, and the PLMN whenever it is known."""
    cause = ipa.memory.note(entry.eim_id).pending_cause
    try:
        rplmn = yield from ask(ServingNetwork())
    except KeimError:
        rplmn = None
    request = GetEimPackageRequest(
        eid_value=ipa.eid,
        notify_state_change=cause is not None,
        state_change_cause=None if cause is None else StateChangeCause(cause),
        rplmn=rplmn,
    )
    return (yield from call_eim(ipa, peer, request.encode(), Retry.usual(ipa)))


def _inner(octets: bytes) -> Tlv:
    """The one alternative inside of BF4F; anything else is `Malformed`."""
    if outer_tag(octets) != GET_EIM_PACKAGE:
        raise Malformed("the answer is not that of GetEimPackage", offset=0, party="eIM")
    outer = read_tlv(octets)
    children = list(walk(octets, outer.content, outer.end))
    if len(children) != 1:
        raise Malformed("one package was expected", offset=outer.content, party="eIM")
    return children[0]


def _clear_cause(ipa: Ipa, eim_id: str) -> Procedure[None]:
    """Any valid answer, also an error: the eIM knows now."""
    note = ipa.memory.note(eim_id)
    if note.pending_cause is not None:
        yield from ipa.keep(ipa.memory.with_note(eim_id, msgspec.structs.replace(note, pending_cause=None)))


class UnreadablePackage(Exception):
    """The package itself is bad; not to be mixed up with a card that answers nonsense while it is handled."""


def _readable(kind: type[M], package: bytes) -> M:
    try:
        return kind.decode(package, TOLERANT)
    except Malformed:
        raise UnreadablePackage from None


def handle_package(ipa: Ipa, entry: EimConfigurationData, package: bytes, tag: int) -> Procedure[None]:
    """One package of any kind; what cannot be read or is not known gets its error (procedures §4.5)."""
    code = EimPackageResultErrorCode.UNKNOWN_PACKAGE
    try:
        match tag:
            case 0xBF51:
                yield from ipa.tell(Polled(entry.eim_id, "package"))
                yield from execute_package(ipa, entry, package)
                return
            case 0xBF52:
                request = _readable(IpaEuiccDataRequest, package)
                yield from ipa.tell(Polled(entry.eim_id, "data_request"))
                yield from answer_data_request(ipa, entry, request)
                return
            case 0xBF54:
                trigger = _readable(ProfileDownloadTriggerRequest, package)
                yield from ipa.tell(Polled(entry.eim_id, "trigger"))
                yield from run_trigger(ipa, entry, trigger)
                return
            case _:
                yield from ipa.tell(Polled(entry.eim_id, "unknown"))
    except UnreadablePackage:
        yield from ipa.tell(Polled(entry.eim_id, "malformed"))
        code = EimPackageResultErrorCode.INVALID_PACKAGE_FORMAT
    yield from refuse_package(ipa, entry, _transaction_id(package, tag), code)


def _transaction_id(package: bytes, tag: int) -> bytes | None:
    """eimTransactionId of a package that we cannot read as a whole, if it stands where it should."""
    if tag == EUICC_PACKAGE:
        return transaction_id_of(package)
    wanted = TRANSACTION_ID_TAGS.get(tag)
    try:
        outer = read_tlv(package)
        for child in walk(package, outer.content, outer.end):
            if child.tag == wanted and 1 <= child.end - child.content <= 16:
                return package[child.content : child.end]
    except Malformed:
        pass
    return None
