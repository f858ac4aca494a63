"""Bits of EF.UST and EF.IST that rest on what the card does not offer are cleared at installation."""

from __future__ import annotations

import pytest
from tests.shared import needs_shared
from tests.unit.euicc.cards import package

from keim.saip import ANY_CARD, Ef, Package, Platform, edit, instantiate
from keim.saip.platform import OWN_SERVICES

UST, IST = "ADF.USIM/EF.UST", "ADF.ISIM/EF.IST"
ALL_BITS = b"\xff" * 17


def services(made: Package, path: str, platform: Platform) -> set[int]:
    node = instantiate(made, platform).file(path)
    assert isinstance(node, Ef)
    return {n for n in range(1, 8 * node.size + 1) if node.content[(n - 1) // 8] >> (n - 1) % 8 & 1}


@pytest.mark.parametrize(
    ("added", "cleared"),
    [
        (frozenset[str](), {68, 69, 76}),
        ({"mbms"}, {68, 76}),
        ({"gba_usim"}, {69}),
        ({"gba_usim", "mbms"}, set[int]()),
    ],
)
def test_bits_of_services_that_are_not_offered_are_cleared(added: set[str], cleared: set[int]) -> None:
    made = edit.with_file(Package.decode(package("iot-2-auth")), UST, ALL_BITS)
    platform = Platform(services=OWN_SERVICES | added)
    assert services(made, UST, ANY_CARD) - services(made, UST, platform) == cleared


def test_suci_calculation_needs_get_identity() -> None:
    made = edit.with_file(Package.decode(package("iot-2-auth")), UST, ALL_BITS)
    assert 125 in services(made, UST, Platform())
    assert 125 not in services(made, UST, Platform(services=OWN_SERVICES - {"get_identity"}))


@needs_shared
def test_the_table_of_an_isim_is_cleared_too() -> None:
    original = Package.decode(package("TS48v5_SAIP2.3_BERTLV_SUCI.der"))
    size = len(instantiate(original, ANY_CARD).file(IST).content)
    made = edit.with_file(original, IST, ALL_BITS[:size])
    assert services(made, IST, ANY_CARD) - services(made, IST, Platform()) == {2, 4}
