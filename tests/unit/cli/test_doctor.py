"""`keim doctor` tells the truth about what is there and what is not."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest

from keim.cli import machine
from keim.cli.machine import Finding
from keim.cli.program import run_command


def test_a_fit_machine_is_ok(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["fit"] is True
    names = {finding["name"] for finding in document["findings"]}
    assert {"keim", "python", "cryptography", "msgspec", "clock", "dtls", "extra pcsc"} <= names
    for finding in document["findings"]:
        assert finding["state"] in {"ok", "missing", "note"}
        if finding["state"] == "missing":
            assert finding["remedy"]


def test_the_text_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        machine, "LOOKS", (lambda: machine.extra_findings({"x": ("no_such_module", "the x")}),)
    )
    assert run_command(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "missing" in out
    assert "pip install 'keim[x]'" in out


def test_a_missing_requirement_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        machine, "LOOKS", (lambda: [Finding("x", "missing", "gone", "get it", is_required=True)],)
    )
    assert run_command(["doctor"]) == 1
    assert "-> get it" in capsys.readouterr().out


def test_a_clock_in_the_past_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    (finding,) = machine.clock_findings()
    assert (finding.state, finding.is_required) == ("missing", True)
    assert finding.detail.startswith("1970-01-01T00:00:00Z")


def test_a_used_port_is_seen() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert [finding.state for finding in machine.port_findings({port: "x"})] == ["missing"]
    assert [finding.state for finding in machine.port_findings({port: "x"})] == ["ok"]


def test_modems_and_card_services_are_found_by_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [finding.state for finding in machine.modem_findings(tmp_path)] == ["note"]
    (tmp_path / "ttyUSB2").touch()
    (finding,) = machine.modem_findings(tmp_path)
    assert (finding.state, finding.detail) == ("ok", str(tmp_path / "ttyUSB2"))
    monkeypatch.setattr(machine.sys, "platform", "linux")
    assert machine.reader_findings(tmp_path / "absent")[0].state == "missing"
    assert machine.reader_findings(tmp_path / "ttyUSB2")[0].state == "ok"


def test_a_library_that_is_gone_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise machine.PackageNotFoundError(name)

    monkeypatch.setattr(machine, "version", version)
    assert {(finding.state, finding.is_required) for finding in machine.library_findings()} == {
        ("missing", True)
    }
