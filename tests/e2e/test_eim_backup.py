"""Backup of an eIM at work, and life after a restore: nothing is executed twice, nothing is confused."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest
from tests.card_lab import iccid
from tests.eim_processes import EimSite, SiteDevice
from tests.postgres_cluster import Cluster
from tests.roles.eim_lab import EimLab
from tests.server_processes import keim
from tests.shared import ROOT, needs_system

from keim.app.eim_backup import go_on
from keim.eim import compose
from keim.eim.rows import Chore, State
from keim.io.store.open import open_engine
from keim.messages.package import EnablePsmo, Psmo
from keim.messages.profile import ProfileInfoListRequest

LIST = compose.package_of([Psmo(list_profile_info=ProfileInfoListRequest())])
ENABLE = compose.package_of([Psmo(enable=EnablePsmo(iccid=iccid(2)))])


def test_a_backup_of_a_running_server_is_put_back_and_the_device_goes_on(tmp_path: Path) -> None:
    site = EimSite(tmp_path)
    copy = tmp_path / "backup.db"
    device = SiteDevice(site)
    site.order(device.eid, LIST)
    device.cycle()
    made = keim("eim", "backup", "--config", str(site.file), "--json", str(copy))
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["octets"] == copy.stat().st_size
    assert keim("eim", "backup", "--config", str(site.file), str(copy)).returncode != 0, "never over a file"
    for _ in range(3):  # what the backup will not know
        site.order(device.eid, LIST)
        device.cycle()
    assert site.stop() == 0
    assert keim("eim", "restore", "--config", str(site.file), str(copy)).returncode != 0, (
        "nor over a database"
    )
    for path in tmp_path.glob("eim.sqlite*"):
        path.unlink()
    back = keim("eim", "restore", "--config", str(site.file), "--json", str(copy))
    assert back.returncode == 0, back.stderr
    assert json.loads(back.stdout)["devices"] == 1
    site.start()
    switch = site.order(device.eid, ENABLE)
    device.cycle()
    device.cycle()
    operation = site.operation(device.eid, switch)
    assert operation.state is State.SUCCEEDED
    assert operation.counter is not None
    assert operation.counter > 1000
    assert device.lab.enabled() == iccid(2)
    assert device.pending() == 0
    assert site.stop() == 0


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=needs_system("postgresql"))])
def test_after_a_restore_every_counter_leaps_and_every_device_is_looked_at(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    where = str(tmp_path / "eim.db")
    if kind == "postgres":
        given: Cluster = request.getfixturevalue("cluster")
        where = given.new_database()
    lab = EimLab(open_store=lambda: open_engine(where))
    try:
        order = lab.ask_for(ENABLE)
        poll = bytes.fromhex("BF4F125A10") + bytes.fromhex(lab.device().eid)
        lab.answer(poll)
        assert asyncio.run(go_on(where, lab.clock, leap=50)) == 1
        device = lab.device()
        assert device.counter == 51
        assert device.offer is None
        assert device.chores == (Chore.RECOVER, Chore.LIST_PROFILES)
        assert lab.operation(order).state is State.UNKNOWN
        lab.cycle()
        assert lab.device().chores == ()
        assert not lab.device().is_stale
        assert lab.enabled() == iccid(1), "what was given up is not executed"
    finally:
        lab.close()


def test_a_database_server_is_backed_up_by_its_own_tools(tmp_path: Path) -> None:
    answer = keim(
        "eim", "backup", "--pki", "nowhere", "--store", "postgresql://nowhere/x", str(tmp_path / "copy")
    )
    assert answer.returncode != 0
    assert "pg_dump" in answer.stderr


@needs_system("systemd")
def test_the_unit_is_accepted_by_systemd() -> None:
    unit = ROOT / "packaging" / "keim-eim.service"
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (checked.returncode, checked.stderr) == (0, "")
