"""Names of things: EID, ICCID, OID, AID, IMSI, PLMN and version, as small values that refuse nonsense.

Each is the text that people read (or, for `Version`, three numbers); `.octets` and `.from_octets` are its
form on the wire, so that nibbles are swapped here and nowhere else. Bad text is `Refused`, bad octets are
`Malformed`. Imports `keim.errors` only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

from keim.errors import Malformed, Refused

EID_DIGITS: Final = 32
ICCID_OCTETS: Final = 10
IMSI_OCTETS: Final = 9
OID_CONTENT_LIMIT: Final = 255
"""No object identifier of this world is longer; the bound keeps hostile arcs from costing anything."""

_OID: Final = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+", re.ASCII)


def _refused(text: object, kind: str, rule: str, *, code: str) -> Refused:
    shown = repr(text)
    if len(shown) > 60:
        shown = f"{shown[:57]}..."
    return Refused(f"{shown} is not an {kind}: {rule}", code=code)


def _is_digits(text: object, shortest: int, longest: int) -> bool:
    return isinstance(text, str) and shortest <= len(text) <= longest and text.isascii() and text.isdigit()


def _swap(octets: bytes) -> bytes:
    return bytes((octet & 0x0F) << 4 | octet >> 4 for octet in octets)


def _digits(octets: bytes, path: str, *, swapped: bool) -> str:
    """The decimal digits before the F padding; anything else is `Malformed` at its octet."""
    nibbles = (_swap(octets) if swapped else octets).hex()
    digits = nibbles.rstrip("f")
    for index, nibble in enumerate(digits):
        if nibble not in "0123456789":
            raise Malformed(f"the nibble {nibble.upper()} is no decimal digit", offset=index // 2, path=path)
    return digits


def _luhn_holds(digits: str) -> bool:
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + index % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


class Eid(str):
    """The eUICC's identity (SGP.29): 32 decimal digits, on the wire 16 octets, never nibble-swapped.

    Wrong check digits are no error on the wire: several public test cards carry them.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if not _is_digits(text, EID_DIGITS, EID_DIGITS):
            raise _refused(text, "EID", "32 decimal digits are needed", code="request.invalid_eid")
        return super().__new__(cls, text)

    @classmethod
    def from_octets(cls, octets: bytes) -> Self:
        if len(octets) != EID_DIGITS // 2:
            raise Malformed(f"an EID has 16 octets, not {len(octets)}", offset=0, path="eid")
        digits = _digits(octets, "eid", swapped=False)
        if len(digits) != EID_DIGITS:
            raise Malformed("an EID has no padding", offset=len(digits) // 2, path="eid")
        return cls(digits)

    @classmethod
    def with_check_digits(cls, first_thirty: str) -> Self:
        """The EID whose first 30 digits are given (ISO 7064 MOD 97-10, leading zero kept)."""
        if not _is_digits(first_thirty, EID_DIGITS - 2, EID_DIGITS - 2):
            raise _refused(
                first_thirty,
                "EID",
                "30 decimal digits are needed before the check digits",
                code="request.invalid_eid",
            )
        return cls(f"{first_thirty}{98 - int(first_thirty + '00') % 97:02d}")

    @property
    def octets(self) -> bytes:
        return bytes.fromhex(self)

    @property
    def has_valid_check_digits(self) -> bool:
        return int(self) % 97 == 1


class Iccid(str):
    """A profile's identity in human order, 18 to 20 digits; swapped and F-padded to 10 octets on the wire."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if not _is_digits(text, 18, 20):
            raise _refused(text, "ICCID", "18 to 20 decimal digits are needed", code="request.invalid_iccid")
        return super().__new__(cls, text)

    @classmethod
    def from_octets(cls, octets: bytes) -> Self:
        """From the form of SGP.22 and SGP.32 messages and of EF.ICCID (nibbles swapped)."""
        return cls._from_nibbles(octets, swapped=True)

    @classmethod
    def from_header_octets(cls, octets: bytes) -> Self:
        """From the form of a profile package's ProfileHeader (nibbles in human order)."""
        return cls._from_nibbles(octets, swapped=False)

    @classmethod
    def _from_nibbles(cls, octets: bytes, *, swapped: bool) -> Self:
        if len(octets) != ICCID_OCTETS:
            raise Malformed(f"an ICCID has 10 octets, not {len(octets)}", offset=0, path="iccid")
        digits = _digits(octets, "iccid", swapped=swapped)
        if len(digits) < 18:
            raise Malformed(
                f"an ICCID has 18 to 20 digits, not {len(digits)}", offset=len(digits) // 2, path="iccid"
            )
        return cls(digits)

    @property
    def octets(self) -> bytes:
        return _swap(self.header_octets)

    @property
    def header_octets(self) -> bytes:
        return bytes.fromhex(self.ljust(2 * ICCID_OCTETS, "F"))

    @property
    def has_valid_check_digit(self) -> bool:
        return _luhn_holds(self)


class Oid(str):
    """An object identifier in dotted form; `content` are the content octets of its DER encoding."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if not isinstance(text, str) or len(text) > 4 * OID_CONTENT_LIMIT or not _OID.fullmatch(text):
            raise _refused(
                text,
                "OID",
                "numbers joined by dots are needed, such as 2.23.146.1",
                code="request.invalid_oid",
            )
        first, second = text.split(".", 2)[:2]
        if len(first) > 1 or first > "2" or (first < "2" and int(second) > 39):
            raise _refused(
                text,
                "OID",
                "it starts with 0, 1 or 2; under 0 and 1 the second number ends at 39",
                code="request.invalid_oid",
            )
        value = super().__new__(cls, text)
        if len(value.content) > OID_CONTENT_LIMIT:
            raise _refused(
                text,
                "OID",
                f"its encoding is longer than {OID_CONTENT_LIMIT} octets",
                code="request.invalid_oid",
            )
        return value

    @classmethod
    def from_content(cls, content: bytes) -> Self:
        if not 1 <= len(content) <= OID_CONTENT_LIMIT:
            raise Malformed(
                f"an OID has 1 to {OID_CONTENT_LIMIT} octets, not {len(content)}", offset=0, path="oid"
            )
        if content[-1] & 0x80:
            raise Malformed("the OID's last number is cut off", offset=len(content) - 1, path="oid")
        numbers: list[int] = []
        number, at_start = 0, True
        for offset, octet in enumerate(content):
            if at_start and octet == 0x80:
                raise Malformed(
                    "a number of the OID has a superfluous leading octet", offset=offset, path="oid"
                )
            number = number << 7 | octet & 0x7F
            at_start = not octet & 0x80
            if at_start:
                numbers.append(number)
                number = 0
        first = min(numbers[0] // 40, 2)
        return cls(".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:]))))

    @property
    def content(self) -> bytes:
        first, second, *rest = map(int, self.split("."))
        octets = bytearray()
        for number in (40 * first + second, *rest):
            shift = max(number.bit_length() - 1, 0) // 7 * 7
            octets += bytes(0x80 | number >> s & 0x7F for s in range(shift, 0, -7))
            octets.append(number & 0x7F)
        return bytes(octets)


class Aid(str):
    """An application identifier (ISO 7816-5): 5 to 16 octets, written as upper-case hexadecimal digits."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if not isinstance(text, str) or not re.fullmatch(r"([0-9A-Fa-f]{2}){5,16}", text, re.ASCII):
            raise _refused(
                text, "AID", "5 to 16 octets in hexadecimal digits are needed", code="request.invalid_aid"
            )
        return super().__new__(cls, text.upper())

    @classmethod
    def from_octets(cls, octets: bytes) -> Self:
        if not 5 <= len(octets) <= 16:
            raise Malformed(f"an AID has 5 to 16 octets, not {len(octets)}", offset=0, path="aid")
        return cls(octets.hex())

    @property
    def octets(self) -> bytes:
        return bytes.fromhex(self)


class Imsi(str):
    """A subscription's identity (ITU-T E.212), 6 to 15 digits; `octets` is the content of EF.IMSI."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if not _is_digits(text, 6, 15):
            raise _refused(text, "IMSI", "6 to 15 decimal digits are needed", code="request.invalid_imsi")
        return super().__new__(cls, text)

    @classmethod
    def from_octets(cls, octets: bytes) -> Self:
        """From EF.IMSI (TS 31.102 §4.2.2): length, then a parity nibble and the digits, nibbles swapped."""
        if len(octets) != IMSI_OCTETS or not 4 <= octets[0] < IMSI_OCTETS:
            raise Malformed("EF.IMSI has 9 octets and starts with a length of 4 to 8", offset=0, path="imsi")
        nibbles = _swap(octets[1 : 1 + octets[0]]).hex()
        if nibbles[0] not in "19":
            raise Malformed("the parity nibble of EF.IMSI is neither 1 nor 9", offset=1, path="imsi")
        is_odd = nibbles[0] == "9"
        digits = nibbles[1:] if is_odd else nibbles[1:-1]
        if not _is_digits(digits, 6, 15) or (not is_odd and nibbles[-1] != "f"):
            raise Malformed("EF.IMSI holds no 6 to 15 decimal digits", offset=1, path="imsi")
        return cls(digits)

    @property
    def octets(self) -> bytes:
        nibbles = f"9{self}" if len(self) % 2 else f"1{self}F"
        return (bytes([len(nibbles) // 2]) + _swap(bytes.fromhex(nibbles))).ljust(IMSI_OCTETS, b"\xff")


class Plmn(str):
    """A network's identity: country (3 digits) and network (2 or 3); on the wire as in TS 24.008 §10.5.1.13.

    `Plmn("26202")` and `Plmn("262-02")` are the same value, written without the dash.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if not isinstance(text, str) or not re.fullmatch(r"[0-9]{3}-?[0-9]{2,3}", text, re.ASCII):
            raise _refused(
                text,
                "PLMN",
                "a country of 3 and a network of 2 or 3 digits are needed, such as 262-02",
                code="request.invalid_plmn",
            )
        return super().__new__(cls, text.replace("-", ""))

    @classmethod
    def from_octets(cls, octets: bytes) -> Self:
        if len(octets) != 3:
            raise Malformed(f"a PLMN has 3 octets, not {len(octets)}", offset=0, path="plmn")
        nibbles = _swap(octets).hex()
        country, third, network = nibbles[:3], nibbles[3], nibbles[4:]
        digits = country + network + ("" if third == "f" else third)
        if not _is_digits(digits, 5, 6):
            raise Malformed("a PLMN holds a nibble that is no decimal digit", offset=0, path="plmn")
        return cls(digits)

    @property
    def mcc(self) -> str:
        return self[:3]

    @property
    def mnc(self) -> str:
        return self[3:]

    @property
    def octets(self) -> bytes:
        network = self.mnc.ljust(3, "F")
        return _swap(bytes.fromhex(self.mcc + network[2] + network[:2]))


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Three numbers of one octet each (VersionType), such as 1.2.0; ordered as people expect."""

    major: int
    minor: int
    revision: int = 0

    def __post_init__(self) -> None:
        for number in (self.major, self.minor, self.revision):
            if type(number) is not int or not 0 <= number <= 255:
                raise _refused(
                    number,
                    "version",
                    "its numbers are integers from 0 to 255",
                    code="request.invalid_version",
                )

    @classmethod
    def parse(cls, text: str) -> Self:
        if not re.fullmatch(r"v?[0-9]{1,3}\.[0-9]{1,3}(\.[0-9]{1,3})?", text, re.ASCII):
            raise _refused(
                text,
                "version",
                "two or three numbers joined by dots are needed, such as 1.2.0",
                code="request.invalid_version",
            )
        return cls(*map(int, text.removeprefix("v").split(".")))

    @classmethod
    def from_octets(cls, octets: bytes) -> Self:
        if len(octets) != 3:
            raise Malformed(f"a version has 3 octets, not {len(octets)}", offset=0, path="version")
        return cls(*octets)

    @property
    def octets(self) -> bytes:
        return bytes((self.major, self.minor, self.revision))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.revision}"
