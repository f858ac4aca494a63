"""Two IPAs, killed IPAs, wrong words: what a person at a gateway does by mistake."""

from __future__ import annotations

import json
import queue
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from keim.app.ipa import IpaConfig, assistant, configuration_of
from keim.cli.ipa.run import _end
from keim.cli.program import run_command
from keim.errors import KeimError, Refused
from keim.io.card_address import OpenedCard, open_card_at
from keim.io.ipa_control import Command, ControlSocket, ask_running_ipa
from keim.io.ipa_state import StateFile
from keim.ipa.memory import EMPTY
from keim.messages.package import EimConfigurationData


def code_of(make: Any, *arguments: Any, **settings: Any) -> str:
    with pytest.raises(KeimError) as caught:
        make(*arguments, **settings)
    return caught.value.code


def hold(path: Path) -> None:
    with StateFile(path).held():
        pass


def test_a_state_file_belongs_to_one_ipa_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ipa.state"
    with StateFile(path).held():
        assert code_of(hold, path) == "ipa.already_running"
        StateFile(path).save(EMPTY)
    hold(path)


def test_a_state_file_that_cannot_be_kept_or_read_is_told_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("garbage")
    assert code_of(hold, tmp_path / "file" / "ipa.state") in {"ipa.state_not_written", "ipa.state_unreadable"}
    with pytest.raises(KeimError, match=str(tmp_path / "file")):
        hold(tmp_path / "file")


def test_who_only_looks_needs_no_lock(tmp_path: Path) -> None:
    config = IpaConfig(card=f"card:{tmp_path / 'none.card'}", state=str(tmp_path / "state"))

    def look(*, is_alone: bool) -> None:
        with assistant(config, is_alone=is_alone):
            pass

    with StateFile(tmp_path / "state").held():
        assert code_of(look, is_alone=True) == "ipa.already_running"
        assert code_of(look, is_alone=False) != "ipa.already_running"


def test_a_second_ipa_leaves_the_first_ones_socket_alone(tmp_path: Path) -> None:
    path = tmp_path / "control"
    commands: queue.Queue[Command] = queue.Queue()
    first = ControlSocket(path, commands)
    assert code_of(ControlSocket, path, commands) == "ipa.already_running"
    assert path.is_socket()
    first.close()


def test_the_socket_of_a_killed_ipa_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as killed:
        killed.bind(str(path))
    assert code_of(ask_running_ipa, path, "poll") == "ipa.control_unusable"
    ControlSocket(path, queue.Queue()).close()
    assert not path.exists()


def test_a_file_that_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    assert code_of(ControlSocket, path, queue.Queue()) == "ipa.control_unusable"
    assert path.read_text() == "data"


def test_the_first_signal_ends_after_the_cycle_and_the_second_at_once() -> None:
    commands: queue.Queue[Any] = queue.Queue()
    before = signal.getsignal(signal.SIGTERM)
    try:
        _end(commands, signal.SIGTERM, None)
        assert commands.get_nowait() is None
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    "address", ["at:/dev/ttyX@fast", "qmi:/dev/cdc-wdm0#x", "tcp:localhost", "at:tcp:x", "foo:x", ""]
)
def test_a_way_that_is_none_is_refused(address: str) -> None:
    assert code_of(open_card_at, address) == "ipa.unknown_channel"


def test_an_eim_of_v1_0_has_no_json_binding() -> None:
    config = {"eims": {"e": {"version": "1.0", "binding": "json"}}}
    import msgspec

    with pytest.raises(Refused, match="no JSON"):
        configuration_of(msgspec.convert(config, IpaConfig), OpenedCard(None, 255, False))  # type: ignore[arg-type]  # not reached


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("run", "--once", "--card", "foo:x"), 2),
        (("run", "--once", "--config", "missing.toml"), 3),
        (("control", "fallback", "--card", "foo:x"), 2),
        (("control", "poll", "--control", "missing"), 8),
        (("status", "--card", "tcp:127.0.0.1:1"), 8),
        (("provision", "missing.der", "--card", "foo:x"), 2),
    ],
)
def test_wrong_input_has_its_exit_code(
    arguments: tuple[str, ...], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(["ipa", *arguments]) == code


@pytest.mark.parametrize(
    ("kind", "is_untried"), [("at:/dev/none", True), ("mbim:/dev/none", True), ("card:none", False)]
)
def test_the_doctor_says_what_was_never_tried_on_hardware(
    kind: str, is_untried: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["ipa", "doctor", "--card", kind, "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert any("not on hardware" in one["detail"] for one in findings) is is_untried
    assert len([one for one in findings if not one["ok"]]) == 1
    run_command(["ipa", "doctor", "--card", kind])
    assert "next: " in capsys.readouterr().out


def test_a_bad_provisioning_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "eim.der"
    file.write_bytes(EimConfigurationData(eim_id="e").encode()[:-1])
    assert run_command(["ipa", "provision", str(file), "--card", "card:none"]) == 2
    assert str(file) in capsys.readouterr().err
