"""Peers that answer anything: every cycle of an IPA ends by itself, with a value or an error of ours."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from tests.roles.ipa_lab import IpaLab, iccid
from tests.roles.ipa_world import IpaWorld
from tests.roles.test_ipa_public_suite import ADDRESS, EID, ENTRY

from keim.der import tlv
from keim.errors import KeimError
from keim.ipa.configuration import Configuration
from keim.ipa.cycle import run_cycle

QUIET = Configuration(retries=0, polls_per_cycle=5)
TAGS = (0xBF20, 0xBF2B, 0xBF2D, 0xBF30, 0xBF37, 0xBF38, 0xBF3E, 0xBF4F, 0xBF50, 0xBF51, 0xBF54, 0xBF55)

OK = b"\x90\x00"
KNOWN = {
    b"\xbf\x3e": tlv(0xBF3E, tlv(0x5A, EID)),
    b"\xbf\x55": tlv(0xBF55, tlv(0xA0, ENTRY.encode())),
}


class GarbageCard:
    """Answers every APDU with octets drawn by lot, some of them looking right."""

    def __init__(self, seed: int) -> None:
        self.luck = random.Random(seed)

    def transmit(self, apdu: bytes) -> bytes:
        luck = self.luck
        word = luck.choice(
            (b"\x90\x00", b"\x90\x00", b"\x61\x10", b"\x6c\x05", b"\x91\x0b", luck.randbytes(2))
        )
        data = luck.randbytes(luck.randrange(12))
        if luck.random() < 0.5:
            data = tlv(luck.choice(TAGS), data)
        if luck.random() < 0.1:
            return luck.randbytes(luck.randrange(3))
        if apdu[1] == 0xE2 and luck.random() < 0.5:
            known = {
                b"\xbf\x3e": tlv(0xBF3E, tlv(0x5A, EID)),
                b"\xbf\x55": tlv(0xBF55, tlv(0xA0, ENTRY.encode())),
            }
            return known.get(apdu[5:7], data) + b"\x90\x00"
        return data + word

    def reset(self) -> bytes:
        return b"\x3b\x00"


@given(st.integers(0, 2**32))
def test_a_card_that_answers_anything_ends_in_an_error_of_ours(seed: int) -> None:
    eim_luck = random.Random(seed + 1)
    world = IpaWorld(
        GarbageCard(seed),
        {ADDRESS: lambda request: tlv(0xBF4F, tlv(eim_luck.choice(TAGS), eim_luck.randbytes(8)))},
        configuration=QUIET,
    )
    for _ in range(3):
        try:
            world.run(run_cycle)
        except KeimError:
            continue


@given(st.integers(0, 2**32), st.sampled_from([0.2, 0.5, 1.0]))
def test_an_eim_that_answers_anything_leaves_the_card_as_it_is(seed: int, share: float) -> None:
    luck = random.Random(seed)
    lab = IpaLab(configuration=QUIET)

    def garbage(request: bytes, answer: bytes | None) -> bytes | None:
        if luck.random() > share:
            return tlv(0xBF4F, tlv(0x02, b"\x01")) if request[:2] == b"\xbf\x4f" else answer
        kind = luck.randrange(4)
        if kind == 0:
            return luck.randbytes(luck.randrange(30))
        if kind == 1:
            return tlv(luck.choice(TAGS), tlv(luck.choice(TAGS), luck.randbytes(luck.randrange(20))))
        if kind == 2:
            return tlv(0xBF4F, tlv(luck.choice((0xBF51, 0xBF52, 0xBF54)), luck.randbytes(10)))
        return None

    lab.eim.mischief = garbage
    try:
        for _ in range(3):
            lab.cycle()
        assert lab.enabled() == iccid(1)
        assert lab.lab.card.last_error is None
    finally:
        lab.close()
