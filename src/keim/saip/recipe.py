"""The ten lines from which a profile is made: the keys of profile.toml and of a row of a subscriber table.

Keys are hexadecimal, identities decimal. Must never import anything above floor 0.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

import msgspec

from keim.crypto.milenage import opc as opc_of
from keim.crypto.tuak import topc as topc_of
from keim.errors import Refused
from keim.ids import Iccid, Imsi
from keim.saip.codings import full_iccid
from keim.saip.edit import pin_octets
from keim.saip.elements import Algorithm, without_secrets
from keim.saip.refusals import BadRecipe

ALGORITHMS = {"milenage": Algorithm.MILENAGE, "tuak": Algorithm.TUAK}
REQUIRED = ("iccid", "imsi", "algorithm", "ki", "name")
OPTIONAL = (
    *("opc", "op", "topc", "smsp", "msisdn", "pin", "puk", "apn", "mcc_mnc_length"),
    *("kic", "kid", "dek", "adm"),
)
KEYS = (*REQUIRED, *OPTIONAL)


class DomainKeys(msgspec.Struct, frozen=True):
    """The SCP80 key set of the MNO-SD."""

    kic: bytes
    kid: bytes
    dek: bytes

    def __repr__(self) -> str:
        return "DomainKeys(***)"


class Recipe(msgspec.Struct, frozen=True):
    """What a profile is made from, checked."""

    iccid: Iccid
    imsi: Imsi
    algorithm: Algorithm
    ki: bytes
    opc: bytes
    """OPc, or TOPc for TUAK."""
    name: str
    smsp: str | None = None
    msisdn: str | None = None
    pin: bytes | None = None
    puk: bytes | None = None
    adm: bytes | None = None
    apn: tuple[str, ...] = ()
    mcc_mnc_length: int = 5
    """Digits of country and network together: 5 or 6."""
    domain_keys: DomainKeys | None = None

    @property
    def mcc_mnc(self) -> str:
        return self.imsi[: self.mcc_mnc_length]

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        fields = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return without_secrets(fields, "ki", "opc", "pin", "puk", "adm")

    def __repr__(self) -> str:
        return f"Recipe({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


def recipe_from_toml(text: str) -> Recipe:
    return recipe_of(mapping_from_toml(text))


def mapping_from_toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise BadRecipe(f"this is no TOML: {fault}") from None


def recipe_of(values: Mapping[str, Any], row: int | None = None) -> Recipe:
    """From keys and texts; `BadRecipe` names the key (and the row of a table)."""
    try:
        return _recipe(values)
    except BadRecipe as refusal:
        raise BadRecipe(refusal.message, key=refusal.key, row=row) from None


def _recipe(values: Mapping[str, Any]) -> Recipe:
    unknown = [key for key in values if key not in KEYS]
    if unknown:
        raise BadRecipe(f"unknown key; known are {', '.join(KEYS)}", key=unknown[0])
    missing = [key for key in REQUIRED if values.get(key) in (None, "")]
    if missing:
        raise BadRecipe("is missing", key=missing[0])
    name = _text(values, "algorithm").lower()
    if name not in ALGORITHMS:
        raise BadRecipe(f"{name!r} is neither milenage nor tuak", key="algorithm")
    algorithm = ALGORITHMS[name]
    ki = _hex(values, "ki", (16,) if algorithm is Algorithm.MILENAGE else (16, 32))
    imsi = _identity(values, "imsi", Imsi)
    length = _mcc_mnc_length(values, imsi)
    pin, puk = values.get("pin"), values.get("puk")
    if puk is not None and not (str(puk).isdecimal() and len(str(puk)) == 8):
        raise BadRecipe("8 digits are needed", key="puk")
    return Recipe(
        iccid=_identity(values, "iccid", full_iccid),
        imsi=imsi,
        algorithm=algorithm,
        ki=ki,
        opc=_operator_value(values, algorithm, ki),
        name=_text(values, "name"),
        smsp=_number(values, "smsp"),
        msisdn=_number(values, "msisdn"),
        pin=None if pin in (None, "") else pin_octets(str(pin)),
        puk=None if puk in (None, "") else str(puk).encode("ascii"),
        adm=_hex(values, "adm", (8,)) if values.get("adm") else None,
        apn=_apns(values),
        mcc_mnc_length=length,
        domain_keys=_domain_keys(values),
    )


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values[key]
    if not isinstance(value, str):
        raise BadRecipe("write it as text in quotes", key=key)
    return value.strip()


def _identity(values: Mapping[str, Any], key: str, make: Any) -> Any:
    try:
        return make(_text(values, key))
    except BadRecipe:
        raise
    except Refused as refusal:
        raise BadRecipe(refusal.message, key=key) from None


def _hex(values: Mapping[str, Any], key: str, lengths: tuple[int, ...]) -> bytes:
    try:
        octets = bytes.fromhex(_text(values, key))
    except ValueError:
        raise BadRecipe("hexadecimal digits are needed", key=key) from None
    if len(octets) not in lengths:
        wanted = " or ".join(str(2 * length) for length in lengths)
        raise BadRecipe(f"{wanted} hexadecimal digits are needed, here are {2 * len(octets)}", key=key)
    return octets


def _operator_value(values: Mapping[str, Any], algorithm: Algorithm, ki: bytes) -> bytes:
    given = [key for key in ("opc", "op", "topc") if values.get(key)]
    allowed = ("topc", "op") if algorithm is Algorithm.TUAK else ("opc", "op")
    if len(given) != 1 or given[0] not in allowed:
        raise BadRecipe(
            f"exactly one of {' and '.join(allowed)} is needed", key=given[0] if given else allowed[0]
        )
    if given[0] == "op":
        if algorithm is Algorithm.TUAK:
            return topc_of(ki, _hex(values, "op", (32,)))
        return opc_of(ki, _hex(values, "op", (16,)))
    return _hex(values, given[0], (32,) if given[0] == "topc" else (16,))


def _number(values: Mapping[str, Any], key: str) -> str | None:
    if values.get(key) in (None, ""):
        return None
    text = _text(values, key).replace(" ", "")
    digits = text.removeprefix("+")
    if not (digits.isascii() and digits.isdecimal() and 3 <= len(digits) <= 20):
        raise BadRecipe("a telephone number is needed, with + for an international one", key=key)
    return text


def _apns(values: Mapping[str, Any]) -> tuple[str, ...]:
    given = values.get("apn") or ()
    names = tuple(name.strip() for name in given.split(",")) if isinstance(given, str) else tuple(given)
    for name in names:
        labels = name.split(".") if isinstance(name, str) else [""]
        if not all(label and label.isascii() and len(label) <= 63 for label in labels):
            raise BadRecipe(f"{name!r} is no access point name", key="apn")
    return names


def _mcc_mnc_length(values: Mapping[str, Any], imsi: str) -> int:
    """5 or 6; 2 or 3, the length of the MNC alone, is understood too."""
    given = values.get("mcc_mnc_length")
    if given in (None, ""):
        return 5
    if str(given) not in ("2", "3", "5", "6"):
        raise BadRecipe("5 or 6 is needed (or 2 or 3 for the MNC alone)", key="mcc_mnc_length")
    length = int(given)
    length = length if length > 3 else 3 + length
    if len(imsi) <= length:
        raise BadRecipe("the IMSI is too short for it", key="mcc_mnc_length")
    return length


def _domain_keys(values: Mapping[str, Any]) -> DomainKeys | None:
    names = ("kic", "kid", "dek")
    given = [name for name in names if values.get(name)]
    if not given:
        return None
    if len(given) != 3:
        missing = next(name for name in names if name not in given)
        raise BadRecipe("kic, kid and dek come together", key=missing)
    kic, kid, dek = (_hex(values, name, (16, 24, 32)) for name in names)
    return DomainKeys(kic, kid, dek)
