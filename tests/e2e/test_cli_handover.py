"""`keim eim handover` between two serving eIMs: our card, our IPA over TLS, papers as files."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.eim_processes import EIM, EimSite, SiteDevice, now
from tests.server_processes import start, stop

from keim.cli.program import run_command
from keim.eim import compose
from keim.io.drive import drive
from keim.io.ipa_device import Device
from keim.io.ipa_http import HttpPeers
from keim.io.ipa_network import AlwaysConnected
from keim.io.ipa_state import StateFile
from keim.io.pki_files import create_files
from keim.ipa.context import Ipa
from keim.ipa.cycle import run_cycle
from keim.messages.package import Psmo
from keim.messages.profile import ProfileInfoListRequest
from keim.pki.world import World, WorldPlan, create_world

NEW = "new.example.org"
LIST = compose.package_of([Psmo(list_profile_info=ProfileInfoListRequest())])
PATH = "/gsma/rsp2/asn1"


def here(*words: str) -> tuple[int, str, str]:
    """A command in this process: starting one for each would take most of the time."""
    output, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(errors):
        code = run_command(words)
    return code, output.getvalue(), errors.getvalue()


class Sites:
    """An old eIM, and a new one with a PKI of its own that trusts the old one's eUICCs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.old = EimSite(folder / "old") if (folder / "old").mkdir() is None else None
        own = create_world(WorldPlan(eids=(), eim_address=NEW), now=now())
        trusted = [
            msgspec.structs.replace(root, name=f"theirs-{root.name}", key=None)
            for root in self.old.world.credentials
            if root.certificate in self.old.world.roots
        ]
        self.new_world = World((*own.credentials, *trusted), own.previous, own.crls)
        create_files(folder / "pki", self.new_world)
        self.new_options = ("--pki", str(folder / "pki"), "--store", str(folder / "new.db"))
        self.old_options = ("--config", str(self.old.file))
        self.keys = {
            "old": self._init(*self.old_options),
            "new": self._init(*self.new_options),
        }
        listen = ("--listen", "127.0.0.1:0", "--status-listen", "127.0.0.1:0")
        self.process, at = start("eim", *self.new_options, *listen)
        host, _, port = at["esipa"].rpartition(":")
        self.new_endpoint = (host, int(port))

    def _init(self, *options: str) -> str:
        code, output, errors = here("eim", "init", *options, "--json")
        assert code == 0, errors
        key: str = json.loads(output)["log_key"]
        return key

    def close(self) -> None:
        assert stop(self.process) == 0
        assert self.old.stop() == 0

    def run(self, side: str, verb: str, *words: object, code: int = 0) -> Any:
        options = self.old_options if side == "old" else self.new_options
        found, output, errors = here("eim", "handover", verb, *map(str, words), *options, "--json")
        assert found == code, output + errors
        return json.loads(output)

    def cycle(self, device: SiteDevice) -> None:
        """The IPA's, which reaches both eIMs over TLS."""
        peers = HttpPeers(
            now,
            bindings={EIM: "asn1", NEW: "asn1"},
            paths={EIM: PATH, NEW: PATH},
            eim_roots=[*self.old.world.roots, *self.new_world.roots],
            addresses={EIM: self.old.endpoint(), NEW: self.new_endpoint},
        )
        state = StateFile(device.folder / "state")
        world = Device(
            device.lab.card,
            peers,
            AlwaysConnected(),
            state,
            now=now,
            monotonic=lambda: 0.0,
            sleep=lambda seconds: None,
        )
        try:
            drive(run_cycle(Ipa(device.configuration, state.load())), world.perform)
        finally:
            peers.close()


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[Sites]:
    made = Sites(tmp_path)
    yield made
    made.close()


def test_two_operators_move_a_device_with_files_and_commands(sites: Sites) -> None:
    folder = sites.folder
    device = SiteDevice(sites.old)
    sites.old.order(device.eid, LIST)
    sites.cycle(device)
    invitation, trial, bundle, receipt = (
        folder / name for name in ("invitation", "trial", "bundle", "receipt")
    )
    invited = sites.run("new", "invite", invitation, "--from", sites.keys["old"])
    options = ("--pki", str(folder / "pki"), "--store", str(folder / "new.db"))
    code, _, errors = here("eim", "handover", "arriving", str(sites.old.file), *options)
    assert (code, "is no invitation" in errors) == (2, True)
    planned = sites.run("old", "plan", invitation, "--key", sites.keys["new"], "--all", "--name", "spring")
    assert planned["devices"] == {"planned": 1}
    assert sites.run("old", "rehearse", "spring", "--bundle", trial)["blocked"] == 0
    assert sites.run("new", "receive", trial)["is_rehearsal"]
    sites.run("old", "start", "spring")
    sites.cycle(device)
    sites.run("old", "continue", "spring")
    sites.run("old", "bundle", "spring", bundle)
    assert bundle.stat().st_mode & 0o777 == 0o600
    assert sites.run("new", "receive", bundle)["refused"] == {}
    for _ in range(20):
        sites.cycle(device)
        sites.run("new", "receipt", invitation, receipt)
        told = sites.run("old", "continue", "spring", "--receipt", receipt)
        assert told["unproved"] == {}
        if told["handover"]["devices"] == {"left": 1}:
            break
    assert told["handover"]["devices"] == {"left": 1}
    assert [eim.eim_id for eim in device.lab.card.state.isdr.eims] == [NEW]
    for options, name in ((sites.old_options, "old"), (sites.new_options, "new")):
        export = str(folder / f"{name}.tar")
        assert here("audit", "export", *options, export)[0] == 0
        _, output, _ = here("audit", "verify", export, "--log-key", sites.keys[name], "--json")
        assert json.loads(output)["faults"] == []
    listed = sites.run("old", "list")
    assert [row["id"] for row in listed] == ["spring"]
    assert sites.run("old", "status", "spring", "--devices")[0]["step"] == "left"
    assert sites.run("new", "arriving", invited["id"])[0]["step"] == "done"


def test_what_makes_no_sense_is_refused_with_its_code(sites: Sites) -> None:
    folder = sites.folder

    def refused(side: str, verb: str, *words: object) -> str:
        options = sites.old_options if side == "old" else sites.new_options
        code, _, errors = here("eim", "handover", verb, *map(str, words), *options)
        assert code in (2, 3, 4), errors
        return errors

    (folder / "nonsense").write_text("nonsense")
    assert "client.bad_input" in refused("old", "plan", folder / "absent", "--key", "x", "--all")
    assert "audit.bad_log_key" in refused("old", "plan", folder / "nonsense", "--key", "x", "--all")
    key = sites.keys["new"]
    assert "handover.bad_paper" in refused("old", "plan", folder / "nonsense", "--key", key, "--all")
    assert "handover.no_bundle" in refused("new", "receive", folder / "nonsense")
    assert "handover.not_found" in refused("old", "status", "never")
    sites.run("new", "invite", folder / "invitation")
    assert "client.bad_input" in refused("new", "invite", folder / "invitation")
    wrong = refused("old", "plan", folder / "invitation", "--key", sites.keys["old"], "--all")
    assert "handover.bad_signature" in wrong
    assert "handover.no_devices" in refused("old", "plan", folder / "invitation", "--key", key, "--all")
