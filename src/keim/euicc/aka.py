"""Authentication and key agreement of the enabled profile: algorithm, sequence numbers, resynchronisation.

SQN is SEQ (43 bits) followed by IND (5 bits); the card keeps the highest SEQ that it accepted for each IND
(TS 33.102 annex C; profile-package.md section 8).
"""

from __future__ import annotations

import hmac

import msgspec

from keim.crypto.aka import AkaAlgorithm, AkaVector, TestAlgorithm, xor
from keim.crypto.milenage import Milenage
from keim.crypto.tuak import Tuak
from keim.euicc.filesystem import Files
from keim.euicc.status import (
    AUTHENTICATION_CONTEXT,
    AUTHENTICATION_MAC,
    CONDITIONS_NOT_SATISFIED,
    StatusError,
)
from keim.saip.elements import Algorithm
from keim.saip.filesystem import Authentication

INDICES = 32
IND_BITS = 5
RESYNC_AMF = bytes(2)
TEST_RES_LENGTHS = {0x02: 16}
"""algorithmOptions of the test algorithm -> octets of RES; 8 otherwise [I]."""


class Synchronisation(Exception):
    """The sequence number is not fresh; `auts` tells the network where the card stands."""

    def __init__(self, auts: bytes) -> None:
        super().__init__("synchronisation failure")
        self.auts = auts


def algorithm_of(credentials: Authentication) -> AkaAlgorithm:
    match credentials.algorithm:
        case Algorithm.MILENAGE:
            return Milenage(credentials.key, credentials.opc, credentials.rotation, credentials.xoring)
        case Algorithm.TUAK:
            return Tuak(credentials.key, credentials.opc, iterations=credentials.keccak_rounds)
        case Algorithm.USIM_TEST:
            return TestAlgorithm(credentials.key, TEST_RES_LENGTHS.get(credentials.options, 8))
        case _:
            raise StatusError(AUTHENTICATION_CONTEXT)


def gsm_vector(files: Files, aid: bytes, rand: bytes) -> AkaVector:
    """The GSM context: no sequence number is involved."""
    return algorithm_of(_credentials(files, aid)).f2345(rand)


def authenticate(files: Files, aid: bytes, rand: bytes, autn: bytes) -> AkaVector:
    """Verifies AUTN and stores its SEQ before anything leaves the card (T9)."""
    credentials = _credentials(files, aid)
    algorithm = algorithm_of(credentials)
    vector = algorithm.f2345(rand)
    sqn, amf, mac = xor(autn[:6], vector.ak), autn[6:8], autn[8:]
    if not hmac.compare_digest(algorithm.f1(rand, sqn, amf), mac):
        raise StatusError(AUTHENTICATION_MAC)
    _count(files, credentials)
    known = files.uicc.sequence_numbers.get(credentials.aid) or credentials.sqn_init or (0,) * INDICES
    number = int.from_bytes(sqn, "big")
    seq, ind = number >> IND_BITS, number & (INDICES - 1)
    if seq <= known[ind] or seq - max(known) > credentials.sqn_delta:
        raise Synchronisation(_auts(algorithm, rand, max(known), ind))
    stored = {**files.uicc.sequence_numbers, credentials.aid: (*known[:ind], seq, *known[ind + 1 :])}
    files.commit("T9 authenticate", msgspec.structs.replace(files.uicc, sequence_numbers=stored))
    return vector


def _credentials(files: Files, aid: bytes) -> Authentication:
    found = files.base.authentication(aid)
    if found is None:
        raise StatusError(CONDITIONS_NOT_SATISFIED)
    return found


def _count(files: Files, credentials: Authentication) -> None:
    """authCounterMax limits the runs; an exhausted counter refuses [I]."""
    if credentials.counter_max is None:
        return
    runs = files.uicc.authentications.get(credentials.aid, 0)
    if runs >= credentials.counter_max:
        raise StatusError(CONDITIONS_NOT_SATISFIED)
    counted = {**files.uicc.authentications, credentials.aid: runs + 1}
    files.commit("T9 count", msgspec.structs.replace(files.uicc, authentications=counted))


def _auts(algorithm: AkaAlgorithm, rand: bytes, highest: int, ind: int) -> bytes:
    sqn_ms = (highest << IND_BITS | ind).to_bytes(6, "big")
    return xor(sqn_ms, algorithm.f5_star(rand)) + algorithm.f1_star(rand, sqn_ms, RESYNC_AMF)
