"""Sessions that a later handshake resumes: kept under an id, or sealed into a ticket (RFC 5077). Pure.

Only handshakes with an extended master secret make sessions (RFC 7627 §5.3).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Literal, Protocol

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keim.seams import Entropy
from keim.wire.dtls.events import NOBODY, Identity

TICKET_KEY_S: Final = 86400.0
_NAME_OCTETS: Final = 4


class Session(msgspec.Struct, frozen=True, array_like=True):
    """About 160 octets; secret."""

    id: bytes
    suite: int
    master: bytes
    until: float
    identity: Identity = NOBODY
    server_name: str | None = None
    ticket: bytes = b""

    def encode(self) -> bytes:
        return msgspec.msgpack.encode(self)


def decode_session(data: bytes) -> Session | None:
    try:
        return msgspec.msgpack.decode(data, type=Session)
    except msgspec.MsgspecError:
        return None


class SessionStore(Protocol):
    """Where a server keeps sessions; several processes may share one."""

    def put(self, session: Session) -> None: ...

    def get(self, session_id: bytes, now: float) -> Session | None: ...


class SessionMemory:
    def __init__(self, limit: int = 100_000) -> None:
        self._limit = limit
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def put(self, session: Session) -> None:
        self._sessions[session.id] = session
        while len(self._sessions) > self._limit:
            self._sessions.popitem(last=False)

    def get(self, session_id: bytes, now: float) -> Session | None:
        session = self._sessions.get(session_id)
        if session is None:
            return None
        if session.until <= now:
            del self._sessions[session_id]
            return None
        return session


class TicketKeys:
    """Keys of tickets, a new one each day; the one before is still taken. Share `state` between processes."""

    def __init__(self, entropy: Entropy, keys: tuple[tuple[bytes, float], ...] = ()) -> None:
        self._entropy = entropy
        self.keys = keys
        """(name || key, until), newest first. Secret."""

    def seal(self, session: Session, now: float) -> bytes:
        if not self.keys or self.keys[0][1] <= now:
            fresh = (self._entropy.bytes(_NAME_OCTETS + 16), now + TICKET_KEY_S)
            self.keys = (fresh, *self.keys[:1])
        name, key = self.keys[0][0][:_NAME_OCTETS], self.keys[0][0][_NAME_OCTETS:]
        nonce = self._entropy.bytes(12)
        return name + nonce + AESGCM(key).encrypt(nonce, session.encode(), name)

    def open(self, ticket: bytes, now: float) -> Session | None:
        for secret, until in self.keys:
            name, key = secret[:_NAME_OCTETS], secret[_NAME_OCTETS:]
            if ticket[:_NAME_OCTETS] != name or until + TICKET_KEY_S <= now or len(ticket) < 32:
                continue
            nonce, sealed = ticket[_NAME_OCTETS : _NAME_OCTETS + 12], ticket[_NAME_OCTETS + 12 :]
            try:
                session = decode_session(AESGCM(key).decrypt(nonce, sealed, name))
            except InvalidTag:
                return None
            return session if session is not None and session.until > now else None
        return None


Resumption = Literal["ids", "tickets", "none"]
