"""`keim pki` as a person uses it: each command is run, its output and its exit code are looked at."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.shared import needs_shared, shared_path

from keim.cli.program import run_command
from keim.error_table import error_rows
from keim.io.pki_files import load_world
from keim.pki import Role
from keim.pki.verdict import Verdict

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: object) -> tuple[int, str, str]:
        try:
            code = run_command(["pki", *map(str, words)])
        except SystemExit as end:
            code = int(end.code or 0)
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


@pytest.fixture
def pki(tmp_path: Path, run: Run) -> Path:
    folder = tmp_path / "pki"
    code, _, _ = run("init", folder)
    assert code == 0
    return folder


def document(result: tuple[int, str, str]) -> Any:
    code, output, errors = result
    assert code == 0, errors
    return json.loads(output)


@pytest.mark.parametrize(("curve", "count"), [("nist", 1), ("brainpool", 1), ("both", 2)])
@pytest.mark.parametrize("variant", ["o", "c"])
def test_init_makes_a_world_in_which_every_chain_is_accepted(
    tmp_path: Path, run: Run, curve: str, count: int, variant: str
) -> None:
    folder = tmp_path / "new" / "pki"
    made = document(run("init", folder, "--curve", curve, "--variant", variant, "--euiccs", 2, "--json"))
    roles = [credential["role"] for credential in made["credentials"]]
    for role in ("euicc", "dp-auth", "dp-pb", "dp-tls", "ds-auth", "ds-tls", "eim-sign", "eim-tls"):
        assert roles.count(role) == count * (2 if role == "euicc" else 1)
    assert roles.count("dp-sub-ca") == (count if variant == "c" else 0)
    for credential in made["credentials"]:
        if credential["role"] in ("ci", "eum") or credential["role"].endswith("sub-ca"):
            continue
        path = folder / credential["curve"] / f"{credential['name']}.pem"
        code, output, errors = run("check", path, "--role", credential["role"], "--dir", folder)
        assert code == 0, errors
        assert output.rstrip().endswith(f"ok: accepted as {credential['role']}")


def test_names_and_eids_are_as_asked_for(tmp_path: Path, run: Run) -> None:
    eid = "89049032123451234512345678901235"
    folder = tmp_path / "pki"
    assert run("init", folder, "--eid", eid, "--smdp", "dp.example", "--eim", "eim.example")[0] == 0
    world = load_world(folder)
    assert [c.eid for c in world.euiccs()] == [eid]
    assert world.get("dp-tls").certificate.alternative_names.dns_names == ("dp.example", "localhost")
    assert world.get("eim-sign").certificate.names.common_name == "eim.example"
    assert run("init", tmp_path / "x", "--eid", eid, "--ein", "8988")[0] == 2
    assert run("init", tmp_path / "x", "--eid", "123")[0] == 2
    assert not (tmp_path / "x").exists()


def test_init_never_overwrites(pki: Path, run: Run, tmp_path: Path) -> None:
    before = (pki / "world.json").read_bytes()
    code, _, errors = run("init", pki)
    assert code == 2
    assert "pki.directory_not_empty" in errors
    assert (pki / "world.json").read_bytes() == before
    assert run("init", pki, "--force")[0] == 0
    assert (tmp_path / "pki.old-1" / "world.json").read_bytes() == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    assert run("init", tmp_path / "other", "--force")[0] == 2


def test_dry_run_writes_nothing(tmp_path: Path, run: Run, pki: Path) -> None:
    assert run("init", tmp_path / "dry", "--dry-run")[0] == 0
    assert not (tmp_path / "dry").exists()
    before = {path: path.read_bytes() for path in pki.rglob("*") if path.is_file()}
    assert run("issue", "dp-auth", "--dir", pki, "--dry-run")[0] == 0
    assert run("rotate", "dp-auth", "--dir", pki, "--dry-run")[0] == 0
    assert run("crl", "--revoke", "dp-auth", "--dir", pki, "--dry-run")[0] == 0
    assert {path: path.read_bytes() for path in pki.rglob("*") if path.is_file()} == before


def test_issue_gives_a_certificate_of_its_own_to_every_role(pki: Path, run: Run) -> None:
    for role in ("dp-auth", "dp-pb", "ds-auth", "eim-sign"):
        assert document(run("issue", role, "--dir", pki, "--json"))["name"] == f"{role}-2"
    for role in ("dp-tls", "ds-tls", "eim-tls"):
        made = document(
            run("issue", role, "--dir", pki, "--dns", "two.example", "--ip", "192.0.2.7", "--json")
        )
        path = pki / "nist" / f"{made['name']}.pem"
        assert run("check", path, "--role", role, "--name", "two.example", "--dir", pki)[0] == 0
        assert run("check", path, "--role", role, "--name", "192.0.2.7", "--dir", pki)[0] == 0
        assert run("check", path, "--role", role, "--name", "three.example", "--dir", pki)[0] == 4
    assert run("issue", "dp-tls", "--dir", pki)[0] == 2, "a TLS certificate needs a name"


def test_eum_of_another_range_certifies_its_own_euiccs(pki: Path, run: Run) -> None:
    eid = "89049032123451234512345678901235"
    code, _, errors = run("issue", "euicc", "--eid", eid, "--dir", pki)
    assert code == 2
    assert "pki.eid_out_of_range" in errors
    assert "89880000" in errors
    assert (
        run("issue", "eum", "--ein", "89049032", "--organization", "Other", "--cn", "E", "--dir", pki)[0] == 0
    )
    assert run("issue", "euicc", "--eid", eid, "--dir", pki)[0] == 0
    code, _, errors = run("issue", "euicc", "--eid", eid, "--dir", pki)
    assert code == 2
    assert "pki.name_taken" in errors
    path = pki / "nist" / "euicc" / f"{eid}.pem"
    assert run("check", path, "--role", "euicc", "--eid", eid, "--dir", pki)[0] == 0
    assert run("check", path, "--role", "euicc", "--eid", "8" * 32, "--dir", pki)[0] == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["issue", "euicc", "--eid", "123"], "32 decimal digits"),
        (["issue", "euicc"], "needs an EID"),
        (["issue", "dp-tls", "--dns", "bad name"], "'bad name' is no DNS name"),
        (["issue", "dp-tls", "--dns", "a..example"], "no DNS name"),
        (["issue", "dp-tls", "--dns", "a.*.example"], "no DNS name"),
        (["issue", "dp-tls", "--dns", ""], "no DNS name"),
        (["issue", "dp-tls", "--dns", "a.example", "--ip", "300.1.1.1"], "300.1.1.1"),
        (["issue", "dp-tls", "--dns", "a.example", "--oid", "xyz"], "not an OID"),
        (["issue", "dp-tls", "--dns", "a.example", "--name", "../evil"], "cannot be a name"),
        (["issue", "dp-tls", "--dns", "a.example", "--days", "0"], "at least one day"),
        (["check", "{pki}/nist/dp-tls.key", "--role", "dp-tls"], "a private key, no certificate"),
        (["check", "{pki}/nist/dp-tls.pem", "--role", "dp-tls", "--eid", "123"], "32 decimal digits"),
        (["check", "{pki}/nist/dp-tls.pem", "--role", "dp-tls", "--oid", "x"], "not an OID"),
        (["check", "{pki}/nist/dp-tls.pem", "--role", "dp-tls", "--crl", "{pki}/world.json"], "of a CRL"),
    ],
)
def test_a_wrong_argument_is_told_and_nothing_is_written(
    pki: Path, run: Run, arguments: list[str], said: str
) -> None:
    before = sorted(pki.rglob("*"))
    code, _, errors = run(*(a.replace("{pki}", str(pki)) for a in arguments), "--dir", pki)
    assert code == 2
    assert said in errors
    assert sorted(pki.rglob("*")) == before


def test_show_of_a_key_says_that_it_is_one_and_shows_nothing_of_it(pki: Path, run: Run) -> None:
    path = pki / "nist" / "eum.key"
    code, output, errors = run("show", path)
    assert code == 2
    assert "a private key, no certificate or CRL" in errors
    assert path.read_text().splitlines()[1] not in output + errors


def test_wrong_check_digits_are_told_and_taken(pki: Path, run: Run) -> None:
    code, _, errors = run("issue", "euicc", "--eid", "89880000000000000000000000000999", "--dir", pki)
    assert code == 0
    assert "wrong check digits" in errors


def test_a_date_in_a_refusal_is_one_that_people_read(pki: Path, run: Run) -> None:
    _, output, _ = run(
        "check", pki / "nist" / "dp-auth.pem", "--role", "dp-auth", "--dir", pki, "--at", "2000-01-01"
    )
    assert re.search(r"it is valid from \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", output)


def test_issue_for_a_request_or_a_public_key_keeps_no_key(pki: Path, run: Run, tmp_path: Path) -> None:
    key, request, public = tmp_path / "k.pem", tmp_path / "r.csr", tmp_path / "p.pem"
    for command in (
        f"ecparam -name prime256v1 -genkey -noout -out {key}",
        f"req -new -key {key} -subj /CN=x -out {request}",
        f"ec -in {key} -pubout -out {public}",
    ):
        subprocess.run(["openssl", *command.split()], check=True, capture_output=True)
    by_request = document(run("issue", "dp-auth", "--csr", request, "--dir", pki, "--json"))
    out = tmp_path / "mine"
    by_key = document(run("issue", "dp-pb", "--public-key", public, "--out", out, "--dir", pki, "--json"))
    assert by_request["key"] is by_key["key"] is False
    assert (tmp_path / "mine.pem").exists()
    assert not (tmp_path / "mine.key").exists()
    world = load_world(pki)
    assert world.get("dp-auth-2").certificate.spki == world.get("dp-pb-2").certificate.spki
    assert run("rotate", "dp-auth-2", "--keep-key", "--dir", pki)[0] == 2
    request.write_bytes(request.read_bytes()[:-60] + b"AAAA" * 10)
    assert run("issue", "dp-auth", "--csr", request, "--dir", pki)[0] == 2
    assert run("issue", "dp-auth", "--csr", key, "--dir", pki)[0] == 2


def test_a_root_of_others_is_trusted_without_its_key_and_replaces_none(
    pki: Path, run: Run, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    run("init", other)
    strangers = ("check", next((other / "nist" / "euicc").glob("*.pem")), other / "nist" / "eum.pem")
    assert run(*strangers, "--role", "euicc", "--dir", pki)[0] == 4
    before = (pki / "ca.pem").read_bytes()
    code, _, errors = run("trust", other / "nist" / "eum.pem", "--dir", pki)
    assert (code, "is no root" in errors) == (2, True)
    assert run("trust", other / "ca.pem", "--dry-run", "--dir", pki)[0] == 0
    assert (pki / "ca.pem").read_bytes() == before
    added = document(run("trust", other / "ca.pem", "--dir", pki, "--json"))["credentials"]
    assert [(one["name"], one["key"]) for one in added] == [("trusted", False)]
    assert document(run("trust", other / "ca.pem", "--dir", pki, "--json"))["credentials"] == []
    assert run(*strangers, "--role", "euicc", "--dir", pki)[0] == 0
    third = tmp_path / "third"
    run("init", third)
    assert (
        document(run("trust", third / "ca.pem", "--dir", pki, "--json"))["credentials"][0]["name"]
        == "trusted-2"
    )
    assert run("issue", "dp-tls", "--dns", "a.example", "--dir", pki)[0] == 0  # by our own CI, as before
    assert len(load_world(pki).roots) == 3


def test_rotate_and_revoke(pki: Path, run: Run, tmp_path: Path) -> None:
    old = load_world(pki).get("dp-tls").certificate
    copy = tmp_path / "old.pem"
    copy.write_bytes(old.pem)
    changed = document(run("rotate", "dp-tls", "--dir", pki, "--json"))
    assert changed["previous"]["serial"] == f"{old.serial:X}"
    assert run("check", copy, "--role", "dp-tls", "--dir", pki)[0] == 0, "the old one stays valid"
    listed = document(
        run("crl", "--revoke", f"{old.serial:X}", "--dir", pki, "--json", "--out", tmp_path / "c")
    )
    assert listed["number"] == 2
    code, output, errors = run("check", copy, "--role", "dp-tls", "--dir", pki)
    assert code == 4
    assert "revoked" in output
    assert "keim explain pki.revoked" in errors
    assert run("check", pki / "nist" / "dp-tls.pem", "--role", "dp-tls", "--dir", pki)[0] == 0
    assert document(run("show", tmp_path / "c", "--json"))["revoked"][0]["serial"] == f"{old.serial:X}"
    assert run("crl", "--revoke", "nobody-here", "--dir", pki)[0] == 3
    assert run("rotate", "nobody", "--dir", pki)[0] == 3


def test_check_prints_the_verdict_per_certificate_and_the_protocols_code(pki: Path, run: Run) -> None:
    world = load_world(pki)
    euicc = world.euiccs()[0]
    path = pki / "nist" / f"{euicc.name}.pem"
    assert run("crl", "--revoke", "eum", "--dir", pki)[0] == 0
    code, output, _ = run("check", path, "--role", "euicc", "--dir", pki)
    assert code == 4
    words = [line.split()[0] for line in output.splitlines()]
    assert words[:3] == ["ok", "revoked", "not"]
    assert "es9: 8.1.2/6.1" in output
    code, output, _ = run("check", path, "--role", "euicc", "--root", pki / "ca.pem", "--json")
    assert code == 0, "without its list nothing is known of the revocation"
    assert [c["verdict"] for c in json.loads(output)["chain"]] == ["ok", "ok", "ok"]


@pytest.mark.parametrize(
    ("time", "code"),
    [("2099-01-01T00:00:00Z", 4), ("2000-01-01", 4), ("yesterday", 2)],
)
def test_check_judges_at_the_time_that_is_given(pki: Path, run: Run, time: str, code: int) -> None:
    path = pki / "nist" / "dp-auth.pem"
    assert run("check", path, "--role", "dp-auth", "--dir", pki, "--at", time)[0] == code
    assert run("check", path, "--role", "dp-auth", "--dir", pki, "--no-clock")[0] == 0


def test_check_without_roots_says_so(tmp_path: Path, pki: Path, run: Run) -> None:
    code, _, errors = run("check", pki / "ca.pem", "--role", "euicc", "--dir", tmp_path / "none")
    assert code == 3
    assert "--root" in errors


@pytest.mark.parametrize("form", ["PEM", "DER"])
def test_show_tells_every_field_that_a_person_needs(pki: Path, run: Run, tmp_path: Path, form: str) -> None:
    world = load_world(pki)
    euicc, eum = world.euiccs()[0].certificate, world.get("eum").certificate
    shown = []
    for certificate in (euicc, eum):
        path = tmp_path / "certificate"
        path.write_bytes(certificate.pem if form == "PEM" else certificate.der)
        shown.append(document(run("show", path, "--json")))
        assert run("show", path)[0] == 0
    assert shown[0]["role"] == "euicc"
    assert shown[0]["eid"] == euicc.names.serial_number
    assert shown[0]["curve"] == "nist"
    assert shown[0]["valid_until"] == "9999-12-31T23:59:59Z"
    assert shown[0]["authority_key_identifier"] == shown[1]["subject_key_identifier"]
    assert shown[1]["eins"] == ["89880000"]
    assert shown[1]["policies"] == ["2.23.146.1.2.1.2"]


def test_show_of_a_directory_lists_all_and_no_key(pki: Path, run: Run) -> None:
    code, output, _ = run("show", pki)
    assert code == 0
    assert len(output.splitlines()) == len(load_world(pki).credentials)
    code, whole, _ = run("show", pki, "--json")
    assert code == 0
    for credential in load_world(pki).credentials:
        scalar = credential.private_key.private_numbers().private_value
        assert f"{scalar:x}" not in (output + whole).lower()


def test_show_refuses_what_is_no_certificate(tmp_path: Path, run: Run, pki: Path) -> None:
    (tmp_path / "x").write_bytes(b"\x30\x03\x02\x01\x01")
    assert run("show", tmp_path / "x")[0] == 2
    assert run("show", pki / "nist" / "dp-auth.key")[0] == 2
    assert run("show", tmp_path / "absent")[0] == 3


def test_commands_find_the_pki_by_the_environment(
    pki: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEIM_PKI", str(pki))
    assert run("issue", "dp-auth")[0] == 0
    assert load_world(pki).find("dp-auth-2") is not None


@needs_shared
@pytest.mark.parametrize("edition", ["original-2020/nist", "generated"])
def test_sgp26_folder_is_imported_and_used(tmp_path: Path, run: Run, edition: str) -> None:
    folder = shared_path("sgp26") if edition == "generated" else shared_path(f"sgp26/{edition}")
    taken = document(
        run("import", folder, "--out", tmp_path / "pki", "--at", "2026-11-20T12:00:00Z", "--json")
    )
    held = {(c["role"], c["curve"]) for c in taken["credentials"] if c["key"]}
    assert {(Role.EUICC, "nist"), (Role.DP_AUTH, "nist"), (Role.DP_PB, "nist"), (Role.EUM, "nist")} <= held
    if edition == "generated":
        assert taken["missing"] == []
        skipped = {Path(entry["file"]).name: entry["reason"] for entry in taken["skipped"]}
        assert skipped["CERT_EUICC_EID_OUT_OF_RANGE.der"].startswith("eid_out_of_range")
    else:
        assert "nist: no eim-sign certificate" in taken["missing"]
    path = tmp_path / "pki" / "nist" / "euicc" / "89049032123451234512345678901235.pem"
    found = run("check", path, "--role", "euicc", "--dir", tmp_path / "pki", "--at", "2026-11-20T12:00:00Z")
    assert found[0] == 0, found


def test_every_verdict_has_words(run: Run) -> None:
    rows = error_rows()
    for verdict in Verdict:
        if verdict is not Verdict.OK:
            assert rows[verdict.code].area == "pki"


def test_help_imports_nothing_heavy() -> None:
    """The parsers must not cost the start of every other command."""
    code = (
        "import sys; from keim.cli.program import run_command\n"
        "try: run_command(['pki', '--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in sys.modules if m.startswith(('cryptography', 'keim.pki', 'keim.io', 'msgspec'))])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert result.stdout.splitlines()[-1] == "[]"
