"""Decisions that ask for signatures: alone and in lots they come to the same, and each for itself."""

from __future__ import annotations

from functools import partial

import pytest

from keim.crypto.suites import ECDSA_P256
from keim.deciding import Deciding, alone, ask, together
from keim.eim.signatures import is_genuine
from keim.errors import Refused, Unreachable

KEY = ECDSA_P256.new_signer()


class _Gone:
    """The key of a token that was pulled out."""

    algorithm, public_point = KEY.algorithm, KEY.public_point

    def sign(self, message: bytes) -> bytes:
        raise Unreachable("the token is gone", code="exchange.unreachable")


def good(message: bytes) -> Deciding[tuple[bool, bool]]:
    signature = yield from ask(partial(KEY.sign, message))
    is_good = yield from ask(partial(is_genuine, "nist", KEY.public_point, signature, message))
    is_good_for_another = yield from ask(
        partial(is_genuine, "nist", KEY.public_point, signature, message + b"!")
    )
    return is_good, is_good_for_another


def of_a_lost_key() -> Deciding[tuple[bool, bool]]:
    yield from ask(partial(_Gone().sign, b"message"))
    return True, True


def at_once(outcome: bool) -> Deciding[tuple[bool, bool]]:
    if not outcome:
        raise Refused("no", code="eim.bad_order")
    return outcome, outcome
    yield  # a decision like the others that wishes nothing


def test_a_signature_that_was_asked_for_is_the_keys_and_of_this_message_only() -> None:
    assert alone(good(b"message")) == (True, False)


def test_of_a_lot_each_gets_its_own_answers_in_its_place() -> None:
    lot = [at_once(True), good(b"one"), of_a_lost_key(), good(b"two"), at_once(False), good(b"three")]
    first, one, lost, two, refused, three = together(lot)
    assert first == (True, True)
    assert one == two == three == (True, False)
    assert isinstance(lost, Unreachable)
    assert isinstance(refused, Refused)
    assert together([]) == []


def test_what_happens_to_a_decision_alone_comes_through() -> None:
    with pytest.raises(Unreachable):
        alone(of_a_lost_key())
    with pytest.raises(Refused):
        alone(at_once(False))
