"""The IPA's memory as a file: replaced as a whole, synced before anything relies on it, mode 0600.

A power cut leaves the old or the new content, never a mixture: the new one is written beside it, synced, and
takes its name. Imports keim.errors and keim.ipa.memory only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keim.errors import Refused, StoreFailed
from keim.ipa.memory import EMPTY, Memory


class StateFile:
    """One IPA's memory; `None` as path keeps it in the process only."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def load(self) -> Memory:
        if self.path is None:
            return EMPTY
        try:
            return Memory.decode(self.path.read_bytes())
        except FileNotFoundError:
            return EMPTY
        except StoreFailed as damaged:
            raise StoreFailed(f"{self.path}: {damaged}", code="ipa.state_unreadable") from damaged
        except OSError as fault:
            raise StoreFailed(f"{self.path}: {fault.strerror}", code="ipa.state_unreadable") from fault

    @contextmanager
    def held(self) -> Iterator[None]:
        """For whoever changes it: one IPA at a time. Also tells before any work whether it can be kept."""
        if self.path is None:
            yield
            return
        import fcntl

        beside = self.path.with_name(f".{self.path.name}.lock")
        self.load()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT, 0o600)
        except OSError as fault:
            raise StoreFailed(f"{self.path}: {fault.strerror}", code="ipa.state_not_written") from fault
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as taken:
                raise Refused(f"another IPA works with {self.path}", code="ipa.already_running") from taken
            yield
        finally:
            os.close(descriptor)

    def save(self, memory: Memory) -> None:
        if self.path is None:
            return
        try:
            replace_durably(self.path, memory.encode())
        except OSError as fault:
            raise StoreFailed(f"{self.path}: {fault.strerror}", code="ipa.state_not_written") from fault


def replace_durably(path: Path, octets: bytes) -> None:
    """The old or the new content whatever happens, readable by its owner only; OSError where it cannot be."""
    beside = path.with_name(f".{path.name}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """The new name itself must survive."""
    if not hasattr(os, "O_DIRECTORY"):
        return  # Windows: the rename is durable with the file system's journal
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
