"""A store that fails at the first commit, then at the second, and so on: so transactions show themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import pytest
from tests.api.desk import Desk

from keim.errors import StoreFailed
from keim.io.store.engine import Entry, Statement

MOST = 10


def cuts(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[AbstractContextManager[object]]:
    """Whoever has met no cut stops asking for the next one."""
    for passing in range(MOST):
        yield _cut(desk, monkeypatch, passing)
    raise AssertionError("every try has met a cut")


@contextmanager
def _cut(desk: Desk, monkeypatch: pytest.MonkeyPatch, passing: int) -> Iterator[None]:
    engine = desk.services.store.engine
    whole, left = engine.commit, passing

    async def commit(statements: Sequence[Statement], entries: Sequence[Entry] = ()) -> None:
        nonlocal left
        if not left:
            raise StoreFailed("the disk is full", code="store.commit_failed")
        left -= 1
        await whole(statements, entries)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "commit", commit)
        yield
