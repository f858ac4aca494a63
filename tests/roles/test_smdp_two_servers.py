"""Two SM-DP+ processes on one database: what one has in memory is never believed against the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.scripted_euicc import ScriptedEuicc, smdp
from tests.smdp_laboratory import Laboratory

from keim.ids import Iccid
from keim.messages import es2p
from keim.messages import execution_status as codes
from keim.messages.es9p import GetBoundProfilePackageOk
from keim.messages.execution_status import Failure
from keim.smdp.rows import ProfileState

Pair = tuple[Laboratory, Laboratory]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    settings = smdp()
    one, other = (Laboratory(settings, where=str(tmp_path / "smdp.db")) for _ in range(2))
    yield one, other
    other.close()
    one.close()


def test_a_session_may_go_from_one_server_to_the_other_at_every_step(pair: Pair) -> None:
    one, other = pair
    number, matching_id = one.order()
    card = ScriptedEuicc(matching_id=matching_id)
    card.accept_server(one.ask(card.initiate()))
    card.accept_offer(other.ask(card.authenticate()))
    card.open(one.ask(card.prepare()))
    assert other.ask(card.result(Iccid(number))) is None
    assert one.profile(number).state is ProfileState.INSTALLED
    assert one.profile(number).download_attempts == 1


def test_a_package_that_the_other_server_delivered_is_not_delivered_a_second_time(pair: Pair) -> None:
    one, other = pair
    number, matching_id = one.order()
    card = ScriptedEuicc(matching_id=matching_id)
    one.offer(card)  # remembers the session as authenticated
    request = card.prepare()
    first = other.ask(request)
    again = one.ask(request)
    assert isinstance(first, GetBoundProfilePackageOk)
    assert isinstance(again, GetBoundProfilePackageOk)
    for packages in (first, again):
        card.open(packages)
    assert one.profile(number).download_attempts == 1


def test_an_order_that_was_cancelled_elsewhere_is_not_delivered(pair: Pair) -> None:
    one, other = pair
    number, matching_id = one.order()
    card = ScriptedEuicc(matching_id=matching_id)
    one.offer(card)
    cancelled = other.call(
        es2p.CancelOrder(iccid=number, matching_id=matching_id, final_profile_status_indicator="Unavailable")
    )
    assert not isinstance(cancelled, Failure), cancelled
    reply = one.ask(card.prepare())
    assert isinstance(reply, Failure)
    assert reply.code == codes.PROFILE_NOT_RELEASED
    assert one.profile(number).state is ProfileState.UNAVAILABLE


def test_a_result_is_stored_once_whichever_server_takes_it(pair: Pair) -> None:
    one, other = pair
    number, matching_id = one.order()
    card = ScriptedEuicc(matching_id=matching_id)
    one.deliver(card)
    result = card.result(Iccid(number))
    assert other.ask(result) is None
    assert one.ask(result) is None
    moves = [event for event in one.events(number) if type(event).__name__ == "NotificationReceived"]
    assert len(moves) == 1
    assert one.profile(number).state is ProfileState.INSTALLED


def test_no_step_of_a_download_reads_through_a_whole_table(pair: Pair) -> None:
    one, _ = pair
    asked: list[tuple[str, tuple[Any, ...]]] = []
    fetch = one.store.engine.fetch

    async def noting(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        asked.append((sql, parameters))
        return await fetch(sql, *parameters)

    one.store.engine.fetch = noting  # type: ignore[method-assign]  # listens, and does the same
    number, matching_id = one.order()
    one.call(es2p.DownloadOrder(profile_type="iot"))
    card = ScriptedEuicc(matching_id=matching_id)
    one.deliver(card)
    one.ask(card.result(Iccid(number)))
    one.ask(card.result(Iccid(number)))
    default = ScriptedEuicc()
    one.open(default)
    one.ask(default.authenticate())
    assert len(asked) > 8
    for sql, parameters in asked:
        plan = one.run(fetch(f"EXPLAIN QUERY PLAN {sql}", *parameters))
        scans = [str(step[3]) for step in plan if str(step[3]).startswith("SCAN")]
        assert not [scan for scan in scans if "VIRTUAL TABLE" not in scan], (sql, plan)  # that of the keys
