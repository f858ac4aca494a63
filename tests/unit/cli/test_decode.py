"""`keim decode`: every form of input, what is shown, what is said of bad input."""

from __future__ import annotations

import base64
import io
import json
import random
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.vectors.loading import DATA

from keim import messages as m
from keim.cli.decode.apdus import status_text
from keim.cli.program import run_command
from keim.crypto.ecdsa import MemorySigner
from keim.crypto.signed import other_notification_tbs
from keim.der import tlv
from keim.pki.world import WorldPlan, create_world, example_eids

EID = "89049032123451234512345678901235"
POLL = f"bf4f125a10{EID}"


def decode(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run_command(["decode", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def decoded_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code, out, _ = decode(capsys, *arguments, "--json")
    return code, json.loads(out)


def test_an_empty_request_is_explained_by_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = decode(capsys, "BF5100")
    assert code == 2
    assert "bf 51 00" in out
    assert "euiccPackageSigned is missing (offset 3)" in err
    assert "no alternative of EuiccPackageResult" in err


@pytest.mark.parametrize(
    "text",
    [POLL, POLL.upper(), " ".join(POLL[i : i + 2] for i in range(0, len(POLL), 2)), "0x" + POLL,
     ":".join(POLL[i : i + 2] for i in range(0, len(POLL), 2)),
     base64.b64encode(bytes.fromhex(POLL)).decode(),
     base64.urlsafe_b64encode(bytes.fromhex(POLL)).decode().rstrip("=")],
)  # fmt: skip
def test_hex_and_base64_are_understood(capsys: pytest.CaptureFixture[str], text: str) -> None:
    code, document = decoded_json(capsys, text)
    assert code == 0
    assert document["objects"][0]["value"] == {"eidValue": {"hex": EID}}


def test_files_and_stdin_are_understood(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "binary").write_bytes(bytes.fromhex(POLL))
    (tmp_path / "text").write_text(POLL + "\n")
    for name in ("binary", "text"):
        code, document = decoded_json(capsys, str(tmp_path / name))
        assert (code, document["objects"][0]["type"]) == (0, "GetEimPackageRequest")
    stdin = io.TextIOWrapper(io.BytesIO(bytes.fromhex(POLL)))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert decoded_json(capsys, "-")[1]["objects"][0]["type"] == "GetEimPackageRequest"


def test_offsets_lengths_and_names_stand_in_the_tree(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = decode(capsys, POLL)
    assert code == 0
    assert "0003    5a 10  eidValue  89049032123451234512345678901235" in out
    _, document = decoded_json(capsys, POLL)
    assert document["objects"][0]["tree"]["children"] == [
        {
            "name": "eidValue", "type": "OCTETS", "tag": "5A", "offset": 3, "header": "5a10", "length": 16,
            "octets": EID, "value": EID,
        }
    ]  # fmt: skip


def test_several_objects_stand_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    _, document = decoded_json(capsys, POLL + "bf50023000" + POLL)
    found = [(part["offset"], part["type"]) for part in document["objects"]]
    assert found == [
        (0, "GetEimPackageRequest"),
        (21, "ProvideEimPackageResultResponse"),
        (26, "GetEimPackageRequest"),
    ]


def test_nothing_is_dropped_that_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    unknown = "bf4f165a10" + EID + "9e020102"
    code, document = decoded_json(capsys, unknown)
    tags = [child["tag"] for child in document["objects"][0]["tree"]["children"]]
    assert (code, tags) == (0, ["5A", "9E"])
    code, out, _err = decode(capsys, "bf7f0480020102" + "ff")
    assert "0102" in out
    assert "no TLV" in out
    assert code == 2


def test_a_deviation_of_a_peer_is_read_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = decode(capsys, "bf5000")
    assert code == 0
    assert "deviations that are tolerated" in out
    code, _, err = decode(capsys, "bf5000", "--strict")
    assert code == 2
    assert "ProvideEimPackageResult" in err


def test_a_type_can_be_named_and_is_corrected_when_mistyped(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = decode(capsys, "--type", "pprids", "03020560")
    assert (code, "ppr1, ppr2" in out) == (0, True)
    code, _, err = decode(capsys, "--type", "PprId", "03020560")
    assert (code, "did you mean: PprIds" in err) == (2, True)
    code, _, err = decode(capsys, "--type", "PprIds", POLL)
    assert (code, "expected" in err) == (2, True)


def test_types_and_generated_source_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = decode(capsys, "--types")
    assert (code, "EuiccPackageRequest" in out.splitlines()) == (0, True)
    code, out, _ = decode(capsys, "--source", "EuiccPackageSigned")
    assert (code, "def contents_EuiccPackageSigned" in out) == (0, True)
    compile(out, "printed", "exec")


def test_a_command_apdu_is_told_from_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    code, document = decoded_json(capsys, "80E2910006BF3E035C015A")
    assert code == 0
    apdu = document["objects"][0]
    assert (apdu["direction"], apdu["name"]) == ("command", "STORE DATA")
    assert apdu["objects"][0]["type"] == "GetEuiccDataRequest"


def test_a_response_apdu_is_told_from_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    code, document = decoded_json(capsys, f"BF3E125A10{EID}9000")
    response = document["objects"][0]
    assert (code, response["status"], response["meaning"]) == (0, "9000", "done")
    assert response["objects"][0]["type"] == "GetEuiccDataResponse"
    assert decoded_json(capsys, "6A82")[1]["objects"][0]["meaning"] == "file or application not found"


LOG = f"""modem says hello
-> 00A4040010A0000005591010FFFFFFFF8900000100
<- 6116
-> 80E2110003BF2B05
-> 80E2910104A0038001
<- 9000
-> 80E2910006BF3E035C015A
<- BF3E125A10 6103
-> 80C0000003
<- {EID}9000
"""


def test_a_log_is_shown_exchange_by_exchange_with_objects_put_together(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "log").write_text(LOG)
    _, document = decoded_json(capsys, str(tmp_path / "log"))
    parts = document["objects"]
    assert parts[0]["text"] == "modem says hello"
    assert [part.get("name") or part.get("status") for part in parts[1:3]] == ["SELECT", "6116"]
    types = [item["type"] for part in parts for item in part.get("objects", [])]
    assert types == [None, "GetEuiccDataRequest", "GetEuiccDataResponse"]
    code, out, _err = decode(capsys, str(tmp_path / "log"))
    assert code == 2  # the searched sequence number of the BF2B is cut off
    assert "SELECT" in out


def test_the_protocol_of_lpac_is_a_log_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        {"type": "apdu", "payload": {"func": "transmit", "param": "80E2910006BF3E035C015A"}},
        {"type": "apdu", "payload": {"ecode": 0, "data": f"BF3E125A10{EID}9000"}},
    ]
    text = "\n".join(map(json.dumps, lines)).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    code, document = decoded_json(capsys)
    assert code == 0
    assert [part["direction"] for part in document["objects"]] == ["command", "response"]


@pytest.mark.parametrize("text", ["", "zz", "123", "no such file", "bf4f\x00", "é", "QUJD*"])
def test_unusable_input_is_named(capsys: pytest.CaptureFixture[str], text: str) -> None:
    code, out, err = decode(capsys, text)
    assert (code, out) == (2, "")
    assert "codec.unreadable_input" in err


def test_an_empty_stdin_is_unusable_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    code, _, err = decode(capsys)
    assert (code, "nothing was given" in err) == (2, True)


def test_readable_forms_stand_beside_octets(capsys: pytest.CaptureFixture[str]) -> None:
    info = m.ProfileInfoListResponse(
        profile_info_list_ok=(m.ProfileInfo(iccid=bytes.fromhex("98445001201938408246")),)
    )
    _, out, _ = decode(capsys, info.encode().hex())
    assert "89440510029183042864" in out
    _, out, _ = decode(capsys, "bf2d055c035a9f70")
    assert "5A 9F70" in out


@pytest.mark.parametrize(("forged", "outcome"), [(False, "good"), (True, "bad")])
def test_a_signature_beside_its_certificate_is_verified(
    capsys: pytest.CaptureFixture[str], forged: bool, outcome: str
) -> None:
    world = create_world(WorldPlan(eids=tuple(example_eids(1))), now=datetime(2026, 11, 20, tzinfo=UTC))
    card = world.euiccs()[0]
    assert card.key is not None
    metadata = m.NotificationMetadata(
        seq_number=3,
        profile_management_operation=m.NotificationEvent.NOTIFICATION_ENABLE,
        notification_address="smdp.example.com",
    )
    notification = m.OtherSignedNotification(
        tbs_other_notification=metadata.replace(seq_number=4) if forged else metadata,
        euicc_notification_signature=MemorySigner("card", card.curve.domain, card.key).sign(
            other_notification_tbs(metadata.encode())
        ),
        euicc_certificate=card.certificate.der,
        eum_certificate=card.chain[0].der,
    )
    _, document = decoded_json(capsys, notification.encode().hex())
    (check,) = document["objects"][0]["checks"]
    assert (check["what"], check["outcome"]) == ("euiccNotificationSignature", outcome)


@pytest.mark.parametrize("command", [["decode"], ["decode", "--json"]])
def test_a_closed_pipe_is_no_error(command: list[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "keim.cli", *command, POLL * 2000],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=30) == 0


def test_what_needs_a_key_is_said_to_be_open(capsys: pytest.CaptureFixture[str]) -> None:
    entry = next(
        entry
        for entry in json.loads((DATA / "objects.json").read_text())["entries"]
        if entry["type"] == "EuiccPackageRequest" and not entry.get("invalid")
    )
    _, document = decoded_json(capsys, entry["der"])
    (check,) = document["objects"][0]["checks"]
    assert (check["what"], check["outcome"]) == ("eimSignature", "open")
    assert "association token" in check["why"]


@pytest.mark.parametrize("status", [0x6110, 0x6C05, 0x910A, 0x63C2, 0x6300, 0x9F10, 0x6A82])
def test_status_words_have_words(status: int) -> None:
    assert status_text(status)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(min_size=1, max_size=64), st.text(max_size=64)), st.booleans())
def test_nothing_that_is_given_ends_in_a_traceback(
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
    content: bytes | str,
    as_json: bool,
) -> None:
    path = tmp_path_factory.getbasetemp() / f"{random.getrandbits(32)}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    code, out, err = decode(capsys, str(path), *(["--json"] if as_json else []))
    path.unlink()
    assert code in (0, 2)
    assert "Traceback" not in err
    if as_json and out:
        json.loads(out)


def test_bits_beyond_any_tag_are_shown_as_tlv(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = decode(capsys, tlv(0x9F81, b"\x01").hex().replace("9f81", "9f8101"))
    assert code in (0, 2)
    assert out
