"""Associations in a file: whose they are, what a failing disk does, and what never happens to a nonce."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.unit.coap.lossy import SeededEntropy
from tests.unit.dtls.lab import SERVER, Lab, server_config

from keim.errors import Refused, StoreFailed
from keim.io.dtls_file import AssociationFile, Kept, held_alone
from keim.io.dtls_keeper import Keeper, KeptSessions
from keim.io.dtls_notes import DtlsNote, DtlsNotes
from keim.io.key_wrap import AesKeyWrap
from keim.wire.dtls.association import SKIP
from keim.wire.dtls.endpoint import DtlsEndpoint
from keim.wire.dtls.sessions import Session

WRAP = AesKeyWrap(bytes(32))


def file_at(path: Path, **more: Any) -> AssociationFile:
    return AssociationFile(path / "coap.db", WRAP, **more)


class Life:
    """A server with a keeper, a device that is up, and the next lives of the server."""

    def __init__(self, path: Path) -> None:
        self.path, self.lab = path, Lab()
        self.begin(self.lab.server)
        self.client, self.association = self.lab.connect()
        self.lab.link.run(1.0)

    def begin(self, server: DtlsEndpoint) -> None:
        self.file = file_at(self.path)
        self.sessions = KeptSessions(self.file)
        self.keeper = Keeper(server, self.file, self.sessions)
        server.sessions = self.sessions

    def flush(self) -> None:
        asyncio.run(self.keeper.flush(self.lab.link.now))

    def next_life(self) -> int:
        """After a power cut: nothing of the last life is written any more."""
        server = DtlsEndpoint(server_config(), entropy=SeededEntropy("next"))
        self.begin(server)
        count = self.keeper.restore(self.lab.link.now)
        self.lab.server = server
        self.lab.link.join(SERVER, server)
        return count

    def echo(self) -> bytes | None:
        return self.lab.echo(self.client, self.association)


def test_an_association_goes_on_in_the_next_life_and_in_the_one_after(tmp_path: Path) -> None:
    kept = Life(tmp_path)
    kept.flush()
    for _ in range(3):
        assert kept.next_life() == 1  # nothing was flushed in between: only what restoring stored itself
        assert kept.echo() == b"HELLO"
    assert kept.association.window_top >= 3 * SKIP


def test_what_ended_is_not_there_in_the_next_life(tmp_path: Path) -> None:
    kept = Life(tmp_path)
    kept.flush()
    [served] = kept.lab.server._live
    for event in kept.lab.server.close(served, kept.lab.link.now):
        kept.keeper.watch(event)
    kept.flush()
    assert kept.next_life() == 0


def test_a_session_is_known_in_the_next_life_and_gone_after_its_time(tmp_path: Path) -> None:
    kept = Life(tmp_path)
    kept.flush()
    kept.next_life()
    session = kept.association.session
    assert session is not None
    now = kept.lab.link.now
    assert kept.sessions.get(session.id, now) is not None
    assert kept.sessions.get(session.id, session.until + 1) is None
    assert kept.sessions.get(b"unknown", now) is None
    kept.file.purge(session.until + 1)
    assert kept.file.session(session.id) is None


def test_a_full_disk_is_told_and_what_was_not_written_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kept = Life(tmp_path)
    kept.flush()
    [served] = kept.lab.server._live
    stored = served.snapshot_at
    assert kept.echo() == b"HELLO"

    def full(*_: object) -> None:
        raise StoreFailed("no space left on device", code="dtls.not_kept")

    with monkeypatch.context() as broken:
        broken.setattr(kept.file, "write", full)
        broken.setattr(kept.file, "purge", full)
        kept.keeper._purge_at = 0.0
        kept.flush()
    assert "no space left" in caplog.text
    assert served.snapshot_at == stored, "a restart would find the old snapshot"
    assert kept.lab.server.changed == {served}
    kept.flush()
    assert served.snapshot_at > stored
    assert kept.next_life() == 1


def test_while_nothing_can_be_written_an_association_ends_rather_than_repeat_a_nonce(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Life(tmp_path)
    kept.flush()
    [served] = kept.lab.server._live

    def full(*_: object) -> None:
        raise StoreFailed("no space left on device", code="dtls.not_kept")

    monkeypatch.setattr(kept.file, "write", full)
    for _ in range(SKIP // 1000 + 1):
        for _ in range(1000):
            kept.lab.server.send(served, b"x", kept.lab.link.now)
        kept.flush()
    assert len(kept.lab.server.datagrams_to_send()) <= SKIP
    assert not kept.lab.server.is_up(served)


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1), (4, 2), (2, 5)])
def test_another_number_of_workers_shares_the_associations_anew(
    tmp_path: Path, before: int, after: int
) -> None:
    """Each connection id has one owner in every life; without one an association stays with its worker."""
    ids = [bytes((first, 1, 2, 3)) for first in range(40)]
    for worker in range(before):
        file = file_at(tmp_path, worker=worker, workers=before)
        file.write([Kept(key, True, key) for key in ids if key[0] % before == worker], ())
        file.write([Kept(b"\0address", False, b"by address")], ())
        file.close()
    found: list[bytes] = []
    for worker in range(after):
        file = file_at(tmp_path, worker=worker, workers=after)
        own = list(file.associations())
        assert all(one[0] % after == worker for one in own if one != b"by address")
        found += own
        file.close()
    assert sorted(one for one in found if one != b"by address") == ids
    assert b"by address" not in found


def test_rows_that_do_not_open_are_dropped(tmp_path: Path) -> None:
    file = file_at(tmp_path)
    file.write(
        [Kept(b"1234", True, b"snapshot"), Kept(b"5678", True, b"other")], (), [Session(b"id", 1, b"m", 9.0)]
    )
    with sqlite3.connect(tmp_path / "coap.db") as db:
        [(sealed,)] = db.execute("SELECT sealed FROM associations WHERE id = ?", (b"1234",)).fetchall()
        db.execute(
            "UPDATE associations SET sealed = ? WHERE id = ?", (sealed, b"5678")
        )  # moved to another row
    assert list(file.associations()) == [b"snapshot"]
    assert list(file.associations()) == [b"snapshot"]
    file.close()
    other = AssociationFile(tmp_path / "coap.db", AesKeyWrap(b"k" * 32))
    assert list(other.associations()) == []
    assert other.session(b"id") is None
    other.close()


def test_a_file_that_is_no_database_and_one_that_is_in_use_are_refused(tmp_path: Path) -> None:
    (tmp_path / "coap.db").write_bytes(b"no database " * 100)
    with pytest.raises(StoreFailed) as broken:
        file_at(tmp_path)
    assert broken.value.code == "dtls.not_kept"
    with held_alone(tmp_path / "other.db"), pytest.raises(Refused) as used, held_alone(tmp_path / "other.db"):
        pass
    assert used.value.code == "dtls.file_in_use"
    with pytest.raises(StoreFailed), held_alone(tmp_path / "coap.db" / "below" / "x.db"):
        pass


def test_a_devices_notes_that_cannot_be_read_cost_a_handshake_and_that_cannot_be_written_are_told(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state.dtls"
    notes = DtlsNotes(path)
    assert notes.get("eim") == DtlsNote()
    notes.put("eim", DtlsNote(b"association", b"session"))
    assert DtlsNotes(path).get("eim") == DtlsNote(b"association", b"session")
    path.write_bytes(b"\xff\xff")
    assert DtlsNotes(path).get("eim") == DtlsNote()
    with pytest.raises(StoreFailed):
        DtlsNotes(path / "below").put("eim", DtlsNote(b"a", b"s"))
