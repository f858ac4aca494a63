"""What the tests of every noun use: `desk` on SQLite in memory, `any_desk` on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.api.desk import Desk
from tests.postgres_cluster import Cluster
from tests.roles.eim_lab import EimOnly
from tests.shared import needs_system

from keim.io.store.engine import Engine
from keim.io.store.open import MEMORY, open_engine


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk(EimOnly())
    yield made
    made.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=needs_system("postgresql"))])
def store_at(request: pytest.FixtureRequest) -> str:
    """The address of an empty database, of each kind."""
    if request.param == "sqlite":
        return MEMORY
    given: Cluster = request.getfixturevalue("cluster")
    return given.new_database()


@pytest.fixture
def any_desk(store_at: str) -> Iterator[Desk]:
    async def open_it() -> Engine:
        return await open_engine(store_at)

    made = Desk(EimOnly(open_store=open_it))
    yield made
    made.close()
