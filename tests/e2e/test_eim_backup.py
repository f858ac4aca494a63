"""Backup of an eIM at work, and life after a restore: nothing is executed twice, nothing is confused."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.card_lab import iccid
from tests.eim_processes import EimSite, SiteDevice
from tests.postgres_cluster import Cluster
from tests.roles.eim_lab import EimLab
from tests.server_processes import keim
from tests.shared import ROOT, needs_system

from keim.app.eim_backup import backup, go_on, put_back
from keim.eim import compose
from keim.eim.rows import Chore, State
from keim.errors import Refused, StoreFailed
from keim.io.store.open import open_engine
from keim.io.world_clock import SystemClock
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


def written_to(path: Path, *, commits: int) -> tuple[threading.Thread, threading.Event]:
    """Somebody who keeps writing to the database, and whether he has begun."""
    has_begun = threading.Event()

    def write() -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA synchronous=OFF")
        for number in range(commits):
            connection.execute("INSERT INTO busy VALUES (?)", (number,))
            has_begun.set()
        connection.close()

    return threading.Thread(target=write), has_begun


def test_a_backup_ends_while_the_server_keeps_writing(tmp_path: Path) -> None:
    store = tmp_path / "eim.db"
    connection = sqlite3.connect(store)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE busy (x BLOB)")
    connection.executemany("INSERT INTO busy VALUES (?)", [(bytes(1 << 20),)] * 24)
    connection.commit()
    connection.close()
    writer, has_begun = written_to(store, commits=50_000)
    writer.start()
    try:
        assert has_begun.wait(20)
        backup(str(store), tmp_path / "copy.db")
        assert writer.is_alive(), "it would have waited until nobody writes"
    finally:
        writer.join()


def a_backup(folder: Path) -> Path:
    """Of an eIM with one device."""
    lab = EimLab(open_store=lambda: open_engine(str(folder / "lab.db")))
    try:
        backup(str(folder / "lab.db"), folder / "copy.db")
    finally:
        lab.close()
    return folder / "copy.db"


def nothing_is_there(folder: Path) -> bool:
    return not list(folder.glob("eim.db*"))


def truncated(octets: bytes) -> bytes:
    return octets[: len(octets) // 2]


def scribbled_on(octets: bytes) -> bytes:
    return b"".join((octets[:8292], b"?" * 60_000, octets[68_292:]))


@pytest.mark.parametrize("harm", [truncated, scribbled_on, lambda _: b"", lambda _: b"no database" * 1000])
def test_what_is_no_whole_backup_leaves_nothing_behind(
    harm: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    copy = a_backup(tmp_path)
    copy.write_bytes(harm(copy.read_bytes()))
    with pytest.raises(StoreFailed) as failed:
        asyncio.run(put_back(copy, str(tmp_path / "eim.db"), SystemClock()))
    assert failed.value.code == "eim.backup_failed"
    assert nothing_is_there(tmp_path)


def test_a_backup_of_another_program_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE smdp_orders (x)")
    connection.close()
    with pytest.raises(StoreFailed, match="no database of an eIM"):
        asyncio.run(put_back(other, str(tmp_path / "eim.db"), SystemClock()))
    assert nothing_is_there(tmp_path)


def test_a_cut_before_the_counters_have_leapt_leaves_no_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = a_backup(tmp_path)

    async def cut(where: str, *_: object, **__: object) -> int:
        assert Path(where).exists()
        assert not (tmp_path / "eim.db").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr("keim.app.eim_backup.go_on", cut)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(put_back(copy, str(tmp_path / "eim.db"), SystemClock()))
    assert nothing_is_there(tmp_path)
    monkeypatch.undo()
    assert asyncio.run(put_back(copy, str(tmp_path / "eim.db"), SystemClock())) == 1


def test_the_log_of_a_database_that_was_moved_away_is_never_taken_for_the_new_one_s(tmp_path: Path) -> None:
    copy = a_backup(tmp_path)
    (tmp_path / "eim.db-wal").write_bytes(b"what a killed server had not moved into its database yet")
    with pytest.raises(Refused, match=r"eim\.db-wal exists already"):
        asyncio.run(put_back(copy, str(tmp_path / "eim.db"), SystemClock()))
    assert [path.name for path in tmp_path.glob("eim.db*")] == ["eim.db-wal"]


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
