"""The timetable of calls and the rotations of keys, on every engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.card_lab import NOW
from tests.shared import needs_system

from keim.eim.key_rotation import Rotation, RotationState
from keim.io.eim_store import EimStore
from keim.io.injection_store import Timetable, Visit
from keim.io.rotation_store import RotationStore
from keim.io.store.engine import Conflict, milliseconds
from keim.io.store.open import open_engine

KINDS = ["file", pytest.param("postgres", marks=needs_system("postgresql"))]
Run = Callable[[Coroutine[Any, Any, Any]], Any]
EID, OTHER = "89880000000000000000000000000160", "89880000000000000000000000000257"


@pytest.fixture(params=KINDS)
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Run, EimStore]]:
    where = str(tmp_path / "eim.db")
    if request.param == "postgres":
        where = request.getfixturevalue("cluster").new_database()
    with asyncio.Runner() as runner:
        store = EimStore(runner.run(open_engine(where)))
        runner.run(store.prepare())
        yield runner.run, store
        runner.run(store.engine.close())


def test_a_device_is_due_when_its_time_has_come_and_one_process_gets_it(desk: tuple[Run, EimStore]) -> None:
    run, store = desk
    first, second = Timetable(store.engine), Timetable(store.engine)
    for timetable in (first, second):
        run(timetable.prepare())
    run(first.enter(EID, NOW))
    run(first.enter(OTHER, NOW + timedelta(hours=1)))
    (visit,) = run(first.due(NOW, 10))
    assert visit == Visit(EID, milliseconds(NOW), 0)
    run(first.claim(visit, NOW + timedelta(minutes=10)))
    with pytest.raises(Conflict):
        run(second.claim(visit, NOW + timedelta(minutes=10)))
    assert run(second.due(NOW, 10)) == []
    assert [one.eid for one in run(second.due(NOW + timedelta(minutes=11), 10))] == [EID]


def test_what_failed_waits_and_is_counted_until_it_works(desk: tuple[Run, EimStore]) -> None:
    run, store = desk
    timetable = Timetable(store.engine)
    run(timetable.prepare())
    run(timetable.enter(EID, NOW))
    run(timetable.settle(EID, NOW + timedelta(minutes=1), failures=1, trouble="exchange.unreachable: no"))
    assert run(timetable.trouble()) == 1
    assert run(timetable.last_trouble(EID)) == "exchange.unreachable: no"
    assert run(timetable.due(NOW, 10)) == []
    run(timetable.settle(EID, NOW + timedelta(minutes=2)))
    assert run(timetable.trouble()) == 0
    run(timetable.strike(EID))
    assert run(timetable.due(NOW + timedelta(days=1), 10)) == []
    assert run(timetable.last_trouble(EID)) == ""


def test_of_two_who_begin_a_rotation_one_does_and_each_step_is_taken_once(desk: tuple[Run, EimStore]) -> None:
    run, store = desk
    rotations = RotationStore(store.engine)
    run(rotations.prepare())
    assert run(rotations.last()) is None
    begun = Rotation(number=1, state=RotationState.BEGUN, old="a", begun_at=NOW)
    run(rotations.begin(begun))
    with pytest.raises(Conflict):
        run(rotations.begin(msgspec.structs.replace(begun, actor="bert")))
    assert run(rotations.last()) == begun
    ordering = msgspec.structs.replace(begun, state=RotationState.ORDERING, new="b")
    run(rotations.move(begun, ordering))
    with pytest.raises(Conflict):
        run(rotations.move(begun, ordering))
    assert run(rotations.last()) == ordering
    run(rotations.begin(msgspec.structs.replace(begun, number=2)))
    assert run(rotations.last()).number == 2
    assert run(rotations.tenants()) == []
    assert run(rotations.active_devices(-1, 10)) == []
    run(rotations.forget_selection("nothing"))
