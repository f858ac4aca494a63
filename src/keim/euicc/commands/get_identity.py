"""GET IDENTITY in the SUCI context (TS 31.102 clause 7.5): the USIM itself conceals the subscription.

The answer is A1 with the SUCI as a 5GS mobile identity (TS 24.501 clause 9.11.3.4) without its length.
"""

from __future__ import annotations

from keim.crypto.suci import NULL_SCHEME, PROFILE_A, PROFILE_B, SCALAR_OCTETS, conceal, is_ephemeral_scalar
from keim.der import Tlv, read_tlv, tlv, walk
from keim.errors import Malformed, Refused
from keim.euicc import access_check
from keim.euicc.apdu import Answer, Apdu
from keim.euicc.context import CardContext
from keim.euicc.filesystem import Files, current_adf, files_of
from keim.euicc.services import has_service
from keim.euicc.status import CONDITIONS_NOT_SATISFIED, WRONG_PARAMETERS, StatusError
from keim.saip.filesystem import Ef, Key

SUCI_CONTEXT = 0x01
PRIVACY, CALCULATION_BY_USIM = 124, 125
EF_IMSI, EF_AD = (0x6F07,), (0x6FAD,)
EF_ROUTING_INDICATOR = (0x5FC0, 0x4F0A)
EF_SUCI_CALC_INFO = (0x5FD0, 0x4F01)
SCHEMES, KEYS, KEY_IDENTIFIER, KEY_VALUE = 0xA0, 0xA1, 0x80, 0x81
SUCI_OF_IMSI = 0x01
NO_ROUTING_INDICATOR = bytes.fromhex("F0FF")


def get_identity(context: CardContext, apdu: Apdu) -> Answer:
    files = files_of(context)
    adf = current_adf(context, files)
    if adf is None:
        raise StatusError(CONDITIONS_NOT_SATISFIED)
    if apdu.p1 or apdu.p2 != SUCI_CONTEXT:
        raise StatusError(WRONG_PARAMETERS)
    if not (has_service(files, adf, PRIVACY) and has_service(files, adf, CALCULATION_BY_USIM)):
        raise StatusError(CONDITIONS_NOT_SATISFIED)
    access_check.require(files, (*adf, *EF_IMSI), access_check.READ)
    try:
        return Answer(tlv(0xA1, _suci(context, files, adf)))
    except (Malformed, Refused, IndexError, ValueError):
        # the operator's data describe no scheme, key or identity
        raise StatusError(CONDITIONS_NOT_SATISFIED) from None


def _suci(context: CardContext, files: Files, adf: Key) -> bytes:
    digits = _imsi(_content(files, adf, EF_IMSI))
    mnc_length = _content(files, adf, EF_AD)[3] & 0x0F
    if mnc_length not in (2, 3):
        raise ValueError("EF.AD gives no length of the MNC")
    scheme, identifier, key = _scheme(_content(files, adf, EF_SUCI_CALC_INFO))
    scalar = context.random(SCALAR_OCTETS)
    while not is_ephemeral_scalar(scheme, scalar):
        scalar = context.random(SCALAR_OCTETS)
    hidden = conceal(scheme, key, scalar, _swapped(digits[3 + mnc_length :]))
    plmn = _plmn(digits[:3], digits[3 : 3 + mnc_length])
    return (
        bytes([SUCI_OF_IMSI]) + plmn + _routing_indicator(files, adf) + bytes([scheme, identifier]) + hidden
    )


def _content(files: Files, adf: Key, path: Key) -> bytes:
    key = (*adf, *path)
    return files.content(key) if isinstance(files.node(key), Ef) else b""


def _imsi(content: bytes) -> str:
    """The digits of EF.IMSI: a length, then nibbles of which the first tells the parity."""
    nibbles = "".join(f"{octet & 0x0F:X}{octet >> 4:X}" for octet in content[1 : 1 + content[0]])[1:]
    digits = nibbles.rstrip("F")
    if not digits.isdecimal() or len(digits) < 6:
        raise ValueError("EF.IMSI holds no IMSI")
    return digits


def _scheme(content: bytes) -> tuple[int, int, bytes]:
    """Of the first scheme in the list: its number, and identifier and value of the home network's key."""
    objects = {element.tag: content[element.content : element.end] for element in _objects(content)}
    scheme, index = objects[SCHEMES][0], objects[SCHEMES][1]
    if scheme == NULL_SCHEME:
        return scheme, 0, b""
    listed = objects.get(KEYS, b"")
    values = [(e.tag, listed[e.content : e.end]) for e in walk(listed)]
    identifiers = [value for tag, value in values if tag == KEY_IDENTIFIER]
    keys = [value for tag, value in values if tag == KEY_VALUE]
    if scheme not in (PROFILE_A, PROFILE_B) or not 1 <= index <= len(keys) == len(identifiers):
        raise ValueError("no such scheme, or it names no key")
    return scheme, identifiers[index - 1][0], keys[index - 1]


def _objects(content: bytes) -> list[Tlv]:
    """The file's data objects, up to the padding."""
    found: list[Tlv] = []
    position = 0
    while position < len(content) and content[position] in (SCHEMES, KEYS):
        element = read_tlv(content, position)
        found.append(element)
        position = element.end
    if SCHEMES not in [element.tag for element in found]:
        raise ValueError("EF.SUCI_Calc_Info_USIM names no scheme")
    return found


def _routing_indicator(files: Files, adf: Key) -> bytes:
    content = _content(files, adf, EF_ROUTING_INDICATOR)[:2]
    return content if len(content) == 2 and content[0] != 0xFF else NO_ROUTING_INDICATOR


def _plmn(mcc: str, mnc: str) -> bytes:
    third = mnc[2] if len(mnc) == 3 else "F"
    return bytes.fromhex(mcc[1] + mcc[0] + third + mcc[2] + mnc[1] + mnc[0])


def _swapped(digits: str) -> bytes:
    padded = digits + "F" * (len(digits) % 2)
    return bytes.fromhex("".join(padded[i + 1] + padded[i] for i in range(0, len(padded), 2)))
