"""One world per run: making keys on both curves is the dear part of these tests."""

from __future__ import annotations

import pytest
from tests.unit.pki.forge import make_world

from keim.pki import Curve
from keim.pki.world import World


@pytest.fixture(scope="session")
def world() -> World:
    return make_world((Curve.NIST, Curve.BRAINPOOL))
