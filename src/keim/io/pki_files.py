"""A PKI in a directory: what `keim pki init DIR` writes and every other command reads (docs/how-to/pki.md).

    DIR/world.json                   what is here: name, role, curve, files, in use or previous
    DIR/ca.pem                       all roots, for clients
    DIR/<curve>/<name>.pem           certificate, then its intermediates
    DIR/<curve>/<name>.key           its private key, PKCS#8, mode 0600
    DIR/<curve>/euicc/<EID>.pem      eUICCs
    DIR/<curve>/previous/...         what was rotated out
    DIR/<curve>/ci.crl               the root's revocation list (DER)

Imports keim.errors, keim.io.pem and keim.pki only.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from keim.errors import Refused, StoreFailed
from keim.io.pem import (
    read_certificates,
    read_crls,
    read_octets,
    read_private_key,
    write_file,
    write_private_key,
)
from keim.pki import Curve, Role
from keim.pki.world import Credential, World

FORMAT: Final = 1
MANIFEST: Final = "world.json"


class Entry(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    role: str
    curve: str
    certificate: str
    key: str | None = None
    previous: bool = False


class Manifest(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    credentials: list[Entry]
    crls: list[str] = []


def load_world(path: Path | str) -> World:
    """The PKI in a directory, keys included; each key is checked against its certificate."""
    folder = Path(path)
    manifest = _read_manifest(folder)
    current: list[Credential] = []
    previous: list[Credential] = []
    for entry in manifest.credentials:
        (previous if entry.previous else current).append(_load_credential(folder, entry))
    crls = tuple(crl for name in manifest.crls for crl in read_crls(_inside(folder, name)))
    return World(tuple(current), tuple(previous), crls)


def files_of(path: Path | str) -> tuple[Path, ...]:
    """Every file of a PKI that says something of its servers or of revocations: who changes one means it."""
    folder = Path(path)
    manifest = _read_manifest(folder)
    names = [MANIFEST, *manifest.crls]
    for entry in manifest.credentials:
        if Role.named(entry.role) is not Role.EUICC:
            names += [entry.certificate] if entry.key is None else [entry.certificate, entry.key]
    return tuple(_inside(folder, name) for name in names)


def _read_manifest(folder: Path) -> Manifest:
    if not (folder / MANIFEST).is_file():
        raise Refused(f"{folder} holds no PKI ({MANIFEST} is missing)", code="pki.world_not_found")
    try:
        manifest = msgspec.json.decode(read_octets(folder / MANIFEST), type=Manifest)
    except msgspec.DecodeError as error:
        raise Refused(f"{folder / MANIFEST}: {error}", code="pki.bad_manifest") from None
    if manifest.format != FORMAT:
        raise Refused(f"{folder / MANIFEST}: format {manifest.format} is not known", code="pki.bad_manifest")
    return manifest


def _load_credential(folder: Path, entry: Entry) -> Credential:
    certificate, *chain = read_certificates(_inside(folder, entry.certificate))
    check_name(entry.name)
    try:
        curve = Curve(entry.curve)
    except ValueError:
        raise Refused(f"{MANIFEST}: {entry.curve!r} is no curve", code="pki.bad_manifest") from None
    key = None if entry.key is None else read_private_key(_inside(folder, entry.key))
    if key is not None and key.public_key() != certificate.public_key:
        raise Refused(f"{entry.key} is not the key of {entry.certificate}", code="pki.key_mismatch")
    return Credential(
        name=entry.name,
        role=Role.named(entry.role),
        curve=curve,
        certificate=certificate,
        chain=tuple(chain),
        key=key,
    )


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise Refused(f"{MANIFEST}: {name} leads out of the directory", code="pki.bad_manifest")
    return path


def create_files(path: Path | str, world: World, *, force: bool = False) -> Path | None:
    """Writes a new directory. With `force` a PKI that stands there is moved aside, never deleted."""
    folder = Path(path)
    moved = None
    if refuse_if_occupied(folder, force=force):
        moved = _free_name(folder)
        folder.rename(moved)
    save_files(folder, world)
    return moved


def refuse_if_occupied(path: Path | str, *, force: bool) -> bool:
    """True where `force` would move a PKI aside; anything else that is there is refused."""
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise Refused(f"{folder} is a file", code="pki.directory_not_empty")
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    if not (force and (folder / MANIFEST).is_file()):
        raise Refused(f"{folder} is not empty", code="pki.directory_not_empty")
    return True


def check_name(name: str) -> None:
    """Names of credentials become file names."""
    if not re.fullmatch(r"(euicc/)?[a-z0-9][a-z0-9.-]{0,63}", name):
        raise Refused(f"{name!r} cannot be a name in a PKI", code="pki.bad_name")


def _free_name(folder: Path) -> Path:
    number = 1
    while (candidate := folder.with_name(f"{folder.name}.old-{number}")).exists():
        number += 1
    return candidate


def save_files(path: Path | str, world: World) -> None:
    """Writes what changed. A cut at any moment leaves the old state or the new one.

    What is rotated out is in its new place, and read from there, before its old place is written over; keys
    that `world` has no more are deleted when nothing names them.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreFailed(f"{folder}: {error.strerror}", code="pki.file_unwritable") from None
    entries = [_save_credential(folder, c, previous=True) for c in world.previous]
    _read_from_new_places(folder, world, entries)
    entries += [_save_credential(folder, c, previous=False) for c in world.credentials]
    names = []
    for crl in world.crls:
        owner = next((c for c in world.credentials if c.certificate.key_identifier == crl.aki), None)
        name = f"{owner.curve.value}/{owner.name}.crl" if owner else f"crl/{crl.fingerprint.hex()[:16]}.crl"
        _write(folder / name, crl.der)
        names.append(name)
    _write(folder / "ca.pem", b"".join(root.pem for root in world.roots))
    _write_manifest(folder, Manifest(FORMAT, entries, names))
    for entry in entries:
        if entry.previous and entry.key is None:
            (folder / entry.certificate).with_suffix(".key").unlink(missing_ok=True)


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    document = json.dumps(msgspec.to_builtins(manifest), indent=1)
    _write(folder / MANIFEST, document.encode() + b"\n")


def _read_from_new_places(folder: Path, world: World, previous: list[Entry]) -> None:
    """A manifest for the time until the new files are complete: the old state, as its copies have it."""
    if not (folder / MANIFEST).is_file():
        return
    manifest = _read_manifest(folder)
    copies = {
        (one.name, one.curve, credential.certificate.der): one
        for one, credential in zip(previous, world.previous, strict=True)
    }
    bridged = False
    for number, entry in enumerate(manifest.credentials):
        if entry.previous:
            continue
        der = read_certificates(_inside(folder, entry.certificate))[0].der
        copy = copies.get((entry.name, entry.curve, der))
        if copy is not None and copy.certificate != entry.certificate:
            manifest.credentials[number] = msgspec.structs.replace(copy, previous=False)
            bridged = True
    if bridged:
        _write_manifest(folder, manifest)


def _save_credential(folder: Path, credential: Credential, *, previous: bool) -> Entry:
    stem = f"{credential.curve.value}/"
    stem += f"previous/{credential.name}-{credential.certificate.serial:X}" if previous else credential.name
    key_name = None
    if credential.key is not None:
        key_name = f"{stem}.key"
        if not _holds_key(folder / key_name, credential):
            write_private_key(folder / key_name, credential.key)
    _write(folder / f"{stem}.pem", b"".join(c.pem for c in (credential.certificate, *credential.chain)))
    return Entry(
        credential.name, credential.role.value, credential.curve.value, f"{stem}.pem", key_name, previous
    )


def _holds_key(path: Path, credential: Credential) -> bool:
    return path.is_file() and read_private_key(path).public_key() == credential.private_key.public_key()


def _write(path: Path, octets: bytes) -> None:
    if not (path.is_file() and path.read_bytes() == octets):
        write_file(path, octets)


def _sweep(folder: Path) -> None:
    """What a killed command had not put in its place: there may be a key in it that nothing names."""
    for path in folder.glob("*/**/.*.new"):
        path.unlink(missing_ok=True)


@contextmanager
def changing(path: Path | str) -> Iterator[World]:
    """The PKI in a directory, with a lock held, so that two commands do not undo each other's change."""
    folder = Path(path)
    _read_manifest(folder)
    if os.name != "posix":
        yield load_world(folder)
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _sweep(folder)
        yield load_world(folder)
    finally:
        os.close(descriptor)
