"""Requests of one moment share a lot; what goes wrong with one of them is not the others'."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
from tests.scripted_euicc import ScriptedEuicc
from tests.smdp_laboratory import Laboratory

from keim.errors import StoreFailed
from keim.messages.es9p import InitiateAuthenticationOkEs9, ProfileOffer


@pytest.fixture
def lab() -> Iterator[Laboratory]:
    made = Laboratory()
    yield made
    made.close()


def as_it_is(reply: Any) -> Any:
    return reply


def unreadable() -> NoReturn:
    raise ValueError("no request")


def unwritable(reply: Any) -> NoReturn:
    raise ValueError(f"no form for {type(reply).__name__}")


def outcomes(lab: Laboratory, *exchanges: tuple[Any, Any]) -> list[Any]:
    async def ask() -> list[Any]:
        asked = (lab.service.exchange(read, write) for read, write in exchanges)
        return await asyncio.gather(*asked, return_exceptions=True)

    return lab.run(ask())


def test_what_cannot_be_read_or_written_fails_alone(lab: Laboratory) -> None:
    request = ScriptedEuicc().initiate()
    one, unread, unwritten, other = outcomes(
        lab,
        (lambda: request, as_it_is),
        (unreadable, as_it_is),
        (lambda: request, unwritable),
        (lambda: request, as_it_is),
    )
    assert isinstance(one, InitiateAuthenticationOkEs9)
    assert isinstance(other, InitiateAuthenticationOkEs9)
    assert one.transaction_id != other.transaction_id
    assert str(unread) == "no request"
    assert str(unwritten) == "no form for InitiateAuthenticationOkEs9"


def test_a_store_that_fails_is_told_to_all_who_wait_for_it(lab: Laboratory) -> None:
    cards = [ScriptedEuicc(matching_id=lab.order()[1]) for _ in range(3)]
    for card in cards:
        lab.open(card)
    requests = [card.authenticate() for card in cards]
    exchanges = [(lambda request=request: request, as_it_is) for request in requests]

    async def gone(*_: Any) -> NoReturn:
        raise StoreFailed("the disk is gone", code="store.statement_failed")

    look_up = lab.store.engine.look_up
    lab.store.engine.look_up = gone  # type: ignore[method-assign]  # a database that cannot be asked
    assert [type(outcome) for outcome in outcomes(lab, *exchanges)] == [StoreFailed] * 3
    lab.store.engine.look_up = look_up  # type: ignore[method-assign]  # it is there again
    assert [type(outcome) for outcome in outcomes(lab, *exchanges)] == [ProfileOffer] * 3


def test_who_has_gone_is_not_waited_for(lab: Laboratory) -> None:
    _, matching_id = lab.order()
    card = ScriptedEuicc(matching_id=matching_id)
    lab.open(card)
    request = card.authenticate()

    async def leave_and_come_again() -> Any:
        waiting = asyncio.ensure_future(lab.service.exchange(lambda: request, as_it_is))
        await asyncio.sleep(0)
        waiting.cancel()
        return await lab.service.exchange(lambda: request, as_it_is)

    assert isinstance(lab.run(leave_and_come_again()), ProfileOffer)
