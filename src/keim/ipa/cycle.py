"""The main loop: one cycle, and cycles for ever (procedures §20).

Imports its neighbours and keim.messages only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import msgspec

from keim.errors import KeimError
from keim.ipa.card import CARD_ERRORS, close_isdr, recover
from keim.ipa.context import Ipa
from keim.ipa.effects import Now, Procedure, Wait, ask
from keim.ipa.events import CardRecovered
from keim.ipa.fallback import watch_service
from keim.ipa.initialise import initialise
from keim.ipa.notifications import deliver_notifications
from keim.ipa.pending import deliver_pending
from keim.ipa.retrieval import Retrieved, retrieve_packages
from keim.messages.package import EimConfigurationData


@dataclass(frozen=True, slots=True)
class Cycle:
    """What one cycle came to."""

    eid: str
    retrieved: tuple[tuple[str, Retrieved], ...] = ()
    """(eimId, how its polling ended), for every eIM that was polled."""
    connected: bool = True

    @property
    def packages(self) -> int:
        return sum(end.packages for _, end in self.retrieved)

    @property
    def failures(self) -> tuple[str, ...]:
        return tuple(f"{eim_id}: {end.failure}" for eim_id, end in self.retrieved if end.failure)


def run_cycle(ipa: Ipa, *, is_wanted_now: bool = True) -> Procedure[Cycle]:
    """Start, deliver what is owed, poll every eIM by priority, close.

    `is_wanted_now` is False for a cycle of the loop: eIMs in back-off are then left alone.
    """
    yield from initialise(ipa)
    connected = yield from watch_service(ipa)
    yield from _guarded(ipa, deliver_pending(ipa, connected=connected))
    retrieved: list[tuple[str, Retrieved]] = []
    if connected:
        for entry in ipa.eims:
            if not (yield from _is_due(ipa, entry, is_wanted_now=is_wanted_now)):
                continue
            end = yield from _poll(ipa, entry)
            retrieved.append((entry.eim_id, end))
            yield from _note_end(ipa, entry, end)
    if any(end.packages for _, end in retrieved) and ipa.configuration.is_list_swept_after_work:
        yield from _guarded(ipa, _sweep(ipa))
    if ipa.has_session:
        try:
            yield from close_isdr(ipa)
        except CARD_ERRORS as failure:
            yield from ipa.tell(CardRecovered(str(failure)))
    return Cycle(ipa.eid_text, tuple(retrieved), connected)


def _poll(ipa: Ipa, entry: EimConfigurationData) -> Procedure[Retrieved]:
    """A card that fails in the middle is powered up anew; the next cycle repairs the rest."""
    try:
        return (yield from retrieve_packages(ipa, entry))
    except CARD_ERRORS as failure:
        yield from recover(ipa, str(failure))
        return Retrieved(0, failure=str(failure))


def _sweep(ipa: Ipa) -> Procedure[None]:
    """What this cycle's switches and downloads left in the card's list."""
    yield from deliver_notifications(ipa)


def _guarded(ipa: Ipa, procedure: Procedure[None]) -> Procedure[None]:
    try:
        yield from procedure
    except CARD_ERRORS as failure:
        yield from recover(ipa, str(failure))


def _is_due(ipa: Ipa, entry: EimConfigurationData, *, is_wanted_now: bool) -> Procedure[bool]:
    """Whether this eIM can be polled at all, and is not in back-off."""
    if ipa.peer_or_none(entry) is None:
        return False
    not_before = ipa.memory.note(entry.eim_id).not_before
    if is_wanted_now or not_before is None:
        return True
    return (yield from ask(Now())) >= not_before


def _note_end(ipa: Ipa, entry: EimConfigurationData, end: Retrieved) -> Procedure[None]:
    """Back-off after failures, doubling; forgotten with the first success."""
    note = ipa.memory.note(entry.eim_id)
    if not end.failure:
        if note.failures:
            note = msgspec.structs.replace(note, failures=0, not_before=None)
            yield from ipa.keep(ipa.memory.with_note(entry.eim_id, note))
        return
    timers = ipa.configuration.timers
    pause_s = min(timers.redelivery_first_s * 2 ** min(note.failures, 20), timers.redelivery_most_s)
    now = yield from ask(Now())
    note = msgspec.structs.replace(
        note, failures=note.failures + 1, not_before=now + timedelta(seconds=pause_s)
    )
    yield from ipa.keep(ipa.memory.with_note(entry.eim_id, note))


def run_forever(ipa: Ipa) -> Procedure[None]:
    """Cycles, one after the other; the pause is short while there is work and long when there is none."""
    while True:
        try:
            cycle = yield from run_cycle(ipa, is_wanted_now=False)
        except KeimError as failure:
            yield from ipa.tell(CardRecovered(str(failure)))
            yield from ask(Wait(ipa.configuration.timers.poll_busy_s))
            continue
        yield from ask(Wait((yield from pause_after(ipa, cycle))))


def pause_after(ipa: Ipa, cycle: Cycle) -> Procedure[float]:
    """Seconds until the next cycle is due: work, back-off, redelivery, service, or the idle interval."""
    timers = ipa.configuration.timers
    if cycle.packages or not cycle.connected:
        return timers.poll_busy_s
    now = yield from ask(Now())
    moments = [note.not_before for note in ipa.memory.eims.values()]
    moments.append(ipa.memory.notifications_not_before)
    waits = [(moment - now).total_seconds() for moment in moments if moment is not None]
    if ipa.memory.undelivered or ipa.memory.delivered or ipa.memory.injected:
        waits.append(timers.redelivery_first_s)
    if ipa.memory.fallback_since is not None:
        waits.append(timers.return_first_s)
    return max(min([timers.poll_idle_s, *waits]), timers.poll_busy_s)
