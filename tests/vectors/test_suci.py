"""The concealment of TS 33.501 against its own test data (annex C.4), and as the network undoes it."""

from __future__ import annotations

import pytest

from keim.crypto.suci import NULL_SCHEME, PROFILE_A, PROFILE_B, conceal, is_ephemeral_scalar
from keim.errors import Refused

octets = bytes.fromhex
MSIN = octets("00012080F6")


@pytest.mark.parametrize(
    ("scheme", "key", "scalar", "output"),
    [
        (
            PROFILE_A,
            "5a8d38864820197c3394b92613b20b91633cbd897119273bf8e4a6f4eec0a650",
            "c80949f13ebe61af4ebdbd293ea4f942696b9e815d7e8f0096bbf6ed7de62256",
            "b2e92f836055a255837debf850b528997ce0201cb82adfe4be1f587d07d8457dcb02352410cddd9e730ef3fa87",
        ),
        (
            PROFILE_B,
            "0272da71976234ce833a6907425867b82e074d44ef907dfb4b3e21c1c2256ebcd1",
            "99798858a1dc6a2c68637149a4b1dbfd1fdff5addd62a2142f06699ed7602529",
            "039aab8376597021e855679a9778ea0b67396e68c66df32c0f41e9acca2da9b9d146a33fc2716ac7dae96aa30a4d",
        ),
    ],
)
def test_the_output_is_the_one_of_the_standard(scheme: int, key: str, scalar: str, output: str) -> None:
    assert conceal(scheme, octets(key), octets(scalar), MSIN).hex() == output


def test_the_null_scheme_conceals_nothing() -> None:
    assert conceal(NULL_SCHEME, b"", bytes(32), MSIN) == MSIN


@pytest.mark.parametrize(("scheme", "key"), [(PROFILE_A, b"\x01" * 31), (PROFILE_B, b"\x02" + b"\xff" * 32)])
def test_a_key_that_is_no_point_is_refused(scheme: int, key: bytes) -> None:
    with pytest.raises(Refused):
        conceal(scheme, key, b"\x01" * 32, MSIN)


def test_a_scalar_out_of_range_is_no_ephemeral_key() -> None:
    assert not is_ephemeral_scalar(PROFILE_B, bytes(32))
    assert not is_ephemeral_scalar(PROFILE_B, b"\xff" * 32)
    assert is_ephemeral_scalar(PROFILE_A, b"\xff" * 32)
