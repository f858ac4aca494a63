"""Keeps a DTLS endpoint's associations and sessions in a file, so that they outlive the process.

Once a second what changed is written, in a thread. A restart puts the write sequence 2^16 ahead and stores
that before the first datagram leaves. Imports keim.errors, keim.wire.dtls and its neighbours in keim.io.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Final

import msgspec

from keim.errors import KeimError, StoreFailed
from keim.io.dtls_file import AssociationFile, Kept
from keim.wire.dtls.association import Association
from keim.wire.dtls.endpoint import DtlsEndpoint
from keim.wire.dtls.events import Down
from keim.wire.dtls.sessions import Session, SessionMemory

PERIOD_S: Final = 1.0
PURGE_S: Final = 600.0

log = logging.getLogger("keim.dtls")


class KeptSessions:
    """A `SessionStore`: memory first, then the file that all workers share."""

    def __init__(self, file: AssociationFile) -> None:
        self._file = file
        self._memory = SessionMemory()
        self.new: list[Session] = []

    def put(self, session: Session) -> None:
        self._memory.put(session)
        self.new.append(session)

    def get(self, session_id: bytes, now: float) -> Session | None:
        found = self._memory.get(session_id, now)
        if found is not None:
            return found
        try:
            kept = self._file.session(session_id)
        except StoreFailed as fault:
            _tell(fault)  # a full handshake does as well
            return None
        return kept if kept is not None and kept.until > now else None


class Keeper:
    def __init__(self, endpoint: DtlsEndpoint, file: AssociationFile, sessions: KeptSessions) -> None:
        self._endpoint, self._file, self._sessions = endpoint, file, sessions
        self._gone: list[bytes] = []
        self._purge_at = 0.0
        endpoint.changed = set()

    def restore(self, now: float) -> int:
        """Before the socket is opened. How many associations go on."""
        count = 0
        for data in self._file.associations():
            try:
                self._endpoint.restore(data, now)
            except KeimError as fault:  # connection ids of another length, a snapshot of another version
                _tell(fault)
                continue
            count += 1
        self._write(*self._taken())
        return count

    def watch(self, event: object) -> None:
        if isinstance(event, Down):
            association = event.association
            assert isinstance(association, Association)
            self._gone.append(_key(association)[0])

    async def flush(self, now: float) -> None:
        """Writes what changed since the last time; what cannot be written is tried again."""
        endpoint = self._endpoint
        assert endpoint.changed is not None
        if now >= self._purge_at:
            self._purge_at = now + PURGE_S
            try:
                await asyncio.to_thread(self._file.purge, now)
            except StoreFailed as fault:
                _tell(fault)
        if not (endpoint.changed or self._gone or self._sessions.new):
            return
        before = {one: one.snapshot_at for one in endpoint.changed}
        batch = self._taken()
        try:
            await asyncio.to_thread(self._write, *batch)
        except StoreFailed as fault:
            _tell(fault)
            for one, at in before.items():
                one.snapshot_at = at  # what a restart would find
                if endpoint.is_up(one):
                    endpoint.changed.add(one)
            self._gone += batch[1]
            self._sessions.new += batch[2]

    def close(self) -> None:
        """The last state; nothing may be sent afterwards."""
        try:
            self._write(*self._taken())
        except StoreFailed as fault:
            _tell(fault)
        self._file.close()

    def _taken(self) -> tuple[list[Kept], list[bytes], list[Session]]:
        endpoint = self._endpoint
        assert endpoint.changed is not None
        kept = []
        for association in endpoint.changed:
            snapshot = endpoint.snapshot(association)
            if snapshot is not None:
                key, has_cid = _key(association)
                kept.append(Kept(key, has_cid, snapshot))
        endpoint.changed.clear()
        gone, self._gone = self._gone, []
        sessions, self._sessions.new = self._sessions.new, []
        return kept, gone, sessions

    def _write(self, kept: list[Kept], gone: list[bytes], sessions: list[Session]) -> None:
        self._file.write(kept, gone, sessions)


def _key(association: Association) -> tuple[bytes, bool]:
    if association.own_cid:
        return association.own_cid, True
    return b"\0" + msgspec.msgpack.encode(association.address), False


def _tell(fault: KeimError) -> None:
    log.error(json.dumps({"event": "associations_not_kept", "code": fault.code, "text": str(fault)}))
