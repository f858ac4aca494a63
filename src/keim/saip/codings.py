"""How the contents of common files are written: identities, PLMNs, names, addresses, service tables.

Decoders return None for content that is not of that form: a tool shows the octets then. Must never
import anything above floor 0.
"""

from __future__ import annotations

from keim.errors import Malformed, Refused
from keim.ids import Iccid, Imsi

_GSM7 = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)


def luhn_digit(digits: str) -> str:
    """The check digit that makes `digits` + it hold (ITU-T E.118)."""
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 - index % 2)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def full_iccid(digits: str) -> Iccid:
    """The ICCID; 18 digits get their check digit, which the two usual lengths (19, 20) are taken to have."""
    return Iccid(digits + luhn_digit(digits) if len(digits) == 18 else digits)


def imsi_octets(imsi: Imsi | str) -> bytes:
    """EF.IMSI: length 8, parity nibble, swapped digits, F padding."""
    return Imsi(imsi).octets


def imsi_of(octets: bytes) -> Imsi | None:
    try:
        return Imsi.from_octets(octets)
    except (Malformed, Refused):
        return None


def access_class(imsi: str) -> bytes:
    """EF.ACC: the class of the IMSI's last digit."""
    return (1 << int(imsi[-1])).to_bytes(2, "big")


def access_classes(octets: bytes) -> tuple[int, ...]:
    value = int.from_bytes(octets, "big")
    return tuple(bit for bit in range(16) if value >> bit & 1)


def plmn_octets(mcc_mnc: str) -> bytes:
    """Three octets of 24.008: MCC2 MCC1, MNC3 MCC3, MNC2 MNC1; five digits get F as third of the MNC."""
    mcc, mnc = mcc_mnc[:3], mcc_mnc[3:].ljust(3, "F")
    return bytes.fromhex(f"{mcc[1]}{mcc[0]}{mnc[2]}{mcc[2]}{mnc[1]}{mnc[0]}")


def plmn_of(octets: bytes) -> str | None:
    """`001-01`; None for FFFFFF and for what is no PLMN."""
    nibbles = octets.hex()
    if len(nibbles) != 6:
        return None
    mcc = nibbles[1] + nibbles[0] + nibbles[3]
    mnc = nibbles[5] + nibbles[4] + nibbles[2].rstrip("f")
    return f"{mcc}-{mnc}" if (mcc + mnc).isdecimal() else None


def name_octets(text: str) -> bytes:
    """An alpha identifier: GSM 7-bit characters in octets, or UCS2 behind 80 (TS 102 221 annex A)."""
    if all(character in _GSM7 and character != "\x1b" for character in text):
        return bytes(_GSM7.index(character) for character in text)
    return b"\x80" + text.encode("utf-16-be")


def name_of(octets: bytes) -> str | None:
    if octets[:1] == b"\x80":
        rest = octets[1:]
        pairs = [rest[i : i + 2] for i in range(0, len(rest) - 1, 2)]
        try:
            return b"".join(pair for pair in pairs if pair != b"\xff\xff").decode("utf-16-be")
        except UnicodeDecodeError:
            return None
    data = octets.rstrip(b"\xff")
    return "".join(_GSM7[octet] for octet in data) if all(octet < 0x80 for octet in data) else None


def spn_octets(name: str, size: int = 17) -> bytes:
    """EF.SPN: display condition 01 (show the registered PLMN), name."""
    return (b"\x01" + name_octets(name))[:size].ljust(size, b"\xff")


def dial_octets(number: str, room: int = 10) -> bytes:
    """TON/NPI and swapped digits of a dialling number, F padded to `room` octets and one for TON/NPI."""
    ton = b"\x91" if number.startswith("+") else b"\x81"
    digits = number.removeprefix("+")
    digits += "F" * (len(digits) % 2)
    swapped = "".join(digits[i + 1] + digits[i] for i in range(0, len(digits), 2))
    return (ton + bytes.fromhex(swapped)).ljust(1 + room, b"\xff")


def dial_of(octets: bytes) -> str | None:
    """The number behind a TON/NPI octet."""
    if not octets or octets[0] == 0xFF:
        return None
    symbols = "0123456789*#pwe"
    nibbles = [nibble for octet in octets[1:] for nibble in (octet & 0x0F, octet >> 4)]
    digits = ""
    for nibble in nibbles:
        if nibble == 0x0F:
            break
        digits += symbols[nibble]
    return ("+" if octets[0] & 0x70 == 0x10 else "") + digits


def smsp_record(address: str, length: int = 38) -> bytes:
    """EF.SMSP with a service centre address: alpha Y, indicator, destination, centre, PID, DCS, validity."""
    alpha = b"\xff" * (length - 28)
    digits = len(address.removeprefix("+"))
    centre = bytes((1 + (digits + 1) // 2,)) + dial_octets(address, 10)
    return alpha + b"\xe1" + b"\xff" * 12 + centre + b"\x00\x00\xa7"


def smsc_of(record: bytes) -> str | None:
    """The service centre address of an EF.SMSP record, None when it has none."""
    if len(record) < 28:
        return None
    tail = record[-28:]
    centre = tail[13:25]
    if tail[0] & 0x02 or not 1 <= centre[0] <= 11:
        return None
    return dial_of(centre[1 : 1 + centre[0]])


def msisdn_record(number: str, length: int = 24) -> bytes:
    """EF.MSISDN: alpha, length, TON/NPI and number, two pointers."""
    digits = len(number.removeprefix("+"))
    return b"\xff" * (length - 14) + bytes((1 + (digits + 1) // 2,)) + dial_octets(number, 10) + b"\xff\xff"


def msisdn_of(record: bytes) -> str | None:
    if len(record) < 14 or not 1 <= record[-14] <= 11:
        return None
    return dial_of(record[-13 : -13 + record[-14]])


def services_of(octets: bytes) -> frozenset[int]:
    """The numbers of the services that a service table switches on, counted from 1."""
    return frozenset(
        8 * i + bit + 1 for i, octet in enumerate(octets) for bit in range(8) if octet >> bit & 1
    )


def service_octets(services: frozenset[int] | set[int], size: int) -> bytes:
    out = bytearray(size)
    for service in services:
        if service <= 8 * size:
            out[(service - 1) // 8] |= 1 << (service - 1) % 8
    return bytes(out)


def apn_octets(names: tuple[str, ...]) -> bytes:
    """EF.ACL: the number of names, then DD length and labels for each (TS 31.102 §4.2.48)."""
    out = bytes((len(names),))
    for name in names:
        labels = b"".join(bytes((len(label),)) + label.encode("ascii") for label in name.split(".") if label)
        out += b"\xdd" + bytes((len(labels),)) + labels
    return out


def apns_of(octets: bytes) -> tuple[str, ...] | None:
    names: list[str] = []
    position = 1
    for _ in range(octets[0] if octets else 0):
        if position + 2 > len(octets) or octets[position] != 0xDD:
            return None
        end = position + 2 + octets[position + 1]
        labels, position = [], position + 2
        while position < end:
            labels.append(octets[position + 1 : position + 1 + octets[position]].decode("ascii", "replace"))
            position += 1 + octets[position]
        names.append(".".join(labels))
    return tuple(names)


def dir_record(aid: bytes, label: str = "") -> bytes:
    """A record of EF.DIR: application template with AID and label."""
    inner = b"\x4f" + bytes((len(aid),)) + aid
    if label:
        text = label.encode("ascii")
        inner += b"\x50" + bytes((len(text),)) + text
    return b"\x61" + bytes((len(inner),)) + inner
