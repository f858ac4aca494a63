"""`keim profile` as people call it: every verb, its output, its files and its exit codes."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.vectors.profile_data import package_octets

from keim.cli.program import run_command
from keim.ids import Iccid
from keim.messages.profile import StoreMetadataRequest
from keim.saip import Package, instantiate, scan_of
from keim.saip.rules.catalogue import RULES
from keim.saip.scan import scan_document

TOML = """
iccid = "890010100000000012"
imsi = "001010000000012"
algorithm = "milenage"
ki = "8F1E2D3C4B5A69788796A5B4C3D2E1F0"
opc = "0F1E2D3C4B5A69788796A5B4C3D2E1F0"
name = "Acme Meters"
"""
SECRETS = ("8F1E2D3C4B5A6978", "0F1E2D3C4B5A6978")
Keim = Callable[..., tuple[int, str, str]]


@pytest.fixture
def keim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Keim:
    """Runs a command in an empty folder with profile.toml: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    Path("profile.toml").write_text(TOML)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = run_command(("profile", *arguments))
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return int(code), said.out, said.err

    return run


def test_new_writes_a_package_for_the_owner_only(keim: Keim) -> None:
    code, out, err = keim("new", "--from", "profile.toml", "-o", "a.der")
    assert (code, out) == (0, "")
    assert "239 octets, ICCID 8900101000000000126" in err
    assert stat.S_IMODE(Path("a.der").stat().st_mode) == 0o600
    assert [path.name for path in Path().iterdir() if path.name.startswith(".")] == []
    package = Package.decode(Path("a.der").read_bytes())
    assert package.iccid == "8900101000000000126"


@pytest.mark.parametrize(
    ("arguments", "size", "kind"),
    [((), 239, "iot"), (("--smallest",), 148, "iot"), (("--shape", "full"), 1364, "mf")],
)
def test_new_knows_its_shapes(keim: Keim, arguments: tuple[str, ...], size: int, kind: str) -> None:
    code, out, _ = keim("new", "--from", "profile.toml", "-o", "a.der", "--json", *arguments)
    document = json.loads(out)
    assert (code, document["size"], document["elements"][1]["element"]) == (0, size, kind)
    assert sum(element["size"] for element in document["elements"]) == size == Path("a.der").stat().st_size


@pytest.mark.parametrize(
    ("change", "word"),
    [("ki =", "ki"), ('colour = "red"\nki =', "colour"), ("ki = ki =", "TOML")],
)
def test_new_names_the_key_that_is_wrong(keim: Keim, change: str, word: str) -> None:
    Path("profile.toml").write_text(TOML.replace("ki =", change, 1).replace("8F1E2D3C", "8F1E2D", 1))
    code, _, err = keim("new", "--from", "profile.toml", "-o", "a.der")
    assert code == 2
    assert word in err
    assert "saip.bad_recipe" in err
    assert not Path("a.der").exists()


def test_files_that_are_not_there_are_told(keim: Keim) -> None:
    assert keim("new", "--from", "none.toml", "-o", "a.der")[0] == 3
    assert keim("show", "none.der")[0] == 3
    assert keim("lint", "none.der")[0] == 3
    assert keim("new", "--from", "profile.toml", "-o", "no/such/folder/a.der")[0] == 2


def table(rows: int, broken: int | None = None) -> None:
    lines = ["iccid,imsi,ki,opc"]
    for number in range(rows):
        key = "xx" if number == broken else f"{number:030d}A7"
        lines.append(f"8900101{number:011d},00101{number:010d},{key},{'B8' * 16}")
    Path("table.csv").write_text("\n".join(lines) + "\n")


def test_a_table_makes_one_package_for_each_row(keim: Keim) -> None:
    table(3)
    code, out, err = keim("new", "--from", "profile.toml", "--csv", "table.csv", "-o", "made", "--json")
    assert (code, json.loads(out)["made"]) == (0, 3)
    assert "3 packages in made" in err
    for path in Path("made").iterdir():
        package = Package.decode(path.read_bytes())
        assert path.stem == package.iccid
        assert instantiate(package).profile_type == "Acme Meters"


def test_a_bad_row_is_told_and_the_rest_is_made(keim: Keim) -> None:
    table(3, broken=1)
    code, out, _ = keim("new", "--from", "profile.toml", "--csv", "table.csv", "-o", "made", "--jsonl")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 7
    assert [line["type"] for line in lines] == ["result", "error", "result"]
    assert lines[1]["row"] == 2
    assert len(list(Path("made").iterdir())) == 2


def test_a_table_changes_copies_of_a_package(keim: Keim) -> None:
    table(2)
    keim("new", "--from", "profile.toml", "--shape", "full", "-o", "a.der")
    assert keim("new", "--template", "a.der", "--csv", "table.csv", "-o", "made")[0] == 0
    made = [Package.decode(path.read_bytes()) for path in sorted(Path("made").iterdir())]
    assert [len(package) for package in made] == [11, 11]
    assert keim("new", "--template", "a.der", "-o", "b.der")[0] == 2


def test_progress_and_memory_hold_for_many_rows(keim: Keim) -> None:
    table(1001)
    code, _, err = keim("new", "--from", "profile.toml", "--smallest", "--csv", "table.csv", "-o", "made")
    assert code == 0
    assert "1000 rows, " in err
    assert err.rstrip().endswith("1001 packages in made")


def test_show_prints_elements_costs_and_decoded_files_without_secrets(keim: Keim) -> None:
    keim("new", "--from", "profile.toml", "-o", "a.der")
    code, out, _ = keim("show", "a.der")
    assert code == 0
    for text in ("239 octets", "akaParameter", "23.0 %", "001010000000012", "services 33, 85", "ADF.USIM"):
        assert text in out
    assert not any(secret in out for secret in SECRETS)
    assert all(secret in keim("show", "--show-secrets", "a.der")[1] for secret in SECRETS)
    assert "ef-imsi" in keim("show", "--fields", "--elements", "a.der")[1]


def test_show_as_json_has_elements_and_files(keim: Keim) -> None:
    Path("a.der").write_bytes(package_octets("usim-6-classic"))
    document = json.loads(keim("show", "--json", "a.der")[1])
    assert (document["size"], document["kind"], document["version"]) == (1013, "full", "2.3")
    assert sum(element["size"] for element in document["elements"]) == 1013
    files = {file["path"]: file for file in document["files"]}
    assert files["ADF.USIM/6F07"]["meaning"] == "001010000000006"
    assert files["MF/2F00"]["access"] == "read always, update ADM1"
    assert not any(secret in json.dumps(document) for secret in ("00112233445566778899AABBCCDDEEFF",))


def test_show_reads_hexadecimal_text_and_tells_when_no_card_would_install(keim: Keim) -> None:
    octets = package_octets("iot-2-auth")
    Path("a.hex").write_text(octets.hex() + "\n")
    assert keim("show", "a.hex")[0] == 0
    Path("b.der").write_bytes(octets[:-9])
    code, out, err = keim("show", "b.der")
    assert code == 0
    assert "akaParameter" in out
    assert "no card would install this: ORD-END" in err


def test_a_broken_package_names_element_tag_offset_and_rule(keim: Keim) -> None:
    Path("a.der").write_bytes(package_octets("iot-2-auth")[:-3])
    code, out, err = keim("show", "a.der", "--json")
    assert (code, out) == (2, "")
    error = json.loads(err)["error"]
    assert error["code"] == "saip.broken_package"
    assert error["message"].startswith("DER: element 3, tag AA, offset ")
    assert error["offset"] == 139


def test_lint_exits_with_5_for_errors_and_0_for_warnings(keim: Keim) -> None:
    keim("new", "--from", "profile.toml", "-o", "a.der")
    code, out, err = keim("lint", "a.der")
    assert code == 0
    assert "a.der: warning SD-NONE" in out
    assert "fix: " in out
    assert "0 errors, 1 warnings in 1 package(s)" in err
    assert keim("lint", "--strict", "a.der")[0] == 5
    assert keim("lint", "--strict", "--ignore", "SD-NONE", "a.der")[0] == 0
    assert keim("lint", "--budget", "100", "a.der")[1].count("SIZE-BUDGET") == 1
    Path("b.der").write_bytes(Path("a.der").read_bytes()[:-3])
    assert keim("lint", "a.der", "b.der")[0] == 5
    assert keim("lint", "--ignore", "NO-RULE", "a.der")[0] == 2
    assert keim("lint")[0] == 2


def test_lint_writes_json_sarif_and_its_rules(keim: Keim) -> None:
    keim("new", "--from", "profile.toml", "-o", "a.der")
    (entry,) = json.loads(keim("lint", "--json", "a.der")[1])
    assert [finding["rule"] for finding in entry["findings"]] == ["SD-NONE"]
    document = json.loads(keim("lint", "--sarif", "a.der")[1])
    assert document["runs"][0]["results"][0]["ruleId"] == "SD-NONE"
    assert [line.split()[0] for line in keim("lint", "--rules")[1].splitlines()] == list(RULES)


def test_edit_changes_what_it_names_and_diff_shows_it(keim: Keim) -> None:
    keim("new", "--from", "profile.toml", "-o", "a.der")
    code, _, err = keim(
        "edit", "a.der", "--imsi", "001010000000099", "--file", "ADF.USIM/EF.HPPLMN=14", "-o", "b.der"
    )
    assert code == 0
    assert "changed: iot" in err
    code, out, _ = keim("diff", "a.der", "b.der", "--json")
    assert code == 0
    assert {item["item"] for item in json.loads(out)} == {"ADF.USIM/6F07", "ADF.USIM/6F78", "ADF.USIM/6F31"}
    assert keim("diff", "--exit-code", "a.der", "b.der")[0] == 7
    assert keim("diff", "--exit-code", "a.der", "a.der") == (0, "", "")
    assert keim("edit", "a.der", "--file", "ADF.USIM/6F99=00", "-o", "c.der")[0] == 3
    assert keim("edit", "a.der", "--pin", "1234", "-o", "c.der")[0] == 2
    assert not Path("c.der").exists()


def test_edit_tells_what_lint_newly_finds(keim: Keim) -> None:
    keim("new", "--from", "profile.toml", "--shape", "full", "-o", "a.der")
    _, _, err = keim("edit", "a.der", "--file", "MF/EF.ICCID=00112233445566778899", "-o", "b.der")
    assert "new error ICCID-MATCH" in err


def test_metadata_are_printed_and_written(keim: Keim) -> None:
    keim("new", "--from", "profile.toml", "-o", "a.der")
    arguments = ("--notify", "smdp.example", "--ppr", "ppr2", "--fallback-allowed", "--class", "test")
    code, out, _ = keim("metadata", "a.der", "-o", "a.metadata", "--json", *arguments)
    document = json.loads(out)
    assert code == 0
    assert (document["iccid"], document["owner"], document["policy_rules"]) == (
        "8900101000000000126",
        "00101",
        ["ppr2"],
    )
    request = StoreMetadataRequest.decode(Path("a.metadata").read_bytes())
    assert Iccid.from_octets(request.iccid) == "8900101000000000126"
    assert request.fallback_allowed is True


def test_compare_takes_a_scan_or_a_package(keim: Keim) -> None:
    keim("new", "--from", "profile.toml", "--shape", "full", "-o", "a.der")
    keim("edit", "a.der", "--name", "Other", "-o", "b.der")
    scan: dict[str, Any] = scan_document(scan_of(instantiate(Package.decode(Path("b.der").read_bytes()))))
    Path("scan.json").write_text(json.dumps(scan))
    for card in ("scan.json", "b.der"):
        code, out, err = keim("compare", card, "a.der", "--json")
        assert code == 7
        assert [item["item"] for item in json.loads(out)] == ["ADF.USIM/6F46"]
        assert "1 differs" in err
    assert keim("compare", "a.der", "a.der")[:2] == (0, "")
    Path("scan.json").write_text("{")
    assert keim("compare", "scan.json", "a.der")[0] == 2


def test_every_verb_has_help(keim: Keim) -> None:
    for verb in ("new", "show", "lint", "diff", "edit", "metadata", "compare"):
        code, out, _ = keim(verb, "--help")
        assert code == 0
        assert f"profile {verb}" in out
