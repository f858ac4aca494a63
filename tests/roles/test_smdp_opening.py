"""A session that was only opened: nothing is stored of it, yet it is found, once, and by its own server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.scripted_euicc import NOW, ScriptedEuicc, smdp
from tests.smdp_laboratory import Laboratory

from keim.authentication import settle_terms
from keim.crypto.secrets import Secret
from keim.messages import execution_status as codes
from keim.messages.authentication import CancelSessionOk, CancelSessionReason
from keim.messages.es9p import AuthenticateClientOk
from keim.messages.execution_status import Failure
from keim.smdp.opening import SessionNumbers
from keim.smdp.rows import Session
from keim.smdp.sessions import UNKNOWN

LIFETIME = timedelta(minutes=10)
SETTINGS = smdp()
TERMS = settle_terms(SETTINGS.server, ScriptedEuicc().initiate())


@pytest.fixture
def lab() -> Iterator[Laboratory]:
    made = Laboratory()
    yield made
    made.close()


def opened(chance: bytes = b"abcde") -> Session:
    assert not isinstance(TERMS, Failure)
    return SETTINGS.session_numbers.new(TERMS, lifetime=LIFETIME, now=NOW, chance=chance)


def rows_of_sessions(lab: Laboratory) -> int:
    return int(lab.run(lab.store.engine.fetch("SELECT COUNT(*) FROM smdp_sessions"))[0][0])


@given(st.binary(min_size=5, max_size=5))
def test_a_number_tells_the_whole_session(chance: bytes) -> None:
    session = opened(chance)
    assert SETTINGS.session_numbers.read(session.transaction_id, lifetime=LIFETIME) == session
    assert session.expires_at == NOW + LIFETIME
    assert session.server_challenge not in session.transaction_id


def test_chance_alone_makes_another_number_and_another_challenge() -> None:
    one, other = opened(b"abcde"), opened(b"abcdf")
    assert one.transaction_id != other.transaction_id
    assert one.server_challenge != other.server_challenge


@given(st.integers(0, 15), st.integers(1, 255))
def test_a_number_that_was_changed_anywhere_is_nobodys(place: int, change: int) -> None:
    octets = bytearray(opened().transaction_id)
    octets[place] ^= change
    assert SETTINGS.session_numbers.read(bytes(octets), lifetime=LIFETIME) is None


@given(st.binary(max_size=20))
def test_made_up_numbers_are_nobodys(octets: bytes) -> None:
    assert SETTINGS.session_numbers.read(octets, lifetime=LIFETIME) is None


def test_a_server_with_another_key_does_not_know_the_number() -> None:
    numbers = SessionNumbers(SETTINGS.server, Secret(b"\1" * 32))
    assert numbers.read(opened().transaction_id, lifetime=LIFETIME) is None


def test_a_server_that_has_changed_its_name_does_not_know_the_number() -> None:
    renamed = msgspec.structs.replace(SETTINGS.server, addresses=("other.example.com",))
    numbers = SessionNumbers(renamed, Secret(bytes(32)))
    assert numbers.read(opened().transaction_id, lifetime=LIFETIME) is None


def test_who_only_opens_sessions_leaves_nothing_behind(lab: Laboratory) -> None:
    card = ScriptedEuicc()
    for _ in range(3):
        lab.open(card)
    assert rows_of_sessions(lab) == 0


def test_an_opened_session_ends_with_its_time(lab: Laboratory) -> None:
    _, matching_id = lab.order()
    card = ScriptedEuicc(matching_id=matching_id)
    lab.open(card)
    request = card.authenticate()
    lab.later(minutes=10)
    assert lab.ask(request) == UNKNOWN
    assert rows_of_sessions(lab) == 0


def test_a_number_serves_once_also_after_its_row_was_purged(lab: Laboratory) -> None:
    _, matching_id = lab.order()
    card = ScriptedEuicc(matching_id=matching_id)
    lab.open(card)
    request = card.authenticate()
    assert isinstance(lab.ask(request), AuthenticateClientOk)
    lab.later(minutes=11)
    lab.run(lab.service.purge())
    assert rows_of_sessions(lab) == 0
    assert lab.ask(request) == UNKNOWN


def test_an_opened_session_that_its_device_gave_up_is_not_authenticated_any_more(lab: Laboratory) -> None:
    _, matching_id = lab.order()
    card = ScriptedEuicc(matching_id=matching_id)
    lab.open(card)
    request = card.authenticate()
    assert lab.ask(card.authenticate_error()).code == codes.EUICC_SIGNATURE_INVALID
    assert lab.ask(request) == UNKNOWN


def test_two_first_steps_of_one_session_at_once_are_one(lab: Laboratory) -> None:
    """Both are decided before either is stored."""
    _, matching_id = lab.order()
    card = ScriptedEuicc(matching_id=matching_id)
    lab.open(card)
    request, other = card.authenticate(), card.authenticate()

    async def both() -> list[object]:
        return list(await asyncio.gather(lab.answer(request), lab.answer(other)))

    first, second = lab.run(both())
    assert isinstance(first, AuthenticateClientOk)
    assert second == UNKNOWN
    assert rows_of_sessions(lab) == 1


def test_an_opened_session_is_not_cancelled_by_what_nobody_can_verify(lab: Laboratory) -> None:
    _, matching_id = lab.order()
    card = ScriptedEuicc(matching_id=matching_id)
    lab.open(card)
    assert lab.ask(card.cancel(CancelSessionReason.END_USER_REJECTION)) == UNKNOWN
    assert not isinstance(lab.ask(card.authenticate()), CancelSessionOk | Failure)
