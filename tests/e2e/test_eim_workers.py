"""`keim eim serve --workers N`: processes that share an address, a database and session tickets."""

from __future__ import annotations

import os
import select
import signal
import socket
import ssl
from pathlib import Path

import pytest
from tests.card_lab import iccid
from tests.eim_processes import EIM, EimSite, SiteDevice
from tests.postgres_cluster import Cluster
from tests.server_processes import keim
from tests.shared import needs_system

from keim.cli.exit_codes import ExitCode
from keim.eim import compose
from keim.eim.rows import State
from keim.io.pki_files import create_files
from keim.io.world_clock import SystemClock
from keim.messages.package import EnablePsmo, Psmo
from keim.pki.world import WorldPlan, create_world

pytestmark = needs_system("postgresql")
ENABLE = compose.package_of([Psmo(enable=EnablePsmo(iccid=iccid(2)))])


def workers_of(process: int) -> list[int]:
    text = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(child) for child in text.split()]


@pytest.fixture
def site(tmp_path: Path, cluster: Cluster) -> EimSite:
    return EimSite(tmp_path, store=cluster.new_database(), arguments=("--workers", "2"))


def test_workers_share_the_work_and_a_dead_one_is_replaced(site: EimSite) -> None:
    try:
        before = workers_of(site.process.pid)
        assert len(before) == 2
        assert sorted(site.at) == ["esipa", "status 0", "status 1"]
        device = SiteDevice(site)
        order = site.order(device.eid, ENABLE)
        device.cycle()
        device.cycle()
        assert site.operation(device.eid, order).state is State.SUCCEEDED
        os.kill(before[0], signal.SIGKILL)
        for _ in range(8):
            device.cycle()  # whoever is left answers, and soon both
        device.cycle()
        assert len(workers_of(site.process.pid)) == 2
        assert workers_of(site.process.pid) != before
    finally:
        assert site.stop() == 0


def test_workers_end_with_their_supervisor(site: EimSite) -> None:
    workers = [os.pidfd_open(process) for process in workers_of(site.process.pid)]
    assert len(workers) == 2
    site.kill()
    for worker in workers:
        assert select.select([worker], [], [], 30)[0], "it goes on alone"
        os.close(worker)
    site.start()  # nobody is in the way
    assert site.stop() == 0


def test_a_session_ticket_of_one_worker_is_good_in_all(site: EimSite) -> None:
    try:
        context = ssl.create_default_context(cadata=site.world.roots[0].pem.decode())
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        session, reused = None, []
        for _ in range(12):
            plain = socket.create_connection(site.endpoint(), timeout=20)
            with context.wrap_socket(plain, server_hostname=EIM, session=session) as connection:
                reused.append(connection.session_reused)
                session = session or connection.session
        assert reused == [False, *[True] * 11]
    finally:
        assert site.stop() == 0


def test_workers_that_cannot_start_are_no_success(tmp_path: Path) -> None:
    create_files(tmp_path / "pki", create_world(WorldPlan(eids=()), now=SystemClock().now()))
    answer = keim(
        "eim", "serve", "--workers", "2", "--pki", str(tmp_path / "pki"),
        "--listen", "127.0.0.1:0", "--status-listen", "127.0.0.1:0",
        "--store", f"postgresql://keim@/nowhere?host={tmp_path}",
    )  # fmt: skip
    assert answer.returncode == ExitCode.CANNOT_CONNECT
    assert "store.cannot_open" in answer.stderr, "the workers' reason"
    assert "eim.worker_lost" in answer.stderr
    assert "stopped" not in answer.stderr


def test_sqlite_has_one_process_and_says_why() -> None:
    answer = keim("eim", "serve", "--workers", "2", "--pki", "nowhere", "--store", "x.db")
    assert answer.returncode != 0
    assert "one writer" in answer.stderr
