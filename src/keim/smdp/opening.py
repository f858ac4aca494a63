"""A session before its eUICC has answered: nothing of it is stored, because its number tells all of it.

A transaction id is a time, chance, and the beginning of a code under the server's own key over both and the
terms; the challenge is the end of the same code. So every process of the server, also after a restart, finds
the session again by trying the few terms that it can have set, and whoever only opens sessions leaves nothing
behind. The first row of a session is written with its next step, and none can be written twice.
Pure; imports floor 0 only.
"""

from __future__ import annotations

import hmac
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Final

from keim.authentication import Server, Terms
from keim.crypto.secrets import Secret
from keim.smdp.rows import Session, SessionStage

KEY_OCTETS: Final = 32
CHANCE_OCTETS: Final = 5
_TIME_OCTETS: Final = 6
_SEED_OCTETS: Final = _TIME_OCTETS + CHANCE_OCTETS
_ID_OCTETS: Final = 16
_CODE_OCTETS: Final = 32
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


class SessionNumbers:
    """Numbers new sessions and reads their numbers; the same wherever the server and its key are the same."""

    def __init__(self, server: Server, key: Secret) -> None:
        self._codes = [
            (terms, blake2b(_text_of(terms), key=key.reveal(), digest_size=_CODE_OCTETS))
            for terms in _possible_terms(server)
        ]

    def __repr__(self) -> str:
        return "SessionNumbers(***)"

    def new(self, terms: Terms, *, lifetime: timedelta, now: datetime, chance: bytes) -> Session:
        seed = ((now - _EPOCH) // _MILLISECOND).to_bytes(_TIME_OCTETS, "big") + chance
        started = next(started for possible, started in self._codes if possible == terms)
        return _session(terms, seed, _code(started, seed), lifetime)

    def read(self, transaction_id: bytes, *, lifetime: timedelta) -> Session | None:
        """The session of an id that was given here; None for any other."""
        if len(transaction_id) != _ID_OCTETS:
            return None
        seed, mark = transaction_id[:_SEED_OCTETS], transaction_id[_SEED_OCTETS:]
        for terms, started in self._codes:
            code = _code(started, seed)
            if hmac.compare_digest(code[: len(mark)], mark):
                return _session(terms, seed, code, lifetime)
        return None


def _possible_terms(server: Server) -> list[Terms]:
    return [
        Terms(identity, ci_pk_id, address)
        for address in server.addresses
        for identity in server.identities
        for ci_pk_id in server.trust.key_identifiers
    ]


def _text_of(terms: Terms) -> bytes:
    parts = (terms.identity.ci_pk_id, terms.ci_pk_id, terms.server_address.encode())
    return b"".join([len(part).to_bytes(2, "big") + part for part in parts])


def _code(started: blake2b, seed: bytes) -> bytes:
    whole = started.copy()
    whole.update(seed)
    return whole.digest()


def _session(terms: Terms, seed: bytes, code: bytes, lifetime: timedelta) -> Session:
    opened_at = _EPOCH + int.from_bytes(seed[:_TIME_OCTETS], "big") * _MILLISECOND
    expires_at = opened_at + lifetime
    return Session(
        transaction_id=seed + code[: _ID_OCTETS - _SEED_OCTETS],
        stage=SessionStage.INITIATED,
        version=0,
        expires_at=expires_at,
        keep_until=expires_at,
        server_address=terms.server_address,
        server_challenge=code[-16:],
        ci_pk_id=terms.ci_pk_id,
        server_ci_pk_id=terms.identity.ci_pk_id,
    )
