"""AUTHENTICATE (TS 31.102 clause 7.1.2): the 3G and the GSM security context of a USIM or ISIM."""

from __future__ import annotations

from keim.crypto.aka import AkaVector, gsm_keys, kc
from keim.euicc.aka import Synchronisation, gsm_vector
from keim.euicc.aka import authenticate as run_aka
from keim.euicc.apdu import Answer, Apdu
from keim.euicc.context import CardContext
from keim.euicc.filesystem import Files, current_adf, files_of
from keim.euicc.pins import find_pin, is_satisfied
from keim.euicc.services import has_service
from keim.euicc.status import (
    AUTHENTICATION_CONTEXT,
    CONDITIONS_NOT_SATISFIED,
    SECURITY_NOT_SATISFIED,
    WRONG_LENGTH,
    WRONG_PARAMETERS,
    StatusError,
)
from keim.saip.filesystem import Key

GSM, UMTS = 0x80, 0x81
OTHER_CONTEXTS = frozenset({0x82, 0x84, 0x85, 0x86, 0x87})
"""VGCS/VBS, GBA, MBMS and local keys: not offered."""
SUCCESS, RESYNCHRONISE = 0xDB, 0xDC
USER_PIN = 0x01
GSM_ACCESS_SERVICE = 27
"""The terminal may need Kc."""


def authenticate(context: CardContext, apdu: Apdu) -> Answer:
    files = files_of(context)
    adf = current_adf(context, files)
    aid = context.channel.application
    if adf is None or aid is None:
        raise StatusError(CONDITIONS_NOT_SATISFIED)
    if apdu.p1 or apdu.p2 not in OTHER_CONTEXTS | {GSM, UMTS}:
        raise StatusError(WRONG_PARAMETERS)
    if apdu.p2 in OTHER_CONTEXTS:
        raise StatusError(AUTHENTICATION_CONTEXT)
    if find_pin(files, adf, USER_PIN) is not None and not is_satisfied(files, adf, USER_PIN):
        raise StatusError(SECURITY_NOT_SATISFIED)
    if apdu.p2 == GSM:
        (rand,) = _fields(apdu.data, 1)
        sres, key = gsm_keys(gsm_vector(files, aid, rand))
        return Answer(_prefixed(sres) + _prefixed(key))
    rand, autn = _fields(apdu.data, 2)
    try:
        vector = run_aka(files, aid, rand, autn)
    except Synchronisation as failure:
        return Answer(bytes([RESYNCHRONISE]) + _prefixed(failure.auts))
    return Answer(_success(files, adf, vector))


def _success(files: Files, adf: Key, vector: AkaVector) -> bytes:
    data = bytes([SUCCESS]) + _prefixed(vector.res) + _prefixed(vector.ck) + _prefixed(vector.ik)
    return data + _prefixed(kc(vector)) if has_service(files, adf, GSM_ACCESS_SERVICE) else data


def _fields(data: bytes, count: int) -> list[bytes]:
    """Length-prefixed fields of 16 octets each, and nothing else."""
    if len(data) != 17 * count or any(data[17 * i] != 16 for i in range(count)):
        raise StatusError(WRONG_LENGTH)
    return [data[17 * i + 1 : 17 * (i + 1)] for i in range(count)]


def _prefixed(data: bytes) -> bytes:
    return bytes([len(data)]) + data
