"""What a device hears when the eIM itself cannot: come later, never an error of the server's."""

from __future__ import annotations

import asyncio

import pytest

from keim.errors import KeimError, Malformed, StoreFailed, WorldError
from keim.io.esipa_door import EsipaDoor, NotAnswered, Why


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
