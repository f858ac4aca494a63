"""`keim euicc serve --stdio` driven as lpac drives it: list, nickname, enable, disable, delete,
notifications.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e import lpac_client
from tests.e2e.lpac_client import LpacClient
from tests.unit.euicc.cards import EID, identity, package

from keim.app.new_card import preloaded
from keim.euicc.identity import Identity
from keim.io.card_file import CardFile

FIRST, SECOND = "980001010000000020F7", "980001010000000030F5"


def make_card(
    folder: Path, made: Identity | None = None, names: tuple[str, ...] = ("iot-2-auth", "iot-3-mnosd")
) -> Path:
    path = folder / "one.card"
    state = preloaded((package(name) for name in names), is_first_enabled=True)
    CardFile.create(path, made if made is not None else identity(), state).close()
    return path


def serve(path: Path, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "keim.cli", "euicc", "serve", str(path), "--stdio", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )


@pytest.fixture
def client(tmp_path: Path) -> Iterator[LpacClient]:
    server = serve(make_card(tmp_path))
    assert server.stdin is not None
    assert server.stdout is not None
    made = LpacClient(server.stdin, server.stdout)
    made.open()
    yield made
    made.close()
    out, err = server.communicate(timeout=20)
    assert (server.returncode, out, err) == (0, "", "")


def states(client: LpacClient) -> dict[str, int]:
    """ICCID -> state, from the list of profiles (E3 entries with 5A and 9F70)."""
    listed = bytes.fromhex(client.es10("BF2D00"))
    found = {}
    for iccid in (FIRST, SECOND):
        at = listed.find(b"\x5a\x0a" + bytes.fromhex(iccid))
        if at >= 0:
            state = listed.index(b"\x9f\x70\x01", at)
            found[iccid] = listed[state + 3]
    return found


def test_chip_info_and_list(client: LpacClient) -> None:
    assert client.es10("BF3E035C015A") == f"BF3E125A10{EID}"
    assert client.es10("BF3C00").startswith("BF3C")
    assert client.es10("BF2200").startswith("BF22")
    assert states(client) == {FIRST: 1, SECOND: 0}


def test_enable_disable_nickname_delete(client: LpacClient) -> None:
    assert client.es10(f"BF3111A00C5A0A{SECOND}810100") == "BF3103800100"
    assert states(client) == {FIRST: 0, SECOND: 1}
    assert client.es10(f"BF3111A00C5A0A{SECOND}810100") == "BF3103800102"
    assert client.es10(f"BF3211A00C5A0A{SECOND}810100") == "BF3203800100"
    assert states(client) == {FIRST: 0, SECOND: 0}
    assert client.es10(f"BF29125A0A{FIRST}9004746573 74".replace(" ", "")) == "BF2903800100"
    assert "90047465" in client.es10("BF2D00")
    assert client.es10(f"BF330C5A0A{SECOND}") == "BF3303800100"
    assert client.es10(f"BF330C5A0A{SECOND}") == "BF3303800101"
    assert states(client) == {FIRST: 0}


def test_a_long_list_is_chained(tmp_path: Path) -> None:
    """Blocks of 120 octets in, several GET RESPONSE out."""
    server = serve(make_card(tmp_path, names=("iot-2-auth", "iot-3-mnosd", "iot-4-opt", "usim-6-classic")))
    assert server.stdin is not None
    assert server.stdout is not None
    client = LpacClient(server.stdin, server.stdout)
    client.open()
    listed = client.es10("BF2D00")
    assert len(listed) // 2 > 255 or listed.count("5A0A98") == 4
    long_request = "BF2D" + "8181" + "5C7F" + "5A" * 127
    assert client.es10(long_request).startswith("BF2D")
    client.close()
    server.communicate(timeout=20)


BAD_REQUESTS = [
    '{"type":"apdu"}',
    '{"type":"apdu","payload":null}',
    '{"type":"apdu","payload":[]}',
    '{"type":"apdu","payload":{"func":"fly","param":null}}',
    '{"type":"apdu","payload":{"func":"transmit","param":"xyz"}}',
    '{"type":"apdu","payload":{"func":"logic_channel_open","param":"a000000001"}}',
    '{"type":"apdu","payload":{"func":"logic_channel_close","param":"07"}}',
    '{"type":"apdu","payload":{"func":"logic_channel_close","param":""}}',
]
OTHERS = ['{"type":"progress","payload":{}}', "no JSON", "[]"]


def test_bad_requests_fail_and_the_session_goes_on(tmp_path: Path) -> None:
    server = serve(make_card(tmp_path))
    requests = [
        '{"type":"apdu","payload":{"func":"connect","param":null}}',
        *BAD_REQUESTS,
        *OTHERS,
        '{"type":"apdu","payload":{"func":"transmit","param":"0070000001"}}',
    ]
    out, err = server.communicate("\n".join(requests) + "\n", timeout=20)
    answers = [json.loads(answer)["payload"] for answer in out.splitlines()]
    assert [answer["ecode"] for answer in answers] == [0, *(-1 for _ in BAD_REQUESTS), 0]
    assert answers[-1]["data"] == "019000"
    assert err.splitlines() == OTHERS


def test_a_client_is_started_with_crossed_pipes(tmp_path: Path) -> None:
    server = serve(make_card(tmp_path), "--", sys.executable, lpac_client.__file__)
    out, err = server.communicate(timeout=30)
    assert (server.returncode, err) == (0, "")
    result = json.loads(out)
    assert result["type"] == "lpa"
    assert f"5A0A{FIRST}" in result["payload"]["data"]


@pytest.mark.parametrize(("command", "code"), [(("/bin/sh", "-c", "exit 7"), 7), (("/nowhere/lpac",), 8)])
def test_the_clients_exit_code_is_ours(tmp_path: Path, command: tuple[str, ...], code: int) -> None:
    server = serve(make_card(tmp_path), "--", *command)
    server.communicate(timeout=20)
    assert server.returncode == code


def test_what_an_lpa_changed_is_on_the_disk(tmp_path: Path) -> None:
    path = make_card(tmp_path)
    server = serve(path)
    assert server.stdin is not None
    assert server.stdout is not None
    client = LpacClient(server.stdin, server.stdout)
    client.open()
    assert client.es10(f"BF3111A00C5A0A{SECOND}810100") == "BF3103800100"
    server.kill()
    server.communicate(timeout=20)
    with CardFile.open(path) as opened:
        enabled = opened.reload().enabled_profile
        assert enabled is not None
        assert enabled.iccid.hex().upper() == SECOND
