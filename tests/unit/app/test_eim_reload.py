"""When an eIM looks at its PKI again, and what it takes of it."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keim.app.eim_reload import PkiWatch, stamp_of
from keim.errors import Refused
from keim.io.pki_files import create_files, load_world, save_files
from keim.pki.world import World, WorldPlan, create_world, rotate

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Site:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        create_files(folder, create_world(WorldPlan(), now=NOW))
        self.taken: list[World] = []
        self.renewed: list[int] = []
        self.is_refused = False
        self.watch = PkiWatch(
            folder, stamp_of(folder), renew={"esipa": self._renew}, take=self.taken.append, now=lambda: NOW
        )

    def _renew(self, world: World, now: datetime) -> datetime:
        assert now == NOW
        if self.is_refused:
            raise Refused("not today", code="pki.expired")
        self.renewed.append(world.get("eim-tls").certificate.serial)
        return world.get("eim-tls").certificate.valid_until

    def rotate(self) -> int:
        after = rotate(load_world(self.folder), "eim-tls", now=NOW)
        save_files(self.folder, after)
        return after.get("eim-tls").certificate.serial

    def look(self) -> None:
        asyncio.run(self.watch.look())


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "pki")


def test_files_that_did_not_change_are_not_read_again(site: Site) -> None:
    site.look()
    assert site.taken == []
    assert site.renewed == []


def test_a_look_finds_a_new_certificate_once(site: Site) -> None:
    serial = site.rotate()
    site.look()
    site.look()
    assert site.renewed == [serial]
    assert len(site.taken) == 1
    assert site.watch.gauges()["keim_eim_pki_reloads{result"] == {"loaded": 1, "failed": 0}


@pytest.mark.parametrize("broken", [b"", b"{}", b"\xff\xfe", b'{"format": 99, "credentials": []}'])
def test_a_broken_directory_changes_nothing_and_is_told_once(
    site: Site, broken: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (site.folder / "world.json").write_bytes(broken)
    site.look()
    site.look()
    assert (site.taken, site.renewed) == ([], [])
    assert site.watch.gauges()["keim_eim_pki_reloads{result"] == {"loaded": 0, "failed": 1}
    (told,) = [json.loads(record.message) for record in caplog.records]
    assert told["event"] == "pki_refused"


def test_a_directory_that_is_gone_changes_nothing(site: Site) -> None:
    site.folder.rename(site.folder.with_name("elsewhere"))
    site.look()
    assert (site.taken, site.renewed) == ([], [])


def test_a_certificate_that_a_listener_refuses_keeps_the_old_one(site: Site) -> None:
    site.is_refused = True
    site.rotate()
    site.look()
    assert site.renewed == []
    assert site.watch.outcomes["failed"] == 1
    assert not site.watch.reload()
