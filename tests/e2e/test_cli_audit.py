"""`keim audit` as an auditor uses it; and once in an environment that holds nothing but the base wheel."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.card_lab import EID, NOW, iccid, world
from tests.shared import ROOT
from tests.unit.audit.audit_world import AuditedLab, enable, human, log_signer, plain_leaf

from keim.audit.append import append
from keim.audit.checkpoint import Checkpoint
from keim.audit.export import export
from keim.audit.leaf import leaf
from keim.audit.proofs import check_consistency, check_inclusion, consistency_proof, inclusion_proof
from keim.audit.tree import Edge
from keim.cli.program import run_command
from keim.errors import Refused
from keim.io.audit_files import LogDirectory, create_log_key, read_log_key, write_export

Run = Callable[..., tuple[int, str, str]]
LEAVES = 6


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: object) -> tuple[int, str, str]:
        try:
            code = run_command(["audit", *map(str, words)])
        except SystemExit as end:
            code = int(end.code or 0)
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an export, its CI, the log's key, and a checkpoint of half of the log."""
    folder = tmp_path_factory.mktemp("audit")
    lab = AuditedLab()
    lab.download(1)
    lab.download(2)
    lab.perform(enable(iccid(1)))
    lab.log.publish()
    lab.perform(enable(iccid(2)))
    lab.report_notifications()
    lab.note("order_placed", actor="alice", eid=None, detail=b'{"why":"test"}')
    (folder / "audit.tar").write_bytes(lab.exported())
    (folder / "kept").write_bytes(lab.log.notes[0])
    (folder / "ci.der").write_bytes(world().get("ci").certificate.der)
    (folder / "other.der").write_bytes(world().get("eum").certificate.der)
    (folder / "log.pub").write_text(lab.log.key.text + "\n")
    return folder


def bent(folder: Path, target: Path, needle: bytes) -> Path:
    octets = (folder / "audit.tar").read_bytes()
    place = octets.index(needle)
    target.write_bytes(octets[:place] + bytes([octets[place] ^ 1]) + octets[place + 1 :])
    return target


# ---- verify


def test_verify_says_which_profile_was_enabled_when(folder: Path, run: Run) -> None:
    code, output, _ = run(
        "verify", folder / "audit.tar", "--root", folder / "ci.der", "--log-key", folder / "log.pub"
    )
    assert code == 0
    first, second, verdict = output.splitlines()
    assert first == (
        f"eUICC {EID}  profile {human(iccid(1))}  enabled "
        "from 2026-11-20T12:01:00Z..2026-11-20T12:02:00Z (enable)  "
        "to 2026-11-20T12:03:00Z..2026-11-20T12:04:00Z (enable)"
    )
    assert second.endswith("still, by its last proof")
    assert verdict.startswith("PASS eim.example.com/audit: 6 of 6 leaves, 2 checkpoints, ")


def test_verify_says_clearly_when_trust_comes_from_the_file_itself(folder: Path, run: Run) -> None:
    code, output, _ = run("verify", folder / "audit.tar")
    assert code == 0
    assert "the CI certificates come from the file itself: " in output
    assert world().get("ci").certificate.fingerprint.hex() in output
    assert "the log's key comes from the file itself: eim.example.com/audit+" in output


def test_verify_names_the_altered_leaf_and_exits_with_4(folder: Path, tmp_path: Path, run: Run) -> None:
    path = bent(folder, tmp_path / "bent.tar", b'{"why"')
    code, output, errors = run("verify", path, "--root", folder / "ci.der")
    assert code == 4
    assert "fault audit.leaf_altered  leaf 5: leaf 5 is not what was logged" in output
    assert "altered leaves: 5" in output
    assert "keim explain audit.leaf_altered" in errors


def test_verify_tells_the_same_as_json(folder: Path, tmp_path: Path, run: Run) -> None:
    code, output, _ = run("verify", folder / "audit.tar", "--root", folder / "ci.der", "--json")
    document = json.loads(output)
    assert (code, document["verdict"], document["leaves"], document["faults"]) == (0, "pass", 6, [])
    assert [period["iccid"] for period in document["periods"]] == [human(iccid(1)), human(iccid(2))]
    code, output, _ = run("verify", bent(folder, tmp_path / "bent.tar", b'{"why"'), "--json")
    document = json.loads(output)
    assert (code, document["verdict"], document["altered"]) == (4, "fail", [5])
    assert document["faults"][0]["code"] == "audit.leaf_altered"


def test_verify_streams_json_lines(folder: Path, run: Run) -> None:
    code, output, _ = run("verify", folder / "audit.tar", "--jsonl", "--root", folder / "ci.der")
    lines = [json.loads(line) for line in output.splitlines()]
    assert code == 0
    assert [line["type"] for line in lines] == ["progress", "progress", "result"]
    assert lines[-1]["verdict"] == "pass"


def test_verify_can_be_asked_about_one_euicc(folder: Path, run: Run) -> None:
    _, output, _ = run("verify", folder / "audit.tar", "--eid", EID, "--json")
    assert len(json.loads(output)["periods"]) == 2
    _, output, _ = run("verify", folder / "audit.tar", "--eid", "8" * 32, "--json")
    assert json.loads(output)["periods"] == []


def test_verify_under_another_ci_fails(folder: Path, run: Run) -> None:
    code, output, _ = run("verify", folder / "audit.tar", "--root", folder / "other.der")
    assert code == 4
    assert "audit.chain_refused  leaf 1:" in output


def test_verify_compares_with_a_checkpoint_that_was_kept(folder: Path, tmp_path: Path, run: Run) -> None:
    words = ("verify", folder / "audit.tar", "--log-key", folder / "log.pub", "--checkpoint")
    assert run(*words, folder / "kept")[0] == 0
    signer = log_signer()
    (tmp_path / "other").write_bytes(Checkpoint(signer.key.name, 2, bytes(32)).signed(signer))
    code, output, _ = run(*words, tmp_path / "other")
    assert code == 4
    assert "audit.not_consistent" in output
    assert run("verify", folder / "audit.tar", "--checkpoint", folder / "kept")[0] == 2


def test_verify_reads_a_pipe(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO((folder / "audit.tar").read_bytes()))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert run("verify", "-", "--root", folder / "ci.der")[0] == 0


@pytest.mark.parametrize(
    ("words", "code"),
    [(("verify", "absent.tar"), 3), (("verify", "x", "--log-key", "nonsense"), 2),
     (("show", "absent.tar"), 3), (("prove", "absent.tar", "0"), 3),
     (("export", "absent", "x.tar"), 3), ((), 2)],
)  # fmt: skip
def test_what_is_not_there_or_no_sense_has_its_exit_code(
    words: tuple[str, ...], code: int, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*words)[0] == code


# ---- show and prove


def test_show_lists_leaves_and_filters_them(folder: Path, run: Run) -> None:
    code, output, errors = run("show", folder / "audit.tar")
    assert code == 0
    assert len(output.splitlines()) == LEAVES
    assert re.search(
        r"^ +1  2026-11-20T12:02:00Z  result_received  device  \d{32}  result$", output, re.MULTILINE
    )
    assert "nothing of this was checked" in errors
    assert len(run("show", folder / "audit.tar", "--kind", "package_signed")[1].splitlines()) == 2
    assert len(run("show", folder / "audit.tar", "--eid", EID)[1].splitlines()) == 5
    assert len(json.loads(run("show", folder / "audit.tar", "--json")[1])["leaves"]) == LEAVES


def test_show_prints_one_leaf_with_its_signed_object(folder: Path, run: Run) -> None:
    document = json.loads(run("show", folder / "audit.tar", "0")[1])
    assert document["operation"] == "op-1"
    assert "psmoList" in json.dumps(document["package"]["value"])
    assert run("show", folder / "audit.tar", "6")[0] == 3


def test_a_proof_verifies_alone(folder: Path, tmp_path: Path, run: Run) -> None:
    for index in range(LEAVES):
        path = tmp_path / f"{index}.tlog-proof"
        assert run("prove", folder / "audit.tar", index, "--out", path)[0] == 0
        code, output, _ = run("verify", path, "--root", folder / "ci.der", "--log-key", folder / "log.pub")
        assert code == 0
        assert "PASS eim.example.com/audit: 1 of 6 leaves" in output
    octets = path.read_bytes()
    path.write_bytes(octets.replace(b"index 5", b"index 4"))
    assert run("verify", path)[0] == 4


def test_a_leaf_that_is_not_what_was_logged_is_not_proved(folder: Path, tmp_path: Path, run: Run) -> None:
    path = bent(folder, tmp_path / "bent.tar", b'{"why"')
    code, _, errors = run("prove", path, 5, "--out", tmp_path / "x")
    assert code == 2
    assert "audit.bad_proof" in errors
    assert not (tmp_path / "x").exists()


# ---- the log on disk


def test_a_log_grows_on_disk_and_is_exported(tmp_path: Path, run: Run) -> None:
    code, output, _ = run("keygen", "eim.example.com/audit", tmp_path / "log.key")
    assert code == 0
    assert run("keygen", "eim.example.com/audit", tmp_path / "log.key")[0] == 2
    signer = read_log_key(tmp_path / "log.key", "eim.example.com/audit")
    assert output.strip() == signer.key.text
    log = LogDirectory.create(tmp_path / "log", signer.key)
    points = []
    certificate = world().get("eim-sign").certificate.der
    edge = Edge()
    for count in (1, 254, 1, 1, 300, 0, 66):
        leaves = [plain_leaf(edge.size + n) for n in range(count)]
        leaves.append(leaf("x", NOW, "eim", package_signer=certificate))
        edge, entries = append(edge, leaves)
        points.append(log.publish(entries, [certificate], signer))
        log = LogDirectory.open(tmp_path / "log")
        assert log.edge == edge
        assert log.size == edge.size
    for old in points:
        proof = consistency_proof(log.read_tile, old.size, edge.size)
        check_consistency(old.size, old.root, edge.size, edge.root, proof)
    last = next(iter(log.leaves(edge.size - 1, edge.size)))
    assert last == entries[-1].octets
    check_inclusion(
        entries[-1].hash,
        edge.size - 1,
        edge.size,
        inclusion_proof(log.read_tile, edge.size - 1, edge.size),
        edge.root,
    )
    assert run("export", tmp_path / "log", tmp_path / "log.tar")[0] == 0
    assert run("export", tmp_path / "log", tmp_path / "log.tar")[0] == 2
    document = json.loads(run("verify", tmp_path / "log.tar", "--json")[1])
    assert (document["verdict"], document["leaves"], document["checkpoints"]) == (
        "pass",
        edge.size,
        len(points),
    )


def test_an_interrupted_publish_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keim.io import audit_files

    signer = log_signer()
    log = LogDirectory.create(tmp_path / "log", signer.key)
    edge, entries = append(Edge(), [plain_leaf(n) for n in range(250)])
    before = log.publish(entries, [], signer)
    edge, entries = append(edge, [plain_leaf(n) for n in range(250, 270)])
    write, allowed = audit_files.write_file, 0
    for allowed in range(8):
        left = allowed

        def write_some(path: Path, octets: bytes, *, mode: int = 0o644) -> None:
            nonlocal left
            if not left:
                raise OSError("the power went")
            left -= 1
            write(path, octets, mode=mode)

        monkeypatch.setattr(audit_files, "write_file", write_some)
        try:
            point = log.publish(entries, [], signer)
        except OSError:
            assert log.current == before
            assert b"".join(export(log))
            continue
        break
    assert (allowed, point.size) == (7, 270)
    assert log.edge == edge


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    create_log_key(tmp_path / "log.key", "a")
    (tmp_path / "log.key").chmod(0o644)
    with pytest.raises(Refused, match="others"):
        read_log_key(tmp_path / "log.key", "a")


def test_an_export_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def pieces() -> Iterable[bytes]:
        yield b"one"
        raise Refused("no", code="audit.log_incomplete")

    with pytest.raises(Refused):
        write_export(tmp_path / "x.tar", pieces())
    assert list(tmp_path.iterdir()) == []


# ---- an auditor's machine

BARE = """
import socket, sys
def no_network(*arguments, **words):
    raise AssertionError("the verifier wants the network")
socket.socket = socket.create_connection = socket.getaddrinfo = no_network
from keim.cli import main
code = main()
roles = {name.split(".")[1] for name in sys.modules if name.startswith("keim.")}
print(sorted(roles & {"euicc", "ipa", "eim", "smdp", "smds", "fleet", "wire", "app"}), file=sys.stderr)
sys.exit(code)
"""


def distributions(name: str) -> set[str]:
    """The distribution and all that it needs here, extras left out."""
    found = {name}
    for line in requires(name) or ():
        needed = re.match(r"[A-Za-z0-9._-]+", line)
        if needed and "extra ==" not in line and find_spec(needed[0].replace("-", "_")):
            found |= distributions(needed[0])
    return found


@pytest.fixture(scope="module")
def bare_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built base wheel, unpacked, beside exactly its run-time dependencies."""
    folder = tmp_path_factory.mktemp("bare")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    shutil.copytree(
        ROOT / "src" / "keim", source / "src" / "keim", ignore=shutil.ignore_patterns("__pycache__")
    )
    build = "from setuptools import build_meta; build_meta.build_wheel('..')"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    shutil.unpack_archive(wheel, site, "zip")
    shutil.rmtree(source)
    for name in distributions("cryptography") | distributions("msgspec"):
        spec = find_spec(name.replace("-", "_"))
        package = Path(spec.origin or "" if spec else "")
        place = package.parent if package.name == "__init__.py" else package
        (site / place.name).symlink_to(place)
        for extension in place.parent.glob(f"_{name}_backend*"):
            (site / extension.name).symlink_to(extension)
    return site


def bare(site: Path, *words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    script = f"import sys; sys.path.insert(0, {str(site)!r}); sys.argv[0] = 'keim'\n{BARE}"
    environment: dict[str, Any] = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, *map(str, words)],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_an_export_verifies_where_there_is_nothing_but_the_base_wheel(
    folder: Path, bare_environment: Path, tmp_path: Path
) -> None:
    shutil.copy(folder / "audit.tar", tmp_path)
    shutil.copy(folder / "ci.der", tmp_path)
    good = bare(bare_environment, "audit", "verify", "audit.tar", "--root", "ci.der", cwd=tmp_path)
    assert good.returncode == 0, good.stderr
    assert "PASS eim.example.com/audit" in good.stdout
    assert good.stderr.splitlines()[-1] == "[]", "other roles were imported"
    bent(folder, tmp_path / "bent.tar", b'{"why"')
    bad = bare(bare_environment, "audit", "verify", "bent.tar", cwd=tmp_path)
    assert bad.returncode == 4, bad.stderr
    assert "altered leaves: 5" in bad.stdout
    proof = bare(bare_environment, "audit", "prove", "audit.tar", "1", cwd=tmp_path)
    assert proof.returncode == 0, proof.stderr
    alone = bare(bare_environment, "audit", "verify", "leaf-1.tlog-proof", "--root", "ci.der", cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
