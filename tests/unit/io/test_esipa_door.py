"""What a device hears when the eIM itself cannot: come later, never an error of the server's."""

from __future__ import annotations

import asyncio

import pytest

from keim.errors import KeimError, Malformed, StoreFailed, WorldError
from keim.io.esipa_door import EsipaDoor, NotAnswered, Why
from keim.io.rate_limit import RateLimit


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (StoreFailed("the disk is full"), Why.CANNOT_KEEP),
        (WorldError("the token is gone", code="crypto.hsm_unavailable"), Why.CANNOT_KEEP),
        (Malformed("no message", offset=0), Why.NO_MESSAGE),
    ],
)
def test_trouble_behind_the_door_has_its_reason(error: KeimError, why: Why) -> None:
    async def answer(message: bytes, connection: str) -> bytes | None:
        raise error

    async def ask() -> None:
        await EsipaDoor(answer).ask(b"\xbf\x4f\x00", "c", 0.0)

    with pytest.raises(NotAnswered) as silent:
        asyncio.run(ask())
    assert silent.value.why is why
    assert silent.value.is_for_later is (why is Why.CANNOT_KEEP)


def test_a_flood_is_bounded_whatever_addresses_of_its_network_it_comes_from() -> None:
    async def answer(message: bytes, connection: str) -> bytes | None:
        return b""

    door = EsipaDoor(answer, by_address=RateLimit(0.001, 3))
    for number in range(3):
        door.admit(f"2001:db8:1:2:{number:x}::9", 0.0)
    with pytest.raises(NotAnswered) as refused:
        door.admit("2001:db8:1:2:ffff::1", 0.0)
    assert refused.value.why is Why.TOO_OFTEN
    assert door.by_address.refused == 1
    for other in ("2001:db8:1:3::9", "192.0.2.1", "::ffff:192.0.2.2", "::ffff:192.0.2.3", "mqtt 8904", "a:b"):
        door.admit(other, 0.0)
    for _ in range(2):
        door.admit("192.0.2.2", 0.0)
    with pytest.raises(NotAnswered):
        door.admit("::ffff:192.0.2.2", 0.0)
