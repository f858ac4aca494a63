"""Lots: what goes together, when it goes, and that nothing is left behind."""

from __future__ import annotations

import asyncio

import pytest

from keim.io import lots
from keim.io.lots import AT_ONCE, MOST, Lots


class _Desk:
    """Handles lots and remembers them; while it is closed, they stay under way."""

    def __init__(self, gather_s: float = 0.0) -> None:
        self.lots: Lots[int] = Lots(self._handle, gather_s=gather_s)
        self.handled: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def _handle(self, lot: list[int]) -> None:
        self.handled.append(lot)
        await self.open.wait()

    async def rest(self) -> None:
        """Until nothing waits and nothing is under way."""
        while len(self.lots) or self.lots.is_busy:
            await asyncio.sleep(0)


@pytest.mark.parametrize("gather_s", [0.0, 0.001, 10.0])
def test_what_comes_in_one_moment_is_one_lot(gather_s: float) -> None:
    async def script() -> list[list[int]]:
        desk = _Desk(gather_s)
        for number in range(5):
            desk.lots.put(number)
        assert desk.handled == [], "nothing goes before the moment is over"
        await desk.rest()
        return desk.handled

    assert asyncio.run(script()) == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize("gather_s", [0.0, 0.01])
def test_more_than_a_lot_holds_goes_in_several_and_in_order(gather_s: float) -> None:
    async def script() -> list[list[int]]:
        desk = _Desk(gather_s)
        for number in range(2 * MOST + 3):
            desk.lots.put(number)
        await desk.rest()
        return desk.handled

    handled = asyncio.run(script())
    assert [number for lot in handled for number in lot] == list(range(2 * MOST + 3))
    assert max(map(len, handled)) == MOST
    assert len(handled) == 3


def test_what_comes_while_enough_lots_are_under_way_becomes_one_lot_after_them() -> None:
    async def script() -> list[list[int]]:
        desk = _Desk()
        desk.open.clear()
        for number in range(AT_ONCE + 3):
            desk.lots.put(number)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert len(desk.lots) == 3
        desk.open.set()
        await desk.rest()
        return desk.handled

    assert asyncio.run(script()) == [*([number] for number in range(AT_ONCE)), [2, 3, 4]]


def test_a_lot_that_comes_after_a_quiet_time_is_handled_as_the_first_was() -> None:
    async def script() -> list[list[int]]:
        desk = _Desk(0.001)
        for number in range(3):
            desk.lots.put(number)
            await desk.rest()
        return desk.handled

    assert asyncio.run(script()) == [[0], [1], [2]]


def test_a_lot_waits_for_as_many_as_the_last_one_had_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lots, "MOMENT_S", 0.0)  # a moment is a turn of the loop

    async def script() -> list[list[int]]:
        desk = _Desk(0.05)
        for number in range(4):
            desk.lots.put(number)
        await desk.rest()
        desk.lots.put(4)
        for _ in range(20):  # company that takes its time
            await asyncio.sleep(0)
        for number in (5, 6, 7):
            desk.lots.put(number)
        await desk.rest()
        desk.lots.put(8)  # the others have gone
        await desk.rest()
        return desk.handled

    assert asyncio.run(script()) == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
