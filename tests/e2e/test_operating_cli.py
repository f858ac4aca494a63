"""The commands that operate an eIM, as people type them: over HTTPS, and on a local store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.eim_processes import EimSite
from tests.https_peer import HttpsPeer
from tests.server_processes import ROOT
from tests.tls_pair import self_signed, server_of

from keim.api.client import Client
from keim.api.webhook_signature import verify
from keim.errors import Refused, Unreachable
from keim.ids import Eid
from keim.io.world_clock import SystemClock
from keim.wire.http import HttpRequest, HttpResponse

Done = subprocess.CompletedProcess[str]
EIDS = [str(Eid.with_check_digits(f"8904904400000000000000000{n:05d}")) for n in range(2500)]


class Operated:
    """A server with the operators' API over HTTPS, a receiver of webhooks, and `keim` towards them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        certificate, key = self_signed()
        self.ca = folder / "api.pem"
        self.ca.write_bytes(certificate)
        (folder / "api.key").write_bytes(key)
        (folder / "api.key").chmod(0o600)
        context, authority = server_of()
        (folder / "receiver.pem").write_bytes(authority)
        self.received: list[HttpRequest] = []
        self.receiver = HttpsPeer(context, self._receive)
        config = (
            f'wrap_key = "{folder / "wrap-key"}"\n'
            f'[api]\ncertificate = "{self.ca}"\nkey = "{folder / "api.key"}"\n'
            f'[webhooks]\nallow_private = true\nca_file = "{folder / "receiver.pem"}"\n'
        )
        self.site = EimSite(folder, config=config, arguments=("--api-listen", "127.0.0.1:0"))
        _, port = self.site.endpoint("api")
        self.url = f"https://localhost:{port}"

    def _receive(self, request: HttpRequest) -> HttpResponse:
        self.received.append(request)
        return HttpResponse(204)

    def keim(self, *words: str, given: str | None = None, **variables: str) -> Done:
        connection = {
            "KEIM_API_URL": self.url,
            "KEIM_API_TOKEN": self.site.admin_token,
            "KEIM_API_CA": str(self.ca),
        }
        return run(*words, cwd=self.folder, given=given, **connection | variables)

    def json(self, *words: str, code: int = 0) -> Any:
        done = self.keim(*words, "--json")
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def close(self) -> None:
        self.receiver.close()
        assert self.site.stop() == 0


def run(*words: str, cwd: Path, given: str | None = None, **variables: str) -> Done:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KEIM_API")}
    environment |= {"PYTHONPATH": str(ROOT / "src"), "HOME": str(cwd), "XDG_CONFIG_HOME": str(cwd)}
    return subprocess.run(
        [sys.executable, "-m", "keim.cli", *words],
        env=environment | variables,
        cwd=cwd,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    made = Operated(tmp_path_factory.mktemp("operated"))
    yield made
    made.close()


def test_devices_are_imported_and_told_to_a_receiver(operated: Operated) -> None:
    url = f"https://localhost:{operated.receiver.port}/in"
    webhook = operated.json("webhook", "create", url, "--type", "device_enrolled")
    tested = operated.json("webhook", "test", webhook["id"])
    assert tested["status"] == 204
    file = operated.folder / "devices.csv"
    file.write_text("eid,tag:site\n" + "".join(f"{eid},berlin\n" for eid in EIDS) + "nonsense,x\n")
    rehearsed = operated.json("import", "devices", str(file), "--dry-run", code=7)
    assert (rehearsed["enrolled"], rehearsed["failed"]) == (2500, 1)
    report = operated.folder / "report.jsonl"
    done = operated.keim("import", "devices", str(file), "--report", str(report))
    assert done.returncode == 7
    assert done.stdout == "2500 registered, 0 known already, 1 refused\n"
    assert "line 2502: request.invalid_eid" in done.stderr
    assert json.loads(report.read_text())["line"] == 2502
    again = operated.keim("import", "devices", "-", "--skip-known", given=f"eid\n{EIDS[0]}\n")
    assert (again.returncode, again.stdout) == (0, "0 registered, 1 known already, 0 refused\n")
    for _ in range(200):  # the worker looks twice a second
        if len(operated.received) > 5:
            break
        operated.json("webhook", "show", webhook["id"])
    body = operated.received[1]
    verify(body.headers, body.body, webhook["secret"], now=SystemClock().now())
    assert json.loads(body.body)["subject"] == EIDS[0]
    listed = operated.json("webhook", "deliveries", webhook["id"], "--limit", "2")
    assert len(listed) == 2
    assert operated.json("webhook", "pause", webhook["id"])["state"] == "paused"
    assert operated.json("webhook", "resume", webhook["id"], "--skip")["state"] == "active"
    refused = operated.keim("webhook", "remove", webhook["id"])
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert operated.keim("webhook", "remove", webhook["id"], "--yes").returncode == 0
    gone = operated.keim("webhook", "show", webhook["id"], "--json")
    assert gone.returncode == 3
    assert json.loads(gone.stderr)["error"]["code"] == "webhook.not_found"


def test_an_import_tells_programs_line_by_line(operated: Operated) -> None:
    done = operated.keim("import", "devices", "-", "--jsonl", "--dry-run", given="eid\nnonsense\n")
    assert done.returncode == 2
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["type"], line.get("line"), line.get("failed")) for line in told] == [
        ("error", 2, None),
        ("result", None, 1),
    ]


def test_a_catalogue_is_filled_and_downloads_are_ordered(operated: Operated) -> None:
    operated.keim("import", "devices", "-", "--skip-known", given=f"eid\n{EIDS[0]}\n{EIDS[1]}\n")
    assert operated.json("catalogue", "create", "iot", "--low-stock", "1")["codes"]["free"] == 0
    codes = operated.folder / "codes.csv"
    codes.write_text("activation_code,confirmation_code\n1$smdp.example.com$M-1,\n1$smdp.example.com$m,\n")
    added = operated.keim("catalogue", "add", "iot", str(codes))
    assert added.returncode == 7
    assert "line 3: eim.bad_activation_code" in added.stderr
    started = operated.json("catalogue", "download", "iot", EIDS[0], EIDS[1], code=7)
    assert [one["problem"] for one in started] == [None, "catalogue.none_left"]
    (code,) = operated.json("catalogue", "codes", "iot")
    assert (code["state"], code["eid"]) == ("in_use", EIDS[0])
    assert operated.keim("catalogue", "show", "none").returncode == 3


def test_the_factorys_script_runs_on_a_card(operated: Operated) -> None:
    script = operated.folder / "batch.script"
    done = operated.keim("export", "bootstrap", "--batch", "one", "--script", str(script))
    assert done.returncode == 0, done.stderr
    card = operated.folder / "fresh.card"
    created = operated.keim("euicc", "create", str(card), "--pki", str(operated.folder / "pki"))
    assert created.returncode == 0, created.stderr
    ran = operated.keim("euicc", "script", str(card), str(script), "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    shown = json.loads(operated.keim("euicc", "show", str(card), "--json").stdout)
    assert [eim["eim_id"] for eim in shown["eims"]] == ["eim.example.com"]
    assert operated.keim("export", "bootstrap", "--script", str(script)).returncode == 2, "it exists"


def test_a_wrong_token_an_unknown_server_and_a_missing_one_have_their_codes(operated: Operated) -> None:
    wrong = operated.keim("webhook", "list", KEIM_API_TOKEN="keim_0123456789abcdef_" + "0" * 64)
    assert wrong.returncode == 5
    assert operated.keim("webhook", "list", KEIM_API_URL="https://localhost:1").returncode == 8
    nobody = run("webhook", "list", "--json", cwd=operated.folder)
    assert nobody.returncode == 2
    assert json.loads(nobody.stderr)["error"]["code"] == "client.not_connected"
    plain = operated.keim("webhook", "list", KEIM_API_URL="http://eim.example.com")
    assert plain.returncode == 2


def test_a_server_with_a_certificate_of_somebody_else_gets_no_token(operated: Operated) -> None:
    other = operated.folder / "other.pem"
    other.write_bytes(self_signed()[0])
    assert operated.keim("webhook", "list", KEIM_API_CA=str(other)).returncode == 8


def test_the_client_lists_page_by_page_and_raises_what_the_server_says(operated: Operated) -> None:
    with Client(operated.url, token=operated.site.admin_token, ca_file=str(operated.ca)) as client:
        assert client.me().tenant == "main"
        for number in range(3):
            client.catalogue.create(f"page-{number}")
        session = client.session
        names = [row["name"] for row in session.pages(dict, "/catalogue", limit=2)]
        assert len(names) == 2
        with pytest.raises(Refused) as caught:
            client.catalogue.create("page-0")
        assert caught.value.code == "catalogue.product_exists"
    with pytest.raises(Unreachable):
        Client("https://localhost:1").me()


def test_a_local_store_needs_no_server(operated: Operated, tmp_path: Path) -> None:
    store = ("--store", str(tmp_path / "eim.db"), "--pki", str(operated.folder / "pki"))
    assert run("catalogue", "list", *store, cwd=tmp_path).returncode == 3, "there is none"
    assert run("eim", "init", *store, cwd=tmp_path).returncode == 0
    file = tmp_path / "devices.jsonl"
    file.write_text("".join(json.dumps({"eid": eid, "tags": ["pilot"]}) + "\n" for eid in EIDS[:700]))
    done = run("import", "devices", str(file), *store, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "700 registered, 0 known already, 0 refused\n"), done.stderr
    assert run("catalogue", "create", "iot", *store, cwd=tmp_path).returncode == 0
    listed = run("catalogue", "list", *store, "--json", cwd=tmp_path)
    assert [product["name"] for product in json.loads(listed.stdout)] == ["iot"]
    both = run("catalogue", "list", *store, "--api", "https://localhost:1", cwd=tmp_path)
    assert both.returncode == 2


def test_devices_are_registered_tagged_looked_at_and_watched(operated: Operated) -> None:
    eid = str(Eid.with_check_digits("8904904400000000000000000" + "99001"))
    made = operated.json("device", "register", eid, "--association-token", "5", "--tag", "pilot")
    assert (made["state"], made["tags"]) == ("active", ["pilot"])
    assert operated.json("device", "tag", eid, "--add", "site=ulm", "--remove", "pilot")["tags"] == [
        "site=ulm"
    ]
    (listed,) = operated.json("device", "list", "--tag", "site=ulm")
    assert listed["eid"] == eid
    shown = operated.keim("device", "show", eid)
    assert f"EID          {eid}  (active)" in shown.stdout
    assert "association  counter 0, token 5 (not proved)" in shown.stdout
    assert operated.json("device", "next", eid)["why"] != ""
    watched = operated.keim("device", "watch", eid, "--after", "-1", "--count", "2")
    assert watched.returncode == 0, watched.stderr
    first, second = watched.stdout.splitlines()
    assert f"{eid}  device_enrolled" in first
    assert "how registered" in first
    assert f"{eid}  device_changed" in second
    lines = operated.keim("device", "watch", eid, "--after", "-1", "--count", "1", "--jsonl").stdout
    assert json.loads(lines)["device"] == eid
    assert operated.keim("device", "archive", eid).returncode == 2, "nobody can be asked"
    assert operated.json("device", "archive", eid, "--yes")["state"] == "archived"
    assert operated.json("device", "admit", eid)["state"] == "active"
    assert operated.keim("device", "show", EIDS[0][:-2] + "00").returncode == 3


def test_operations_are_rehearsed_ordered_waited_for_and_cancelled(operated: Operated) -> None:
    eid = str(Eid.with_check_digits("8904904400000000000000000" + "99002"))
    operated.json("device", "register", eid, "--tag", "ops")
    iccid = "8944501112345678907"
    enable = ("operation", "enable", iccid, "--eid", eid)
    rehearsed = operated.json(*enable, "--dry-run")["would_send"]
    assert rehearsed["commands"] == [{"command": "enable", "iccid": iccid, "rollback": True}]
    before = len(operated.json("operation", "list"))
    ordered = operated.json(*enable, "--reason", "pilot")
    assert (ordered["state"], ordered["reason"], ordered["eid"]) == ("queued", "pilot", eid)
    waited = operated.keim("operation", "wait", ordered["id"], "--timeout", "0", "--jsonl")
    assert waited.returncode == 6
    told = [json.loads(line) for line in waited.stdout.splitlines()]
    assert [line["type"] for line in told] == ["progress", "result"]
    cancelled = operated.keim("operation", "cancel", ordered["id"], "--yes")
    assert (cancelled.returncode, cancelled.stdout) == (0, f"sure: {ordered['id']} is cancelled\n")
    assert operated.keim("operation", "wait", ordered["id"]).returncode == 5
    assert operated.keim("operation", "cancel", ordered["id"], "--yes").returncode == 5, "too late"
    many = ("operation", "list-profiles", "--tag", "ops")
    assert operated.keim(*many).returncode == 2, "for many it wants --yes"
    placed = operated.json(*many, "--yes")
    assert (placed["devices"], placed["counts"]) == (1, {"queued": 1})
    (outcome,) = operated.json("operation", "devices", placed["id"])
    assert (outcome["eid"], outcome["state"]) == (eid, "queued")
    assert operated.json("operation", "show", placed["id"])["what"] == ["list profiles"]
    assert len(operated.json("operation", "list")) == before + 2, "the rehearsal ordered nothing"
    for words in ((), ("--eid", eid, "--all"), ("--eids", str(operated.folder / "none"))):
        wrong = operated.keim("operation", "list-eims", *words, "--yes")
        assert wrong.returncode in (2, 3), words
    assert operated.keim("operation", "show", "nothing").returncode == 3
    download = operated.json("operation", "download", "--eid", eid, "--code", "LPA:1$smdp.example.com$M")
    assert download["kind"] == "download"


def test_a_bundle_goes_from_a_server_to_a_local_store(operated: Operated, tmp_path: Path) -> None:
    operated.keim("import", "devices", "-", "--skip-known", given=f"eid\n{EIDS[2]}\n")
    file = tmp_path / "main.keim-bundle"
    done = operated.keim("export", "bundle", str(file))
    assert done.returncode == 0, done.stderr
    assert operated.keim("export", "bundle", str(file)).returncode == 2, "it exists"
    store = ("--store", str(tmp_path / "eim.db"), "--pki", str(operated.folder / "pki"))
    assert run("eim", "init", *store, cwd=tmp_path).returncode == 0
    rehearsed = run("import", "bundle", str(file), *store, "--dry-run", "--json", cwd=tmp_path)
    assert rehearsed.returncode == 0, rehearsed.stderr
    taken = run("import", "bundle", str(file), *store, "--json", cwd=tmp_path)
    assert taken.returncode == 0, taken.stderr
    assert json.loads(taken.stdout)["devices"] == json.loads(rehearsed.stdout)["devices"] > 0
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    file.write_bytes(damaged)
    refused = run("import", "bundle", str(file), *store, cwd=tmp_path)
    assert refused.returncode in (2, 4)


def test_a_large_file_that_is_refused_at_its_first_line_says_why(operated: Operated) -> None:
    file = operated.folder / "large.csv"
    file.write_text("eid,colour\n" + "89044045116727494800000004479366,red\n" * 300_000)
    refused = operated.keim("import", "devices", str(file), "--json")
    assert refused.returncode == 2
    assert json.loads(refused.stderr)["error"]["code"] == "import.bad_header"
    nobody = operated.keim("import", "devices", str(file), KEIM_API_TOKEN="keim_0123456789abcdef_" + "0" * 64)
    assert nobody.returncode == 5, nobody.stderr
