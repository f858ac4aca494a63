"""`keim euicc create|show|apdu|script|serve --tcp`: what a person types, what comes out, with which exit
code.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import pytest
from tests.unit.euicc.cards import package

from keim.cli.program import run_command
from keim.euicc.identity import DEFAULT_ATR
from keim.ids import Eid
from keim.io.card_tcp import TcpCardChannel

EXAMPLE_EID = "89049032123451234512345678901235"


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def keim(*arguments: str, cwd: Path, given: str = "") -> Done:
    """The command in this process: only what serves needs one of its own."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        patch("sys.stdin", io.StringIO(given)),
    ):
        code = run_command(["euicc", *arguments])
    return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two packages, and a card of each kind."""
    made = tmp_path_factory.mktemp("cards")
    for name in ("iot-2-auth", "iot-3-mnosd"):
        (made / f"{name}.der").write_bytes(package(name))
    first = keim(
        "create",
        "one.card",
        "--profile",
        "iot-2-auth.der",
        "--profile",
        "iot-3-mnosd.der",
        "--enable",
        cwd=made,
    )
    assert first.returncode == 0, first.stderr
    second = keim("create", "two.card", "--consumer", "--smdp", "a.b", "--json", cwd=made)
    assert second.returncode == 0, second.stderr
    return made


def test_create_makes_a_pki_once_and_gives_each_card_an_eid(folder: Path) -> None:
    assert (folder / "pki" / "world.json").is_file()
    one = json.loads(keim("show", "one.card", "--json", cwd=folder).stdout)
    two = json.loads(keim("show", "two.card", "--json", cwd=folder).stdout)
    assert one["eid"] != two["eid"]
    assert Eid(one["eid"]).has_valid_check_digits
    assert one["trusts"] == two["trusts"]
    assert (one["kind"], two["kind"]) == ("iot", "consumer")
    assert two["default_smdp_address"] == "a.b"
    assert stat.S_IMODE((folder / "one.card").stat().st_mode) == 0o600


def test_show_lists_profiles_and_memory(folder: Path) -> None:
    shown = json.loads(keim("show", "one.card", "--json", cwd=folder).stdout)
    assert [(row["iccid"], row["state"]) for row in shown["profiles"]] == [
        ("8900101000000000027", "enabled"),
        ("8900101000000000035", "disabled"),
    ]
    assert shown["free_octets"] == shown["memory_octets"] - sum(row["octets"] for row in shown["profiles"])
    text = keim("show", "one.card", cwd=folder)
    assert shown["eid"] in text.stdout
    assert text.stderr == ""


def test_a_card_with_a_given_eid_on_both_curves(tmp_path: Path) -> None:
    made = keim("create", "a.card", "--eid", EXAMPLE_EID, "--curve", "both", "--json", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    document = json.loads(made.stdout)
    assert document["eid"] == EXAMPLE_EID
    assert len(document["signs_under"]) == len(document["trusts"]) == 2


def test_apdu_prints_each_exchange(folder: Path) -> None:
    done = keim("apdu", "one.card", "00A40004022FE2", "00B0000000", cwd=folder)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "> 00A40004022FE2"
    assert lines[1].startswith("< 6216")
    assert lines[2:] == ["> 00B0000000", "< 980001010000000020F79000"]
    raw = keim("apdu", "one.card", "--raw", "--json", "00A40004022FE2", cwd=folder)
    assert json.loads(raw.stdout) == [{"apdu": "00A40004022FE2", "response": "6118"}]


def test_a_refusal_by_the_card_is_exit_code_4(folder: Path) -> None:
    assert keim("apdu", "one.card", "00A40004021234", cwd=folder).returncode == 4


def test_a_script_checks_what_it_expects(folder: Path) -> None:
    good = "# read the ICCID\nreset => 3B*\n00A4000C022FE2 => 9000\n00B000000A => 9800 ????*9000\n"
    done = keim("script", "one.card", "-", cwd=folder, given=good)
    assert (done.returncode, done.stderr.strip()) == (0, "3 steps, 0 not as expected")
    (folder / "bad.script").write_text("00A4000C022FE2 => 6A82\n")
    failed = keim("script", "one.card", "bad.script", "--json", cwd=folder)
    assert failed.returncode == 4
    assert json.loads(failed.stdout)[0]["as_expected"] is False


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (("show", "none.card"), 3, "euicc.card_file_not_found"),
        (("create", "one.card"), 2, "euicc.card_file_exists"),
        (("create", "x.card", "--eid", "123"), 2, "request.invalid_eid"),
        (("create", "x.card", "--profile", "none.der"), 3, "euicc.profile_not_found"),
        (
            ("create", "x.card", "--profile", "iot-2-auth.der", "--profile", "iot-2-auth.der"),
            2,
            "euicc.profile_twice",
        ),
        (("create", "x.card", "--profile", "one.card"), 2, "saip.broken_package"),
        (("create", "x.card", "--enable"), 2, "euicc.bad_option"),
        (("create", "x.card", "--channels", "21"), 2, "euicc.bad_option"),
        (("apdu", "one.card", "xx"), 2, "euicc.bad_option"),
        (("apdu", "one.card", "00", "--fail-at-apdu", "-1"), 2, "euicc.bad_option"),
        (("create", "x.card", "--smdp", "no host"), 2, "euicc.bad_option"),
        (("create", "x.card", "--smds", "host:"), 2, "euicc.bad_option"),
        (("create", "x.card", "--memory", "0"), 2, "euicc.bad_option"),
        (("create", "none/x.card"), 3, "euicc.card_file_not_found"),
        (("create", "x.card", "--eid", EXAMPLE_EID), 2, "euicc.eid_of_another_eum"),
        (
            ("create", "x.card", "--profile", "iot-2-auth.der", "--memory", "100"),
            2,
            "euicc.profiles_too_large",
        ),
        (("show", "pki"), 2, "euicc.card_file_unknown"),
        (("apdu", "one.card", "00", "--cut-at-write", "1"), 2, "euicc.bad_option"),
        (("script", "one.card", "none"), 3, "euicc.script_not_found"),
        (("serve", "one.card", "--tcp", "x"), 2, "euicc.bad_option"),
        (("serve", "one.card", "--tcp", "0", "--", "ls"), 2, "euicc.bad_option"),
        (("serve", "one.card", "--vpcd", "127.0.0.1:1"), 8, "euicc.vpcd_unreachable"),
    ],
)
def test_what_cannot_be_done_is_named(
    folder: Path, arguments: tuple[str, ...], code: int, error: str
) -> None:
    done = keim(*arguments, cwd=folder)
    assert error in done.stderr
    assert (done.returncode, done.stdout) == (code, "")
    assert not (folder / "x.card").exists()


@pytest.mark.parametrize("line", ["00A4 => ", "00A4 => xyz", "hello", "00A => 9000"])
def test_a_bad_script_names_its_line(folder: Path, line: str) -> None:
    done = keim("script", "one.card", "-", cwd=folder, given=f"# one\n{line}\n")
    assert done.returncode == 2
    assert "line 2" in done.stderr


def test_fault_controls_cut_the_power_and_the_card_recovers(folder: Path) -> None:
    wrong = "0020000A08" + "00" * 8
    before = keim("apdu", "two.card", "0084000002", cwd=folder)
    assert before.returncode == 0
    cut = keim("apdu", "one.card", wrong, "--cut-at-apdu", "0", "--cut-at-write", "1", cwd=folder)
    assert (cut.returncode, "euicc.power_lost" in cut.stderr) == (1, True)
    asked = keim("apdu", "one.card", "0020000A", cwd=folder)
    assert asked.stdout.splitlines()[1] == "< 63CA"
    failed = keim("apdu", "one.card", "0084000002", "--fail-at-apdu", "0", cwd=folder)
    assert failed.stdout.splitlines()[1] == "< 6F00"


def test_serve_tcp_tells_its_port_and_locks_the_card(folder: Path) -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "keim.cli", "euicc", "serve", "one.card", "--tcp", "0"],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    try:
        assert server.stderr is not None
        port = int(server.stderr.readline().rpartition(":")[2])
        channel = TcpCardChannel("127.0.0.1", port, timeout_s=20)
        assert channel.reset() == DEFAULT_ATR
        assert channel.transmit(bytes.fromhex("0070000001")) == b"\x01\x90\x00"
        busy = keim("show", "one.card", cwd=folder)
        assert (busy.returncode, "euicc.card_file_locked" in busy.stderr) == (2, True)
        channel.close()
    finally:
        server.terminate()
        server.communicate(timeout=20)
