"""What several workers cannot be started with is told before any of them is."""

from __future__ import annotations

import pytest

from keim.app.eim_config import EimConfig
from keim.app.eim_workers import run_workers
from keim.errors import Refused


@pytest.mark.parametrize("status_listen", ["nonsense", "", "127.0.0.1:65535", "127.0.0.1:70000"])
def test_every_worker_needs_a_port_for_its_status(status_listen: str) -> None:
    config = EimConfig(store="postgresql://nobody@/nothing", status_listen=status_listen)
    with pytest.raises(Refused, match="status_listen") as caught:
        run_workers(config, 2, on_ready=lambda _: None)
    assert caught.value.code == "config.invalid"
