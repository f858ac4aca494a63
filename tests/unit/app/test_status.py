"""Work beside the answers: whatever happens to one round of it, the server goes on."""

from __future__ import annotations

import asyncio

import pytest

from keim.app.status import periodically
from keim.errors import StoreFailed
from keim.io.store.engine import Conflict


@pytest.mark.parametrize("trouble", [StoreFailed("the disk is full"), Conflict("a deadlock")])
def test_trouble_of_one_round_does_not_end_the_work(trouble: Exception) -> None:
    rounds = 0

    async def work() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            raise asyncio.CancelledError
        raise trouble

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(periodically(0.0, work, "test"))
    assert rounds == 3
