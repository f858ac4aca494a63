"""Fault controls: the one place where a test, or a person, makes the card fail.

A card has no `Faults` by default. APDUs are counted from the moment the faults were given to the card, from
0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from keim.errors import WorldError


class PowerLost(WorldError):
    """The card lost its power in the middle of a command, and answers nothing until it is reset."""

    code = "euicc.power_lost"


@dataclass(slots=True)
class Faults:
    """What shall go wrong, and a record of how far the card came."""

    cut_at_apdu: int | None = None
    """Power is cut at this APDU: before it is looked at, or at `cut_at_write` within it."""
    cut_at_write: int | None = None
    """Power is cut before this write point of the APDU (0 = before the first one)."""
    is_busy: bool = False
    """Functions that can answer catBusy(5) do so."""
    is_out_of_memory: bool = False
    """No free non-volatile memory is left, whatever the quota says."""
    fail_at_apdu: int | None = None
    """This APDU is answered 6F00 and has no effect."""
    slow_ms: int = 0
    """Virtual time that each APDU takes; nothing sleeps."""
    slow_ms_by_ins: dict[int, int] = field(default_factory=dict)
    """Virtual time for one instruction, instead of `slow_ms`."""

    apdu: int = -1
    write: int = -1
    write_points: list[str] = field(default_factory=list)
    """Names of the write points passed during the current APDU, or during the current reset."""
    elapsed_ms: int = 0
    """Virtual time so far."""

    def begin_apdu(self, ins: int) -> bool:
        """Counts the APDU; True when it shall be answered 6F00."""
        self.apdu += 1
        self.begin_writes()
        self.elapsed_ms += self.slow_ms_by_ins.get(ins, self.slow_ms)
        if self.apdu == self.cut_at_apdu and self.cut_at_write is None:
            self.cut_at_apdu = None
            raise PowerLost(f"Power was cut before APDU {self.apdu}.")
        return self.apdu == self.fail_at_apdu

    def begin_writes(self) -> None:
        self.write = -1
        self.write_points = []

    def before_write(self, name: str) -> None:
        """Called before everything that goes to the medium, and once after the last of a transaction."""
        self.write += 1
        self.write_points.append(name)
        is_here = self.cut_at_apdu is None or self.apdu == self.cut_at_apdu
        if is_here and self.write == self.cut_at_write:
            self.cut_at_apdu = self.cut_at_write = None
            raise PowerLost(f"Power was cut at write {self.write} ({name}) of APDU {self.apdu}.")
