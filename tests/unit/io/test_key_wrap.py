"""Secrets at rest: what is wrapped opens with its key, in its place, and nowhere else."""

from __future__ import annotations

import multiprocessing
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keim.errors import Refused, StoreFailed
from keim.io.key_wrap import AesKeyWrap

KEY = bytes(range(32))


@given(st.binary(max_size=100), st.binary(max_size=20))
def test_a_secret_comes_back(secret: bytes, context: bytes) -> None:
    wrap = AesKeyWrap(KEY)
    wrapped = wrap.wrap(secret, context)
    assert wrap.unwrap(wrapped, context) == secret
    assert wrap.wrap(secret, context) != wrapped


@given(st.data())
def test_a_changed_or_misplaced_secret_is_refused(data: st.DataObject) -> None:
    wrapped = AesKeyWrap(KEY).wrap(b"secret", b"place")
    position = data.draw(st.integers(0, len(wrapped) - 1))
    changed = bytearray(wrapped)
    changed[position] ^= data.draw(st.integers(1, 255))
    for octets, context, key in (
        (bytes(changed), b"place", KEY),
        (wrapped, b"other", KEY),
        (wrapped, b"place", bytes(32)),
        (wrapped[:position], b"place", KEY),
    ):
        with pytest.raises(StoreFailed) as caught:
            AesKeyWrap(key).unwrap(octets, context)
        assert caught.value.code == "store.unwrap_failed"


def test_the_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "wrap-key"
    wrapped = AesKeyWrap.from_file(path).wrap(b"secret", b"")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert AesKeyWrap.from_file(path).unwrap(wrapped, b"") == b"secret"
    assert "secret" not in repr(AesKeyWrap.from_file(path))


def _first_secret(path: Path) -> bytes:
    return AesKeyWrap.from_file(path).wrap(b"secret", b"")


def test_processes_that_start_at_once_have_one_key(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        for number in range(20):
            path = tmp_path / f"wrap-key-{number}"
            wrapped = pool.map(_first_secret, [path] * 4, chunksize=1)
            key = AesKeyWrap.from_file(path)
            assert [key.unwrap(one, b"") for one in wrapped] == [b"secret"] * 4
    assert len(list(tmp_path.iterdir())) == 20, "nothing else is left"


def test_a_key_of_the_wrong_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wrap-key"
    path.write_bytes(bytes(31))
    with pytest.raises(Refused):
        AesKeyWrap.from_file(path)
    with pytest.raises(StoreFailed):
        AesKeyWrap.from_file(tmp_path / "no" / "such" / "folder")
