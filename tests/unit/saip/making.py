"""Profiles for the tests of this folder, and small changes to them."""

from __future__ import annotations

from typing import Any

from keim.der import tlv
from keim.saip import Package, new, recipe_of
from keim.saip.elements import Fcp, FileItem, FileManagement, GenericFileManagement, PeHeader

VALUES = {
    "iccid": "890010100000000012",
    "imsi": "001010000000012",
    "algorithm": "milenage",
    "ki": "8F1E2D3C4B5A69788796A5B4C3D2E1F0",
    "opc": "0F1E2D3C4B5A69788796A5B4C3D2E1F0",
    "name": "Acme Meters",
}
DOMAIN = {"kic": "A1" + "5C" * 15, "kid": "B2" + "5D" * 15, "dek": "C3" + "5E" * 15}


def profile(shape: str = "iot-minimal", **values: Any) -> Package:
    return new(recipe_of(VALUES | values), shape)


def pe_header(number: int, *, mandated: bool = True) -> PeHeader:
    return PeHeader(mandated=mandated, identification=number)


def with_steps(package: Package, element: str, field: str, *steps: FileItem) -> Package:
    found = package.file_element(element)
    assert found is not None
    return package.replace(found[0].index, found[1].with_field(field, steps))


def changed(package: Package, name: str, **changes: Any) -> Package:
    """The first element of a name with other members."""
    element = package.named(name)[0]
    assert element.value is not None
    return package.replace(element.index, element.value.replace(**changes))


def with_commands(package: Package, *steps: FileManagement, mandated: bool = True) -> Package:
    """Generic file management before the authentication parameters."""
    index = package.named("akaParameter")[0].index
    management = GenericFileManagement(header=pe_header(200, mandated=mandated), commands=(steps,))
    return package.insert(index, management)


def fcp(**members: Any) -> FileItem:
    return FileItem(file_descriptor=Fcp(**members))


def fill(text: str) -> FileItem:
    return FileItem(fill_file_content=bytes.fromhex(text))


def skip(count: int) -> FileItem:
    return FileItem(fill_file_offset=count)


def unknown_element(number: int) -> bytes:
    return tlv(0xBF7A, pe_header(number).encode())
