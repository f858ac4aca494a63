"""The IPA over real TLS sockets: `keim ipa` against our card behind TCP, an eIM and our SM-DP+ over HTTPS."""

from __future__ import annotations

import asyncio
import json
import queue
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.answering import answered
from tests.card_lab import EIM, SMDP, world
from tests.https_peer import HttpsPeer
from tests.roles.ipa_lab import IpaLab, entry, iccid

from keim.app.config import load
from keim.app.ipa import IpaConfig, assistant
from keim.app.ipa_daemon import run_daemon
from keim.cli.program import run_command
from keim.der import Certificate, PublicKeyInfo
from keim.errors import KeimError, Unreachable
from keim.io.card_server import serve_tcp
from keim.io.drive import drive_async
from keim.io.ipa_control import Command, ControlSocket, ask_running_ipa
from keim.io.ipa_device import AsyncDevice
from keim.io.tls import server_context
from keim.ipa.context import Ipa
from keim.ipa.cycle import Cycle, run_cycle
from keim.messages.download_trigger import ProfileDownloadData, ProfileDownloadTriggerRequest
from keim.messages.execution_status import Function
from keim.messages.package import EimConfigurationData, EnablePsmo, Psmo, TrustedPublicKeyDataTls
from keim.messages.profile import ProfileInfoListRequest
from keim.smdp.rows import ProfileState
from keim.wire import es9p_json, esipa_http, esipa_json
from keim.wire.esipa import EsipaFunction
from keim.wire.http import HttpRequest, HttpResponse

TLS = "eim-tls"
LIST = Psmo(list_profile_info=ProfileInfoListRequest())


def spki(name: str) -> bytes:
    key = world().get(name).private_key.public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def pinned(name: str = TLS) -> TrustedPublicKeyDataTls:
    return TrustedPublicKeyDataTls(trusted_eim_pk_tls=PublicKeyInfo(spki(name)))


def anchored(name: str) -> TrustedPublicKeyDataTls:
    return TrustedPublicKeyDataTls(trusted_certificate_tls=Certificate(world().get(name).certificate.der))


class Field:
    """One gateway's world: card on a TCP port, eIM and SM-DP+ on HTTPS ports."""

    def __init__(self, folder: Path, own: EimConfigurationData) -> None:
        self.folder = folder
        self.lab = IpaLab(eims=(own,))
        self.lock = threading.Lock()
        self.json_requests: list[str] = []
        tls = server_context(world().get(TLS), for_devices=True)
        self.eim = HttpsPeer(tls, self._eim)
        self.smdp = HttpsPeer(server_context(world().get("dp-tls"), for_devices=True), self._smdp)
        self.others: dict[str, HttpsPeer] = {}
        """Further servers by name."""
        self._card_ready = threading.Event()
        self.card_port = 0
        self.config = folder / "ipa.toml"

    def _eim(self, request: HttpRequest) -> HttpResponse:
        with self.lock:
            if request.path.startswith("/gsma/rsp2/esipa/"):
                function = EsipaFunction(request.path.rpartition("/")[2])
                self.json_requests.append(function)
                answer = self.lab.eim(esipa_json.read_request(function, request.body))
                return esipa_json.write_answer(function, answer or b"")
            message = esipa_http.read_request(request)
            if isinstance(message, HttpResponse):
                return message
            assert request.headers["user-agent"].startswith("gsma-rsp-ipad")
            assert request.headers["x-admin-protocol"] == "gsma/rsp/v2.1.0"
            return esipa_http.write_answer(self.lab.eim(message) or b"")

    def _smdp(self, request: HttpRequest) -> HttpResponse:
        function = Function(request.path.rpartition("/")[2])
        with self.lock:
            asked = es9p_json.read_request(function, request.body)
            return answered(es9p_json.write_reply(self.lab.smdp.reply(asked)))

    def write(self, **settings: Any) -> None:
        roots = self.folder / "roots.pem"
        roots.write_bytes(b"".join(root.pem for root in world().roots))
        binding = settings.get("binding", "asn1")
        self.config.write_text(
            f"""
            card = "tcp:127.0.0.1:{self.card_port}"
            state = "{self.folder / "ipa.state"}"
            features = {json.dumps(settings.get("features", ["direct", "indirect"]))}
            eim_ca = "{roots if settings.get("eim_ca", True) else ""}"
            rsp_ca = "{roots}"
            retries = 0
            [eims."{EIM}"]
            binding = "{binding}"
            compact = {json.dumps(settings.get("compact", False))}
            version = "{settings.get("version", "1.2")}"
            [resolve]
            {self._further()}
            "{settings.get("host", EIM)}" = "127.0.0.1:{self.eim.port}"
            "{SMDP}" = "127.0.0.1:{self.smdp.port}"
            [timers]
            request_s = 10
            delivery_pauses_s = [0.0]
            """,
            "utf-8",
        )

    def _further(self) -> str:
        return "\n".join(f'"{name}" = "127.0.0.1:{peer.port}"' for name, peer in self.others.items())

    def run(self, *arguments: str, **settings: Any) -> int:
        """One command with the card behind a port of its own."""
        ready = threading.Event()

        def note(host: str, port: int) -> None:
            self.card_port = port
            ready.set()

        card = threading.Thread(
            target=serve_tcp,
            args=(self.lab.lab.card, "127.0.0.1", 0),
            kwargs={"on_ready": note, "connections": 1},
            daemon=True,
        )
        card.start()
        assert ready.wait(10)
        self.write(**settings)
        code = run_command(["ipa", *arguments, "--config", str(self.config)])
        card.join(10)
        assert not card.is_alive()
        return code

    def close(self) -> None:
        self.eim.close()
        self.smdp.close()
        for peer in self.others.values():
            peer.close()
        self.lab.close()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Any]:
    made: list[Field] = []

    def build(own: EimConfigurationData | None = None) -> Field:
        made.append(Field(tmp_path, own or entry(trusted_public_key_data_tls=pinned())))
        return made[-1]

    yield build
    for field in made:
        field.close()


@pytest.mark.parametrize("binding", ["asn1", "json"])
def test_packages_travel_over_one_kept_tls_connection(
    make: Any, binding: str, capsys: pytest.CaptureFixture[str]
) -> None:
    field = make()
    field.lab.eim.package(LIST)
    field.lab.eim.package(LIST)
    assert field.run("run", "--once", "--json", binding=binding) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1]["packages"] == 2
    assert lines[-1]["eims"][0]["end"] == "no_eim_package_available"
    assert sorted(field.lab.eim.executed) == [1, 2]
    assert field.eim.connections == 1
    assert bool(field.json_requests) is (binding == "json")


def test_after_a_switch_a_new_connection_is_made(make: Any) -> None:
    field = make()
    field.lab.eim.package(Psmo(enable=EnablePsmo(iccid=iccid(2), rollback_flag=True)))
    assert field.run("run", "--once", "--json") == 0
    assert field.lab.enabled() == iccid(2)
    assert field.eim.connections == 2
    assert field.lab.pending() == []


@pytest.mark.parametrize(
    ("features", "binding"), [(["direct"], "asn1"), (["indirect"], "asn1"), (["indirect"], "json")]
)
def test_a_download_over_tls(make: Any, features: list[str], binding: str) -> None:
    field = make()
    number, matching_id = field.lab.smdp.order()
    trigger = ProfileDownloadTriggerRequest(
        profile_download_data=ProfileDownloadData(activation_code=f"1${SMDP}${matching_id}"),
        eim_transaction_id=b"\x01\x02",
    )
    field.lab.eim.trigger(trigger)
    assert field.run("run", "--once", "--json", features=features, binding=binding) == 0
    assert field.lab.smdp.profile(number).state is ProfileState.INSTALLED
    assert (field.smdp.connections > 0) is (features == ["direct"])
    assert field.lab.pending() == []


def test_the_trace_shows_every_message_with_octets_and_time(
    make: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    field = make()
    field.lab.eim.package(LIST)
    assert field.run("run", "--once", "--trace") == 0
    out = capsys.readouterr().out
    for word in (
        "GetEuiccDataRequest",
        "get_eim_package_request",
        "get_eim_package_response",
        "EuiccPackageResult",
        "provide_eim_package_result",
        "NotificationSentRequest",
    ):
        assert word in out, word
    assert " ms" in out
    assert "network:" in out


TRUSTED = {
    "pinned key": (pinned(), {}, True),
    "another pinned key": (pinned("dp-tls"), {}, False),
    "pinned leaf": (anchored(TLS), {}, True),
    "pinned CA": (anchored("ci"), {}, True),
    "another CA": (anchored("dp-tls"), {}, False),
    "device store": (None, {}, True),
    "device store without this CA": (None, {"eim_ca": False}, False),
}


@pytest.mark.parametrize("name", TRUSTED)
def test_the_eim_is_trusted_as_its_entry_says(
    make: Any, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data, settings, is_trusted = TRUSTED[name]
    field = make(entry(trusted_public_key_data_tls=data))
    field.lab.eim.package(LIST)
    code = field.run("run", "--once", "--json", **settings)
    assert (code == 0) is is_trusted, capsys.readouterr().out
    assert bool(field.lab.eim.seen) is is_trusted  # nothing was sent to a stranger
    assert (field.run("doctor", **settings) == 0) is is_trusted


@pytest.mark.parametrize(("data", "is_trusted"), [(pinned(), True), (anchored("ci"), False)])
def test_the_host_name_matters_with_a_ca_and_not_with_a_pinned_key(
    make: Any, data: TrustedPublicKeyDataTls, is_trusted: bool
) -> None:
    field = make(entry(trusted_public_key_data_tls=data, eim_fqdn="renamed.example.com"))
    field.run("run", "--once", "--json", host="renamed.example.com")
    assert bool(field.lab.eim.seen) is is_trusted


def test_status_doctor_and_control_on_the_same_card(make: Any, capsys: pytest.CaptureFixture[str]) -> None:
    field = make()
    assert field.run("status", "--json") == 0
    status = json.loads(capsys.readouterr().out)
    assert [profile["enabled"] for profile in status["profiles"]] == [True, False]
    assert status["eims"][0]["address"] == EIM
    assert field.run("doctor", "--json") == 0
    assert json.loads(capsys.readouterr().out)["fit"]
    assert field.lab.eim.seen == []  # the doctor asks the eIM for nothing
    assert field.run("control", "fallback", "--yes", "--json") == 4
    assert json.loads(capsys.readouterr().out)["result"] == "fallback_not_available"


def test_provisioning_from_a_file_prints_the_token(
    make: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    field = make()
    file = tmp_path / "eim.hex"
    file.write_text(entry().encode().hex())
    assert field.run("provision", str(file)) == 4
    assert "ipa.provisioning_refused" in capsys.readouterr().err
    field.lab.lab.power_on()
    field.lab.lab.es10(bytes.fromhex("BF640482020204"))  # resetEimConfigData
    capsys.readouterr()
    assert field.run("provision", str(file), "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["eims"][0]["association_token"] == 2


def test_a_silent_peer_ends_the_cycle_with_its_exit_code(make: Any) -> None:
    field = make()
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    field.eim.close()
    field.eim.port = port
    field.eim.close = lambda: None
    assert field.run("run", "--once", "--json") == 8


def serve_card(field: Field, connections: int = 1) -> threading.Thread:
    ready = threading.Event()

    def note(host: str, port: int) -> None:
        field.card_port = port
        ready.set()

    card = threading.Thread(
        target=serve_tcp,
        args=(field.lab.lab.card, "127.0.0.1", 0),
        kwargs={"on_ready": note, "connections": connections},
        daemon=True,
    )
    card.start()
    assert ready.wait(10)
    field.write()
    return card


def test_the_same_cycle_runs_under_asyncio(make: Any) -> None:
    field = make()
    field.lab.eim.package(LIST)
    card = serve_card(field)
    config = load(IpaConfig, field.config, prefix="KEIM_IPA", environment={})
    with assistant(config) as ipa:
        procedure = run_cycle(Ipa(ipa.configuration))
        cycle = asyncio.run(drive_async(procedure, AsyncDevice(ipa.device).perform))
    card.join(10)
    assert cycle.packages == 1
    assert list(field.lab.eim.executed) == [1]


def test_a_daemon_polls_obeys_its_socket_tells_how_it_is_and_ends(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    field = make()
    card = serve_card(field)
    config = load(IpaConfig, field.config, prefix="KEIM_IPA", environment={})
    commands: queue.Queue[Command | None] = queue.Queue()
    path = tmp_path / "control"
    control = ControlSocket(path, commands)
    cycles: list[Cycle] = []
    failures: list[KeimError] = []
    arrived = threading.Semaphore(0)

    def on_cycle(cycle: Cycle, pause_s: float) -> None:
        cycles.append(cycle)
        arrived.release()

    def daemon() -> None:
        with assistant(config) as ipa:
            run_daemon(ipa, commands, on_cycle=on_cycle, on_failure=failures.append)

    thread = threading.Thread(target=daemon, daemon=True)
    thread.start()
    assert arrived.acquire(timeout=10)
    field.lab.eim.package(LIST)
    assert ask_running_ipa(path, "poll") == {"function": "poll", "result": "ok"}
    assert arrived.acquire(timeout=10)
    assert cycles[-1].packages == 1
    assert ask_running_ipa(path, "fallback")["result"] == "fallback_not_available"
    assert "error" in ask_running_ipa(path, "dance")
    monkeypatch.setenv("KEIM_IPA_CONTROL", str(path))
    before = len(cycles)
    capsys.readouterr()
    assert (
        run_command(["ipa", "status", "--card", "card:none", "--json"]) == 0
    )  # by the IPA that has the card
    assert [eim["eim_id"] for eim in json.loads(capsys.readouterr().out)["eims"]] == [EIM]
    assert len(cycles) == before  # who only looks makes nobody poll
    commands.put(None)
    thread.join(10)
    assert not thread.is_alive()
    card.join(10)
    control.close()
    assert failures == []
    assert not path.exists()
    with pytest.raises(Unreachable):
        ask_running_ipa(path, "poll")
