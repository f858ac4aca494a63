"""The card file: what is stored comes back, whatever the moment of a crash; locks, modes, damage."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

import msgspec
import pytest
from tests.unit.euicc.cards import CountingEntropy, identity, profile, select, select_usim, send

from keim.errors import Refused, StoreFailed
from keim.euicc import persist
from keim.euicc.card import Card
from keim.euicc.faults import Faults, PowerLost
from keim.euicc.identity import Identity, SigningCredential
from keim.euicc.state import CardState, PinState, UiccState
from keim.io import card_file
from keim.io.card_file import CardFile
from keim.io.card_records import SNAPSHOT, record_of

ONE = profile("usim-6-classic")
TWO = profile("iot-3-mnosd", 1, is_enabled=False)
STATE = CardState(profiles=(ONE, TWO))
UPDATED = "0102"


def rich_identity() -> Identity:
    credential = SigningCredential(
        ci_pk_id=b"\x01" * 20,
        suite="ecdsa-p256-sha256",
        private_key=b"\x02" * 32,
        certificate=b"\x30\x00",
        eum_certificate=b"\x30\x00",
    )
    return msgspec.structs.replace(identity(), credentials=(credential,))


def update_loci(card: Card) -> None:
    """One transaction with one cell: two octets of EF.LOCI."""
    select_usim(card)
    select(card, "6F7E")
    assert send(card, f"00D6000002{UPDATED}") == "9000"


def test_what_was_created_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "one.card"
    wanted = rich_identity()
    uicc = UiccState(
        contents={b"\x3f\x00": b"x"},
        pins={b"p": PinState(b"12345678", 2, False)},
        sequence_numbers={b"aid": (1, 2, 3)},
        ota_counters={b"k": 7},
    )
    state = STATE.with_profile(msgspec.structs.replace(ONE, uicc=uicc))
    CardFile.create(path, wanted, state).close()
    with CardFile.open(path) as opened:
        assert opened.identity == wanted
        assert opened.reload() == state


def test_transactions_come_back_without_a_clean_end(tmp_path: Path) -> None:
    path = tmp_path / "one.card"
    medium = CardFile.create(path, identity(), STATE)
    card = Card(medium.identity, CountingEntropy(), medium=medium)
    card.reset()
    update_loci(card)
    kept = card.state
    medium.close()
    with CardFile.open(path) as opened:
        assert opened.reload() == kept
        assert opened.reload() != STATE


def test_profiles_are_added_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "one.card"
    with CardFile.create(path, identity()) as medium:
        card = Card(medium.identity, CountingEntropy(), medium=medium)
        card.commit("T5 install", STATE)
        card.commit("T6 delete", CardState(profiles=(TWO,)))
        card.commit("T1b", CardState(profiles=(msgspec.structs.replace(TWO, is_enabled=True),)))
    with CardFile.open(path) as opened:
        assert opened.reload() == CardState(profiles=(msgspec.structs.replace(TWO, is_enabled=True),))


def test_a_crash_at_any_octet_leaves_the_state_before_or_after(tmp_path: Path) -> None:
    """The file is cut at every octet of the last transaction, as a crash may leave it."""
    path = tmp_path / "one.card"
    medium = CardFile.create(path, identity(), STATE)
    card = Card(medium.identity, CountingEntropy(), medium=medium)
    card.reset()
    before = path.stat().st_size
    update_loci(card)
    after = card.state
    medium.close()
    whole = path.read_bytes()
    assert len(whole) > before
    for length in range(before, len(whole) + 1):
        path.write_bytes(whole[:length])
        with CardFile.open(path) as opened:
            expected = after if length == len(whole) else STATE
            assert opened.reload() == expected, length
            assert path.stat().st_size == (length if length == len(whole) else before)


def test_garbage_in_the_last_transaction_is_cut_off(tmp_path: Path) -> None:
    """Blocks may reach the disk out of order: the seal is there, a write before it is not."""
    path = tmp_path / "one.card"
    medium = CardFile.create(path, identity(), STATE)
    card = Card(medium.identity, CountingEntropy(), medium=medium)
    card.reset()
    before = path.stat().st_size
    update_loci(card)
    medium.close()
    whole = bytearray(path.read_bytes())
    whole[before + 20] ^= 0xFF
    path.write_bytes(whole)
    with CardFile.open(path) as opened:
        assert opened.reload() == STATE


def test_damage_before_sealed_transactions_is_refused_and_the_file_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "one.card"
    medium = CardFile.create(path, identity(), STATE)
    card = Card(medium.identity, CountingEntropy(), medium=medium)
    card.reset()
    before = path.stat().st_size
    for _ in range(3):
        card.transmit(bytes.fromhex("0020000A08") + bytes(8))
    medium.close()
    whole = bytearray(path.read_bytes())
    whole[before + 20] ^= 0xFF
    path.write_bytes(whole)
    with pytest.raises(StoreFailed) as refusal:
        CardFile.open(path)
    assert refusal.value.code == "euicc.card_file_damaged"
    assert path.read_bytes() == bytes(whole)


def test_no_octet_of_a_sealed_transaction_can_change_unnoticed(tmp_path: Path) -> None:
    """Only of the last one nobody can tell whether a crash tore it."""
    path = tmp_path / "one.card"
    medium = CardFile.create(path, identity(), STATE)
    card = Card(medium.identity, CountingEntropy(), medium=medium)
    card.reset()
    for _ in range(2):
        last = path.stat().st_size
        card.transmit(bytes.fromhex("0020000A08") + bytes(8))
    medium.close()
    whole = path.read_bytes()
    assert len(whole) > last
    for position in range(last):
        path.write_bytes(whole[:position] + bytes((whole[position] ^ 0x01,)) + whole[position + 1 :])
        with pytest.raises((StoreFailed, Refused)) as refusal:
            CardFile.open(path)
        assert refusal.value.code in {"euicc.card_file_damaged", "euicc.card_file_unknown"}, position


def test_a_card_file_that_was_cut_off_in_its_first_record_is_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "one.card"
    CardFile.create(path, identity(), STATE).close()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreFailed) as refusal:
        CardFile.open(path)
    assert refusal.value.code == "euicc.card_file_damaged"


def test_a_directory_is_no_card(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refusal:
        CardFile.open(tmp_path)
    assert refusal.value.code == "euicc.card_file_unknown"


@pytest.mark.parametrize("write", range(3))
def test_the_fault_control_cuts_the_file_itself(tmp_path: Path, write: int) -> None:
    path = tmp_path / "one.card"
    with CardFile.create(path, identity(), STATE) as medium:
        card = Card(medium.identity, CountingEntropy(), medium=medium)
        card.reset()
        size = path.stat().st_size
        select_usim(card)
        select(card, "6F7E")
        card.faults = Faults(cut_at_apdu=0, cut_at_write=write)
        with pytest.raises(PowerLost):
            card.transmit(bytes.fromhex(f"00D6000002{UPDATED}"))
        assert (path.stat().st_size > size) == (write > 0)
        card.faults = None
        card.reset()
        select_usim(card)
        select(card, "6F7E")
        assert send(card, "00B0000002") == (UPDATED if write == 2 else "FFFF") + "9000"
        if write < 2:
            assert path.stat().st_size == size
        update_loci(card)
        kept = card.state
    with CardFile.open(path) as opened:
        assert opened.reload() == kept


def test_the_journal_is_compacted_and_stays_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card_file, "COMPACT_ABOVE", 4096)
    path = tmp_path / "one.card"
    with CardFile.create(path, identity(), STATE) as medium:
        card = Card(medium.identity, CountingEntropy(), medium=medium)
        card.reset()
        select_usim(card)
        select(card, "6F7E")
        inode = path.stat().st_ino
        for number in range(100):
            assert send(card, f"00D6000001{number:02X}") == "9000"
        assert path.stat().st_ino != inode
        assert path.stat().st_size < 20000
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(Refused) as refusal:
            CardFile.open(path)
        assert refusal.value.code == "euicc.card_file_locked"
        kept = card.state
    assert not list(tmp_path.glob("*.new"))
    with CardFile.open(path) as opened:
        assert opened.reload() == kept


def test_a_journal_that_cannot_be_compacted_goes_on_growing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(card_file, "COMPACT_ABOVE", 4096)
    path = tmp_path / "one.card"

    def failing(source: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "rename", failing)
    with CardFile.create(path, identity(), STATE) as medium:
        card = Card(medium.identity, CountingEntropy(), medium=medium)
        card.reset()
        select_usim(card)
        select(card, "6F7E")
        for number in range(60):
            assert send(card, f"00D6000001{number:02X}") == "9000"
        kept = card.state
    assert path.stat().st_size > 4096
    assert not list(tmp_path.glob("*.new"))
    with CardFile.open(path) as opened:
        assert opened.reload() == kept


def test_a_file_that_was_compacted_between_open_and_lock_is_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "one.card"
    CardFile.create(path, identity(), STATE).close()
    real = fcntl.flock
    calls: list[int] = []

    def replace_first(descriptor: int, operation: int) -> None:
        if not calls:
            fresh = tmp_path / "fresh"
            fresh.write_bytes(path.read_bytes())
            fresh.chmod(0o600)
            os.rename(fresh, path)
        calls.append(operation)
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", replace_first)
    with CardFile.open(path) as opened:
        assert opened.reload() == STATE
    assert len(calls) == 2


def test_two_processes_cannot_drive_one_card(tmp_path: Path) -> None:
    path = tmp_path / "one.card"
    with CardFile.create(path, identity()):
        with pytest.raises(Refused) as refusal:
            CardFile.open(path)
        assert refusal.value.code == "euicc.card_file_locked"
    CardFile.open(path).close()


def test_a_card_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "one.card"
    old = os.umask(0)
    try:
        CardFile.create(path, identity()).close()
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    with pytest.raises(Refused) as refusal:
        CardFile.open(path)
    assert refusal.value.code == "euicc.card_file_exposed"


@pytest.mark.parametrize("content", [b"", b"KEIM", b"hello" * 100, b"KEIMX" + bytes(8)])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(Refused) as refusal:
        CardFile.open(path)
    assert refusal.value.code == "euicc.card_file_unknown"
    assert path.read_bytes() == content


def test_missing_and_existing_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "one.card"
    with pytest.raises(Refused) as missing:
        CardFile.open(path)
    assert missing.value.code == "euicc.card_file_not_found"
    CardFile.create(path, identity()).close()
    with pytest.raises(Refused) as existing:
        CardFile.create(path, identity())
    assert existing.value.code == "euicc.card_file_exists"
    with pytest.raises(StoreFailed) as failed:
        CardFile.create(tmp_path / "no" / "folder", identity())
    assert failed.value.code == "euicc.card_file_failed"


def test_a_later_format_is_not_misread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "one.card"
    monkeypatch.setattr("keim.euicc.persist.FORMAT", 99)
    snapshot = persist.encode_snapshot(identity(), STATE)
    path.write_bytes(record_of(SNAPSHOT, snapshot))
    path.chmod(0o600)
    with pytest.raises(Refused, match="format 99"):
        CardFile.open(path)


def test_the_private_key_is_not_shown() -> None:
    assert "02020202" not in repr(rich_identity())
    assert "***" in repr(rich_identity())


def test_a_full_disk_is_6581_and_leaves_the_state_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of a transaction reaches the disk: the disk decides, and nothing of it is sealed later."""
    path = tmp_path / "one.card"
    with CardFile.create(path, identity(), STATE) as medium:
        card = Card(medium.identity, CountingEntropy(), medium=medium)
        card.reset()
        select_usim(card)
        select(card, "6F7E")
        real = os.write
        written: list[int] = []

        def full_after_ten(descriptor: int, data: bytes) -> int:
            if written:
                raise OSError(errno.ENOSPC, "No space left on device")
            written.append(real(descriptor, bytes(data)[:10]))
            return written[0]

        monkeypatch.setattr(os, "write", full_after_ten)
        assert card.transmit(bytes.fromhex(f"00D6000002{UPDATED}")) == b"\x65\x81"
        assert isinstance(card.last_error, StoreFailed)
        with pytest.raises(StoreFailed):
            card.commit("T", CardState())
        monkeypatch.undo()
        card.last_error = None
        select_usim(card)
        select(card, "6F7E")
        assert send(card, "00B0000002") == "FFFF9000"
        assert send(card, "00D600050133") == "9000"
        kept = card.state
    with CardFile.open(path) as opened:
        assert opened.reload() == kept


def test_a_failed_fsync_is_settled_by_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "one.card"
    with CardFile.create(path, identity(), STATE) as medium:
        card = Card(medium.identity, CountingEntropy(), medium=medium)
        card.reset()
        select_usim(card)
        select(card, "6F7E")

        def failing(descriptor: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "fsync", failing)
        assert card.transmit(bytes.fromhex(f"00D6000002{UPDATED}")) == b"\x65\x81"
        monkeypatch.undo()
        card.last_error = None
        select_usim(card)
        select(card, "6F7E")
        assert send(card, "00B0000002") == UPDATED + "9000", "the seal was written, so the disk says: done"
