"""An eIM's log from its database to an auditor: exported while it works, verified where nothing else is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.card_lab import EID, SMDP, SMDP_OID, iccid, world
from tests.e2e.test_cli_audit import bare, bare_environment, run  # noqa: F401 - pytest finds the fixtures here
from tests.eim_processes import EimSite, SiteDevice
from tests.roles.eim_lab import EimLab, eim_of
from tests.server_processes import keim
from tests.shared import needs_system
from tests.unit.audit.audit_world import human

from keim.app.eim_logs import KEY_FILE, name_of
from keim.eim import compose
from keim.io.audit_files import ExportIndex
from keim.io.pki_files import create_files
from keim.io.store.open import open_engine
from keim.messages.package import EnablePsmo, Psmo
from keim.messages.profile import ProfileInfoListRequest

LIST = compose.package_of([Psmo(list_profile_info=ProfileInfoListRequest())])


def enable(number: int) -> Psmo:
    return Psmo(enable=EnablePsmo(iccid=iccid(number), rollback_flag=False))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of an eIM with a life behind it (list, download from our SM-DP+, switches), and its PKI."""
    folder = tmp_path_factory.mktemp("eim")
    create_files(folder / "pki", world())
    certificate = world().get("eim-sign").certificate.der
    lab = EimLab(
        eim_of(signing_certificates={"one": certificate}),
        open_store=lambda: open_engine(str(folder / "eim.db")),
    )
    try:
        lab.ask_for(LIST)
        _, matching_id = lab.smdp.order()
        lab.ask_for(compose.download_by_code(f"LPA:1${SMDP}${matching_id}${SMDP_OID}"))
        for number in (2, 1):
            lab.order(enable(number))
            lab.later(hours=1)
            lab.cycle()
    finally:
        lab.close()
    (folder / "ci.der").write_bytes(world().get("ci").certificate.der)
    made = keim("eim", "init", "--pki", str(folder / "pki"), "--store", str(folder / "eim.db"), "--json")
    assert made.returncode == 0, made.stderr
    (folder / "log.pub").write_text(json.loads(made.stdout)["log_key"])
    return folder


def test_an_eims_log_verifies_where_there_is_nothing_but_the_base_wheel(
    folder: Path,
    bare_environment: Path,  # noqa: F811 - the fixture
    tmp_path: Path,
) -> None:
    export = tmp_path / "audit.tar"
    arguments = ("--pki", str(folder / "pki"), "--store", str(folder / "eim.db"))
    made = keim("audit", "export", *arguments, str(export), "--json")
    assert made.returncode == 0, made.stderr
    told = json.loads(made.stdout)
    assert told["log_key"] == (folder / "log.pub").read_text()
    for name in ("ci.der", "log.pub"):
        shutil.copy(folder / name, tmp_path)
    words = ("audit", "verify", "audit.tar", "--root", "ci.der", "--log-key", "log.pub")
    good = bare(bare_environment, *words, cwd=tmp_path)
    assert good.returncode == 0, good.stdout + good.stderr
    assert good.stderr.splitlines()[-1] == "[]", "other roles were imported"
    *periods, verdict = good.stdout.splitlines()
    assert [f"profile {human(iccid(number))}  enabled from" in line for number, line in
            zip((1, 2, 1), periods, strict=True)] == [True] * 3  # fmt: skip
    assert all(f"eUICC {EID}" in line for line in periods)
    assert periods[-1].endswith("still, by its last proof")
    assert verdict.startswith(f"PASS eim.example.com/audit: {told['leaves']} of {told['leaves']} leaves")
    with export.open("rb") as file:
        index = ExportIndex(file)
        leaves = [octets for _, octets in index.leaves()]
    octets = export.read_bytes()
    for number in range(0, len(leaves), 3):
        bent = leaves[number][:-3] + bytes([leaves[number][-3] ^ 0x20]) + leaves[number][-2:]
        (tmp_path / "audit.tar").write_bytes(octets.replace(leaves[number], bent))
        bad = bare(bare_environment, *words, cwd=tmp_path)
        assert bad.returncode == 4
        assert f"altered leaves: {number}\n" in bad.stdout


def test_an_export_is_refused_where_the_eim_is_another(folder: Path, tmp_path: Path) -> None:
    store = str(folder / "eim.db")
    target = str(tmp_path / "x.tar")
    create_files(tmp_path / "pki", world())
    no_key = keim("audit", "export", "--pki", str(tmp_path / "pki"), "--store", store, target)
    assert (no_key.returncode, "audit.no_log_key" in no_key.stderr) == (2, True)
    pki = str(folder / "pki")
    absent = keim("audit", "export", "--pki", pki, "--store", str(tmp_path / "no.db"), target)
    assert (absent.returncode, "audit.log_not_found" in absent.stderr) == (3, True)
    assert not (tmp_path / "no.db").exists()
    stranger = keim("audit", "export", "--pki", pki, "--store", store, "--tenant", "nobody", target)
    assert (stranger.returncode, "audit.no_checkpoint" in stranger.stderr) == (2, True)
    made = keim("audit", "keygen", "eim.example.com/audit", str(tmp_path / "pki" / KEY_FILE))
    assert made.returncode == 0
    other = keim("audit", "export", "--pki", str(tmp_path / "pki"), "--store", store, target)
    assert "audit.checkpoint_signature" in other.stderr
    assert not Path(target).exists()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=needs_system("postgresql"))])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EimSite]:
    store, arguments = None, ()
    if request.param == "postgres":
        store, arguments = request.getfixturevalue("cluster").new_database(), ("--workers", "2")
    config = 'api_listen = "127.0.0.1:0"\n[api]\ntls = false\n'
    made = EimSite(tmp_path, store=store, arguments=arguments, config=config)
    yield made
    assert made.stop() == 0


def test_the_log_of_a_running_eim_is_exported_again_and_again(site: EimSite, tmp_path: Path) -> None:
    device = SiteDevice(site)
    config = ("--config", str(site.file))
    for number in (2, 1):
        site.order(device.eid, compose.package_of([enable(number)]))
        device.cycle()
        device.cycle()
        export = tmp_path / f"{number}.tar"
        made = keim("audit", "export", *config, str(export), "--json")
        assert made.returncode == 0, made.stderr
        verified = keim("audit", "verify", str(export), "--root", str(tmp_path / "pki" / "ca.pem"), "--json")
        document = json.loads(verified.stdout)
        assert (verified.returncode, document["faults"]) == (0, []), document["faults"]
        last = document["periods"][-1]
        assert (last["eid"], last["iccid"]) == (device.eid, human(iccid(number)))
    over_api = tmp_path / "api.tar"
    token = json.loads(keim("token", "create", "audit", "--role", "viewer", *config, "--json").stdout)[
        "token"
    ]
    reach = ("--api", f"http://{site.at['api']}", "--token", token)
    made = keim("audit", "export", *reach, str(over_api), "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["log_key"] == document["log_key"]
    assert keim("audit", "verify", str(over_api)).returncode == 0
    key = tmp_path / "pki" / KEY_FILE
    assert key.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "pki" / f"{KEY_FILE}.pub").read_text().strip() == document["log_key"]


def test_logs_have_names_that_a_note_can_carry() -> None:
    assert name_of("eim.example.com") == "eim.example.com/audit"
    assert name_of("eim.example.com", "acme") == "eim.example.com/audit/acme"
    assert name_of("2.999.10 + x", "a b") == "2.999.10%20%2B%20x/audit/a%20b"
