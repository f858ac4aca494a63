"""`keim eim rotate-key` beside a running eIM: our cards follow over TLS, and the old key ends."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Any

from tests.eim_processes import EimSite, SiteDevice
from tests.server_processes import keim

from keim.eim import compose
from keim.eim.rows import State
from keim.messages.package import Psmo
from keim.messages.profile import ProfileInfoListRequest

LIST = compose.package_of([Psmo(list_profile_info=ProfileInfoListRequest())])


def rotate(site: EimSite, step: str, *arguments: str) -> dict[str, Any]:
    done = keim("eim", "rotate-key", step, "--config", str(site.file), "--json", *arguments)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def follow(site: EimSite, device: SiteDevice) -> None:
    """Polls until the server, which looks for orders for many once a second, has handed the new key out."""
    waiting = threading.Event()
    for _ in range(50):
        device.cycle()
        if site.operate(lambda service: service.store.device(device.eid)).signer:
            return
        waiting.wait(0.1)
    raise AssertionError("it was never asked")


def test_a_fleet_takes_a_new_key_over_while_the_eim_serves(tmp_path: Path) -> None:
    site = EimSite(tmp_path)
    try:
        devices = [SiteDevice(site, 0), SiteDevice(site, 1)]
        begun = rotate(site, "start")
        assert (begun["state"], begun["devices"], begun["left"]) == ("ordered", 2, 2)
        site.process.send_signal(signal.SIGHUP)
        follow(site, devices[0])
        half = rotate(site, "status", "--left")
        assert (half["followed"], half["left_behind"]) == (1, [str(devices[1].eid)])
        early = keim("eim", "rotate-key", "finish", "--config", str(site.file), "--yes")
        assert early.returncode == 2
        assert "have not followed" in early.stderr
        unasked = keim("eim", "rotate-key", "finish", "--config", str(site.file))
        assert unasked.returncode == 2
        assert "--yes" in unasked.stderr
        follow(site, devices[1])
        assert rotate(site, "continue")["round"] == 1
        finished = rotate(site, "finish", "--yes")
        assert (finished["state"], finished["left"], finished["left_behind"]) == ("finished", 0, [])
        site.process.send_signal(signal.SIGHUP)
        for device in devices:
            order = site.order(device.eid, LIST)
            device.cycle()
            assert site.operation(device.eid, order).state is State.SUCCEEDED
    finally:
        assert site.stop() == 0


def test_without_a_rotation_the_status_says_so(tmp_path: Path) -> None:
    site = EimSite(tmp_path)
    assert site.stop() == 0
    answer = keim("eim", "rotate-key", "status", "--config", str(site.file))
    assert answer.returncode == 3
    assert "rotation" in answer.stderr
