"""A card in one file: a snapshot, then a journal of sealed transactions; safe against crashes at any octet.

Layout: records (`card_records`). First a snapshot (`C`), then writes (`W`) and seals (`S`). A seal
carries the number of its writes, a digest over them and the place where its transaction begins, and is
followed by fsync. Opening reads up to the last good seal and cuts off whatever a crash left behind it. A
damaged record with the seal of a later transaction behind it is no crash but a damaged disk, and is refused.

The file holds the card's private keys: mode 0600, and a lock so that no two processes drive one card.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

import msgspec

from keim.errors import Refused, StoreFailed
from keim.euicc.identity import Identity
from keim.euicc.nvm import Write
from keim.euicc.persist import FORMAT, Cell, apply, decode_snapshot, encode_snapshot, encode_write
from keim.euicc.state import CardState
from keim.io.card_records import (
    MAGIC,
    SEAL,
    SNAPSHOT,
    WRITE,
    Seal,
    digest_of,
    record_of,
    records_in,
    seal_of,
    seals_in,
)

COMPACT_ABOVE = 256 * 1024
"""Journal octets after which the file is written anew."""


class CardFile:
    """A `Medium` for `Card` on disk. Use `create` or `open`; `close` releases the lock."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._cells: list[Cell] = []
        self._end = 0
        self._sealed_end = 0
        self._snapshot_end = 0
        self._is_broken = False
        self.identity, self._state = self._read()

    @classmethod
    def create(cls, path: Path, identity: Identity, state: CardState | None = None) -> CardFile:
        """A new file; an existing one is refused."""
        snapshot = encode_snapshot(identity, state if state is not None else CardState())
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise Refused(f"{path} exists already.", code="euicc.card_file_exists") from None
        except OSError as fault:
            raise _failed(path, fault) from fault
        _lock(path, descriptor)
        os.fchmod(descriptor, 0o600)
        _write_all(descriptor, record_of(SNAPSHOT, snapshot))
        os.fsync(descriptor)
        _sync_directory(path)
        return cls(path, descriptor)

    @classmethod
    def open(cls, path: Path) -> CardFile:
        """The card that was created there; refused when it is in use, damaged, or readable by others."""
        while True:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                raise Refused(f"There is no card file {path}.", code="euicc.card_file_not_found") from None
            except IsADirectoryError:
                raise Refused(f"{path} is a directory.", code="euicc.card_file_unknown") from None
            except OSError as fault:
                raise _failed(path, fault) from fault
            try:
                _lock(path, descriptor)
                if _is_same_file(path, descriptor):  # else it was compacted between open and lock
                    _check_mode(path, descriptor)
                    return cls(path, descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> CardFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Medium

    def put(self, write: Write) -> None:
        cell = encode_write(write)
        self._append(record_of(WRITE, msgspec.msgpack.encode(cell)))
        self._cells.append(cell)

    def seal(self, transaction: str, state: CardState) -> None:
        seal = Seal(transaction, len(self._cells), digest_of(self._cells), self._sealed_end)
        self._append(record_of(SEAL, msgspec.msgpack.encode(seal)), is_last=True)
        self._cells = []
        self._sealed_end = self._end
        self._state = state
        if self._end - self._snapshot_end > max(COMPACT_ABOVE, 2 * self._snapshot_end):
            self._compact()

    def reload(self) -> CardState:
        """Reads the disk again when a transaction was left unsealed or a write failed, as a boot does."""
        if self._cells or self._is_broken or os.fstat(self._descriptor).st_size != self._end:
            self.identity, self._state = self._read()
            self._is_broken = False
        return self._state

    # inside

    def _append(self, record: bytes, *, is_last: bool = False) -> None:
        """After a failed write nobody knows what is on the disk: only `reload` tells, and comes first."""
        if self._is_broken:
            raise StoreFailed(f"{self.path}: an earlier write failed.", code="euicc.card_file_failed")
        try:
            os.lseek(self._descriptor, self._end, os.SEEK_SET)
            _write_all(self._descriptor, record)
            if is_last:
                os.fsync(self._descriptor)
        except OSError as fault:
            self._is_broken = True
            raise _failed(self.path, fault) from fault
        self._end += len(record)

    def _read(self) -> tuple[Identity, CardState]:
        """Replays the journal and truncates the file after the last good seal."""
        self._cells = []
        data = self._whole_file()
        records = records_in(data)
        first = next(records, None)
        if first is None and data.startswith(MAGIC + SNAPSHOT):
            raise StoreFailed(
                f"{self.path} is damaged in its first record, or cut off.", code="euicc.card_file_damaged"
            )
        if first is None or first.kind != SNAPSHOT:
            raise Refused(f"{self.path} is no card file.", code="euicc.card_file_unknown")
        identity, state = self._snapshot(first.payload)
        self._snapshot_end = self._end = first.end
        cells: list[Cell] = []
        for record in records:
            if record.kind == WRITE:
                cells.append(msgspec.msgpack.decode(record.payload, type=Cell))
                continue
            seal = seal_of(record)
            if seal is None:
                raise Refused(f"{self.path} is of another version.", code="euicc.card_file_unknown")
            if seal.writes != len(cells) or seal.digest != digest_of(cells):
                break
            state = self._applied(state, cells)
            self._end, cells = record.end, []
        self._sealed_end = self._end
        self._refuse_damage(data)
        if len(data) > self._end:
            os.ftruncate(self._descriptor, self._end)
            os.fsync(self._descriptor)
        return identity, state

    def _whole_file(self) -> bytes:
        size = os.fstat(self._descriptor).st_size
        return os.pread(self._descriptor, size, 0)

    def _snapshot(self, payload: bytes) -> tuple[Identity, CardState]:
        try:
            snapshot = decode_snapshot(payload)
        except msgspec.DecodeError as fault:
            raise Refused(f"{self.path}: {fault}", code="euicc.card_file_unknown") from fault
        if snapshot.format != FORMAT:
            raise Refused(
                f"{self.path} has format {snapshot.format}, this keim writes {FORMAT}.",
                code="euicc.card_file_unknown",
            )
        return snapshot.identity, snapshot.state

    def _applied(self, state: CardState, cells: list[Cell]) -> CardState:
        try:
            return apply(state, cells)
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as fault:
            raise StoreFailed(
                f"{self.path}: a sealed transaction makes no sense: {fault}", code="euicc.card_file_damaged"
            ) from fault

    def _refuse_damage(self, data: bytes) -> None:
        """A crash can tear the last transaction only, whose own seal may have reached the disk before its
        writes.
        """
        if any(seal.start > self._end for seal in seals_in(data, self._end)):
            raise StoreFailed(
                f"{self.path} is damaged at octet {self._end}: sealed transactions stand behind it.",
                code="euicc.card_file_damaged",
            )

    def _compact(self) -> None:
        """Write-new-then-rename; the lock of the new file is held before the old name points to it."""
        fresh = self.path.with_name(self.path.name + ".new")
        try:
            descriptor = os.open(
                fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
        except OSError:  # as below
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.fchmod(descriptor, 0o600)
            record = record_of(SNAPSHOT, encode_snapshot(self.identity, self._state))
            _write_all(descriptor, record)
            os.fsync(descriptor)
            os.rename(fresh, self.path)
        except OSError:  # the journal is whole and goes on growing; the next seal tries again
            os.close(descriptor)
            fresh.unlink(missing_ok=True)
            return
        os.close(self._descriptor)
        self._descriptor = descriptor
        self._end = self._sealed_end = self._snapshot_end = len(record)
        _sync_directory(self.path)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _lock(path: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Refused(f"{path} is in use by another process.", code="euicc.card_file_locked") from None


def _is_same_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _check_mode(path: Path, descriptor: int) -> None:
    mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
    if mode & 0o077:
        raise Refused(
            f"{path} has mode {mode:04o}: others can read the card's keys.", code="euicc.card_file_exposed"
        )


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failed(path: Path, fault: OSError) -> StoreFailed:
    return StoreFailed(f"{path}: {fault.strerror}", code="euicc.card_file_failed")
