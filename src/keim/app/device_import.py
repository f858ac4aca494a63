"""Devices out of a file into the store: lot by lot, with what became of each row.

A lot is one transaction; what is bad is told and the rest is taken. Memory does not grow with the file, apart
from the numbers by which repetitions are found.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Final

import msgspec

from keim.app.eim_service import EimService
from keim.eim import orders
from keim.eim.device_file import BadRow, DeviceFileReader, DeviceRow, Format
from keim.eim.settings import COUNTER_MAXIMUM
from keim.errors import KeimError, Refused, StoreFailed
from keim.io.eim_store.enrolling import Enrolment
from keim.io.store.engine import Conflict

LOT: Final = 1000
_AT_ONCE: Final = 2
"""Lots that are written while the next one is read: the database and we work at the same time."""
_TURN: Final = 50
"""Rows between which others have their turn."""
TRIES: Final = 8
"""How often a lot is written anew because somebody else has just enrolled one of it."""
MOST_PROBLEMS: Final = 10_000
"""More are counted, but not told one by one."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    tenant: str
    actor: str = ""
    form: Format = Format.CSV
    is_rehearsal: bool = False
    skips_known: bool = False
    """A device that is there already is no problem: it stays as it is."""
    accepts_check_digits: bool = False
    tags: tuple[str, ...] = ()
    """For every device of the file."""
    counter_leap: int = 0
    """How far every counter goes ahead of what the file says."""
    ignores_signers: bool = False
    """Keys of another eIM are not looked at."""


class Report(msgspec.Struct):
    """Grows while the file is read."""

    rows: int = 0
    enrolled: int = 0
    """With a rehearsal: those that would be."""
    known: int = 0
    failed: int = 0
    problems: list[BadRow] = []


class DeviceImport:
    def __init__(self, service: EimService, terms: Terms) -> None:
        self._service = service
        self._terms = terms
        self._looks_first = terms.is_rehearsal
        """Whether a lot asks which devices are here: not before the first one was."""
        self._pending: deque[asyncio.Task[None]] = deque()
        self.report = Report(problems=[])

    async def run(self, pieces: AsyncIterator[bytes]) -> Report:
        """To the end of the file; one that cannot be read at all is `Refused`, and what came before stays."""
        orders.checked_tags(self._terms.tags)
        reader = DeviceFileReader(self._terms.form, accepts_check_digits=self._terms.accepts_check_digits)
        lot: list[DeviceRow] = []
        try:
            async for piece in pieces:
                lot = await self._take(reader.feed(piece), lot)
            lot = await self._take(reader.end(), lot)
            self._begin(lot)
            await self._settled()
        finally:
            # Whatever has ended the reading: what was begun is finished, and nobody writes after this.
            await asyncio.gather(*self._pending, return_exceptions=True)
        self.report.problems.sort(key=lambda problem: problem.line)
        return self.report

    async def _take(self, rows: Iterable[DeviceRow | BadRow], lot: list[DeviceRow]) -> list[DeviceRow]:
        for row in rows:
            self.report.rows += 1
            if self.report.rows % _TURN == 0:
                await asyncio.sleep(0)
            if isinstance(row, BadRow):
                self._fail(row)
                continue
            lot.append(row)
            if len(lot) >= LOT:
                await self._settled(_AT_ONCE - 1)
                self._begin(lot)
                lot = []
        return lot

    def _begin(self, lot: list[DeviceRow]) -> None:
        self._pending.append(asyncio.create_task(self._enrol(lot)))

    async def _settled(self, most: int = 0) -> None:
        """Until no more lots than these are on their way."""
        while len(self._pending) > most:
            await self._pending.popleft()

    async def _enrol(self, lot: list[DeviceRow]) -> None:
        known = await self._service.store.known([row.eid for row in lot]) if self._looks_first else set()
        fresh: list[tuple[DeviceRow, Enrolment]] = []
        now = self._service.clock.now()
        for number, row in enumerate(lot):
            if number % _TURN == 0:
                await asyncio.sleep(0)
            if row.eid in known:
                self._know(row)
            elif (made := self._made(row, now)) is not None:
                fresh.append((row, made))
        if fresh and not self._terms.is_rehearsal:
            fresh = await self._commit(fresh)
        self.report.enrolled += len(fresh)

    def _made(self, row: DeviceRow, now: datetime) -> Enrolment | None:
        service, terms = self._service, self._terms
        try:
            return Enrolment(
                *orders.enrol(
                    service.eim,
                    row.eid,
                    now=now,
                    token=row.token,
                    counter=min(row.counter + terms.counter_leap, COUNTER_MAXIMUM),
                    certificates=row.certificates,
                    signer=""
                    if terms.ignores_signers and row.signer not in service.eim.signers
                    else row.signer,
                    tenant=terms.tenant,
                    tags=(*row.tags, *terms.tags) if terms.tags else row.tags,
                    actor=terms.actor,
                )
            )
        except KeimError as fault:
            self._fail(BadRow(row.line, row.eid, fault.code, str(fault)))
            return None

    async def _commit(self, fresh: list[tuple[DeviceRow, Enrolment]]) -> list[tuple[DeviceRow, Enrolment]]:
        """All in one transaction, without those that are here already; which were written."""
        for _ in range(TRIES):
            try:
                await self._service.store.enrol_many([made for _, made in fresh])
            except Conflict:
                self._looks_first = True
                known = await self._service.store.known([row.eid for row, _ in fresh])
                for row, _ in fresh:
                    if row.eid in known:
                        self._know(row)
                fresh = [one for one in fresh if one[0].eid not in known]
                if not fresh:
                    return []
            else:
                return fresh
        raise StoreFailed("the same rows changed again and again", code="store.contended")

    def _know(self, row: DeviceRow) -> None:
        self.report.known += 1
        if not self._terms.skips_known:
            fault = Refused(f"{row.eid} is known already", code="eim.device_exists")
            self._fail(BadRow(row.line, row.eid, fault.code, str(fault)))

    def _fail(self, row: BadRow) -> None:
        self.report.failed += 1
        if len(self.report.problems) < MOST_PROBLEMS:
            self.report.problems.append(row)
