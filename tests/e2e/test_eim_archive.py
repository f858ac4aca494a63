"""`keim eim archive` beside a running eIM, and the export that needs its configuration."""

from __future__ import annotations

import json
from pathlib import Path

from tests.eim_processes import EimSite, SiteDevice
from tests.server_processes import keim

from keim.eim import compose
from keim.messages.package import Psmo
from keim.messages.profile import ProfileInfoListRequest

LIST = compose.package_of([Psmo(list_profile_info=ProfileInfoListRequest())])


def test_what_is_young_stays_and_an_export_is_whole(tmp_path: Path) -> None:
    config = f'[retention]\narchive = "{tmp_path / "archive"}"\nevents_days = 30\nreceipts_days = 30\n'
    site = EimSite(tmp_path, config=config)
    try:
        device = SiteDevice(site)
        site.order(device.eid, LIST)
        device.cycle()
        done = keim("eim", "archive", "--config", str(site.file), "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert (told["leaves"], told["receipts"], told["operations"]) == (0, 0, 0)
        export = tmp_path / "log.tar"
        written = keim("audit", "export", str(export), "--config", str(site.file))
        assert written.returncode == 0, written.stderr
        root = tmp_path / "pki" / "ca.pem"
        verified = keim("audit", "verify", str(export), "--root", str(root))
        assert verified.returncode == 0, verified.stderr
    finally:
        assert site.stop() == 0


def test_who_keeps_everything_has_nothing_to_archive(tmp_path: Path) -> None:
    answer = keim("eim", "archive", "--pki", str(tmp_path), "--store", str(tmp_path / "eim.db"))
    assert answer.returncode == 2
    assert "[retention]" in answer.stderr
