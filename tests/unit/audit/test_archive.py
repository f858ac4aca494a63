"""The container: any tar reads it, and it has one spelling only."""

from __future__ import annotations

import io
import tarfile

import pytest

from keim.audit.archive import END, LARGEST_MEMBER, Member, header, member, members
from keim.audit.verification import chunked
from keim.errors import Malformed, Refused

FILES = {"keim-audit-export": b"one", "tile/0/000.p/1": bytes(32), "empty": b"", "block": b"x" * 512}
ARCHIVE = b"".join(member(name, octets) for name, octets in FILES.items()) + END


def read(octets: bytes) -> list[Member]:
    return list(members(chunked(iter([octets]))))


def test_members_come_back_with_their_places() -> None:
    found = read(ARCHIVE)
    assert {member.name: member.octets for member in found} == FILES
    for each in found:
        assert ARCHIVE[each.offset : each.offset + len(each.octets)] == each.octets


def test_a_tar_program_reads_the_same() -> None:
    with tarfile.open(fileobj=io.BytesIO(ARCHIVE)) as archive:
        for info in archive:
            file = archive.extractfile(info)
            assert file is not None
            assert file.read() == FILES[info.name]
            assert info.isreg()
            assert (info.mode, info.uid, info.mtime) == (0o644, 0, 0)


def test_what_another_tar_program_writes_is_refused() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        info = tarfile.TarInfo("keim-audit-export")
        info.size, info.mtime = 3, 1
        archive.addfile(info, io.BytesIO(b"one"))
    with pytest.raises(Malformed):
        read(buffer.getvalue())


def test_every_octet_outside_of_the_contents_is_fixed() -> None:
    contents = {
        place for each in read(ARCHIVE) for place in range(each.offset, each.offset + len(each.octets))
    }
    names = [each.name for each in read(ARCHIVE)]
    for place in set(range(len(ARCHIVE))) - contents:
        for flip in (0x01, 0x80):
            octets = bytearray(ARCHIVE)
            octets[place] ^= flip
            try:
                assert [each.name for each in read(bytes(octets))] != names
            except Malformed:
                continue


@pytest.mark.parametrize("cut", [0, 1, 511, 512, 600, len(ARCHIVE) - 1024, len(ARCHIVE) - 1])
def test_an_archive_that_is_cut_off_is_malformed(cut: int) -> None:
    with pytest.raises(Malformed):
        read(ARCHIVE[:cut])


def test_octets_after_the_end_are_malformed() -> None:
    with pytest.raises(Malformed):
        read(ARCHIVE + b"\0")


def test_a_member_that_would_fill_memory_is_refused_before_it_is_read() -> None:
    block = bytearray(header("big", 0))
    block[124:135] = b"%011o" % (LARGEST_MEMBER + 1)
    with pytest.raises(Malformed):
        read(bytes(block))
    with pytest.raises(Refused):
        header("big", LARGEST_MEMBER + 1)
    with pytest.raises(Refused):
        header("x" * 100, 1)
