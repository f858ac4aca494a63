"""The zero-touch story: from a device that wakes on its bootstrap profile to a profile that is proved.

Each chapter is told device by device, with what it cost on the air and how long it took. A chapter that was
told in an earlier life of the world is not told again; a failure that the world was asked for is the
business of a `Mishap`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Final

import msgspec

from keim.errors import KeimError
from keim.ipa.events import DownloadEnded, PackageExecuted
from keim.sim.device import SimulatedDevice
from keim.sim.mishaps import Mishap
from keim.sim.operator import ENDED, SUCCEEDED, Operator, Outcome, reference_of
from keim.sim.profiles_office import ProfilesOffice

TOGETHER: Final = 8
"""Devices that work at the same time."""
CYCLES: Final = 3
"""How often a device is let go on before a chapter is said to have failed: results may need a second call."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One device in one chapter."""

    chapter: str
    device: str
    kind: str
    text: str
    is_good: bool
    is_predicted: bool
    """False for a failure that nobody had asked for."""
    octets_up: int = 0
    octets_down: int = 0
    ms: float = 0.0


Tell = Callable[[Line], None]
Chapter = Callable[[SimulatedDevice], str]


class Unfinished(KeimError):
    """A chapter did not end as it should; the words say how it ended."""

    code = "sim.chapter_failed"


class Story:
    def __init__(
        self,
        devices: Sequence[SimulatedDevice],
        operator: Operator,
        office: ProfilesOffice,
        *,
        tell: Tell,
        mishap: Mishap | None = None,
        goes_on: bool = False,
    ) -> None:
        """`goes_on`: the world had an earlier life, and something may wait for its devices."""
        self._goes_on = goes_on
        self._devices, self._operator, self._office, self._tell = devices, operator, office, tell
        self._mishap = mishap or Mishap()
        self._struck: set[str] = set()
        """Who has had the mishap already."""
        self.lost: set[str] = set()
        """Devices for which the story has ended."""

    def run(self) -> bool:
        """True when every device came as far as it was predicted to come."""
        chapters: tuple[tuple[str, Chapter], ...] = (
            ("wake", self.wake),
            ("enrol", self.enrol),
            ("fallback", self.set_fallback),
            ("download", self.download),
            ("enable", self.enable),
            ("report", self.report),
        )
        if self._goes_on:
            chapters += (("call", self.call),)
        is_as_predicted = True
        with ThreadPoolExecutor(TOGETHER, "keim-device") as threads:
            for name, chapter in chapters:
                for line in self._tell_chapter(name, chapter, threads):
                    self._tell(line)
                    is_as_predicted = is_as_predicted and line.is_predicted
        return is_as_predicted

    def _tell_chapter(self, name: str, chapter: Chapter, threads: ThreadPoolExecutor) -> Iterator[Line]:
        """The one that is struck comes first and alone; then all others, as they are numbered."""
        here = [device for device in self._devices if device.planned.name not in self.lost]
        struck = [device for device in here if self._mishap.strikes(name, device)]
        for device in struck:
            line = self._play(device, name, chapter)
            yield line
            if not line.is_good and self._mishap.is_repaired:
                self.lost.discard(device.planned.name)
                self._struck.add(device.planned.name)
                yield self._play(device, name, chapter)

        def play(device: SimulatedDevice) -> Line:
            return self._play(device, name, chapter)

        yield from threads.map(play, [device for device in here if device not in struck])

    def is_to_come(self, device: SimulatedDevice, chapter: str) -> bool:
        """Whether this device has not had that chapter yet."""
        outcome = self._operator.outcome(str(device.planned.eid), self._reference(device, chapter))
        return outcome is None or outcome.state != SUCCEEDED

    def _play(self, device: SimulatedDevice, name: str, chapter: Chapter) -> Line:
        up, down, began = device.bearer.octets_up, device.bearer.octets_down, time.monotonic()
        is_good = True
        is_struck = self._is_struck(name, device)
        try:
            text = chapter(device)
        except KeimError as failure:
            is_good, text = False, str(failure)
            self.lost.add(device.planned.name)
        finally:
            if is_struck:
                self._mishap.end(device)
        return Line(
            chapter=name,
            device=device.planned.name,
            kind=device.planned.kind.value,
            text=text,
            is_good=is_good,
            is_predicted=is_good or (is_struck and self._mishap.ends_chapter),
            octets_up=device.bearer.octets_up - up,
            octets_down=device.bearer.octets_down - down,
            ms=(time.monotonic() - began) * 1000,
        )

    # the chapters

    def wake(self, device: SimulatedDevice) -> str:
        device.wake()
        if not device.modem.is_authenticated:
            raise Unfinished(f"no network takes it (IMSI {device.modem.imsi or 'none'})")
        return f"attached to {device.modem.imsi[:5]} by AKA with profile {device.enabled}"

    def enrol(self, device: SimulatedDevice) -> str:
        eid = str(device.planned.eid)
        if self._operator.is_known(eid):
            return f"known to its eIM ({eid})"
        for _ in range(CYCLES):
            device.cycle()
            if self._operator.is_known(eid):
                return f"found its eIM in the card, enrolled by its range, certificates learned ({eid})"
        raise Unfinished("the eIM has not learned its certificates")

    def set_fallback(self, device: SimulatedDevice) -> str:
        iccid = device.planned.bootstrap.full_iccid
        command: dict[str, object] = {"command": "set_fallback_attribute", "iccid": iccid}
        outcome = self._carry_out(device, "fallback", [command])
        return f"bootstrap {iccid} is the fallback (counter {outcome.counter})"

    def download(self, device: SimulatedDevice) -> str:
        reference = self._reference(device, "download")
        eid = str(device.planned.eid)
        known = self._operator.outcome(eid, reference)
        if known is None:
            self._operator.download(eid, self._office.order(device.planned), reference)
        self._until_done(device, "download", reference)
        return f"profile {device.planned.home.full_iccid} installed ({device.planned.way.value})"

    def enable(self, device: SimulatedDevice) -> str:
        iccid = device.planned.home.full_iccid
        command: dict[str, object] = {"command": "enable", "iccid": iccid, "rollback": True}
        self._carry_out(device, "enable", [command])
        return f"enabled with rollback armed, attached to {device.modem.imsi[:5]}"

    def report(self, device: SimulatedDevice) -> str:
        """What the eIM knows of the enable, and by whose word."""
        outcome = self._operator.outcome(str(device.planned.eid), self._reference(device, "enable"))
        if outcome is None or outcome.state != SUCCEEDED or not outcome.is_verified:
            raise Unfinished(f"the eIM has no proof ({outcome})")
        return f"{outcome.told[0]}, signed by the eUICC as number {outcome.sequence_number}"

    def call(self, device: SimulatedDevice) -> str:
        """Whatever was ordered meanwhile is carried out now."""
        seen = len(device.events)
        device.cycle()
        done = [event for event in device.events[seen:] if isinstance(event, PackageExecuted | DownloadEnded)]
        has = f"has profile {device.enabled} enabled"
        return (
            f"called its eIM, carried out {len(done)}, {has}"
            if done
            else f"called its eIM, nothing waited, {has}"
        )

    # how an order is carried out

    def _carry_out(
        self, device: SimulatedDevice, chapter: str, commands: Sequence[dict[str, object]]
    ) -> Outcome:
        reference = self._reference(device, chapter)
        self._operator.order(str(device.planned.eid), commands, reference)
        return self._until_done(device, chapter, reference)

    def _until_done(self, device: SimulatedDevice, chapter: str, reference: str) -> Outcome:
        eid = str(device.planned.eid)
        outcome = self._operator.outcome(eid, reference)
        if self._is_struck(chapter, device):
            self._mishap.begin(device)
        for _ in range(CYCLES):
            if outcome is not None and outcome.state == SUCCEEDED:
                return outcome
            if outcome is not None and outcome.state in ENDED:
                break
            device.cycle()
            outcome = self._operator.outcome(eid, reference)
        if outcome is not None and outcome.state == SUCCEEDED:
            return outcome
        told = "; ".join(outcome.told) if outcome is not None else ""
        raise Unfinished(f"{outcome.state if outcome else 'never delivered'}: {told or 'no result'}")

    def _is_struck(self, chapter: str, device: SimulatedDevice) -> bool:
        return self._mishap.strikes(chapter, device) and device.planned.name not in self._struck

    def _reference(self, device: SimulatedDevice, chapter: str) -> str:
        """Of the order that counts: one that has ended badly, today or in an earlier life, is placed anew."""
        for attempt in count(1):
            reference = reference_of(device.planned.name, chapter, attempt)
            outcome = self._operator.outcome(str(device.planned.eid), reference)
            if outcome is None or outcome.state not in ENDED:
                break
        return reference
