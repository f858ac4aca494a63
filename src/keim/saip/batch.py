"""Many profiles from one template and a table of subscribers, one after the other in flat memory.

The template is a recipe (its keys are what a row does not say) or a package (each row edits a copy).
Must never import anything above floor 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from keim.crypto.milenage import opc as opc_of
from keim.ids import Iccid
from keim.saip import edit
from keim.saip.build import new
from keim.saip.elements import PinCodes, PukCodes
from keim.saip.package import Package
from keim.saip.recipe import KEYS, Recipe, recipe_of
from keim.saip.refusals import BadRecipe

_EDITABLE = (
    "iccid",
    "imsi",
    "ki",
    "opc",
    "op",
    "topc",
    "pin",
    "puk",
    "smsp",
    "name",
    "apn",
    "kic",
    "kid",
    "dek",
    "adm",
)


class Made(msgspec.Struct, frozen=True):
    row: int
    iccid: Iccid
    package: bytes

    def __repr__(self) -> str:
        return f"Made(row={self.row}, iccid={self.iccid}, {len(self.package)} octets)"


def from_recipe(
    template: Mapping[str, Any], rows: Iterable[Mapping[str, Any]], *, shape: str, is_smallest: bool = False
) -> Iterator[Made | BadRecipe]:
    """One result for each row; a bad row is told and the rest goes on."""

    def make(row: Mapping[str, Any], number: int) -> tuple[Iccid, bytes]:
        recipe: Recipe = recipe_of({**template, **row}, row=number)
        return recipe.iccid, new(recipe, shape, is_smallest=is_smallest).encode()

    return _each(rows, make)


def from_package(template: Package, rows: Iterable[Mapping[str, Any]]) -> Iterator[Made | BadRecipe]:
    def make(row: Mapping[str, Any], number: int) -> tuple[Iccid, bytes]:
        package = personalised(template, row)
        return edit.iccid_of(package), package.encode()

    return _each(rows, make)


def _each(
    rows: Iterable[Mapping[str, Any]], make: Callable[[Mapping[str, Any], int], tuple[Iccid, bytes]]
) -> Iterator[Made | BadRecipe]:
    seen: set[int] = set()  # numbers: all that grows with the table
    for number, row in enumerate(rows, 1):
        try:
            given = {key: value for key, value in row.items() if value not in (None, "")}
            iccid, octets = make(given, number)
            if int(iccid) in seen:
                raise BadRecipe(f"ICCID {iccid} stands in the table twice", key="iccid")
            seen.add(int(iccid))
        except BadRecipe as refusal:
            yield BadRecipe(refusal.message, key=refusal.key, row=number)
            continue
        yield Made(number, iccid, octets)


def check_columns(names: Iterable[str | None]) -> None:
    """Before the first row: a table with a column that we do not know is refused as a whole."""
    for name in names:
        if name not in KEYS:
            raise BadRecipe(f"unknown column; known are {', '.join(KEYS)}", key=str(name))


def personalised(package: Package, row: Mapping[str, Any]) -> Package:
    """A copy of a package with the values of one subscriber."""
    unknown = [key for key in row if key not in _EDITABLE]
    if unknown:
        raise BadRecipe("a package cannot be given this; use a recipe as template", key=unknown[0])
    text = {key: str(value) for key, value in row.items()}
    if "iccid" in text:
        package = edit.with_iccid(package, text["iccid"])
    if "imsi" in text:
        package = edit.with_imsi(package, text["imsi"])
    if "ki" in text:
        package = edit.with_keys(package, *_credentials(text))
    if "pin" in text:
        package = edit.with_pin(package, _pin_reference(package), edit.pin_octets(text["pin"]))
    if "puk" in text:
        package = _with_puks(package, text["puk"])
    if "adm" in text:
        package = edit.with_pin(package, 0x0A, hex_octets(text["adm"], "adm"))
    if "smsp" in text:
        package = edit.with_smsp(package, text["smsp"])
    if "name" in text:
        package = edit.with_name(package, text["name"])
    if "apn" in text:
        package = edit.with_apns(package, tuple(text["apn"].split(",")))
    for identifier, key in ((1, "kic"), (2, "kid"), (3, "dek")):
        if key in text:
            package = edit.with_domain_key(package, 1, identifier, hex_octets(text[key], key))
    return package


def _pin_reference(package: Package) -> int:
    """PIN1, or the application's own PIN where the package defines no PIN1 (IoT minimal profiles)."""
    defined = {
        pin.key_reference for _, codes in package.values(PinCodes) for pin in codes.pin_codes.pinconfig or ()
    }
    return 0x81 if 1 not in defined and 0x81 in defined else 1


def _with_puks(package: Package, digits: str) -> Package:
    """PUK1 and the PUK of the application's PIN, those that the package defines."""
    if not (digits.isascii() and digits.isdecimal() and len(digits) == 8):
        raise BadRecipe("8 digits are needed", key="puk")
    defined = {puk.key_reference for _, codes in package.values(PukCodes) for puk in codes.puk_codes}
    for reference in sorted(defined & {0x01, 0x81}) or (0x01,):
        package = edit.with_puk(package, reference, digits.encode("ascii"))
    return package


def _credentials(text: Mapping[str, str]) -> tuple[bytes, bytes]:
    key = hex_octets(text["ki"], "ki")
    if "op" in text:
        return key, opc_of(key, hex_octets(text["op"], "op"))
    given = next((name for name in ("opc", "topc") if name in text), None)
    if given is None:
        raise BadRecipe("comes with opc, op or topc", key="ki")
    return key, hex_octets(text[given], given)


def hex_octets(text: str, key: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise BadRecipe("hexadecimal digits are needed", key=key) from None
