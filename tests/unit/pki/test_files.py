"""A PKI in a directory: what is written is read again, keys are private, nothing is lost or led astray."""

from __future__ import annotations

import contextlib
import json
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from tests.unit.pki.forge import NOW

from keim.errors import KeimError, Malformed, Refused, StoreFailed
from keim.io import pki_files
from keim.io.pem import blocks, read_certificates, read_crls, read_private_key, write_private_key
from keim.io.pki_files import MANIFEST, changing, create_files, load_world, save_files
from keim.io.pki_import import import_folder
from keim.pki import Curve, Role, validate
from keim.pki.world import World, revoke, rotate


@pytest.fixture
def folder(tmp_path: Path, world: World) -> Path:
    create_files(tmp_path / "pki", world)
    return tmp_path / "pki"


def scalars(world: World) -> list[int]:
    return [c.private_key.private_numbers().private_value for c in world.credentials + world.previous]


def test_world_is_read_as_it_was_written(folder: Path, world: World) -> None:
    read = load_world(folder)
    assert [(c.name, c.role, c.curve, c.certificate, c.chain) for c in read.credentials] == [
        (c.name, c.role, c.curve, c.certificate, c.chain) for c in world.credentials
    ]
    assert scalars(read) == scalars(world)
    assert [crl.der for crl in read.crls] == [crl.der for crl in world.crls]


def test_every_key_file_is_private_and_no_other_file_holds_a_key(folder: Path) -> None:
    keys = [path for path in folder.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    assert len(keys) == len(load_world(folder).credentials)
    assert all(path.suffix == ".key" for path in keys)
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}


def test_rotation_survives_writing_and_reading(folder: Path, world: World) -> None:
    after = rotate(rotate(world, "dp-tls", now=NOW), "dp-tls", now=NOW + timedelta(days=1), keep_key=True)
    after = revoke(after, [world.get("dp-tls").certificate.serial], curve=Curve.NIST, now=NOW)
    save_files(folder, after)
    read = load_world(folder)
    assert len(read.previous) == 2
    assert scalars(read) == scalars(after)
    assert read.get("dp-tls").certificate == after.get("dp-tls").certificate
    assert read.crls[-1].number == 2
    assert len(read_certificates(folder / "ca.pem")) == 2
    assert len(read_crls(folder / "nist" / "ci.crl")[0].revoked) == 1


@pytest.mark.parametrize("is_pki", [True, False])
@pytest.mark.parametrize("force", [True, False])
def test_nothing_that_is_there_is_ever_overwritten(
    tmp_path: Path, world: World, is_pki: bool, force: bool
) -> None:
    folder = tmp_path / "pki"
    folder.mkdir()
    (folder / (MANIFEST if is_pki else "thesis.txt")).write_text("precious")
    if not (force and is_pki):
        with pytest.raises(Refused) as caught:
            create_files(folder, world, force=force)
        assert caught.value.code == "pki.directory_not_empty"
        assert len(list(folder.iterdir())) == 1
        return
    moved = create_files(folder, world, force=True)
    assert moved is not None
    assert (moved / MANIFEST).read_text() == "precious"
    assert load_world(folder).curves == world.curves


def test_key_that_others_may_read_is_refused(folder: Path) -> None:
    (folder / "nist" / "dp-auth.key").chmod(0o640)
    with pytest.raises(Refused) as caught:
        load_world(folder)
    assert caught.value.code == "pki.key_exposed"


def test_key_of_another_certificate_is_refused(folder: Path) -> None:
    (folder / "nist" / "dp-auth.key").write_bytes((folder / "nist" / "dp-pb.key").read_bytes())
    with pytest.raises(Refused) as caught:
        load_world(folder)
    assert caught.value.code == "pki.key_mismatch"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"format": 2}, "pki.bad_manifest"),
        ({"surprise": 1}, "pki.bad_manifest"),
        ({"credentials": 7}, "pki.bad_manifest"),
        ({"crls": ["../../elsewhere.crl"]}, "pki.bad_manifest"),
        ({"crls": ["nist/absent.crl"]}, "pki.file_not_found"),
    ],
)
def test_manifest_that_cannot_be_used_is_refused(folder: Path, change: dict[str, object], code: str) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | change))
    with pytest.raises(Refused) as caught:
        load_world(folder)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("member", "value", "code"),
    [
        ("name", "../x", "pki.bad_name"),
        ("role", "king", "pki.unknown_role"),
        ("curve", "p521", "pki.bad_manifest"),
        ("certificate", "/etc/passwd", "pki.bad_manifest"),
        ("key", "../../key", "pki.bad_manifest"),
    ],
)
def test_entry_that_cannot_be_used_is_refused(folder: Path, member: str, value: str, code: str) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["credentials"][0][member] = value
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(Refused) as caught:
        load_world(folder)
    assert caught.value.code == code


def test_folder_without_a_pki_is_not_found(tmp_path: Path) -> None:
    for use in (load_world, lambda path: changing(path).__enter__()):
        with pytest.raises(Refused) as caught:
            use(tmp_path)
        assert caught.value.code == "pki.world_not_found"


PARAMETERS = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
SEC1 = PrivateFormat.TraditionalOpenSSL


@pytest.mark.parametrize("before", [b"", PARAMETERS], ids=["alone", "after_parameters"])
@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, SEC1])
def test_keys_are_read_in_every_usual_form(
    tmp_path: Path, before: bytes, encoding: Encoding, form: PrivateFormat
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    path = tmp_path / "key"
    octets = key.private_bytes(encoding, form, NoEncryption())
    path.write_bytes(octets if encoding is Encoding.DER else before + octets)
    path.chmod(0o600)
    assert read_private_key(path).private_numbers() == key.private_numbers()


def test_encrypted_key_is_refused_without_a_word_of_it(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    path = tmp_path / "key"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")))
    path.chmod(0o600)
    with pytest.raises(Refused) as caught:
        read_private_key(path)
    assert caught.value.code == "pki.no_key_file"


def test_key_file_is_private_although_the_process_is_generous(tmp_path: Path) -> None:
    import os

    old = os.umask(0)
    try:
        write_private_key(tmp_path / "key", ec.generate_private_key(ec.SECP256R1()))
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "key"]


@pytest.mark.parametrize(
    "octets", [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nzz\n", b"\x30\x03\x01\x02\x03"]
)
def test_files_that_hold_no_certificate_are_refused(tmp_path: Path, octets: bytes) -> None:
    (tmp_path / "x").write_bytes(octets)
    for read in (read_certificates, read_crls):
        with pytest.raises(KeimError):
            read(tmp_path / "x")


def test_pem_that_is_not_base64_is_malformed() -> None:
    with pytest.raises(Malformed):
        blocks(b"-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n")


def test_own_folder_can_be_imported_with_every_key(folder: Path, world: World) -> None:
    found = import_folder(folder, now=NOW)
    assert {(c.name, c.curve) for c in found.world.credentials} == {
        (c.name, c.curve) for c in world.credentials
    }
    assert all(c.key is not None for c in found.world.credentials)
    assert found.missing == ()
    for c in found.world.euiccs():
        assert validate(c.certificate, c.chain, found.world.trust, role=Role.EUICC, now=NOW).ok


def test_import_says_what_lacks_and_what_was_not_taken(folder: Path) -> None:
    (folder / "nist" / "dp-tls.key").unlink()
    (folder / "nist" / "ds-auth.pem").unlink()
    (folder / "nist" / "junk.der").write_bytes(b"\x30\x03\x01\x02\x03")
    found = import_folder(folder, now=NOW + timedelta(days=500))
    assert (
        "nist: no private key for dp-tls" in found.missing or "nist: no dp-tls certificate" in found.missing
    )
    assert "nist: no ds-auth certificate" in found.missing
    reasons = {skipped.path.name: skipped.reason for skipped in found.skipped}
    assert "junk.der" in reasons
    assert reasons["dp-tls.pem"].startswith("expired")


class Cut(Exception):
    """The power is gone."""


@pytest.mark.parametrize("step", range(8))
def test_a_cut_while_a_rotation_is_written_leaves_the_old_state_or_the_new_one(
    folder: Path, world: World, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = rotate(world, "eim-sign", now=NOW)
    left = [step]

    def counted(write: Callable[..., None]) -> Callable[..., None]:
        def written(*arguments: object) -> None:
            if left[0] == 0:
                raise Cut
            left[0] -= 1
            write(*arguments)

        return written

    with monkeypatch.context() as patched:
        patched.setattr(pki_files, "write_file", counted(pki_files.write_file))
        patched.setattr(pki_files, "write_private_key", counted(pki_files.write_private_key))
        with contextlib.suppress(Cut):
            save_files(folder, after)
    read = load_world(folder)
    old, new = world.get("eim-sign"), after.get("eim-sign")
    assert read.get("eim-sign").certificate in (old.certificate, new.certificate)
    keys = {c.private_key.private_numbers().private_value for c in read.credentials + read.previous}
    assert old.private_key.private_numbers().private_value in keys, "the old key is never lost"
    save_files(folder, rotate(read, "eim-sign", now=NOW))
    assert load_world(folder).get("eim-sign").certificate not in (old.certificate, new.certificate)


def test_a_key_that_the_world_has_no_more_is_deleted_and_its_certificate_stays(
    folder: Path, world: World
) -> None:
    after = rotate(world, "eim-sign", now=NOW)
    save_files(folder, after)
    before = set(folder.rglob("*.key"))
    old = msgspec.structs.replace(after.previous[-1], key=None)
    save_files(folder, World(after.credentials, (*after.previous[:-1], old), after.crls))
    read = load_world(folder)
    assert read.previous[-1].certificate == old.certificate
    assert read.previous[-1].key is None
    assert len(before - set(folder.rglob("*.key"))) == 1


def test_the_next_change_sweeps_up_keys_that_a_killed_command_had_not_put_in_their_place(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """Nothing of a killed command runs after this."""

    def killed(*_: object) -> None:
        raise Killed

    with changing(folder) as before, monkeypatch.context() as cut, contextlib.suppress(Killed):
        cut.setattr("os.replace", killed)
        save_files(folder, rotate(before, "eim-sign", now=NOW))
    left = list(folder.rglob(".*.new"))
    assert left
    with changing(folder) as after:
        assert not any(path.exists() for path in left)
        assert after.get("eim-sign").certificate.der == before.get("eim-sign").certificate.der


def test_a_file_that_has_no_place_is_a_named_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreFailed) as failed:
        pki_files.write_file(tmp_path / "file" / "folder" / "name", b"octets")
    assert failed.value.code == "pki.file_unwritable"
